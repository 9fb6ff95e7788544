"""The stage *simulate*: prove that a design's Verilog computes the golden model's products."""

import functools
import subprocess
import tempfile

from amhw.refusal import Refusal
from amhw.results import Task
from amhw.simulation import Outcome, default_simulator, simulate, simulator_environment
from amhw.stages.keys import Stage, digest_of
from amhw.verilog import Design


def simulation(design: Design, verilog: str, simulator: str | None = None) -> Task[Outcome]:
    """Simulate the Verilog of a design.

    Args:
        verilog: what the stage *emit* gave.
        simulator: see `amhw.simulation.simulate`.
    """
    simulator = simulator or default_simulator()
    inputs = {
        "design": design.name,
        "verilog": digest_of(verilog),
        "simulator": simulator,
        "simulator_version": version_of_simulator(simulator),
    }
    return SIMULATE.task(inputs, design.name, verilog, simulator)


def _simulate(design: str, verilog: str, simulator: str) -> Outcome:
    # The text comes out of a results store, which may come from anywhere.
    if Design.parse(design).verilog() != verilog:
        raise Refusal(f"the stored Verilog of {design} is not its own; use another results store")
    with tempfile.TemporaryDirectory() as folder:
        _, manifest = Design.parse(design).write_text(folder, verilog)
        return simulate(manifest, simulator=simulator)


@functools.cache
def version_of_simulator(simulator: str) -> str:
    """The first line in which a simulator says what it is; empty where it is not to be had."""
    program, option = {"icarus": ("iverilog", "-V")}.get(simulator, (simulator, "--version"))
    with simulator_environment():
        try:
            said = subprocess.run([program, option], capture_output=True, text=True, errors="replace", encoding="utf-8")
        except OSError:
            return ""
    return (said.stdout or said.stderr).partition("\n")[0].strip()


SIMULATE = Stage("simulate", Outcome, _simulate, runs=("sim.multiplier_bench", "amhw.families"))
