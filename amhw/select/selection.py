"""From statistics to a Pareto front of multipliers that are synthesised, verified and scored.

1. statistics of the layers on training images; masks ranked by the closed form;
2. the exact multiplier with every tree and adder, reduced precisions and some masks are synthesised by one recipe, and
   the cost model fitted to them;
3. known good shapes are proposed; what is worth it by predicted error and cost is synthesised by that recipe, and what
   few others dominate there in predicted error, area and delay gets its network (weights remapped);
4. the predicted error is fitted to what these networks' divergence on training images turned out to be, and step 3
   done once more with what an evolutionary search with the better prediction proposes; and again among larger ones, as
   long as every network loses more than the standard error of its loss;
5. what is on the Pareto front of divergence, loss and cost by that recipe or near it, and the exact multiplier, are
   synthesised by all recipes; the front that results is simulated exhaustively; the test images give the accuracy
   that is reported, after everything has been chosen.

Everything costly is a task whose result is stored (`amhw.stages`), so that a second run, or one after Ctrl-C, goes
on where the first stopped. The numbers are those of `amhw.select.settings`.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from math import inf, sqrt

import numpy as np
from numpy.typing import NDArray

from amhw.bitheap import TREES
from amhw.datasets import DataSet
from amhw.families.exact import exact_structures
from amhw.families.masked import Masked
from amhw.multiplier import Multiplier, parse
from amhw.network.quantised import QuantisedNetwork
from amhw.network.trained_on import own_data
from amhw.pareto import dominators, spread
from amhw.refusal import Refusal
from amhw.remap.fit import check_activations, check_layer
from amhw.results import R, Results, Task, completed
from amhw.select.cost import CostModel, carries
from amhw.select.demands import Demands, at_most
from amhw.select.energy import Operands, exact_designs, per_image
from amhw.select.search import Demand, ErrorModel, Scored, error_parts, predicted_error
from amhw.select.searching import searched
from amhw.select.settings import DEFAULTS, Round, Settings
from amhw.select.shared import SharedMultiplier
from amhw.select.solutions import (
    Baseline,
    Choice,
    SharedCost,
    Solution,
    best_of,
    joined,
    near_front,
    pareto_front,
    side_by_side,
)
from amhw.select.space import Candidate, Space, candidate_named
from amhw.select.statistics import MaskRanking, greedy
from amhw.stages.content import unpacked
from amhw.stages.emission import emission
from amhw.stages.energy import energy
from amhw.stages.finetuning import fine_tuning
from amhw.stages.fitting import FittedNetwork, fitting
from amhw.stages.loss import Loss
from amhw.stages.problem import Problem
from amhw.stages.scoring import Score, scoring
from amhw.stages.simulation import simulation
from amhw.stages.synthesis import Implementation, balanced, fastest, smallest, synthesis
from amhw.synth import BOTH_KINDS, SEARCH, Expected, Recipe
from amhw.synth.recipe import recipe_named
from amhw.table import ProductTable
from amhw.verilog import Design

_PREDICTED_WELL = 1.15
"""Predicted areas and delays are wrong by so much at most, mostly."""

Report = Callable[[str, int, int], None]

FrontSoFar = Callable[[Sequence[Solution], Baseline], None]
"""Hears the front by training images so far and what it is measured against, both by the recipe `SEARCH` alone."""

_Counted = tuple[Operands, str, str]
"""What is multiplied, by which design, mapped by which recipe: of what energy is counted."""


class Selection:
    """One problem in one technology, with its results store and the executor that works on it.

    Args:
        so_far: hears the front of a few networks as early as possible, and then that of each round.
        layers: that get a multiplier; by default the convolutions.
        seed: of the search.

    Raises:
        Refusal: there are no layers, they have different operands, a layer of the network has absolute values, or
            weights cannot be chosen for one of `layers` (`amhw.remap.fit.check_layer`).
    """

    def __init__(
        self,
        problem: Problem,
        technology: str,
        results: Results,
        executor: Executor,
        report: Report = lambda what, done, total: None,
        settings: Settings = DEFAULTS,
        *,
        so_far: FrontSoFar = lambda front, exact: None,
        layers: Sequence[str] | None = None,
        seed: int = 0,
    ) -> None:
        self.problem, self.technology, self.settings, self.seed = problem, technology, settings, seed
        self._results, self._executor, self._report, self._tell = results, executor, report, so_far
        self._tables: dict[str, ProductTable] = {}
        self._expectations: dict[str, Expected] = {}
        self.loaded = problem.loaded
        base = self.loaded.base
        check_activations(base)
        self.layers = base.convolutions if layers is None else tuple(layers)
        operands = {base[name].operands for name in self.layers}
        if len(operands) != 1:
            raise Refusal(
                f"{base.name} has {len(operands)} kinds of operands in {', '.join(self.layers) or 'its convolutions'}; "
                "one is wanted: choose other --layers"
            )
        for name in self.layers:
            check_layer(base, name)
        self.space = Space(operands.pop())
        images = self.loaded.training.images
        some = images[:: max(1, len(images) // settings.statistics_images)]
        self.ranking = MaskRanking.of(base, some, self.layers)
        real = {layer.name: layer.weights for layer in self.loaded.network.layers}
        self.demands = tuple(
            Demand.of(layer, real[layer.name], base[layer.name].weight_scale, share)
            for layer, share in zip(self.ranking.layers, self.shares, strict=True)
        )

    @property
    def shares(self) -> list[float]:
        """Each layer's share of the multiplications."""
        counts = [self.loaded.base.network.multiplications[name] for name in self.layers]
        return [count / sum(counts) for count in counts]

    # What everything is measured against

    def baseline(self, recipes: tuple[Recipe, ...] = BOTH_KINDS) -> Baseline:
        """The best exact multipliers by these recipes, of trees and adders and of Booth recoding, which is smaller than
        any tree."""
        first = self.space.exact()
        found = exact_structures(first.width_a, first.width_b, signed_a=first.signed_a, signed_b=first.signed_b)
        designs = [Design(multiplier, tree, adder) for multiplier, tree, adder in found]
        every = [i for found in self.synthesise(designs, "exact multipliers", recipes).values() for i in found]
        return Baseline(smallest(every), fastest(every))

    def exact_hits(self) -> NDArray[np.bool_]:
        """Which test images the network with exact products classifies correctly."""
        task = scoring(self.loaded.base, {}, self.problem.data_dir, self.loaded.test)
        return self._run([task], "exact network")[0].hits

    # Steps

    def synthesise(
        self, designs: Iterable[Design], what: str, recipes: tuple[Recipe, ...] = BOTH_KINDS
    ) -> dict[str, tuple[Implementation, ...]]:
        """Each recipe's netlist of each design, by the design's name."""
        different = {design.name: design for design in designs}
        emitted = self._run([emission(design) for design in different.values()], f"{what}: Verilog")
        tasks = [
            synthesis(text.verilog, name, self.technology, self._expected(design.multiplier), recipes)
            for (name, design), text in zip(different.items(), emitted, strict=True)
        ]
        found = self._run(tasks, f"{what}: synthesis")
        return {name: record.implementations for name, record in zip(different, found, strict=True)}

    def fit(
        self,
        choices: Iterable[Choice],
        implementations: Mapping[str, Sequence[Implementation]],
        what: str = "networks",
    ) -> list[Solution]:
        """The networks for some choices of multipliers.

        Args:
            implementations: of each multiplier, by its name.
        """
        different = list(dict.fromkeys(choices))
        fitted = self._run([fitting(self.problem, self._by_layer(choice)) for choice in different], what)
        return [self._solution(*each, implementations) for each in zip(different, fitted, strict=True)]

    def fine_tune(self, solutions: Sequence[Solution]) -> list[Solution]:
        """The same with networks that were trained on through their multipliers, nearest to the teacher first.

        The images that divergence and training loss are measured on were then also trained on.
        """
        tasks = [
            fine_tuning(self.problem, unpacked(solution.fitted.network), self._by_layer(solution.multipliers))
            for solution in solutions
        ]
        records = self._run(tasks, "fine-tuning")
        tuned = [replace(s, fitted=record, fine_tuned=True) for s, record in zip(solutions, records, strict=True)]
        return sorted(tuned, key=lambda solution: solution.divergence)

    def score(self, solutions: Sequence[Solution]) -> list[Solution]:
        """The same with accuracy and loss on the test images."""
        scores = self._run([self._scoring(solution) for solution in solutions], "test images")
        exact = self.exact_hits()
        return [
            replace(solution, accuracy=score.accuracy, loss=Loss.between(exact, score.hits))
            for solution, score in zip(solutions, scores, strict=True)
        ]

    @cached_property
    def exact_energies(self) -> dict[str, float]:
        """Femtojoules for a multiplication of each layer by the exact multiplier that takes the least in the layer with
        most multiplications."""
        base = self.loaded.base
        operands = self._operands(base, {})
        busiest = max(self.layers, key=base.network.multiplications.__getitem__)
        found = self.synthesise(exact_designs(base, busiest), "exact multipliers")
        least = [balanced(implementations) for implementations in found.values()]
        figures = self._femtojoules([(operands[busiest], each.design, each.recipe) for each in least], "exact energy")
        best = least[int(np.argmin(figures))]
        by_layer = [(operands[layer], best.design, best.recipe) for layer in self.layers]
        return dict(zip(self.layers, self._femtojoules(by_layer, "exact energy"), strict=True))

    def with_energy(self, solutions: Sequence[Solution], *, every: bool = True) -> list[Solution]:
        """The same with the energy of every netlist, or of the balanced one alone."""
        whole = per_image(self.loaded.base, self.layers, self.exact_energies)
        wanted: list[_Counted] = []
        owners = []
        for solution in solutions:
            operands = self._operands_of(solution)
            for each in solution.implementations if every else [solution.balanced]:
                owners.append((solution, each))
                for layer, design, recipe in self._netlists(each):
                    wanted.append((operands[layer], design, recipe))
        figures = np.reshape(self._femtojoules(wanted, "energy"), (-1, len(self.layers)))
        energies: dict[int, dict[Implementation, float]] = {id(solution): {} for solution in solutions}
        for (solution, each), figure in zip(owners, figures, strict=True):
            nanojoules = per_image(self.loaded.base, self.layers, dict(zip(self.layers, figure.tolist(), strict=True)))
            energies[id(solution)][each] = nanojoules / whole
        return [replace(solution, energies=energies[id(solution)]) for solution in solutions]

    def with_shared(self, solutions: Sequence[Solution]) -> list[Solution]:
        """The same with what one multiplier costs that can be each of a solution's, where it has several and they are
        masks."""
        exact = per_image(self.loaded.base, self.layers, self.exact_energies)
        choices = {s.multipliers: [parse(name) for _, name in s.multipliers] for s in solutions if len(s.names) > 1}
        built = {
            choice: [one for one in (SharedMultiplier.of(masks, adder) for adder in ("ripple", "auto")) if one]
            for choice, masks in choices.items()
        }
        tasks = {
            one: synthesis(one.verilog, one.name, self.technology, one.expected)
            for some in built.values()
            for one in some
        }
        netlists = dict(zip(tasks, self._run(list(tasks.values()), "shared multipliers"), strict=True))
        costs: dict[Choice, SharedCost] = {}
        for solution in solutions:
            if not (some := built.get(solution.multipliers, [])):
                continue
            found = balanced([netlists[each].balanced for each in some])
            one = next(each for each in some if each.name == found.design)
            recipe, operands = recipe_named(found.recipe), self._operands_of(solution)
            counting = []
            for layer, mask in zip(self.layers, choices[solution.multipliers], strict=True):
                trace = operands[layer].trace
                ports = one.operands(mask, trace["a"], trace["b"])
                counting.append(energy(one.verilog, one.name, self.technology, one.expected, recipe, *ports))
            figures = [record.timed_fj for record in self._run(counting, "shared multipliers: energy")]
            nanojoules = per_image(self.loaded.base, self.layers, dict(zip(self.layers, figures, strict=True)))
            costs[solution.multipliers] = SharedCost(found.area_um2, found.delay_ps, nanojoules / exact)
        return [replace(solution, shared=costs.get(solution.multipliers)) for solution in solutions]

    def _netlists(self, implementation: Implementation) -> list[tuple[str, str, str]]:
        """Layer, design and recipe of what an implementation consists of."""
        designs, recipes = implementation.design.split("+"), implementation.recipe.split("+")
        if len(designs) == 1:
            designs, recipes = designs * len(self.layers), recipes * len(self.layers)
        return list(zip(self.layers, designs, recipes, strict=True))

    def _femtojoules(self, wanted: Sequence[_Counted], what: str) -> list[float]:
        """For one multiplication of a layer of a network by the netlist of a design that a recipe gives."""
        designs = {name: Design.parse(name) for _, name, _ in wanted}
        emitted = self._run([emission(design) for design in designs.values()], f"{what}: Verilog")
        texts = dict(zip(designs, emitted, strict=True))
        tasks = [
            operands.task(designs[name], texts[name], self.technology, recipe) for operands, name, recipe in wanted
        ]
        return [record.timed_fj for record in self._run(tasks, what)]

    def _operands(self, network: QuantisedNetwork, tables: Mapping[str, ProductTable]) -> dict[str, Operands]:
        """What each layer of a network multiplies."""
        return {layer: Operands(network, layer, tables, self._images) for layer in self.layers}

    def _operands_of(self, solution: Solution) -> dict[str, Operands]:
        return self._operands(unpacked(solution.fitted.network), self._by_layer(solution.multipliers))

    @cached_property
    def _images(self) -> DataSet:
        """Those that give operands."""
        return own_data(self.loaded.base.network, self.problem.data_dir).representative

    def simulate(self, names: Iterable[str]) -> None:
        """Simulate designs exhaustively.

        Raises:
            Refusal: one differs from its golden model.
        """
        designs = [Design.parse(name) for name in dict.fromkeys(names)]
        emitted = self._run([emission(design) for design in designs], "Verilog")
        tasks = [simulation(design, text.verilog) for design, text in zip(designs, emitted, strict=True)]
        for outcome in self._run(tasks, "simulation"):
            if not outcome.passed:
                raise Refusal(f"{outcome.name} differs from its golden model: {outcome.first_difference}")

    # The whole

    def front(self, demands: Demands | None = None) -> list[Solution]:
        """The Pareto front, simulated and scored, least loss on training images first.

        With demands that nothing on it meets it is looked further, among what they allow; what then meets them is
        among the solutions. Energies are counted where there is a demand for energy.
        """
        settings, demands = self.settings, Demands() if demands is None else demands
        seeds = self._seeds()
        quick = self.implementations(seeds, "seeds", (SEARCH,))
        exact = self.baseline((SEARCH,))
        cost, model = self._cost_model(seeds, quick), ErrorModel.prior(self.demands)
        met = _Met(exact, {m.name: m for m in seeds}, quick, cost, model)
        whole = exact.smallest.area_um2
        limit = settings.largest_area * whole
        for this in settings.rounds:
            self._look(met, this, self.space.small(), partial(_sized, 0.0, limit), most=limit)
            # What is larger than a multiplier that loses nothing is not worth a second look.
            limit = min([limit, *self._harmless(met)])
        # Nothing may be so small and harmless in another network or data set: then look further, up to the exact one.
        most = 1.0 if demands.max_loss is None else demands.max_loss / 100
        while limit < whole and not (
            (self._harmless(met) or any(solution.within_its_error for solution in met.solutions))
            and at_most(self._least_loss(met), most)
        ):
            least, limit = limit, min(2 * limit, whole)
            precisions = [mask for _, _, mask in self.space.precisions()]
            met.cost = self._cost_model(list(met.candidates.values()), met.quick)
            self._look(met, settings.wider, precisions, partial(_sized, least, limit), least, limit)
        solutions = self._synthesised(met.solutions, demands)
        for _ in range(settings.again if demands else 0):
            if self.met_by(solutions, demands):
                break
            self._look(met, settings.wider, self.space.small(), partial(_allowed, demands, met.exact))
            solutions = self._synthesised(met.solutions, demands)
        found = [*pareto_front(solutions), *self.met_by(solutions, demands)]
        front = list({each.name: each for each in found}.values())
        self.simulate(solution.balanced.design for solution in front)
        return self.score(sorted(front, key=lambda s: (s.training_loss, s.divergence)))

    def _synthesised(self, solutions: Sequence[Solution], demands: Demands) -> list[Solution]:
        """What is on or near the front by the quick recipe, with the netlists of every recipe; all where energy is
        demanded, which may be less of what is larger and slower."""
        near = solutions if demands.max_energy_ratio is not None else near_front(solutions, self.settings.near)
        found = self.implementations([candidate_named(solution.name) for solution in near], "candidates")
        return [replace(solution, implementations=tuple(found[solution.name])) for solution in near]

    def met_by(self, solutions: Sequence[Solution], demands: Demands) -> list[Solution]:
        """Those that meet all demands, with their energies if one is for energy; nothing where there are none."""
        if not demands:
            return []
        baseline = self.baseline()
        without = replace(demands, max_energy_ratio=None)
        possible = [
            solution
            for solution in solutions
            if any(without.met_by(without.figures(solution, each, baseline)) for each in solution.implementations)
        ]
        if demands.max_energy_ratio is None:
            return possible
        return [
            solution
            for solution in self.with_energy(possible)
            if any(demands.met_by(demands.figures(solution, each, baseline)) for each in solution.implementations)
        ]

    def _look(
        self,
        met: "_Met",
        this: Round,
        starts: Iterable[Candidate],
        wanted: Callable[[Scored], bool],
        least: float = 0.0,
        most: float = inf,
    ) -> None:
        """Search from what was met and `starts`; synthesise some of what is `wanted`, and fit what has more than
        `least` and at most `most` µm²."""
        found = searched(
            self._results,
            self.space,
            self.demands,
            met.cost,
            [*met.candidates.values(), *starts],
            met.model,
            self.seed,
            lambda done, total: self._report("search", done, total),
            this.generations,
        )
        fresh = [scored for scored in found if wanted(scored) and scored.multiplier.name not in met.candidates]
        chosen = [scored.multiplier for scored in _spread(fresh, this.proposed)]
        ties = self._without_adder(met.model) if met.solutions and not least else []
        chosen += [mask for mask in ties if mask.name not in met.candidates]
        met.quick |= self.implementations(chosen, "proposals", (SEARCH,))
        met.candidates |= {m.name: m for m in chosen}
        known = {name for name, found in met.quick.items() if not least < smallest(found).area_um2 <= most}
        known |= {solution.name for solution in met.solutions}
        first = [mask for mask in ties if mask.name not in known]
        known |= {mask.name for mask in first}
        count = max(0, this.fitted - len(first))
        survivors = first + self._survivors(list(met.candidates.values()), met.quick, met.model, known, count)
        choices = [self.everywhere(m.name) for m in survivors]
        if not met.solutions:
            some = choices[:: self.settings.begun_with]
            self._tell(pareto_front(self.fit(some, met.quick, "first networks")), met.exact)
        met.solutions += self.fit(choices, met.quick)
        parts = np.array([error_parts(met.candidates[s.name], self.demands) for s in met.solutions])
        met.model = ErrorModel.prior(self.demands).fit(parts, np.array([s.divergence for s in met.solutions]))
        self._tell(pareto_front(met.solutions), met.exact)

    def _without_adder(self, model: ErrorModel) -> list[Candidate]:
        """Of each number of products the masks that need no adder with the least predicted error.

        Nothing is as fast as they are, and there are few; the prediction cannot tell the best of them apart.
        """
        found: list[Candidate] = []
        by_kept: dict[int, list[Masked]] = {}
        for mask in self.space.without_adder():
            by_kept.setdefault(mask.kept, []).append(mask)
        for masks in by_kept.values():
            masks.sort(key=lambda mask: predicted_error(mask, self.demands, model))
            found += masks[: self.settings.without_adder]
        return found

    def _harmless(self, met: "_Met") -> list[float]:
        """The areas, in µm², of what loses nothing on training images."""
        most = self.settings.negligible_loss
        return [each.smallest.area_um2 for each in met.solutions if at_most(each.training_loss, most)]

    def _least_loss(self, met: "_Met") -> float:
        return min(solution.training_loss for solution in met.solutions)

    def with_kept(self, kept: int) -> list[Solution]:
        """Multipliers with so many partial products, the best by training images first.

        Raises:
            Refusal: there are not so many.
        """
        self.space.check_kept(kept)
        starts: dict[str, Candidate] = {}
        wanted = self.space.without(greedy(self.ranking.form, kept))
        starts[wanted.name] = wanted
        for _, _, mask in self.space.precisions():
            if mask.kept == kept:
                starts[mask.name] = mask
        for candidate in self.space.small():
            if candidate.kept == kept:
                starts[candidate.name] = candidate
        ranked = sorted(starts.values(), key=self._error)[: self.settings.exchanged]
        found = {m.name: m for m in [*(self._exchanged(m) for m in ranked), *ranked]}
        best = sorted(found.values(), key=self._error)[: self.settings.compared]
        solutions = self.fit([self.everywhere(m.name) for m in best], self.implementations(best, "candidates"))
        return sorted(solutions, key=lambda s: s.divergence)

    def layer_energies(self, solutions: Sequence[Solution]) -> NDArray[np.float64]:
        """The energy of an image's multiplications in each layer, [layers, solutions], with the netlist of each
        solution that has the least area × delay; the exact multiplier's in all layers is 1."""
        whole = per_image(self.loaded.base, self.layers, self.exact_energies)
        operands = [self._operands_of(solution) for solution in solutions]
        wanted = [
            (each[layer], solution.balanced.design, solution.balanced.recipe)
            for layer in self.layers
            for solution, each in zip(solutions, operands, strict=True)
        ]
        figures = np.reshape(self._femtojoules(wanted, "energy of each layer"), (len(self.layers), -1))
        counts = [per_image(self.loaded.base, [layer], {layer: 1.0}) for layer in self.layers]
        return np.asarray(figures * np.array(counts)[:, None] / whole)

    def everywhere(self, name: str) -> Choice:
        """One multiplier in all layers."""
        return tuple((layer, name) for layer in self.layers)

    def implementations(
        self, multipliers: Iterable[Candidate], what: str, recipes: tuple[Recipe, ...] = BOTH_KINDS
    ) -> dict[str, list[Implementation]]:
        """The netlists of each multiplier that no other of it dominates, by the multiplier's name.

        Small heaps come out the same from every tree; the adder makes a difference, where there is anything to add.
        """
        designs = {
            m.name: [Design(m, TREES[0], adder) for adder in (("ripple", "auto") if carries(m) else ("ripple",))]
            for m in multipliers
        }
        found = self.synthesise([d for some in designs.values() for d in some], what, recipes)
        return {name: best_of([i for design in some for i in found[design.name]]) for name, some in designs.items()}

    # Parts

    def _seeds(self) -> list[Candidate]:
        """Reduced precisions, and masks by the closed form."""
        most_a, most_b = self.settings.precisions
        seeds: list[Candidate] = [
            mask for bits_a, bits_b, mask in self.space.precisions() if bits_a <= most_a and bits_b <= most_b
        ]
        products = self.space.width_a * self.space.width_b
        for kept in (some for some in self.settings.greedy if some <= products):
            seeds.append(self.space.without(greedy(self.ranking.form, kept)))
        return list({seed.name: seed for seed in seeds}.values())

    def _cost_model(
        self, multipliers: Sequence[Candidate], implementations: Mapping[str, Sequence[Implementation]]
    ) -> CostModel:
        # Of one netlist: the smallest and the fastest are different ones, and both at once are not to be had.
        found = [balanced(implementations[m.name]) for m in multipliers]
        return CostModel.fit(multipliers, [i.area_um2 for i in found], [i.delay_ps for i in found])

    def _survivors(
        self,
        candidates: Sequence[Candidate],
        implementations: Mapping[str, Sequence[Implementation]],
        model: ErrorModel,
        known: Collection[str],
        count: int,
    ) -> list[Candidate]:
        """The `count` least dominated, but for those `known`, in predicted error, area and delay of one netlist."""
        rows = [(predicted_error(m, self.demands, model), m, i) for m in candidates for i in implementations[m.name]]
        dominated: dict[str, tuple[int, float]] = {}
        for times, (_, multiplier, each) in zip(
            dominators([(error, i.area_um2, i.delay_ps) for error, _, i in rows]).tolist(), rows, strict=True
        ):
            place = times, each.area_um2
            dominated[multiplier.name] = min(place, dominated.get(multiplier.name, place))
        fresh = [m for m in candidates if m.name not in known]
        return sorted(fresh, key=lambda m: dominated[m.name])[:count]

    def _error(self, multiplier: Candidate) -> float:
        return predicted_error(multiplier, self.demands)

    def _solution(
        self, choice: Choice, fitted: FittedNetwork, implementations: Mapping[str, Sequence[Implementation]]
    ) -> Solution:
        netlists = [implementations[name] for _, name in choice]
        if len({name for _, name in choice}) == 1:
            return Solution(choice, tuple(netlists[0]), self._predicted(choice), fitted)
        own = joined([balanced(some) for some in netlists], self.shares)
        different = dict.fromkeys([*side_by_side(netlists, self.shares), own])
        every = sorted(different, key=lambda i: (i.area_um2, i.delay_ps))
        return Solution(choice, tuple(every), self._predicted(choice), fitted, own=own)

    def _predicted(self, choice: Choice) -> float:
        total = 0.0
        for demand, (_, name) in zip(self.demands, choice, strict=True):
            total += predicted_error(candidate_named(name), (demand,)) ** 2
        return sqrt(total)

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

    def _table(self, multiplier: Multiplier) -> ProductTable:
        if multiplier.name not in self._tables:
            self._tables[multiplier.name] = ProductTable.of(multiplier)
        return self._tables[multiplier.name]

    def _expected(self, multiplier: Multiplier) -> Expected:
        if multiplier.name not in self._expectations:
            self._expectations[multiplier.name] = Expected(self._table(multiplier).products)
        return self._expectations[multiplier.name]

    def _by_layer(self, choice: Choice) -> dict[str, ProductTable]:
        return {layer: self._table(parse(name)) for layer, name in choice}

    def _scoring(self, solution: Solution) -> Task[Score]:
        network = unpacked(solution.fitted.network)
        return scoring(network, self._by_layer(solution.multipliers), self.problem.data_dir, self.loaded.test)

    def _run(self, tasks: Sequence[Task[R]], what: str) -> list[R]:
        return completed(tasks, self._results, self._executor, lambda done, total: self._report(what, done, total))


