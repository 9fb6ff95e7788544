"""The sections of the page."""

import re
from collections.abc import Mapping, Sequence

from amhw.errors import heat_map
from amhw.imports.source import table_of
from amhw.refusal import Refusal
from amhw.report import charts, page
from amhw.report.operands import IMAGES, operands_of
from amhw.report.points import Point
from amhw.report.source import ReportSource, Setting
from amhw.study.array import Breakdown
from amhw.study.front import pareto_front

HEAT_MAPS = 6
"""Designs of the front whose error is drawn, at most."""

_WIDE, _NARROW = 460, 270


def places(points: Sequence[Point]) -> dict[tuple[str, str], list[Point]]:
    """The points by (technology, data set): those that share axes."""
    found: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        found.setdefault((point.tech, point.data), []).append(point)
    return found


def bands(sources: Sequence[ReportSource], tech: str) -> dict[str, float]:
    """The greatest noise that a source found in a technology, by cost."""
    greatest: dict[str, float] = {}
    for source in sources:
        for (name, cost), band in source.bands.items():
            if name == tech:
                greatest[cost] = max(band, greatest.get(cost, 0.0))
    return greatest


def html(sources: Sequence[ReportSource], settings: Sequence[Setting | Refusal], points: Sequence[Point]) -> str:
    """The page's HTML."""
    found = places(points)
    tables = [table for source in sources for table in source.tables]
    sections = []
    for number, where in enumerate(dict.fromkeys([*found, *((table.tech, table.data) for table in tables)])):
        tech, data = where
        parts = []
        if where in found:
            parts = _fronts(number, found[where], bands(sources, tech))
        else:
            parts = [page.paragraph("No design came through every stage.")]
        for table in tables:
            if (table.tech, table.data) == where:
                parts += [page.heading(table.title), page.table(table.headings, table.rows)]
        sections.append(page.section(f"{data}, {tech}", *parts))
    sections.append(_error_section(next(iter(found.values()), [])))
    sections += _operand_sections(settings)
    sections += [_array_section(source.array) for source in sources if source.array]
    facts = [part for source in sources for part in (page.heading(source.title), page.facts(source.provenance))]
    sections.append(page.section("Provenance", *facts))
    return page.page(" + ".join(dict.fromkeys(source.title for source in sources)), sections)


def _fronts(number: int, points: Sequence[Point], noise_of: Mapping[str, float]) -> list[str]:
    drawn = [point.drawn(k) for k, point in enumerate(points)]
    percents = [point.accuracy_percent for point in drawn]
    low, _ = charts.shown(percents)
    hidden = sum(percent < low for percent in percents)
    noise = ", ".join(f"{noise_of[c]:.1%} in {c.partition('_')[0]}" for c in charts.costs_of(drawn) if noise_of.get(c))
    text = (
        "Hover (or tap) for a design and the command that rebuilds it; click designs to compare them side by side, "
        "click again to drop them; scroll and drag to zoom. The grey line is the Pareto front: no design beats its "
        "points in both accuracy and cost"
        + (f", differences within the recipes' noise ({noise}) not counting" if noise else "")
        + ". Numbers at its points are kept partial products."
    )
    if any(point.loss_low is not None for point in points):
        text += " Vertical lines are 95 % intervals of the accuracy lost against exact products."
    if hidden:
        text += f" {hidden} designs below {low:.1f} % are a zoom away, and in the tables."
    return [
        page.paragraph(text),
        page.chart(
            f"front{number}",
            charts.fronts(drawn, noise_of, width=_WIDE, columns=2),
            charts.fronts(drawn, noise_of, width=_NARROW, columns=1),
        ),
    ]


def _error_section(points: Sequence[Point]) -> str:
    """Heat maps of the designs on the first Pareto front."""
    known = [point for point in points if point.source]
    best = pareto_front(known, lambda point: point.area_um2, lambda point: point.accuracy)
    sources = list(dict.fromkeys(point.source for point in best))[-HEAT_MAPS:]
    return page.section(
        "Error over the operand plane",
        page.paragraph("Product minus exact product for every pair of operand values: red too large, blue too small."),
        *(_heat_map(source) for source in sources),
    )


