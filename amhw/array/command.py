"""The command `amhw array`."""

import json
from pathlib import Path
from typing import Any

import click

from amhw.array import files
from amhw.array.conv import ConvEngine
from amhw.array.matmul import SUM_BITS, MatMul
from amhw.array.plan import ConvPlan
from amhw.array.tiling import DATAFLOWS, Tiling
from amhw.array.widths import Widths
from amhw.command import Command, print_json
from amhw.lenet import shipped
from amhw.lenet.network import QuantisedNetwork
from amhw.multiplier import Multiplier, parse
from amhw.refusal import Refusal
from amhw.table import ProductTable
from amhw.verilog import check_identifier


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
    if matmul is not None:
        if network is not None:
            raise Refusal("give --network or --matmul, not both")
        text, manifest = matrix_product(multiplier, Tiling(_shape(matmul), rows, cols, depth, dataflow), name)
        paths = files.write(out, text, manifest)
    else:
        if dataflow != DATAFLOWS[0]:
            raise Refusal(f"a network's convolutions are {DATAFLOWS[0]}; {dataflow} is for --matmul")
        value = shipped.network() if network is None else QuantisedNetwork.load(network)
        plan = ConvPlan(value, ProductTable.of(multiplier), rows, cols, depth)
        text, manifest = conv_engine(multiplier, plan, name)
        value.save(out / manifest["network"])
        paths = files.write(out, text, manifest)
    if as_json:
        verilog, described, core = map(str, paths)
        print_json({**json.loads(paths[1].read_text()), "verilog": verilog, "manifest": described, "core": core})
        return
    click.echo("\n".join(map(str, paths)))
    if matmul is not None:
        click.echo(f"{manifest['cycles']} clocks a product, utilisation {manifest['utilisation']:.1%}", err=True)
    else:
        click.echo(
            f"{manifest['cycles_per_image']} clocks an image, utilisation {manifest['utilisation']:.1%} "
            f"where the shape allows {manifest['ideal_utilisation']:.1%}",
            err=True,
        )


def conv_engine(multiplier: Multiplier, plan: ConvPlan, name: str | None = None) -> tuple[str, dict[str, Any]]:
    """Verilog and manifest of a `ConvEngine`.

    Raises:
        Refusal: `name` is no identifier.
    """
    name = name or f"conv_{plan.rows}x{plan.cols}_d{plan.depth}_{multiplier.name}"
    check_identifier(name)
    core = ConvEngine(multiplier, plan)
    text, ports = files.verilog(core, core.array.elements, name)
    manifest = {
        "kind": "conv-engine",
        "name": name,
        "title": f"Convolutions of {plan.network.name} on a {plan.rows} x {plan.cols} weight-stationary systolic array",
        "multiplier": multiplier.name,
        "network": f"{name}.npz",
        "network_sha256": plan.network.sha256,
        "image_side": plan.image_side,
        "rows": plan.rows,
        "cols": plan.cols,
        "depth": plan.depth,
        "latency": core.latency,
        "cycles_per_image": plan.cycles_per_image,
        "ideal_cycles_per_image": plan.ideal_cycles,
        "products_per_image": plan.products,
        "utilisation": round(plan.utilisation, 4),
        "ideal_utilisation": round(plan.ideal_utilisation, 4),
        "sum_width": plan.widths.sum_width(plan.terms),
        "sum_unit": 1 << plan.widths.shift,
        "elements": sorted({element.name for element in core.array.elements}),
        "memory_map": core.memory_map,
        "memory_bits": plan.memory_bits,
        "ports": ports,
    }
    return text, manifest


def matrix_product(multiplier: Multiplier, tiling: Tiling, name: str | None = None) -> tuple[str, dict[str, Any]]:
    """Verilog and manifest of a `MatMul`.

    Raises:
        Refusal: sums could overflow, or `name` is no identifier.
    """
    m, k, n = tiling.shape
    widths = Widths.of(ProductTable.of(multiplier))
    widths.check_sums(k, SUM_BITS)
    dataflow = "" if tiling.is_weight_stationary else "_os"
    name = name or f"matmul_{m}x{k}x{n}_{tiling.rows}x{tiling.cols}_d{tiling.depth}{dataflow}_{multiplier.name}"
    check_identifier(name)
    core = MatMul(multiplier, widths, tiling)
    text, ports = files.verilog(core, core.array.elements, name)
    manifest = {
        "kind": "array",
        "name": name,
        "title": f"{m} x {k} x {n} matrix product on a {tiling.rows} x {tiling.cols} {tiling.dataflow} systolic array",
        "multiplier": multiplier.name,
        "shape": [m, k, n],
        "rows": tiling.rows,
        "cols": tiling.cols,
        "depth": tiling.depth,
        "dataflow": tiling.dataflow,
        "latency": core.array.latency,
        "cycles": tiling.cycles,
        "utilisation": round(tiling.utilisation, 4),
        "sum_width": core.sum_width,
        "sum_unit": 1 << core.widths.shift,
        "elements": sorted({element.name for element in core.array.elements}),
        "ports": ports,
    }
    return text, manifest


def _shape(text: str) -> tuple[int, int, int]:
    try:
        m, k, n = (int(side) for side in text.split(","))
    except ValueError:
        raise Refusal(f"--matmul {text!r} is no shape; write M,K,N, such as 100,150,16") from None
    return m, k, n
