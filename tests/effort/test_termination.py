"""Sums that end early: certain ones change nothing, and the counts are those of a plain loop."""

import numpy as np
import pytest
import torch
from chains import convolution

from amhw.datasets import mnist_test
from amhw.effort.termination import ORDERS, EarlySums, zero_limit
from amhw.network.inference import Inference, LayerSums, im2col
from amhw.network.models import lenet5
from amhw.network.quantised import Operands
from amhw.network.requantisation import Requantisation
from amhw.refusal import Refusal


@pytest.mark.parametrize("multiplier", [1, 3, 40_000, 65_535])
@pytest.mark.parametrize("shift", [1, 7, 20])
def test_the_limit_is_the_last_value_that_becomes_zero(multiplier, shift):
    constants = Requantisation(multiplier, shift, 255)
    limit = zero_limit(constants)
    assert constants(np.array([limit, limit + 1])).tolist()[0] == 0
    assert constants(np.array([limit + 1]))[0] > 0


def test_what_has_no_relu_is_refused():
    with pytest.raises(Refusal, match="codes begin at -128"):
        zero_limit(Requantisation(1, 4, 127, -128))


def needed(inputs, weights, bias, limit, most, trust, order):
    """Products of one output until it is known to be 0, by the definition."""
    total = bias
    for step, tap in enumerate(order, 1):
        total += int(inputs[tap]) * int(weights[tap])
        if total + trust * most * sum(max(int(weights[j]), 0) for j in order[step:]) <= limit:
            return step
    return len(order)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("trust", [1.0, 0.2])
def test_counts_are_those_of_a_plain_loop(order, trust):
    random = np.random.default_rng(3)
    weights = random.integers(-8, 8, (4, 2, 2, 2)).astype(np.int8)
    layer = convolution("c", weights, [3, -20, 5, 40], Requantisation(5, 6, 15), Operands(4, 4), padding=1)
    codes = random.integers(0, 16, (3, 2, 4, 4)).astype(np.uint8)
    sums = EarlySums(layer, order, trust)
    found = sums(torch.from_numpy(codes)).numpy()
    windows = im2col(layer, codes)
    matrix = layer.matrix.astype(int)
    orders = {
        "given": lambda w: np.arange(8),
        "common": lambda w: np.argsort(-matrix.sum(axis=0), kind="stable"),
        "signs": lambda w: np.concatenate([np.flatnonzero(w > 0), sorted(np.flatnonzero(w <= 0), key=lambda j: w[j])]),
    }
    counts = np.array(
        [
            [
                needed(window, w, int(b), zero_limit(layer.requantisation), 15, trust, list(orders[order](w)))
                for w, b in zip(matrix, layer.bias, strict=True)
            ]
            for window in windows.reshape(-1, 8)
        ]
    )
    assert sums.products == counts.size * 8
    assert sums.slowest == counts.max(axis=1).sum() * 4
    if order != "signs":  # within a sign the order is free, and changes when the positive weights are used up
        assert sums.needed == counts.sum()
    whole = LayerSums(layer)(torch.from_numpy(codes)).numpy()
    same = (
        layer.requantisation(found.astype(int) + layer.bias[:, None, None])
        == layer.requantisation(whole.astype(int) + layer.bias[:, None, None])
    ).all()
    assert same == (sums.wrong == 0)
    assert sums.wrong == 0 or trust < 1


@pytest.mark.parametrize("order", ORDERS)
def test_what_is_certain_changes_no_logit_of_lenet5(order):
    network = lenet5.network()
    images = mnist_test().images[:20]
    layers = {layer.name: EarlySums(layer, order) for layer in network.layers if layer.requantisation is not None}
    assert np.array_equal(Inference(network, sums=layers).logits(images), Inference(network).logits(images))
    assert all(0 < each.needed < each.products for each in layers.values())
    assert all(each.wrong == 0 for each in layers.values())


def test_speculation_changes_what_it_says():
    network = lenet5.network()
    layer = network["conv2"]
    images = mnist_test().images[:20]
    codes = Inference(network).inputs(images, ("conv2",))["conv2"]
    sums = EarlySums(layer, "given", 0.0)
    bias = layer.bias[:, None, None]
    found, whole = (each(torch.from_numpy(codes)).numpy().astype(int) + bias for each in (sums, LayerSums(layer)))
    assert sums.wrong == (layer.requantisation(found) != layer.requantisation(whole)).sum() > 0
