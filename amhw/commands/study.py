"""The command `amhw study`: a list of multipliers through every stage, with a table, a CSV and a picture."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.console import Console
from rich.table import Table

from amhw.commands import shared
from amhw.commands.base import Command, print_json, print_next, print_note, refuse_without_effect, results_store
from amhw.commands.progress import progress
from amhw.files import check_writable
from amhw.workers import executor

if TYPE_CHECKING:
    from amhw.study.plan import Plan
    from amhw.study.record import Row
    from amhw.study.sweep import Event

_PLAN = ("multipliers", "tech", "layers", "data", "network", "energy", "simulator")
"""What a study file says."""


@click.command(cls=Command, epilog="Example: amhw study --multiplier mul_u8s8_pp_full --out study")
@click.argument("study", required=False, type=click.Path(path_type=Path), metavar="[STUDY]")
@shared.multipliers()
@shared.tech(multiple=True, default=("sky130hd",))
@shared.layers()
@shared.data()
@shared.network()
@click.option("--energy", metavar="LAYER", help="Energy too, on the operands of this layer (conv2, say).")
@shared.simulator()
@shared.workers()
@shared.dask()
@shared.out(default=Path("study"))
@shared.results()
@shared.json()
def command(
    study: Path | None,
    multipliers: tuple[str, ...],
    tech: tuple[str, ...],
    layers: str | None,
    data: Path | None,
    network: Path | None,
    energy: str | None,
    simulator: str | None,
    workers: int | None,
    dask: str | None,
    out: Path,
    results: Path | None,
    as_json: bool,
) -> int:
    """Generate, simulate, synthesise and score a list of multipliers.

    The list comes from the file STUDY (TOML: designs, technologies, data sets; see docs/study.md) or from the flags;
    --multiplier and --tech may be repeated. Without any, a dozen masks from exact to six partial products are studied.
    The multipliers serve the convolutions if no --layers are named.

    Writes sweep.csv, sweep.json and sweep.png into the folder, and keeps every result in the results store: what is
    known is not computed again, and Ctrl-C loses only what was in flight. Give the same --results to amhw select and
    both use each other's. Exit status 1 if any stage failed.
    """
    if dask is not None:
        refuse_without_effect(["workers"], "--dask names the workers")
    check_writable(out / "sweep.json")
    if study is not None:
        refuse_without_effect(_PLAN, f"{study} says what is studied")
    # These need torch, which a help text does not wait for.
    from amhw.study.array import breakdown
    from amhw.study.files import record_of, write
    from amhw.study.plan import Plan
    from amhw.study.sweep import Sweep

    plan = Plan.read(study) if study is not None else _plan(multipliers, tech, layers, data, network, energy, simulator)
    array = None if plan.array is None else breakdown(plan.array, plan.layers, plan.network)
    sweep = Sweep(plan)
    for note in sweep.notes:
        print_note(note)
    with (
        results_store(results or out / "results.sqlite") as store,
        executor(workers, dask=dask) as pool,
        progress("working", len(sweep)) as work,
    ):

        def heard(event: "Event") -> None:
            work.update(event.stage)
            work.advance()
            if event.failure:
                work.note(f"{event.stage} of {event.design} failed: {event.failure}")

        rows, exact = sweep.run(store, pool, heard)
    record = record_of(plan, rows, exact, array)
    written = write(record, out)
    if as_json:
        print_json({**record.plain(), "files": list(map(str, written))})
    else:
        console = Console()
        for place in dict.fromkeys((row.data, row.tech) for row in rows):
            console.print(_table([row for row in rows if (row.data, row.tech) == place], console.width))
        click.echo("\n".join(map(str, written)))
        print_next("report", out)
    return 1 if any(row.failure for row in rows) else 0


def _plan(
    multipliers: tuple[str, ...],
    tech: tuple[str, ...],
    layers: str | None,
    data: Path | None,
    network: Path | None,
    energy: str | None,
    simulator: str | None,
) -> "Plan":
    from amhw.datasets import data_source
    from amhw.network.models.lenet5 import float_network
    from amhw.network.quantised import QuantisedNetwork
    from amhw.study.plan import Data, Plan

    choices: dict[str, Any] = {"technologies": tech}
    if layers is not None:
        known = float_network() if network is None else QuantisedNetwork.load(network)
        choices["layers"] = shared.chosen_layers(layers, known.layer_names, ())
    if data is not None:
        choices["data"] = (Data(data_source(data).name, str(data)),)
    for key, value in (("simulator", simulator), ("network", network and str(network)), ("energy", energy)):
        if value is not None:
            choices[key] = value
    return Plan.of_names(multipliers, **choices)


def _table(rows: Sequence["Row"], width: int) -> Table:
    """The table of one technology and data set, in `width` columns.

    Where names do not fit they are numbers, which stand with the names under the table: a name in pieces is none.
    """
    named = [re.match(r"mul_([us]\d+[us]\d+)_", row.name) for row in rows]
    same = {match[1] for match in named if match} if all(named) else set()
    # Where all have the same operands, the title says them once.
    operands = same.pop() if len(same) == 1 else ""
    what = f"{operands} multipliers" if operands else "Multipliers"
    names = [row.name.removeprefix(f"mul_{operands}_") if operands else row.name for row in rows]
    proved = [row.products.split("/")[0] or ("failed" if "simulation" in row.failure else "imported") for row in rows]
    with_energy = any(row.energy_fj is not None for row in rows)
    # What all have alike is said once; energy's ratio is in the CSV: a terminal has 80 columns.
    alike = len(set(proved)) == 1 and proved[0].isdigit()
    headings = ["kept", *([] if alike else ["proved"]), "µm²", "×exact", "ps", "×exact"]
    headings += [*(["fJ"] if with_energy else []), "accuracy"]
    figures = [
        [
            "" if row.kept is None else str(row.kept),
            *([] if alike else [count]),
            _shown(row.area_um2, ".0f", row.failure),
            _shown(row.area_ratio, ".3f", row.failure),
            _shown(row.delay_ps, ".0f", row.failure),
            _shown(row.delay_ratio, ".3f", row.failure),
            *([_shown(row.energy_fj, ".0f", row.failure)] if with_energy else []),
            _shown(row.accuracy, ".2%", row.failure),
        ]
        for row, count in zip(rows, proved, strict=True)
    ]
    columns = [max(map(len, column)) for column in zip(headings, *figures, strict=True)]
    # Each column is followed by its padding and a space, which the first has before it, too.
    fits = 1 + sum(column + 2 for column in [max(map(len, ["design", *names])), *columns]) <= width
    captions = [] if fits else [f"{number}  {name}" for number, name in enumerate(names, 1)]
    captions += [f"{proved[0]} products of each are simulated and right"] if alike else []
    captions += ["fJ: energy of an operation, 10⁻¹⁵ J"] if with_energy else []
    captions += dict.fromkeys(row.other_data for row in rows if row.other_data)
    table = Table(
        title=f"{what}, {rows[0].network_name}, {rows[0].data}; {rows[0].tech}, restructured, smallest and fastest",
        caption="\n".join([*captions, *_noise(rows[0])]) or None,
        caption_justify="left",
        box=box.SIMPLE,
        padding=(0, 1, 0, 0),
    )
    table.add_column("design" if fits else "", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for number, (name, texts) in enumerate(zip(names, figures, strict=True), 1):
        table.add_row(name if fits else str(number), *texts)
    return table


def _noise(row: "Row") -> list[str]:
    """Which differences are none."""
    if row.area_noise is None or row.delay_noise is None:
        return []
    return [f"differences up to {row.area_noise:.1%} in area and {row.delay_noise:.1%} in delay are the recipes' noise"]


def _shown(value: float | None, form: str, failure: str) -> str:
    """A figure; what is missing has failed, or was not to be had, as the area of a bare table."""
    if value is None:
        return "failed" if failure else "–"
    return format(value, form)
