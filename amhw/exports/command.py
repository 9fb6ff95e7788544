"""The command `amhw export`."""

from pathlib import Path

import click
import numpy as np

from amhw.command import Command, print_json
from amhw.exports.layouts import LAYOUTS, content
from amhw.files import write_atomically
from amhw.imports.source import table_of
from amhw.imports.suspicion import SIGNED
from amhw.imports.tables import ORDERS, read_table
from amhw.refusal import Refusal


@click.command(
    cls=Command,
    epilog="Example: amhw export mul_u8u8_drum_4 --format tfapprox --out tables",
)
@click.argument("source", metavar="NAME|FILE")
@click.option("--format", "layout", type=click.Choice(list(LAYOUTS)), required=True, help="Layout.")
@click.option(
    "--order", type=click.Choice(ORDERS), help="Put operand a (activation) first, or b (weight). [default: ab]"
)
@click.option("--signed", type=click.Choice(list(SIGNED)), help="For a file: its two's-complement operands.")
@click.option("--file-order", type=click.Choice(ORDERS), help="For a table file: its order.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("tables"), show_default=True, help="Folder.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    source: str,
    layout: str,
    order: str | None,
    signed: str | None,
    file_order: str | None,
    out: Path,
    as_json: bool,
) -> None:
    """Write the product table of a multiplier or a file in a layout that others read.

    Operand a is the activation, b the weight; signed operands are indexed by their two's-complement codes.
    The file is read back, in its layout, before the command says that it is written.
    """
    table = table_of(source, signed=signed, order=file_order)
    data = content(table, layout, order=order, name=table.name)
    transposed = "_ba" if order == "ba" else ""
    path = write_atomically(out / f"{table.name}_{layout}{transposed}{LAYOUTS[layout].suffix}", data)
    name = next(name for name, signs in SIGNED.items() if signs == (table.signed_a, table.signed_b))
    again = read_table(path, signed=name, order=order or "ab")
    if not np.array_equal(again.products, table.products):
        path.unlink()
        raise Refusal(f"{path} did not read back as it was written; nothing is left of it")
    if as_json:
        print_json({"file": str(path), "format": layout, "order": order or "ab", "table_sha256": table.sha256})
    else:
        click.echo(str(path))
