"""The command `amhw export`."""

from pathlib import Path

import click

from amhw.commands import shared
from amhw.commands.base import Command, print_json
from amhw.commands.options import reading_options, stated_table
from amhw.exports.files import write
from amhw.exports.layouts import LAYOUTS
from amhw.imports.source import Reading
from amhw.imports.tables import ORDERS


@click.command(cls=Command, epilog="Example: amhw export mul_u8u8_drum_4 --format tfapprox --out tables")
@shared.multiplier()
@click.option("--format", "layout", type=click.Choice(list(LAYOUTS)), required=True, help="Layout.")
@click.option(
    "--out-order",
    type=click.Choice(ORDERS),
    help="What is written has operand a (activation) first, or b (weight). [default: ab]",
)
@reading_options
@shared.out(default=Path("tables"))
@shared.json()
def command(multiplier: str, layout: str, out_order: str | None, reading: Reading, out: Path, as_json: bool) -> None:
    """Write a multiplier's product table in a layout that others read.

    The multiplier has a NAME, or comes from a FILE: a manifest, or a table or Verilog, read as amhw import does.
    Operand a is the activation, b the weight; signed operands are indexed by their two's-complement codes.
    The file is read back, in its layout, before the command says that it is written.
    """
    table = stated_table(multiplier, reading)
    path = write(table, layout, out, out_order)
    if as_json:
        print_json({"file": str(path), "format": layout, "order": out_order or "ab", "table_sha256": table.sha256})
    else:
        click.echo(str(path))
