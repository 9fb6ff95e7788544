"""The command `amhw synth`."""

import re
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from amhw.commands.base import Command, print_json
from amhw.files import read_whole, write_atomically
from amhw.manifests import ArrayManifest, MatrixProductManifest
from amhw.neighbour import known_of
from amhw.refusal import Refusal
from amhw.synth.failure import SynthesisError
from amhw.synth.fpga import FAMILIES
from amhw.synth.fpga import fpga as on_fpga
from amhw.synth.models import cell_models
from amhw.synth.opensta import available, timing_by_opensta
from amhw.synth.pool import Synthesiser
from amhw.synth.recipe import RECIPES, SEARCH
from amhw.synth.result import Mapping, Module, SynthesisResult
from amhw.synth.store import technology_named
from amhw.synth.technology import Technology, technologies


@click.command(
    cls=Command,
    epilog="Example: python -m amhw.synth rtl_out/mult.v --tech sg13g2",
)
@click.argument("verilog", type=click.Path())
@click.option("--top", metavar="NAME", help="Top module; needed only when several are possible.")
@click.option("--tech", metavar="NAME", help=f"Technology: {', '.join(technologies())}, or one that was imported.")
@click.option(
    "--liberty", metavar="FILE,...", help="Use this Liberty file (plain or gzip), or these, instead of --tech."
)
@click.option("--search", is_flag=True, help=f"Only the quick recipe '{SEARCH.name}', not the best of all.")
@click.option("--prove", is_flag=True, help="Let ABC prove every netlist equal to the Verilog, registers included.")
@click.option(
    "--timer",
    type=click.Choice(["builtin", "opensta"]),
    default="builtin",
    show_default=True,
    help="Who times the reported netlists; 'opensta' needs the program sta on PATH.",
)
@click.option(
    "--hierarchical/--flat",
    default=None,
    help="Map each module by itself, or dissolve all modules first. [default: hierarchical for arrays, else flat]",
)
@click.option("--netlist", metavar="FILE", help="Write the reported netlist there, with models of its cells.")
@click.option("--fpga", type=click.Choice(list(FAMILIES)), help="Instead: LUTs, carries, DSPs and Fmax on this FPGA.")
@click.option("--no-dsp", is_flag=True, help="With --fpga: no DSP blocks.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    verilog: str,
    top: str | None,
    tech: str | None,
    liberty: str | None,
    search: bool,
    prove: bool,
    timer: str,
    hierarchical: bool | None,
    netlist: str | None,
    fpga: str | None,
    no_dsp: bool,
    as_json: bool,
) -> None:
    """Area, critical-path delay and cells of the Verilog file VERILOG, by Yosys and ABC.

    The figures are of one mapped netlist, the one with the least area × delay among the recipes; the
    smallest and the fastest are given too. The delay counts every gate's load, clock-to-output and set-up
    times, and no wires. Where the manifest that `amhw gen` or `amhw import` wrote lies beside VERILOG, every
    netlist must compute the products that it stands for, or, where those are too many or the design has
    registers, must be proved equal to the Verilog. Memories that are written and are read with a clock are
    counted in bits; they have no area.
    """
    if fpga is not None:
        if tech is not None or liberty is not None or search or prove or timer != "builtin" or netlist is not None:
            raise Refusal("--fpga goes with --top, --no-dsp and --json only")
        _fpga(verilog, fpga, top, no_dsp, as_json)
        return
    if no_dsp:
        raise Refusal("--no-dsp goes with --fpga")
    if tech is not None and liberty is not None:
        raise Refusal("give --tech or --liberty, not both")
    if timer == "opensta" and not available():
        raise Refusal("OpenSTA is not on PATH; install the package opensta, or leave --timer opensta out")
    technology = Technology.from_liberty(liberty) if liberty else technology_named(tech or "sky130hd")
    text = read_whole(verilog).decode("utf-8", errors="replace")
    expected, provable, array = known_of(Path(verilog))
    apart = array is not None if hierarchical is None else hierarchical
    recipes = (SEARCH,) if search else RECIPES
    with (
        Console(stderr=True).status(f"synthesising {Path(verilog).stem}"),
        Synthesiser(technology, recipes, workers=1, netlists=True, timeout=3600 if array else 300) as synthesiser,
    ):
        try:
            folder = Path(verilog).absolute().parent
            waiting = synthesiser.submit(
                text, top, expected, prove=prove or provable, includes=folder, hierarchical=apart
            )
            result = waiting.result()
            if timer == "opensta":
                result = replace(result, mappings=tuple(_timed_again(m, technology) for m in result.mappings))
        except Refusal as refusal:
            raise Refusal(f"{verilog}: {refusal}") from refusal
        except SynthesisError as error:
            raise click.ClickException(f"{verilog}: {error}") from error
    if netlist is not None:
        best = result.best_product
        assert best.netlist is not None
        write_atomically(Path(netlist), best.netlist + "\n" + cell_models(technology.library, best.cells_by_type))
    figures = None if array is None else array_figures(result, array)
    if as_json:
        print_json(result.record() | {"timer": timer} | ({} if figures is None else {"array": figures}))
    else:
        click.echo(_page(result, technology, timer, figures))


