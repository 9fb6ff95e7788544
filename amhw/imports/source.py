"""A product table by whatever names it: a multiplier's name, a table file, Verilog, or a manifest."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from amhw.files import shown
from amhw.hdl.logic import LOGIC
from amhw.hdl.source import SUFFIXES, Source
from amhw.imports.circuits import read_circuit
from amhw.imports.imported import Imported
from amhw.imports.signs import sign_magnitude
from amhw.imports.tables import SUFFIXES as TABLES
from amhw.imports.tables import read_table
from amhw.manifests import ImportManifest, MultiplierManifest, read_manifest
from amhw.refusal import Refusal
from amhw.table import ProductTable
from amhw.verilog import Design

VERILOG = (*SUFFIXES, *LOGIC)
"""How files of circuits end: Verilog, and what becomes Verilog when it is read."""


@dataclass(frozen=True)
class Reading:
    """What a file from elsewhere does not say of itself.

    Attributes:
        signed: which operands are two's complement; see `read_table` and `read_circuit`.
        order: of a table's indices; see `read_table`.
        dtype, shape: of raw numbers; see `read_table`.
        shift: the lowest bit of a product weighs 2^shift.
        sign_magnitude: which operands become signed by multiplying magnitudes.
        top, a, b, p, latency: the top module of Verilog, its ports and registers; see `read_circuit`.
        parameters, hold: ``NAME=VALUE`` of the top module's parameters, and of inputs that stay.
        files, libraries: more Verilog, where the top module may be, and for modules that it uses.
        includes: folders of included files.
    """

    signed: str | None = None
    order: str | None = None
    dtype: str | None = None
    shape: str | None = None
    shift: int = 0
    sign_magnitude: str | None = None
    top: str | None = None
    a: str | None = None
    b: str | None = None
    p: str | None = None
    latency: int | None = None
    parameters: tuple[str, ...] = ()
    hold: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    libraries: tuple[Path, ...] = ()
    includes: tuple[Path, ...] = ()

    def verilog(self, path: Path) -> Source:
        """What `path` and the other files say together.

        Raises:
            Refusal: as `Source.of_files`.
        """
        return Source.of_files([path, *self.files], self.libraries, self.includes)

    @property
    def values(self) -> dict[str, str]:
        """The parameters' values.

        Raises:
            Refusal: one is no ``NAME=VALUE``.
        """
        return dict(_assignment(text, "-P") for text in self.parameters)

    @property
    def held(self) -> dict[str, int]:
        """The values of inputs that stay.

        Raises:
            Refusal: one is no ``PORT=VALUE`` with a number.
        """
        return {port: _number(value, port) for port, value in (_assignment(text, "--hold") for text in self.hold)}


UNSAID = Reading()
"""Nothing is stated: all that a name or a manifest needs."""


def table_of(source: str, reading: Reading = UNSAID) -> ProductTable:
    """The table that `source` names.

    Args:
        source: a multiplier's (or design's) name, or the path of a table, of Verilog, or of the manifest of an
            import or of generated Verilog.
        reading: how to read a table or Verilog.

    Raises:
        Refusal: it names nothing, or something is missing from the reading or said where it is known already.
    """
    path = Path(source)
    if is_file(path):
        return open_file(path, reading).table
    if reading != UNSAID:
        raise Refusal(f"--signed, --order and ports are for tables and Verilog; {source} is neither")
    if path.suffix == ".json":
        return _described(path)
    if path.suffix or len(path.parts) > 1:
        raise Refusal(
            f"{source} is no multiplier's name, and no file that holds a multiplier: those end in "
            f"{', '.join((*VERILOG, *TABLES))}, or .json as amhw gen and amhw import write it"
        )
    return ProductTable.of(Design.parse(source).multiplier)


def is_file(path: Path) -> bool:
    """Whether the path ends as a table's or Verilog's does."""
    return path.suffix in (*VERILOG, *TABLES)


def open_file(path: Path, reading: Reading, name: str | None = None) -> Imported:
    """The multiplier in a table file or in Verilog, called `name` or as the file is.

    Raises:
        Refusal: as `read_table` and `read_circuit`, with the path; or the file is neither.
    """
    label = shown(name or path.stem)
    if path.suffix in TABLES:
        _refuse_options(reading, _OF_CIRCUITS, f"for Verilog; {path} is a table")
        return _table(path, reading, label)
    if path.suffix not in VERILOG:
        raise Refusal(f"{path} is neither Verilog ({', '.join(VERILOG)}) nor a table ({', '.join(TABLES)})")
    _refuse_options(reading, _OF_TABLES, "for tables; the ports of a circuit go by name (--a, --b)")
    try:
        return read_circuit(
            reading.verilog(path),
            name=label,
            top=reading.top,
            a=reading.a,
            b=reading.b,
            p=reading.p,
            signed=reading.signed,
            shift=reading.shift,
            sign_magnitudes=reading.sign_magnitude,
            latency=reading.latency,
            parameters=reading.values,
            held=reading.held,
        )
    except Refusal as refusal:
        raise Refusal(f"{path}: {refusal}") from None


def _assignment(text: str, option: str) -> tuple[str, str]:
    name, equals, value = (part.strip() for part in text.rpartition("="))
    if not (name and equals and value):
        raise Refusal(f"{option} {text!r} is no NAME=VALUE")
    return name, value


def _number(text: str, port: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise Refusal(f"--hold {port}={text} is no PORT=VALUE with a number, such as rst=0") from None


_OF_TABLES = ("order", "dtype", "shape")
_OF_CIRCUITS = {
    "top": "--top", "a": "--a", "b": "--b", "p": "--p", "latency": "--latency", "parameters": "-P", "hold": "--hold",
    "files": "more than one file", "libraries": "--library", "includes": "-I",
}  # fmt: skip
"""What is for Verilog only, and how it is said."""


def _refuse_options(reading: Reading, fields: Iterable[str], where: str) -> None:
    said = [_OF_CIRCUITS.get(field, f"--{field}") for field in fields if getattr(reading, field) not in (None, ())]
    if said:
        raise Refusal(f"{', '.join(said)}: such options are {where}")


def _table(path: Path, reading: Reading, name: str) -> Imported:
    signed = reading.signed
    if reading.sign_magnitude is not None:
        if signed not in (None, "none"):
            raise Refusal(f"{path}: --sign-magnitude is for an unsigned table; leave out --signed {signed}")
        signed = "none"
    table = read_table(
        path,
        signed=signed,
        order=reading.order,
        dtype=reading.dtype,
        shape=reading.shape,
        shift=reading.shift,
    )
    return Imported(name, table if reading.sign_magnitude is None else sign_magnitude(table, reading.sign_magnitude))


def _described(path: Path) -> ProductTable:
    manifest = read_manifest(path)
    if isinstance(manifest, ImportManifest):
        return Imported.load(path).table
    if not isinstance(manifest, MultiplierManifest):
        raise Refusal(
            f"{path} describes {manifest.kind!r}, no single multiplier; give what amhw gen or amhw import wrote"
        )
    return ProductTable.of(Design.parse(manifest.design).multiplier)
