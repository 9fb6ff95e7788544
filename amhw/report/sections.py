"""The sections of the page."""

import re
from collections.abc import Mapping, Sequence

from amhw.imports.source import table_of
from amhw.report import charts, page
from amhw.report.demands import demands
from amhw.report.error_maps import caption, data_url, thumbnail
from amhw.report.faults import fault_section
from amhw.report.operands import IMAGES, operands_of
from amhw.report.points import EXACT, FLOOR, Point, drawn
from amhw.report.source import PageTable, ReportSource, Setting, UnavailableError, needed_for_a_part
from amhw.report.studies import peers_table
from amhw.study.array import Breakdown

NOTHING = "No design came through every stage."
HINT = (
    "Click a design: its figures, its partial products, its error for every pair of operands and the command that "
    "builds it again stand here. Several stand one beneath the other."
)


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


def html(
    sources: Sequence[ReportSource], settings: Sequence[Setting | UnavailableError], points: Sequence[Point]
) -> str:
    """The page's HTML."""
    found = places(points)
    tables = [table for source in sources for table in source.tables]
    sections = []
    for number, where in enumerate(dict.fromkeys([*found, *((table.tech, table.data) for table in tables)])):
        tech, data = where
        here, front = found.get(where, []), f"front{number}"
        shown = [table for table in tables if (table.tech, table.data) == where]
        parts = _fronts(front, here, bands(sources, tech)) if here else [page.paragraph(NOTHING)]
        if elsewhere := _in_no_table(here, shown):
            shown.append(peers_table(elsewhere, tech, data))
        numbers = {(point.name, point.group): k for k, point in reversed(list(enumerate(here)))}
        for table in shown:
            parts += [page.heading(table.title), page.designs_table(front, table.headings, table.rows, numbers)]
        sections.append(page.section(f"{data}, {tech}", *parts))
    sections += _operand_sections(settings)
    sections += [_array_section(source.array) for source in sources if source.array]
    campaigns = [source.campaign for source in sources if source.campaign]
    sections += [fault_section(campaign, number) for number, campaign in enumerate(campaigns)]
    facts = [part for source in sources for part in (page.heading(source.title), page.facts(source.provenance))]
    sections.append(page.section("Provenance", *facts))
    return page.page(" + ".join(dict.fromkeys(source.title for source in sources)), sections)


def _in_no_table(points: Sequence[Point], tables: Sequence[PageTable]) -> list[Point]:
    """Published circuits: no study and no selection has a row of them."""
    known = {(row.name, row.group) for table in tables for row in table.rows}
    return [point for point in points if point.group != EXACT and (point.name, point.group) not in known]


def _fronts(front: str, points: Sequence[Point], noise_of: Mapping[str, float]) -> list[str]:
    at = drawn(points)
    noise = ", ".join(f"{noise_of[c]:.1%} in {c.partition('_')[0]}" for c in charts.costs_of(at) if noise_of.get(c))
    text = (
        "Click designs, here or in the tables, to see them beside the charts; click again to drop them. Scroll and "
        "drag to zoom. Grey steps are the Pareto front: no design beats its points in both accuracy and cost"
        + (f", differences within the recipes' noise ({noise}) not counting" if noise else "")
        + f". Numbers at its points are kept partial products. What loses {FLOOR:g} points or less stands at {FLOOR:g}."
    )
    if any(point.loss_low is not None for point in points):
        text += " Vertical lines are 95 % intervals of the accuracy lost against exact products."
    known: dict[str, dict[str, str]] = {}
    cards = [point.card(k, [_error_map(source, known) for source in point.sources]) for k, point in enumerate(points)]
    return [
        *_summary(front, points),
        page.paragraph(text),
        page.explorer(front, charts.fronts(at, noise_of), cards, HINT),
    ]


def _summary(front: str, points: Sequence[Point]) -> list[str]:
    """What the page comes to, in words."""
    exact = next((point for point in points if point.group == EXACT), None)
    answers = demands(points)
    if exact is None or not answers:
        return []
    text = (
        f"{len(points) - 1} designs. With exact products {exact.accuracy:.2%} of the test images are right; the "
        f"smallest exact multiplier of this flow has {exact.area_um2:,.0f} µm²"
        + ("" if exact.delay_ps is None else f", the fastest {exact.delay_ps:,.0f} ps")
        + ". Of what is on this page (chosen by the test images, so the losses are a little optimistic; amhw select "
        "chooses by training images; areas are of the smallest netlist, delays of the fastest, restructured):"
    )
    return [page.paragraph(text), page.demands(front, [answer.words for answer in answers])]


def _error_map(source: str, known: dict[str, dict[str, str]]) -> dict[str, str]:
    """The error of a multiplier, or why it cannot be shown: the files of an import may have gone."""
    if source not in known:
        try:
            with needed_for_a_part():
                table = table_of(source)
        except UnavailableError as error:
            known[source] = {"name": source, "image": "", "caption": f"errors not shown: {error}"}
        else:
            known[source] = {"name": table.name, "image": data_url(thumbnail(table)), "caption": caption(table)}
    return known[source]


def _operand_sections(settings: Sequence[Setting | UnavailableError]) -> list[str]:
    """What the layers multiply, once for each network and set of images."""
    refused = [str(setting) for setting in settings if isinstance(setting, UnavailableError)]
    distinct_settings = {setting.key: setting for setting in settings if isinstance(setting, Setting)}
    sections = [
        page.section("Operands that the layers really multiply", page.paragraph(f"Not shown: {why}."))
        for why in refused
    ]
    for number, setting in enumerate(distinct_settings.values()):
        parts = []
        for layer in operands_of(setting):
            name = f"{layer.name}_{number}"
            kinds = {
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
            row = [page.chart(f"{kind}_{name}", make(330)) for kind, make in kinds.items()]
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
            page.chart("array_area", charts.bars(bars, "µm²", width=560)),
            page.table(
                ["module", "instances", "area µm²", "share"],
                [[name, m.instances, f"{m.area_um2:,.1f}", f"{m.area_um2 / area.area_um2:.1%}"] for name, m in modules],
            ),
        ]
    return page.section("The array: where clocks and area go", *parts)
