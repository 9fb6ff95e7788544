"""The command `amhw import`."""

from pathlib import Path
from typing import Any

import click

from amhw.commands import shared
from amhw.commands.base import Command, print_json, print_next, refuse_without_effect
from amhw.commands.options import note_doubts, reading_options
from amhw.commands.progress import progress
from amhw.errors import Errors
from amhw.files import check_writable
from amhw.imports.imported import Imported
from amhw.imports.source import VERILOG, Reading, open_file
from amhw.multiplier import KINDS
from amhw.synth import BOTH_KINDS, Expected, Synthesiser, SynthesisError, SynthesisResult, Technology
from amhw.synth.store import technology_named


@click.command(cls=Command, epilog="Example: amhw import mul8s_1KR3.v --signed both --out imports")
@shared.multiplier(file=True)
@reading_options
@shared.name()
@shared.tech()
@shared.out(default=Path("imports"))
@shared.json()
def command(multiplier: str, reading: Reading, name: str | None, tech: str, out: Path, as_json: bool) -> None:
    """Import a multiplier (Verilog) or a product table (.npy, .bin, .csv, .h).

    Verilog (several files if need be; a pipeline too) is simulated for every operand pair and synthesised. What
    is written into the folder, NAME.json with NAME.npy and NAME.v beside it, can be given to the other commands.
    Ports go by name; the order of their declaration is never used.

    Of a table must be said which operands are signed; of Verilog the declarations count unless the products contradict
    them. --tech none leaves synthesis out.
    """
    file = Path(multiplier)
    if file.suffix not in VERILOG:
        refuse_without_effect(["tech"], f"{file} is a table, which has no cost")
    technology = None if tech == "none" or file.suffix not in VERILOG else technology_named(tech)
    check_writable(out / "import.json")
    with progress(f"reading {file.name}") as work:
        imported = open_file(file, reading, name)
        doubts = note_doubts(file, imported.table)
        work.update(f"synthesising {file.name}")
        cost = None if technology is None else _cost(imported, technology)
    errors = Errors.of(imported.table)
    manifest = imported.write(out)
    if as_json:
        record: dict[str, Any] = imported.manifest().plain() | {"manifest": str(manifest), "errors": errors.record()}
        record |= {"notes": doubts, "cost": None if cost is None else cost.record()}
        print_json(record)
        return
    table = imported.table
    operands = f"{KINDS[table.signed_a]} {table.width_a} × {KINDS[table.signed_b]} {table.width_b} bits"
    click.echo(f"{operands}, table {table.sha256[:16]}…")
    if imported.ports is not None:
        ports = imported.ports
        late = f", {imported.latency} clocks later" if imported.latency else ""
        click.echo(f"module {imported.top}: a = {ports.a}, b = {ports.b}, p = {ports.p}{late}")
    click.echo(f"MAE {errors.mae:.6g}  WCE {errors.wce}  ME {errors.me:.6g}  MRED {errors.mred:.3%}")
    if cost is not None:
        figures = [("restructured, smallest", cost.best_area), ("restructured, fastest", cost.best_delay)]
        figures += [("as designed", cost.as_designed)] if cost.as_designed is not None else []
        for what, mapping in figures:
            click.echo(f"{what:22} {mapping.area_um2:9.2f} µm² {mapping.delay_ps:9.1f} ps  ({cost.tech})")
    for suffix in (".npy", *([] if imported.verilog is None else [".v"]), ".json"):
        click.echo(str(manifest.with_suffix(suffix)))
    print_next("accuracy" if table.signed_b else "errors", manifest)


def _cost(imported: Imported, technology: Technology) -> SynthesisResult:
    assert imported.verilog is not None
    with Synthesiser(technology, BOTH_KINDS, workers=1) as synthesiser:
        try:
            late = imported.latency > 0  # the netlist of a pipeline is proved, not compared with the table
            known = imported.ports is not None and not late
            expected = Expected(imported.table.products, **vars(imported.ports)) if known else None
            return synthesiser.submit(imported.verilog, imported.top, expected, prove=late).result()
        except SynthesisError as error:
            raise click.ClickException(f"{imported.name}: {error}") from error
