"""The report command: a study's folder becomes one HTML page, pictures and tables."""

import io
import json
import re
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
from pyarrow import parquet

from amhw.command import Command
from amhw.errors import heat_map
from amhw.files import read_whole, write_atomically
from amhw.imports.source import table_of
from amhw.lenet.data import calibration_set
from amhw.lenet.inference import Inference
from amhw.lenet.shipped import network
from amhw.refusal import Refusal
from amhw.report import charts, page
from amhw.verilog import Design

HEAT_MAPS = 6
"""Designs of the front whose error is drawn, at most."""


@click.command(cls=Command, epilog="Example: amhw report study   (after amhw study --out study)")
@click.argument("folder", type=click.Path(path_type=Path), default=Path("study"))
def command(folder: Path) -> None:
    """Write a study's report: one HTML page that opens without a network, PNG, SVG, CSV and Parquet.

    FOLDER is where amhw study wrote sweep.json.
    """
    study = read_study(folder / "sweep.json")
    file = write_atomically(folder / "report.html", report(study))
    rows = study["rows"]
    parquet_bytes = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows), parquet_bytes)
    write_atomically(folder / "sweep.parquet", parquet_bytes.getvalue())
    click.echo(f"{file}\n{folder / 'sweep.parquet'}")


def read_study(file: Path) -> dict[str, Any]:
    """What `amhw study` wrote: title, rows, provenance.

    Raises:
        Refusal: there is no such file, or it is something else.
    """
    try:
        study: dict[str, Any] = json.loads(read_whole(file))
        if not study["rows"] or not {"title", "provenance", "layers"} <= set(study):
            raise KeyError
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, Refusal):
            raise
        raise Refusal(f"{file} holds no study; run amhw study --out {file.parent} first") from None
    return study


def report(study: dict[str, Any]) -> str:
    """The page's HTML."""
    rows = study["rows"]
    sections = []
    for number, (data, tech) in enumerate(dict.fromkeys((row["data"], row["tech"]) for row in rows)):
        here = [row for row in rows if (row["data"], row["tech"]) == (data, tech)]
        points = [_point(k, row) for k, row in enumerate(here) if row["accuracy"] is not None and row["area_um2"]]
        if not points:
            sections.append(page.section(f"{data}, {tech}", page.paragraph("No design came through every stage.")))
            continue
        sections.append(
            page.section(
                f"{data}, {tech}",
                page.paragraph(
                    "Hover for the design and the command that rebuilds it; click designs to compare them side by "
                    "side, click again to drop them; scroll and drag to zoom. The grey line is the front: no design "
                    "beats its points in both accuracy and cost. Numbers at its points are kept partial products."
                ),
                page.chart(
                    f"front{number}",
                    charts.fronts(points, width=470, columns=2),
                    charts.fronts(points, width=270, columns=1),
                ),
                _results(here),
            )
        )
    sections.append(_error_section(rows))
    sections.append(_operand_section(study["layers"]))
    sections.append(page.section("Provenance", page.facts(study["provenance"])))
    return page.page(study["title"], sections)


def _point(number: int, row: dict[str, Any]) -> dict[str, Any]:
    imported = Path(row["source"]).suffix == ".json"
    diagram = "" if imported else Design.parse(row["name"]).multiplier.diagram().rstrip()
    label = row["name"] if row["kept"] is None else str(row["kept"])
    accuracy = 100 * row["accuracy"]
    card = (
        f"{row['name'].removeprefix('mul_')}\n{row['group']}: {accuracy:.2f} %, {row['area_um2']:.0f} µm² "
        f"({row['area_ratio']:.3f}), {row['delay_ps']:.0f} ps ({row['delay_ratio']:.3f})\n\n{diagram}"
    )
    return {
        "id": number,
        "name": row["name"],
        "source": row["source"],
        "group": row["group"],
        "label": re.sub(r"^mul_[us]\d+[us]\d+_", "", label),
        "accuracy_percent": accuracy,
        **{cost: row[cost] for cost in charts.COSTS},
        "diagram": diagram,
        "card": card,
        "command": f"imported: {row['source']}" if imported else f"amhw gen --multiplier {row['name']}",
    }


def _results(rows: list[dict[str, Any]]) -> str:
    def shown(value: float | None, form: str) -> str:
        return "–" if value is None else format(value, form)

    return page.table(
        ["design", "group", "kept", "accuracy", "area µm²", "× exact", "delay ps", "× exact", "simulated", "failure"],
        (
            [
                row["name"],
                row["group"],
                "" if row["kept"] is None else row["kept"],
                shown(row["accuracy"], ".2%"),
                shown(row["area_um2"], ".1f"),
                shown(row["area_ratio"], ".3f"),
                shown(row["delay_ps"], ".0f"),
                shown(row["delay_ratio"], ".3f"),
                row["products"],
                row["failure"],
            ]
            for row in rows
        ),
    )


def _error_section(rows: list[dict[str, Any]]) -> str:
    """Heat maps of the designs on the first front."""
    first = [row for row in rows if (row["data"], row["tech"]) == (rows[0]["data"], rows[0]["tech"])]
    points = [_point(k, row) for k, row in enumerate(first) if row["accuracy"] is not None and row["area_um2"]]
    sources = list(dict.fromkeys(point["source"] for point in charts.front(points, "area_um2")))[-HEAT_MAPS:]
    tables = [table_of(source) for source in sources]
    return page.section(
        "Error over the operand plane",
        page.paragraph("Product minus exact product for every pair of operand values: red too large, blue too small."),
        *(page.picture(heat_map(table), f"error of {table.name}") for table in tables),
    )


def _operand_section(layers: list[str]) -> str:
    """What the layers multiply, on training images."""
    shipped = network()
    inputs = Inference(shipped).inputs(calibration_set().images[::10])
    parts = []
    for name in layers:
        layer = shipped[name]
        codes = inputs[name].ravel()
        activations = [int((codes == value).sum()) for value in range(layer.operands.activation_max + 1)]
        low, high = int(layer.matrix.min()), int(layer.matrix.max())
        weights = [int((layer.matrix == value).sum()) for value in range(low, high + 1)]
        parts.append(
            page.chart(f"activations_{name}", charts.histogram(activations, f"{name}: activations", "operand a (code)"))
        )
        parts.append(
            page.chart(f"weights_{name}", charts.histogram(weights, f"{name}: weights", "operand b", first=low))
        )
    return page.section(
        "Operands that the layers really multiply",
        page.paragraph("The shipped network in unsigned × signed 8 bits, on 500 training images."),
        *parts,
    )
