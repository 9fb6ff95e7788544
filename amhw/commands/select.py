"""The select command: the multiplier that fits a demand, and the network that goes with it."""

from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from amhw.commands.base import Command, print_json
from amhw.multiplier import parse
from amhw.network.trained_on import other_data
from amhw.refusal import Refusal
from amhw.results import Results
from amhw.select.record import Yardstick
from amhw.select.selection import Report, Selection
from amhw.select.solutions import Baseline, Solution, pareto_front
from amhw.stages.content import unpacked
from amhw.stages.problem import Problem
from amhw.stages.synthesis import Implementation
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
@click.option(
    "--results",
    "store",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The results store. [default: results.sqlite in --out]",
)
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
    store: Path | None,
    workers: int | None,
    dask: str | None,
    as_json: bool,
) -> None:
    """Choose the partial products from what the network really multiplies.

    Chooses on training images, reports on test images. Writes the network with its weights remapped for the
    multiplier, a file for amhw accuracy --network, into the folder --out; the results store, results.sqlite there,
    keeps every result, so that the next request is quick and an interrupted one goes on. Without a demand the whole
    Pareto front is printed.

    With --finetune the networks that the front ends with are trained for 24 more epochs through their multipliers, on
    the same training images, and the choice is made among them; amhw train does it on a whole training set.
    """
    demanded = Demanded(kept, max_loss, max_area_ratio)
    demanded.check()
    technology_named(tech)
    problem = Problem(network and str(Path(network).resolve()), data_dir and str(Path(data_dir).resolve()))
    loaded = problem.loaded  # refuses unusable files before any work
    if (note := other_data(loaded.base.network, loaded.data)) is not None:
        click.echo(f"amhw: note: {note}", err=True)
    with (
        _one_line(),
        Results(store or out / "results.sqlite") as results,
        executor(workers, dask=dask) as pool,
        _progress() as report,
    ):
        selection = Selection(problem, tech, results, pool, report)
        if kept is not None:
            solutions = selection.with_kept(kept)
            if per_layer:
                solutions = sorted([*solutions, *selection.each_layer_its_own(solutions)], key=lambda s: s.divergence)
            solutions = solutions[:1]
            solutions = selection.score(selection.fine_tune(solutions) if finetune else solutions)
        else:
            solutions = selection.front()
            if per_layer:
                solutions += selection.score(selection.each_layer_its_own(solutions))
            if finetune:
                solutions = selection.score(selection.fine_tune(pareto_front(solutions)))
        baseline = selection.baseline()
        yardstick = Yardstick(baseline, float(selection.exact_hits().mean()), tech, out, problem)
        for solution in solutions:
            unpacked(solution.fitted.network).save(yardstick.file(solution))
        front = yardstick.records(solutions)
        if kept is None:
            front.write(out / "front.json")
        if demanded != Demanded():
            solution, chosen = _chosen(solutions, baseline, demanded)
            selection.simulate(chosen.design.split("+"))
    if demanded == Demanded():
        if as_json:
            print_json(front.plain())
        else:
            click.echo(_front_page(solutions, yardstick))
    elif as_json:
        print_json(yardstick.record(solution, chosen, solutions).plain())
    else:
        click.echo(_page(solution, chosen, yardstick))


def _chosen(solutions: list[Solution], baseline: Baseline, demanded: Demanded) -> tuple[Solution, Implementation]:
    """The solution that meets the demand by what is known from training images, and its implementation.

    Raises:
        Refusal: none does; with the nearest that there is.
    """
    if demanded.max_area_ratio is not None:
        limit = demanded.max_area_ratio * baseline.smallest.area_um2
        possible = [(solution, found) for solution in solutions if (found := solution.within(limit)) is not None]
        if not possible:
            smallest = min(solutions, key=lambda s: s.smallest.area_um2)
            ratio = baseline.area_ratio(smallest.smallest)
            raise Refusal(
                f"--max-area-ratio {demanded.max_area_ratio:g}: nothing on the front is so small; the nearest is "
                f"{smallest.name} at {ratio:.4f}, which loses {100 * smallest.training_loss:.2f} points on "
                "training images"
            )
        return min(possible, key=lambda pair: (pair[0].divergence, pair[1].area_um2))
    if demanded.max_loss is not None:
        good = [solution for solution in solutions if 100 * solution.training_loss <= demanded.max_loss]
        if not good:
            best = min(solutions, key=lambda s: s.training_loss)
            raise Refusal(
                f"--max-loss {demanded.max_loss:g}: nothing smaller than the exact multiplier loses so little; "
                "the nearest is "
                f"{best.name} with {100 * best.training_loss:.2f} points on training images"
            )
        solution = min(good, key=lambda s: (s.smallest.area_um2, s.divergence))
        return solution, solution.smallest
    return solutions[0], solutions[0].balanced


def _front_page(solutions: list[Solution], yardstick: Yardstick) -> str:
    baseline = yardstick.baseline
    lines = [
        f"exact: {100 * yardstick.exact_accuracy:.2f} %, {baseline.smallest.area_um2:.0f} µm² (smallest), "
        f"{baseline.fastest.delay_ps:.0f} ps (fastest)",
        f"{'kept':>4}  {'area':>6}  {'delay':>6}  {'loss, points':>14}  {'training':>8}  multiplier",
    ]
    for solution in sorted(solutions, key=lambda s: s.balanced.area_um2):
        assert solution.loss is not None
        chosen = solution.balanced
        plain = "  (reduced precision)" if solution.reduced_precision else ""
        lines.append(
            f"{solution.kept:4d}  {baseline.area_ratio(chosen):6.4f}  {baseline.delay_ratio(chosen):6.3f}  "
            f"{100 * solution.loss.mean:6.2f} ± {100 * solution.loss.half_width:.2f}  "
            f"{100 * solution.training_loss:8.2f}  {solution.name}{plain}"
        )
    lines.append(f"networks and front.json are in {yardstick.folder}")
    return "\n".join(lines)


def _page(solution: Solution, chosen: Implementation, yardstick: Yardstick) -> str:
    assert solution.loss is not None and solution.accuracy is not None
    baseline = yardstick.baseline
    lines = []
    for name in solution.names:
        lines += [name, "", parse(name).diagram()]
    errors = ", ".join(f"{layer} {100 * error:.1f} %" for layer, error in solution.fitted.errors.items())
    measured = f"{errors} of the pre-activations' deviation, training images" if errors else "none: fine-tuned"
    lines += [
        f"partial products  {solution.kept}",
        f"predicted error   {solution.predicted:.3f}",
        f"measured error    {measured}",
        f"accuracy          {100 * solution.accuracy:.2f} %, exact {100 * yardstick.exact_accuracy:.2f} % "
        "(test images)",
        f"loss              {100 * solution.loss.mean:.2f} ± {100 * solution.loss.half_width:.2f} points, "
        "paired 95 % interval; "
        f"{100 * solution.training_loss:.2f} on the training images that it was chosen by",
        f"area              {chosen.area_um2:.2f} µm², {baseline.area_ratio(chosen):.4f} of the smallest exact "
        f"({baseline.smallest.area_um2:.2f})",
        f"delay             {chosen.delay_ps:.1f} ps, {baseline.delay_ratio(chosen):.3f} of the fastest exact "
        f"({baseline.fastest.delay_ps:.1f})",
        f"netlist           {chosen.design}, recipe {chosen.recipe} (area and delay are of this one)",
        f"network           {yardstick.file(solution)}",
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
