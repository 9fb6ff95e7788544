"""What is asked of a selection, and its answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from amhw.network.quantised import QuantisedNetwork
from amhw.refusal import Refusal
from amhw.select.demands import Demands
from amhw.select.record import SelectedMultiplier, SelectionRecord, Yardstick
from amhw.select.selection import Selection
from amhw.select.several import with_several
from amhw.select.solutions import Baseline, Solution, pareto_front
from amhw.select.space import Space
from amhw.stages.content import unpacked
from amhw.stages.synthesis import Implementation


@dataclass(frozen=True)
class Request:
    """What the user asks for: the whole Pareto front, or one multiplier that meets demands.

    Attributes:
        kept: the best multiplier with so many partial products.
        demands: the smallest that loses at most so much, or the best that is within other limits.
        multipliers: how many different ones the layers may have.
        finetune: whether networks are trained further.

    Raises:
        Refusal: there are demands beside a number of partial products, or a number that is impossible.
    """

    kept: int | None = None
    demands: Demands = Demands()  # noqa: RUF009 (frozen)
    multipliers: int = 1
    finetune: bool = False

    def __post_init__(self) -> None:
        if self.kept is not None and self.demands:
            raise Refusal(f"--kept {self.kept} and {self.demands}: give one of --kept and demands")
        if self.kept is not None and self.kept < 1:
            raise Refusal(
                f"--kept {self.kept}: a multiplier keeps at least 1 partial product; the nearest possible is --kept 1"
            )
        if self.multipliers < 1:
            raise Refusal(f"--multipliers {self.multipliers}: layers have at least 1 multiplier; try 2")
        if self.kept is not None and self.multipliers > 1:
            raise Refusal(
                f"--kept {self.kept} is one multiplier's partial products; leave out --multipliers {self.multipliers}"
            )

    @property
    def is_demand(self) -> bool:
        """Whether one multiplier is asked for, not the front."""
        return self.kept is not None or bool(self.demands)

    def solutions(self, selection: Selection) -> list[Solution]:
        """Those among which the answer is, with their accuracies."""
        if self.kept is not None:
            solutions = selection.with_kept(self.kept)[:1]
            return selection.score(selection.fine_tune(solutions) if self.finetune else solutions)
        solutions = selection.front(self.demands)
        if self.multipliers > 1:
            solutions += selection.score(with_several(selection, solutions, self.multipliers, self.demands))
        if self.finetune:
            solutions = selection.score(selection.fine_tune(solutions))
        if self.demands.max_energy_ratio is not None:
            solutions = selection.with_energy(solutions)
        elif self.multipliers > 1:
            alone = [solution for solution in solutions if len(solution.names) == 1]
            mixed = [solution for solution in solutions if len(solution.names) > 1]
            solutions = selection.with_energy(alone) + selection.with_energy(mixed, every=False)
        return selection.with_shared(solutions) if self.multipliers > 1 else solutions

    def check_network(self, network: QuantisedNetwork, layers: Sequence[str]) -> None:
        """
        Raises:
            Refusal: there are fewer layers than multipliers, or their operands have fewer partial products than are to
                be kept.
        """
        if self.kept is not None:
            for layer in layers:
                Space(network[layer].operands).check_kept(self.kept)
        if self.multipliers > len(layers):
            raise Refusal(
                f"--multipliers {self.multipliers}: {network.network.name} has {len(layers)} layers to choose for "
                f"({', '.join(layers)}); the nearest possible is --multipliers {len(layers)}, or --layers all"
            )

    def chosen(self, solutions: list[Solution], baseline: Baseline) -> tuple[Solution, Implementation]:
        """The solution that meets the demands by what is known from training images, and its implementation: the
        smallest where a loss is allowed, else the best.

        Raises:
            Refusal: none does; with the nearest that there is, and by how much it misses.
        """
        if self.kept is not None:
            return solutions[0], solutions[0].balanced
        pairs = [(solution, each) for solution in solutions for each in solution.implementations]
        figures = [self.demands.figures(*pair, baseline) for pair in pairs]
        possible = [pair for pair, found in zip(pairs, figures, strict=True) if self.demands.met_by(found)]
        if not possible:
            # Of equals the one that loses least.
            nearest = min(range(len(pairs)), key=lambda k: (self.demands.excess(figures[k]), pairs[k][0].divergence))
            raise Refusal(
                f"{self.demands}: nothing that was found is so good; the nearest is {pairs[nearest][0].name} with "
                f"{self.demands.missed_in_words(figures[nearest])}"
            )
        if self.demands.max_loss is not None:
            return min(possible, key=lambda pair: (pair[1].area_um2, pair[0].divergence))
        return min(possible, key=lambda pair: (pair[0].divergence, pair[1].area_um2))


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
        if self.chosen is None:
            return self.front
        best = any(self.chosen[0] is solution for solution in pareto_front(self.solutions))
        return self.yardstick.record(*self.chosen, nondominated=best)


def answer(
    request: Request,
    selection: Selection,
    folder: Path,
) -> Answer:
    """Select, write the networks and ``front.json`` into `folder`, and simulate what is chosen.

    Raises:
        Refusal: the problem cannot be used, or no multiplier meets the demand.
    """
    solutions = request.solutions(selection)
    baseline = selection.baseline()
    yardstick = Yardstick(
        baseline, float(selection.exact_hits().mean()), selection.technology, folder, selection.problem
    )
    for solution in solutions:
        unpacked(solution.fitted.network).save(yardstick.file(solution))
    front = yardstick.records(solutions)
    front_file = front.write(folder / "front.json") if request.kept is None else None
    if not request.is_demand:
        return Answer(solutions, yardstick, front, front_file, None)
    chosen = request.chosen(solutions, baseline)
    selection.simulate(chosen[1].design.split("+"))
    if request.multipliers > 1:
        [counted] = selection.with_energy([chosen[0]])
        solutions = [counted if solution is chosen[0] else solution for solution in solutions]
        chosen = counted, chosen[1]
    return Answer(solutions, yardstick, front, front_file, chosen)
