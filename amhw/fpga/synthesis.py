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

STATEMENTS = 64
"""Of one initial block. Yosys' reader takes a time that grows with the square of them: two minutes for 16,000, which is
five seconds in pieces."""

_HEADER = re.compile(r"\d+\.\d+\. (?:Executing|Running) ([\w-]+(?: [\w-]+)*?)(?: pass)?(?=[ .:]|$)")
"""Of one of the steps of a synthesis, not of what these consist of."""


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


def in_pieces(verilog: str) -> str:
    """The same Verilog, its long initial blocks as several."""
    lines, found = [], 0
    for line in verilog.split("\n"):
        lines.append(line)
        if line == "  initial begin":
            found = 0
        elif line.startswith("    memory["):
            found += 1
            if found % STATEMENTS == 0:
                lines += ["  end", "  initial begin"]
    return "\n".join(lines)
