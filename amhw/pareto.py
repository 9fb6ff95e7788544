"""Pareto dominance: which of several things are worth looking at when there is more than one cost.

One thing dominates another if it is no worse in any cost and better in at least one; the Pareto front is what nothing
dominates. A cost is a number of which less is better. Costs that differ by less than the `RESOLUTION` are equal:
sums in another order may differ in their last bits.
"""

import moocore
import numpy as np
from numpy.typing import ArrayLike, NDArray

RESOLUTION = 1e-12


def nondominated(costs: ArrayLike, *, distinct: bool = False) -> NDArray[np.intp]:
    """The rows of `costs`, [things, kinds of cost], that no other row dominates, in their order.

    Args:
        distinct: of rows with equal costs only the first; without it all of them.

    >>> nondominated([[1, 3], [2, 2], [3, 3], [2, 2]]).tolist()
    [0, 1, 3]
    >>> nondominated([[1, 3], [2, 2], [3, 3], [2, 2]], distinct=True).tolist()
    [0, 1]
    """
    rows = _resolved(costs)
    return np.flatnonzero(moocore.is_nondominated(rows, keep_weakly=not distinct)) if len(rows) else np.arange(0)


def dominators(costs: ArrayLike) -> NDArray[np.intp]:
    """How many rows of `costs` dominate each row: 0 on the Pareto front.

    >>> dominators([[1, 3], [2, 2], [3, 3], [2, 2]]).tolist()
    [0, 0, 3, 0]
    """
    rows = _resolved(costs)
    counts = [int(((rows <= row).all(axis=1) & (rows < row).any(axis=1)).sum()) for row in rows]
    return np.array(counts, dtype=np.intp)


def spread(points: ArrayLike, count: int, taken: ArrayLike) -> list[int]:
    """The rows of `points`, [things, coordinates], one after another the one that is farthest from all before it and
    from all that are `taken`, at least one; up to `count`, each coordinate in units of its range among the points.

    >>> spread([[1.0], [5.0], [2.0], [9.0]], 2, taken=[[1.0]])
    [3, 1]
    """
    rows, fixed = np.asarray(points, dtype=np.float64), np.asarray(taken, dtype=np.float64)
    if not len(rows):
        return []
    scale = np.ptp(rows, axis=0)
    scale[scale == 0] = 1
    rows, fixed = rows / scale, fixed / scale
    distances = ((rows[:, None] - fixed) ** 2).sum(axis=2).min(axis=1)
    chosen: list[int] = []
    while len(chosen) < min(count, len(rows)) and distances.max() > 0:
        chosen.append(int(distances.argmax()))
        distances = np.minimum(distances, ((rows - rows[chosen[-1]]) ** 2).sum(axis=1))
    return chosen


def _resolved(costs: ArrayLike) -> NDArray[np.float64]:
    return np.round(np.asarray(costs, dtype=np.float64) / RESOLUTION) * RESOLUTION
