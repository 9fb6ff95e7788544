"""Energy: of a multiplier on the operands that LeNet-5 gives it and on random ones, and of anyone's Verilog.

    amhw energy NAME
    amhw energy rtl_out/ARRAY.v
    amhw energy FILE.v --trace TRACE.csv

The netlist is the one with the least area × delay; `amhw.synth.energy` says how its energy is counted. Which netlist
that is decides much, so the range over all recipes stands beside the figure.
"""

from collections.abc import Mapping
from pathlib import Path

import click
from rich.console import Console

from amhw.commands.base import Command, print_json
from amhw.energy.figures import Figures, figures_of
from amhw.energy.workloads import CLOCKS, LAYER, ArrayWork, MultiplierWork, VerilogWork, Work
from amhw.neighbour import known_of
from amhw.network.quantised import QuantisedNetwork
from amhw.refusal import Refusal
from amhw.stimulus import OPERATIONS
from amhw.synth import RECIPES, SEARCH, Synthesiser
from amhw.synth.clocked import clock_of
from amhw.synth.energy import ASSUMPTIONS, CLOCK_ASSUMPTION
from amhw.synth.failure import SynthesisError
from amhw.synth.store import technology_named
from amhw.verilog import Design


@click.command(cls=Command, epilog="Example: amhw energy mul_u8s8_pp_0_0_0_0_20_f0_f8_fc --layer conv2")
@click.argument("name")
@click.option("--tech", default="sky130hd", show_default=True, help="Technology (amhw tech list), or a Liberty file.")
@click.option("--layer", help=f"The layer whose operands are used. [default: {LAYER}]")
@click.option(
    "--network", metavar="FILE", help="The network whose operands are used. [default: an array's, or shipped]"
)
@click.option(
    "--data-dir", type=click.Path(path_type=Path), metavar="DATA", help="The network's own data set, if not MNIST."
)
@click.option("--top", metavar="MODULE", help="Of a Verilog file. [default: the only one; of an array file the array]")
@click.option("--trace", metavar="FILE", help="Of a Verilog file: what its inputs see, CSV or npz.")
@click.option("--operands", metavar="A,B", help="Of a Verilog file: inputs that see a multiplier's operands.")
@click.option("--hold", metavar="PORT=VALUE", multiple=True, help="Of a Verilog file: an input that never changes.")
@click.option(
    "--clocks", type=click.IntRange(2, 1 << 20), help=f"How long. [default: {OPERATIONS}; registers {CLOCKS}]"
)
@click.option("--search", is_flag=True, help=f"Only the quick recipe '{SEARCH.name}', not the best of all.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    name: str,
    tech: str,
    layer: str | None,
    network: str | None,
    data_dir: Path | None,
    top: str | None,
    trace: str | None,
    operands: str | None,
    hold: tuple[str, ...],
    clocks: int | None,
    search: bool,
    as_json: bool,
) -> None:
    """Energy of one operation of the multiplier NAME: on LeNet-5's operands in a layer, and on random ones.

    NAME may also be a Verilog file; with registers (one clock, no memories) the energy is that of a clock, in three
    parts: data, registers, clock. Of a file that `amhw array` wrote it is that of the array, which computes the layer
    tile by tile, and is given per multiply-accumulate too, with that of its elements alone. In other files, and with
    --top, inputs see the columns of --trace, a multiplier's operands with --operands, what --hold says, and random bits
    where none of these names them.
    """
    technology = technology_named(tech)
    if technology.library.voltage == 0:
        raise Refusal(f"{tech} does not say its supply voltage (nom_voltage), so there is no energy")
    chosen = None if network is None else QuantisedNetwork.load(network)
    recipes = (SEARCH,) if search else RECIPES
    verilog = name.endswith((".v", ".sv"))
    steered = top or trace or operands or hold
    work: Work
    if verilog and not steered and known_of(Path(name)).array is not None:
        work = ArrayWork(Path(name), layer or LAYER, chosen, data_dir, clocks)
    elif verilog:
        work = VerilogWork(Path(name), top, layer, chosen, data_dir, trace, operands, hold, clocks)
    elif steered:
        raise Refusal(f"--top, --trace, --operands and --hold are for Verilog files; {name} is none")
    else:
        work = MultiplierWork(Design.parse(name), layer or LAYER, chosen, data_dir, clocks)
    with (
        Console(stderr=True).status(f"synthesising {Path(name).stem}"),
        Synthesiser(technology, recipes, workers=1, netlists=True, timeout=3600 if work.apart else 300) as synthesiser,
    ):
        try:
            result = work.synthesised(synthesiser)
        except Refusal as refusal:
            raise Refusal(f"{name}: {refusal}") from refusal
        except SynthesisError as error:
            raise click.ClickException(f"{name}: {error}") from error
    netlists = {mapping.recipe: mapping.gates for mapping in result.mappings if mapping.gates is not None}
    netlist = netlists[result.best_product.recipe]
    try:
        clock = clock_of(netlist)
        stimuli = work.stimuli(netlist, clock)
        with Console(stderr=True).status("counting"):
            found = {
                given: figures_of(netlists, result.best_product.recipe, technology, each, work.elements)
                for given, each in stimuli.items()
            }
    except Refusal as refusal:
        raise Refusal(f"{name}: {refusal}") from refusal
    assumptions = ASSUMPTIONS if clock is None else f"{ASSUMPTIONS}; {CLOCK_ASSUMPTION}"
    if as_json:
        print_json(
            {
                "design": result.top,
                "tech": technology.name,
                "tech_sha256": technology.sha256,
                "recipe": result.best_product.recipe,
                "area_um2": result.area_um2,
                "delay_ps": result.delay_ps,
                "network_sha256": work.network_sha256,
                "clock": clock,
                "operands": {given: figures.record() for given, figures in found.items()},
                "assumptions": assumptions,
            }
        )
        return
    unit = "operation" if clock is None else "clock"
    click.echo(f"{result.top} in {technology.name}, recipe {result.best_product.recipe}, fJ per {unit}")
    click.echo("\n".join([*_page(found, clocked=clock is not None), assumptions]))


