"""Thresholds and fronts against brute force."""

import numpy as np
import pytest

from amhw.cascade.answers import Answers
from amhw.cascade.front import front
from amhw.cascade.threshold import Cascade, Curve

IMAGES = 60


def answers(seed, right):
    random = np.random.default_rng(seed)
    hits = random.random(IMAGES) < right
    # Few different margins, so that there are ties; what is wrong tends to be close.
    return Answers(hits, np.where(hits, random.integers(0, 12, IMAGES), random.integers(0, 5, IMAGES)))


def loss_of(exact, hits, plain=0):
    """Of all images, or of the first ones where that is greater."""
    of_all = float(exact.hits.mean() - hits.mean())
    return max(of_all, float(exact.hits[:plain].mean() - hits[:plain].mean())) if plain else of_all


@pytest.mark.parametrize("plain", [0, 15])
@pytest.mark.parametrize("seed", range(20))
def test_a_curve_is_what_each_threshold_gives(seed, plain):
    exact, cheap, better = answers(seed, 0.95), answers(seed + 100, 0.7), answers(seed + 200, 0.9)
    curve = Curve.of(exact, cheap, better, plain)
    greatest = int(cheap.margins.max()) + 1
    direct = [loss_of(exact, Cascade(0, 1, each).hits(cheap, better), plain) for each in range(greatest + 1)]
    for threshold in range(greatest + 1):
        # With this threshold or the worst of the greater ones.
        assert curve.at(threshold) == pytest.approx(max(direct[threshold:]))
    for threshold, share in zip(curve.thresholds, curve.shares, strict=True):
        assert share == (cheap.margins < threshold).mean()
    assert (curve.shares[0], curve.shares[-1]) == (0, 1)
    assert curve.losses[-1] == pytest.approx(loss_of(exact, better.hits, plain))


@pytest.mark.parametrize("plain", [0, 15])
@pytest.mark.parametrize("seed", range(10))
def test_the_front_is_that_of_all_pairs_and_thresholds(seed, plain):
    networks = [answers(seed, 0.97), answers(seed + 50, 0.6), answers(seed + 70, 0.8), answers(seed + 90, 0.9)]
    energies = [1.0, 0.01, 0.05, 0.2]
    every = {}
    for cheap, one in enumerate(networks):
        for better, other in enumerate(networks):
            for threshold in range(14):
                again = (one.margins < threshold).mean()
                loss = max(0.0, Curve.of(networks[0], one, other, plain).at(threshold))
                every[cheap, better, threshold] = (energies[cheap] + again * energies[better], loss)
    found = front(networks, energies, 0, plain)
    costs = [every[each.cheap, each.better, each.threshold] for each in found]
    assert costs == sorted(costs) and [loss for _, loss in costs] == sorted((loss for _, loss in costs), reverse=True)
    for energy, loss in every.values():
        assert any(less <= energy + 1e-9 and lost <= loss + 1e-9 for less, lost in costs)
    for energy, loss in costs:
        assert not any(less < energy - 1e-9 and lost < loss - 1e-9 for less, lost in every.values())
    assert costs[-1][1] == 0, "the exact network loses nothing"


def test_a_tie_is_no_margin():
    found = Answers.of(np.array([[7, 7, 1], [-5, -9, -6]]), np.array([0, 0]))
    assert found.hits.tolist() == [True, True]
    assert found.margins.tolist() == [0, 1]
    assert Cascade(0, 1, 1).again(found).tolist() == [True, False]
