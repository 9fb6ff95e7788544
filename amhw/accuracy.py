"""``python -m amhw.accuracy``: LeNet-5's accuracy with a multiplier, or any product table, in some of its layers."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress

from amhw.command import Command, print_json
from amhw.imports.options import reading_options, stated_table
from amhw.imports.source import UNSAID, VERILOG, Reading, is_file
from amhw.imports.tables import SUFFIXES
from amhw.lenet.data import DataSet, test_set
from amhw.lenet.inference import Inference
from amhw.lenet.model import FloatNetwork
from amhw.lenet.network import QuantisedNetwork
from amhw.lenet.shipped import float_network, network_for
from amhw.refusal import Refusal
from amhw.table import ProductTable
from amhw.verilog import Design


@dataclass(frozen=True)
class Accuracy:
    """How many of `images` were classified correctly, and everything on which that depends."""

    multiplier: str
    layers: tuple[str, ...]
    correct: int
    images: int
    table_sha256: str
    network_sha256: str
    data_sha256: str
    seconds: float

    @property
    def accuracy(self) -> float:
        return self.correct / self.images

    def record(self) -> dict[str, Any]:
        """The JSON object."""
        return {"accuracy": self.accuracy, **vars(self), "layers": list(self.layers)}


def measure(
    table: ProductTable,
    layers: tuple[str, ...],
    network: QuantisedNetwork,
    data: DataSet,
    report: Callable[[int], None] = lambda images: None,
) -> Accuracy:
    """Classify `data` with `table` in `layers` of `network`; `report` hears of each chunk's number of images.

    Raises:
        Refusal: a layer is unknown or the table does not fit it.
    """
    found = measure_tables(dict.fromkeys(layers, table), network, data, report)
    return replace(found, multiplier=table.name, table_sha256=table.sha256)


def measure_tables(
    tables: Mapping[str, ProductTable],
    network: QuantisedNetwork,
    data: DataSet,
    report: Callable[[int], None] = lambda images: None,
) -> Accuracy:
    """`measure` with a table for each layer; names and hashes are joined by commas where they differ.

    Raises:
        Refusal: a layer is unknown or its table does not fit it.
    """
    start = time.perf_counter()
    correct = Inference(network, tables).correct(data, report)
    seconds = time.perf_counter() - start
    names, hashes = ({getattr(table, what): None for table in tables.values()} for what in ("name", "sha256"))
    return Accuracy(
        ",".join(names),
        tuple(tables),
        int(correct.sum()),
        len(data),
        ",".join(hashes),
        network.sha256,
        data.sha256,
        seconds,
    )


@click.command(
    cls=Command,
    epilog="Example: amhw accuracy --multiplier mul_u8s8_pp_0_0_0_0_0_c0_e0_e0 --layers conv1,conv2",
)
@click.option(
    "--multiplier", metavar="NAME", help="A multiplier's name, or the manifest that amhw gen or amhw import wrote."
)
@click.option(
    "--table",
    "table_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Instead of a name: a product table (.npy, .bin, .csv, .h) or Verilog, read as amhw import does.",
)
@reading_options
@click.option("--layers", help="Which layers it serves: names with commas, or all. [default: conv1,conv2]")
@click.option("--network", type=click.Path(path_type=Path), help="A quantised network file; default: shipped.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder with IDX files; default: MNIST.")
@click.option("--images", type=int, help="Use only the first N test images.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    multiplier: str | None,
    table_file: Path | None,
    reading: Reading,
    layers: str | None,
    network: Path | None,
    data_dir: Path | None,
    images: int | None,
    as_json: bool,
) -> None:
    """Classify the test images in integers, with a multiplier in some layers and exact products in the others.

    Operand a of the multiplier is the activation, b the weight. The shipped LeNet-5 takes the multiplier's
    operand widths, 2 to 8 bits each, in the layers that it serves; the other layers stay unsigned × signed 8 bits.
    A network file that amhw select wrote says which multiplier each layer was made for: those are used unless
    others are given, and others are refused.
    """
    data = test_set(data_dir)
    if images is not None:
        data = data.first(images)
    chosen = None if network is None else QuantisedNetwork.load(network)
    if chosen is not None and (multiplier, table_file, layers, reading) == (None, None, None, UNSAID):
        tables = tables_made_for(chosen)
    else:
        table = _table(multiplier, table_file, reading)
        known: QuantisedNetwork | FloatNetwork = float_network() if chosen is None else chosen
        names = chosen_layers(layers, known.layer_names, known.convolutions)
        tables = dict.fromkeys(names, table)
        chosen = chosen or network_for(table, names)
    click.echo(f"network: {chosen.name} ({network or 'shipped'}); images: {data.name}", err=True)

    with Progress(transient=True, console=Console(stderr=True)) as progress:
        task = progress.add_task("classifying", total=len(data))
        result = measure_tables(tables, chosen, data, lambda done: progress.advance(task, done))
    if as_json:
        print_json(result.record())
    else:
        click.echo(
            f"{100 * result.accuracy:.2f} % ({result.correct} of {result.images} images) with {result.multiplier} "
            f"in {', '.join(result.layers)}"
        )


def tables_made_for(network: QuantisedNetwork) -> dict[str, ProductTable]:
    """The product tables of the multipliers that a network's layers were made for, by layer.

    Raises:
        Refusal: no layer says, or a multiplier's table is not what it was when the network was made.
    """
    tables = {
        layer.name: ProductTable.of(Design.parse(layer.made_for.name).multiplier)
        for layer in network.layers
        if layer.made_for is not None
    }
    if not tables:
        raise Refusal(f"{network.name} was made for exact products: give --multiplier NAME or --table FILE")
    network.check_tables(tables)
    return tables


def _table(name: str | None, file: Path | None, reading: Reading) -> ProductTable:
    if (name is None) == (file is None):
        raise Refusal("give either --multiplier NAME or --table FILE")
    if file is not None and not is_file(file):
        raise Refusal(
            f"{file} is neither a table ({', '.join(SUFFIXES)}) nor Verilog ({', '.join(VERILOG)}); names and "
            "manifests go with --multiplier"
        )
    return stated_table(name or str(file), reading)


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


if __name__ == "__main__":
    command(prog_name="amhw accuracy")
