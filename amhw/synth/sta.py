"""Timing of a netlist that is mapped already: ABC's static timing with any Liberty file."""

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from amhw.synth.failure import SynthesisError
from amhw.synth.reports import Timing, timing_of


def timing_with(
    liberty: Path, constraints: str, netlists: Sequence[Path], *, without: Sequence[str] = ()
) -> list[Timing]:
    """ABC's timing of each mapped BLIF file with the cells of the file `liberty`, except those in `without`.

    `constraints` is `Technology.constraints`. Yosys is not needed; its ABC does it.

    Raises:
        SynthesisError: ABC cannot read a file or finds a gate that the library lacks.
    """
    import pyosys  # here, so that nothing else in this process loads Yosys

    abc = Path(pyosys.__file__).with_name("yosys-abc")
    with tempfile.TemporaryDirectory(prefix="amhw-sta-") as folder:
        (Path(folder) / "constraints").write_text(constraints)
        commands = [f"read_lib {' '.join(f'-X {cell}' for cell in without)} {liberty.resolve()}"]
        commands += ["read_constr constraints"]
        for netlist in netlists:
            commands += [f"read_blif {netlist.resolve()}", "topo", "stime -p"]
        (Path(folder) / "script").write_text("\n".join(commands) + "\n")
        run = subprocess.run([abc, "-F", "script"], cwd=folder, capture_output=True, text=True, check=False)
    log = "\n".join(f"ABC: {line}" for line in run.stdout.splitlines())  # as Yosys prints it
    reports = (timing_of("ABC: WireLoad" + piece) for piece in log.split("ABC: WireLoad")[1:])
    timings = [timing for timing in reports if timing is not None]
    if run.returncode or len(timings) != len(netlists):
        raise SynthesisError(f"ABC timed {len(timings)} of {len(netlists)} netlists: {run.stdout[-200:]!r}")
    return timings
