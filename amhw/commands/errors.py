"""The command `amhw errors`."""

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import click

from amhw.commands import shared
from amhw.commands.base import Command, print_json, print_note, refuse_without_effect
from amhw.commands.options import reading_options, stated_table
from amhw.errors.figures import Errors
from amhw.errors.heatmap import heat_map
from amhw.files import check_writable, write_atomically
from amhw.imports.source import Reading
from amhw.operands import OperandDistribution
from amhw.refusal import Refusal
from amhw.table import LARGEST, ProductTable

if TYPE_CHECKING:
    from amhw.network.trained_on import Meeting

_IMAGES = 500
"""Training images whose operands are counted: hundreds of thousands of multiplications already."""

_MOST_BYTES = 16 * LARGEST
"""Of a file with operand counts."""

_LABELS = {
    "me": "ME    mean error",
    "mae": "MAE   mean absolute error",
    "wce": "WCE   worst-case error",
    "mse": "MSE   mean squared error",
    "variance": "      variance",
    "ep": "EP    error probability",
    "mred": "MRED  mean relative error",
    "wcre": "WCRE  worst-case relative error",
    "zero": "      mean absolute error where a·b = 0",
}


@click.command(cls=Command, epilog="Example: amhw errors mul_u8u8_drum_4 --heat-map drum.png")
@shared.multiplier()
@reading_options
@shared.option(
    "--distribution",
    type=click.Path(path_type=Path),
    metavar="FILE",
    old=("--operands",),
    help="Weigh by how often each code occurs: an .npz file with arrays a and b, or one array joint.",
)
@shared.layers()
@shared.network()
@shared.data()
@click.option(
    "--heat-map",
    "heat_map_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write a picture of the error to this PNG file.",
)
@shared.json()
def command(
    multiplier: str,
    reading: Reading,
    distribution: Path | None,
    layers: str | None,
    network: Path | None,
    data: Path | None,
    heat_map_file: Path | None,
    as_json: bool,
) -> None:
    """Error figures of a multiplier that has a NAME, or comes from a FILE: a manifest, a table or Verilog.

    Of a table must be said which operands are signed, and their order if it matters; of Verilog its declarations count,
    unless the products contradict them.

    Over all operand pairs, each counted once; or, with --layers, weighted by how often these layers of the network
    multiply them (on training images, padding included). Relative errors leave out pairs whose exact product is zero.
    """
    if heat_map_file is not None and heat_map_file.suffix.lower() != ".png":
        raise Refusal(f"{heat_map_file}: a heat map is written as PNG; give a file name that ends in .png")
    if heat_map_file is not None:
        check_writable(heat_map_file)
    if distribution is not None and layers is not None:
        raise Refusal("weigh by --distribution or by --layers, not by both")
    if layers is None:
        refuse_without_effect(["network", "data"], "only what --layers multiply depends on it")
    table = stated_table(multiplier, reading)
    operands = meeting = None
    if distribution is not None:
        operands = OperandDistribution.read(distribution)
    elif layers is not None:
        operands, meeting = _multiplied(layers, network, data, table)
        print_note(meeting.note)
    errors = Errors.of(table, operands)
    if heat_map_file is not None:
        write_atomically(heat_map_file, heat_map(table))
    if as_json:
        print_json(
            {
                "name": table.name,
                "table_sha256": table.sha256,
                "operands": layers if distribution is None else str(distribution),
            }
            | ({} if meeting is None else meeting.record())
            | errors.record()
            | {"heat_map": None if heat_map_file is None else str(heat_map_file)}
        )
        return
    click.echo(table.name)
    for field in fields(errors):
        value = getattr(errors, field.name)
        shown = f"{value:.4%}" if field.name in ("ep", "mred", "wcre") else f"{value:.10g}"
        click.echo(f"  {_LABELS[field.name]:42}{shown:>14}")
    if heat_map_file is not None:
        click.echo(str(heat_map_file))


def _multiplied(
    layers: str, file: Path | None, data: Path | None, table: ProductTable
) -> tuple[OperandDistribution, "Meeting"]:
    """What the layers multiply on training images, with operands of the table's widths; and whose images these are."""
    # These need torch, which a help text does not wait for.
    from amhw.network.inference import check_operands
    from amhw.network.models.lenet5 import float_network, network_for
    from amhw.network.operands import pooled_operands
    from amhw.network.quantised import QuantisedNetwork
    from amhw.network.trained_on import Meeting, own_data

    given = None if file is None else QuantisedNetwork.load(file)
    names = shared.chosen_layers(layers, (given or float_network()).layer_names, ())
    network = given or network_for(table, names)
    for name in names:
        check_operands(network[name], table)
    source = own_data(network.network, data)
    images = source.representative.images[:_IMAGES]
    return pooled_operands(network, images, names), Meeting(network.network, source)
