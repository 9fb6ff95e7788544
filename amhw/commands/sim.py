"""The command `amhw sim`."""

from pathlib import Path

import click
from rich.console import Console

from amhw.commands.base import Command, print_json
from amhw.simulation import SIMULATORS, simulate


@click.command(cls=Command, epilog="Example: amhw sim rtl_out/mul_u8s8_pp_0_0_0_0_0_c0_e0_e0.json")
@click.argument("manifest", type=click.Path(path_type=Path))
@click.option("--simulator", type=click.Choice(SIMULATORS), help="Default: icarus if installed, else verilator.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the random operands of wide multipliers.")
@click.option("--netlist", metavar="FILE", help="Simulate this mapped netlist, which amhw synth --netlist wrote.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(manifest: Path, simulator: str | None, seed: int, netlist: str | None, as_json: bool) -> int:
    """Prove by simulation that emitted Verilog computes what its model says.

    Exit status 1 if a product differs; the first differing operand pair is named. A Verilog file that was changed
    since it was generated no longer fits its manifest and is refused with status 2.
    """
    with Console(stderr=True).status(f"simulating {manifest.stem}"):
        outcome = simulate(manifest, simulator=simulator, seed=seed, netlist=netlist)
    if as_json:
        print_json({**vars(outcome), "passed": outcome.passed})
    else:
        click.echo(f"{outcome.matched}/{outcome.pairs} {outcome.compared} match")
        if outcome.first_difference is not None:
            place = outcome.first_difference.copy()
            expected, found = place.pop("expected"), place.pop("found")
            where = " ".join(f"{name}={value}" for name, value in place.items())
            click.echo(f"first difference: {where} gives {found}, expected {expected}")
        if outcome.cycles is not None:
            click.echo(f"{outcome.cycles} clocks each, one after another without stalls")
    return 0 if outcome.passed else 1
