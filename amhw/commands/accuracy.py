"""``python -m amhw.accuracy``: LeNet-5's accuracy with a multiplier, or any product table, in some of its layers."""

from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from amhw.commands.base import Command, print_json
from amhw.commands.options import chosen_layers, reading_options, stated_table
from amhw.datasets import data_source
from amhw.imports.source import UNSAID, VERILOG, Reading, is_file
from amhw.imports.tables import SUFFIXES
from amhw.network.models.lenet5 import float_network, network_for
from amhw.network.quantised import QuantisedNetwork
from amhw.network.real import FloatNetwork
from amhw.network.trained_on import other_data
from amhw.refusal import Refusal
from amhw.scoring import measure_tables, tables_made_for
from amhw.table import ProductTable


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
    source = data_source(data_dir)
    data = source.test
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
    chosen.network.check_images(data)
    if (note := other_data(chosen.network, source)) is not None:
        click.echo(f"amhw: note: {note}", err=True)
    click.echo(f"network: {chosen.name} ({network or 'shipped'}); images: {data.name}", err=True)

    with Progress(transient=True, console=Console(stderr=True)) as progress:
        task = progress.add_task("classifying", total=len(data))
        result = measure_tables(tables, chosen, data, lambda done: progress.advance(task, done))
    if as_json:
        on = chosen.network.trained_on
        said = {"trained_on": None if on is None else vars(on), "data": vars(source.identity)}
        print_json({**result.record(), **said})
    else:
        click.echo(
            f"{100 * result.accuracy:.2f} % ({result.correct} of {result.images} images) with {result.multiplier} "
            f"in {', '.join(result.layers)}"
        )


def _table(name: str | None, file: Path | None, reading: Reading) -> ProductTable:
    if (name is None) == (file is None):
        raise Refusal("give either --multiplier NAME or --table FILE")
    if file is not None and not is_file(file):
        raise Refusal(
            f"{file} is neither a table ({', '.join(SUFFIXES)}) nor Verilog ({', '.join(VERILOG)}); names and "
            "manifests go with --multiplier"
        )
    return stated_table(name or str(file), reading)
