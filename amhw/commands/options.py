"""The options by which every command reads a multiplier from elsewhere."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from amhw.commands import shared
from amhw.commands.base import print_note
from amhw.imports.source import Reading, is_file, table_of
from amhw.imports.suspicion import suspicions
from amhw.imports.tables import ORDERS
from amhw.table import ProductTable

if TYPE_CHECKING:
    from amhw.network.quantised import QuantisedNetwork

_OPTIONS = (
    shared.signed(),
    click.option("--order", type=click.Choice(ORDERS), help="For a table: whether the first index is operand a or b."),
    click.option("--dtype", metavar="TYPE", help="For raw numbers (.bin): their type, such as uint16 or float32."),
    click.option("--shape", metavar="ROWSxCOLUMNS", help="For numbers without a shape: such as 256x256."),
    click.option(
        "--shift",
        type=click.IntRange(0, 31),
        default=0,
        metavar="K",
        help="The lowest bit of a file's product weighs 2^K (an output that leaves low bits out). [default: 0]",
    ),
    click.option(
        "--sign-magnitude",
        type=click.Choice(["a", "b", "both"]),
        help="Make operands of an unsigned file signed: multiply magnitudes, then give the product its sign.",
    ),
    click.option("--a", metavar="PORT", help="Input of operand a (activation), if its name does not say so."),
    click.option("--b", metavar="PORT", help="Input of operand b (weight)."),
    click.option("--p", metavar="PORT", help="Output of the product, if there are several."),
    click.option(
        "--latency",
        type=click.IntRange(0, 64),
        metavar="N",
        help="Cycles from operands to product, where paths meet different numbers of registers. [default: as found]",
    ),
)

_VERILOG_OPTIONS = (
    click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[VERILOG]..."),
    shared.top(),
    click.option(
        "-P", "parameters", multiple=True, metavar="NAME=VALUE", help="A parameter of the top module; may be repeated."
    ),
    shared.hold(),
    click.option(
        "-I",
        "includes",
        multiple=True,
        type=click.Path(path_type=Path),
        metavar="FOLDER",
        help="Where included files are; may be repeated.",
    ),
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
    return _reading(function, (*_OPTIONS, *_VERILOG_OPTIONS))


def verilog_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command those options of `Reading` that say what Verilog is read; the function gets ``reading``."""
    return _reading(function, _VERILOG_OPTIONS)


def _reading(function: Callable[..., Any], options: tuple[Callable[..., Any], ...]) -> Callable[..., Any]:
    @wraps(function)
    def command(**arguments: Any) -> Any:
        said = {name: arguments.pop(name) for name in Reading.__dataclass_fields__ if name in arguments}
        return function(reading=Reading(**said), **arguments)

    decorated: Callable[..., Any] = command
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


def stated_table(source: str, reading: Reading) -> ProductTable:
    """`table_of`; what looks wrong about a file goes to standard error."""
    table = table_of(source, reading)
    if is_file(Path(source)):
        note_doubts(source, table)
    return table


def stated_tables(
    source: str, reading: Reading, layers: str | None, network: "QuantisedNetwork | None"
) -> "tuple[QuantisedNetwork, dict[str, ProductTable]]":
    """A network and `stated_table` in its `layers`, the convolutions if none are named.

    Args:
        network: None is the shipped one, with the table's operands in these layers.

    Raises:
        Refusal: a layer is unknown, or the table cannot be read or used.
    """
    # It needs torch, which a help text does not wait for.
    from amhw.network.models.lenet5 import float_network, network_for

    table = stated_table(source, reading)
    known = float_network() if network is None else network
    names = shared.chosen_layers(layers, known.layer_names, known.convolutions)
    return network or network_for(table, names), dict.fromkeys(names, table)


def note_doubts(source: str | Path, table: ProductTable) -> list[str]:
    """One line on standard error for each of `suspicions`, which are returned."""
    doubts = suspicions(table)
    for doubt in doubts:
        print_note(f"{source}: {doubt}")
    return doubts
