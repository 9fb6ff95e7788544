"""The pictures of docs/selection.md, from the figures that scripts/bench_select.py and scripts/assignments.py wrote.

Example: python scripts/selection_pictures.py
"""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from scipy.stats import spearmanr

from amhw.commands.base import Command
from amhw.files import write_atomically

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "amhw"

DOCS = Path(__file__).resolve().parent.parent / "docs"

FLOOR = 0.02
"""Points; what loses less stands here: an image is 0.01, and the intervals are wider."""

TOP = 1.6
"""Points, of the axis; what loses more is counted, not drawn: with one bit of weights it is some 65."""

KINDS = {
    "reduced precision": ("s", "#0072b2"),
    "mask": ("o", "#d55e00"),
    "mask, columns OR-ed": ("x", "#009e73"),
}
"""Marker and colour (Okabe and Ito's)."""

AXES = {
    "area": ("smallest", "area, smallest netlist / smallest exact", 0.0035),
    "delay": ("fastest", "delay, fastest netlist / fastest exact", 0.05),
}


ASSIGNED = {
    "lenet5": "LeNet-5, all five layers, 10,000 MNIST images",
    "resnet8": "ResNet-8, nine convolutions, 5,000 gratings",
}


@click.command(cls=Command, epilog="Example: python scripts/selection_pictures.py")
@click.option("--figures", type=click.Path(path_type=Path), default=DOCS / "figures", help="Where the CSV files are.")
def main(figures: Path) -> None:
    """Draw docs/pictures/selection-*.svg from selection-*.csv and assignments-*.csv."""
    for tech in ("sky130hd", "sg13g2"):
        _save(front(_rows(figures / f"selection-front-{tech}.csv"), tech), f"selection-front-{tech}.svg")
    _save(ranking(_rows(figures / "selection-ranking.csv")), "selection-ranking.svg")
    panels = {title: _rows(figures / f"assignments-{network}.csv") for network, title in ASSIGNED.items()}
    _save(assignments(panels), "selection-assignments.svg")


def front(rows: list[dict[str, str]], tech: str) -> Figure:
    """Loss against the smallest netlist's area and the fastest one's delay, with what no other beats in the two."""
    figure = Figure(figsize=(11.5, 5.6), layout="constrained", facecolor="white")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (cost, (netlist, label, least)) in zip(panels, AXES.items(), strict=True):
        best = _best(rows, f"{netlist}_{cost}")
        steps = [(float(row[f"{netlist}_{cost}"]), _loss(row)) for row in best]
        axes.step(*zip(*steps, strict=True), where="post", color="0.6", lw=1.3, zorder=1, label="not beaten here")
        for kind, (marker, colour) in KINDS.items():
            some = [row for row in rows if _kind(row) == kind]
            points = [(float(row[f"{netlist}_{cost}"]), _loss(row)) for row in some]
            halves = [float(row["half_width"]) for row in some]
            ends = [
                [min(half, y - 0.8 * FLOOR) for (_, y), half in zip(points, halves, strict=True)],
                halves,
            ]
            x, y = zip(*points, strict=True)
            axes.errorbar(
                x, y, ends, fmt=marker, color=colour, label=f"{kind} ({len(some)})", elinewidth=0.4, markersize=4.5
            )
        named: list[tuple[float, float]] = []
        for number, row in enumerate(best):
            loss = _loss(row)
            place = (float(row[f"{netlist}_{cost}"]), loss)
            # A name is about as wide as a factor of 1.6 in cost and as high as 12 % of a loss: no two on one place.
            covered = any(place[0] < 1.6 * x and y < 1.12 * loss for x, y in named)
            if (FLOOR < loss < TOP or number == len(best) - 1) and not covered:
                # Below a front there is nothing, so that is where names have room.
                named.append(place)
                axes.annotate(
                    _label(row), place, xytext=(-5, -3), textcoords="offset points", fontsize=8, ha="right", va="top",
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.8}, zorder=5,
                )  # fmt: skip
        axes.set(xscale="log", yscale="log", ylim=(0.8 * FLOOR, TOP), xlabel=f"{label} ({tech})")
        ticks = [t for t in (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0) if t >= least]
        axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.grid(alpha=0.3)
        above = [float(row["loss_points"]) for row in rows if float(row["loss_points"]) > TOP]
        said = f"{len(above)} more lose {min(above):.1f} to {max(above):.0f} points"
        axes.text(0.99, 0.985, said, transform=axes.transAxes, ha="right", va="top", fontsize=8, color="0.4")
    losses = (0.05, 0.1, 0.2, 0.5, 1)
    panels[0].set_yticks([FLOOR, *losses], [f"≤ {FLOOR:g}", *(f"{loss:g}" for loss in losses)])
    panels[0].yaxis.set_minor_locator(NullLocator())
    panels[0].set_ylabel("accuracy lost, points (95 % paired)")
    panels[1].legend(frameon=False, fontsize=9, loc="upper right", bbox_to_anchor=(1, 0.95))
    figure.suptitle("LeNet-5 on 10,000 MNIST test images, weights remapped; names are bits a × b or rows from a_0")
    return figure


