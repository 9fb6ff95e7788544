"""The study command: a list of multipliers through every stage, with a table, a CSV and a picture."""

from pathlib import Path

import click
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from amhw.command import Command
from amhw.files import write_atomically
from amhw.results import Results
from amhw.sim import SIMULATORS
from amhw.study.plot import accuracy_against_cost
from amhw.study.sweep import Event, Row, Sweep, demo_designs, write_csv
from amhw.verilog import Design
from amhw.workers import executor


@click.command(cls=Command, epilog="Example: amhw study --out study   (resumes where it was interrupted)")
@click.option(
    "--multiplier",
    "names",
    multiple=True,
    metavar="NAME",
    help="A design to study; may be repeated. Default: a dozen masks from exact to six partial products.",
)
@click.option("--tech", default="sky130hd", show_default=True, help="Technology, or a Liberty file's path.")
@click.option("--layers", default="conv1,conv2", show_default=True, help="Layers that use the multiplier.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="IDX test images; default: MNIST.")
@click.option("--simulator", type=click.Choice(SIMULATORS), help="Default: icarus if installed, else verilator.")
@click.option("--workers", type=int, help="Processes; default: one for each core.")
@click.option("--dask", metavar="ADDRESS", help="Use the workers of this Dask scheduler instead.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("study"), show_default=True, help="Folder.")
def command(
    names: tuple[str, ...],
    tech: str,
    layers: str,
    data_dir: Path | None,
    simulator: str | None,
    workers: int | None,
    dask: str | None,
    out: Path,
) -> int:
    """Generate, simulate, synthesise and score a list of multipliers.

    Writes sweep.csv and sweep.png into the folder, and keeps every result in results.sqlite there: what is known
    is not computed again, and Ctrl-C loses only what was in flight. Exit status 1 if any stage failed.
    """
    designs = [Design.parse(name) for name in names] or demo_designs()
    console = Console(stderr=True)
    plan = Sweep(
        designs,
        technology=tech,
        layers=tuple(name.strip() for name in layers.split(",")),
        data_dir=None if data_dir is None else str(data_dir),
        simulator=simulator,
    )
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with (
        Results(out / "results.sqlite") as results,
        executor(workers, dask=dask) as pool,
        Progress(*columns, console=console) as progress,
    ):
        bar = progress.add_task("working", total=len(plan))

        def heard(event: Event) -> None:
            progress.update(bar, advance=1, description=event.stage)
            if event.failure:
                progress.console.print(f"{event.stage} of {event.design} failed: {event.failure}", style="red")

        rows = plan.run(results, pool, heard)
    table_file = write_atomically(out / "sweep.csv", write_csv(rows))
    picture = write_atomically(out / "sweep.png", accuracy_against_cost(rows))
    Console().print(_table(rows))
    click.echo(f"{table_file}\n{picture}")
    return 1 if any(row.failure for row in rows) else 0


def _table(rows: list[Row]) -> Table:
    operands = Design.parse(rows[0].name).multiplier.operands
    table = Table(
        title=f"{operands} multipliers in LeNet-5; {rows[0].tech}, smallest and fastest netlist of each",
        box=box.SIMPLE,
        padding=(0, 1, 0, 0),
    )
    table.add_column("design", overflow="fold")
    for heading in ("kept", "proved", "µm²", "× exact", "ps", "× exact", "accuracy"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.name.removeprefix(f"mul_{operands}_"),
            "" if row.kept is None else str(row.kept),
            row.products.split("/")[0] if row.products else "failed",
            _shown(row.area_um2, ".0f"),
            _shown(row.area_ratio, ".3f"),
            _shown(row.delay_ps, ".0f"),
            _shown(row.delay_ratio, ".3f"),
            _shown(row.accuracy, ".2%"),
        )
    return table


def _shown(value: float | None, form: str) -> str:
    return "failed" if value is None else format(value, form)
