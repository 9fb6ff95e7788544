"""The files of a report: the page, the fronts as pictures, the points as tables."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from amhw.extras import optional
from amhw.faults.summary import FaultRun
from amhw.files import check_writable, write_atomically
from amhw.refusal import Refusal
from amhw.report import charts
from amhw.report.faults import fault_source
from amhw.report.points import EXACT, Point, distinct, drawn
from amhw.report.sections import bands, html, places
from amhw.report.selections import selection_setting, selection_source
from amhw.report.source import Found, ReportSource, Setting, UnavailableError, records_of, told_apart
from amhw.report.studies import peer_point, study_setting, study_source
from amhw.select.record import SelectionRecord
from amhw.study.peers import read_peers
from amhw.study.record import Exact, StudyRecord


def write(
    sources: Sequence[Path], peers: Path | None = None, out: Path | None = None, *, parquet: bool = False
) -> list[Path]:
    """Write ``front-*.png`` and ``.svg``, ``report.csv``, ``report.parquet`` if asked for, and last ``report.html``.

    Args:
        sources: folders of studies, selections and fault campaigns, or their JSON files.
        peers: a CSV file of published circuits.
        out: the folder; default that of the first source.

    Returns:
        Their paths, the page's last.

    Raises:
        Refusal: a source is none, the peers cannot be compared, pyarrow is missing, or the folder cannot be written.
    """
    if parquet:
        optional("pyarrow", "parquet", "--parquet")  # before anything is written
    read = [entry for path in sources for entry in records_of(path)]
    found = told_apart([_source(file, record) for file, record in read])
    points = distinct(point for source in found for point in source.points)
    if peers is not None:
        points += _peers(peers, points)
    folder = out or read[0][0].parent
    check_writable(folder / "report.csv", *([] if peers is None else [peers]))
    pictures = {}
    for where, here in places(points).items():
        still = charts.still(drawn(here), bands(found, where[0]))
        for form in ("png", "svg"):
            pictures[folder / f"front-{_slug(where)}.{form}"] = _rendered(still, form)
    settings = [_setting(record) for _, record in read if not isinstance(record, FaultRun)]
    text = html(found, settings, points)
    written = [write_atomically(file, data) for file, data in pictures.items()]
    records = [point.record() for point in points]
    written.append(write_atomically(folder / "report.csv", _csv(records)))
    if parquet:
        written.append(write_atomically(folder / "report.parquet", _parquet(records)))
    written.append(write_atomically(folder / "report.html", text))
    return written


def _source(file: Path, record: Found) -> ReportSource:
    if isinstance(record, FaultRun):
        return fault_source(file, record)
    return study_source(file, record) if isinstance(record, StudyRecord) else selection_source(file, record)


def _setting(record: StudyRecord | SelectionRecord) -> Setting | UnavailableError:
    """The network behind it, or why there is none any more."""
    try:
        return study_setting(record) if isinstance(record, StudyRecord) else selection_setting(record)
    except UnavailableError as error:
        return error


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
