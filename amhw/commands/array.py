"""The command `amhw array`."""

from pathlib import Path

import click

from amhw.array import files
from amhw.array.tiling import DATAFLOWS, Tiling
from amhw.commands import shared
from amhw.commands.base import Command, print_json, print_next
from amhw.imports.designs import design_of
from amhw.manifests import ArrayManifest
from amhw.refusal import Refusal
from amhw.table import ProductTable


@click.command(
    cls=Command,
    epilog="Example: amhw array mul_u8s8_pp_0_0_0_0_0_0_f0_f0 --rows 25 --cols 16 --out rtl_out",
)
@shared.multiplier()
@click.option("--rows", type=int, default=25, show_default=True, help="Rows of the array.")
@click.option("--cols", type=int, default=16, show_default=True, help="Columns of the array.")
@click.option("--depth", type=int, default=1, show_default=True, help="Operand pairs that share an element's adder.")
@shared.network()
@click.option("--matmul", metavar="M,K,N", help="Not a network: a matrix product of this shape.")
@click.option(
    "--dataflow", type=click.Choice(DATAFLOWS), default=DATAFLOWS[0], show_default=True, help="Of a matrix product."
)
@shared.name()
@shared.out(default=Path("rtl_out"))
@shared.json()
def command(
    multiplier: str,
    rows: int,
    cols: int,
    depth: int,
    network: Path | None,
    matmul: str | None,
    dataflow: str,
    name: str | None,
    out: Path,
    as_json: bool,
) -> None:
    """Generate a systolic array: Verilog, a manifest and a FuseSoC core file.

    Each of its elements has the multiplier that has this NAME, or that amhw gen wrote to FILE. It runs a network's two
    convolutions, or with --matmul a matrix product.
    """
    from amhw.array.designs import conv_engine, matrix_product
    from amhw.array.plan import ConvPlan
    from amhw.network.models import lenet5 as shipped
    from amhw.network.quantised import QuantisedNetwork

    chosen = design_of(multiplier).multiplier
    network_files: list[Path] = []
    manifest: ArrayManifest
    if matmul is not None:
        if network is not None:
            raise Refusal("give --network or --matmul, not both")
        text, manifest = matrix_product(chosen, Tiling(_shape(matmul), rows, cols, depth, dataflow), name)
        speed = f"{manifest.cycles} clocks a product, utilisation {manifest.utilisation:.1%}"
    else:
        if dataflow != DATAFLOWS[0]:
            raise Refusal(f"a network's convolutions are {DATAFLOWS[0]}; {dataflow} is for --matmul")
        value = shipped.network() if network is None else QuantisedNetwork.load(network)
        plan = ConvPlan(value, ProductTable.of(chosen), rows, cols, depth)
        text, manifest = conv_engine(chosen, plan, name)
        network_files = [value.save(out / manifest.network)]
        speed = (
            f"{manifest.cycles_per_image} clocks an image, utilisation {manifest.utilisation:.1%} "
            f"where the shape allows {manifest.ideal_utilisation:.1%}"
        )
    written = [*files.write(out, text, manifest), *network_files]
    if as_json:
        names = ("verilog", "manifest", "core", "network")
        print_json({**manifest.plain(), **dict(zip(names, map(str, written), strict=False))})
        return
    click.echo("\n".join(map(str, written)))
    click.echo(speed, err=True)
    print_next("sim", written[1])


def _shape(text: str) -> tuple[int, int, int]:
    try:
        m, k, n = (int(side) for side in text.split(","))
    except ValueError:
        raise Refusal(f"--matmul {text!r} is no shape; write M,K,N, such as 100,150,16") from None
    return m, k, n
