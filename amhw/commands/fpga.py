"""The command `amhw fpga`."""

import tempfile
from pathlib import Path

import click

from amhw.commands import shared
from amhw.commands.array import schedule_of
from amhw.commands.base import Command, print_json
from amhw.commands.progress import progress
from amhw.imports.designs import design_of
from amhw.synth.failure import SynthesisError


@click.command(
    cls=Command,
    epilog="Example: amhw fpga lenet5 --multiplier mul_u8s8_pp_full --device ecp5-85k --cols 4 --out build",
)
@click.argument("network", metavar="NETWORK")
@shared.multiplier_option()
@click.option("--device", metavar="NAME", required=True, help="ecp5-12k, ecp5-25k, ecp5-45k or ecp5-85k.")
@click.option("--board", metavar="NAME", default="ulx3s", show_default=True, help="Whose clock and pins: ulx3s.")
@shared.rows()
@shared.cols()
@shared.depth()
@shared.window()
@shared.batch()
@click.option(
    "--clock", type=click.IntRange(10, 400), default=50, show_default=True, metavar="MHZ", help="The engine's clock."
)
@click.option("--baud", type=int, default=1_000_000, show_default=True, help="Bits a second of the serial line.")
@click.option("--dsp", is_flag=True, help="Let the requantisers multiply in DSP blocks.")
@shared.seed(default=1)
@shared.name()
@shared.out(default=Path("build"))
@shared.json()
def command(
    network: str,
    multiplier: str | None,
    device: str,
    board: str,
    rows: int,
    cols: int,
    depth: int,
    window: str | None,
    batch: int | None,
    clock: int,
    baud: int,
    dsp: bool,
    seed: int,
    name: str | None,
    out: Path,
    as_json: bool,
) -> None:
    """Put a whole network on an FPGA: a bitstream that takes images over a serial line and gives their classes.

    NETWORK is a file of a quantised network, or lenet5 for the shipped one. Its layers are computed with the
    multiplier, or without one with those that they were made for. Yosys maps the engine of amhw array --whole, nextpnr
    places and routes it, ecppack packs it. What it takes and how fast it is goes to standard output and into NAME.json,
    beside the bitstream NAME.bit, the Verilog and the network.
    """
    from amhw.fpga.build import Target, build
    from amhw.network.models import lenet5
    from amhw.network.quantised import QuantisedNetwork

    target = Target(device, board, clock, baud, dsp, seed)
    chosen = None if multiplier is None else design_of(multiplier).multiplier
    value = lenet5.network() if network == "lenet5" else QuantisedNetwork.load(network)
    schedule = schedule_of(value, chosen, rows, cols, depth, window, batch)
    name = name or f"{board}_{rows}x{cols}_d{depth}_{schedule.config.multiplier.name}"
    with tempfile.TemporaryDirectory(prefix="amhw-fpga-") as folder, progress("making the clock") as work:
        try:
            built = build(schedule, target, name, Path(folder), work.update)
        except SynthesisError as error:
            raise click.ClickException(f"{name}: {error}") from error
    written = built.write(out)
    if as_json:
        print_json(built.manifest.plain() | {"files": [str(path) for path in written]})
        return
    click.echo(built.manifest.summary())
    click.echo("\n".join(map(str, written)))
