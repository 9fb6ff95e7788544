"""The graphs of parallel-prefix adders: which groups of positions are joined, level by level.

Each position k of two rows that are added generates a carry or propagates one, (g, p)_k = (x·y, x ⊕ y). Groups of
positions join by the associative operator

    (g, p) ∘ (g', p') = (g + p·g', p·p'),

and the carry out of position k is the g of the group k … 0. A graph is a list of levels, and a level a list of cells
(k, j): the group that ends at k is joined with the one below it, which ends at j. All cells of a level read what the
levels before left. A graph with few levels is fast, one with few cells small, and one that is *fitted* has its levels
where the rows are late.

Sources: Sklansky, "Conditional-sum addition logic", 1960; Kogge and Stone, 1973; Brent and Kung, 1982; Han and Carlson,
1987. Fitted to arrival times: Zimmermann, "Non-heuristic optimization and synthesis of parallel-prefix adders",
1996; by dynamic programming: Liu, Zhou, Zhu, Cheng, "Optimum prefix adders in a comprehensive area, timing and power
design space", ASP-DAC 2007.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import zip_longest
from typing import NamedTuple

Level = list[tuple[int, int]]
Ready = Sequence[tuple[int, int]]
"""When g and p of each position are ready, in units of the delay of an AND or OR gate."""


def kogge_stone(ready: Ready) -> list[Level]:
    """Every prefix in log2(n) levels of n cells."""
    levels, distance = [], 1
    while distance < len(ready):
        levels.append([(k, k - distance) for k in range(distance, len(ready))])
        distance *= 2
    return levels


def brent_kung(ready: Ready) -> list[Level]:
    """Every prefix with about 2n cells: a tree up to the powers of two, and one back down between them."""
    levels, distance = [], 1
    while distance < len(ready):
        levels.append([(k, k - distance) for k in range(2 * distance - 1, len(ready), 2 * distance)])
        distance *= 2
    while distance > 1:
        distance //= 2
        levels.append([(k, k - distance) for k in range(3 * distance - 1, len(ready), 2 * distance)])
    return levels


def sklansky(ready: Ready) -> list[Level]:
    """Every prefix in log2(n) levels of n/2 cells; one carry feeds up to n/2 of them."""
    levels, distance = [], 1
    while distance < len(ready):
        levels.append([(k, k // distance * distance - 1) for k in range(distance, len(ready)) if k // distance % 2])
        distance *= 2
    return levels


def han_carlson(ready: Ready) -> list[Level]:
    """Kogge and Stone's levels at every other position, and one level more for the positions between."""
    levels, distance = [[(k, k - 1) for k in range(1, len(ready), 2)]], 2
    while distance < len(ready):
        levels.append([(k, k - distance) for k in range(distance + 1, len(ready), 2)])
        distance *= 2
    return [*levels, [(k, k - 1) for k in range(2, len(ready), 2)]]


class _Option(NamedTuple):
    """A graph for the positions of a block: when its groups are ready, and what it costs.

    `g` and `p` are of the group of the whole block, `latest_g` and `latest_p` of the latest of all its groups, `gates`
    counts AND and OR gates. `split` is the first position of the upper part, whose groups are all joined with the lower
    part's at last.
    """

    latest_g: int
    gates: int
    g: int
    p: int
    latest_p: int
    split: int = 0
    upper: "_Option | None" = None
    lower: "_Option | None" = None


_SLACK = 1
"""How much later than in the fastest graph the latest carry of a `fitted` one may be, where that saves gates."""

_KEPT = 8
"""So many graphs of a block are followed, from the fastest to the smallest."""


def fitted(ready: Ready) -> list[Level]:
    """The smallest of the fast graphs for rows that are ready at different times.

    Of the graphs in which a block's lower part joins every group of its upper part, as in Sklansky's and in the
    ripple-carry adder, split wherever it pays. A carry is one unit slower for each doubling of its readers, as with a
    tree of buffers.
    """
    return _fitted(ready, lambda readers: (readers - 1).bit_length(), _SLACK)


def fitted_fast(ready: Ready) -> list[Level]:
    """The smallest of the fastest of the same graphs, where a carry is one unit slower for every second reader, as a
    gate is that drives them all. (As far as `_KEPT` graphs of a block lead to it.)"""
    return _fitted(ready, lambda readers: readers // 2, 0)


def _fitted(ready: Ready, loaded: Callable[[int], int], slack: int) -> list[Level]:
    """The smallest graph that is at most `slack` later than the fastest, with carries later by `loaded(readers)`."""

    @lru_cache(None)
    def options(low: int, high: int) -> list[_Option]:
        if low == high:
            g, p = ready[low]
            return [_Option(g, 0, g, p, p)]
        found = {
            option[:5]: option
            for split in range(low + 1, high + 1)
            for upper in options(split, high)
            for lower in options(low, split - 1)
            for option in [_joined(upper, lower, split, high, loaded)]
        }
        return _best(found.values(), low == 0)

    def levels(option: _Option, low: int, high: int) -> list[Level]:
        if option.upper is None or option.lower is None:
            return []
        below, above = levels(option.lower, low, option.split - 1), levels(option.upper, option.split, high)
        both = [[*one, *other] for one, other in zip_longest(below, above, fillvalue=())]
        return [*both, [(k, option.split - 1) for k in range(option.split, high + 1)]]

    if not ready:
        return []
    last = len(ready) - 1
    front = options(0, last)
    soon = [option for option in front if option.latest_g <= front[0].latest_g + slack]
    return levels(min(soon, key=lambda option: (option.gates, option[:5])), 0, last)


def _joined(upper: _Option, lower: _Option, split: int, high: int, loaded: Callable[[int], int]) -> _Option:
    readers = high - split + 1
    slower = loaded(readers)
    g, p = lower.g + slower, lower.p + slower
    return _Option(
        max(lower.latest_g, upper.latest_g + 1, upper.latest_p + 2, g + 2),
        lower.gates + upper.gates + 3 * readers,
        max(upper.g + 1, upper.p + 2, g + 2),
        max(upper.p, p) + 1,
        max(lower.latest_p, upper.latest_p + 1, p + 1),
        split,
        upper,
        lower,
    )


def _best(found: Iterable[_Option], first: bool) -> list[_Option]:
    """Those that no other beats, the fastest first; nobody reads the p of the groups of the `first` block."""
    front: list[_Option] = []
    for option in sorted(found, key=lambda each: each[:5]):  # the earliest carry first
        if not any(
            other.gates <= option.gates and other.g <= option.g
            and (first or (other.p <= option.p and other.latest_p <= option.latest_p))
            for other in front
        ):  # fmt: skip
            front.append(option)
    if len(front) <= _KEPT:
        return front
    return [front[round(k * (len(front) - 1) / (_KEPT - 1))] for k in range(_KEPT)]


GRAPHS: dict[str, Callable[[Ready], list[Level]]] = {
    "brent-kung": brent_kung,
    "kogge-stone": kogge_stone,
    "sklansky": sklansky,
    "han-carlson": han_carlson,
    "fitted": fitted,
    "fitted-fast": fitted_fast,
}
"""By the adder's name."""
