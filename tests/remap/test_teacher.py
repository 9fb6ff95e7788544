"""The teacher computes what its network computes, whatever its activations and pools."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from amhw import Masked, ProductTable
from amhw.datasets import mnist_slice
from amhw.network.layers import Convolution, Flatten, Linear, MaxPool
from amhw.network.models.lenet5 import float_network
from amhw.network.network import Network
from amhw.network.quantise import quantise
from amhw.network.quantised import Operands
from amhw.network.real import FloatLayer, FloatNetwork
from amhw.remap.fit import Judge, fit
from amhw.remap.teacher import Teacher, logits_of

CEILING = 0.5
"""Far less than the greatest activations of LeNet-5's convolutions."""


def lenet5(**activation):
    """LeNet-5 with other activations of its convolutions."""
    shipped = float_network()
    names = shipped.convolutions
    changed = {name: replace(shipped[name].layer, **activation) for name in names}
    layers = tuple(changed.get(layer.name, layer) for layer in shipped.network.layers)
    real = tuple(FloatLayer(changed.get(each.name, each.layer), each.weights, each.bias) for each in shipped.layers)
    return FloatNetwork(replace(shipped.network, layers=layers), real, "changed")


def padded():
    """A convolution whose sums a max-pool with padding takes."""
    random = np.random.default_rng(1)
    convolution, linear = Convolution("conv", 3, (3, 3)), Linear("fc", 4, relu=False)
    layers = (convolution, MaxPool("pool", (3, 3), (2, 2), padding=(1, 1)), Flatten("flatten"), linear)
    network = Network("padded", (1, 8, 8), 4, layers)
    shapes = {convolution: (3, 1, 3, 3), linear: (4, 27)}
    real = (
        FloatLayer(layer, random.normal(size=shape).astype(np.float32), np.zeros(shape[0], np.float32))
        for layer, shape in shapes.items()
    )
    return FloatNetwork(network, tuple(real), "padded")


@pytest.mark.parametrize("activation", [{}, {"ceiling": CEILING}, {"relu": False, "absolute": True}])
def test_the_last_sums_are_the_networks_logits(activation):
    network, images = lenet5(**activation), mnist_slice().images[:20]
    np.testing.assert_array_equal(Teacher.of(network, images, 5).layers["fc3"].sums, logits_of(network, images))


def test_winners_of_a_padded_pool_are_positions_before_padding():
    network = padded()
    images = np.random.default_rng(2).integers(0, 256, (6, 1, 8, 8)).astype(np.uint8)
    teacher = Teacher.of(network, images)
    np.testing.assert_array_equal(teacher.layers["fc"].sums, logits_of(network, images))
    real = network["conv"]
    unpooled = functional.conv2d(torch.tensor(images / 255), torch.tensor(real.weights).double()).flatten(2).numpy()
    targets = teacher.layers["conv"]
    won = np.take_along_axis(unpooled, targets.winners, axis=2)
    np.testing.assert_allclose(won, targets.sums.reshape(won.shape), atol=1e-5)


@pytest.mark.parametrize("layers", [("conv1",), ("conv1", "conv2")])
def test_a_network_with_ceilings_is_fitted_as_one(layers):
    """With products that are exact it is no further from the teacher than the network before, and classifies as that
    does, nearly always."""
    network, images = lenet5(ceiling=CEILING), mnist_slice().images
    base = quantise(network, images[:100], Operands(4, 4))
    table = ProductTable.of(Masked.from_text("full", 4, 4, signed_b=True))
    judge = Judge.of(network, images[200:500])
    found = fit(base, dict.fromkeys(layers, table), Teacher.of(network, images[:200], 60), judge)
    before, logits = judge.judged(base, {})
    assert found.divergence < before
    assert (found.predictions == logits.argmax(axis=1)).mean() > 0.95
