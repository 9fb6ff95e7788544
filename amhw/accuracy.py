"""``python -m amhw.accuracy``: LeNet-5's accuracy with a multiplier, or any product table, in some of its layers."""

import io
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.progress import Progress

from amhw.command import Command, print_json
from amhw.files import read_whole
from amhw.imports.source import table_of
from amhw.imports.suspicion import SIGNED, suspicions
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


def read_table(path: Path, signed: str) -> ProductTable:
    """The product table in a NumPy file: integers of shape (2^width_a, 2^width_b), indexed by operand code.

    Raises:
        Refusal: the file holds something else.
    """
    try:
        products = np.load(io.BytesIO(read_whole(path)), allow_pickle=False)
    except Refusal:
        raise
    except (ValueError, EOFError, OSError) as error:
        raise Refusal(f"{path} is no NumPy array file (.npy); wanted integers of shape (2^m, 2^n)") from error
    if not isinstance(products, np.ndarray):
        raise Refusal(f"{path} is an archive of several arrays; wanted one .npy array of shape (2^m, 2^n)")
    try:
        return ProductTable(products, *SIGNED[signed], name=path.stem)
    except Refusal as refusal:
        raise Refusal(f"{path}: {refusal}") from refusal


@click.command(
    cls=Command,
    epilog="Example: amhw accuracy --multiplier mul_u8s8_pp_0_0_0_0_0_c0_e0_e0 --layers conv1,conv2",
)
@click.option(
    "--multiplier", metavar="NAME", help="A multiplier's name, as amhw gen prints it, or an import's manifest."
)
@click.option(
    "--table",
    "table_file",
    type=click.Path(path_type=Path),
    metavar="FILE.npy",
    help="Instead of a name: products of shape (2^m, 2^n), rows: activation codes, columns: weight codes.",
)
@click.option(
    "--signed",
    type=click.Choice(list(SIGNED)),
    default="b",
    show_default=True,
    help="Which operands of --table are two's complement.",
)
@click.option("--layers", help="Which layers it serves: names with commas, or all. [default: conv1,conv2]")
@click.option("--network", type=click.Path(path_type=Path), help="A quantised network file; default: shipped.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder with IDX files; default: MNIST.")
@click.option("--images", type=int, help="Use only the first N test images.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    multiplier: str | None,
    table_file: Path | None,
    signed: str,
    layers: str | None,
    network: Path | None,
    data_dir: Path | None,
    images: int | None,
    as_json: bool,
) -> None:
    """Classify the test images in integers, with a multiplier in some layers and exact products in the others.

    Rows of the product table are activations, columns weights. The shipped LeNet-5 takes the multiplier's
    operand widths, 2 to 8 bits each, in the layers that it serves; the other layers stay unsigned × signed 8 bits.
    A network file that amhw select wrote says which multiplier each layer was made for: those are used unless
    others are given, and others are refused.
    """
    data = test_set(data_dir)
    if images is not None:
        data = data.first(images)
    chosen = None if network is None else QuantisedNetwork.load(network)
    if chosen is not None and multiplier is None and table_file is None and layers is None:
        tables = tables_made_for(chosen)
    else:
        table = _table(multiplier, table_file, signed)
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
        raise Refusal(f"{network.name} was made for exact products: give --multiplier NAME or --table FILE.npy")
    network.check_tables(tables)
    return tables


def _table(name: str | None, file: Path | None, signed: str) -> ProductTable:
    if (name is None) == (file is None):
        raise Refusal("give either --multiplier NAME or --table FILE.npy")
    if file is not None:
        table = read_table(file, signed)
        for suspicion in suspicions(table):
            click.echo(f"note: {suspicion}", err=True)
        return table
    assert name is not None
    return table_of(name)


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
