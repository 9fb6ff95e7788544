"""The command `amhw errors`."""

from dataclasses import fields
from pathlib import Path

import click

from amhw.arrays import arrays_in
from amhw.commands.base import Command, print_json
from amhw.commands.options import reading_options, stated_table
from amhw.errors.figures import Errors
from amhw.errors.heatmap import heat_map
from amhw.files import read_whole, write_atomically
from amhw.imports.source import Reading
from amhw.operands import OperandDistribution
from amhw.refusal import Refusal
from amhw.table import LARGEST, ProductTable

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


@click.command(
    cls=Command,
    epilog="Example: amhw errors mul_u8u8_drum_4 --heat-map drum.png",
)
@click.argument("source", metavar="NAME|FILE")
@reading_options
@click.option(
    "--operands",
    type=click.Path(path_type=Path),
    help="An .npz file with how often each code occurs: arrays a and b, or one array joint.",
)
@click.option(
    "--layer", metavar="NAME", help="Weigh by the operands that this layer of the shipped LeNet-5 meets: conv1, …"
)
@click.option(
    "--heat-map",
    "heat_map_file",
    type=click.Path(path_type=Path),
    help="Write a picture of the error to this PNG file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    source: str,
    reading: Reading,
    operands: Path | None,
    layer: str | None,
    heat_map_file: Path | None,
    as_json: bool,
) -> None:
    """Error figures of a multiplier's name, a table or a Verilog file.

    Over all operand pairs, each counted once, or weighted by how often a network multiplies them (on training
    images, padding included). Relative errors leave out pairs whose exact product is zero.
    """
    if heat_map_file is not None and heat_map_file.suffix.lower() != ".png":
        raise Refusal(f"{heat_map_file}: a heat map is written as PNG; give a file name that ends in .png")
    if operands is not None and layer is not None:
        raise Refusal("weigh by --operands or by --layer, not by both")
    table = stated_table(source, reading)
    distribution = None
    if operands is not None:
        distribution = read_operands(operands)
    elif layer is not None:
        distribution = operands_of(layer, table)
    errors = Errors.of(table, distribution)
    if heat_map_file is not None:
        write_atomically(heat_map_file, heat_map(table))
    if as_json:
        print_json(
            {
                "name": table.name,
                "table_sha256": table.sha256,
                "operands": layer if operands is None else str(operands),
            }
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


def operands_of(layer: str, table: ProductTable) -> OperandDistribution:
    """What a layer of the shipped network multiplies on training images, at the table's operand widths.

    Raises:
        Refusal: there is no such layer, or it cannot have the table's operands.
    """
    # These need torch, and most calls of this command do not.
    from amhw.network.models.lenet5 import network_for
    from amhw.network.operands import layer_operands
    from amhw.network.trained_on import own_data

    network = network_for(table, (layer,))
    images = own_data(network.network).calibration.first(_IMAGES).images
    return layer_operands(network, images, (layer,))[layer]


def read_operands(path: Path) -> OperandDistribution:
    """The distribution in an .npz file: arrays ``a`` and ``b``, or ``joint``; counts or probabilities.

    Raises:
        Refusal: the file holds neither.
    """
    content = read_whole(path, _MOST_BYTES)
    try:
        arrays = arrays_in(content, LARGEST)
    except Refusal as refusal:
        raise Refusal(f"{path} is no .npz file of operand counts: {refusal}") from None
    try:
        if set(arrays) == {"joint"}:
            return OperandDistribution.of_pairs(arrays["joint"])
        if set(arrays) == {"a", "b"}:
            return OperandDistribution.of_histograms(arrays["a"], arrays["b"])
    except (Refusal, ValueError) as error:
        raise Refusal(f"{path}: {error}") from None
    raise Refusal(f"{path} holds {', '.join(arrays) or 'nothing'}; give arrays a and b, or one array joint")
