"""Convolutions in groups, ceilings and padded pools: what they compute, and who refuses them."""

import numpy as np
import pytest
import torch
from random_networks import with_weights
from torch.nn import functional

from amhw import Masked, ProductTable, Refusal
from amhw.array.config import ArrayConfig
from amhw.array.schedule import Schedule
from amhw.datasets import DataSet
from amhw.effort.accumulation import LowerOrSums
from amhw.effort.termination import EarlySums
from amhw.faults.golden import Arithmetic
from amhw.network.inference import Inference
from amhw.network.layers import AveragePool, Convolution, Flatten, Linear, MaxPool
from amhw.network.network import Network
from amhw.network.operands import layer_operands
from amhw.network.quantise import quantise
from amhw.network.real import FloatNetwork
from amhw.select.statistics import LayerStatistics
from amhw.stimulus import operand_streams

NETWORK = Network(
    "mobile",
    (2, 9, 9),
    3,
    (
        Convolution("conv1", 4, (3, 3), (1, 1), (1, 1), ceiling=6.0),
        Convolution("depth", 4, (3, 3), (2, 2), (1, 1), groups=4, ceiling=6.0),
        Convolution("pairs", 6, (1, 1), groups=2),
        AveragePool("pool", (5, 5), (5, 5)),
        Flatten("flatten"),
        Linear("fc", 3, relu=False),
    ),
)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (40, 2, 9, 9), dtype=np.uint8)


@pytest.fixture(scope="module")
def quantised(images):
    return quantise(with_weights(NETWORK, 1), images)


def test_an_output_multiplies_its_group_only():
    assert NETWORK.weight_shape(NETWORK["depth"]) == (4, 1, 3, 3)
    assert NETWORK.multiplications == {"conv1": 81 * 4 * 18, "depth": 25 * 4 * 9, "pairs": 25 * 6 * 2, "fc": 18}


def test_real_numbers_are_those_of_torch(images):
    network = with_weights(NETWORK, 1)
    x = torch.tensor(images).float() / 255
    for name, stride, padding, groups, ceiling in (
        ("conv1", 1, 1, 1, 6.0),
        ("depth", 2, 1, 4, 6.0),
        ("pairs", 1, 0, 2, None),
    ):
        weights, bias = (torch.tensor(each) for each in (network[name].weights, network[name].bias))
        x = functional.conv2d(x, weights, bias, stride, padding, 1, groups).clamp(0, ceiling)
    x = functional.linear(x.mean(dim=(2, 3)), torch.tensor(network["fc"].weights), torch.tensor(network["fc"].bias))
    np.testing.assert_allclose(network.logits(images), x.numpy(), atol=1e-5)


def test_a_code_stands_for_no_more_than_the_ceiling(images):
    """Ten times the weights, so that nearly every sum is above the ceiling."""
    real = with_weights(NETWORK, 1)
    large = FloatNetwork(NETWORK, tuple(type(one)(one.layer, 40 * one.weights, one.bias) for one in real.layers))
    made = quantise(large, images)
    codes = Inference(made).outputs(images, ("conv1",))["conv1"]
    assert (codes == 255).mean() > 0.2
    assert 5.5 < 255 * made.code_scales["conv1"] < 6.0001


def test_statistics_count_the_pairs_that_are_multiplied(quantised, images):
    """Counted by hand, output by output."""
    found = layer_operands(quantised, images[:5], ("depth",))["depth"]
    codes = Inference(quantised).inputs(images[:5], ("depth",))["depth"]
    padded = np.pad(codes, ((0, 0), (0, 0), (1, 1), (1, 1)))
    weights = quantised["depth"].weights
    counts = np.zeros((256, 256))
    for channel in range(4):
        for y in range(3):
            for x in range(3):
                seen = padded[:, channel, y : y + 9 : 2, x : x + 9 : 2][:, :5, :5].ravel()
                counts[:, int(weights[channel, 0, y, x]) & 255] += np.bincount(seen, minlength=256)
    np.testing.assert_allclose(found.joint, counts / counts.sum(), atol=1e-12)


def test_a_network_of_before_keeps_its_bytes():
    """Members that came later are not written where they are as usual."""
    plain = Network("p", (1, 4, 4), 2, (MaxPool("m", (2, 2), (2, 2)), Flatten("f"), Linear("l", 2, relu=False)))
    pool, _, linear = plain.described()["layers"]
    assert pool == {"kind": "max-pool", "name": "m", "window": (2, 2), "stride": (2, 2)}
    assert linear == {"kind": "linear", "name": "l", "outputs": 2, "relu": False}
    assert NETWORK.described()["layers"][1]["groups"] == 4


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"groups": 3}, "4 outputs in 3 groups"),
        ({"groups": 0}, "0 groups"),
        ({"outputs": 6, "groups": 3}, "gets 4 channels for 3 groups"),
        ({"ceiling": -1.0}, "a ceiling of -1"),
        ({"ceiling": 6.0, "relu": False}, "and a ReLU below it"),
    ],
)
def test_groups_of_unequal_size_and_odd_ceilings_are_refused(members, message):
    given = {"outputs": 4, "kernel": (3, 3)} | members
    with pytest.raises(Refusal, match=message):
        Convolution("conv", **given).output((4, 9, 9))


def test_who_has_no_groups_says_so(quantised, images):
    mask = Masked.columns(2, 8, 8, signed_a=False, signed_b=True)
    data = DataSet("images", images, np.zeros(len(images), np.uint8))
    for refused in (
        lambda: Schedule(quantised, ArrayConfig(mask)),
        lambda: Arithmetic(quantised, {}),
        lambda: LowerOrSums(quantised["depth"], 2),
        lambda: EarlySums(quantised["depth"]),
        lambda: LayerStatistics.of(quantised["depth"], images),
        lambda: operand_streams(quantised, "depth", data, 1, np.random.default_rng(0)),
    ):
        with pytest.raises(Refusal, match=r"depth has 4 groups; .* one group"):
            refused()
    padded = Network(
        "padded", (1, 6, 6), 2, (MaxPool("m", (3, 3), (2, 2), (1, 1)), Flatten("f"), Linear("l", 2, relu=False))
    )
    with pytest.raises(Refusal, match="m pads its windows"):
        padded.check_plain("the array's engine")
    table = ProductTable.of(mask)
    assert Inference(quantised, {"depth": table}).logits(images[:2]).shape == (2, 3)
