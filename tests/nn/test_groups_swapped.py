"""Convolutions in groups on a product table: sums, gradients, export and prediction."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from random_networks import with_weights
from torch.nn import functional

from amhw import ProductTable, parse
from amhw.datasets import DataSet
from amhw.network import reference
from amhw.network.inference import Inference
from amhw.network.layers import Convolution, Flatten, Linear
from amhw.network.network import Network
from amhw.network.quantise import quantise
from amhw.network.quantised import Operands
from amhw.network.real import pixels
from amhw.nn import approximate, export
from amhw.nn.predict import Predictor
from amhw.nn.products import Products, TableSums
from amhw.nn.swap import exact_table

NETWORK = Network(
    "mobile",
    (1, 10, 10),
    3,
    (
        Convolution("conv1", 4, (3, 3), padding=(1, 1)),
        Convolution("depth", 8, (3, 3), (2, 2), (1, 1), groups=4, ceiling=6.0),
        Convolution("point", 5, (1, 1)),
        Flatten("flatten"),
        Linear("fc", 3, relu=False),
    ),
)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (40, 1, 10, 10), dtype=np.uint8)


def test_gradients_are_those_of_the_convolution():
    """With exact products, in both operands, against torch's own."""
    random = torch.Generator().manual_seed(0)
    products = Products(exact_table(Operands()))
    codes = torch.randint(0, 256, (3, 4, 7, 7), generator=random).float().requires_grad_()
    weight_codes = torch.randint(0, 256, (8, 1, 3, 3), generator=random)
    effective = (weight_codes - 256 * (weight_codes > 127)).float().requires_grad_()
    bias = torch.zeros(8, requires_grad=True)
    found = TableSums.apply(codes, effective, bias, weight_codes, products, 0, (2, 1), (1, 0))
    wanted = functional.conv2d(codes, effective, bias, (2, 1), (1, 0), groups=4)
    assert torch.equal(found.float(), wanted)
    against = torch.randn(wanted.shape, generator=random)
    for ours, theirs in zip(
        torch.autograd.grad((found * against).sum(), (codes, effective, bias)),
        torch.autograd.grad((wanted * against).sum(), (codes, effective, bias)),
        strict=True,
    ):
        torch.testing.assert_close(ours.float(), theirs, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("name", ["mul_u8s8_pp_0_0_0_0_0_e0_f0_f8", "mul_u8s8_sm_mitchell_8"])
def test_the_exported_network_gives_the_models_bits(name, images):
    """On separable terms, and gathered; against the plain loops, too."""
    multiplier = parse(name)
    model = approximate(
        with_weights(NETWORK, 0).module(), dict.fromkeys(NETWORK.layer_names, multiplier), inputs=pixels(images)
    ).eval()
    exported = export(model)
    assert exported.network == NETWORK
    tables = dict.fromkeys(NETWORK.layer_names, ProductTable.of(multiplier))
    logits = Inference(exported, tables).logits(images)
    with torch.no_grad():
        found = model(pixels(images)).numpy()
    np.testing.assert_array_equal((logits * exported.layers[-1].unit).astype(np.float32), found)
    np.testing.assert_array_equal(reference.outputs(exported, tables, images[:3])["fc"], logits[:3])
    model.train()(pixels(images)).square().sum().backward()
    assert all(bool(p.grad is None or p.grad.isfinite().all()) for p in model.parameters())


def test_a_prediction_knows_which_weights_a_channel_meets(images):
    """The mean error of each output's sums, as predicted from operand statistics, is the one that is simulated: of
    one tap a channel, over whose taps statistics are pooled."""
    layers = [
        replace(layer, kernel=(1, 1), padding=(0, 0)) if layer.name == "depth" else layer for layer in NETWORK.layers
    ]
    network = quantise(with_weights(replace(NETWORK, layers=tuple(layers)), 0), images)
    data = DataSet("images", images, Inference(network).predictions(images).astype(np.uint8))
    table = ProductTable.of(parse("mul_u8s8_pp_0_0_0_0_0_c0_e0_e0"))
    predictor = Predictor(network, ("depth",), data)
    [layer] = predictor._layers
    errors = (table.products - exact_table(Operands()).products).astype(np.float32)
    channels = len(layer.activations) // 2
    mean = layer.counts @ (layer.activations[:channels] @ errors).ravel()
    before = Inference(network).inputs(images, ("depth",))["depth"]
    sums = [reference.layer_sums(network["depth"], each, before) for each in (table, None)]
    np.testing.assert_allclose(mean, (sums[0] - sums[1]).mean(axis=(0, 2, 3)), rtol=2e-3, atol=0.5)
    assert predictor.survivors(exact_table(Operands())) > predictor.survivors(table)
