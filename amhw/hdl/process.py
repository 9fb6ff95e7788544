"""Verilog read and elaborated in a process of its own."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from amhw.hdl.source import Source
from amhw.hdl.yosys import answer
from amhw.refusal import Refusal


def elaborated(
    source: Source,
    folder: Path,
    passes: Sequence[str] = (),
    *,
    top: str | None = None,
    parameters: Mapping[str, str] | None = None,
    held: Mapping[str, int] | None = None,
) -> tuple[Source, str]:
    """Read `source`, elaborate its top module, and run `passes` on it.

    Args:
        source: the Verilog.
        folder: an empty one, where Yosys works and leaves what the passes write.
        passes: commands of Yosys.
        top: the top module; by default the only one that could be.
        parameters: of the top module, as Verilog numbers.
        held: values of inputs that never change; they are inputs no longer.

    Returns:
        The source with the one dialect in which it was read, and the top module.

    Raises:
        Refusal: Yosys cannot read the source or complains about it, takes too long or too much memory, or a
            parameter, an input or the top module is not there.
    """
    _check_parameters(parameters or {})
    job = {
        "file": "source.v",
        "dialects": source.dialects,
        "top": top,
        "own": source.own,
        "parameters": dict(parameters or {}),
        "held": dict(held or {}),
        "passes": list(passes),
    }
    (folder / "source.v").write_text(source.text, encoding="utf-8", errors="replace")
    try:
        reply = answer(job, folder, "the circuit")
    except Refusal as refusal:
        raise Refusal(source.placed(str(refusal))) from None
    return replace(source, dialects=(reply["dialect"],)), reply["top"]


def _check_parameters(parameters: Mapping[str, str]) -> None:
    for name, value in parameters.items():
        if not re.fullmatch(r"[A-Za-z_]\w*", name) or not re.fullmatch(r"-?\d+|\d+'[bdhoBDHO][0-9a-fA-F_]+", value):
            raise Refusal(f"-P {name}={value} is no parameter with a Verilog number, such as WIDTH=8 or MASK=8'hf0")