def ranking(rows: list[dict[str, str]]) -> Figure:
    """What masks lose against what the closed form predicts, with the rank correlation."""
    scores, losses = ([float(row[key]) for row in rows] for key in ("predicted_error", "loss_points"))
    rho = spearmanr(scores, losses).statistic
    figure = Figure(figsize=(6.5, 4.6), layout="constrained", facecolor="white")
    axes = figure.subplots()
    axes.scatter(scores, losses, s=12, color="#0072b2", alpha=0.7, linewidths=0)
    axes.set_xscale("log")
    axes.set_yscale("symlog", linthresh=0.1)
    axes.set_ylim(min(-0.05, 1.2 * min(losses)), 150)
    axes.set_yticks([0, 0.1, 1, 10, 100], ["0", "0.1", "1", "10", "100"])
    axes.set_xlabel("predicted relative error (closed form, training images)")
    axes.set_ylabel("accuracy lost, points (1,000 test images)")
    axes.set_title(f"The closed form ranks {len(rows)} masks: Spearman's ρ = {rho:.3f}", fontsize=11)
    axes.grid(alpha=0.3)
    return figure


def assignments(panels: Mapping[str, list[dict[str, str]]]) -> Figure:
    """Loss against energy, of one multiplier in all layers and of several."""
    figure = Figure(figsize=(11.5, 4.6), layout="constrained", facecolor="white")
    for axes, (title, rows) in zip(figure.subplots(1, len(panels), sharey=True), panels.items(), strict=True):
        fewest, most = (choose(int(row["multipliers"]) for row in rows) for choose in (min, max))
        kinds = (
            (fewest, False, "one multiplier", "s", "#0072b2"),
            (most, True, f"several, up to {most}", "o", "#d55e00"),
        )
        for number, several, label, marker, colour in kinds:
            some = [r for r in rows if int(r["multipliers"]) == number and ("=" in r["assignment"]) == several]
            energies, losses, halves = (
                [float(row[key]) for row in some] for key in ("energy", "loss_points", "half_width")
            )
            axes.errorbar(energies, losses, halves, fmt=marker, color=colour, label=label, elinewidth=0.5, markersize=5)
        axes.set(xscale="log", xlim=(0.009, 0.4), ylim=(-0.35, 1.15), title=title)
        axes.set_xlabel("energy of an image's multiplications / least exact (sky130hd)")
        ticks = (0.01, 0.02, 0.05, 0.1, 0.2)
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.axhline(0, color="0.4", lw=0.6)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    figure.axes[0].set_ylabel("accuracy lost on test images, points (95 % paired)")
    return figure


def _best(rows: list[dict[str, str]], cost: str) -> list[dict[str, str]]:
    """Those that lose less than all that cost no more."""
    found: list[dict[str, str]] = []
    for row in sorted(rows, key=lambda row: (float(row[cost]), float(row["loss_points"]))):
        if not found or _loss(row) < _loss(found[-1]):
            found.append(row)
    return found


def _loss(row: dict[str, str]) -> float:
    return max(FLOOR, float(row["loss_points"]))


def _kind(row: dict[str, str]) -> str:
    if row["reduced_precision"] == "1":
        return "reduced precision"
    return "mask, columns OR-ed" if "_or_" in row["multiplier"] else "mask"


def _label(row: dict[str, str]) -> str:
    """Bits a × b of a reduced precision, the rows that keep something of a mask."""
    *_, name = row["multiplier"].partition("u8s8_")
    if name == "pp_full":
        return "8 × 8"
    kind, *rest = name.split("_")
    masked = [part for part in (rest[1:] if kind == "or" else rest) if part != "0"]
    if row["reduced_precision"] == "1":
        return f"{len(masked)} × {int(masked[-1], 16).bit_count()}"
    return " ".join([*(["or"] if kind == "or" else []), *masked])


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _save(figure: Any, name: str) -> None:
    svg = io.BytesIO()
    figure.savefig(svg, format="svg", metadata={"Date": None})
    write_atomically(DOCS / "pictures" / name, svg.getvalue())
    click.echo(f"docs/pictures/{name}")


if __name__ == "__main__":
    main()
