"""The Pareto front of a study: what is worth looking at when cost is traded for accuracy.

One definition serves the picture, the page and the tables.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from amhw.pareto import nondominated
from amhw.synth import wins

T = TypeVar("T")


def pareto_front(
    items: Sequence[T], cost: Callable[[T], float | None], accuracy: Callable[[T], float], band: float = 0.0
) -> list[T]:
    """The items that no other one dominates in accuracy and cost, by growing cost.

    An item that is cheaper than the next better one by no more than the noise band is left out: being cheaper by so
    little is no win (see `amhw.synth.noise`).

    Args:
        cost: less is better; None where an item has no such cost.
        band: relative.

    >>> points = [(100, 0.993), (99, 0.991), (50, 0.98), (60, 0.97), (None, 1.0)]
    >>> [[cost for cost, _ in pareto_front(points, lambda p: p[0], lambda p: p[1], band)] for band in (0, 0.02)]
    [[50, 99, 100], [50, 100]]
    """
    known = [(found, accuracy(item), item) for item in items if (found := cost(item)) is not None]
    best = [known[k] for k in nondominated([(cost, -gain) for cost, gain, _ in known], distinct=True)]
    best.sort(key=lambda entry: entry[0])
    dearer = [*(found for found, _, _ in best), float("inf")][1:]
    return [item for (found, _, item), rival in zip(best, dearer, strict=True) if wins(found, rival, band)]
