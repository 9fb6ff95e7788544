"""The select command: the multiplier that fits a demand, and the network that goes with it."""

import json
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from amhw.commands.base import Command, print_json
from amhw.files import write_atomically
from amhw.multiplier import parse
from amhw.refusal import Refusal
from amhw.results import Results
from amhw.select.front import Baseline, Netlist, Point, Report, Selection, nondominated
from amhw.select.stages import Problem, unpacked
from amhw.synth.failure import SynthesisError
from amhw.synth.store import technology_named
from amhw.workers import executor


@dataclass(frozen=True)
class Demanded:
    """What the user asks for; at most one is set."""

    kept: int | None = None
    max_loss: float | None = None
    max_area_ratio: float | None = None

    def check(self) -> None:
        """Refuse what no multiplier can meet, before any work.

        Raises:
            Refusal: with the nearest demand that can be met.
        """
        if sum(value is not None for value in vars(self).values()) > 1:
            raise Refusal("give one of --kept, --max-loss and --max-area-ratio")
        if self.kept is not None and self.kept < 1:
            raise Refusal(
                f"--kept {self.kept}: a multiplier keeps at least 1 partial product; the nearest possible is --kept 1"
            )
        if self.max_loss is not None and not self.max_loss >= 0:
            raise Refusal(
                f"--max-loss {self.max_loss:g}: the exact multiplier itself loses 0 points; "
                "the nearest possible is --max-loss 0"
            )
        if self.max_area_ratio is not None and not self.max_area_ratio > 0:
            raise Refusal(f"--max-area-ratio {self.max_area_ratio:g}: an area is positive; try 0.06")


