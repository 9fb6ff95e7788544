"""A product table by whatever names it: a multiplier's name, a table file, Verilog, or a manifest."""

from dataclasses import dataclass
from pathlib import Path

from amhw.files import read_whole
from amhw.imports.circuits import read_circuit
from amhw.imports.imported import Imported
from amhw.imports.tables import SUFFIXES, read_table
from amhw.manifests import ImportManifest, MultiplierManifest, read_manifest
from amhw.refusal import Refusal
from amhw.table import ProductTable
from amhw.verilog import Design

VERILOG = (".v", ".sv")


@dataclass(frozen=True)
class Reading:
    """What a file from elsewhere does not say of itself.

    Attributes:
        signed: which operands are two's complement; see `read_table` and `read_circuit`.
        order: of a table's indices; see `read_table`.
        dtype, shape: of raw numbers; see `read_table`.
        shift: the lowest bit of a product weighs 2^shift.
        top, a, b, p: the top module of Verilog, and its ports; see `read_circuit`.
        libraries: more Verilog, for modules that the file uses.
    """

    signed: str | None = None
    order: str | None = None
    dtype: str | None = None
    shape: str | None = None
    shift: int = 0
    top: str | None = None
    a: str | None = None
    b: str | None = None
    p: str | None = None
    libraries: tuple[Path, ...] = ()


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
            f"{', '.join((*VERILOG, *SUFFIXES))}, or .json as amhw gen and amhw import write it"
        )
    return ProductTable.of(Design.parse(source).multiplier)


def is_file(path: Path) -> bool:
    """Whether the path ends as a table's or Verilog's does."""
    return path.suffix in (*VERILOG, *SUFFIXES)


def open_file(path: Path, reading: Reading, name: str | None = None) -> Imported:
    """The multiplier in a table file or in Verilog, called `name` or as the file is.

    Raises:
        Refusal: as `read_table` and `read_circuit`, with the path; or the file is neither.
    """
    of_circuits = {"library": reading.libraries, "top": reading.top, "a": reading.a, "b": reading.b, "p": reading.p}
    if path.suffix in SUFFIXES:
        if said := [f"--{option}" for option, value in of_circuits.items() if value]:
            raise Refusal(f"{', '.join(said)}: such options are for Verilog; {path} is a table and has --order")
        table = read_table(
            path,
            signed=reading.signed,
            order=reading.order,
            dtype=reading.dtype,
            shape=reading.shape,
            shift=reading.shift,
        )
        return Imported(name or path.stem, table)
    if path.suffix not in VERILOG:
        raise Refusal(f"{path} is neither Verilog ({', '.join(VERILOG)}) nor a table ({', '.join(SUFFIXES)})")
    of_tables = {"order": reading.order, "dtype": reading.dtype, "shape": reading.shape}
    if said := [f"--{option}" for option, value in of_tables.items() if value is not None]:
        raise Refusal(f"{said[0]} is for tables; the ports of a circuit go by name (--a, --b)")
    files = (path, *reading.libraries)
    text = "\n".join(read_whole(file).decode("utf-8", errors="replace") for file in files)
    try:
        return read_circuit(
            text,
            name=name or path.stem,
            top=reading.top,
            a=reading.a,
            b=reading.b,
            p=reading.p,
            signed=reading.signed,
            system_verilog=path.suffix == ".sv",
        )
    except Refusal as refusal:
        raise Refusal(f"{path}: {refusal}") from None


def _described(path: Path) -> ProductTable:
    manifest = read_manifest(path)
    if isinstance(manifest, ImportManifest):
        return Imported.load(path).table
    if not isinstance(manifest, MultiplierManifest):
        raise Refusal(
            f"{path} describes {manifest.kind!r}, no single multiplier; give what amhw gen or amhw import wrote"
        )
    return ProductTable.of(Design.parse(manifest.design).multiplier)
