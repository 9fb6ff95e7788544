"""What a study has to show."""

from pathlib import Path
from typing import Any

from amhw.datasets import DataSet, data_source
from amhw.families import Masked
from amhw.imports.source import table_of
from amhw.network.models.lenet5 import network_for
from amhw.network.quantised import QuantisedNetwork
from amhw.refusal import Refusal
from amhw.report.points import EXACT, Point
from amhw.report.source import Setting, Source, Table, optional
from amhw.select.front import is_reduced_precision
from amhw.verilog import Design

Row = dict[str, Any]


def study_source(file: Path, content: dict[str, Any]) -> Source:
    """The source in what `amhw study` wrote.

    Raises:
        Refusal: something is missing.
    """
    try:
        rows: list[Row] = content["rows"]
        exact: list[Row] = content["exact"]
        if not rows or not content["layers"]:
            raise KeyError("rows")
        points = [_point(row) for row in rows if row["accuracy"] is not None and row["area_um2"] is not None]
        points += [_exact(row) for row in exact if row["accuracy"] is not None and row["area_um2"] is not None]
        points += [_peer(peers, circuit, exact) for peers in content["peers"] for circuit in peers["circuits"]]
        tables = [_table(tech, data, rows) for data, tech in dict.fromkeys((r["data"], r["tech"]) for r in rows)]
        bands = {(row["tech"], f"{cost}_{unit}"): row[f"{cost}_noise"] or 0.0 for row in rows for cost, unit in _NOISY}
        facts = content["provenance"]
        images = {data: facts[f"images {data}"] for data in dict.fromkeys(row["data"] for row in rows)}
        return Source(content["title"], points, tables, facts, bands, content["array"], images)
    except (KeyError, TypeError, IndexError):
        raise Refusal(f"{file} is no study of this version; run amhw study --out {file.parent} again") from None


def study_setting(content: dict[str, Any]) -> Setting:
    """The network, and training images of the first data set; its test images where it has no others.

    Raises:
        Refusal: a file has gone.
    """
    layers, file = tuple(content["layers"]), content["network"]
    network = QuantisedNetwork.load(file) if file else network_for(table_of(content["rows"][0]["source"]), layers)
    return Setting(network, _images(content["data_dir"]), layers)


_NOISY = (("area", "um2"), ("delay", "ps"))


def _images(folder: str | None) -> DataSet:
    return data_source(folder).representative


def _point(row: Row) -> Point:
    imported = Path(row["source"]).suffix == ".json"
    multiplier = None if imported else Design.parse(row["name"]).multiplier
    shared = ("name", "group", "tech", "data", "kept", "accuracy", "exact_accuracy", "source")
    costs = ("area_um2", "area_ratio", "delay_ps", "delay_ratio", "energy_fj", "energy_ratio")
    return Point(
        **{key: row[key] for key in (*shared, *costs)},
        design="" if imported else row["name"],
        reduced_precision=isinstance(multiplier, Masked) and is_reduced_precision(multiplier),
    )


def _exact(row: Row) -> Point:
    costs = {cost: row[cost] for cost in ("area_um2", "delay_ps", "energy_fj")}
    return Point(
        name="the best exact multipliers",
        group=EXACT,
        tech=row["tech"],
        data=row["data"],
        accuracy=row["accuracy"],
        exact_accuracy=row["accuracy"],
        **costs,
    )


def _peer(peers: Row, circuit: Row, exact: list[Row]) -> Point:
    [against] = [row for row in exact if (row["tech"], row["data"]) == (peers["tech"], peers["data"])]
    return peer_point(circuit, peers["group"], peers["tech"], peers["data"], against)


def peer_point(circuit: Row, group: str, tech: str, data: str, exact: Row) -> Point:
    """A published circuit beside the exact multiplier of the same technology and data set.

    Args:
        circuit: a `amhw.study.peers.Peer` as a mapping.
        exact: accuracy, area_um2 and delay_ps of the best exact multipliers.
    """
    accuracy, loss, half = circuit["accuracy"], circuit["loss_points"], circuit["half_width"]
    if accuracy is None:
        accuracy = exact["accuracy"] - loss / 100

    def ratio(cost: str) -> float | None:
        return None if circuit[cost] is None or not exact.get(cost) else circuit[cost] / exact[cost]

    return Point(
        name=circuit["name"],
        group=f"{group}, {circuit['kind']}" if circuit["kind"] else group,
        tech=tech,
        data=data,
        accuracy=accuracy,
        exact_accuracy=exact["accuracy"],
        loss_low=None if half is None else loss - half,
        loss_high=None if half is None else loss + half,
        area_um2=circuit["area_um2"],
        area_ratio=ratio("area_um2"),
        delay_ps=circuit["delay_ps"],
        delay_ratio=ratio("delay_ps"),
        energy_fj=circuit["energy_fj"],
        energy_ratio=ratio("energy_fj"),
    )


def _table(tech: str, data: str, rows: list[Row]) -> Table:
    here = [row for row in rows if (row["data"], row["tech"]) == (data, tech)]
    energy = any(row["energy_fj"] is not None for row in here)
    headings = ["design", "group", "kept", "accuracy", "area µm²", "× exact", "delay ps", "× exact"]
    headings += ["energy fJ", "× exact", "without hazards"] if energy else []
    cells = []
    for row in here:
        cells.append(
            [
                row["name"],
                row["group"],
                "" if row["kept"] is None else row["kept"],
                optional(row["accuracy"], ".2%"),
                optional(row["area_um2"], ".1f"),
                optional(row["area_ratio"], ".3f"),
                optional(row["delay_ps"], ".0f"),
                optional(row["delay_ratio"], ".3f"),
                *(
                    (
                        optional(row["energy_fj"], ".1f"),
                        optional(row["energy_ratio"], ".3f"),
                        optional(row["energy_settled_fj"], ".1f"),
                    )
                    if energy
                    else ()
                ),
                row["products"],
                row["failure"],
            ]
        )
    return Table("Designs", tech, data, [*headings, "simulated", "failure"], cells)