def array_figures(result: SynthesisResult, manifest: ArrayManifest) -> dict[str, Any] | None:
    """Area and longest path of the mesh and of each of its elements, where it is the top or modules were kept.

    Returns:
        The mesh's module, its multipliers, its area in all and by multiplier, its delay, its elements; or None.
    """
    best = result.best_product
    modules = {module.name: module for module in best.modules}
    mesh = next((module for name, module in modules.items() if name.endswith(".array")), None)
    if mesh is None:
        if not result.top.endswith(".array"):
            return None
        mesh = Module(result.top, 1, best.area_um2, best.cells, best.area_um2, best.delay_ps)
    stationary = isinstance(manifest, MatrixProductManifest) and manifest.dataflow == "output-stationary"
    multipliers = manifest.rows * manifest.cols * (manifest.depth if stationary else 1)
    return {
        "module": mesh.name,
        "rows": manifest.rows,
        "cols": manifest.cols,
        "depth": manifest.depth,
        "multipliers": multipliers,
        "area_um2": mesh.area_um2,
        "area_per_mac_um2": round(mesh.area_um2 / multipliers, 2),
        "delay_ps": mesh.delay_ps,
        "elements": [asdict(modules[name]) for name in manifest.elements if name in modules],
    }


def _fpga(verilog: str, family: str, top: str | None, no_dsp: bool, as_json: bool) -> None:
    text = read_whole(verilog).decode("utf-8", errors="replace")
    try:
        found = on_fpga(text, family, top, dsp=not no_dsp)
    except Refusal as refusal:
        raise Refusal(f"{verilog}: {refusal}") from refusal
    except SynthesisError as error:
        raise click.ClickException(f"{verilog}: {error}") from error
    if as_json:
        print_json(found.record())
        return
    fmax = "no path between registers" if found.fmax_mhz is None else f"{found.fmax_mhz:.1f} MHz"
    around = "" if found.flip_flops else " with registers around it"
    click.echo(f"{found.top} on {found.part}, {found.tool} and nextpnr")
    click.echo(f"LUTs {found.luts}   carries {found.carries}   DSPs {found.dsps}   flip-flops {found.flip_flops}")
    click.echo(f"Fmax {fmax}{around}")


def _timed_again(mapping: Mapping, technology: Technology) -> Mapping:
    assert mapping.gates is not None
    found = timing_by_opensta(mapping.gates, technology)
    return replace(mapping, delay_ps=found.delay_ps, path=found.path, setup_ps=found.setup_ps)


def _page(result: SynthesisResult, technology: Technology, timer: str, array: dict[str, Any] | None) -> str:
    best = result.best_product
    said = "" if timer == "builtin" else f", timed by {timer}"
    lines = [
        f"{result.top} in {technology.name} ({technology.source}), {result.tool}{said}",
        f"area    {best.area_um2:10.2f} µm²   {result.nand2:.1f} NAND2",
        f"delay   {best.delay_ps:10.1f} ps    "
        + (f"{best.start} → {best.end}, {len(best.path) - 1} cells" if best.path else "no cell on any path"),
        f"cells   {best.cells:7d}          recipe {best.recipe}",
    ]
    lines += [f"  {count:5d} {name}" for name, count in best.cells_by_type.items()]
    lines += _modules(best)
    if array is not None:
        lines.append(
            f"array   {array['rows']} × {array['cols']}, depth {array['depth']}: {array['area_um2']:.2f} µm², "
            f"{array['area_per_mac_um2']:.2f} µm² a multiply-accumulate, {array['delay_ps']:.1f} ps"
        )
    if best.memories:
        bits = sum(store.bits for store in best.memories)
        lines.append(f"memory  {bits} bits, not in the area:")
        lines += [f"  {count:5d} × {words} words of {width} bits  {name}" for name, words, width, count in _alike(best)]
    if best.path:
        lines.append("path    arrival   slew    load  cell")
    for step in best.path:
        way = {"rise": "↑", "fall": "↓"}.get(step.edge, "")
        name = f"{step.pin} → {way} {step.net}" if step.pin else f"{way} {step.net}"
        lines.append(f"     {step.arrival_ps:7.1f} ps {step.slew_ps:6.1f} {step.load_ff:6.1f} fF  {step.cell} {name}")
    if best.setup_ps:
        lines.append(f"     {best.delay_ps:7.1f} ps  set-up {best.setup_ps:.1f} ps")
    if len(result.mappings) > 1:
        small, fast = result.best_area, result.best_delay
        lines.append(f"smallest {small.area_um2:9.2f} µm² {small.delay_ps:9.1f} ps   recipe {small.recipe}")
        lines.append(f"fastest  {fast.area_um2:9.2f} µm² {fast.delay_ps:9.1f} ps   recipe {fast.recipe}")
        area, delay = (result.noise(figure) for figure in ("area", "delay"))
        lines.append(f"between recipes of one aim: {area:.1%} area, {delay:.1%} delay; smaller differences are noise")
    if result.verified:
        lines.append(f"checked: every netlist, {result.verified}")
    lines += [f"recipe {recipe} failed: {why}" for recipe, why in result.failures]
    return "\n".join(lines)


def _modules(mapping: Mapping) -> list[str]:
    """A line for each module of a hierarchy."""
    if not mapping.modules:
        return []
    lines = ["modules  each of     area    with all inside     cells      path"]
    for module in mapping.modules:
        lines.append(
            f"  {module.instances:13d} {module.own_area_um2:10.2f} {module.area_um2:14.2f} µm² {module.cells:9d} "
            f"{module.delay_ps:9.1f} ps  {module.name}"
        )
    return lines


def _alike(mapping: Mapping) -> list[tuple[str, int, int, int]]:
    """Memories whose names differ in digits only and that are equally large: name, words, width, how many."""
    found = Counter((re.sub(r"\d+", "*", store.name), store.words, store.width) for store in mapping.memories)
    return [(*kind, count) for kind, count in found.items()]
