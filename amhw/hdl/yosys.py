"""Yosys in a process of its own, with limits: what is read there may come from anyone."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from amhw.hdl.reading import LONGEST_S, MOST_MEMORY, reason_in, too_long
from amhw.refusal import Refusal

_SCRIPT = Path(__file__).with_name("reading.py")


def run_passes(passes: Sequence[str], folder: Path, what: str) -> None:
    """Run commands of Yosys in `folder`.

    Raises:
        Refusal: Yosys refuses `what` it is to read, or takes too long or too much memory.
    """
    answer({"dialects": [], "passes": list(passes)}, folder, what)


def answer(job: Mapping[str, Any], folder: Path, what: str) -> dict[str, Any]:
    """Have a job of `reading.py` done in `folder`.

    Raises:
        Refusal: as `run_passes`.
    """
    (folder / "job.json").write_text(json.dumps({**job, "memory": MOST_MEMORY}), encoding="utf-8")
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
        raise Refusal(too_long(LONGEST_S)) from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.returncode == -signal.SIGXCPU:
        raise Refusal(too_long(LONGEST_S))
    if not (folder / "reply.json").exists():
        raise Refusal(f"Yosys refuses {what}: {_last_words(folder, process.returncode)}")
    reply: dict[str, Any] = json.loads((folder / "reply.json").read_text(encoding="utf-8"))
    if "refusal" in reply:
        raise Refusal(reply["refusal"])
    return reply


def _last_words(folder: Path, status: int) -> str:
    """Why Yosys ended: its error, else what it warned of last, else how the process ended."""
    log = folder / "log.txt"
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    error = reason_in(text)
    warnings = re.findall(r"^Warning: (.*)", text, re.MULTILINE)
    if warnings and (error is None or "check -assert" in error):
        return " ".join(str(warnings[-1]).split())
    return error or f"its process ended with status {status}; the last line it printed: {text.strip()[-200:]!r}"
