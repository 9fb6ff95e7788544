"""Pictures of a study."""

import io
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from amhw.study.front import pareto_front
from amhw.study.record import Row

matplotlib.use("agg")

_INK, _BLUE, _GREY = "#222222", "#0072b2", "#999999"  # Okabe and Ito's colours, safe for colour-blind readers

FLOOR = 0.02
"""Points; what loses less stands here, as a logarithm has no zero."""

_LOSSES = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)


def accuracy_against_cost(rows: Sequence[Row]) -> bytes:
    """Accuracy lost against area and against delay as PNG; each point is labelled with its number of partial products.

    Losses are against exact products, or against the best design where their accuracy is not known. Of several
    technologies or data sets the first is drawn; `amhw report` draws each.
    """
    here = [row for row in rows if (row.tech, row.data) == (rows[0].tech, rows[0].data)]
    done = [row for row in here if row.accuracy is not None and row.area_um2 is not None]
    best = max((row.accuracy or 0 for row in done), default=0.0)
    losses = [max(FLOOR, 100 * ((row.exact_accuracy or best) - (row.accuracy or 0))) for row in done]
    figure = Figure(figsize=(11, 5), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for axis, quantity, noise, label in (
        (axes[0], "area_um2", "area_noise", "area, restructured: the smallest netlist (µm²)"),
        (axes[1], "delay_ps", "delay_noise", "delay, restructured: the fastest netlist (ps)"),
    ):
        points = [(float(getattr(row, quantity)), loss, row) for row, loss in zip(done, losses, strict=True)]
        band = max((getattr(row, noise) or 0.0 for row in done), default=0.0)
        front = pareto_front(points, lambda point: point[0], lambda point: -point[1], band)
        steps = np.array([point[:2] for point in front]).reshape(-1, 2)
        axis.step(*steps.T, where="post", color=_GREY, zorder=1, label="Pareto front")
        axis.scatter([x for x, *_ in points], [y for _, y, _ in points], color=_BLUE, zorder=2, label="designs")
        width = max((x for x, *_ in points), default=1.0)
        for number, (x, y, row) in enumerate(points):
            # Two in one place have their names on two sides.
            beside = any(abs(x - u) < 0.05 * width and 0.6 < y / v < 1.6 for u, v, _ in points[:number])
            axis.annotate(
                "exact" if row.kept == 64 else str(row.kept or row.name),
                (x, y),
                xytext=(-7 if beside else 7, 2),
                textcoords="offset points",
                ha="right" if beside else "left",
                fontsize=9,
                color=_INK,
            )
        axis.set_xlabel(f"{label}, {done[0].tech}" if done else label)
        axis.set_xlim(0, 1.12 * width)
        axis.set_yscale("log")
        axis.set_yticks([FLOOR, *_LOSSES], [f"≤ {FLOOR:g}", *(f"{loss:g}" for loss in _LOSSES)])
        axis.set_ylim(0.8 * FLOOR, 1.6 * max([1.0, *losses]))
        axis.yaxis.set_minor_locator(NullLocator())
        axis.grid(color="#dddddd", linewidth=0.6)
        axis.set_axisbelow(True)
    axes[0].set_ylabel("accuracy lost, points (log)")
    axes[0].legend(loc="upper right", frameon=False)
    images = done[0].images if done else 0
    multipliers = f"Multipliers in {rows[0].network_name}" if rows else "Multipliers"
    figure.suptitle(f"{multipliers}: partial products kept, {images:,} test images")
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=130, metadata={"Software": None})
    return png.getvalue()
