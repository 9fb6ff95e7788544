"""Where a page's points and tables come from: the folder of a study, a selection or a fault campaign, or a JSON file of
one."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from amhw.datasets import DataSet
from amhw.documents import Document, Header, one_of
from amhw.faults.summary import FaultRun
from amhw.files import read_whole
from amhw.network.quantised import QuantisedNetwork
from amhw.refusal import Refusal
from amhw.report.points import Point
from amhw.select.record import SelectedMultiplier, SelectionRecord
from amhw.study.array import Breakdown
from amhw.study.record import StudyRecord
from amhw.verilog import Design

FILES = ("sweep.json", "front.json", "faults.json")
"""What `amhw study`, `amhw select` and `amhw faults` write into their folders."""

Found = StudyRecord | SelectionRecord | FaultRun
"""What they hold."""


@dataclass(frozen=True)
class Details:
    """What unfolds under a row."""

    headings: Sequence[str]
    rows: Sequence[Sequence[object]]
    note: str = ""


@dataclass(frozen=True)
class PageRow:
    """A row of a table.

    Attributes:
        cells: its name first.
        name, group: of the point that it belongs to.
        details: its netlists.
    """

    cells: Sequence[object]
    name: str
    group: str
    details: Details | None = None


@dataclass(frozen=True)
class PageTable:
    """A table of the page, about a technology and a data set: one row a multiplier."""

    title: str
    tech: str
    data: str
    headings: Sequence[str]
    rows: Sequence[PageRow]


@dataclass(frozen=True, eq=False)
class Campaign:
    """A fault campaign, and the picture of its kernels as SVG if it has one."""

    run: FaultRun
    kernels: bytes | None = None


@dataclass(frozen=True, eq=False)
class Setting:
    """A network and the images that go through it."""

    network: QuantisedNetwork
    images: DataSet
    layers: tuple[str, ...]

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for what is equal."""
        return self.network.sha256, self.images.sha256, self.layers


@dataclass(frozen=True)
class ReportSource:
    """A study, a selection or a fault campaign, ready to be shown.

    Attributes:
        title: its own.
        points: in the order in which they are drawn.
        bands: noise of a technology's (tech, cost), relative.
        tables: its rows in full.
        provenance: versions, hashes, date.
        array: where its clocks and its area go, if a study looked at one.
        images: hash of each data set's test images, by the name under which they are drawn.
        campaign: the fault campaign that it is, if it is one.
    """

    title: str
    points: Sequence[Point]
    tables: Sequence[PageTable]
    provenance: Mapping[str, str]
    bands: Mapping[tuple[str, str], float] = field(default_factory=dict)
    array: Breakdown | None = None
    images: Mapping[str, str] = field(default_factory=dict)
    campaign: Campaign | None = None


def told_apart(sources: Sequence[ReportSource]) -> list[ReportSource]:
    """The sources, with the hash in the name of data sets of one name but different test images.

    Points of one name share axes, and two folders may be called the same.
    """
    known: dict[str, set[str]] = {}
    for source in sources:
        for name, digest in source.images.items():
            known.setdefault(name, set()).add(digest)
    return [
        _renamed(
            source, {name: f"{name} {digest[:6]}" for name, digest in source.images.items() if len(known[name]) > 1}
        )
        for source in sources
    ]


def _renamed(source: ReportSource, names: Mapping[str, str]) -> ReportSource:
    points = [replace(point, data=names.get(point.data, point.data)) for point in source.points]
    tables = [replace(table, data=names.get(table.data, table.data)) for table in source.tables]
    images = {names.get(name, name): digest for name, digest in source.images.items()}
    return replace(source, points=points, tables=tables, images=images)


class UnavailableError(Exception):
    """What a part of the page is made from has gone since, or cannot be used any more; the message says why."""


@contextmanager
def needed_for_a_part() -> Iterator[None]:
    """Files that are read inside are wanted for one part of the page, which can do without.

    Raises:
        UnavailableError: one of them is refused.
    """
    try:
        yield
    except Refusal as refusal:
        raise UnavailableError(str(refusal)) from None


def records_of(path: Path) -> list[tuple[Path, Found]]:
    """The JSON file that `path` is, or those that it holds, each with its content; fault campaigns in its folders, too.

    Raises:
        Refusal: there is none, or one is no study, selection or fault campaign of this version.
    """
    if path.suffix == ".json":
        return [(path, _read(path))]
    found = [path / name for name in FILES if (path / name).exists()]
    found += sorted(path.glob("*/faults.json"))
    if not found:
        raise Refusal(
            f"{path} holds neither {' nor '.join(FILES)}; run amhw study --out {path}, or amhw select or amhw faults"
        )
    return [(file, _read(file)) for file in found]


def _read(file: Path) -> Found:
    content = read_whole(file)
    types: tuple[type[Document], ...] = (StudyRecord, SelectionRecord, SelectedMultiplier, FaultRun)
    called, commands = "study, selection or fault campaign of this version", "amhw study, amhw select or amhw faults"
    kind = one_of(types, Header.of(content), file, called, commands)
    record = kind.of(content, file)
    if isinstance(record, SelectedMultiplier):
        record = SelectionRecord(record.technology, (record,))
    assert isinstance(record, Found)
    if not isinstance(record, FaultRun):
        _check_names(file, record)
    return record


def _check_names(file: Path, record: StudyRecord | SelectionRecord) -> None:
    """Names are drawn, and are words of the commands that the page shows.

    Raises:
        Refusal: one is that of no design and of no import's manifest.
    """
    names: list[str] = []
    if isinstance(record, StudyRecord):
        names = [row.name for row in record.rows if Path(row.source).suffix != ".json"]
    else:
        names = [name for row in record.front for name in (*row.names, *row.design.split("+"))]
    for name in dict.fromkeys(names):
        try:
            Design.parse(name)
        except Refusal as refusal:
            raise Refusal(f"{file} is a damaged {record.called}: {refusal}") from None


def optional(value: float | None, form: str) -> str:
    """A figure, or a dash."""
    return "–" if value is None else format(value, form)
