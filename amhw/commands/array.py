"""The command `amhw array`."""

from pathlib import Path

import click

from amhw.array import files
from amhw.array.designs import conv_engine, matrix_product
from amhw.array.plan import ConvPlan
from amhw.array.tiling import DATAFLOWS, Tiling
from amhw.commands.base import Command, print_json
from amhw.manifests import ArrayManifest
from amhw.multiplier import parse
from amhw.network.models import lenet5 as shipped
from amhw.network.quantised import QuantisedNetwork
from amhw.refusal import Refusal
from amhw.table import ProductTable


@click.command(
    cls=Command,
    epilog="Example: amhw array --multiplier mul_u8s8_pp_0_0_0_0_0_0_f0_f0 --rows 25 --cols 16 --out rtl_out",
)
@click.option("--multiplier", "multiplier_name", metavar="NAME", required=True, help="The multiplier in each element.")
@click.option("--rows", type=int, default=25, show_default=True, help="Rows of the array.")
@click.option("--cols", type=int, default=16, show_default=True, help="Columns of the array.")
@click.option("--depth", type=int, default=1, show_default=True, help="Operand pairs that share an element's adder.")
@click.option("--network", metavar="FILE", help="The convolutions of this network file. [default: the shipped LeNet-5]")
@click.option("--matmul", metavar="M,K,N", help="Not a network: a matrix product of this shape.")
@click.option(
    "--dataflow", type=click.Choice(DATAFLOWS), default=DATAFLOWS[0], show_default=True, help="Of a matrix product."
)
@click.option("--name", metavar="MODULE", help="Module and file name, if not the design's own.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("rtl_out"), show_default=True, help="Folder.")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest and the files' paths as one JSON object.")
def command(
    multiplier_name: str,
    rows: int,
    cols: int,
    depth: int,
    network: str | None,
    matmul: str | None,
    dataflow: str,
    name: str | None,
    out: Path,
    as_json: bool,
) -> None:
    """Generate a systolic array: Verilog, a manifest and a FuseSoC core file.

    It runs a network's two convolutions, or with --matmul a matrix product.
    """
    multiplier = parse(multiplier_name)
    manifest: ArrayManifest
    if matmul is not None:
        if network is not None:
            raise Refusal("give --network or --matmul, not both")
        text, manifest = matrix_product(multiplier, Tiling(_shape(matmul), rows, cols, depth, dataflow), name)
        speed = f"{manifest.cycles} clocks a product, utilisation {manifest.utilisation:.1%}"
    else:
        if dataflow != DATAFLOWS[0]:
            raise Refusal(f"a network's convolutions are {DATAFLOWS[0]}; {dataflow} is for --matmul")
        value = shipped.network() if network is None else QuantisedNetwork.load(network)
        plan = ConvPlan(value, ProductTable.of(multiplier), rows, cols, depth)
        text, manifest = conv_engine(multiplier, plan, name)
        value.save(out / manifest.network)
        speed = (
            f"{manifest.cycles_per_image} clocks an image, utilisation {manifest.utilisation:.1%} "
            f"where the shape allows {manifest.ideal_utilisation:.1%}"
        )
    verilog, described, core = map(str, files.write(out, text, manifest))
    if as_json:
        print_json({**manifest.plain(), "verilog": verilog, "manifest": described, "core": core})
        return
    click.echo(f"{verilog}\n{described}\n{core}")
    click.echo(speed, err=True)


def _shape(text: str) -> tuple[int, int, int]:
    try:
        m, k, n = (int(side) for side in text.split(","))
    except ValueError:
        raise Refusal(f"--matmul {text!r} is no shape; write M,K,N, such as 100,150,16") from None
    return m, k, n
