"""From statistics to a front of multipliers that are synthesised, verified and scored.

1. statistics of the layers on training images; masks ranked by the closed form;
2. the exact multiplier with every tree and adder, reduced precisions and some masks are synthesised, and the cost model
   fitted to them;
3. the evolutionary search proposes; what is worth it by predicted error and cost is synthesised by one recipe, and what
   few others beat there in predicted error, area and delay by all of them, and gets its network (weights remapped);
4. the predicted error is fitted to what these networks' divergence on training images turned out to be, and step 3
   done once more with the better prediction;
5. divergence and cost make the front; the networks on it are made again with more alternatives followed to the end;
   the front is simulated exhaustively; the test images give the accuracy that is reported, after everything has been
   chosen.

Everything costly is a task whose result is stored (`amhw.results`), so that a second run, or one after Ctrl-C, goes
on where the first stopped.
"""

import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from math import sqrt
from typing import Any

import numpy as np

from amhw.bitheap import TREES
from amhw.families.exact import exact_structures
from amhw.families.masked import Masked
from amhw.families.or_compressed import OrCompressed
from amhw.multiplier import Multiplier, parse
from amhw.refusal import Refusal
from amhw.results import Record, Results, Task, run
from amhw.select import stages
from amhw.select.cost import CostModel, carries
from amhw.select.search import Demand, ErrorModel, Scored, error_parts, predicted_error, search
from amhw.select.space import Candidate, Space
from amhw.select.stages import Problem
from amhw.select.statistics import MaskRanking, greedy
from amhw.synth import RECIPES, SEARCH, Recipe
from amhw.verilog import Design

_STATISTICS_IMAGES = 500
_GREEDY = (4, 6, 8, 10, 12, 16)
_PROPOSED = (40, 60)
_FITTED = (24, 24)
_QUICK, _THOROUGH = 1, 2
_LARGEST_AREA = 0.2
_NOTHING = 0.0005
_NORMAL = 1.96

Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Netlist:
    """One mapped netlist of a multiplier: both figures are of the same circuit."""

    design: str
    recipe: str
    area_um2: float
    delay_ps: float


@dataclass(frozen=True)
class Baseline:
    """The best exact multipliers of the flow: the smallest and the fastest netlist over all trees, adders, recipes."""

    smallest: Netlist
    fastest: Netlist

    def area_ratio(self, netlist: Netlist) -> float:
        return netlist.area_um2 / self.smallest.area_um2

    def delay_ratio(self, netlist: Netlist) -> float:
        return netlist.delay_ps / self.fastest.delay_ps


@dataclass(frozen=True)
class Loss:
    """Accuracy lost against exact products on the same images, as a share, with its 95 % interval.

    Both networks see the same images, so the interval is that of the mean of paired differences (each −1, 0 or 1),
    Wald's: mean ± 1.96·√(variance/n).
    """

    mean: float
    half_width: float

    @staticmethod
    def between(exact: np.ndarray, approximate: np.ndarray) -> "Loss":
        """Of two vectors of hits.

        >>> Loss.between(np.array([True, True, False, True]), np.array([True, False, False, True])).mean
        0.25
        """
        difference = exact.astype(np.float64) - approximate
        return Loss(float(difference.mean()), _NORMAL * sqrt(float(difference.var()) / len(difference)))


@dataclass(frozen=True, eq=False)
class Point:
    """A multiplier (or one for each layer) with its network and all its figures.

    Attributes:
        multipliers: (layer, name) of every layer that it serves.
        netlists: of all its layers' multipliers together, none beaten by another in area and delay; for different
            multipliers the area is the mean over layers weighted with their multiplications, the delay the greatest.
        predicted: the search's score before anything was measured, lower is better.
        divergence, training_loss: of the network on training images.
        errors: relative error of each layer's pre-activations there.
        network: packed; see `amhw.select.stages.unpacked`.
        fine_tuned: whether the network was trained after its weights had been remapped; `errors` is then empty.
        accuracy, loss: on the test images; None before they are asked for.
    """

    multipliers: tuple[tuple[str, str], ...]
    netlists: tuple[Netlist, ...]
    predicted: float
    divergence: float
    training_loss: float
    errors: dict[str, float]
    network: str
    fine_tuned: bool = False
    accuracy: float | None = None
    loss: Loss | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The different multipliers' names."""
        return tuple(dict.fromkeys(name for _, name in self.multipliers))

    @property
    def name(self) -> str:
        """One name, or layer=name for each layer."""
        names = self.names
        return names[0] if len(names) == 1 else ",".join(f"{layer}={name}" for layer, name in self.multipliers)

    @property
    def kept(self) -> int:
        """Partial products kept (the most over layers)."""
        return max(kept_by(parse(name)) for name in self.names)

    @property
    def reduced_precision(self) -> bool:
        """Whether every layer's multiplier is a plain reduced precision."""
        return all(is_reduced_precision(parse(name)) for name in self.names)

    @property
    def balanced(self) -> Netlist:
        """The netlist with the least area × delay."""
        return _balanced(self.netlists)

    def within(self, area_um2: float) -> Netlist | None:
        """The fastest netlist of at most this area."""
        fitting = [netlist for netlist in self.netlists if netlist.area_um2 <= area_um2]
        return min(fitting, key=lambda n: (n.delay_ps, n.area_um2)) if fitting else None


