"""Netlists of logic that other tools write, BLIF and AIGER, as Verilog.

Yosys reads both. Their gates become Verilog's operators, one for one; ports that are numbered bits (`a[0]`, `a[1]`, …)
become vectors; latches become registers, AIGER's on the rising edge of an input `clk`.
"""

import re
import tempfile
from pathlib import Path

from amhw.files import read_whole
from amhw.hdl.yosys import run_passes
from amhw.refusal import Refusal

LOGIC = {".blif": "BLIF", ".aig": "AIGER", ".aag": "AIGER"}
"""How files of logic end, and what they are."""


def verilog_of(path: Path | str) -> str:
    """Verilog for the netlist in a file whose ending is among `LOGIC`.

    Raises:
        Refusal: it cannot be read, or Yosys refuses it.
    """
    ending, data = Path(path).suffix, read_whole(path)
    with tempfile.TemporaryDirectory(prefix="amhw-logic-") as name:
        folder = Path(name)
        (folder / f"logic{ending}").write_bytes(data)
        run_passes(_commands(ending, data, Path(path).stem), folder, f"this {LOGIC[ending]}")
        text = (folder / "logic.v").read_text(encoding="utf-8", errors="replace")
    if "\\$_FF_ " in text or "\\$ff " in text:
        raise Refusal(f"{path} has latches without a clock, of which no flip-flop can be chosen; give each its clock")
    return text


def _commands(ending: str, data: bytes, stem: str) -> list[str]:
    read = ["read_blif -wideports -sop logic.blif"]
    if ending != ".blif":
        _, _, inputs, latches, outputs, *_ = [*data.split(b"\n", 1)[0].split(), *[b""] * 5]
        clock = "" if latches == b"0" else "-clk_name clk"
        top = re.sub(r"^(?=\d)|\W", "_", stem, flags=re.ASCII)
        aiger = f"read_aiger -module_name {top} {clock} logic{ending}"
        named = set(re.findall(rb"^([io]\d+) \S", data, re.MULTILINE))
        ports = {b"%s%d" % (way, k) for way, count in ((b"i", inputs), (b"o", outputs)) for k in range(_count(count))}
        # BLIF's reader makes vectors of numbered bits; where ports have no names, there is nothing to number.
        read = [aiger, "write_blif logic.blif", "design -reset", *read] if ports <= named else [aiger]
    return [*read, "techmap", "opt_expr", "opt_clean", "write_verilog -noattr logic.v"]


def _count(digits: bytes) -> int:
    return int(digits) if digits.isdigit() and len(digits) < 8 else 0
