"""Yosys in a process of its own, with limits: what is read there may come from anyone."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from amhw.hdl.reading import reason_in
from amhw.hdl.source import Source
from amhw.refusal import Refusal

_SCRIPT = Path(__file__).with_name("reading.py")

LONGEST_S = 60
"""How long Yosys may take; a multiplier takes a fifth of a second."""

MOST_MEMORY = 2 << 30
"""Bytes that it may take; a multiplier takes less than a hundredth."""


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
        "memory": MOST_MEMORY,
    }
    (folder / "source.v").write_text(source.text, encoding="utf-8", errors="replace")
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-P", str(_SCRIPT)],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(LONGEST_S)
    except subprocess.TimeoutExpired:
        raise Refusal(
            f"Yosys takes longer than {LONGEST_S} s; is there a loop in the Verilog that does not end?"
        ) from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if not (folder / "reply.json").exists():
        raise Refusal(source.placed(f"Yosys refuses the circuit: {_last_words(folder, process.returncode)}"))
    reply = json.loads((folder / "reply.json").read_text(encoding="utf-8"))
    if "refusal" in reply:
        raise Refusal(source.placed(reply["refusal"]))
    return replace(source, dialects=(reply["dialect"],)), reply["top"]


def _check_parameters(parameters: Mapping[str, str]) -> None:
    for name, value in parameters.items():
        if not re.fullmatch(r"[A-Za-z_]\w*", name) or not re.fullmatch(r"-?\d+|\d+'[bdhoBDHO][0-9a-fA-F_]+", value):
            raise Refusal(f"-P {name}={value} is no parameter with a Verilog number, such as WIDTH=8 or MASK=8'hf0")


def _last_words(folder: Path, status: int) -> str:
    """Why Yosys ended: its error, else what it warned of last, else how the process ended."""
    log = folder / "log.txt"
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    error = reason_in(text)
    warnings = re.findall(r"^Warning: (.*)", text, re.MULTILINE)
    if warnings and (error is None or "check -assert" in error):
        return " ".join(str(warnings[-1]).split())
    return error or f"its process ended with status {status}; the last line it printed: {text.strip()[-200:]!r}"
