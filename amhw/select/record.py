"""What a selection found: the types behind ``front.json`` and what ``amhw select --json`` prints."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from amhw.datasets import Identity
from amhw.documents import Amount, Count, Document, Name, Share
from amhw.select.solutions import Baseline, Solution, pareto_front
from amhw.stages.problem import Problem
from amhw.stages.synthesis import Implementation


@dataclass(frozen=True)
class SelectedMultiplier(Document):
    """One implementation of one solution, with all that it takes to build, judge and compare it.

    Attributes:
        multiplier: one name, or layer=name for each layer.
        kept: partial products.
        accuracy, exact_accuracy: on the test images, with it and with exact products.
        area_ratio, delay_ratio: to the smallest and to the fastest exact multiplier.
        network: the file of the network that goes with it.
        loss_points, loss_interval: accuracy lost on the test images, in points, and its 95 % interval.
        training_loss_points, divergence: of the network on training images; see `amhw.stages.fitting`.
        predicted_error: the search's score before anything was measured.
        layer_errors: of each layer's pre-activations; empty where the network was fine-tuned.
        design, recipe, technology: of the netlist; area and delay are of this one.
        problem: the network and the data that it was selected for.
        test_images: their hash.
        trained_on, data: the data set that the network was trained on, if it says so, and that it was selected on.
        nondominated: whether the solution is on the Pareto front of those that were compared.
        energy_ratio: of the multiplications in the layers that have a multiplier, to the exact multiplier that takes
            the least, where it was asked for.
        shared_area_ratio, shared_delay_ratio, shared_energy_ratio: of the one multiplier that can be each layer's own,
            where layers have different ones and they are masks. The other figures are then of an array for each
            multiplier, as large as its share of the multiplications.
    """

    kind: ClassVar[str] = "selected-multiplier"
    schema: ClassVar[int] = 1
    called: ClassVar[str] = "selected multiplier"
    written_by: ClassVar[str] = "amhw select --json"

    multiplier: Name
    kept: Count
    accuracy: Share
    exact_accuracy: Share
    area_ratio: Amount
    delay_ratio: Amount
    network: str
    loss_points: float
    loss_interval: tuple[float, float]
    training_loss_points: float
    divergence: float
    predicted_error: float
    layer_errors: dict[str, float]
    fine_tuned: bool
    reduced_precision: bool
    design: Name
    recipe: str
    technology: str
    problem: Problem
    test_images: str
    trained_on: Identity | None
    data: Identity
    area_um2: Amount
    delay_ps: Amount
    exact_area_um2: Amount
    exact_delay_ps: Amount
    nondominated: bool
    energy_ratio: Amount | None = None
    shared_area_ratio: Amount | None = None
    shared_delay_ratio: Amount | None = None
    shared_energy_ratio: Amount | None = None

    @property
    def names(self) -> list[str]:
        """The different multipliers' names."""
        return list(dict.fromkeys(part.rpartition("=")[2] for part in self.multiplier.split(",")))


@dataclass(frozen=True)
class SelectionRecord(Document):
    """Every implementation of every solution of a selection."""

    kind: ClassVar[str] = "selection"
    schema: ClassVar[int] = 1
    called: ClassVar[str] = "selection"
    written_by: ClassVar[str] = "amhw select"

    technology: str
    front: tuple[SelectedMultiplier, ...]


@dataclass(frozen=True)
class Yardstick:
    """What a selection's solutions are compared with, and where their networks are.

    Attributes:
        baseline: the best exact multipliers.
        exact_accuracy: of the network with exact products, on the test images.
        technology: a name, or the path of a Liberty file.
        folder: of the networks.
    """

    baseline: Baseline
    exact_accuracy: float
    technology: str
    folder: Path
    problem: Problem

    def file(self, solution: Solution) -> Path:
        """A solution's network file."""
        names = "-".join(name.removeprefix("mul_") for name in solution.names)
        if len(solution.names) > 1:  # and which of them each layer has
            names += "-" + "".join(str(solution.names.index(name)) for _, name in solution.multipliers)
        return self.folder / f"{names}{'-finetuned' if solution.fine_tuned else ''}.npz"

    def record(self, solution: Solution, implementation: Implementation, *, nondominated: bool) -> SelectedMultiplier:
        """One implementation of a solution whose accuracy is known."""
        loss, accuracy, shared = solution.loss, solution.accuracy, solution.shared
        assert loss is not None and accuracy is not None
        return SelectedMultiplier(
            multiplier=solution.name,
            kept=solution.kept,
            accuracy=accuracy,
            exact_accuracy=self.exact_accuracy,
            area_ratio=self.baseline.area_ratio(implementation),
            delay_ratio=self.baseline.delay_ratio(implementation),
            network=str(self.file(solution)),
            loss_points=100 * loss.mean,
            loss_interval=(100 * (loss.mean - loss.half_width), 100 * (loss.mean + loss.half_width)),
            training_loss_points=100 * solution.training_loss,
            divergence=solution.divergence,
            predicted_error=solution.predicted,
            layer_errors=solution.fitted.errors,
            fine_tuned=solution.fine_tuned,
            reduced_precision=solution.reduced_precision,
            design=implementation.design,
            recipe=implementation.recipe,
            technology=self.technology,
            problem=self.problem,
            test_images=self.problem.loaded.test.sha256,
            trained_on=self.problem.loaded.base.network.trained_on,
            data=self.problem.loaded.data.identity,
            area_um2=implementation.area_um2,
            delay_ps=implementation.delay_ps,
            exact_area_um2=self.baseline.smallest.area_um2,
            exact_delay_ps=self.baseline.fastest.delay_ps,
            nondominated=nondominated,
            energy_ratio=solution.energy_ratio(implementation),
            shared_area_ratio=None if shared is None else self.baseline.area_ratio(shared),
            shared_delay_ratio=None if shared is None else self.baseline.delay_ratio(shared),
            shared_energy_ratio=None if shared is None else shared.energy_ratio,
        )

    def records(self, solutions: Sequence[Solution]) -> SelectionRecord:
        """Every solution with every implementation."""
        best = {id(solution) for solution in pareto_front(solutions)}
        rows = [
            self.record(solution, each, nondominated=id(solution) in best)
            for solution in solutions
            for each in solution.implementations
        ]
        return SelectionRecord(self.technology, tuple(rows))
