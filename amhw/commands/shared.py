"""The options that several commands have: one name, one type and one help text for one thing.

Each is a decorator's factory, as `click.option` is: a command may add its own default, take a value several times, or
go on understanding an older spelling (``old``).
"""

from collections.abc import Callable, Sequence
from functools import partial, wraps
from pathlib import Path
from typing import Any

import click

from amhw.commands.base import Option
from amhw.multiplier import SIGNEDNESS
from amhw.refusal import Refusal
from amhw.simulation import SIMULATORS

_PATH = click.Path(path_type=Path)

option = partial(click.option, cls=Option)

json = partial(option, "--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")

tech = partial(
    option,
    "--tech",
    metavar="NAME|FILE",
    default="sky130hd",
    show_default=True,
    old=("--liberty",),
    help="Technology: one that amhw tech list names, or a Liberty file.",
)

show = partial(option, "--show", is_flag=True, help="Print the dot diagram, or the schedule; write nothing.")

layers = partial(
    option,
    "--layers",
    metavar="NAMES",
    old=("--layer",),
    help="Layers of the network, with commas between them; or all.",
)

network = partial(option, "--network", type=_PATH, metavar="FILE", help="This network file, not the shipped LeNet-5.")

data = partial(
    option,
    "--data",
    type=_PATH,
    metavar="DATA",
    old=("--data-dir",),
    help="Images with labels, not MNIST: a folder of IDX files or of PNG files a class, or an .npz file.",
)

images = partial(
    option,
    "--images",
    metavar="N|FIRST:END|all",
    default="all",
    show_default=True,
    help="Which test images: the first N, those from FIRST to before END, or all.",
)

max_loss = partial(
    option,
    "--max-loss",
    type=float,
    metavar="POINTS",
    help="The cheapest that loses at most so many points on training images.",
)

threshold = partial(
    option,
    "--threshold",
    type=int,
    metavar="MARGIN",
    help="Of a cascade: the second network is asked where the two largest logits are less apart than this.",
)

out = partial(option, "--out", type=_PATH, metavar="PATH", show_default=True, help="Where to write; folders are made.")

results = partial(
    option,
    "--results",
    type=_PATH,
    metavar="FILE",
    help="Results store, which studies and selections may share. [default: results.sqlite in --out]",
)

workers = partial(option, "--workers", type=int, metavar="N", help="Processes. [default: one for each core]")

dask = partial(option, "--dask", metavar="ADDRESS", help="Use the workers of this Dask scheduler, not processes.")

quick = partial(option, "--quick", is_flag=True, old=("--search",), help="Only the quick recipe, not the best of all.")

seed = partial(
    option,
    "--seed",
    type=click.IntRange(0, (1 << 32) - 1),
    metavar="N",
    show_default=True,
    help="Seed of what is random.",
)

simulator = partial(
    option,
    "--simulator",
    type=click.Choice(SIMULATORS),
    help="The simulator. [default: icarus if it is installed, else verilator]",
)

netlist = partial(
    option,
    "--netlist",
    type=_PATH,
    metavar="FILE",
    help="The mapped netlist, with models of its cells: amhw synth writes it, amhw sim simulates it.",
)

name = partial(option, "--name", metavar="NAME", help="What to call it, if not by its own name.")

top = partial(option, "--top", metavar="MODULE", help="For Verilog: the top module, if several are possible.")

hold = partial(
    option,
    "--hold",
    multiple=True,
    metavar="PORT=VALUE",
    help="For Verilog: an input that never changes, such as a reset; may be repeated.",
)

width = partial(option, "--width", type=int, metavar="N", help="Bits of both operands.")

signed = partial(
    option,
    "--signed",
    type=click.Choice(list(SIGNEDNESS)),
    help="Which operands are two's complement.",
)

rows = partial(option, "--rows", type=int, default=25, show_default=True, help="Rows of the array.")

cols = partial(option, "--cols", type=int, default=16, show_default=True, help="Columns of the array.")

depth = partial(
    option, "--depth", type=int, default=1, show_default=True, help="Operand pairs that share an element's adder."
)

window = partial(
    option,
    "--window",
    metavar="H,W",
    help="Of a whole network: taps that are read at once. [default: as square as the rows]",
)

batch = partial(
    option, "--batch", type=int, help="Of a whole network: images that share the linear layers' weights. [default: 32]"
)

multiplier_option = partial(
    option, "--multiplier", metavar="NAME|FILE", help="A multiplier: its name, or a file that holds one."
)

multipliers = partial(multiplier_option, "multipliers", multiple=True)

NO_MULTIPLIER = "which multiplier? give NAME|FILE: a name, as amhw families lists some, or a file that holds one"

NO_FILE = "which multiplier? give a FILE: Verilog or a product table"


def multiplier(
    *, required: bool = True, old: Sequence[str] = (), file: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command a multiplier, as its first argument or as ``--multiplier``; its function gets ``multiplier``.

    With `file`, it is a file and no name.

    Running the command raises a `Refusal` if it is given both ways, or neither though it is `required`.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @click.argument("first", required=False, metavar="[FILE]" if file else "[NAME|FILE]")
        @multiplier_option(old=old, **({"metavar": "FILE"} if file else {}))
        @wraps(function)
        def command(first: str | None, multiplier: str | None, **arguments: Any) -> Any:
            if first is not None and multiplier is not None:
                raise Refusal(f"{first} and {multiplier}: give one multiplier, as the argument or as --multiplier")
            chosen = multiplier if first is None else first
            if chosen is None and required:
                raise Refusal(NO_FILE if file else NO_MULTIPLIER)
            return function(multiplier=chosen, **arguments)

        return command

    return decorate


def chosen_layers(wanted: str | None, known: tuple[str, ...], default: tuple[str, ...]) -> tuple[str, ...]:
    """The layers that ``--layers`` names.

    Raises:
        Refusal: one is unknown.
    """
    if wanted is None:
        return default
    if wanted == "all":
        return known
    names = tuple(name.strip() for name in wanted.split(","))
    for name in names:
        if name not in known:
            raise Refusal(f"no layer {name!r}; --layers takes all, or some of {','.join(known)}")
    return tuple(name for name in known if name in names)
