"""The charts of the page, as Vega-Lite.

Every chart is declared; the hovering, clicking and zooming are Vega's. Colours are Okabe and Ito's, which
colour-blind readers can tell apart, and every group has a shape of its own too.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import altair as alt
import numpy as np
from numpy.typing import NDArray

from amhw.report.points import EXACT, Drawn
from amhw.study.front import pareto_front

COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999933"]
SHAPES = ["circle", "square", "triangle-up", "triangle-down", "triangle-right", "cross", "triangle-left"]
INK = "#222222"

COSTS = {
    "area_um2": "area of the smallest netlist (µm²)",
    "delay_ps": "critical-path delay of the fastest netlist (ps)",
    "energy_fj": "energy of an operation (fJ)",
}
"""Quantities drawn against accuracy, and their axis titles."""

_TOOLTIP = {
    "name": "name",
    "notes": "group",
    "accuracy_text": "accuracy",
    "loss_text": "lost",
    "area_text": "area",
    "delay_text": "delay",
    "energy_text": "energy",
    "diagram": "bits added",
    "command": "rebuild",
}


def fronts(points: Sequence[Drawn], bands: Mapping[str, float], *, width: int, columns: int) -> alt.TopLevelMixin:
    """Accuracy against each cost, and beneath it the designs that were clicked, side by side.

    Args:
        points: all in one technology and on one data set.
        bands: noise of a cost, relative; 0 where it is not named.
        width: of one chart, pixels.
        columns: charts side by side; 1 on a phone.
    """
    chosen = alt.selection_point(fields=["id"], toggle="true", empty=False, name="chosen")
    charts = []
    for cost in costs_of(points):
        zoom = alt.selection_interval(bind="scales", name=f"zoom_{cost}")
        line, intervals, marks, names = _parts(points, cost, bands.get(cost, 0.0))
        marks = marks.encode(
            stroke=alt.when(chosen).then(alt.value("#000000")).otherwise(alt.value("transparent")),
            strokeWidth=alt.value(2),
            tooltip=[alt.Tooltip(f"{field}:N", title=title) for field, title in _TOOLTIP.items()],
        )
        layers = line + intervals + marks.add_params(zoom, chosen) + names
        charts.append(layers.properties(width=width, height=320))
    cards = (
        alt.Chart(_data(points))
        .transform_filter(chosen)
        .transform_window(place="row_number()")
        .mark_text(align="left", baseline="top", font="monospace", fontSize=11, lineBreak="\n", color=INK)
        .encode(
            x=alt.X("place:O", axis=None, bandPosition=0, scale=alt.Scale(type="band", paddingInner=0)),
            y=alt.value(0),
            text="card:N",
        )
        .properties(width=alt.Step(360), height=330, title=alt.Title("Clicked designs, side by side", anchor="start"))
    )
    with warnings.catch_warnings():
        # One choice shared by all charts is what is wanted; Altair tells that it has merged them.
        warnings.filterwarnings("ignore", message="Automatically deduplicated selection parameter")
        together = alt.vconcat(alt.concat(*charts, columns=columns), cards)
    return _styled(together, columns_of_legend=4 if columns > 1 else 1)


def still(points: Sequence[Drawn], bands: Mapping[str, float]) -> alt.TopLevelMixin:
    """The same charts without anything to click, for paper."""
    charts = []
    for cost in costs_of(points):
        line, intervals, marks, names = _parts(points, cost, bands.get(cost, 0.0))
        charts.append((line + intervals + marks + names).properties(width=420, height=320))
    return _styled(alt.concat(*charts, columns=2), columns_of_legend=4)


def costs_of(points: Sequence[Drawn]) -> list[str]:
    """The costs that some point has."""
    return [cost for cost in COSTS if any(point.cost(cost) is not None for point in points)]


def shown(percents: Sequence[float]) -> list[float]:
    """The accuracies that the axis spans at first: all, or the best few points where most designs are.

    >>> shown([99.0, 98.5, 98.0, 11.0])
    [97.95, 99.05]
    """
    best, worst = max(percents), min(percents)
    near = [percent for percent in percents if percent >= best - 3]
    if len(near) * 2 > len(percents):
        worst = min(near)
    margin = max(0.05, (best - worst) / 20)
    return [worst - margin, best + margin]


def histogram(
    probabilities: Mapping[int, float], title: str, axis: str, *, width: int, height: int = 160
) -> alt.TopLevelMixin:
    """How often each operand value occurs, by value."""
    values = [{"value": value, "share": share} for value, share in probabilities.items()]
    chart = (
        alt.Chart(alt.Data(values=values))
        .mark_bar(color=COLOURS[0], width=max(1, width / len(values) - 0.5))
        .encode(
            x=alt.X("value:Q", title=axis),
            y=alt.Y("share:Q", title="share (root scale)", scale=alt.Scale(type="sqrt"), axis=alt.Axis(format="%")),
            tooltip=[alt.Tooltip("value:Q"), alt.Tooltip("share:Q", format=".3%")],
        )
        .properties(width=width, height=height, title=title)
    )
    return _styled(chart)


def partial_products(shares: NDArray[np.float64], title: str, *, width: int, height: int = 210) -> alt.TopLevelMixin:
    """A figure for each partial product a_i·b_j, [i, j]."""
    values = [{"i": i, "j": j, "share": float(share)} for (i, j), share in np.ndenumerate(shares)]
    base = alt.Chart(alt.Data(values=values)).encode(
        x=alt.X("j:O", title="bit of b (weight)", sort="descending", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("i:O", title="bit of a (activation)", sort="ascending"),
        tooltip=[alt.Tooltip("i:O"), alt.Tooltip("j:O"), alt.Tooltip("share:Q", format=".3%")],
    )
    colour = alt.Color("share:Q", scale=alt.Scale(scheme="blues", type="sqrt"), legend=None)
    dark = alt.condition(f"datum.share > {0.4 * float(shares.max()):g}", alt.value("white"), alt.value(INK))
    numbers = base.mark_text(fontSize=10).encode(text=alt.Text("share:Q", format=".0%"), color=dark)
    return _styled(
        (base.mark_rect().encode(color=colour) + numbers).properties(width=width, height=height, title=title)
    )


def bars(values: Sequence[tuple[str, float]], axis: str, *, width: int) -> alt.TopLevelMixin:
    """One bar for each name, the longest first."""
    data = alt.Data(values=[{"name": name, "value": value} for name, value in values])
    base = alt.Chart(data).encode(
        x=alt.X("value:Q", title=axis),
        y=alt.Y("name:N", title=None, sort="-x", axis=alt.Axis(labelLimit=width // 2)),
        tooltip=[alt.Tooltip("name:N"), alt.Tooltip("value:Q", format=",.1f")],
    )
    return _styled(base.mark_bar(color=COLOURS[0]).properties(width=width, height=alt.Step(20)))


def _parts(points: Sequence[Drawn], cost: str, band: float) -> list[alt.Chart]:
    """The Pareto front's line, the intervals, the points, the names at the front."""
    costs = {point.id: value for point in points if (value := point.cost(cost)) is not None}
    here = [point for point in points if point.id in costs]
    groups = list(dict.fromkeys(point.group for point in points))
    frontier = _data(pareto_front(here, lambda point: costs[point.id], lambda point: point.accuracy_percent, band))
    smallest, largest = min(costs.values()), max(costs.values())
    # Costs go over two decades and more; a multiplier of nothing but wires costs 0, which has no logarithm.
    scale = alt.Scale(type="log", domain=[0.8 * smallest, 1.8 * largest]) if smallest > 0 else alt.Scale(zero=True)
    x = alt.X(f"{cost}:Q", title=COSTS[cost], scale=scale, axis=alt.Axis(format="~s", tickCount=5))
    title = "accuracy on the test images (%)"
    y = alt.Y(
        "accuracy_percent:Q",
        title=title,
        scale=alt.Scale(domain=shown([point.accuracy_percent for point in points]), nice=False),
    )
    line = alt.Chart(frontier).mark_line(interpolate="step-after", color="#999999", clip=True).encode(x=x, y=y)
    intervals = (
        alt.Chart(_data([point for point in here if point.low_percent is not None]))
        .mark_rule(color="#999999", opacity=0.6, clip=True)
        .encode(x=x, y=alt.Y("low_percent:Q", title=title), y2="high_percent:Q")
    )
    marks = (
        alt.Chart(_data(here))
        .mark_point(size=75, filled=True, opacity=0.9, clip=True)
        .encode(x=x, y=y, color=_scale(alt.Color, groups, COLOURS, "#000000"), shape=_shape(groups))
    )
    names = (
        alt.Chart(frontier)
        .mark_text(align="left", dx=7, dy=9, fontSize=11, color=INK, clip=True)
        .encode(x=x, y=y, text="label:N")
    )
    return [line, intervals, marks, names]


def _data(points: Sequence[Drawn]) -> alt.Data:
    return alt.Data(values=[asdict(point) for point in points])


def _shape(groups: Sequence[str]) -> Any:
    return _scale(alt.Shape, groups, SHAPES, "diamond")


def _scale(channel: Any, groups: Sequence[str], values: Sequence[str], exact: str) -> Any:
    """Colours or shapes of the groups; the exact multipliers have theirs on every page."""
    others = [group for group in groups if group != EXACT]
    given = {group: values[k % len(values)] for k, group in enumerate(others)} | {EXACT: exact}
    scale = alt.Scale(domain=list(groups), range=[given[group] for group in groups])
    return channel("group:N", sort=list(groups), scale=scale, title=None)


def _styled(chart: Any, columns_of_legend: int = 3) -> alt.TopLevelMixin:
    styled: alt.TopLevelMixin = (
        chart.configure_axis(labelFontSize=12, titleFontSize=12, gridColor="#e5e5e5")
        .configure_legend(labelFontSize=12, orient="top", columns=columns_of_legend, labelLimit=320)
        .configure_view(stroke=None)
    )
    return styled