def _page(found: Mapping[str, Figures], clocked: bool) -> list[str]:
    if not clocked:
        lines = [f"{'operands':14s} {'settled':>9s} {'timed':>9s} {'leakage':>9s}  toggles settled, timed"]
        for operands, figures in found.items():
            e = figures.energy
            columns = f"{e.settled_fj:9.1f} {e.timed_fj:9.1f} {e.leakage_fj:9.4f}"
            lines.append(f"{operands:14s} {columns}  {e.toggles:.1f}, {e.timed_toggles:.1f}")
        return lines + _ranges(found)
    lines = [f"{'inputs':14s} {'data':>18s}     {'registers':>14s}     {'clock':>9s} {'sum':>18s} {'leakage':>10s}"]
    for operands, figures in found.items():
        e = figures.energy
        parts = ((e.data_fj, e.timed_data_fj), (e.registers_fj, e.timed_registers_fj), (e.settled_fj, e.timed_fj))
        data, registers, every = (f"{settled:9.1f} … {timed:9.1f}" for settled, timed in parts)
        lines.append(f"{operands:14s} {data}  {registers}  {e.clock_fj:9.1f} {every} {e.leakage_fj:9.4f}")
    for operands, figures in found.items():
        if figures.products:
            e, rate = figures.energy, figures.products / figures.energy.operations
            settled, timed = figures.elements or (0.0, 0.0)
            lines.append(
                f"{operands:14s} {e.settled_fj / rate:.1f} … {e.timed_fj / rate:.1f} fJ a multiply-accumulate, "
                f"{settled / rate:.1f} … {timed / rate:.1f} of it in the elements; {rate:.2f} a clock"
            )
    return [*lines, *_ranges(found), "settled … timed: without and with hazards"]


def _ranges(found: Mapping[str, Figures]) -> list[str]:
    lines = []
    for operands, figures in found.items():
        ends = (
            f"{kind} {least:.1f} ({of_least}) … {greatest:.1f} ({of_greatest})"
            for kind, ((least, of_least), (greatest, of_greatest)) in figures.ranges().items()
        )
        if text := ", ".join(ends):
            lines.append(f"{operands:14s} by recipe: {text}")
    return lines
