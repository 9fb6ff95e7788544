"""What a study has to show."""

from collections.abc import Sequence
from pathlib import Path

from amhw.datasets import data_source
from amhw.families import Masked
from amhw.imports.source import table_of
from amhw.network.models.lenet5 import network_for
from amhw.network.quantised import QuantisedNetwork
from amhw.refusal import Refusal
from amhw.report.points import EXACT, Point
from amhw.report.source import Details, PageRow, PageTable, ReportSource, Setting, needed_for_a_part, optional
from amhw.select.solutions import is_reduced_precision
from amhw.study.peers import Peer
from amhw.study.record import Exact, Row, StudyRecord
from amhw.verilog import Design


def study_source(file: Path, study: StudyRecord) -> ReportSource:
    """The source in what `amhw study` wrote.

    Raises:
        Refusal: it holds no designs.
    """
    if not study.rows or not study.layers:
        raise Refusal(f"{file} holds no designs; run amhw study --out {file.parent} again")
    points = [point for row in study.rows if (point := _point(row)) is not None]
    points += [point for exact in study.exact if (point := _exact(exact)) is not None]
    against = {(exact.tech, exact.data): exact for exact in study.exact}
    for group in study.peers:
        exact = against.get((group.tech, group.data))
        if exact is None:
            raise Refusal(f"{file} has peers in {group.tech} on {group.data}, and no exact multiplier there")
        points += [peer_point(peer, group.group, exact) for peer in group.circuits]
    places = dict.fromkeys((row.data, row.tech) for row in study.rows)
    tables = [_table(tech, data, study.rows) for data, tech in places]
    bands = {}
    for row in study.rows:
        bands[row.tech, "area_um2"] = row.area_noise or 0.0
        bands[row.tech, "delay_ps"] = row.delay_noise or 0.0
    images = {data: study.provenance.get(f"images {data}", "") for data, _ in places}
    return ReportSource(study.title, points, tables, study.provenance, bands, study.array, images)


def study_setting(study: StudyRecord) -> Setting:
    """The network, and training images of the first data set; its test images where it has no others.

    Raises:
        UnavailableError: a file has gone.
    """
    with needed_for_a_part():
        if study.network is not None:
            network = QuantisedNetwork.load(study.network)
        else:
            network = network_for(table_of(study.rows[0].source), study.layers)
        return Setting(network, data_source(study.data_dir).representative, study.layers)


def _point(row: Row) -> Point | None:
    """A design that came through every stage."""
    if row.accuracy is None or row.area_um2 is None:
        return None
    imported = Path(row.source).suffix == ".json"
    multiplier = None if imported else Design.parse(row.name).multiplier
    return Point(
        name=row.name,
        group=row.group,
        tech=row.tech,
        data=row.data,
        kept=row.kept,
        accuracy=row.accuracy,
        exact_accuracy=row.exact_accuracy,
        area_um2=row.area_um2,
        area_ratio=row.area_ratio,
        delay_ps=row.delay_ps,
        delay_ratio=row.delay_ratio,
        energy_fj=row.energy_fj,
        energy_ratio=row.energy_ratio,
        reduced_precision=isinstance(multiplier, Masked) and is_reduced_precision(multiplier),
        design="" if imported else row.name,
        source=row.source,
    )


def _exact(exact: Exact) -> Point | None:
    if exact.accuracy is None or exact.area_um2 is None:
        return None
    return exact_point(exact, exact.accuracy)


def exact_point(exact: Exact, accuracy: float) -> Point:
    """The best exact multipliers."""
    return Point(
        name="the best exact multipliers",
        group=EXACT,
        tech=exact.tech,
        data=exact.data,
        accuracy=accuracy,
        exact_accuracy=accuracy,
        area_um2=exact.area_um2,
        delay_ps=exact.delay_ps,
        energy_fj=exact.energy_fj,
    )


