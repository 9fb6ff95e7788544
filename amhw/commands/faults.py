"""The command `amhw faults`: what flipped bits in a network's memories cost."""

from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich import box
from rich.console import Console
from rich.table import Table

from amhw.commands import shared
from amhw.commands.base import Command, print_json, print_note
from amhw.commands.options import reading_options, stated_table
from amhw.commands.progress import progress
from amhw.imports.source import UNSAID, Reading
from amhw.refusal import Refusal
from amhw.results import Results, run
from amhw.workers import executor

if TYPE_CHECKING:
    from amhw.faults.campaign import Campaign, Part
    from amhw.faults.outcome import Counts
    from amhw.faults.summary import FaultRun
    from amhw.network.quantised import QuantisedNetwork
    from amhw.table import ProductTable


@click.command(cls=Command, epilog="Example: amhw faults --images 200:250")
@shared.multiplier(required=False)
@reading_options
@shared.layers()
@shared.network()
@shared.data()
@shared.images()
@click.option(
    "--fault",
    "models",
    multiple=True,
    metavar="MODEL",
    default=("flip",),
    show_default=True,
    help="flip, stuck-at-0, stuck-at-1, flip-2 or flip-3 (adjacent bits), or all; may be repeated.",
)
@click.option(
    "--parameters",
    "places",
    metavar="NAMES",
    help="Only these: layers (conv1), kinds (weights, bias, multiplier, shift) or both (conv1.bias), with commas.",
)
@shared.out(default=Path("faults"))
@shared.results()
@shared.workers()
@click.option("--parquet", is_flag=True, help="The points as Parquet too; needs the extra amhw[parquet].")
@shared.json()
def command(
    multiplier: str | None,
    reading: Reading,
    layers: str | None,
    network: Path | None,
    data: Path | None,
    images: str,
    models: tuple[str, ...],
    places: str | None,
    out: Path,
    results: Path | None,
    workers: int | None,
    parquet: bool,
    as_json: bool,
) -> None:
    """Put every fault into every word of a network's memories, and classify all images with each.

    Only what a fault changes is computed again, so nothing need be sampled. The network is the shipped LeNet-5, with
    exact products or a multiplier in some layers as in amhw accuracy, or --network FILE. Files go to --out: the golden
    run, a row a fault, sums by layer and bit, heat maps; docs/faults.md defines them. The same command goes on where it
    was interrupted.
    """
    # These need torch, which a help text does not wait for.
    from amhw.datasets import data_source
    from amhw.faults import files
    from amhw.faults.campaign import Campaign, Images
    from amhw.faults.models import MODELS
    from amhw.network.trained_on import other_data

    source = data_source(data)
    chosen, tables = _network(multiplier, reading, layers, network)
    part = Images.of(None if data is None else str(data.resolve()), source.test, images)
    names = tuple(MODELS) if "all" in models else tuple(dict.fromkeys(models))
    only = None if places is None else tuple(name.strip() for name in places.split(","))
    campaign = Campaign(chosen, tables, part, names, only)
    print_note(other_data(chosen.network, source))
    files.check_folder(out, files.subject_of(campaign))
    if parquet:
        from amhw.extras import optional

        optional("pyarrow", "parquet", "--parquet")
    flips = _counted(campaign, results or out / "results.sqlite", workers)
    with progress("writing"):
        record, written = files.write(campaign, flips, out, parquet=parquet)
    if as_json:
        print_json(record.plain())
        return
    Console().print(_table(record))
    click.echo("\n".join(map(str, written)))


def _network(
    multiplier: str | None, reading: Reading, layers: str | None, network: Path | None
) -> "tuple[QuantisedNetwork, dict[str, ProductTable]]":
    """The network and the product tables of its layers, as `amhw accuracy` takes them; exact products by default."""
    from amhw.network.models import lenet5
    from amhw.network.quantised import QuantisedNetwork
    from amhw.scoring import tables_made_for

    chosen = None if network is None else QuantisedNetwork.load(network)
    if multiplier is not None:
        table = stated_table(multiplier, reading)
        known = lenet5.float_network() if chosen is None else chosen
        names = shared.chosen_layers(layers, known.layer_names, known.convolutions)
        return chosen or lenet5.network_for(table, names), dict.fromkeys(names, table)
    if layers is not None or reading != UNSAID:
        raise Refusal(shared.NO_MULTIPLIER)
    if chosen is None:
        return lenet5.network(), {}
    made = any(layer.made_for is not None for layer in chosen.layers)
    return chosen, tables_made_for(chosen) if made else {}


def _counted(campaign: "Campaign", store: Path, workers: int | None) -> "dict[Part, Counts]":
    """What the tasks of a campaign give; the progress is that of faults."""
    from amhw.faults.campaign import faults_of

    parts = {task.key: part for part, task in campaign.tasks.items()}
    found = {}
    with (
        _one_line(),
        Results(store) as results,
        executor(workers) as pool,
        progress("faults", sum(faults_of(campaign.network, part) for part in parts.values())) as work,
    ):
        for task, outcome, _ in run(campaign.tasks.values(), results, pool):
            if isinstance(outcome, Exception):
                raise outcome
            found[parts[task.key]] = outcome.counts
            work.advance(outcome.faults)
    return found


@contextmanager
def _one_line() -> Iterator[None]:
    """A worker that dies (for want of memory) ends in a line; what was finished is kept."""
    try:
        yield
    except BrokenProcessPool as error:
        raise click.ClickException(
            f"a worker failed: {str(error).splitlines()[0]}; the same command goes on from here, with --workers 1 in "
            "less memory"
        ) from None


def _table(record: "FaultRun") -> Table:
    table = Table(
        title=f"{record.subject.network}, {record.images} images, {record.correct / record.images:.2%} correct without "
        "a fault",
        caption="of all trials (fault × image): class changed; accuracy lost; logits unchanged. Of all faults: any "
        "class changed. Worst: by one fault",
        box=box.SIMPLE,
        padding=(0, 1, 0, 0),
    )
    table.add_column("faults of")
    for heading in ("number", "changed", "harm", "silent", "critical", "worst"):
        table.add_column(heading, justify="right", no_wrap=True)
    for model, total in record.totals.items():
        places = dict.fromkeys((cell.layer, cell.kind) for cell in record.cells if cell.model == model)
        rows = [(f"{layer} {kind}", record.figures(model, layer, kind)) for layer, kind in places]
        for name, figures in [*rows, (f"all, {model}", total)]:
            shares = (figures.changed, figures.harm, figures.silent, figures.critical)
            table.add_row(name, str(figures.faults), *(f"{share:.3%}" for share in shares), f"{figures.worst:.2%}")
        table.add_section()
    return table
