"""Networks of every shape that the layers allow: fast kernels against plain loops, integers against real numbers."""

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import networks, with_weights

from amhw import Masked, ProductTable
from amhw.network import reference
from amhw.network.inference import Inference
from amhw.network.network import Network
from amhw.network.quantise import quantise
from amhw.network.quantised import Operands, QuantisedNetwork
from amhw.network.real import FloatNetwork

KINDS = (Operands(), Operands(8, 8, True), Operands(6, 5), Operands(4, 3))


def some_tables(names, operands, random):
    """For some layers a mask, for some any products at all."""
    widths = (operands.activation_width, operands.weight_width)
    mask = ProductTable.of(Masked.columns(2, *widths, signed_a=operands.activation_signed, signed_b=True))
    products = random.integers(-999, 999, [1 << width for width in widths])
    products[0, :] = products[:, 0] = 0
    choices = (None, mask, ProductTable(products, operands.activation_signed, True, name="any"))
    chosen = {name: choices[random.integers(3)] for name in names}
    return {name: table for name, table in chosen.items() if table is not None}


@settings(max_examples=60, deadline=None)
@given(network=networks(engine=False))
def test_a_description_gives_the_network_back(network):
    assert Network.of(json.loads(json.dumps(network.described()))) == network


@settings(max_examples=40, deadline=None)
@given(network=networks(engine=False), seed=st.integers(0, 99), operands=st.sampled_from(KINDS))
def test_every_layer_equals_the_plain_loop(network, seed, operands):
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (30, *network.input_shape), dtype=np.uint8)
    real = with_weights(network, seed)
    made = quantise(real, images, operands)
    for tables in ({}, some_tables(network.layer_names, operands, random)):
        found, wanted = Inference(made, tables).outputs(images[:4]), reference.outputs(made, tables, images[:4])
        assert found.keys() == wanted.keys()
        for name, codes in wanted.items():
            np.testing.assert_array_equal(found[name], codes, err_msg=name)
            # Asked for alone, when a max-pool may be taken before rounding.
            np.testing.assert_array_equal(Inference(made, tables).outputs(images[:4], (name,))[name], codes)
        entering = Inference(made, tables).inputs(images[:4])
        assert all(codes.max() <= operands.activation_max for codes in entering.values())
    for value in (real, made):
        kind = FloatNetwork if value is real else QuantisedNetwork
        assert kind.of_bytes(value.to_bytes(), "itself").to_bytes() == value.to_bytes()


@settings(max_examples=40, deadline=None)
@given(network=networks(engine=False), seed=st.integers(0, 99), signed=st.booleans())
def test_eight_bits_come_near_the_real_numbers(network, seed, signed):
    """Signs, scales of additions, averages and pixels: whatever is wrong there is wrong by more than rounding."""
    images = np.random.default_rng(seed).integers(0, 256, (30, *network.input_shape), dtype=np.uint8)
    real = with_weights(network, seed)
    made = quantise(real, images, Operands(8, 8, signed))
    logits = Inference(made).logits(images) * made.layers[-1].unit
    wanted = real.logits(images)
    assert np.abs(logits - wanted).mean() < 0.25 * wanted.std(axis=0).mean() + 0.02