def _heat_map(source: str) -> str:
    """The error of a multiplier, or why it cannot be shown: the files of an import may have gone."""
    try:
        table = table_of(source)
    except Refusal as refusal:
        return page.paragraph(f"Not shown: {refusal}.")
    return page.picture(heat_map(table), f"error of {table.name}")


def _operand_sections(settings: Sequence[Setting | Refusal]) -> list[str]:
    """What the layers multiply, once for each network and set of images."""
    refused = [str(setting) for setting in settings if isinstance(setting, Refusal)]
    distinct_settings = {setting.key: setting for setting in settings if isinstance(setting, Setting)}
    sections = [
        page.section("Operands that the layers really multiply", page.paragraph(f"Not shown: {why}."))
        for why in refused
    ]
    for number, setting in enumerate(distinct_settings.values()):
        parts = []
        for layer in operands_of(setting):
            name = f"{layer.name}_{number}"
            drawn = {
                "activations": lambda width, layer=layer: charts.histogram(
                    layer.activations, f"{layer.name}: activations", "value of a", width=width
                ),
                "weights": lambda width, layer=layer: charts.histogram(
                    layer.weights, f"{layer.name}: weights", "value of b", width=width
                ),
                "products": lambda width, layer=layer: charts.partial_products(
                    layer.products, f"{layer.name}: what a partial product adds", width=width
                ),
            }
            row = [page.chart(f"{kind}_{name}", make(270), make(250)) for kind, make in drawn.items()]
            parts.append(page.side_by_side(*row))
        text = (
            f"{setting.network.name} on some {IMAGES} images of {setting.images.name}, padding included. The squares "
            "are the standard deviation of what one partial product adds to a sum, relative to that of the exact sums: "
            "what is pale can be left out."
        )
        sections.append(page.section("Operands that the layers really multiply", page.paragraph(text), *parts))
    return sections


def _array_section(array: Breakdown) -> str:
    """Clocks, memories and areas of the array."""
    peak = array.rows * array.cols
    rows: list[list[object]] = [
        [
            *(layer.layer, layer.tiles, layer.positions, layer.clocks),
            f"{layer.products:,}",
            f"{layer.products / (peak * layer.clocks):.1%}" if layer.clocks and peak else "–",
        ]
        for layer in array.layers
    ]
    products = sum(layer.products for layer in array.layers)
    rows.append(["an image", "", "", array.clocks, f"{products:,}", f"{array.utilisation:.1%}"])
    parts = [
        page.paragraph(
            f"{array.rows} × {array.cols} elements, depth {array.depth}, weight-stationary, "
            f"{array.multiplier}; the shape allows {array.ideal_utilisation:.1%}. Clocks are those of the plan, "
            "which simulation counts too (docs/array.md)."
        ),
        page.table(["layer", "tiles", "positions", "clocks", "products", "utilisation"], rows),
        page.heading("Memories"),
        page.table(["memory", "bits"], [[name, f"{bits:,}"] for name, bits in array.memory_bits.items()]),
    ]
    if (area := array.area) is not None:
        # Every module is the engine's, and every element has its multiplier's name in its own.
        known = rf"^{re.escape(area.top)}\.|{re.escape(array.multiplier)}_"
        modules = [(re.sub(known, "", module.module), module) for module in area.modules]
        bars = [(f"{name} ×{module.instances}", module.area_um2) for name, module in modules]
        parts += [
            page.heading("Area by module"),
            page.paragraph(
                f"{area.top} in {area.tech}: {area.area_um2:,.0f} µm², memories not in it. Each bar is what "
                "modules of one kind have of their own, without what is inside them."
            ),
            page.chart("array_area", charts.bars(bars, "µm²", width=560), charts.bars(bars, "µm²", width=180)),
            page.table(
                ["module", "instances", "area µm²", "share"],
                [[name, m.instances, f"{m.area_um2:,.1f}", f"{m.area_um2 / area.area_um2:.1%}"] for name, m in modules],
            ),
        ]
    return page.section("The array: where clocks and area go", *parts)
