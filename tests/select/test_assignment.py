"""Assignments of multipliers to layers against all of them, and the multiplier that can be each."""

from itertools import product

import numpy as np
import pytest

from amhw import Masked, ProductTable
from amhw.select.assignment import assignments, farthest
from amhw.select.shared import SharedMultiplier
from amhw.select.space import Space


def totals(figures, assignment):
    return sum(figures[layer, number] for layer, number in enumerate(assignment))


@pytest.mark.parametrize("most", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(4))
def test_the_best_for_every_price_is_among_them(seed, most):
    """Of all assignments of five multipliers to four layers, at most so many different ones."""
    random = np.random.default_rng(seed)
    errors, energies = random.exponential(size=(4, 5)), random.exponential(size=(4, 5))
    every = [one for one in product(range(5), repeat=4) if len(set(one)) <= most]
    found = assignments(errors, energies, most)
    assert len(set(found)) == len(found) and set(found) <= set(every)
    missed = 0
    for price in np.geomspace(0.02, 50, 40):
        costs = errors + price * energies
        best, met = (min(totals(costs, one) for one in some) for some in (every, found))
        missed += met > best * (1 + 1e-9)
        assert met <= best * 1.05
    assert missed <= 2, "giving up one after the other and exchanging is no proof, but it is hardly ever worse"


def test_those_that_nothing_dominates_come_first():
    random = np.random.default_rng(9)
    errors, energies = random.exponential(size=(3, 4)), random.exponential(size=(3, 4))
    found = assignments(errors, energies, 2)
    first = (totals(errors, found[0]), totals(energies, found[0]))
    for one in found:
        other = (totals(errors, one), totals(energies, one))
        assert not (other[0] < first[0] and other[1] < first[1])
    assert totals(energies, found[0]) == min(totals(energies, one) for one in found)


def test_some_are_far_from_what_is_known():
    """None is predicted to be dominated, and all have several multipliers."""
    errors = np.array([[4.0, 2.0, 1.0], [40.0, 2.0, 1.0]])
    energies = np.array([[1.0, 3.0, 9.0], [1.0, 3.0, 9.0]])
    known = [(0, 0), (1, 1), (2, 2)]
    proposed = assignments(errors, energies, 2)
    assert farthest(proposed, errors, energies, known, 2) == [(1, 2), (0, 1)]
    assert farthest(proposed, errors, energies, known, 1) == [(1, 2)]
    assert farthest(proposed, errors, energies, [*known, (1, 2)], 2)[0] == (0, 1)
    assert farthest([(0, 0), (1, 1)], errors, energies, known, 2) == []


def mask(text):
    return Masked.from_text(text, 3, 3, signed_b=True)


@pytest.mark.parametrize("texts", [("0,4,6", "0,6,7"), ("4,4,6", "1,6,4"), ("0,0,7", "4,4,4", "7,7,7")])
def test_one_multiplier_can_be_each(texts):
    """Its products, in the state of the gates that a layer sets and with the operand bits that it lets in, are that
    mask's; codes that are masked away make no difference."""
    masks = [mask(text) for text in texts]
    shared = SharedMultiplier.of(masks)
    a, b = np.divmod(np.arange(64), 8)
    for one in masks:
        at_a, at_b = shared.operands(one, a, b)
        np.testing.assert_array_equal(shared.expected.products[at_a, at_b], ProductTable.of(one).products[a, b])
    assert f"module {shared.name}" in shared.verilog


def test_what_cannot_be_one_multiplier_is_none():
    assert SharedMultiplier.of([mask("0,4,6"), Space().of_rows((0, 0, 0, 0, 0, 0, 0xB0, 0xB0), (11,))]) is None


def test_nothing_is_added_without_an_adder():
    found = list(Space().without_adder(5))
    assert len({one.name for one in found}) == len(found) == 1 * 2 * 3 * 4 * 5
    for one in found:
        columns = [i + j for i, row in enumerate(one.rows) for j in range(8) if row >> j & 1]
        assert len(set(columns)) == len(columns) and max(columns) == 14
