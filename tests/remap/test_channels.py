"""What the next layer can make of a channel's codes, against its definition sample by sample."""

from dataclasses import replace

import numpy as np
import pytest

from amhw import Masked, ProductTable
from amhw.remap.channels import Channel, ExactFollower, TableFollower, best_reading
from amhw.remap.terms import half_step
from amhw.select.search import Demand, error_parts

SAMPLES, CODES, GREATEST = 3_000, 16, 15
FACTORS = np.array([0.02, 0.05, 0.11])
UNITS = np.array([0.011, 0.009])
OFFSETS = np.array([-0.2, 0.0, 0.2])
WEIGHTS = np.random.default_rng(2).normal(size=(2, 90)).astype(np.float32)


@pytest.fixture
def channel():
    """Pre-activations, a third of them negative, and sums that are nearly what they should be."""
    random = np.random.default_rng(1)
    wanted = random.normal(0.5, 1.2, SAMPLES)
    sums = {k: np.rint((wanted + random.normal(0, 0.2, SAMPLES)) / unit - 40) for k, unit in enumerate(UNITS)}
    return Channel(wanted.astype(np.float32), sums)


def table(text):
    return ProductTable.of(Masked.from_text(text, 4, 4, signed_b=True))


def codes_of(sums, bias, factor):
    return np.clip(np.floor((sums + bias) * factor + 0.5), 0, GREATEST).astype(int)


def left_by_exact(codes, wanted, weights):
    """The variance that the best straight line leaves, times the mean square of the weights."""
    slope, offset = np.polyfit(codes, wanted, 1)
    return np.mean(weights.astype(float) ** 2) * np.var(wanted - slope * codes - offset)


def left_by_table(codes, wanted, weights, multiplier):
    """What a table that cannot tell some codes apart must lose, and half of the rest: of each weight the best column,
    for the best of the units that are tried."""
    read = np.minimum(np.arange(CODES) + half_step(multiplier), CODES - 1)
    rows = multiplier.products[read].astype(float)
    quantiles = np.quantile(weights, (np.arange(16) + 0.5) / 16)
    products = rows[codes]  # [S, D]
    _, group = np.unique(rows, axis=0, return_inverse=True)
    group = group.reshape(-1)[codes]
    means = np.array([wanted[group == g].mean() if (group == g).any() else 0.0 for g in range(group.max() + 1)])
    unseen = np.var(wanted - means[group])
    largest = np.abs(quantiles).max() * np.sqrt(np.var(wanted) / products.var(axis=0).max())
    left = min(
        np.mean([np.var(unit * products - (w * wanted)[:, None], axis=0).min() for w in quantiles])
        for unit in largest * np.geomspace(0.25, 2.0, 8)
    )
    power = np.mean(quantiles**2)
    return power * unseen + 0.5 * max(0.0, left - power * unseen)


@pytest.mark.parametrize("text", ["f,f,f,f", "0,0,c,c", "0,8,0,e", "8,0,0,c"])
def test_a_table_as_follower(channel, text):
    multiplier = table(text)
    follower = TableFollower.of(multiplier, CODES, WEIGHTS)
    check(channel, follower, lambda codes, wanted, weights: left_by_table(codes, wanted, weights, multiplier))
    seen = np.unique(multiplier.products[np.minimum(np.arange(CODES) + half_step(multiplier), CODES - 1)], axis=0)
    assert follower.levels == len(seen)


@pytest.mark.parametrize("weights", [WEIGHTS * 0, WEIGHTS], ids=["no weights", "one row"])
def test_a_follower_that_can_use_nothing(channel, weights):
    """Any unit that was tried is as good as any other, and nothing is no number."""
    follower = TableFollower.of(table("0,0,0,c" if not weights.any() else "f,0,0,0"), CODES, weights)
    if weights.any():
        follower = replace(follower, table=follower.table[:1], starts=np.zeros(1, int), groups=np.zeros(1, int))
    tried = Channel(channel.wanted, {1: channel.sums[1]})
    found = best_reading(tried, UNITS, FACTORS, follower, 0, OFFSETS, np.inf)
    assert np.isfinite(found.lost).all() and np.isfinite(found.bias).all() and (found.unit == 1).all()


def test_signed_activations_are_rounded_up_to_the_greatest_and_no_further():
    """Code 7 of four signed bits is 7 after rounding, too, and not −8."""
    multiplier = ProductTable.of(Masked.from_text("0,0,c,c", 4, 4, signed_a=True, signed_b=True))
    follower = TableFollower.of(multiplier, 8, WEIGHTS)
    np.testing.assert_array_equal(follower.starts, [0, 2])
    demand = Demand(np.r_[np.full(8, 0.125), np.zeros(8)], np.array([0.5, -1.0]), 1.0)
    seen = error_parts(Masked.from_text("0,0,c,c", 4, 4, signed_a=True, signed_b=True), [demand])[0, 0]
    x = np.arange(8.0)
    assert seen == pytest.approx(1 - np.var(np.where(x < 2, x[:2].mean(), x[2:].mean())) / np.var(x))


def test_a_layer_whose_activations_never_change_has_no_error():
    constant = Demand(np.eye(16)[3], np.array([0.5, -1.0]), 1.0)
    assert not error_parts(Masked.from_text("0,0,c,c", 4, 4, signed_b=True), [constant]).any()


def test_exact_products_as_follower(channel):
    check(channel, ExactFollower.of(CODES, WEIGHTS), left_by_exact)


def check(channel, follower, left):
    """Against every unit and offset, one after the other."""
    wanted = np.clip(channel.wanted, 0, None).astype(float)
    for number, weights in enumerate(WEIGHTS):
        found = best_reading(channel, UNITS, FACTORS, follower, number, OFFSETS, np.inf)
        for f, factor in enumerate(FACTORS):
            step = GREATEST / (follower.levels - 1) / factor
            tried = {}
            for k, sums in channel.sums.items():
                shift = (channel.wanted / UNITS[k] - sums)[channel.wanted > 0].mean()
                for offset in OFFSETS:
                    bias = shift + offset * step
                    tried[k, round(bias, 6)] = left(codes_of(sums, bias, factor), wanted, weights)
            assert found.lost[f] == pytest.approx(min(tried.values()), rel=1e-6)
            unit, bias = found.at(f)
            assert tried[unit, round(bias, 6)] == pytest.approx(min(tried.values()), rel=1e-6)


def test_a_channel_that_is_never_live_loses_nothing():
    """Its bias keeps all of its codes at 0."""
    sums = np.arange(-50.0, 50.0)
    channel = Channel(np.full(100, -1.0, np.float32), {0: sums})
    found = best_reading(channel, UNITS, FACTORS, ExactFollower.of(CODES, WEIGHTS), 0, np.zeros(1), np.inf)
    assert not found.lost.any()
    for f, factor in enumerate(FACTORS):
        assert not codes_of(sums, found.at(f)[1], factor).any()
