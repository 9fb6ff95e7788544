"""The charts of the page, as Vega-Lite.

Every chart is declared; the hovering, clicking and zooming are Vega's. Colours are Okabe and Ito's, which
colour-blind readers can tell apart, and every group has a shape of its own too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import altair as alt
import numpy as np
from numpy.typing import NDArray

from amhw.report.points import EXACT, FLOOR, Drawn
from amhw.study.front import pareto_front

COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999933"]
SHAPES = ["circle", "square", "triangle-up", "triangle-down", "triangle-right", "cross", "triangle-left"]
INK = "#222222"

COSTS = {
    "area_um2": "area, restructured: the smallest netlist (µm²)",
    "delay_ps": "delay, restructured: the fastest netlist (ps)",
    "energy_fj": "energy of an operation (fJ)",
}
"""Quantities drawn against accuracy, and their axis titles."""

_TOOLTIP = {
    "name": "name",
    "group": "group",
    "accuracy_text": "accuracy",
    "lost_text": "lost",
    "area_text": "area",
    "delay_text": "delay",
    "energy_text": "energy",
}

_LOSSES = [FLOOR, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100]


def fronts(points: Sequence[Drawn], bands: Mapping[str, float]) -> alt.TopLevelMixin:
    """Accuracy lost against each cost, both logarithmic.

    The page gives the charts their width and the parameter `chosen` the numbers of the designs that were clicked.

    Args:
        points: all in one technology and on one data set.
        bands: noise of a cost, relative; 0 where it is not named.
    """
    clicked = "indexof(chosen, datum.id) >= 0"
    charts = []
    for cost in costs_of(points):
        zoom = alt.selection_interval(bind="scales", name=f"zoom_{cost}")
        line, intervals, marks, names = _parts(points, cost, bands.get(cost, 0.0))
        marks = marks.encode(
            stroke=alt.condition(clicked, alt.value("#000000"), alt.value("transparent")),
            strokeWidth=alt.value(2.5),
            size=alt.condition(clicked, alt.value(160), alt.value(75)),
            tooltip=[alt.Tooltip(f"{field}:N", title=title) for field, title in _TOOLTIP.items()],
        )
        layers = line + intervals + marks.add_params(zoom) + names
        charts.append(layers.properties(width=420, height=320))
    return _styled(alt.concat(*charts, columns=2).add_params(alt.param(name="chosen", value=[])))


def still(points: Sequence[Drawn], bands: Mapping[str, float]) -> alt.TopLevelMixin:
    """The same charts without anything to click, for paper."""
    charts = []
    for cost in costs_of(points):
        line, intervals, marks, names = _parts(points, cost, bands.get(cost, 0.0))
        charts.append((line + intervals + marks + names).properties(width=420, height=320))
    return _styled(alt.concat(*charts, columns=2), columns_of_legend=4, background="white")


def costs_of(points: Sequence[Drawn]) -> list[str]:
    """The costs that some point has."""
    return [cost for cost in COSTS if any(point.cost(cost) is not None for point in points)]


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
    dark = alt.condition(f"datum.share > {0.4 * float(shares.max()):g}", alt.value("white"), alt.value("#111111"))
    numbers = base.mark_text(fontSize=10).encode(text=alt.Text("share:Q", format=".0%"), color=dark)
    return _styled(
        (base.mark_rect().encode(color=colour) + numbers).properties(width=width, height=height, title=title)
    )


def bars(values: Sequence[tuple[str, float]], axis: str, *, width: int) -> alt.TopLevelMixin:
    """One bar for each name, the longest first."""
    data = alt.Data(values=[{"name": name, "value": value} for name, value in values])
    names = 230  # pixels
    base = alt.Chart(data, usermeta={"margin": names + 30}).encode(
        x=alt.X("value:Q", title=axis, axis=alt.Axis(tickCount=5)),
        y=alt.Y("name:N", title=None, sort="-x", axis=alt.Axis(labelLimit=names)),
        tooltip=[alt.Tooltip("name:N"), alt.Tooltip("value:Q", format=",.1f")],
    )
    return _styled(base.mark_bar(color=COLOURS[0]).properties(width=width, height=alt.Step(20)))


def _parts(points: Sequence[Drawn], cost: str, band: float) -> list[alt.Chart]:
    """The Pareto front's line, the intervals, the points, the names at the front."""
    costs = {point.id: value for point in points if (value := point.cost(cost)) is not None}
    here = [point for point in points if point.id in costs]
    groups = list(dict.fromkeys(point.colour for point in points))
    frontier = pareto_front(here, lambda point: costs[point.id], lambda point: point.accuracy, band)
    smallest, largest = min(costs.values()), max(costs.values())
    # Costs go over two decades and more; a multiplier of nothing but wires costs 0, which has no logarithm.
    scale = alt.Scale(type="log", domain=[0.8 * smallest, 1.8 * largest]) if smallest > 0 else alt.Scale(zero=True)
    x = alt.X(f"{cost}:Q", title=COSTS[cost], scale=scale, axis=alt.Axis(format="~s", tickCount=5))
    title = "accuracy lost (points)"
    worst = max([1.0, *(point.loss_high or point.loss for point in points)])
    losses = alt.Scale(type="log", domain=[0.85 * FLOOR, 1.4 * worst], nice=False)
    ticks = alt.Axis(
        values=[loss for loss in _LOSSES if loss <= 1.4 * worst],
        labelExpr=f"(datum.value <= {FLOOR} ? '≤ ' : '') + format(datum.value, '~g')",
    )
    y = alt.Y("loss:Q", title=title, scale=losses, axis=ticks)
    line = alt.Chart(_data(frontier)).mark_line(interpolate="step-after", color="#999999", clip=True).encode(x=x, y=y)
    intervals = (
        alt.Chart(_data([point for point in here if point.loss_low is not None]))
        .mark_rule(color="#999999", opacity=0.6, clip=True)
        .encode(x=x, y=alt.Y("loss_low:Q", title=title), y2="loss_high:Q")
    )
    marks = (
        alt.Chart(_data(here))
        .mark_point(size=75, filled=True, opacity=0.9, clip=True)
        .encode(x=x, y=y, color=_scale(alt.Color, groups, COLOURS, "#000000"), shape=_shape(groups))
    )
    # Of those that lose nothing the cheapest has its name: the others would stand in each other's way.
    named = [point for point in frontier if point.loss > FLOOR]
    named += [point for point in frontier if point.loss <= FLOOR][:1]
    names = (
        alt.Chart(_data(named))
        .mark_text(align="left", dx=7, dy=-9, fontSize=11, color=INK, clip=True)
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
    return channel("colour:N", sort=list(groups), scale=scale, title=None)


def _styled(chart: Any, columns_of_legend: int = 3, background: str = "transparent") -> alt.TopLevelMixin:
    styled: alt.TopLevelMixin = (
        chart.configure(background=background)
        .configure_axis(labelFontSize=12, titleFontSize=12, gridColor="#e5e5e5", labelColor=INK, titleColor=INK)
        .configure_legend(labelFontSize=12, orient="top", columns=columns_of_legend, labelLimit=320, labelColor=INK)
        .configure_title(color=INK)
        .configure_view(stroke=None)
    )
    return styled
