"""How steady a selection is: the front over several seeds of the search.

    python scripts/selection_seeds.py --out selection-seeds --workers 2

For each seed: how long it took (told for the first one of an empty store: the others find there what they share with
it), how many designs are on the front, its hypervolume, and for each target the netlist
within its area and delay that is best on training images, with the points that it loses on test images. The hypervolume
is the share of the box up to `REFERENCE` (points lost on test images, area and delay ÷ exact) that netlists of the
front dominate. With `--multipliers 2` the convolutions may have two different ones, each with its own array. Everything
is kept in OUT/results.sqlite, and OUT/seeds.json holds what is printed.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import moocore
import numpy as np

from amhw.files import write_atomically
from amhw.results import Results
from amhw.select.demands import Demands
from amhw.select.request import Request
from amhw.select.selection import Selection
from amhw.select.several import with_several
from amhw.select.solutions import Baseline, Solution
from amhw.stages.problem import Problem
from amhw.workers import executor

TARGETS = ((0.20, 0.040, 0.25), (0.35, 0.028, 0.18), (0.60, 0.012, None))
"""Points lost, area and delay ÷ exact."""

REFERENCE = (1.0, 0.1, 0.5)


def hypervolume(front: list[Solution], baseline: Baseline) -> float:
    """The share of the box up to `REFERENCE` that netlists of a front dominate; a loss below 0 counts as 0."""
    points = [
        (max(0.0, 100 * solution.loss.mean), baseline.area_ratio(each), baseline.delay_ratio(each))
        for solution in front
        if solution.loss is not None
        for each in solution.implementations
    ]
    scaled = np.array(points) / REFERENCE
    inside = scaled[(scaled < 1).all(axis=1)]
    return float(moocore.hypervolume(inside, ref=[1.0, 1.0, 1.0])) if len(inside) else 0.0


def of_seed(
    selection: Selection, seconds_from: float, told: list[float], multipliers: int, *, cold: bool
) -> dict[str, object]:
    """What a selection finds; its time and that of its first front are told where the store was empty (`cold`)."""
    front, baseline = selection.front(), selection.baseline()
    seconds = time.perf_counter() - seconds_from
    answers = []
    for loss, area, delay in TARGETS:
        demands = Demands(max_area_ratio=area, max_delay_ratio=delay)
        every = list(front)
        if multipliers > 1:
            every += selection.score(with_several(selection, front, multipliers, demands))
        within = [s for s in every for each in s.implementations if demands.met_by(demands.figures(s, each, baseline))]
        if not within:
            answers.append({"wanted": [loss, area, delay], "reached": False})
            continue
        solution, each = Request(demands=demands).chosen(every, baseline)
        assert solution.loss is not None
        points = 100 * solution.loss.mean
        answers.append(
            {
                "wanted": [loss, area, delay],
                "reached": points <= loss,
                "loss_points": round(points, 2),
                "half_width": round(100 * solution.loss.half_width, 2),
                "area": round(baseline.area_ratio(each), 4),
                "delay": round(baseline.delay_ratio(each), 3),
                "multiplier": solution.name,
            }
        )
    return {
        "seed": selection.seed,
        "seconds": round(seconds) if cold else None,
        "first_front_seconds": round(told[0] - seconds_from) if cold else None,
        "designs": len(front),
        "hypervolume": round(hypervolume(front, baseline), 4),
        "targets": answers,
        "front": [[s.name, round(100 * s.loss.mean, 2), round(s.divergence, 6)] for s in front if s.loss is not None],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("selection-seeds"))
    parser.add_argument("--tech", default="sky130hd")
    parser.add_argument("--multipliers", type=int, default=1, help="different ones that the convolutions may have")
    parser.add_argument("--seeds", type=int, nargs="*", default=list(range(5)))
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    found: list[dict[str, object]] = []
    store = arguments.out / "results.sqlite"
    empty = not store.exists()
    with Results(store) as results, executor(arguments.workers) as pool:
        for seed in arguments.seeds:
            started = time.perf_counter()

            def report(what: str, done: int, total: int, started: float = started) -> None:
                if done == total:
                    print(f"  {time.perf_counter() - started:6.0f} s  {what} {total}", file=sys.stderr, flush=True)

            told: list[float] = []

            def hear(front: Sequence[Solution], exact: Baseline, told: list[float] = told) -> None:
                told.append(time.perf_counter())

            selection = Selection(Problem(), arguments.tech, results, pool, report, so_far=hear, seed=seed)
            found.append(of_seed(selection, started, told, arguments.multipliers, cold=empty and not found))
            print(json.dumps({key: value for key, value in found[-1].items() if key != "front"}), flush=True)
            write_atomically(arguments.out / "seeds.json", json.dumps(found, indent=2) + "\n")
    volumes = [float(str(each["hypervolume"])) for each in found]
    print(f"hypervolume {np.mean(volumes):.4f} ± {np.std(volumes):.4f} over {len(volumes)} seeds")


if __name__ == "__main__":
    main()
