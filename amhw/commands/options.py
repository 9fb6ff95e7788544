"""The options by which every command reads a multiplier from elsewhere."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from amhw.commands import shared
from amhw.imports.source import Reading, is_file, table_of
from amhw.imports.suspicion import suspicions
from amhw.imports.tables import ORDERS
from amhw.table import ProductTable

_OPTIONS = (
    shared.signed(),
    click.option("--order", type=click.Choice(ORDERS), help="For a table: whether the first index is operand a or b."),
    click.option("--top", metavar="MODULE", help="For Verilog: the top module, if several are possible."),
    click.option("--a", metavar="PORT", help="Input of operand a (activation), if its name does not say so."),
    click.option("--b", metavar="PORT", help="Input of operand b (weight)."),
    click.option("--p", metavar="PORT", help="Output of the product, if there are several."),
    click.option(
        "--library",
        "libraries",
        multiple=True,
        type=click.Path(path_type=Path),
        help="More Verilog, for modules that a Verilog file uses.",
    ),
)


def reading_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of `Reading`; the function gets them together, as ``reading``."""

    @wraps(function)
    def command(**arguments: Any) -> Any:
        said = {name: arguments.pop(name) for name in Reading.__dataclass_fields__}
        return function(reading=Reading(**said), **arguments)

    decorated: Callable[..., Any] = command
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


def stated_table(source: str, reading: Reading) -> ProductTable:
    """`table_of`; what looks wrong about a file goes to standard error."""
    table = table_of(source, reading)
    if is_file(Path(source)):
        note_doubts(source, table)
    return table


def note_doubts(source: str | Path, table: ProductTable) -> list[str]:
    """One line on standard error for each of `suspicions`, which are returned."""
    doubts = suspicions(table)
    for doubt in doubts:
        click.echo(f"amhw: note: {source}: {doubt}", err=True)
    return doubts
