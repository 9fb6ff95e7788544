"""Timing of a netlist that is mapped already: ABC's static timing with any Liberty file."""

import shutil
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from amhw.synth.failure import SynthesisError
from amhw.synth.process import run_tool
from amhw.synth.reports import AbcTiming, timing_of


def timing_with(
    liberty: Path, constraints: str, netlists: Sequence[Path], *, without: Sequence[str] = ()
) -> list[AbcTiming]:
    """ABC's timing of each mapped BLIF file with the cells of the file `liberty`, except those in `without`.

    `constraints` is `Technology.constraints`. Yosys is not needed; its ABC does it.

    Raises:
        SynthesisError: ABC cannot read a file or finds a gate that the library lacks, or takes too long.
    """
    package = find_spec("pyosys")  # not imported: with Yosys in a process, matplotlib cannot be imported any more
    assert package is not None and package.origin is not None
    abc = Path(package.origin).with_name("yosys-abc")
    with tempfile.TemporaryDirectory(prefix="amhw-sta-") as name:
        folder = Path(name)
        shutil.copyfile(liberty, folder / "cells.lib")
        (folder / "constraints").write_text(constraints, encoding="utf-8")
        commands = [f"read_lib {' '.join(f'-X {cell}' for cell in without)} cells.lib", "read_constr constraints"]
        for number, netlist in enumerate(netlists):
            shutil.copyfile(netlist, folder / f"{number}.blif")
            commands += [f"read_blif {number}.blif", "topo", "stime -p"]
        (folder / "script").write_text("\n".join(commands) + "\n", encoding="utf-8")
        run = run_tool([abc, "-F", "script"], folder, "ABC")
    log = "\n".join(f"ABC: {line}" for line in run.stdout.splitlines())  # as Yosys prints it
    reports = (timing_of("ABC: WireLoad" + piece) for piece in log.split("ABC: WireLoad")[1:])
    timings = [timing for timing in reports if timing is not None]
    if run.returncode or len(timings) != len(netlists):
        raise SynthesisError(f"ABC timed {len(timings)} of {len(netlists)} netlists: {run.stdout[-200:]!r}")
    return timings
