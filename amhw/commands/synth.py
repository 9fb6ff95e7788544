"""The command `amhw synth`."""

import math
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from amhw.commands import shared
from amhw.commands.base import Command, print_json, print_next, refuse_without_effect
from amhw.commands.options import verilog_options
from amhw.commands.progress import progress
from amhw.extras import optional
from amhw.files import check_writable, write_atomically
from amhw.hdl.source import Source
from amhw.hdl.wrapper import wrapped
from amhw.imports.designs import as_file, circuit_of
from amhw.imports.source import UNSAID, Reading
from amhw.neighbour import NOTHING, known_of
from amhw.refusal import Refusal
from amhw.synth.failure import SynthesisError
from amhw.synth.fpga import FAMILIES
from amhw.synth.fpga import fpga as on_fpga
from amhw.synth.layout import Layout, laid_out
from amhw.synth.layout_picture import picture as drawing
from amhw.synth.mesh import mesh_figures
from amhw.synth.models import cell_models
from amhw.synth.opensta import available, timed_again, timing_with_wires
from amhw.synth.placement import UTILISATION
from amhw.synth.pool import Synthesiser
from amhw.synth.recipe import AS_DESIGNED, BOTH_KINDS, SEARCH
from amhw.synth.result import Mapping, SynthesisResult
from amhw.synth.store import technology_named
from amhw.synth.technology import Technology
from amhw.synth.timing import timing
from amhw.synth.truth import Expected, check
from amhw.synth.wires import wires_of


