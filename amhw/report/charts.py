"""Interactive charts of a study, as Vega-Lite.

Every chart is declared; the hovering, clicking and zooming are Vega's. Colours are Okabe and Ito's, which
colour-blind readers can tell apart, and every group has a shape of its own too.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np

COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"]
SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right"]

COSTS = {
    "area_um2": "area of the smallest netlist (µm²)",
    "delay_ps": "critical-path delay of the fastest netlist (ps)",
}
"""Quantities drawn against accuracy, and their axis titles."""


def fronts(points: Sequence[Mapping[str, Any]], *, width: int, columns: int) -> alt.TopLevelMixin:
    """Accuracy against each cost, and beneath it the designs that were clicked, side by side.

    Args:
        points: one mapping a design: ``id``, ``name``, ``group``, ``label``, ``accuracy_percent``, the costs,
            ``card`` (text for the comparison), ``diagram`` and ``command``.
        width: of one chart, pixels.
        columns: charts side by side; 1 on a phone.
    """
    groups = list(dict.fromkeys(point["group"] for point in points))
    data = alt.Data(values=list(points))
    chosen = alt.selection_point(fields=["id"], toggle="true", empty=False, name="chosen")
    colour = alt.Color("group:N", sort=groups, scale=alt.Scale(domain=groups, range=_cycled(COLOURS, groups)), title="")
    shape = alt.Shape("group:N", sort=groups, scale=alt.Scale(domain=groups, range=_cycled(SHAPES, groups)), title="")
    charts: list[alt.LayerChart] = []
    for cost, title in COSTS.items():
        frontier = alt.Data(values=front([point for point in points if point.get(cost) is not None], cost))
        x = alt.X(f"{cost}:Q", title=title)
        y = alt.Y(
            "accuracy_percent:Q",
            title="accuracy on the test images (%)",
            scale=alt.Scale(domain=_shown([point["accuracy_percent"] for point in points]), nice=False),
        )
        line = alt.Chart(frontier).mark_line(interpolate="step-after", color="#999999", clip=True).encode(x=x, y=y)
        marks = (
            alt.Chart(data)
            .mark_point(size=80, filled=True, opacity=0.9, clip=True)
            .encode(
                x=x,
                y=y,
                color=colour,
                shape=shape,
                stroke=alt.when(chosen).then(alt.value("#000000")).otherwise(alt.value("transparent")),
                strokeWidth=alt.value(2),
                tooltip=[
                    alt.Tooltip("name:N"),
                    alt.Tooltip("group:N"),
                    alt.Tooltip("accuracy_percent:Q", title="accuracy (%)", format=".2f"),
                    alt.Tooltip("area_um2:Q", title="area (µm²)", format=".1f"),
                    alt.Tooltip("delay_ps:Q", title="delay (ps)", format=".0f"),
                    alt.Tooltip("diagram:N", title="bits added"),
                    alt.Tooltip("command:N", title="rebuild"),
                ],
            )
        )
        names = (
            alt.Chart(frontier)
            .mark_text(align="left", dx=7, dy=9, fontSize=11, color="#222222", clip=True)
            .encode(x=x, y=y, text="label:N")
        )
        zoom = alt.selection_interval(bind="scales", name=f"zoom_{cost}")
        charts.append((line + marks.add_params(zoom, chosen) + names).properties(width=width, height=300))
    cards = (
        alt.Chart(data)
        .transform_filter(chosen)
        .transform_window(place="row_number()")
        .mark_text(align="left", baseline="top", font="monospace", fontSize=11, lineBreak="\n", color="#222222")
        .encode(
            x=alt.X("place:O", axis=None, scale=alt.Scale(paddingInner=0)),
            y=alt.value(0),
            text="card:N",
        )
        .properties(width=alt.Step(360), height=290, title=alt.Title("Clicked designs, side by side", anchor="start"))
    )
    with warnings.catch_warnings():
        # One choice shared by both charts is what is wanted; Altair tells that it has merged the two.
        warnings.filterwarnings("ignore", message="Automatically deduplicated selection parameter")
        both = alt.vconcat(alt.concat(*charts, columns=columns), cards)
    return (
        both.configure_axis(labelFontSize=12, titleFontSize=12, gridColor="#e5e5e5")
        .configure_legend(labelFontSize=12, orient="top")
        .configure_view(stroke=None)
    )


def histogram(counts: Sequence[int], title: str, axis: str, *, first: int = 0, width: int = 320) -> alt.TopLevelMixin:
    """How often each operand value occurs, as a fraction.

    Args:
        counts: for the values first, first + 1, …
    """
    total = max(1, int(np.sum(counts)))
    values = [{"value": first + k, "share": int(count) / total} for k, count in enumerate(counts)]
    return (
        alt.Chart(alt.Data(values=values))
        .mark_bar(color=COLOURS[0], width=1)
        .encode(
            x=alt.X("value:Q", title=axis),
            y=alt.Y("share:Q", title="share (root scale)", scale=alt.Scale(type="sqrt"), axis=alt.Axis(format="%")),
            tooltip=[alt.Tooltip("value:Q"), alt.Tooltip("share:Q", format=".3%")],
        )
        .properties(width=width, height=160, title=title)
        .configure_view(stroke=None)
    )


def front(points: Sequence[Mapping[str, Any]], cost: str) -> list[dict[str, Any]]:
    """The points that no other one beats in both accuracy and cost, by growing cost.

    >>> points = [{"c": c, "accuracy_percent": percent} for c, percent in ((2, 9.0), (1, 5.0), (3, 8.0))]
    >>> [point["c"] for point in front(points, "c")]
    [1, 2]
    """
    best: list[dict[str, Any]] = []
    for point in sorted(points, key=lambda point: (point[cost], -point["accuracy_percent"])):
        if not best or point["accuracy_percent"] > best[-1]["accuracy_percent"]:
            best.append(dict(point))
    return best


def _shown(percents: Sequence[float]) -> list[float]:
    """The accuracies that the axis spans at first: all, or the best few points where most designs are.

    Designs below are a zoom away, and in the table.
    """
    best, worst = max(percents), min(percents)
    close = best - 3
    if worst < close and sum(percent >= close for percent in percents) * 2 > len(percents):
        worst = close
    margin = max(0.05, (best - worst) / 20)
    return [worst - margin, best + margin]


def _cycled(values: list[str], groups: Sequence[str]) -> list[str]:
    return [values[k % len(values)] for k in range(len(groups))]
