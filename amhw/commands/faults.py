"""The command `amhw faults`: what flipped bits in a network's memories cost, and what protects from them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich import box
from rich.console import Console
from rich.table import Table

from amhw.commands import shared
from amhw.commands.base import Command, print_json, print_note, refuse_without_effect, results_store, worker_failures
from amhw.commands.options import reading_options, stated_tables
from amhw.commands.progress import progress
from amhw.extras import optional
from amhw.files import check_writable, write_atomically
from amhw.imports.source import UNSAID, Reading
from amhw.refusal import Refusal
from amhw.results import R, Task, run
from amhw.synth import RECIPES, SEARCH, technology_named
from amhw.workers import executor

if TYPE_CHECKING:
    from amhw.datasets import DataSet
    from amhw.faults.campaign import Campaign, Counted, Part
    from amhw.faults.outcome import Counts
    from amhw.faults.protected import Protections
    from amhw.faults.summary import FaultRun, Subject
    from amhw.network.quantised import QuantisedNetwork
    from amhw.table import ProductTable

K = TypeVar("K")


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
@click.option(
    "--protect",
    "protections",
    multiple=True,
    metavar="NAME",
    help="What is left with clip, triplicate, split, parity, hamming or free-bits, or all that fit; may be repeated.",
)
@click.option(
    "--share",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.1,
    show_default=True,
    help="Of all bits: what triplicate and split protect, the most harmful outputs first.",
)
@click.option("--rank", is_flag=True, help="How well a ranking of outputs by gradients meets what the faults say.")
@click.option("--margin", type=float, metavar="E", help="Only a sample: as many faults as give shares to ± E.")
@click.option(
    "--confidence", type=float, metavar="C", default=0.95, show_default=True, help="Of the sample's intervals."
)
@click.option(
    "--stuck-nets",
    is_flag=True,
    help="Not the memories: every net of the multiplier's mapped netlist stuck at 0 and 1.",
)
@shared.tech()
@shared.quick()
@shared.seed(default=0)
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
    protections: tuple[str, ...],
    share: float,
    rank: bool,
    margin: float | None,
    confidence: float,
    stuck_nets: bool,
    tech: str,
    quick: bool,
    seed: int,
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
    optional("numba", "faults", "amhw faults")
    # These need torch, which a help text does not wait for.
    from amhw.datasets import data_source
    from amhw.faults import files
    from amhw.faults.campaign import Campaign, Images
    from amhw.faults.codes import has_free_bits
    from amhw.faults.models import MODELS
    from amhw.faults.protection import PROTECTIONS
    from amhw.network.trained_on import other_data

    source = data_source(data)
    chosen, tables = _network(multiplier, reading, layers, network)
    part = Images.of(None if data is None else str(data.resolve()), source.test, images)
    names = tuple(MODELS) if "all" in models else tuple(dict.fromkeys(models))
    only = None if places is None else tuple(name.strip() for name in places.split(","))
    if "all" in protections:
        free = any(has_free_bits(table) for table in tables.values())
        protections = tuple(name for name in PROTECTIONS if free or name != "free-bits")
    if protections or rank:
        refuse_without_effect(["margin"], "protections and rankings are of all faults")
        if only is not None or names[0] != "flip":
            raise Refusal("leave out --fault and --parameters: protections and rankings are of flips of all words")
    if margin is None:
        refuse_without_effect(["confidence"], "only a sample, with --margin, has intervals")
    technology_named(tech)
    campaign = Campaign(chosen, tables, part, names, only, tuple(dict.fromkeys(protections)))
    print_note(other_data(chosen.network, source))
    subject = files.subject_of(campaign)
    check_writable(out / files.RECORD)
    store = results or out / "results.sqlite"
    if stuck_nets:
        refuse_without_effect(["protections", "rank", "margin", "models", "places"], "--stuck-nets has no memories")
        _stuck_nets(campaign, multiplier, subject, tech, quick, seed, out, store, workers, as_json)
        return
    if margin is not None:
        _sample(campaign, subject, margin, confidence, seed, out, store, workers, as_json)
        return
    if parquet:
        optional("pyarrow", "parquet", "--parquet")
    files.begin(out, subject)
    flips = _done(campaign.tasks, store, workers, lambda part: faults_in(campaign, part))
    with progress("writing"):
        record, written = files.write(campaign, flips, out, parquet=parquet)
    said: dict[str, Any] = record.plain()
    shown: list[Table] = [_table(record)]
    if protections:
        found = _protections(campaign, subject, flips, share, tech, quick)
        said["protections"] = found.plain()["rows"]
        shown.append(_protected(found))
        written += _written_protections(found, out)
    if rank:
        with progress("ranking"):
            text, lines = _ranking(campaign, flips, source.calibration)
        said["ranking"] = lines
        shown.append(_ranked(lines))
        written.append(write_atomically(out / "ranking.csv", text))
    if as_json:
        print_json(said)
        return
    for table in shown:
        Console().print(table)
    click.echo("\n".join(map(str, written)))


def faults_in(campaign: "Campaign", part: "Part") -> int:
    """How many a task has."""
    from amhw.faults.campaign import faults_of

    return faults_of(campaign, part)


def _network(
    multiplier: str | None, reading: Reading, layers: str | None, network: Path | None
) -> "tuple[QuantisedNetwork, dict[str, ProductTable]]":
    """The network and the product tables of its layers, as `amhw accuracy` takes them; exact products by default."""
    from amhw.network.models import lenet5
    from amhw.network.quantised import QuantisedNetwork
    from amhw.scoring import own_tables

    chosen = None if network is None else QuantisedNetwork.load(network)
    if multiplier is not None:
        return stated_tables(multiplier, reading, layers, chosen)
    if layers is not None or reading != UNSAID:
        raise Refusal(shared.NO_MULTIPLIER)
    if chosen is None:
        return lenet5.network(), {}
    return chosen, own_tables(chosen)


def _done(
    tasks: "Mapping[K, Task[Counted]]", store: Path, workers: int | None, size: Callable[[K], int]
) -> "dict[K, Counts]":
    """What tasks give; the progress is that of faults."""
    outcomes = _outcomes(
        list(tasks.values()), store, workers, "faults", sum(map(size, tasks)), lambda outcome: outcome.faults
    )
    return {part: outcome.counts for part, outcome in zip(tasks, outcomes, strict=True)}


def _outcomes(
    tasks: Sequence[Task[R]],
    store: Path,
    workers: int | None,
    what: str,
    total: int,
    size: Callable[[R], int] = lambda outcome: 1,
) -> list[R]:
    """What tasks give, in their order; progress is said to be that of `what`, of which an outcome has `size`."""
    found: dict[str, R] = {}
    with (
        worker_failures(how=", with --workers 1 in less memory"),
        results_store(store) as results,
        executor(workers) as pool,
        progress(what, total) as work,
    ):
        for task, outcome, _ in run(tasks, results, pool):
            if isinstance(outcome, Exception):
                raise outcome
            found[task.key] = outcome
            work.advance(size(outcome))
    return [found[task.key] for task in tasks]


def _sample(
    campaign: "Campaign",
    subject: "Subject",
    margin: float,
    confidence: float,
    seed: int,
    out: Path,
    store: Path,
    workers: int | None,
    as_json: bool,
) -> None:
    from amhw.faults import files, sampled

    if len(campaign.models) > 1:
        raise Refusal("a sample is of one --fault")
    words = sampled.sample(campaign, margin, confidence, seed)
    files.begin(out, subject)
    found = _done(sampled.tasks(campaign, words), store, workers, lambda part: len(words[part]))
    record = sampled.said(campaign, found, margin, confidence, seed, subject)
    path = record.write(out / "sample.json")
    if as_json:
        print_json(record.plain())
        return
    table = Table(title=f"{subject.network}: faults that change a class, {confidence:.0%} intervals", box=box.SIMPLE)
    for heading in ("memory", "bit", "faults", "tried", "share", "from", "to"):
        table.add_column(heading, justify="left" if heading == "memory" else "right")
    whole = record.whole
    for memory, bit, each in (*((p.memory, str(p.bit), e) for p, e in record.strata), ("all", "", whole)):
        shares = (f"{share:.2%}" for share in (each.share, each.low, each.high))
        table.add_row(memory, bit, str(each.faults), str(each.drawn), *shares)
    Console().print(table)
    click.echo(str(path))


def _stuck_nets(
    campaign: "Campaign",
    multiplier: str | None,
    subject: "Subject",
    tech: str,
    quick: bool,
    seed: int,
    out: Path,
    store: Path,
    workers: int | None,
    as_json: bool,
) -> None:
    from amhw.faults import stuck
    from amhw.table import ProductTable
    from amhw.verilog import Design

    names = {campaign.tables[layer].name for layer in campaign.network.convolutions if layer in campaign.tables}
    name = multiplier or (names.pop() if len(names) == 1 else "mul_u8s8_pp_full" if not names else None)
    if name is None:
        raise Refusal("--stuck-nets is of one multiplier; this network has several in its convolutions: name one")
    design = Design.parse(name)
    table = ProductTable.of(design.multiplier)
    with progress("synthesis"):
        recipe, area, netlist = stuck.mapped(design, technology_named(tech), (SEARCH,) if quick else RECIPES)
    with progress("stuck nets"):
        experiment = stuck.Experiment.of(campaign.network, campaign.tables, campaign.images, table, netlist, seed)
    tasks = experiment.tasks()
    found = _outcomes(tasks, store, workers, "faulty tables", len(tasks))
    record = experiment.result(
        found,
        subject,
        multiplier=design.name,
        technology=tech,
        recipe=recipe,
        area_um2=area,
    )
    written = [write_atomically(out / "stuck-nets.csv", stuck.table(record)), record.write(out / "stuck-nets.json")]
    figures = record.figures()
    if as_json:
        print_json({**figures, "multiplier": design.name, "correct": record.correct, "images": record.images})
        return
    click.echo(
        f"{design.name}: {area:.0f} µm², {figures['faults']} stuck nets, {record.distinct} different tables; "
        f"{record.correct / record.images:.2%} correct without a fault, {record.images} images"
    )
    for what, called in (("loss_all", "in all multipliers"), ("loss_one", "in one element")):
        each = figures[what]
        click.echo(
            f"  {called:18}  mean loss {100 * each['mean']:.3f} points; {each['critical']:.1%} cost a point or more; "
            f"loss × area {each['by_area_um2']:.2f} µm²"
        )
    click.echo("\n".join(map(str, written)))


def _protections(
    campaign: "Campaign", subject: "Subject", flips: "dict[Part, Counts]", share: float, tech: str, quick: bool
) -> "Protections":
    from amhw.faults.cost import cost
    from amhw.faults.protected import Protections, row

    rows = [row(campaign, flips, "", share, None)]
    with progress("protections", len(campaign.protections)) as work:
        for name in campaign.protections:
            recipes = (SEARCH,) if quick else RECIPES
            price = cost(name, campaign.network, campaign.tables, technology_named(tech), recipes)
            rows.append(row(campaign, flips, name, share, price))
            work.advance()
    return Protections(subject, tuple(rows))


def _written_protections(found: "Protections", out: Path) -> list[Path]:
    from amhw.faults.protected import picture, table

    return [
        write_atomically(out / "protections.csv", table(found)),
        write_atomically(out / "protections.svg", picture(found)),
        found.write(out / "protections.json"),
    ]


def _protected(found: "Protections") -> Table:
    table = Table(
        title="Protections: harm left of single flips of all stored bits",
        caption="share: bits of chosen outputs; corrected: flips in weights; area and delay: of one instance",
        box=box.SIMPLE,
        padding=(0, 1, 0, 0),
    )
    table.add_column("protection")
    for heading in ("share", "bits", "again", "harm left", "of weights", "corrected", "correct", "µm²", "ps"):
        table.add_column(heading, justify="right", no_wrap=True)
    plain = found.rows[0]
    for one in found.rows:
        area, delay = ("", "") if one.cost is None else (f"{one.cost.area_um2:.1f}", f"{one.cost.delay_ps:.0f}")
        more = f"{one.stored / plain.stored - 1:+.1%}"
        left = (f"{one.repeated:.1%}", f"{one.left:.2%}", f"{one.weights_left:.2%}", f"{one.corrected:.1%}")
        table.add_row(one.name or "none", f"{one.share:.1%}", more, *left, str(one.correct), area, delay)
    return table


def _ranking(
    campaign: "Campaign", flips: "dict[Part, Counts]", training: "DataSet"
) -> tuple[str, dict[str, dict[str, Any]]]:
    """Every output's vulnerability and harm as CSV, and how well they agree: in each layer and in all."""
    import numpy as np

    from amhw.faults.protected import accounts
    from amhw.faults.ranking import agreement, vulnerability

    guess = vulnerability(campaign.network, campaign.tables, training)
    truth = accounts(campaign, flips)
    text = "layer,output,vulnerability,harm\n"
    for layer, each in guess.items():
        for output, (one, other) in enumerate(zip(each, truth.plain[layer] / truth.images, strict=True)):
            text += f"{layer},{output},{one:.6g},{other:.6f}\n"
    together = {
        **{layer: (each, truth.plain[layer]) for layer, each in guess.items()},
        "all": (np.concatenate(list(guess.values())), np.concatenate([truth.plain[layer] for layer in guess])),
    }
    lines = {}
    for name, (one, other) in together.items():
        found = agreement(one, other)
        lines[name] = {
            "outputs": len(one),
            "correlation": round(found.correlation, 4),
            "covered": {f"{share:g}": round(part, 4) for share, part in found.covered.items()},
            "best": {f"{share:g}": round(part, 4) for share, part in found.best.items()},
        }
    return text, lines


def _ranked(lines: dict[str, dict[str, Any]]) -> Table:
    table = Table(
        title="Outputs by gradients, against the harm that flips do",
        caption="rank correlation; the share of the harm that the first of each ranking cover, and the best ones",
        box=box.SIMPLE,
        padding=(0, 1, 0, 0),
    )
    for heading in ("layer", "outputs", "correlation", "first 5 %", "10 %", "20 %", "50 %", "best 10 %"):
        table.add_column(heading, justify="left" if heading == "layer" else "right")
    for name, line in lines.items():
        shares = (f"{share:.1%}" for share in (*line["covered"].values(), line["best"]["0.1"]))
        table.add_row(name, str(line["outputs"]), f"{line['correlation']:.3f}", *shares)
    return table


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