@click.command(
    cls=Command,
    epilog="Example: amhw select --max-area-ratio 0.06   (then: amhw accuracy --network select/NAME.npz)",
)
@click.option("--kept", type=int, metavar="N", help="The best multiplier with N partial products.")
@click.option("--max-loss", type=float, metavar="POINTS", help="The smallest that loses at most so many points.")
@click.option("--max-area-ratio", type=float, metavar="R", help="The best of at most R times the exact area.")
@click.option("--per-layer", is_flag=True, help="Each layer may have a multiplier of its own.")
@click.option("--finetune", is_flag=True, help="Train the networks of the front (of --kept's multiplier) further.")
@click.option("--network", type=click.Path(dir_okay=False), help="A float or quantised network; default: shipped.")
@click.option("--data-dir", type=click.Path(file_okay=False), help="Folder with IDX files; default: MNIST.")
@click.option("--tech", default="sky130hd", show_default=True, help="Technology, or a Liberty file.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("select"), show_default=True, help="Folder.")
@click.option("--workers", type=int, help="Processes; default: one for each core.")
@click.option("--dask", metavar="ADDRESS", help="Use the workers of this Dask scheduler instead.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    kept: int | None,
    max_loss: float | None,
    max_area_ratio: float | None,
    per_layer: bool,
    finetune: bool,
    network: str | None,
    data_dir: str | None,
    tech: str,
    out: Path,
    workers: int | None,
    dask: str | None,
    as_json: bool,
) -> None:
    """Choose the partial products from what the network really multiplies.

    Chooses on training images, reports on test images. Writes the network with its weights remapped for the
    multiplier, a file for amhw accuracy --network, into the folder --out; there results.sqlite keeps every result,
    so that the next request is quick and an interrupted one goes on. Without a demand the whole front is printed.

    With --finetune the networks that the front ends with are trained for 24 more epochs through their multipliers, on
    the same training images, and the choice is made among them; amhw train does it on a whole training set.
    """
    demanded = Demanded(kept, max_loss, max_area_ratio)
    demanded.check()
    technology_named(tech)
    problem = Problem(network and str(Path(network).resolve()), data_dir and str(Path(data_dir).resolve()))
    problem.loaded  # noqa: B018  (refuses unusable files before any work)
    with (
        _one_line(),
        Results(out / "results.sqlite") as results,
        executor(workers, dask=dask) as pool,
        _progress() as report,
    ):
        selection = Selection(problem, tech, results, pool, report)
        if kept is not None:
            points = selection.with_kept(kept)
            if per_layer:
                points = sorted([*points, *selection.each_layer_its_own(points)], key=lambda p: p.divergence)
            points = points[:1]
            points = selection.score(selection.fine_tune(points) if finetune else points)
        else:
            points = selection.front()
            if per_layer:
                points += selection.score(selection.each_layer_its_own(points))
            if finetune:
                points = selection.score(selection.fine_tune(nondominated(points)))
        baseline = selection.baseline()
        figures = Figures(baseline, float(selection.exact_hits().mean()), tech, out, problem)
        for point in points:
            unpacked(point.network).save(figures.file(point))
        if kept is None:
            front = {"technology": tech, "front": _front(points, figures)}
            write_atomically(out / "front.json", json.dumps(front, indent=2) + "\n")
        if demanded != Demanded():
            point, netlist = _chosen(points, baseline, demanded)
            selection.simulate(netlist.design.split("+"))
    if demanded == Demanded():
        if as_json:
            print_json({"front": front["front"]})
        else:
            click.echo(_front_page(points, figures))
    elif as_json:
        print_json(figures.record(point, netlist))
    else:
        click.echo(_page(point, netlist, figures))


@dataclass(frozen=True)
class Figures:
    """What points are compared with, and where their networks are."""

    baseline: Baseline
    exact_accuracy: float
    technology: str
    folder: Path
    problem: Problem

    def file(self, point: Point) -> Path:
        """A point's network file."""
        each = [name.removeprefix("mul_") for _, name in point.multipliers]
        names = each[0] if len(set(each)) == 1 else "-".join(each)
        return self.folder / f"{names}{'-finetuned' if point.fine_tuned else ''}.npz"

    def record(self, point: Point, netlist: Netlist) -> dict[str, Any]:
        """One point and one of its netlists, for JSON."""
        assert point.loss is not None
        return {
            "multiplier": point.name,
            "kept": point.kept,
            "accuracy": point.accuracy,
            "exact_accuracy": self.exact_accuracy,
            "area_ratio": self.baseline.area_ratio(netlist),
            "delay_ratio": self.baseline.delay_ratio(netlist),
            "network": str(self.file(point)),
            "loss_points": 100 * point.loss.mean,
            "loss_interval": [
                100 * (point.loss.mean - point.loss.half_width),
                100 * (point.loss.mean + point.loss.half_width),
            ],
            "training_loss_points": 100 * point.training_loss,
            "divergence": point.divergence,
            "predicted_error": point.predicted,
            "layer_errors": point.errors,
            "fine_tuned": point.fine_tuned,
            "reduced_precision": point.reduced_precision,
            "design": netlist.design,
            "recipe": netlist.recipe,
            "technology": self.technology,
            "problem": asdict(self.problem),
            "test_images": self.problem.loaded.test.sha256,
            "area_um2": netlist.area_um2,
            "delay_ps": netlist.delay_ps,
            "exact_area_um2": self.baseline.smallest.area_um2,
            "exact_delay_ps": self.baseline.fastest.delay_ps,
        }


def _chosen(points: list[Point], baseline: Baseline, demanded: Demanded) -> tuple[Point, Netlist]:
    """The point that meets the demand by what is known from training images, and its netlist.

    Raises:
        Refusal: none does; with the nearest that there is.
    """
    if demanded.max_area_ratio is not None:
        limit = demanded.max_area_ratio * baseline.smallest.area_um2
        possible = [(point, netlist) for point in points if (netlist := point.within(limit)) is not None]
        if not possible:
            smallest = min(points, key=lambda p: p.netlists[0].area_um2)
            ratio = baseline.area_ratio(smallest.netlists[0])
            raise Refusal(
                f"--max-area-ratio {demanded.max_area_ratio:g}: nothing on the front is so small; the nearest is "
                f"{smallest.name} at {ratio:.4f}, which loses {100 * smallest.training_loss:.2f} points on "
                "training images"
            )
        return min(possible, key=lambda pair: (pair[0].divergence, pair[1].area_um2))
    if demanded.max_loss is not None:
        good = [point for point in points if 100 * point.training_loss <= demanded.max_loss]
        if not good:
            best = min(points, key=lambda p: p.training_loss)
            raise Refusal(
                f"--max-loss {demanded.max_loss:g}: nothing smaller than the exact multiplier loses so little; "
                "the nearest is "
                f"{best.name} with {100 * best.training_loss:.2f} points on training images"
            )
        point = min(good, key=lambda p: (p.netlists[0].area_um2, p.divergence))
        return point, point.netlists[0]
    return points[0], points[0].balanced


def _front(points: list[Point], figures: Figures) -> list[dict[str, Any]]:
    """Every point with every netlist that no other of it beats."""
    best = {id(point) for point in nondominated(points)}
    return [
        figures.record(point, netlist) | {"nondominated": id(point) in best}
        for point in points
        for netlist in point.netlists
    ]


def _front_page(points: list[Point], figures: Figures) -> str:
    baseline = figures.baseline
    lines = [
        f"exact: {100 * figures.exact_accuracy:.2f} %, {baseline.smallest.area_um2:.0f} µm² (smallest), "
        f"{baseline.fastest.delay_ps:.0f} ps (fastest)",
        f"{'kept':>4}  {'area':>6}  {'delay':>6}  {'loss, points':>14}  {'training':>8}  multiplier",
    ]
    for point in sorted(points, key=lambda p: p.balanced.area_um2):
        assert point.loss is not None
        netlist = point.balanced
        plain = "  (reduced precision)" if point.reduced_precision else ""
        lines.append(
            f"{point.kept:4d}  {baseline.area_ratio(netlist):6.4f}  {baseline.delay_ratio(netlist):6.3f}  "
            f"{100 * point.loss.mean:6.2f} ± {100 * point.loss.half_width:.2f}  {100 * point.training_loss:8.2f}  "
            f"{point.name}{plain}"
        )
    lines.append(f"networks and front.json are in {figures.folder}")
    return "\n".join(lines)


def _page(point: Point, netlist: Netlist, figures: Figures) -> str:
    assert point.loss is not None and point.accuracy is not None
    baseline = figures.baseline
    lines = []
    for name in point.names:
        lines += [name, "", parse(name).diagram()]
    errors = ", ".join(f"{layer} {100 * error:.1f} %" for layer, error in point.errors.items())
    measured = f"{errors} of the pre-activations' deviation, training images" if errors else "none: fine-tuned"
    lines += [
        f"partial products  {point.kept}",
        f"predicted error   {point.predicted:.3f}",
        f"measured error    {measured}",
        f"accuracy          {100 * point.accuracy:.2f} %, exact {100 * figures.exact_accuracy:.2f} % (test images)",
        f"loss              {100 * point.loss.mean:.2f} ± {100 * point.loss.half_width:.2f} points, "
        "paired 95 % interval; "
        f"{100 * point.training_loss:.2f} on the training images that it was chosen by",
        f"area              {netlist.area_um2:.2f} µm², {baseline.area_ratio(netlist):.4f} of the smallest exact "
        f"({baseline.smallest.area_um2:.2f})",
        f"delay             {netlist.delay_ps:.1f} ps, {baseline.delay_ratio(netlist):.3f} of the fastest exact "
        f"({baseline.fastest.delay_ps:.1f})",
        f"netlist           {netlist.design}, recipe {netlist.recipe} (area and delay are of this one)",
        f"network           {figures.file(point)}",
    ]
    return "\n".join(lines)


@contextmanager
def _one_line() -> Iterator[None]:
    """What goes wrong in a worker, in a line; everything that was finished is kept."""
    try:
        yield
    except (SynthesisError, BrokenExecutor) as error:
        reason = str(error).strip().splitlines()
        raise click.ClickException(
            f"a worker failed: {reason[0] if reason else type(error).__name__}; the same command goes on from here"
        ) from None


@contextmanager
def _progress() -> Iterator[Report]:
    """A line on standard error that says which step is under way."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("statistics", total=None)

        def report(what: str, done: int, total: int) -> None:
            progress.update(task, description=what, completed=done, total=total)

        yield report
