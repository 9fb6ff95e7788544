"""The command `amhw sim`."""

from pathlib import Path

import click

from amhw.commands import shared
from amhw.commands.base import Command, print_json, print_next
from amhw.commands.progress import progress
from amhw.imports.designs import manifest_of
from amhw.regenerated import regenerated
from amhw.simulation import simulate


@click.command(cls=Command, epilog="Example: amhw sim rtl_out/mul_u8s8_pp_0_0_0_0_0_c0_e0_e0.json")
@shared.multiplier()
@shared.simulator()
@shared.seed(default=1)
@shared.netlist()
@shared.json()
def command(multiplier: str, simulator: str | None, seed: int, netlist: Path | None, as_json: bool) -> int:
    """Prove by simulation that emitted Verilog computes what its model says.

    FILE is the manifest that amhw gen or amhw array wrote, or the Verilog beside it; of a NAME the Verilog is made for
    the simulation alone. Operands of wide multipliers are random. Exit status 1 if a product differs; the first
    differing operand pair is named. What the manifest names is generated again, and other Verilog is refused with
    status 2: a simulator would do whatever it says.
    """
    with (
        progress(f"simulating {Path(multiplier).stem}"),
        manifest_of(multiplier) as named,
        regenerated(named) as manifest,
    ):
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
        if outcome.passed:
            print_next("synth", multiplier)
    return 0 if outcome.passed else 1
