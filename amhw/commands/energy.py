"""The command `amhw energy`: of a multiplier on the operands that a network gives it, and of any Verilog.

    amhw energy NAME
    amhw energy rtl_out/ARRAY.v
    amhw energy FILE.v --trace TRACE.csv

The netlist is the one with the least area × delay; `amhw.synth.energy` says how its energy is counted. Which netlist
that is decides much, so the range over all recipes stands beside the figure.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from amhw.commands import shared
from amhw.commands.base import Command, print_json, print_note, refuse_without_effect, stated
from amhw.commands.progress import progress
from amhw.imports.designs import circuit_of
from amhw.neighbour import known_of
from amhw.refusal import Refusal
from amhw.synth import RECIPES, SEARCH
from amhw.synth.failure import SynthesisError
from amhw.synth.store import technology_named
from amhw.verilog import Design

if TYPE_CHECKING:
    from amhw.energy.figures import Figures
    from amhw.energy.workloads import Work

_OF_VERILOG = ("top", "trace", "operands", "hold")
"""What says what the inputs of a Verilog file see."""


@click.command(cls=Command, epilog="Example: amhw energy mul_u8s8_pp_0_0_0_0_20_f0_f8_fc --layers conv2")
@shared.multiplier()
@shared.tech()
@shared.layers()
@shared.network()
@shared.data()
@shared.top()
@click.option(
    "--trace",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Of a Verilog file: what its inputs see, CSV or npz.",
)
@click.option("--operands", metavar="A,B", help="Of a Verilog file: inputs that see a multiplier's operands.")
@shared.hold()
@click.option("--clocks", type=click.IntRange(2, 1 << 20), metavar="N", help="How many operations or clocks to count.")
@shared.quick()
@shared.json()
def command(
    multiplier: str,
    tech: str,
    layers: str | None,
    network: Path | None,
    data: Path | None,
    top: str | None,
    trace: Path | None,
    operands: str | None,
    hold: tuple[str, ...],
    clocks: int | None,
    quick: bool,
    as_json: bool,
) -> None:
    """Energy of one operation of a multiplier, in femtojoules (1 fJ = 10⁻¹⁵ J).

    The multiplier that has this NAME sees the operands of the network's layers (of the one that multiplies most, if
    none are named) and random ones. FILE is Verilog, or the manifest beside it; with registers (one clock, no memories)
    the energy is that of a clock, in three parts: data, registers, clock. Of a file that `amhw array` wrote it is that
    of the array, which computes the layer tile by tile, and is given per multiply-accumulate too, with that of its
    elements alone. In other files, and with --top, inputs see the columns of --trace, a multiplier's operands with
    --operands, what --hold says, and random bits where none of these names them.
    """
    technology = technology_named(tech)
    circuit = circuit_of(multiplier)
    if isinstance(circuit, Design):
        refuse_without_effect(_OF_VERILOG, f"that is for Verilog files; {multiplier} is none")
    # These need torch, which a help text does not wait for.
    from amhw.energy.measurement import measure

    technology.check_voltage()
    work = _work(circuit, layers, network, data, top, trace, operands, hold, clocks)
    try:
        with progress(f"synthesising {Path(multiplier).stem}") as under_way:
            found = measure(work, technology, (SEARCH,) if quick else RECIPES, under_way.update)
    except Refusal as refusal:
        raise Refusal(f"{multiplier}: {refusal}") from refusal
    except SynthesisError as error:
        raise click.ClickException(f"{multiplier}: {error}") from error
    print_note(None if found.meeting is None else found.meeting.note)
    if as_json:
        print_json(found.record())
        return
    unit = f"fJ per {'operation' if found.clock is None else 'clock'} (1 fJ = 10⁻¹⁵ J)"
    click.echo(f"{found.result.top} in {technology.name}, recipe {found.result.best_product.recipe}, {unit}")
    click.echo("\n".join([*_page(found.figures, clocked=found.clock is not None), found.assumptions]))


def _work(
    circuit: Design | Path,
    layers: str | None,
    network: Path | None,
    data: Path | None,
    top: str | None,
    trace: Path | None,
    operands: str | None,
    hold: tuple[str, ...],
    clocks: int | None,
) -> "Work":
    from amhw.energy.workloads import ArrayWork, MultiplierWork, VerilogWork, network_of_array
    from amhw.network.models.lenet5 import float_network
    from amhw.network.quantised import QuantisedNetwork

    def names(of: QuantisedNetwork | None) -> tuple[str, ...]:
        known = of or float_network()
        return shared.chosen_layers(layers, known.layer_names, (known.network.busiest,))

    given = None if network is None else QuantisedNetwork.load(network)
    if isinstance(circuit, Design):
        return MultiplierWork(circuit, names(given), given, data, clocks)
    if not stated(*_OF_VERILOG) and known_of(circuit).array is not None:
        given = given or network_of_array(circuit)
        return ArrayWork(circuit, names(given), given, data, clocks)
    asked = None if layers is None else names(given)
    return VerilogWork(circuit, top, asked, given, data, trace, operands, hold, clocks)


def _page(found: Mapping[str, "Figures"], clocked: bool) -> list[str]:
    wide = _wide(found)
    if not clocked:
        lines = [f"{'operands':{wide}} {'settled':>9s} {'timed':>9s} {'leakage':>9s}  toggles settled, timed"]
        for operands, figures in found.items():
            e = figures.energy
            columns = f"{e.settled_fj:9.1f} {e.timed_fj:9.1f} {e.leakage_fj:9.4f}"
            lines.append(f"{operands:{wide}} {columns}  {e.toggles:.1f}, {e.timed_toggles:.1f}")
        return lines + _ranges(found)
    lines = [f"{'inputs':{wide}} {'data':>18s}     {'registers':>14s}     {'clock':>9s} {'sum':>18s} {'leakage':>10s}"]
    for operands, figures in found.items():
        e = figures.energy
        parts = ((e.data_fj, e.timed_data_fj), (e.registers_fj, e.timed_registers_fj), (e.settled_fj, e.timed_fj))
        data, registers, every = (f"{settled:9.1f} … {timed:9.1f}" for settled, timed in parts)
        lines.append(f"{operands:{wide}} {data}  {registers}  {e.clock_fj:9.1f} {every} {e.leakage_fj:9.4f}")
    for operands, figures in found.items():
        if figures.products:
            e, rate = figures.energy, figures.products / figures.energy.operations
            settled, timed = figures.elements or (0.0, 0.0)
            lines.append(
                f"{operands:{wide}} {e.settled_fj / rate:.1f} … {e.timed_fj / rate:.1f} fJ a multiply-accumulate, "
                f"{settled / rate:.1f} … {timed / rate:.1f} of it in the elements; {rate:.2f} a clock"
            )
    return [*lines, *_ranges(found), "settled … timed: without and with hazards"]


def _wide(found: Mapping[str, "Figures"]) -> int:
    """Characters of the first column."""
    return max(14, *map(len, found))


def _ranges(found: Mapping[str, "Figures"]) -> list[str]:
    lines, wide = [], _wide(found)
    for operands, figures in found.items():
        ends = (
            f"{kind} {least:.1f} ({of_least}) … {greatest:.1f} ({of_greatest})"
            for kind, ((least, of_least), (greatest, of_greatest)) in figures.ranges().items()
        )
        if text := ", ".join(ends):
            lines.append(f"{operands:{wide}} by recipe: {text}")
    return lines
