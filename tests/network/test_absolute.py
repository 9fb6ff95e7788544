"""Absolute values in place of ReLUs: by hand, in files, and where they are refused."""

import re
from dataclasses import replace

import numpy as np
import pytest
from chains import linear

from amhw import Masked, ProductTable
from amhw.array.plan import ConvPlan
from amhw.effort.termination import zero_limit
from amhw.faults.campaign import Campaign, Images
from amhw.network.inference import Inference
from amhw.network.layers import Convolution, Flatten, Linear, MaxPool
from amhw.network.models import lenet5, resnet8
from amhw.network.network import Network
from amhw.network.quantised import QuantisedLayer, QuantisedNetwork
from amhw.network.requantisation import Requantisation
from amhw.refusal import Refusal
from amhw.remap.fit import fit

ONE = Requantisation(1 << 10, 10, 255, absolute=True)


def by_hand():
    """Pixel differences of neighbours, their greatest absolute value, and its double less 7."""
    structure = Network(
        "by hand",
        (1, 1, 4),
        1,
        (
            Convolution("difference", 1, (1, 2), relu=False, absolute=True),
            MaxPool("greatest", (1, 3), (1, 1)),
            Flatten("flat"),
            Linear("logits", 1, relu=False),
        ),
    )
    first = QuantisedLayer(structure.multiplying[0], np.array([[[[1, -1]]]]), np.array([3]), ONE)
    last = QuantisedLayer(structure.multiplying[1], np.array([[2]]), np.array([-7]), None)
    return QuantisedNetwork(structure, (first, last), "by hand")


def test_the_pool_takes_absolute_values():
    """Of 10−50+3, 50−52+3, 52−30+3 the greatest is 25, the greatest absolute value is 37."""
    images = np.array([[[[10, 50, 52, 30]]]], dtype=np.uint8)
    assert Inference(by_hand()).logits(images).tolist() == [[2 * 37 - 7]]


def test_files():
    """Files of networks without absolute values are what they were; with them they say so."""
    network = by_hand()
    assert QuantisedNetwork.of_bytes(network.to_bytes(), "itself").to_bytes() == network.to_bytes()
    assert lenet5.network().to_bytes() == (lenet5.PACKAGED / "lenet5.npz").read_bytes()
    description = network.network.described()["layers"]
    assert [layer.get("absolute") for layer in description] == [True, None, None, None]


def test_a_network_with_absolute_values():
    made = lenet5.NETWORK.absolute()
    assert [(layer.relu, layer.absolute) for layer in made.multiplying] == [(False, True)] * 4 + [(False, False)]
    assert made.multiplications == lenet5.NETWORK.multiplications
    added = resnet8.NETWORK.absolute()
    assert [layer.relu for layer in added.layers if hasattr(layer, "other")] == [True] * 3
    assert Network.of(made.described()) == made


def shipped():
    """The shipped network's integers behind absolute values."""
    network = lenet5.network()
    structure = network.network.absolute()
    layers = tuple(
        replace(
            own,
            layer=layer,
            requantisation=None if own.requantisation is None else replace(own.requantisation, absolute=True),
        )
        for own, layer in zip(network.layers, structure.multiplying, strict=True)
    )
    return QuantisedNetwork(structure, layers, "absolute")


MASK = ProductTable.of(Masked.columns(10, 8, 8, signed_b=True))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Linear("fc", 2, absolute=True), "fc has a ReLU and an absolute value"),
        (
            lambda: Network("n", (1, 1, 1), 1, (Flatten("f"), Linear("fc", 1, relu=False, absolute=True))),
            "wanted a linear one without ReLU or absolute value",
        ),
        (lambda: replace(ONE, minimum=-1, maximum=1), "absolute values with the minimum -1; wanted 0"),
        (lambda: replace(by_hand().layers[0], requantisation=Requantisation(1, 1, 1)), "absolute sums are False"),
        (lambda: replace(linear("fc", [[1]], [0], replace(ONE, absolute=False)), requantisation=ONE), "sums are True"),
        (lambda: zero_limit(ONE), "absolute values are never known early; only what a ReLU makes 0 can end early"),
        (lambda: ConvPlan(shipped(), MASK), "conv1 has absolute values; the engine of two convolutions wants a ReLU"),
        (
            lambda: fit(shipped(), {}, None, None),  # in layers without a table too
            "conv1 has absolute values; weights are chosen for layers with a ReLU",
        ),
        (
            lambda: Campaign(shipped(), {}, Images(None, "0" * 64, 0, 1)),
            "conv1 has absolute values; fault campaigns follow codes through ReLUs only",
        ),
    ],
)
def test_refused(make, words):
    with pytest.raises(Refusal, match=re.escape(words)):
        make()
