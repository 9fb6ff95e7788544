"""The command `amhw array`."""

import json
from pathlib import Path
from typing import Any

import click

from amhw.array import files
from amhw.array.matmul import SUM_BITS, MatMul
from amhw.array.tiling import DATAFLOWS, Tiling
from amhw.array.widths import Widths
from amhw.command import Command, print_json
from amhw.multiplier import Multiplier, parse
from amhw.refusal import Refusal
from amhw.table import ProductTable
from amhw.verilog import check_identifier


@click.command(
    cls=Command,
    epilog="Example: amhw array --multiplier mul_u8s8_pp_full --rows 5 --cols 4 --matmul 20,30,8 --out rtl_out",
)
@click.option("--multiplier", "multiplier_name", metavar="NAME", required=True, help="The multiplier in each element.")
@click.option("--rows", type=int, default=25, show_default=True, help="Rows of the array.")
@click.option("--cols", type=int, default=16, show_default=True, help="Columns of the array.")
@click.option("--depth", type=int, default=1, show_default=True, help="Operand pairs that share an element's adder.")
@click.option("--matmul", metavar="M,K,N", help="A matrix product of this shape.")
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
    matmul: str,
    dataflow: str,
    name: str | None,
    out: Path,
    as_json: bool,
) -> None:
    """Generate a systolic array: Verilog, a manifest and a FuseSoC core file."""
    multiplier = parse(multiplier_name)
    text, manifest = matrix_product(multiplier, Tiling(_shape(matmul), rows, cols, depth, dataflow), name)
    verilog, described, core = files.write(out, text, manifest)
    if as_json:
        print_json(
            {
                **json.loads(described.read_text()),
                "verilog": str(verilog),
                "manifest": str(described),
                "core": str(core),
            }
        )
        return
    click.echo(f"{verilog}\n{described}\n{core}")
    click.echo(
        f"{manifest['cycles']} clocks a product; {manifest['utilisation']:.1%} of the multipliers' clocks are useful",
        err=True,
    )


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
