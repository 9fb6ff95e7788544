"""From Verilog to a netlist of the FPGA's cells, by Yosys."""

import re
from pathlib import Path

from amhw.fpga.tools import Heard, run_python

_RUN = """
import sys
from pyosys import libyosys
design = libyosys.Design()
for command in sys.argv[1:]:
    libyosys.run_pass(command, design)
"""

_HEADER = re.compile(r"\d+\.\d+\. (?:Executing|Running) ([\w-]+(?: [\w-]+)*?)(?: pass)?(?=[ .:]|$)")
"""Of one of the steps of a synthesis, not of what these consist of."""

_CONTENTS = re.compile(
    r"^  initial begin\n"
    r"(    (\w+)\[\d+\] = \d+'[hd][\da-f]+;\n(?:    \2\[\d+\] = \d+'[hd][\da-f]+;\n)*)"
    r"  end\n",
    re.MULTILINE,
)
"""Of one memory; a block that fills several stays as it is."""

_WORD = re.compile(r"\[(\d+)\] = \d+'([hd])([\da-f]+);")


def synthesise(folder: Path, files: list[str], top: str, *, dsp: bool, heard: Heard) -> None:
    """Map the Verilog `files` of `folder` to ECP5's cells: ``netlist.json``.

    Args:
        dsp: whether multiplications may use DSP blocks; the array's own never do, as they are sums of bits.
        heard: gets the name of each step.

    Raises:
        SynthesisError: Yosys fails.
    """

    def listen(line: str) -> None:
        if (step := _HEADER.match(line)) is not None:
            heard(step[1])

    commands = [f"read_verilog {' '.join(files)}"]
    commands += [f"synth_ecp5 -top {top} -json netlist.json{'' if dsp else ' -nodsp'}"]
    run_python(_RUN, commands, folder, "Yosys", listen)


def contents_in_files(verilog: str, folder: Path) -> str:
    """The same Verilog, with what memories contain at the start in files of `folder`.

    Yosys reads a statement a word in a time that grows with the square of them: minutes for the weights of LeNet-5,
    which is a second in a file.
    """

    def moved(found: re.Match[str]) -> str:
        words = _WORD.findall(found[1])
        file = folder / f"{found.start()}.hex"
        lines = (f"@{int(word):x} {int(value, 16 if base == 'h' else 10):x}\n" for word, base, value in words)
        file.write_text("".join(lines), encoding="utf-8")
        return f'  initial $readmemh("{file.name}", {found[2]});\n'

    return _CONTENTS.sub(moved, verilog)
