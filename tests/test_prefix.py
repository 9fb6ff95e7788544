"""Prefix graphs: right carries for any rows, and the fitted graph nearly as fast as the fastest of its kind."""

from collections.abc import Callable
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amhw.prefix import GRAPHS, Level, Ready, fitted, fitted_fast, sklansky

TIMES = st.lists(st.integers(0, 9).map(lambda at: (at + 1, at + 2)), max_size=24)


def carries(levels: list[Level], x: int, y: int, n: int) -> list[int]:
    g = [x >> k & y >> k & 1 for k in range(n)]
    p = [(x ^ y) >> k & 1 for k in range(n)]
    for level in levels:
        before_g, before_p = list(g), list(p)
        for k, j in level:
            g[k], p[k] = before_g[k] | before_p[k] & before_g[j], before_p[k] & before_p[j]
    return g


@given(st.sampled_from(sorted(GRAPHS)), TIMES, st.data())
def test_carries_are_those_of_the_sum(name: str, ready: Ready, data: st.DataObject) -> None:
    n = len(ready)
    x, y = (data.draw(st.integers(0, 2**n - 1)) for _ in range(2))
    expected = [(x % 2 ** (k + 1) + y % 2 ** (k + 1)) >> (k + 1) for k in range(n)]
    assert carries(GRAPHS[name](ready), x, y, n) == expected


Loaded = Callable[[int], int]
"""How much slower a carry is that has so many readers."""


def buffered(readers: int) -> int:
    return (readers - 1).bit_length()


def halves(readers: int) -> int:
    return readers // 2


def latest(levels: list[Level], ready: Ready, loaded: Loaded = buffered) -> int:
    """When the last carry is ready."""
    g, p = ([times[which] for times in ready] for which in (0, 1))
    for level in levels:
        before_g, before_p = list(g), list(p)
        for k, j in level:
            slower = loaded(sum(read == j for _, read in level))
            g[k] = max(before_g[k] + 1, before_p[k] + 2, before_g[j] + slower + 2)
            p[k] = max(before_p[k], before_p[j] + slower) + 1
    return max(g)


def fastest(ready: Ready, loaded: Loaded) -> int:
    """Over all ways of splitting, tried one by one."""

    @cache
    def all_of(low: int, high: int) -> frozenset[tuple[tuple[int, int], ...]]:
        """What the groups of a block can be ready at."""
        if low == high:
            return frozenset({(ready[low],)})
        found = set()
        for split in range(low + 1, high + 1):
            slower = loaded(high - split + 1)
            for lower in all_of(low, split - 1):
                g, p = lower[-1][0] + slower, lower[-1][1] + slower
                for upper in all_of(split, high):
                    joined = tuple((max(one + 1, two + 2, g + 2), max(two, p) + 1) for one, two in upper)
                    found.add(lower + joined)
        return frozenset(found)

    return min(max(g for g, _ in times) for times in all_of(0, len(ready) - 1))


@given(st.lists(st.integers(0, 12).map(lambda at: (at + 1, at + 2)), min_size=1, max_size=7))
def test_it_is_at_most_one_gate_slower_than_the_fastest_way_of_splitting(ready: Ready) -> None:
    assert 0 <= latest(fitted(ready), ready) - fastest(ready, buffered) <= 1


@given(st.lists(st.integers(0, 12).map(lambda at: (at + 1, at + 2)), min_size=1, max_size=7))
def test_the_fast_one_is_the_fastest_with_carries_that_nothing_buffers(ready: Ready) -> None:
    assert latest(fitted_fast(ready), ready, halves) == fastest(ready, halves)


@pytest.mark.parametrize("n", [2, 9, 16])
def test_rows_that_are_later_and_later_get_a_ripple_carry_adder(n: int) -> None:
    assert fitted([(3 * k + 1, 3 * k + 2) for k in range(n)]) == [[(k, k - 1)] for k in range(1, n)]


def test_it_is_faster_than_sklansky_where_the_middle_is_late() -> None:
    ready = [(2 * min(k, 15 - k) + 1, 2 * min(k, 15 - k) + 2) for k in range(16)]
    assert latest(fitted(ready), ready) < latest(sklansky(ready), ready)
