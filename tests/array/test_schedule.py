"""Schedules: what their records compute is what the network computes, on every array."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_networks import networks, with_roundings, with_weights

from amhw import Masked, ProductTable, parse
from amhw.array.config import ArrayConfig
from amhw.array.interpreter import Interpreter
from amhw.array.schedule import Schedule
from amhw.datasets import mnist_test
from amhw.network import reference
from amhw.network.models import lenet5, model_named
from amhw.network.quantise import quantise
from amhw.network.quantised import Operands

EXACT = Masked.exact(8, 8, signed_b=True)
MASKED = parse("mul_u8s8_pp_0_0_0_0_0_0_f0_f0")
SHAPES = (
    {"rows": 9, "cols": 4},
    {"rows": 4, "cols": 1, "depth": 2},
    {"rows": 12, "cols": 6, "window": (2, 3), "requantisers": 6, "batch": 2},
    {"rows": 25, "cols": 16, "depth": 25, "batch": 3},
    {"rows": 6, "cols": 7, "window": (3, 2), "batch": 1, "sums": 40},
    {"rows": 16, "cols": 8, "window": (2, 2), "requantisers": 4},
)
KINDS = (Operands(), Operands(8, 8, True), Operands(6, 5), Operands(4, 3))


def expected(network, table, images):
    tables = dict.fromkeys(network.layer_names, table)
    return reference.outputs(network, tables, images)[network.network.layers[-1].name]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    network=networks(),
    seed=st.integers(0, 99),
    shape=st.sampled_from(SHAPES),
    operands=st.sampled_from(KINDS),
    rounding=st.booleans(),
)
def test_random_networks(network, seed, shape, operands, rounding):
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (5, *network.input_shape), dtype=np.uint8)
    made = with_roundings(quantise(with_weights(network, seed), images, operands), random if rounding else None)
    multiplier = Masked.columns(2 if rounding else 0, operands.activation_width, operands.weight_width,
                                signed_a=operands.activation_signed, signed_b=True)
    config = ArrayConfig(multiplier, **{"sums": 300, **shape})
    found = Interpreter(Schedule(made, config)).logits(images)
    np.testing.assert_array_equal(found, expected(made, ProductTable.of(multiplier), images))
