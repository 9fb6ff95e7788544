"""Pareto dominance against its definition, ties included."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from amhw.pareto import dominators, nondominated, spread

COSTS = st.integers(1, 4).flatmap(
    lambda kinds: arrays(np.float64, st.tuples(st.integers(0, 30), st.just(kinds)), elements=st.integers(0, 4))
)


def beats(one, other) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True)) and any(a < b for a, b in zip(one, other, strict=True))


@given(COSTS)
def test_the_front_is_what_nothing_dominates(costs):
    counts = [sum(beats(other, row) for other in costs) for row in costs]
    assert dominators(costs).tolist() == counts
    front = [k for k, count in enumerate(counts) if not count]
    assert nondominated(costs).tolist() == front
    firsts = [k for k in front if not any((costs[before] == costs[k]).all() for before in range(k))]
    assert nondominated(costs, distinct=True).tolist() == firsts


def test_the_last_bits_of_a_sum_decide_nothing():
    one = [0.1 + 0.2, 1.0], [0.3, 1.0]
    assert one[0] != one[1]
    assert nondominated(one).tolist() == [0, 1]
    assert nondominated(one, distinct=True).tolist() == [0]
    assert dominators(one).tolist() == [0, 0]


@pytest.mark.parametrize("shape", [(0, 2), (0, 3)])
def test_nothing_has_an_empty_front(shape):
    assert nondominated(np.zeros(shape)).tolist() == []
    assert dominators(np.zeros(shape)).tolist() == []


def test_what_is_far_from_everything_comes_first():
    points = np.array([[0, 0], [10, 1], [5, 0.5], [9, 1], [0, 0]], dtype=float)
    assert spread(points, 9, taken=points[[0]]) == [1, 2, 3]
    assert spread(points * [1, 1000], 2, taken=points[[0]]) == [1, 2]
    assert spread(points, 2, taken=[[10, 1], [5, 0.5]]) == [0, 3]
    assert spread(np.zeros((0, 2)), 2, taken=[[0, 0]]) == spread(points, 0, taken=[[0, 0]]) == []
