"""Where a page's points come from: a study's folder or a selection's, or a JSON file of either."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amhw.files import read_whole
from amhw.lenet.data import DataSet
from amhw.lenet.network import QuantisedNetwork
from amhw.refusal import Refusal
from amhw.report.points import Point

FILES = ("sweep.json", "front.json")
"""What `amhw study` and `amhw select` write into their folders."""


@dataclass(frozen=True)
class Table:
    """A table of the page, about a technology and a data set."""

    title: str
    tech: str
    data: str
    headings: Sequence[str]
    rows: Sequence[Sequence[object]]


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
class Source:
    """A study or a selection, ready to be shown.

    Attributes:
        title: its own.
        points: in the order in which they are drawn.
        bands: noise of a technology's (tech, cost), relative.
        tables: its rows in full.
        provenance: versions, hashes, date.
        array: what `amhw.study.array.breakdown` gave, or None.
    """

    title: str
    points: Sequence[Point]
    tables: Sequence[Table]
    provenance: Mapping[str, Any]
    bands: Mapping[tuple[str, str], float] = field(default_factory=dict)
    array: Mapping[str, Any] | None = None


def content_of(path: Path) -> tuple[Path, dict[str, Any]]:
    """The JSON file that `path` is or holds, and its content.

    Raises:
        Refusal: there is none, or it is no JSON object.
    """
    file = path
    if path.suffix != ".json":
        found = [path / name for name in FILES if (path / name).exists()]
        if not found:
            raise Refusal(
                f"{path} holds neither {' nor '.join(FILES)}; run amhw study --out {path} or amhw select --out {path}"
            )
        file = found[0]
    try:
        content = json.loads(read_whole(file))
    except ValueError:
        raise Refusal(f"{file} is no JSON; it should be what amhw study or amhw select wrote") from None
    if not isinstance(content, dict):
        raise Refusal(f"{file} is neither a study nor a selection; give what amhw study or amhw select wrote")
    return file, content


def optional(value: float | None, form: str) -> str:
    """A figure, or a dash."""
    return "–" if value is None else format(value, form)
