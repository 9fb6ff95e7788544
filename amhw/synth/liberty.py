"""Liberty files into `Library` values.

A technology in several files is one library: the files must agree in units, corner and thresholds, and in the facts of
a cell that is in several of them. What is read of a cell, and which cells are left out: `amhw.synth.liberty_cells`.
"""

import gzip
import io
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from amhw.files import decoded, read_whole
from amhw.refusal import Refusal
from amhw.synth.liberty_cells import UNITS, CellReader
from amhw.synth.liberty_syntax import LibertyGroup, parse
from amhw.synth.library import Cell, Library

_GZIP = b"\x1f\x8b"
_ARCHIVES = {
    b"7z\xbc\xaf\x27\x1c": ("7z", "7z x"),
    b"PK\x03\x04": ("zip", "unzip"),
    b"\xfd7zXZ\x00": ("xz", "unxz"),
    b"BZh": ("bzip2", "bunzip2"),
    b"\x28\xb5\x2f\xfd": ("zstd", "unzstd"),
}
"""How files begin that are packed by something else than gzip: what it is called, and what unpacks it."""

_LARGEST = 1 << 30
"""Bytes that a file may have, unpacked too; complete libraries with current sources have a third of that."""

_THRESHOLDS = ("input_threshold_pct", "output_threshold_pct", "slew_lower_threshold_pct", "slew_upper_threshold_pct")
_CORNER = (
    *("nom_process", "nom_voltage", "nom_temperature", "slew_derate_from_library"),
    *(f"{threshold}_{edge}" for threshold in _THRESHOLDS for edge in ("rise", "fall")),
)
"""What files of one technology must agree in, beside units."""


def read_library(*paths: Path | str) -> Library:
    """The library in one or several Liberty files (plain, or gzip whatever their names).

    Raises:
        Refusal: a file is unreadable, truncated, packed otherwise or no Liberty, or the files do not fit together.
    """
    return _together([_part(_text(path), str(path)) for path in paths])


def parse_library(text: str, source: str) -> Library:
    """The library in the Liberty text `text`; `source` names it in refusals."""
    return _part(text, source).library


@dataclass(frozen=True)
class _Part:
    """One file's library, and what the other files of the technology must say too."""

    source: str
    library: Library
    shared: dict[str, tuple[float | None, str]]
    """Under an attribute's name its value, whatever the file's spelling, and that spelling."""


def _text(path: Path | str) -> str:
    data = read_whole(path, _LARGEST)
    if data.startswith(_GZIP):
        try:
            data = gzip.GzipFile(fileobj=io.BytesIO(data)).read(_LARGEST + 1)
        except (EOFError, OSError, zlib.error) as error:
            raise Refusal(f"{path} is damaged or truncated gzip: {_one_line(error)}") from error
        if len(data) > _LARGEST:
            raise Refusal(f"{path} unpacks to more than {_LARGEST >> 20} MiB; no Liberty file is that large")
    for magic, (kind, command) in _ARCHIVES.items():
        if data.startswith(magic):
            raise Refusal(f"{path} is a {kind} archive; unpack it first ({command}), plain and gzip files are read")
    return decoded(data)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__


def _part(text: str, source: str) -> _Part:
    if not re.search(r"\blibrary\s*\(", text[:200_000]):
        raise Refusal(f"{source} is no Liberty file: it has no library (...) group")
    root = parse(text, source)
    if "include_file" in root:
        raise Refusal(f"{source} includes {root.text('include_file')}; give a Liberty file in which everything is")
    try:
        return _Part(source, _library(root), _shared(root))
    except ValueError as error:
        raise Refusal(f"{source}: {_one_line(error)}") from error


def _together(parts: Sequence[_Part]) -> Library:
    first = parts[0]
    cells: dict[str, Cell] = {}
    home: dict[str, str] = {}
    for part in parts:
        for name, value in part.shared.items():
            if value[0] != first.shared[name][0]:
                raise Refusal(
                    f"{part.source} has {name} {value[1]}, {first.source} has {first.shared[name][1]}; "
                    "the files of one technology must agree"
                )
        for name, cell in part.library.cells.items():
            if cells.setdefault(name, cell) != cell:
                raise Refusal(f"cell {name} is in {home[name]} and with other facts in {part.source}; give one of them")
            home.setdefault(name, part.source)
    transitions = [part.library.max_transition for part in parts if part.library.max_transition > 0]
    return replace(first.library, cells=cells, max_transition=min(transitions, default=0.0))


def _library(root: LibertyGroup) -> Library:
    reader = CellReader(root)
    cells: dict[str, Cell] = {}
    for group in root.all("cell"):
        try:
            cell = reader.cell(group)
        except ValueError as error:
            raise ValueError(f"cell {group.name or 'without a name'}: {_one_line(error)}") from error
        if cell is not None and cells.setdefault(cell.name, cell) != cell:
            raise ValueError(f"cell {cell.name} is there twice, with different facts")
    voltage = root.number("nom_voltage") * reader.units.voltage
    return Library(root.name, cells, root.number("default_max_transition") * reader.units.time, voltage)


def _shared(root: LibertyGroup) -> dict[str, tuple[float | None, str]]:
    spelt = {name: " ".join(root.values(name)) or "unstated" for name in (*UNITS, *_CORNER)}
    units = {name: unit(root) for name, unit in UNITS.items()}
    corner = {name: root.number(name) if name in root else None for name in _CORNER}
    return {name: (value, spelt[name]) for name, value in (units | corner).items()}