@dataclass(eq=False)
class _Met:
    """What the rounds of a search have met so far.

    Attributes:
        exact: the exact multipliers' best netlists by the quick recipe.
        candidates: by name.
        quick: their netlists by the quick recipe.
        cost, model: predict area and delay, and the error.
        solutions: the networks, with those netlists.
    """

    exact: Baseline
    candidates: dict[str, Candidate]
    quick: dict[str, list[Implementation]]
    cost: CostModel
    model: ErrorModel
    solutions: list[Solution] = field(default_factory=list)


def _sized(least: float, limit: float, scored: Scored) -> bool:
    """Whether a predicted area is more than `least` and at most `limit`."""
    return least < scored.area <= limit


def _allowed(demands: Demands, exact: Baseline, scored: Scored) -> bool:
    """Whether a multiplier's predicted area and delay, which are some per cent wrong, may be within demands."""
    for limit, figure, whole in (
        (demands.max_area_ratio, scored.area, exact.smallest.area_um2),
        (demands.max_delay_ratio, scored.delay, exact.fastest.delay_ps),
    ):
        if limit is not None and figure > _PREDICTED_WELL * limit * whole:
            return False
    return True


def _spread(scored: Sequence[Scored], count: int) -> list[Scored]:
    """`count` of a front, one after another the one that is farthest from all before in the figures' logarithms."""
    if len(scored) <= count:
        return list(scored)
    figures = np.log([[max(s.error, 1e-9), s.area, s.delay] for s in scored])
    smallest = int(figures[:, 1].argmin())
    chosen = [smallest, *spread(figures, count - 1, figures[[smallest]])]
    return [scored[k] for k in sorted(chosen)]
