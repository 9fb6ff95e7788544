"""Samples of faults: their size, and how often their intervals hold the truth."""

import numpy as np
import pytest

from amhw import Refusal
from amhw.faults.sampling import Stratum, drawn, estimate, sample_size, stratum_estimate

STRATA = [
    *(Stratum("a.weights", bit, faults) for bit, faults in enumerate((400, 400, 400, 400))),
    *(Stratum("b.weights", bit, faults) for bit, faults in enumerate((2000, 2000, 2000, 2000))),
    *(Stratum("b.bias", bit, 20) for bit in range(8)),
]
SHARES = [0.0, 0.01, 0.1, 0.6, 0.0, 0.0, 0.002, 0.05, 0, 0, 0, 0.1, 0.3, 0.9, 1, 1]


def population(random):
    """Which faults of each stratum are critical."""
    return {
        part: np.isin(np.arange(part.faults), random.choice(part.faults, round(share * part.faults), replace=False))
        for part, share in zip(STRATA, SHARES, strict=True)
    }


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_intervals_cover_the_truth_as_often_as_they_say(confidence):
    random = np.random.default_rng(7)
    truth = population(random)
    share = sum(int(each.sum()) for each in truth.values()) / sum(len(each) for each in truth.values())
    size = sample_size(sum(part.faults for part in STRATA), 0.03, confidence)
    whole, each = [], []
    for _ in range(400):
        words = drawn(STRATA, size, random)
        seen = {part: (int(truth[part][chosen].sum()), len(chosen)) for part, chosen in words.items()}
        found = estimate(seen, confidence)
        whole.append(found.low <= share <= found.high)
        for part, (hits, tried) in seen.items():
            one = stratum_estimate(hits, tried, part.faults, confidence)
            each.append(one.low <= truth[part].mean() <= one.high)
            assert one.low <= one.share <= one.high
    # Three standard errors of 400 draws below what is said; intervals may be wider than they need.
    slack = 3 * np.sqrt(confidence * (1 - confidence) / 400)
    assert np.mean(whole) >= confidence - slack
    assert np.mean(each) >= confidence - 0.02
    assert found.high - found.low <= 2 * 0.03, "no wider than what was asked for"


def test_all_faults_leave_no_doubt():
    seen = {part: (round(share * part.faults), part.faults) for part, share in zip(STRATA, SHARES, strict=True)}
    found = estimate(seen, 0.95)
    assert found.low == pytest.approx(found.high) == pytest.approx(found.share)


def test_the_published_formula():
    """Leveugle et al., DATE 2009: 1 % and 95 % in a large population take 9,604 faults, 5 % take 384."""
    assert sample_size(10**9, 0.01, 0.95) == 9604
    assert sample_size(10**9, 0.05, 0.95) == 385
    assert sample_size(50, 0.01, 0.95) == 50


@pytest.mark.parametrize(("margin", "confidence", "words"), [(0, 0.95, "--margin 0;"), (0.1, 1, "--confidence 1;")])
def test_margins_that_are_none(margin, confidence, words):
    with pytest.raises(Refusal, match=words):
        sample_size(100, margin, confidence)