@click.command(cls=Command, epilog="Example: amhw synth rtl_out/mul_u8s8_pp_0_0_0_0_0_c0_e0_e0.v --tech sg13g2")
@shared.multiplier()
@verilog_options
@shared.tech()
@shared.quick()
@click.option("--prove", is_flag=True, help="Let ABC prove every netlist equal to the Verilog, registers included.")
@click.option(
    "--timer",
    type=click.Choice(["builtin", "opensta"]),
    default="builtin",
    show_default=True,
    help="The timer of the reported netlists; 'opensta' needs the program sta on PATH.",
)
@click.option(
    "--hierarchical/--flat",
    default=None,
    help="Map each module by itself, or dissolve all modules first. [default: hierarchical for arrays, else flat]",
)
@click.option(
    "--place", "placing", is_flag=True, help="Place the cells too: delay with wires, and the area of the core."
)
@click.option(
    "--picture",
    type=click.Path(dir_okay=False, path_type=Path),
    help="With --place: draw the placed netlist, as designed, in this SVG file.",
)
@click.option(
    "--period",
    "clock_ps",
    metavar="PS",
    type=click.FloatRange(min=0, min_open=True),
    help="With --place: the period of a clock; what takes longer is repaired, as a flow does.",
)
@shared.netlist()
@click.option("--fpga", type=click.Choice(list(FAMILIES)), help="Instead: LUTs, carries, DSPs and Fmax on this FPGA.")
@click.option("--no-dsp", is_flag=True, help="With --fpga: no DSP blocks.")
@shared.json()
def command(
    multiplier: str,
    reading: Reading,
    tech: str,
    quick: bool,
    prove: bool,
    timer: str,
    hierarchical: bool | None,
    placing: bool,
    picture: Path | None,
    clock_ps: float | None,
    netlist: Path | None,
    fpga: str | None,
    no_dsp: bool,
    as_json: bool,
) -> None:
    """Area, critical-path delay and cells of a multiplier's NAME or of any circuit's FILE, by Yosys and ABC.

    A FILE is Verilog (.v, .sv), BLIF (.blif) or AIGER (.aig, .aag).

    There are figures of two kinds; compare each with its own. Restructured: what the tools can make of the function;
    first those of one mapped netlist, the one with the least area × delay among the recipes, then the smallest and
    the fastest. As designed: of the netlist that keeps the structure and uses the library's adder cells. The delay
    counts every gate's load, clock-to-output and set-up times; wires count with --place only, which gives the median
    of several placements. Where the manifest that `amhw gen` or `amhw import` wrote lies beside FILE, every
    netlist must compute the products that it stands for, or, where those are too many or the design has
    registers, must be proved equal to the Verilog. Memories that are written and are read with a clock are
    counted in bits; they have no area.
    """
    circuit = circuit_of(multiplier)
    if fpga is not None:
        refuse_without_effect(
            ["tech", "quick", "prove", "timer", "hierarchical", "placing", "picture", "clock_ps", "netlist"],
            "--fpga goes with what says which Verilog is read, --no-dsp and --json only",
        )
        with as_file(circuit) as verilog:
            _fpga(multiplier, *_read(multiplier, verilog, reading), fpga, no_dsp, as_json)
        return
    refuse_without_effect(["no_dsp"], "that goes with --fpga")
    if not placing:
        refuse_without_effect(["picture", "clock_ps"], "that goes with --place")
    if clock_ps is not None and not math.isfinite(clock_ps):
        raise Refusal(f"--period {clock_ps}: wanted a number of picoseconds")
    for written in (netlist, picture):
        if written is not None:
            check_writable(
                written, *([circuit] if isinstance(circuit, Path) else []), *reading.files, *reading.libraries
            )
    if timer == "opensta" and not available():
        raise Refusal("OpenSTA is not on PATH; install the package opensta, or leave --timer opensta out")
    technology = technology_named(tech)
    if placing:
        wires_of(technology.name)
        optional("coloquinte", "place", "--place")
    with as_file(circuit) as verilog:
        source, top = _read(multiplier, verilog, reading)
        # What the manifest beside it describes is the file as it is.
        expected, provable, array = known_of(verilog) if replace(reading, top=None) == UNSAID else NOTHING
        with (
            progress(f"synthesising {Path(multiplier).stem}"),
            Synthesiser(
                technology,
                (SEARCH, AS_DESIGNED) if quick else BOTH_KINDS,
                workers=1,
                netlists=True,
                timeout=3600 if array else 300,
            ) as synthesiser,
        ):
            try:
                result = synthesiser.submit(
                    source,
                    top,
                    expected,
                    prove=prove or provable,
                    hierarchical=array is not None if hierarchical is None else hierarchical,
                ).result()
                if timer == "opensta":
                    result = replace(result, mappings=tuple(timed_again(m, technology) for m in result.mappings))
                layouts = _placed(result, technology, timer, clock_ps) if placing else {}
                if expected is not None:
                    for layout in layouts.values():
                        check(layout.netlist, expected)
            except Refusal as refusal:
                raise Refusal(f"{multiplier}: {refusal}") from refusal
            except SynthesisError as error:
                raise click.ClickException(f"{multiplier}: {error}") from error
    if netlist is not None:
        best = result.best_product
        assert best.netlist is not None
        write_atomically(netlist, best.netlist + "\n" + cell_models(technology.library, best.cells_by_type))
    if picture is not None and layouts:
        drawn = layouts.get("as designed") or next(iter(layouts.values()))
        write_atomically(picture, drawing(drawn, f"{result.top} in {technology.name}, as designed"))
    figures = None if array is None else mesh_figures(result, array)
    if as_json:
        record = result.record() | {"timer": timer, "netlist": None if netlist is None else str(netlist)}
        record["placed"] = {kind: layout.record() for kind, layout in layouts.items()}
        print_json(record | ({} if figures is None else {"array": figures}))
        return
    click.echo(_page(result, technology, timer, figures, layouts))
    for written in (netlist, picture):
        if written is not None:
            click.echo(str(written))
    print_next(_what_next(expected), multiplier)


def _what_next(expected: Expected | None) -> str:
    """Accuracy of a multiplier that can have a network's weights, which are signed; energy of any other circuit."""
    if expected is None:
        return "energy"
    return "accuracy" if expected.products.min() < 0 else "errors"


def _read(name: str, verilog: Path, reading: Reading) -> tuple[Source, str | None]:
    """The Verilog and its top module, where that is known; both with a module around it that sets what is stated."""
    source, values, held = reading.verilog(verilog), reading.values, reading.held
    if not (values or held):
        return source, reading.top
    try:
        return wrapped(source, reading.top, values, held)
    except Refusal as refusal:
        raise Refusal(f"{name}: {refusal}") from refusal


