"""A run: networks answer, energies are counted, cascades are chosen on judging images and measured on test images."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property

from amhw.cascade.answers import Answers, answering, judging, plain_judges
from amhw.cascade.front import front
from amhw.cascade.record import CascadedNetwork, CascadeRun, MeasuredCascade
from amhw.cascade.threshold import Cascade, Curve
from amhw.network.quantised import QuantisedNetwork
from amhw.network.trained_on import own_data
from amhw.refusal import Refusal
from amhw.results import R, Results, Task, completed
from amhw.select.demands import at_most
from amhw.select.energy import Operands, exact_designs, expected_of, per_image
from amhw.stages.emission import emission
from amhw.stages.loss import Loss
from amhw.stages.problem import Problem
from amhw.stages.synthesis import synthesis
from amhw.table import ProductTable
from amhw.verilog import Design

Report = Callable[[str, int, int], None]

EXACT = "exact"
"""The name of the network with exact products."""


DEMANDS = (10.0, 5.0, 2.0, 1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.0)
"""Points of accuracy that may be lost."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A network, and the multipliers that it was made for; the other layers multiply exactly."""

    name: str
    network: QuantisedNetwork
    tables: Mapping[str, ProductTable]


class Cascades:
    """Networks that classify the same images, the first with exact products.

    Raises:
        Refusal: networks take other images or have other classes than the exact one, or two have the same name.
    """

    def __init__(
        self,
        problem: Problem,
        others: Sequence[Candidate],
        technology: str,
        results: Results,
        executor: Executor,
        report: Report = lambda what, done, total: None,
    ) -> None:
        base = problem.loaded.base
        for other in others:
            check_alike(base, other)
        names = [EXACT, *(other.name for other in others)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise Refusal(f"two networks are called {', '.join(twice)}: give each file a name of its own")
        self.problem, self.technology = problem, technology
        self.networks = (Candidate(EXACT, base, {}), *others)
        self._results, self._executor, self._report = results, executor, report

    @property
    def layers(self) -> list[str]:
        """The layers in which some network has a multiplier, in the exact network's order."""
        return [name for name in self.networks[0].network.layer_names if any(name in n.tables for n in self.networks)]

    @cached_property
    def answers(self) -> tuple[list[Answers], list[Answers]]:
        """Each network's on judging and on test images."""
        tasks = [answering(self.problem, each.network, each.tables) for each in self.networks]
        both = [record.answers for record in self._run(tasks, "networks")]
        return [judged for judged, _ in both], [test for _, test in both]

    @cached_property
    def exact_design(self) -> Design:
        """The exact multiplier that takes the least energy in the layer with most multiplications."""
        base = self.networks[0].network
        layer = base.network.busiest
        found = self._energies([(0, layer, design) for design in exact_designs(base, layer)], "exact multipliers")
        return min(found, key=lambda key: found[key])[2]

    @cached_property
    def _each(self) -> list[dict[str, float]]:
        """Femtojoules for a multiplication of each layer of each network.

        An exact layer of another network is counted with the exact network's operands, which differ little.
        """
        wanted = [
            (index, layer, Design.parse(each.tables[layer].name) if layer in each.tables else self.exact_design)
            for index, each in enumerate(self.networks)
            for layer in each.network.layer_names
            if index == 0 or layer in each.tables
        ]
        found = {(index, layer): fj for (index, layer, _), fj in self._energies(wanted, "energy").items()}
        return [
            {layer: found.get((index, layer), found[0, layer]) for layer in each.network.layer_names}
            for index, each in enumerate(self.networks)
        ]

    def energies(self, layers: Iterable[str] | None = None) -> list[float]:
        """Each network's nanojoules for the multiplications of an image, in all layers or in these."""
        chosen = self.networks[0].network.layer_names if layers is None else tuple(layers)
        return [per_image(each.network, chosen, fj) for each, fj in zip(self.networks, self._each, strict=True)]

    def front(self) -> list[Cascade]:
        """The Pareto front on judging images, of energy in all layers and loss; cheapest first."""
        return front(self.answers[0], self.energies(), 0, plain_judges(self.problem.loaded))

    def for_demands(self, demands: Iterable[float] = DEMANDS) -> list[Cascade]:
        """For each number of points the cascade of least energy that loses at most so many on judging images."""
        possible = [(cascade, 100 * self._judged_loss(cascade)) for cascade in self.front()]
        # The front ends with a cascade that loses nothing: the exact network alone does not.
        found = (next(cascade for cascade, loss in possible if at_most(loss, demand)) for demand in demands)
        return list(dict.fromkeys(found))

    def with_threshold(self, threshold: int) -> list[Cascade]:
        """The cascade of two networks with a threshold that is given.

        Raises:
            Refusal: there are more than two, or no image has so great a margin.
        """
        if len(self.networks) > 3:
            raise Refusal(f"--threshold is of one pair: give one or two network files, not {len(self.networks) - 1}")
        cheap, better = (1, 0) if len(self.networks) == 2 else (1, 2)
        greatest = int(self.answers[0][cheap].margins.max())
        if not 0 <= threshold <= greatest + 1:
            raise Refusal(
                f"--threshold {threshold}: margins of {self.networks[cheap].name} are 0 to {greatest} on training "
                f"images; wanted 0 (never ask the better network) to {greatest + 1} (always)"
            )
        return [Cascade(cheap, better, threshold)]

    def record(self, cascades: Iterable[Cascade]) -> CascadeRun:
        """What is known of some cascades, measured on the test images."""
        test = self.answers[1]
        whole, part = self.energies(), self.energies(self.layers)
        exact = whole[0], part[0] or 1.0
        networks = [
            CascadedNetwork(
                each.name,
                each.network.sha256,
                {layer: table.name for layer, table in each.tables.items()},
                whole[index],
                whole[index] / exact[0],
                part[index] / exact[1],
                float(test[index].hits.mean()),
            )
            for index, each in enumerate(self.networks)
        ]
        images = self.problem.loaded.test
        return CascadeRun(
            self.technology,
            self.layers,
            self.exact_design.name,
            images.sha256,
            len(images),
            len(judging(self.problem.loaded)),
            networks,
            [self._measured(cascade, networks) for cascade in cascades],
        )

    def _judged_loss(self, cascade: Cascade) -> float:
        """The share of the judging images that a cascade loses."""
        judged, plain = self.answers[0], plain_judges(self.problem.loaded)
        return Curve.of(judged[0], judged[cascade.cheap], judged[cascade.better], plain).at(cascade.threshold)

    def _measured(self, cascade: Cascade, networks: Sequence[CascadedNetwork]) -> MeasuredCascade:
        test = self.answers[1]
        cheap, better = cascade.cheap, cascade.better
        judged_loss = self._judged_loss(cascade)
        hits, again = cascade.hits(test[cheap], test[better]), float(cascade.again(test[cheap]).mean())
        loss = Loss.between(test[0].hits, hits)
        first, second = networks[cheap], networks[better]
        return MeasuredCascade(
            first.name,
            second.name,
            cascade.threshold,
            100 * judged_loss,
            again,
            float(hits.mean()),
            100 * loss.mean,
            (100 * (loss.mean - loss.half_width), 100 * (loss.mean + loss.half_width)),
            first.energy_ratio + again * second.energy_ratio,
            first.approximate_energy_ratio + again * second.approximate_energy_ratio,
        )

    def _energies(self, wanted: Sequence[tuple[int, str, Design]], what: str) -> dict[tuple[int, str, Design], float]:
        """Femtojoules for one multiplication of a network's layer by a design."""
        designs = list(dict.fromkeys(design for *_, design in wanted))
        emitted = self._run([emission(design) for design in designs], f"{what}: Verilog")
        texts = dict(zip(designs, emitted, strict=True))
        tasks = [
            synthesis(text.verilog, design.name, self.technology, expected_of(design)) for design, text in texts.items()
        ]
        netlists = dict(zip(designs, self._run(tasks, f"{what}: synthesis"), strict=True))
        images = own_data(self.networks[0].network.network, self.problem.data_dir).representative
        counts = [
            Operands(self.networks[index].network, layer, self.networks[index].tables, images).task(
                design, texts[design], self.technology, netlists[design].balanced.recipe
            )
            for index, layer, design in wanted
        ]
        found = self._run(counts, what)
        return {key: record.timed_fj for key, record in zip(wanted, found, strict=True)}

    def _run(self, tasks: Sequence[Task[R]], what: str) -> list[R]:
        self._report(what, 0, len(tasks))
        return completed(tasks, self._results, self._executor, lambda done, total: self._report(what, done, total))


def check_alike(exact: QuantisedNetwork, other: Candidate) -> None:
    """Refuse networks that do not answer the same question.

    Raises:
        Refusal: they take other images or have other classes.
    """
    mine, its = exact.network, other.network.network
    for what, one, another in (
        ("images", list(mine.input_shape), list(its.input_shape)),
        ("classes", mine.classes, its.classes),
    ):
        if one != another:
            raise Refusal(
                f"{other.name} takes or gives other {what} than {mine.name}: {another}, wanted {one}; a cascade's "
                "networks answer the same question"
            )
