"""The command `amhw cascade`: a cheap network first, a better one where the cheap one is in doubt."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich import box
from rich.console import Console
from rich.table import Table

from amhw.commands import shared
from amhw.commands.base import Command, print_json, print_note, worker_failures
from amhw.commands.progress import progress
from amhw.files import check_writable, write_atomically
from amhw.refusal import Refusal
from amhw.results import Results
from amhw.synth.failure import SynthesisError
from amhw.synth.store import technology_named
from amhw.workers import executor

if TYPE_CHECKING:
    from amhw.cascade.record import CascadeRun
    from amhw.cascade.run import Candidate

RECORD = "cascades.json"


@click.command(cls=Command, epilog="Example: amhw cascade select --max-loss 0.02")
@click.argument("networks", nargs=-1, metavar="FILE|FOLDER...")
@shared.threshold()
@shared.max_loss()
@shared.network()
@shared.data()
@shared.tech()
@shared.out(default=Path("cascade"))
@shared.results()
@shared.workers()
@shared.json()
def command(
    networks: tuple[str, ...],
    threshold: int | None,
    max_loss: float | None,
    network: Path | None,
    data: Path | None,
    tech: str,
    out: Path,
    results: Path | None,
    workers: int | None,
    as_json: bool,
) -> None:
    """Classify with a cheap network, and again with a better one where the margin of the two largest logits is small.

    FILE is a network that was made for multipliers, as amhw select and amhw train write it; FOLDER stands for all that
    are in it. The network with exact products, the shipped LeNet-5 or --network, is always among the better ones, and
    what losses and energies are measured against. All pairs are looked at with all thresholds; pairs and thresholds are
    chosen on training images, moved and distorted ones among them, and reported on test images. Energy is that of the
    multiplications: each layer's multiplier, synthesised, on the operands that it sees there.
    """
    if None not in (threshold, max_loss):
        raise Refusal("give one of --threshold and --max-loss")
    if max_loss is not None and not 0 <= max_loss <= 100:
        raise Refusal(f"--max-loss {max_loss:g}: points are 0 to 100; try 0.02")
    # These need torch, which a help text does not wait for.
    from amhw.cascade.picture import picture
    from amhw.cascade.run import Cascades
    from amhw.network.trained_on import other_data
    from amhw.stages.problem import Problem

    technology_named(tech).check_voltage()
    check_writable(out / RECORD)
    problem = Problem(*(None if path is None else str(path.resolve()) for path in (network, data)))
    loaded = problem.loaded
    others = [_candidate(file) for file in _files(networks)]
    print_note(other_data(loaded.base.network, loaded.data))
    with (
        worker_failures(SynthesisError),
        Results(results or out / "results.sqlite") as store,
        executor(workers) as pool,
        progress("networks") as work,
    ):
        print_note(store.note)
        cascades = Cascades(problem, others, tech, store, pool, work.update)
        if threshold is not None:
            chosen = cascades.with_threshold(threshold)
        else:
            chosen = cascades.for_demands() if max_loss is None else cascades.for_demands([max_loss])
        record = cascades.record(chosen)
    written = [record.write(out / RECORD), write_atomically(out / "cascades.svg", picture(record))]
    if as_json:
        print_json(record.plain())
        return
    Console().print(_table(record))
    click.echo("\n".join(map(str, written)))


def _files(given: tuple[str, ...]) -> list[Path]:
    if not given:
        raise Refusal("no networks; wanted files that amhw select or amhw train wrote, or their folder")
    found: list[Path] = []
    for each in map(Path, given):
        inside = sorted(each.glob("*.npz")) if each.is_dir() else [each]
        if not inside:
            raise Refusal(f"{each}: no network files (.npz) in this folder; amhw select --out {each} writes some")
        found += inside
    return list(dict.fromkeys(found))


def _candidate(path: Path) -> "Candidate":
    from amhw.cascade.run import Candidate
    from amhw.network.quantised import QuantisedNetwork
    from amhw.scoring import tables_made_for

    network = QuantisedNetwork.load(path)
    return Candidate(path.stem, network, tables_made_for(network))


def _table(record: "CascadeRun") -> Table:
    layers = ", ".join(record.layers)
    table = Table(
        title=f"Cascades on {record.images} test images, {record.technology}, exact: {record.exact_design}",
        caption=f"energy: of all multiplications, ÷ exact; in {layers}: of these alone; loss: points, paired 95 %",
        box=box.SIMPLE,
        padding=(0, 1, 0, 0),
    )
    for heading in ("first", "then"):
        table.add_column(heading, overflow="fold", ratio=1)
    for heading in ("margin <", "again", "energy", f"in {layers}", "accuracy", "loss"):
        table.add_column(heading, justify="right", no_wrap=True)
    for each in record.cascades:
        low, high = each.loss_interval
        table.add_row(
            each.cheap,
            each.better if each.threshold else "",
            str(each.threshold) if each.threshold else "",
            f"{each.again:.2%}" if each.threshold else "",
            f"{each.energy_ratio:.4f}",
            f"{each.approximate_energy_ratio:.4f}",
            f"{each.accuracy:.2%}",
            f"{each.loss_points:.2f} ± {(high - low) / 2:.2f}",
        )
    return table
