"""The figures of docs/selection.md: targets, front, reduced precision, ranking, rank correlation, time.

    python scripts/bench_select.py --out bench-select

Everything is kept in OUT/results.sqlite: a second run prints the same figures at once (and no time worth quoting).
scripts/selection_pictures.py draws OUT/front-*.csv and OUT/ranking.csv, copied to docs/figures/selection-*.csv.
"""

import argparse
import json
import sys
import time
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from amhw.documents import Record
from amhw.families.masked import Masked
from amhw.files import write_atomically
from amhw.multiplier import parse
from amhw.network.inference import Inference
from amhw.network.quantised import QuantisedLayer
from amhw.results import Results, Task, run
from amhw.select.selection import Selection
from amhw.select.solutions import Baseline, Solution, is_reduced_precision, pareto_front
from amhw.select.statistics import MaskRanking, dropped
from amhw.stages.problem import Problem
from amhw.table import ProductTable
from amhw.workers import executor

TARGETS = ((0.20, 0.040, 0.25), (0.35, 0.028, 0.18), (0.60, 0.012, np.inf))
"""Points lost, area and delay against exact, that must be reached."""

RANKED = 200
IMAGES = 1000


def structured_and_random_masks(count: int = RANKED) -> list[Masked]:
    """Columns cut off, reduced precisions, rows cut off, and random masks that favour heavy products."""
    masks = [Masked.columns(k, 8, 8, signed_b=True) for k in range(1, 14)]
    for bits_a in range(1, 9):
        for bits_b in range(1, 9):
            row = 256 - (1 << (8 - bits_b))
            masks.append(Masked(rows=(0,) * (8 - bits_a) + (row,) * bits_a, width_a=8, width_b=8, signed_b=True))
    generator = np.random.default_rng(0)
    weight = np.add.outer(np.arange(8), np.arange(8)).ravel()
    while len(masks) < count:
        slope, middle = generator.uniform(0.2, 1.5), generator.uniform(0, 13)
        keep = generator.random(64) < 1 / (1 + np.exp(-slope * (weight - middle)))
        rows = tuple(int((keep.reshape(8, 8)[i] << np.arange(8)).sum()) for i in range(8))
        if any(rows) and rows not in {mask.rows for mask in masks}:
            masks.append(Masked(rows=rows, width_a=8, width_b=8, signed_b=True))
    return masks


@dataclass(frozen=True)
class MaskLoss(Record):
    """What a mask loses."""

    mask: str
    loss: float


def masked_accuracy(name: str) -> MaskLoss:
    """Accuracy of the shipped network with a mask and the mean error folded into the biases; nothing remapped."""
    loaded = Problem().loaded
    mask = parse(name)
    assert isinstance(mask, Masked)
    ranking = _ranking()
    layers: list[QuantisedLayer] = []
    statistics = {layer.name: layer for layer in ranking.layers}
    for layer in loaded.base.layers:
        if layer.name in statistics:
            bias = layer.bias - np.rint(statistics[layer.name].mean_errors(mask)).astype(np.int64)
            layer = replace(layer, bias=bias)
        layers.append(layer)
    tables = dict.fromkeys(statistics, ProductTable.of(mask))
    data = loaded.test.first(IMAGES)
    correct = Inference(replace(loaded.base, layers=tuple(layers)), tables).correct(data)
    return MaskLoss(name, float(Inference(loaded.base).correct(data).mean() - correct.mean()))


_KNOWN: list[MaskRanking] = []


def _ranking() -> MaskRanking:
    if not _KNOWN:
        loaded = Problem().loaded
        _KNOWN.append(MaskRanking.of(loaded.base, loaded.training.images[::10]))
    return _KNOWN[0]


def ranking_figures(results: Results, pool: Executor, out: Path) -> dict[str, float]:
    ranking = _ranking()
    drops = np.random.default_rng(0).random((400_000, 64)) < 0.5
    ranking.scores(drops[:1000])
    started = time.perf_counter()
    ranking.scores(drops)
    rate = len(drops) / (time.perf_counter() - started)
    masks = structured_and_random_masks()
    identities = {mask.name: {"stage": "mask loss", "mask": mask.name, "images": IMAGES} for mask in masks}
    tasks = [Task(identity, MaskLoss, masked_accuracy, (name,)) for name, identity in identities.items()]
    losses = {found.mask: found.loss for _, found, _ in run(tasks, results, pool) if isinstance(found, MaskLoss)}
    scores = ranking.scores(dropped(masks))
    found = [losses[mask.name] for mask in masks]
    lines = [f"{m.name},{score:.6g},{100 * loss:.2f}" for m, score, loss in zip(masks, scores, found, strict=True)]
    write_atomically(out / "ranking.csv", "\n".join(["multiplier,predicted_error,loss_points", *lines]) + "\n")
    correlation = float(spearmanr(scores, found).statistic)
    return {"masks_per_second": rate, "rank_correlation": correlation, "masks": len(masks)}