def _fpga(name: str, source: Source, top: str | None, family: str, no_dsp: bool, as_json: bool) -> None:
    try:
        with progress(f"placing and routing {Path(name).stem}"):
            found = on_fpga(source, family, top, dsp=not no_dsp)
    except Refusal as refusal:
        raise Refusal(f"{name}: {refusal}") from refusal
    except SynthesisError as error:
        raise click.ClickException(f"{name}: {error}") from error
    if as_json:
        print_json(found.record())
        return
    fmax = "no path between registers" if found.fmax_mhz is None else f"{found.fmax_mhz:.1f} MHz"
    around = "" if found.flip_flops else " with registers around it"
    click.echo(f"{found.top} on {found.part}, {found.tool} and nextpnr")
    click.echo(f"LUTs {found.luts}   carries {found.carries}   DSPs {found.dsps}   flip-flops {found.flip_flops}")
    click.echo(f"Fmax {fmax}{around}")


def _placed(result: SynthesisResult, technology: Technology, timer: str, clock_ps: float | None) -> dict[str, Layout]:
    """The netlists of both kinds with their wires."""
    timed_by = timing if timer == "builtin" else timing_with_wires
    chosen = [result.best_product] + ([result.as_designed] if result.as_designed is not None else [])
    return {
        m.kind: laid_out(m.gates, technology, timer=timed_by, clock_ps=clock_ps) for m in chosen if m.gates is not None
    }


def _page(
    result: SynthesisResult,
    technology: Technology,
    timer: str,
    array: dict[str, Any] | None,
    layouts: dict[str, Layout],
) -> str:
    best = result.best_product
    said = "" if timer == "builtin" else f", timed by {timer}"
    lines = [
        f"{result.top} in {technology.name} ({technology.source}), {result.tool}{said}",
        f"{best.kind}:",
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
    if len(result.restructured) > 1:
        small, fast = result.best_area, result.best_delay
        lines.append(f"smallest {small.area_um2:9.2f} µm² {small.delay_ps:9.1f} ps   recipe {small.recipe}")
        lines.append(f"fastest  {fast.area_um2:9.2f} µm² {fast.delay_ps:9.1f} ps   recipe {fast.recipe}")
        area, delay = (result.noise(figure) for figure in ("area", "delay"))
        lines.append(f"between recipes of one aim: {area:.1%} area, {delay:.1%} delay; smaller differences are noise")
    if (kept := result.as_designed) is not None:
        lines += [
            "as designed, the structure kept:",
            f"area    {kept.area_um2:10.2f} µm²   {kept.area_um2 / result.nand2_area:.1f} NAND2",
            f"delay   {kept.delay_ps:10.1f} ps    {kept.start} → {kept.end}, {max(len(kept.path) - 1, 0)} cells"
            if kept.path
            else f"delay   {kept.delay_ps:10.1f} ps    no cell on any path",
            f"cells   {kept.cells:7d}          {_adders(kept, technology)}",
        ]
    if layouts:
        seeds = len(next(iter(layouts.values())).delays)
        how = f"the median of {seeds} placements" if seeds > 1 else "one placement"
        lines.append(f"placed, cells fill {UTILISATION:.0%} of the core, wires count; {how}:")
    for kind, layout in layouts.items():
        lines.append(
            f"  {kind:12s} {layout.placement.area_um2:10.2f} µm² of core {layout.delay_ps:9.1f} ps   "
            f"{layout.wires.length_um:.0f} µm of wire"
            + (f", placements differ by {layout.spread:.1%}" if len(layout.delays) > 1 else "")
        )
        if layout.slack_ps is not None:
            met = f"met by {layout.slack_ps:.1f} ps" if layout.slack_ps >= 0 else f"missed by {-layout.slack_ps:.1f} ps"
            how = "as it was" if layout.unrepaired_ps is None else f"repaired, {layout.unrepaired_ps:.1f} ps before"
            lines.append(f"               clock {layout.clock_ps:g} ps {met}, {how}; cells {layout.area_um2:.2f} µm²")
    if result.verified:
        lines.append(f"checked: every netlist, {result.verified}")
    lines += [f"recipe {recipe} failed: {why}" for recipe, why in result.failures]
    return "\n".join(lines)


def _adders(mapping: Mapping, technology: Technology) -> str:
    cells = technology.library.cells
    found = {n: c for n, c in mapping.cells_by_type.items() if n in cells and len(cells[n].outputs) > 1}
    plain = {name: count for name, count in found.items() if cells[name].flip_flop is None}
    return ", ".join(f"{count} {name}" for name, count in plain.items()) or "no adder cells"


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