def kept_by(multiplier: Multiplier) -> int:
    """How many partial products a multiplier keeps."""
    assert isinstance(multiplier, Masked | OrCompressed)
    return multiplier.kept


def is_reduced_precision(multiplier: Multiplier) -> bool:
    """Whether a mask is a plain reduced precision: equal rows of the top bits of b for the top bits of a."""
    if not isinstance(multiplier, Masked):
        return False
    rows = [row for row in multiplier.rows if row]
    first = multiplier.width_a - len(rows)
    full = 1 << multiplier.width_b
    return not any(multiplier.rows[:first]) and len(set(rows)) == 1 and (full - rows[0]) & (full - rows[0] - 1) == 0


class Selection:
    """One problem in one technology, with its results file and the executor that works on it.

    Raises:
        Refusal: the network has no convolution, or its convolutions have different operands.
    """

    def __init__(
        self,
        problem: Problem,
        technology: str,
        results: Results,
        executor: Executor,
        report: Report = lambda what, done, total: None,
    ) -> None:
        self.problem, self.technology = problem, technology
        self._results, self._executor, self._report = results, executor, report
        self.loaded = problem.loaded
        base = self.loaded.base
        self.layers = base.convolutions
        operands = {base[name].operands for name in self.layers}
        if len(operands) != 1:
            raise Refusal(f"{base.name} has {len(operands)} kinds of operands in its convolutions; one is wanted")
        self.space = Space(operands.pop())
        images = self.loaded.training.images
        self.ranking = MaskRanking.of(base, images[:: max(1, len(images) // _STATISTICS_IMAGES)])
        real = {layer.name: layer.weights for layer in self.loaded.network.layers}
        self.demands = tuple(
            Demand.of(layer, real[layer.name], base[layer.name].weight_scale, share)
            for layer, share in zip(self.ranking.layers, self._multiplications(), strict=True)
        )
        self._lock = threading.Lock()

    # What everything is measured against

    def baseline(self) -> Baseline:
        """The best exact multipliers, of trees and adders and of Booth recoding, which is smaller than any tree."""
        first = self.space.exact()
        found = exact_structures(first.width_a, first.width_b, signed_a=first.signed_a, signed_b=first.signed_b)
        designs = [Design(multiplier, tree, adder) for multiplier, tree, adder in found]
        netlists = [n for found in self.synthesise(designs, "exact multipliers").values() for n in found]
        return Baseline(
            min(netlists, key=lambda n: (n.area_um2, n.delay_ps)), min(netlists, key=lambda n: (n.delay_ps, n.area_um2))
        )

    def exact_hits(self) -> np.ndarray:
        """Which test images the network with exact products classifies correctly."""
        return stages.hits(self._exact_score())

    def _exact_score(self) -> Record:
        task = stages.scoring(self.problem, stages.packed(self.loaded.base), ())
        return self._run([task], "exact network")[task.key]

    # Steps

    def synthesise(
        self, designs: Sequence[Design], what: str, recipes: tuple[Recipe, ...] = RECIPES
    ) -> dict[str, list[Netlist]]:
        """Each recipe's netlist of each design, by the design's name."""
        names = list(dict.fromkeys(design.name for design in designs))
        emissions = {name: stages.emission(name) for name in names}
        texts = self._run(emissions.values(), f"{what}: Verilog")
        tasks = {
            name: stages.synthesis(name, texts[task.key]["verilog"], self.technology, recipes)
            for name, task in emissions.items()
        }
        records = self._run(tasks.values(), f"{what}: synthesis")
        return {
            name: [
                Netlist(name, figures["recipe"], figures["area_um2"], figures["delay_ps"])
                for figures in records[task.key]["recipes"]
            ]
            for name, task in tasks.items()
        }

    def fit(
        self,
        choices: Iterable[tuple[tuple[str, str], ...]],
        netlists: dict[str, list[Netlist]],
        what: str = "networks",
        *,
        beam: int = _THOROUGH,
    ) -> list[Point]:
        """The networks for some choices of multipliers, (layer, name) each; `beam` as in `amhw.remap.fit`."""
        tasks = {choice: stages.fitting(self.problem, choice, beam) for choice in dict.fromkeys(choices)}
        records = self._run(tasks.values(), what)
        points = []
        for choice, task in tasks.items():
            record = records[task.key]
            points.append(
                Point(
                    choice,
                    self._together(choice, netlists),
                    self._predicted(choice),
                    record["divergence"],
                    record["training_loss"],
                    record["errors"],
                    record["network"],
                )
            )
        return points

    def fine_tune(self, points: Sequence[Point]) -> list[Point]:
        """The same points with networks that were trained on through their multipliers, nearest to the teacher first.

        The images that divergence and training loss are measured on were then also trained on.
        """
        tasks = [stages.fine_tuning(self.problem, point.network, point.multipliers) for point in points]
        records = self._run(tasks, "fine-tuning")
        tuned = [
            replace(point, **records[task.key], fine_tuned=True) for point, task in zip(points, tasks, strict=True)
        ]
        return sorted(tuned, key=lambda point: point.divergence)

    def score(self, points: Sequence[Point]) -> list[Point]:
        """The same points with accuracy and loss on the test images."""
        tasks = [stages.scoring(self.problem, point.network, point.multipliers) for point in points]
        records = self._run(tasks, "test images")
        exact = self.exact_hits()
        return [
            replace(
                point,
                accuracy=records[task.key]["accuracy"],
                loss=Loss.between(exact, stages.hits(records[task.key])),
            )
            for point, task in zip(points, tasks, strict=True)
        ]

    def simulate(self, designs: Iterable[str]) -> None:
        """Simulate designs exhaustively.

        Raises:
            Refusal: one differs from its golden model.
        """
        emissions = {name: stages.emission(name) for name in dict.fromkeys(designs)}
        texts = self._run(emissions.values(), "Verilog")
        tasks = {name: stages.simulation(name, texts[task.key]["verilog"]) for name, task in emissions.items()}
        records = self._run(tasks.values(), "simulation")
        for name, task in tasks.items():
            if not records[task.key]["passed"]:
                raise Refusal(f"{name} differs from its golden model: {records[task.key]['first_difference']}")

    # The whole

    def front(self) -> list[Point]:
        """The front, simulated and scored, least loss on training images first."""
        seeds = self._seeds()
        quick = self.netlists(seeds, "seeds", (SEARCH,))
        cost = self._cost_model(seeds, quick)
        limit = _LARGEST_AREA * self.baseline().smallest.area_um2
        model = ErrorModel.prior(self.demands)
        candidates = {m.name: m for m in seeds}
        netlists: dict[str, list[Netlist]] = {}
        points: list[Point] = []
        for proposed, fitted in zip(_PROPOSED, _FITTED, strict=True):
            found = search(
                self.space,
                self.demands,
                cost,
                [*candidates.values(), *self.space.small()],
                model=model,
                report=lambda done, total: self._report("search", done, total),
            )
            fresh = [s for s in found if s.area <= limit and s.multiplier.name not in candidates]
            chosen = [scored.multiplier for scored in _spread(fresh, proposed)]
            quick |= self.netlists(chosen, "proposals", (SEARCH,))
            candidates |= {m.name: m for m in chosen}
            known = {point.name for point in points}
            survivors = self._survivors(list(candidates.values()), quick, model, known, fitted)
            netlists |= self.netlists(survivors, "candidates")
            points += self.fit([self.everywhere(m.name) for m in survivors], netlists, beam=_QUICK)
            parts = np.array([error_parts(candidates[p.name], self.demands) for p in points])
            model = ErrorModel.prior(self.demands).fit(parts, np.array([p.divergence for p in points]))
            # What is larger than a multiplier that loses nothing is not worth a second look.
            limit = min([p.netlists[0].area_um2 for p in points if p.training_loss <= _NOTHING] + [limit])
        kept = [point.multipliers for point in nondominated(points)]
        better = {p.name: p for p in self.fit(kept, netlists, "networks of the front", beam=_THOROUGH)}
        points = nondominated([better.get(point.name, point) for point in points])
        self.simulate(point.balanced.design for point in points)
        return self.score(sorted(points, key=lambda p: (p.training_loss, p.divergence)))

    def with_kept(self, kept: int) -> list[Point]:
        """Multipliers with so many partial products, the best by training images first.

        Raises:
            Refusal: there are not so many.
        """
        products = self.space.width_a * self.space.width_b
        if not 1 <= kept <= products:
            nearest = min(max(kept, 1), products)
            raise Refusal(f"cannot keep {kept} of {products} partial products; the nearest possible is {nearest}")
        starts: dict[str, Candidate] = {}
        wanted = self.space.without(greedy(self.ranking.form, kept))
        starts[wanted.name] = wanted
        for _, _, mask in self.space.precisions():
            if mask.kept == kept:
                starts[mask.name] = mask
        for candidate in self.space.small():
            if candidate.kept == kept:
                starts[candidate.name] = candidate
        ranked = sorted(starts.values(), key=self._error)[:3]
        found = {m.name: m for m in [*(self._exchanged(m) for m in ranked), *ranked]}
        best = sorted(found.values(), key=self._error)[:4]
        netlists = self.netlists(best, "candidates")
        points = self.fit([self.everywhere(m.name) for m in best], netlists)
        return sorted(points, key=lambda p: p.divergence)

    def each_layer_its_own(self, points: Sequence[Point], count: int = 5) -> list[Point]:
        """Pairs (and more) of multipliers from a front, one for each layer."""
        names = [point.names[0] for point in nondominated(points) if len(point.names) == 1]
        step = max(1, len(names) // count)
        some = names[::step][:count]
        netlists = self.netlists([_candidate(name) for name in some], "layers")
        choices = [
            tuple(zip(self.layers, combination, strict=True))
            for combination in _product(some, len(self.layers))
            if len(set(combination)) > 1
        ]
        return self.fit(choices, netlists, "networks, each layer its own")

    def everywhere(self, name: str) -> tuple[tuple[str, str], ...]:
        """One multiplier in all layers."""
        return tuple((layer, name) for layer in self.layers)

    # Parts

    def _seeds(self) -> list[Candidate]:
        """Reduced precisions up to half the width, masks by the closed form, the cheapest small circuits."""
        seeds: list[Candidate] = [
            mask for bits_a, bits_b, mask in self.space.precisions() if bits_a <= 4 and bits_b <= 5
        ]
        for kept in (some for some in _GREEDY if some <= self.space.width_a * self.space.width_b):
            seeds.append(self.space.without(greedy(self.ranking.form, kept)))
        return list({seed.name: seed for seed in seeds}.values())

    def _cost_model(self, multipliers: Sequence[Candidate], netlists: dict[str, list[Netlist]]) -> CostModel:
        # Of one netlist: the smallest and the fastest are different ones, and both at once are not to be had.
        balanced = [_balanced(netlists[m.name]) for m in multipliers]
        return CostModel.fit(multipliers, [n.area_um2 for n in balanced], [n.delay_ps for n in balanced])

    def netlists(
        self, multipliers: Sequence[Candidate], what: str, recipes: tuple[Recipe, ...] = RECIPES
    ) -> dict[str, list[Netlist]]:
        """The netlists of each multiplier that no other of it beats, by the multiplier's name.

        Small heaps come out the same from every tree; the adder makes a difference, where there is anything to add.
        """
        designs = {
            m.name: [Design(m, TREES[0], adder) for adder in (("ripple", "auto") if carries(m) else ("ripple",))]
            for m in multipliers
        }
        found = self.synthesise([d for some in designs.values() for d in some], what, recipes)
        return {
            name: _best_netlists([n for design in some for n in found[design.name]]) for name, some in designs.items()
        }

    def _survivors(
        self,
        candidates: Sequence[Candidate],
        netlists: dict[str, list[Netlist]],
        model: ErrorModel,
        known: Collection[str],
        count: int,
    ) -> list[Candidate]:
        """The `count` least beaten, but for those `known`, in predicted error, area and delay of one netlist."""
        rows = [(predicted_error(m, self.demands, model), m, n) for m in candidates for n in netlists[m.name]]
        figures = np.array([[error, n.area_um2, n.delay_ps] for error, _, n in rows])
        beaten: dict[str, tuple[int, float]] = {}
        for k, (_, multiplier, netlist) in enumerate(rows):
            times = _beaten_by(figures, k), netlist.area_um2
            beaten[multiplier.name] = min(times, beaten.get(multiplier.name, times))
        fresh = [m for m in candidates if m.name not in known]
        return sorted(fresh, key=lambda m: beaten[m.name])[:count]

    def _error(self, multiplier: Candidate) -> float:
        return predicted_error(multiplier, self.demands)

    def _predicted(self, choice: tuple[tuple[str, str], ...]) -> float:
        total = 0.0
        for demand, (_, name) in zip(self.demands, choice, strict=True):
            total += predicted_error(_candidate(name), (demand,)) ** 2
        return sqrt(total)

    def _together(self, choice: tuple[tuple[str, str], ...], netlists: dict[str, list[Netlist]]) -> tuple[Netlist, ...]:
        names = list(dict.fromkeys(name for _, name in choice))
        if len(names) == 1:
            return tuple(netlists[names[0]])
        work = self._multiplications()
        best = [_balanced(netlists[name]) for _, name in choice]
        area = sum(n.area_um2 * share for n, share in zip(best, work, strict=True))
        return (
            Netlist(
                "+".join(n.design for n in best),
                "+".join(n.recipe for n in best),
                area,
                max(n.delay_ps for n in best),
            ),
        )

    def _multiplications(self) -> list[float]:
        """Each layer's share of the multiplications."""
        counts = [self.loaded.base.network.multiplications[name] for name in self.layers]
        return [count / sum(counts) for count in counts]

    def _exchanged(self, start: Candidate) -> Candidate:
        """The best that exchanging one kept for one dropped product, again and again, leads to."""
        products = self.space.width_a * self.space.width_b
        best, error = start, self._error(start)
        while True:
            point = self.space.point(best)
            better = None
            for out in np.flatnonzero(point[:products]):
                for into in np.flatnonzero(~point[:products]):
                    other = point.copy()
                    other[[out, into]] = False, True
                    candidate = self.space.multiplier(other)
                    found = self._error(candidate)
                    if found < error - 1e-9:
                        better, error = candidate, found
            if better is None:
                return best
            best = better

    def _run(self, tasks: Iterable[Task], what: str) -> dict[str, Record]:
        """The records of tasks by key; the first failure is raised when the others are done."""
        wanted = list(tasks)
        records: dict[str, Record] = {}
        failure: Exception | None = None
        for done, (task, outcome, _) in enumerate(run(wanted, self._results, self._executor), 1):
            if isinstance(outcome, Exception):
                failure = outcome
            else:
                records[task.key] = outcome
            self._report(what, done, len(wanted))
        if failure is not None:
            raise failure
        return records


def nondominated(points: Sequence[Point]) -> list[Point]:
    """The points with a netlist that no other point's beats in divergence, area and delay; smallest first."""
    rows = [(k, p.divergence, n.area_um2, n.delay_ps) for k, p in enumerate(points) for n in p.netlists]
    figures = np.array([row[1:] for row in rows])
    kept = {row[0] for index, row in enumerate(rows) if not _beaten_by(figures, index)}
    return [points[k] for k in sorted(kept, key=lambda k: points[k].netlists[0].area_um2)]


def _beaten_by(figures: np.ndarray, k: int) -> int:
    """How many rows are no worse than row k everywhere and better somewhere."""
    no_worse = (figures <= figures[k] + 1e-12).all(axis=1)
    better = (figures < figures[k] - 1e-12).any(axis=1)
    return int((no_worse & better).sum())


def _balanced(netlists: Sequence[Netlist]) -> Netlist:
    """That with the least area × delay."""
    return min(netlists, key=lambda n: (n.area_um2 * n.delay_ps, n.area_um2))


def _best_netlists(netlists: Sequence[Netlist]) -> list[Netlist]:
    """Those that no other beats or equals in area and delay, smallest first."""
    best: list[Netlist] = []
    for netlist in sorted(netlists, key=lambda n: (n.area_um2, n.delay_ps)):
        if not best or netlist.delay_ps < best[-1].delay_ps:
            best.append(netlist)
    return best


def _spread(scored: Sequence[Scored], count: int) -> list[Scored]:
    """`count` of a front, one after another the one that is farthest from all before in the figures' logarithms."""
    if len(scored) <= count:
        return list(scored)
    figures = np.log([[max(s.error, 1e-9), s.area, s.delay] for s in scored])
    figures /= np.maximum(np.ptp(figures, axis=0), 1e-9)
    chosen = [int(figures[:, 1].argmin())]
    distances = np.full(len(scored), np.inf)
    while len(chosen) < count:
        distances = np.minimum(distances, ((figures - figures[chosen[-1]]) ** 2).sum(axis=1))
        chosen.append(int(distances.argmax()))
    return [scored[k] for k in sorted(chosen)]


def _candidate(name: str) -> Candidate:
    multiplier: Any = parse(name)
    assert isinstance(multiplier, Masked | OrCompressed)
    return multiplier


def _product(names: Sequence[str], repeat: int) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = [()]
    for _ in range(repeat):
        found = [(*before, name) for before in found for name in names]
    return found