def target_lines(selection: Selection, points: list[Solution], baseline: Baseline) -> list[str]:
    """For each target, the point within its area and delay that is best on training images; simulated."""
    lines = []
    for loss, area, delay in TARGETS:
        fitting = [
            (point, netlist)
            for point in points
            for netlist in point.implementations
            if baseline.area_ratio(netlist) <= area and baseline.delay_ratio(netlist) <= delay
        ]
        wanted = f"loss ≤ {loss:.2f} at area ≤ {area:g}" + (f", delay ≤ {delay:g}" if np.isfinite(delay) else "")
        if not fitting:
            lines.append(f"{wanted}: nothing within")
            continue
        point, netlist = min(fitting, key=lambda pair: (pair[0].divergence, pair[1].area_um2))
        assert point.loss is not None
        selection.simulate([netlist.design])
        verdict = "reached" if 100 * point.loss.mean <= loss else "MISSED"
        lines.append(
            f"{wanted}: {verdict}: {100 * point.loss.mean:.2f} ± {100 * point.loss.half_width:.2f} at "
            f"{baseline.area_ratio(netlist):.4f}, {baseline.delay_ratio(netlist):.3f}  "
            f"{netlist.design} ({netlist.recipe})"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("bench-select"))
    parser.add_argument("--tech", nargs="*", default=["sky130hd", "sg13g2"], help="none: the ranking alone")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="no reduced-precision table, no rank correlation")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    summary: dict[str, object] = {}
    with Results(arguments.out / "results.sqlite") as results, executor(arguments.workers) as pool:
        for technology in arguments.tech:
            started = time.perf_counter()

            def report(what: str, done: int, total: int, started: float = started) -> None:
                if done == total:
                    print(f"  {time.perf_counter() - started:6.0f} s  {what} {total}", file=sys.stderr, flush=True)

            selection = Selection(Problem(), technology, results, pool, report)
            points = selection.front()
            seconds = time.perf_counter() - started
            baseline = selection.baseline()
            print(
                f"{technology}: a front of {len(points)} designs synthesised, simulated and scored in {seconds:.0f} s"
            )
            print(
                f"  exact: smallest {baseline.smallest.area_um2:.1f} µm² ({baseline.smallest.design}), "
                f"fastest {baseline.fastest.delay_ps:.0f} ps ({baseline.fastest.design}), "
                f"accuracy {100 * selection.exact_hits().mean():.2f} %"
            )
            targets = target_lines(selection, points, baseline)
            for line in targets:
                print(f"  {line}")
            if not arguments.quick:
                points = with_reduced_precision(selection, points)
            print_table(points, baseline)
            write_csv(points, baseline, arguments.out / f"front-{technology}.csv")
            summary[technology] = {"seconds": seconds, "targets": targets}
        if not arguments.quick:
            figures = ranking_figures(results, pool, arguments.out)
            summary["ranking"] = figures
            print(
                f"ranking: {figures['masks_per_second']:,.0f} masks/s; Spearman {figures['rank_correlation']:.3f} "
                f"over {figures['masks']} masks"
            )
    write_atomically(arguments.out / "summary.json", json.dumps(summary, indent=2) + "\n")


def with_reduced_precision(selection: Selection, points: list[Solution]) -> list[Solution]:
    """The points and every reduced precision, 1 to 8 bits by 1 to 8 bits."""
    have = {point.name for point in points}
    masks = [mask for _, _, mask in selection.space.precisions() if mask.name not in have]
    implementations = selection.implementations(masks, "reduced precision")
    fitted = selection.fit([selection.everywhere(mask.name) for mask in masks], implementations, "reduced precision")
    return [*points, *selection.score(fitted)]


def print_table(points: list[Solution], baseline: Baseline) -> None:
    best = {point.name for point in pareto_front(points)}
    print("  kept  area    delay   loss          training  divergence  multiplier (* beaten by none)")
    for point in sorted(points, key=lambda p: p.implementations[0].area_um2):
        assert point.loss is not None
        netlist = point.implementations[0]
        mark = "*" if point.name in best else " "
        kind = " reduced precision" if is_reduced_precision(parse(point.names[0])) else ""
        print(
            f"  {point.kept:4d}  {baseline.area_ratio(netlist):.4f}  {baseline.delay_ratio(netlist):.3f}  "
            f"{100 * point.loss.mean:5.2f} ± {100 * point.loss.half_width:.2f}  {100 * point.training_loss:8.2f}  "
            f"{point.divergence:10.4f} {mark} {point.name}{kind}"
        )


def write_csv(points: list[Solution], baseline: Baseline, path: Path) -> None:
    """Every point: ratios of its smallest netlist, of that with the least area × delay, and of its fastest."""
    best = {point.name for point in pareto_front(points)}
    lines = [
        "multiplier,kept,reduced_precision,on_front,smallest_area,smallest_delay,balanced_area,balanced_delay,"
        "fastest_area,fastest_delay,loss_points,half_width,training_loss_points,divergence"
    ]
    for point in sorted(points, key=lambda p: p.implementations[0].area_um2):
        assert point.loss is not None
        ratios = [
            f"{baseline.area_ratio(netlist):.4f},{baseline.delay_ratio(netlist):.4f}"
            for netlist in (point.implementations[0], point.balanced, point.implementations[-1])
        ]
        plain = is_reduced_precision(parse(point.names[0]))
        lines.append(
            f"{point.name},{point.kept},{plain:d},{point.name in best:d},{','.join(ratios)},"
            f"{100 * point.loss.mean:.2f},{100 * point.loss.half_width:.2f},{100 * point.training_loss:.3f},"
            f"{point.divergence:.5f}"
        )
    write_atomically(path, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
