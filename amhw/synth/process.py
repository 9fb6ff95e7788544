"""Tools in processes of their own, with limits, and how they ended."""

import re
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from amhw.synth.failure import SynthesisError
from amhw.synth.reports import error_in

LONGEST_S = 600
"""Seconds that a tool may take."""

MOST_MEMORY = 8 << 30
"""Bytes that Yosys and ABC may take; an array of 400 elements, flat, takes half a gibibyte."""


def run_tool(command: Sequence[str | Path], folder: Path, name: str) -> "subprocess.CompletedProcess[str]":
    """Run the program `name` in `folder`.

    Raises:
        SynthesisError: it takes longer than `LONGEST_S`.
    """
    try:
        return subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=LONGEST_S,
            encoding="utf-8",
        )
    except subprocess.TimeoutExpired:
        raise SynthesisError(f"{name} took longer than {LONGEST_S} s and was stopped") from None


def out_of_memory(log: str) -> bool:
    """Whether the process that left this log got no more memory."""
    return re.search(r"\bMemoryError\b|\bbad_alloc\b", log) is not None


def why(log: str, status: int) -> str:
    """Yosys' or ABC's own error, else how its process ended and what it printed last."""
    if (error := error_in(log)) is not None:
        return error
    lines = [" ".join(line.split()) for line in log.splitlines() if line.strip()]
    return f"{ending(status)}; the last line it printed: {lines[-1][-200:]!r}" if lines else ending(status)


def ending(status: int) -> str:
    """A process' status, or the name of the signal that ended it."""
    if status >= 0:
        return f"status {status}"
    return next((each.name for each in signal.Signals if each == -status), f"signal {-status}")
