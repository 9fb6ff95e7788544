"""What is asked of a selection, and its answer."""

import math
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from amhw.network.network import Network
from amhw.refusal import Refusal
from amhw.results import Results
from amhw.select.record import SelectedMultiplier, SelectionRecord, Yardstick
from amhw.select.selection import Report, Selection
from amhw.select.settings import DEFAULTS, Settings
from amhw.select.solutions import Baseline, Solution, pareto_front
from amhw.stages.content import unpacked
from amhw.stages.problem import Problem
from amhw.stages.synthesis import Implementation


@dataclass(frozen=True)
class Request:
    """What the user asks for: the whole Pareto front, or one demand.

    Attributes:
        kept: the best multiplier with so many partial products.
        max_loss: the smallest that loses at most so many points.
        max_area_ratio: the best of at most so many times the exact area.
        per_layer: whether each layer may have a multiplier of its own.
        finetune: whether networks are trained further.

    Raises:
        Refusal: there are two demands, or one that no multiplier can meet; with the nearest that can be met.
    """

    kept: int | None = None
    max_loss: float | None = None
    max_area_ratio: float | None = None
    per_layer: bool = False
    finetune: bool = False

    def __post_init__(self) -> None:
        demands = (self.kept, self.max_loss, self.max_area_ratio)
        if sum(value is not None for value in demands) > 1:
            raise Refusal("give one of --kept, --max-loss and --max-area-ratio")
        if self.kept is not None and self.kept < 1:
            raise Refusal(
                f"--kept {self.kept}: a multiplier keeps at least 1 partial product; the nearest possible is --kept 1"
            )
        for option, value, example in (
            ("--max-loss", self.max_loss, 0.5),
            ("--max-area-ratio", self.max_area_ratio, 0.06),
        ):
            if value is not None and not math.isfinite(value):
                raise Refusal(f"{option} {value:g} is no demand; leave it out for the whole front, or try {example}")
        if self.max_loss is not None and not self.max_loss >= 0:
            raise Refusal(
                f"--max-loss {self.max_loss:g}: the exact multiplier itself loses 0 points; "
                "the nearest possible is --max-loss 0"
            )
        if self.max_area_ratio is not None and not self.max_area_ratio > 0:
            raise Refusal(f"--max-area-ratio {self.max_area_ratio:g}: an area is positive; try 0.06")

    @property
    def is_demand(self) -> bool:
        """Whether one multiplier is asked for, not the front."""
        return (self.kept, self.max_loss, self.max_area_ratio) != (None, None, None)

    def solutions(self, selection: Selection) -> list[Solution]:
        """Those among which the answer is, with their accuracies."""
        if self.kept is None:
            solutions = selection.front()
            if self.per_layer:
                solutions += selection.score(selection.each_layer_its_own(solutions))
            if self.finetune:
                solutions = selection.score(selection.fine_tune(pareto_front(solutions)))
            return solutions
        solutions = selection.with_kept(self.kept)
        if self.per_layer:
            solutions = sorted([*solutions, *selection.each_layer_its_own(solutions)], key=lambda s: s.divergence)
        solutions = solutions[:1]
        return selection.score(selection.fine_tune(solutions) if self.finetune else solutions)

    def check_network(self, network: Network, settings: Settings = DEFAULTS) -> None:
        """Refuse what would take too long with a network.

        Raises:
            Refusal: it has too many convolutions for each to have a multiplier of its own.
        """
        count = settings.mixed ** len(network.convolutions)
        if self.per_layer and count > settings.most_mixed:
            raise Refusal(
                f"{network.name} has {len(network.convolutions)} convolutions: leave out --per-layer, because "
                f"{count} combinations of {settings.mixed} multipliers are too many"
            )

    def chosen(self, solutions: list[Solution], baseline: Baseline) -> tuple[Solution, Implementation]:
        """The solution that meets the demand by what is known from training images, and its implementation.

        Raises:
            Refusal: none does; with the nearest that there is.
        """
        if self.max_area_ratio is not None:
            limit = self.max_area_ratio * baseline.smallest.area_um2
            possible = [(solution, found) for solution in solutions if (found := solution.within(limit)) is not None]
            if not possible:
                smallest = min(solutions, key=lambda s: s.smallest.area_um2)
                ratio = baseline.area_ratio(smallest.smallest)
                raise Refusal(
                    f"--max-area-ratio {self.max_area_ratio:g}: nothing on the front is so small; the nearest is "
                    f"{smallest.name} at {ratio:.4f}, which loses {100 * smallest.training_loss:.2f} points on "
                    "training images"
                )
            return min(possible, key=lambda pair: (pair[0].divergence, pair[1].area_um2))
        if self.max_loss is not None:
            good = [solution for solution in solutions if 100 * solution.training_loss <= self.max_loss]
            if not good:
                best = min(solutions, key=lambda s: s.training_loss)
                raise Refusal(
                    f"--max-loss {self.max_loss:g}: nothing smaller than the exact multiplier loses so little; "
                    f"the nearest is {best.name} with {100 * best.training_loss:.2f} points on training images"
                )
            solution = min(good, key=lambda s: (s.smallest.area_um2, s.divergence))
            return solution, solution.smallest
        return solutions[0], solutions[0].balanced


@dataclass(frozen=True, eq=False)
class Answer:
    """What was found and written.

    Attributes:
        solutions: with their networks in files.
        yardstick: what they are compared with, and where the networks are.
        front: every implementation of every solution.
        front_file: where that is, unless the request was for a number of partial products.
        chosen: what meets the demand, where there was one.
    """

    solutions: list[Solution]
    yardstick: Yardstick
    front: SelectionRecord
    front_file: Path | None
    chosen: tuple[Solution, Implementation] | None

    @property
    def record(self) -> SelectionRecord | SelectedMultiplier:
        """What was asked for: the front, or the multiplier that is chosen."""
        return self.front if self.chosen is None else self.yardstick.record(*self.chosen, self.solutions)


def answer(
    request: Request,
    problem: Problem,
    technology: str,
    folder: Path,
    results: Results,
    executor: Executor,
    report: Report = lambda what, done, total: None,
) -> Answer:
    """Select, write the networks and ``front.json`` into `folder`, and simulate what is chosen.

    Raises:
        Refusal: the problem cannot be used, or no multiplier meets the demand.
    """
    selection = Selection(problem, technology, results, executor, report)
    solutions = request.solutions(selection)
    baseline = selection.baseline()
    yardstick = Yardstick(baseline, float(selection.exact_hits().mean()), technology, folder, problem)
    for solution in solutions:
        unpacked(solution.fitted.network).save(yardstick.file(solution))
    front = yardstick.records(solutions)
    front_file = front.write(folder / "front.json") if request.kept is None else None
    if not request.is_demand:
        return Answer(solutions, yardstick, front, front_file, None)
    chosen = request.chosen(solutions, baseline)
    selection.simulate(chosen[1].design.split("+"))
    return Answer(solutions, yardstick, front, front_file, chosen)
