"""Netlists of several arrays beside one another."""

from itertools import product

import numpy as np
import pytest

from amhw.select.solutions import best_of, side_by_side
from amhw.stages.synthesis import Implementation


def netlists(random, name, count):
    rows = random.integers(1, 8, size=(count, 2)).tolist()
    return best_of([Implementation(name, f"r{k}", float(area), float(delay)) for k, (area, delay) in enumerate(rows)])


@pytest.mark.parametrize("seed", range(8))
def test_arrays_side_by_side_have_the_best_netlists_of_all_ways_to_take_one_of_each(seed):
    random = np.random.default_rng(seed)
    of_layers = [netlists(random, f"m{layer}", 4) for layer in range(3)]
    shares = [0.5, 0.3, 0.2]
    every = [
        Implementation("", "", sum(s * one.area_um2 for s, one in zip(shares, some, strict=True)), max_delay(some))
        for some in product(*of_layers)
    ]
    found = side_by_side(of_layers, shares)
    assert [i.area_um2 for i in found] == sorted(i.area_um2 for i in found)
    np.testing.assert_allclose(figures(found), figures(best_of(every)))
    for one in found:  # the figures are those of the netlists that it names
        parts = zip(one.design.split("+"), one.recipe.split("+"), strict=True)
        taken = [next(i for some in of_layers for i in some if (i.design, i.recipe) == part) for part in parts]
        assert [i.design for i in taken] == ["m0", "m1", "m2"]
        assert one.area_um2 == pytest.approx(sum(s * i.area_um2 for s, i in zip(shares, taken, strict=True)))
        assert one.delay_ps == max_delay(taken)


def figures(some):
    return [(one.area_um2, one.delay_ps) for one in some]


def max_delay(some):
    return max(one.delay_ps for one in some)
