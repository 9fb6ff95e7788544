"""The report command: studies and selections become one HTML page, pictures and tables."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from amhw.commands.base import Command
from amhw.extras import optional
from amhw.files import write_atomically
from amhw.refusal import Refusal
from amhw.report import charts
from amhw.report.points import EXACT, Point, distinct
from amhw.report.sections import bands, html, places
from amhw.report.selections import selection_setting, selection_source
from amhw.report.source import Setting, Source, records_of, told_apart
from amhw.report.studies import peer_point, study_setting, study_source
from amhw.select.record import SelectionRecord
from amhw.study.peers import read_peers
from amhw.study.record import Exact, StudyRecord


@click.command(cls=Command, epilog="Example: amhw report study select   (after amhw study and amhw select)")
@click.argument("sources", metavar="[FOLDER]...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--peers", type=click.Path(path_type=Path), metavar="FILE", help="CSV of published circuits; see docs/study.md."
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder. [default: the first FOLDER]")
@click.option("--parquet", is_flag=True, help="The points as Parquet too; needs the extra amhw[parquet].")
def command(sources: tuple[Path, ...], peers: Path | None, out: Path | None, parquet: bool) -> None:
    """Write one HTML page that opens without a network, its fronts as PNG and SVG, its points as CSV.

    Each FOLDER is where amhw study or amhw select wrote (default: study), or a file that amhw select --json
    printed. Several are drawn on the same axes where technology and test images are the same.
    """
    if parquet:
        optional("pyarrow", "parquet", "--parquet")  # before anything is written
    read = [entry for path in sources or (Path("study"),) for entry in records_of(path)]
    found = told_apart([_source(file, record) for file, record in read])
    points = distinct(point for source in found for point in source.points)
    if peers is not None:
        points += _peers(peers, points)
    folder = out or read[0][0].parent
    pictures = {}
    for where, here in places(points).items():
        still = charts.still([point.drawn(k) for k, point in enumerate(here)], bands(found, where[0]))
        for form in ("png", "svg"):
            pictures[folder / f"front-{_slug(where)}.{form}"] = _rendered(still, form)
    text = html(found, [_setting(record) for _, record in read], points)
    written = [write_atomically(file, data) for file, data in pictures.items()]
    records = [point.record() for point in points]
    written.append(write_atomically(folder / "report.csv", _csv(records)))
    if parquet:
        written.append(write_atomically(folder / "report.parquet", _parquet(records)))
    written.append(write_atomically(folder / "report.html", text))
    click.echo("\n".join(map(str, written)))


def _source(file: Path, record: StudyRecord | SelectionRecord) -> Source:
    return study_source(file, record) if isinstance(record, StudyRecord) else selection_source(file, record)


def _setting(record: StudyRecord | SelectionRecord) -> Setting | Refusal:
    """The network behind it, or why there is none any more."""
    try:
        return study_setting(record) if isinstance(record, StudyRecord) else selection_setting(record)
    except Refusal as refusal:
        return refusal


def _peers(file: Path, points: Sequence[Point]) -> list[Point]:
    found = [point for point in points if point.group == EXACT]
    if not found:
        raise Refusal(f"--peers {file}: nothing here says what exact multipliers reach, with which they are compared")
    first = found[0]
    exact = Exact(first.tech, first.data, first.accuracy, first.area_um2, first.delay_ps, first.energy_fj)
    return [peer_point(peer, "published", exact) for peer in read_peers(file)]


def _rendered(chart: Any, form: str) -> bytes:
    if form == "svg":
        text = io.StringIO()
        chart.save(text, format="svg")
        return text.getvalue().encode()
    data = io.BytesIO()
    chart.save(data, format="png", scale_factor=2)
    return data.getvalue()


def _slug(where: tuple[str, str]) -> str:
    tech, data = where
    return re.sub(r"[^A-Za-z0-9]+", "-", f"{data}-{tech}").strip("-")


def _csv(records: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    columns = Point.columns()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def _parquet(records: list[dict[str, Any]]) -> bytes:
    import pyarrow
    from pyarrow import parquet

    data = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(records), data)
    return data.getvalue()
