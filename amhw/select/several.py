"""Networks whose layers have different multipliers, of those that a selection has found one by one.

The error that an assignment is predicted to have is a sum over its layers, and so is what it costs
(`amhw.select.assignment`): energy, or the area of an array for each layer. Those that are worth it get networks, the
prediction is made better by what came out, and it is done once more. With demands it is done among what they allow.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from amhw.pareto import nondominated
from amhw.select.assignment import Assignment, assignments, farthest, total
from amhw.select.demands import Demands, at_most
from amhw.select.search import ErrorModel, error_parts
from amhw.select.selection import Selection
from amhw.select.solutions import Solution, pareto_front
from amhw.select.space import candidate_named

_NONE = Demands()

_COUNTED_WELL = 1.15
"""Energies that are counted with one multiplier in all layers are those of an assignment within this factor, mostly."""


def with_several(
    selection: Selection, solutions: Sequence[Solution], most: int, demands: Demands = _NONE
) -> list[Solution]:
    """Networks whose layers have up to `most` different multipliers, of those of a Pareto front.

    What an assignment costs is its energy; with demands for loss, area or delay it is its area, and with one for energy
    beside these both, one after the other.

    Args:
        solutions: with one multiplier each.

    Returns:
        Those with several multipliers that meet the demands, and those that neither `solutions` nor others of them
        dominate in divergence, area and delay, where area is what costs. Where energy is, those that nothing they were
        made of, and no other of them, dominates in divergence and energy.
    """
    possible = _possible(selection, pareto_front(solutions), demands)
    possible = possible[:: max(1, -(-len(possible) // selection.settings.assigned))]
    if len(possible) < 2:
        return []
    names = [solution.name for solution in possible]
    netlists = {solution.name: solution.implementations for solution in possible}
    costs = _costs(selection, possible, demands)
    parts = np.array([error_parts(candidate_named(name), selection.demands) for name in names])  # [C, layers, 2]
    known: dict[Assignment, Solution] = {(k,) * len(selection.layers): each for k, each in enumerate(possible)}
    count, limited = selection.settings.assignments, set(demands.limits) - {"max_loss"}
    for _ in range(selection.settings.assigning):
        met = np.array([[parts[k, layer] for layer, k in enumerate(each)] for each in known])
        model = ErrorModel.prior(selection.demands).fit(met, np.array([each.divergence for each in known.values()]))
        errors = (parts * model.weights).sum(axis=2).T  # [layers, C]
        for figures in costs.values():
            proposed = [one for one in assignments(errors, figures, most) if _allowed(one, costs, demands)]
            fresh = farthest(proposed, errors, figures, known, count // 2 if limited else count)
            if limited:  # one answer is wanted from among what is allowed, and the prediction is coarse
                others = [one for one in proposed if len(set(one)) > 1 and one not in known and one not in fresh]
                fresh += sorted(others, key=lambda one: (total(errors, one), one))[: count - len(fresh)]
            choices = [
                tuple((layer, names[k]) for layer, k in zip(selection.layers, one, strict=True)) for one in fresh
            ]
            known |= zip(fresh, selection.fit(choices, netlists, "assignments"), strict=True)
    mixed = {one: solution for one, solution in known.items() if len(set(one)) > 1}
    found = {solution.name: solution for solution in selection.met_by(list(mixed.values()), demands)}
    best: set[str] = set()
    if "area" in costs:
        best |= {solution.name for solution in pareto_front([*solutions, *mixed.values()])}
    if "energy" in costs:
        rows = [(solution.divergence, total(costs["energy"], one)) for one, solution in known.items()]
        every = list(known.values())
        best |= {every[k].name for k in nondominated(rows)}
    return [found.get(each.name, each) for each in mixed.values() if each.name in found or each.name in best]


def _possible(selection: Selection, single: Sequence[Solution], demands: Demands) -> list[Solution]:
    """Those that one layer at least may have, with the netlists that are fast enough."""
    baseline, shares = selection.baseline(), selection.shares
    fast = []
    for solution in single:
        limit = demands.max_delay_ratio
        within = [i for i in solution.implementations if limit is None or at_most(baseline.delay_ratio(i), limit)]
        if within:
            fast.append(replace(solution, implementations=tuple(within)))
    if demands.max_area_ratio is None or not fast:
        return fast
    areas = [baseline.area_ratio(solution.smallest) for solution in fast]
    share = min(shares)
    beside = (1 - share) * min(areas)
    return [
        solution
        for solution, area in zip(fast, areas, strict=True)
        if at_most(share * area + beside, demands.max_area_ratio)
    ]


def _costs(selection: Selection, possible: Sequence[Solution], demands: Demands) -> dict[str, NDArray[np.float64]]:
    """What costs: the part of each layer with each multiplier, [layers, multipliers]; with the exact one in all layers
    the parts' sum is 1."""
    costs = {}
    if set(demands.limits) - {"max_energy_ratio"}:
        baseline = selection.baseline()
        areas = [baseline.area_ratio(solution.smallest) for solution in possible]
        costs["area"] = np.outer(selection.shares, areas)
    if demands.max_energy_ratio is not None or not demands:
        costs["energy"] = selection.layer_energies(possible)
    return costs


def _allowed(one: Assignment, costs: dict[str, NDArray[np.float64]], demands: Demands) -> bool:
    """Whether an assignment may be within the demands."""
    area, energy = demands.max_area_ratio, demands.max_energy_ratio
    return (area is None or at_most(total(costs["area"], one), area)) and (
        energy is None or at_most(total(costs["energy"], one), _COUNTED_WELL * energy)
    )
