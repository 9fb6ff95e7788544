"""One multiplier in all layers against a different one in each: energy and loss, for several numbers of multipliers.

    python scripts/assignments.py --layers all --multipliers 2 3 5 --out assignments

Of a fixed set of candidates, so that it takes minutes and not a whole selection a number; `amhw select --multipliers`
finds its candidates itself. Choices are made on training images; test images are only reported. Everything is kept in
OUT/results.sqlite.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from amhw.files import write_atomically
from amhw.pareto import nondominated
from amhw.results import Results
from amhw.select.demands import at_most
from amhw.select.selection import Selection
from amhw.select.settings import Settings
from amhw.select.several import with_several
from amhw.select.solutions import Solution
from amhw.select.space import candidate_named
from amhw.stages.problem import Problem
from amhw.workers import executor

CANDIDATES = (
    "pp_0_0_0_0_0_0_0_c0",
    "pp_0_0_0_0_0_0_10_e0",
    "pp_0_0_0_0_0_0_c0_c0",
    "or_1000_0_0_0_0_0_10_c0_e0",
    "or_1800_0_0_0_0_0_4_f0_f0",
    "pp_0_0_0_0_c0_c0_c0_c0",
    "pp_0_0_0_0_0_e0_e0_e0",
    "pp_0_0_0_0_e0_e0_e0_e0",
    "pp_0_0_0_0_f0_f0_f0_f0",
)

DEMANDS = (0.1, 0.2, 0.3, 0.5)
"""Points lost on training images."""


def front(solutions: Sequence[Solution]) -> list[Solution]:
    """What no other dominates in training loss and energy, the least energy first; a loss below 0 counts as 0."""
    costs = [(max(0.0, s.training_loss), energy_of(s)) for s in solutions]
    return sorted((solutions[k] for k in nondominated(costs, distinct=True)), key=energy_of)


def energy_of(solution: Solution) -> float:
    energy = solution.energy_ratio(solution.balanced)
    assert energy is not None, "energies have been counted"
    return energy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", choices=("all", "convolutions"), default="all")
    parser.add_argument("--multipliers", type=int, nargs="*", default=[2, 3, 4, 5], help="none: one multiplier alone")
    parser.add_argument("--candidates", nargs="+", default=CANDIDATES, metavar="NAME", help="without mul_u8s8_")
    parser.add_argument("--network", help="default: the shipped LeNet-5")
    parser.add_argument("--data")
    parser.add_argument("--tech", default="sky130hd")
    parser.add_argument("--out", type=Path, default=Path("assignments"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--assignments", type=int, default=8, help="networks made in each of two rounds")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    problem = Problem(arguments.network, arguments.data)
    structure = problem.loaded.base.network
    layers = structure.layer_names if arguments.layers == "all" else structure.convolutions
    started = time.perf_counter()

    def report(what: str, done: int, total: int) -> None:
        if done == total:
            print(f"  {time.perf_counter() - started:6.0f} s  {what} {total}", file=sys.stderr, flush=True)

    with Results(arguments.out / "results.sqlite") as results, executor(arguments.workers) as pool:
        settings = Settings(assignments=arguments.assignments)
        selection = Selection(problem, arguments.tech, results, pool, report, settings, layers=layers)
        candidates = [candidate_named(f"mul_u8s8_{name}") for name in arguments.candidates]
        implementations = selection.implementations(candidates, "candidates")
        single = selection.fit([selection.everywhere(m.name) for m in candidates], implementations, "one multiplier")
        counted = selection.with_energy(selection.score(single), every=False)
        lines = ["multipliers,energy,area,training_loss_points,loss_points,half_width,assignment"]
        every = {1: counted}
        for most in arguments.multipliers:
            mixed = selection.with_energy(selection.score(with_several(selection, single, most)), every=False)
            every[most] = [*counted, *(solution for k, found in every.items() if k > 1 for solution in found), *mixed]
            every[most] = list({solution.name: solution for solution in every[most]}.values())
        baseline = selection.baseline()
        for most, solutions in every.items():
            best = front(solutions)
            for s in best:
                assert s.loss is not None
                lines.append(
                    f"{most},{energy_of(s):.4f},{baseline.area_ratio(s.balanced):.4f},{100 * s.training_loss:.2f},"
                    f"{100 * s.loss.mean:.2f},{100 * s.loss.half_width:.2f},{s.name.replace(',', ' ')}"
                )
            found = []
            for demand in DEMANDS:
                within = next((s for s in best if at_most(100 * s.training_loss, demand)), None)
                if within is None or within.loss is None:
                    found.append(f"{demand}: none")
                else:
                    found.append(f"{demand}: {energy_of(within):.4f} ({100 * within.loss.mean:.2f} on test images)")
            print(f"{most} multipliers, least energy at a training loss of at most  {'; '.join(found)}", flush=True)
        write_atomically(arguments.out / "front.csv", "\n".join(lines) + "\n")
    print(arguments.out / "front.csv")


if __name__ == "__main__":
    main()
