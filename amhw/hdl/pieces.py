"""Long initial blocks as several short ones."""

import re

STATEMENTS = 64
"""Words of a memory in one initial block: Yosys' reader takes a time that grows with the square of them, a minute for
the 35,000 words of an array for LeNet-5."""

_WORD = re.compile(r"\s*[A-Za-z_][\w$]*\[\d+\] = \d+'[hdb][\da-fA-F]+;")
_BEGIN = re.compile(r".*\binitial begin\s*")


def in_pieces(verilog: str) -> str:
    """The same Verilog, line for line, with what a long initial block puts into memories as several blocks."""
    lines, found = verilog.split("\n"), -1
    for number, line in enumerate(lines):
        if _BEGIN.fullmatch(line):
            found = 0
        elif found >= 0 and _WORD.fullmatch(line):
            found += 1
            if found % STATEMENTS == 0:
                lines[number] = f"{line} end initial begin"
        else:
            found = -1
    return "\n".join(lines)