def peer_point(peer: Peer, group: str, exact: Exact) -> Point:
    """A published circuit beside the exact multipliers of the same technology and data set.

    Raises:
        Refusal: only what the circuit loses is known, and not against which accuracy.
    """
    accuracy, loss, half = peer.accuracy, peer.loss_points, peer.half_width
    if accuracy is None:
        if exact.accuracy is None or loss is None:
            raise Refusal(f"{peer.name} has no accuracy, and exact products have none in {exact.tech} on {exact.data}")
        accuracy = exact.accuracy - loss / 100

    def ratio(cost: float | None, best: float | None) -> float | None:
        return None if cost is None or not best else cost / best

    return Point(
        name=peer.name,
        group=f"{group}, {peer.kind}" if peer.kind else group,
        tech=exact.tech,
        data=exact.data,
        accuracy=accuracy,
        exact_accuracy=exact.accuracy,
        loss_low=None if half is None or loss is None else loss - half,
        loss_high=None if half is None or loss is None else loss + half,
        area_um2=peer.area_um2,
        area_ratio=ratio(peer.area_um2, exact.area_um2),
        delay_ps=peer.delay_ps,
        delay_ratio=ratio(peer.delay_ps, exact.delay_ps),
        energy_fj=peer.energy_fj,
        energy_ratio=ratio(peer.energy_fj, exact.energy_fj),
    )


def peers_table(points: Sequence[Point], tech: str, data: str) -> PageTable:
    """The published circuits among the points, each with every network that was measured with it."""
    rows = [
        PageRow(
            [
                point.name,
                point.group,
                point.loss_text.removesuffix(" points (95 %)").removesuffix(" points") or "–",
                f"{point.accuracy:.2%}",
                optional(point.area_um2, ".1f"),
                optional(point.area_ratio, ".4f"),
                optional(point.delay_ps, ".0f"),
                optional(point.delay_ratio, ".3f"),
            ],
            point.name,
            point.group,
        )
        for point in points
    ]
    headings = ["circuit", "network", "loss, points (95 %)", "accuracy", "area µm²", "× exact", "delay ps", "× exact"]
    return PageTable("Published circuits", tech, data, headings, rows)


def _table(tech: str, data: str, rows: tuple[Row, ...]) -> PageTable:
    here = [row for row in rows if (row.data, row.tech) == (data, tech)]
    energy = any(row.energy_fj is not None for row in here)

    def row_of(row: Row) -> PageRow:
        joules = [optional(row.energy_fj, ".1f"), optional(row.energy_ratio, ".3f")]
        known = row.exact_accuracy is not None and row.accuracy is not None
        cells = [
            row.name,
            row.group,
            "" if row.kept is None else row.kept,
            f"{100 * ((row.exact_accuracy or 0) - (row.accuracy or 0)):.2f}" if known else "–",
            optional(row.accuracy, ".2%"),
            optional(row.area_um2, ".1f"),
            optional(row.area_ratio, ".3f"),
            optional(row.delay_ps, ".0f"),
            optional(row.delay_ratio, ".3f"),
            *(joules if energy else []),
            row.products,
            "; ".join(part for part in (row.other_data, row.failure) if part),
        ]
        return PageRow(cells, row.name, row.group, _details(row))

    headings = ["design", "group", "kept", "loss, points", "accuracy", "area µm²", "× exact", "delay ps", "× exact"]
    headings += ["energy fJ", "× exact"] if energy else []
    return PageTable("Designs", tech, data, [*headings, "simulated", "notes"], [row_of(row) for row in here])


def _details(row: Row) -> Details | None:
    """The netlists that a row's figures are of."""
    if row.area_um2 is None:
        return None
    energy = [optional(row.energy_fj, ".1f"), optional(row.energy_settled_fj, ".1f")]
    rows = [
        ["restructured, smallest", row.area_recipe, optional(row.area_um2, ".1f"), "", "", ""],
        ["restructured, fastest", row.delay_recipe, "", optional(row.delay_ps, ".0f"), "", ""],
        [
            "restructured, least area × delay",
            row.balanced_recipe,
            optional(row.balanced_area_um2, ".1f"),
            optional(row.balanced_delay_ps, ".0f"),
            *energy,
        ],
    ]
    if row.as_designed_area_um2 is not None:
        kept = [optional(row.as_designed_area_um2, ".1f"), optional(row.as_designed_delay_ps, ".0f")]
        rows.append(["as designed", "as-designed", *kept, "", ""])
    headings = ["netlist", "recipe", "area µm²", "delay ps", "energy fJ", "without hazards"]
    note = f"Network trained on {row.trained_on}." if row.trained_on else ""
    return Details(headings, rows, note)
