"""Operand distributions."""

import numpy as np
import pytest

from amhw import Refusal
from amhw.operands import OperandDistribution


def test_uniform_gives_every_pair_the_same():
    distribution = OperandDistribution.uniform(3, 5)
    assert distribution.joint.shape == (8, 32)
    assert (distribution.joint == 1 / 256).all()
    assert (distribution.width_a, distribution.width_b) == (3, 5)


def test_histograms_are_independent_operands():
    counts_a, counts_b = np.array([1, 3, 0, 4]), np.array([5, 5])
    distribution = OperandDistribution.of_histograms(counts_a, counts_b)
    assert distribution.probabilities_a == pytest.approx(counts_a / 8)
    assert distribution.probabilities_b == pytest.approx([0.5, 0.5])
    assert distribution.joint[3, 1] == pytest.approx(0.25)


def test_pairs_keep_what_belongs_together():
    counts = np.array([[4, 0], [0, 4]])
    distribution = OperandDistribution.of_pairs(counts)
    assert distribution.joint.tolist() == [[0.5, 0], [0, 0.5]]
    assert distribution.probabilities_a.tolist() == [0.5, 0.5]


def test_a_distribution_cannot_be_changed():
    given = np.full((2, 2), 0.25)
    distribution = OperandDistribution(given)
    given[0, 0] = 1
    assert distribution.joint[0, 0] == 0.25
    with pytest.raises(ValueError, match="read-only"):
        distribution.joint[0, 0] = 1


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: OperandDistribution.uniform(16, 16), "24 bits in all"),
        (lambda: OperandDistribution(np.full((3, 2), 1 / 6)), "2^m × 2^n"),
        (lambda: OperandDistribution(np.full((2, 2), 0.3)), "sum to 1.2"),
        (lambda: OperandDistribution(np.array([[1.5, -0.5], [0, 0]])), "not negative"),
        (lambda: OperandDistribution(np.array([[np.nan, 1], [0, 0]])), "finite"),
        (lambda: OperandDistribution.of_histograms([0, 0], [1, 1]), "histogram of a"),
        (lambda: OperandDistribution.of_histograms([1, 1], [1, -1]), "histogram of b"),
        (lambda: OperandDistribution.of_pairs([]), "histogram of the pair"),
    ],
)
def test_what_is_no_distribution_is_refused(make, words):
    with pytest.raises(Refusal, match=words.replace("^", r"\^")):
        make()
