"""The command `amhw export`."""

from pathlib import Path

import click
import numpy as np

from amhw.commands.base import Command, print_json
from amhw.commands.options import reading_options, stated_table
from amhw.exports.layouts import LAYOUTS, content
from amhw.files import write_atomically
from amhw.imports.source import Reading
from amhw.imports.tables import ORDERS, read_table
from amhw.multiplier import signedness
from amhw.refusal import Refusal


@click.command(
    cls=Command,
    epilog="Example: amhw export mul_u8u8_drum_4 --format tfapprox --out tables",
)
@click.argument("source", metavar="NAME|FILE")
@click.option("--format", "layout", type=click.Choice(list(LAYOUTS)), required=True, help="Layout.")
@click.option(
    "--out-order",
    type=click.Choice(ORDERS),
    help="What is written has operand a (activation) first, or b (weight). [default: ab]",
)
@reading_options
@click.option("--out", type=click.Path(path_type=Path), default=Path("tables"), show_default=True, help="Folder.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(source: str, layout: str, out_order: str | None, reading: Reading, out: Path, as_json: bool) -> None:
    """Write the product table of a multiplier or a file in a layout that others read.

    Operand a is the activation, b the weight; signed operands are indexed by their two's-complement codes.
    The file is read back, in its layout, before the command says that it is written.
    """
    table = stated_table(source, reading)
    data = content(table, layout, order=out_order, name=table.name)
    transposed = "_ba" if out_order == "ba" else ""
    path = write_atomically(out / f"{table.name}_{layout}{transposed}{LAYOUTS[layout].suffix}", data)
    indices = None if layout == "csv" else out_order or "ab"
    shape = "256x256" if path.suffix == ".bin" else None  # TFApprox's, the only raw layout
    again = read_table(path, signed=signedness(table.signed_a, table.signed_b), order=indices, shape=shape)
    if not np.array_equal(again.products, table.products):
        path.unlink()
        raise Refusal(f"{path} did not read back as it was written; nothing is left of it")
    if as_json:
        print_json({"file": str(path), "format": layout, "order": out_order or "ab", "table_sha256": table.sha256})
    else:
        click.echo(str(path))
