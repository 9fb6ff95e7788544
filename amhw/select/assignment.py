"""Which layer takes which multiplier, when there may be several.

The predicted error of a network is a sum over its layers (`amhw.select.search`), and so is what it costs, its energy or
its area: of an assignment of multiplier m(l) to each layer l,

    error Σ_l e[l, m(l)],    cost Σ_l c[l, m(l)],

with c weighted by the layer's multiplications. For each price λ of cost the assignment with the least Σ_l e + λ·c is
looked for (Shoham and Gersho, "Efficient bit allocation for an arbitrary set of quantizers", 1988). Without a limit to
the number of different multipliers each layer takes its own best one; while there are too many, the one without which
the sum grows least is given up, and at the end each is exchanged for another as long as that makes it less.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from amhw.pareto import dominators, nondominated, spread

Assignment = tuple[int, ...]
"""The number of each layer's multiplier."""

_PRICES = np.geomspace(1e-3, 1e3, 121)
"""Times the ratio of the errors' to the costs' range."""


def assignments(errors: NDArray[np.float64], costs: NDArray[np.float64], most: int) -> list[Assignment]:
    """Assignments of at most `most` different multipliers, those that fewest others dominate first.

    Beside the best for each price there are those that differ from one of them in a single layer.

    Args:
        errors, costs: float64[layers, multipliers].

    >>> errors = np.array([[4.0, 1.0], [9.0, 1.0]])
    >>> costs = np.array([[1.0, 2.0], [1.0, 9.0]])
    >>> assignments(errors, costs, 2)
    [(0, 0), (1, 0), (0, 1), (1, 1)]
    >>> assignments(errors, costs, 1)
    [(0, 0), (1, 1)]
    """
    layers, count = errors.shape
    scale = max(float(np.ptp(errors)), 1e-30) / max(float(np.ptp(costs)), 1e-30)
    found = {_cheapest(errors + price * scale * costs, most) for price in _PRICES}
    found |= {(number,) * layers for number in range(count)}
    for one in list(found):
        for layer in range(layers):
            for number in range(count):
                other = (*one[:layer], number, *one[layer + 1 :])
                if len(set(other)) <= most:
                    found.add(other)
    ordered = sorted(found)
    both = [(total(errors, one), total(costs, one)) for one in ordered]
    times = dominators(both)
    return [ordered[k] for k in sorted(range(len(ordered)), key=lambda k: (times[k], both[k][1], ordered[k]))]


def farthest(
    proposed: Sequence[Assignment],
    errors: NDArray[np.float64],
    costs: NDArray[np.float64],
    known: Iterable[Sequence[int]],
    count: int,
) -> list[Assignment]:
    """Of the proposed assignments that no other dominates, and that have several multipliers, up to `count` that are
    farthest from one another and from what is known, in the logarithms of error and cost."""

    def both(some: Iterable[Sequence[int]]) -> NDArray[np.float64]:
        return np.array([[total(errors, one), total(costs, one)] for one in some])

    best = [proposed[k] for k in nondominated(both(proposed), distinct=True)]
    mixed = [one for one in best if len(set(one)) > 1]
    if not mixed:
        return []
    points, taken = (np.log(np.maximum(both(some), 1e-12)) for some in (mixed, known))
    return [mixed[k] for k in spread(points, count, taken)]


def total(figures: NDArray[np.float64], assignment: Sequence[int]) -> float:
    """The sum over layers of figures[layers, multipliers] for an assignment."""
    return float(sum(figures[layer, number] for layer, number in enumerate(assignment)))


def _cheapest(costs: NDArray[np.float64], most: int) -> Assignment:
    """The multiplier of each layer with the least sum of costs[layers, multipliers]."""
    chosen = set(costs.argmin(axis=1).tolist())
    while len(chosen) > most:
        chosen.remove(min(sorted(chosen), key=lambda number: _sum(costs, chosen - {number})))
    improved = True
    while improved:
        improved = False
        for number in sorted(chosen):
            for other in range(costs.shape[1]):
                exchanged = chosen - {number} | {other}
                if _sum(costs, exchanged) < _sum(costs, chosen) - 1e-12:
                    chosen, improved = exchanged, True
                    break
            if improved:
                break
    numbers = sorted(chosen)
    return tuple(numbers[k] for k in costs[:, numbers].argmin(axis=1).tolist())


def _sum(costs: NDArray[np.float64], numbers: Iterable[int]) -> float:
    return float(costs[:, sorted(numbers)].min(axis=1).sum())
