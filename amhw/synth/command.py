"""The command `amhw synth`."""

import click

from amhw.command import Command, print_json
from amhw.files import read_whole
from amhw.refusal import Refusal
from amhw.synth.failure import SynthesisError
from amhw.synth.pool import Synthesiser
from amhw.synth.recipe import RECIPES, SEARCH
from amhw.synth.result import SynthesisResult
from amhw.synth.technology import Technology, technologies


@click.command(
    cls=Command,
    epilog="Example: python -m amhw.synth rtl_out/mult.v --tech sg13g2",
)
@click.argument("verilog", type=click.Path())
@click.option("--top", metavar="NAME", help="Top module; needed only when several are possible.")
@click.option("--tech", metavar="NAME", help=f"Technology: {', '.join(technologies())}. [default: sky130hd]")
@click.option("--liberty", metavar="FILE", help="Use this Liberty file (plain or gzip) instead of --tech.")
@click.option("--search", is_flag=True, help=f"Only the quick recipe '{SEARCH.name}', not the best of all.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(verilog: str, top: str | None, tech: str | None, liberty: str | None, search: bool, as_json: bool) -> None:
    """Area, critical-path delay and cells of the Verilog file VERILOG, by Yosys and ABC.

    The figures are of one mapped netlist, the one with the least area × delay among the recipes; the
    smallest and the fastest are given too. The delay counts every gate's load and no wires; see --json for
    the path.
    """
    if tech is not None and liberty is not None:
        raise Refusal("give --tech or --liberty, not both")
    technology = Technology.from_liberty(liberty) if liberty else Technology.named(tech or "sky130hd")
    text = read_whole(verilog).decode("utf-8", errors="replace")
    with Synthesiser(technology, (SEARCH,) if search else RECIPES, workers=1) as synthesiser:
        try:
            result = synthesiser.submit(text, top).result()
        except Refusal as refusal:
            raise Refusal(f"{verilog}: {refusal}") from refusal
        except SynthesisError as error:
            raise click.ClickException(f"{verilog}: {error}") from error
    if as_json:
        print_json(result.record())
    else:
        click.echo(_page(result, technology))


def _page(result: SynthesisResult, technology: Technology) -> str:
    best = result.best_product
    lines = [
        f"{result.top} in {technology.name} ({technology.source}), {result.tool}",
        f"area    {best.area_um2:10.2f} µm²   {result.nand2:.1f} NAND2",
        f"delay   {best.delay_ps:10.1f} ps    "
        + (f"{best.start} → {best.end}, {len(best.path) - 1} cells" if best.path else "no cell on any path"),
        f"cells   {best.cells:7d}          recipe {best.recipe}",
    ]
    lines += [f"  {count:5d} {name}" for name, count in best.cells_by_type.items()]
    if len(result.mappings) > 1:
        small, fast = result.best_area, result.best_delay
        lines.append(f"smallest {small.area_um2:9.2f} µm² {small.delay_ps:9.1f} ps   recipe {small.recipe}")
        lines.append(f"fastest  {fast.area_um2:9.2f} µm² {fast.delay_ps:9.1f} ps   recipe {fast.recipe}")
    return "\n".join(lines)
