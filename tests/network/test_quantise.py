"""Quantisation: the shipped network on all 10,000 test images, and every width."""

import numpy as np
import pytest

from amhw import Masked
from amhw.datasets import mnist_slice, mnist_test
from amhw.network.inference import Inference
from amhw.network.layers import Flatten, Linear
from amhw.network.models.lenet5 import float_network, network, network_for
from amhw.network.network import Network
from amhw.network.quantise import best_scale, quantise
from amhw.network.quantised import Operands
from amhw.network.real import FloatLayer, FloatNetwork
from amhw.table import ProductTable


@pytest.fixture(scope="module")
def float_accuracy():
    test = mnist_test()
    return (float_network().logits(test.images).argmax(axis=1) == test.labels).mean()


def test_the_shipped_float_network_is_right_on_992_of_1000_images(float_accuracy):
    assert float_accuracy >= 0.992


@pytest.mark.parametrize("operands", [Operands(), Operands(8, 8, True)], ids=lambda operands: operands.name)
def test_eight_bits_cost_at_most_a_tenth_of_a_point(float_accuracy, operands):
    assert Inference(network(operands)).correct(mnist_test()).mean() >= float_accuracy - 0.001


def test_the_shipped_integers_are_the_shipped_floats_quantised():
    """Up to the last bits of floating-point sums, which differ between processors."""
    again = quantise(float_network(), mnist_slice().images)
    for layer, shipped in zip(again.layers, network().layers, strict=True):
        assert (layer.weights == shipped.weights).mean() > 0.99
        assert layer.weight_scale == pytest.approx(shipped.weight_scale, rel=0.05)


@pytest.mark.parametrize(
    ("operands", "at_least"),
    [(Operands(4, 4), 0.985), (Operands(8, 2), 0.97), (Operands(3, 8), 0.98), (Operands(2, 2), 0.7)],
    ids=lambda value: getattr(value, "name", None),
)
def test_few_bits_in_the_convolutions_stay_usable(operands, at_least):
    net = network({"conv1": operands, "conv2": operands})
    assert np.abs(net["conv2"].weights).max() <= operands.weight_max
    assert net["conv1"].requantisation.maximum == operands.activation_max
    assert net["fc1"].operands == Operands()
    assert Inference(net).correct(mnist_test().first(2000)).mean() >= at_least


@pytest.mark.parametrize("width", range(2, 9))
@pytest.mark.parametrize("signed", [False, True], ids=["u", "s"])
def test_every_width_gives_a_network(width, signed):
    operands = Operands(width, 10 - width, signed)
    net = quantise(float_network(), mnist_slice().images[:50], operands)
    codes = Inference(net).inputs(mnist_test().images[:20])
    for layer in net.layers:
        assert layer.operands == operands
        assert codes[layer.name].max() <= operands.activation_max
        assert np.abs(layer.weights).max() <= operands.weight_max


def test_a_multipliers_widths_are_those_of_the_layers_it_serves():
    table = ProductTable.of(Masked.exact(5, 6, signed_b=True))
    net = network_for(table, ["conv2"])
    assert [layer.operands.name for layer in net.layers] == ["u8s8", "u5s6", "u8s8", "u8s8", "u8s8"]
    assert Inference(net, {"conv2": table}).correct(mnist_test().first(1000)).mean() >= 0.985


def test_calibration_is_repeatable():
    images = mnist_slice().images[:200]
    assert quantise(float_network(), images).sha256 == quantise(float_network(), images).sha256


def test_the_best_scale_clips_a_rare_large_value_and_keeps_a_uniform_range():
    uniform = np.linspace(0, 15, 20_000)
    assert best_scale(uniform, 15) == pytest.approx(1, rel=0.05)
    assert best_scale(np.append(uniform, 40.0), 15) < 1.5
    assert best_scale(np.zeros(5), 15) == 1


def test_a_wide_layer_is_quantised_by_variances_alone(monkeypatch):
    """Of tens of thousands of inputs there are too many covariances to look at."""
    wide = Network("wide", (1, 8, 8), 3, (Flatten("flat"), Linear("fc", 3, relu=False)))
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (200, 1, 8, 8), dtype=np.uint8)
    layer = FloatLayer(wide.layers[1], random.normal(0, 0.1, (3, 64)), random.normal(0, 0.1, 3))
    real = FloatNetwork(wide, (layer,))
    monkeypatch.setattr("amhw.network.quantise._MOST_CORRELATED", 63)
    made = quantise(real, images)
    near = Inference(made).logits(images) * made.layers[-1].unit
    assert np.abs(near - real.logits(images)).mean() < 0.02
