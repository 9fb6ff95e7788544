"""The front of a study: what is worth looking at when cost is traded for accuracy.

One definition serves the picture, the page and the tables.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from amhw.synth import wins

Point = TypeVar("Point", bound=Mapping[str, Any])


def front(points: Sequence[Point], cost: str, band: float = 0.0) -> list[Point]:
    """The points that no other one beats in both accuracy and cost, by growing cost.

    A point that is cheaper than the next better one by no more than the noise band is left out: being cheaper by
    so little is no win (see `amhw.synth.noise`).

    Args:
        points: each with ``accuracy`` and, unless it has no such cost, a number under `cost`.
        cost: for example ``area_um2``; less is better.
        band: relative.

    >>> points = [{"c": c, "accuracy": a} for c, a in ((100, 0.993), (99, 0.991), (50, 0.98), (60, 0.97), (None, 1.0))]
    >>> [point["c"] for point in front(points, "c")], [point["c"] for point in front(points, "c", band=0.02)]
    ([50, 99, 100], [50, 100])
    """
    best: list[Point] = []
    with_cost = [point for point in points if point.get(cost) is not None]
    for point in sorted(with_cost, key=lambda point: (point[cost], -point["accuracy"])):
        if not best or point["accuracy"] > best[-1]["accuracy"]:
            best.append(point)
    dearer = [*(point[cost] for point in best), float("inf")][1:]
    return [point for point, rival in zip(best, dearer, strict=True) if wins(point[cost], rival, band)]
