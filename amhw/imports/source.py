"""A product table by whatever names it: a multiplier's name, a table file, Verilog, or an import's manifest."""

from pathlib import Path

from amhw.files import read_whole
from amhw.imports.circuits import read_circuit
from amhw.imports.imported import Imported
from amhw.imports.tables import SUFFIXES, read_table
from amhw.refusal import Refusal
from amhw.table import ProductTable
from amhw.verilog import Design

VERILOG = (".v", ".sv")


def table_of(source: str, *, signed: str | None = None, order: str | None = None) -> ProductTable:
    """The table that `source` names.

    Args:
        source: a multiplier's (or design's) name, or the path of a table, of Verilog or of an import's
        manifest. signed: for a table or Verilog file, see `read_table` and `read_circuit`. order: for a
        table file, see `read_table`.

    Raises:
        Refusal: it names nothing, or signedness or order is missing or said where it is known already.
    """
    path = Path(source)
    if path.suffix in VERILOG:
        if order is not None:
            raise Refusal("--order is for tables; the ports of a circuit go by name")
        return open_circuit(path, signed=signed).table
    if path.suffix in SUFFIXES:
        return read_table(path, signed=signed, order=order)
    if signed is not None or order is not None:
        raise Refusal(f"--signed and --order are for files; {source} is no table or Verilog file")
    if path.suffix == ".json":
        return Imported.load(path).table
    return ProductTable.of(Design.parse(source).multiplier)


def open_circuit(
    path: Path,
    *,
    libraries: tuple[Path, ...] = (),
    top: str | None = None,
    a: str | None = None,
    b: str | None = None,
    p: str | None = None,
    signed: str | None = None,
    name: str | None = None,
) -> Imported:
    """`read_circuit` of a file, with further files that hold modules it uses.

    Raises:
        Refusal: as `read_circuit`; the message starts with the path.
    """
    text = "\n".join(read_whole(file).decode("utf-8", errors="replace") for file in (path, *libraries))
    try:
        return read_circuit(
            text, name=name or path.stem, top=top, a=a, b=b, p=p, signed=signed, system_verilog=path.suffix == ".sv"
        )
    except Refusal as refusal:
        raise Refusal(f"{path}: {refusal}") from None
