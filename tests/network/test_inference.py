"""Integer inference against a plain loop over every product."""

import numpy as np
import pytest
import torch
from chains import chain, convolution, linear

from amhw import Masked
from amhw.datasets import mnist_test
from amhw.network.inference import (
    MAX_TERMS,
    Inference,
    LayerSums,
    finish,
    im2col,
)
from amhw.network.models.lenet5 import network
from amhw.network.quantised import Operands
from amhw.network.reference import outputs
from amhw.network.requantisation import Requantisation
from amhw.refusal import Refusal
from amhw.table import ProductTable

EXACT = ProductTable.of(Masked.exact(8, 8, signed_b=True))
TWO_ROWS = ProductTable.of(Masked.from_text("0,0,0,0,0,c0,e0,e0", 8, 8, signed_b=True))
EIGHT_ROWS = ProductTable.of(Masked.from_text("80,c0,e0,f0,f8,fc,fe,ff", 8, 8, signed_b=True))


def random_table(seed, signed_a=False, width_a=8, width_b=8, largest=30_000):
    """Any products at all, but 0·x = x·0 = 0: far more separable terms than the factor path takes."""
    products = np.random.default_rng(seed).integers(-largest, largest, (2**width_a, 2**width_b))
    products[0, :] = products[:, 0] = 0
    return ProductTable(products, signed_a, True, name="random")


def by_the_equation(network, tables, images):
    """The codes that leave every layer that multiplies, after its pool: one product at a time, in Python integers and
    NumPy indexing only."""
    outputs = {}
    codes = network.layers[0].operands.codes_of(images).astype(int)
    for layer in network.layers:
        codes = np.minimum(codes + layer.input_rounding, layer.operands.activation_max)
        if layer.is_linear:
            codes = codes.reshape(len(codes), -1, 1, 1)
        (rows, columns), (pad, _), (stride, _) = layer.kernel, layer.padding, layer.stride
        pool = network.network.pool_of(layer.name)
        pool = 1 if pool is None else pool.stride[0]
        weights = layer.weights.reshape(layer.outputs, codes.shape[1], rows, columns).astype(int)
        padded = np.zeros((*codes.shape[:2], codes.shape[2] + 2 * pad, codes.shape[3] + 2 * pad), int)
        padded[:, :, pad : pad + codes.shape[2], pad : pad + codes.shape[3]] = codes
        height = (padded.shape[2] - rows) // stride + 1
        width = (padded.shape[3] - columns) // stride + 1
        table = tables.get(layer.name)
        sums = np.zeros((len(codes), layer.outputs, height, width), int)
        for o in range(layer.outputs):
            for c in range(codes.shape[1]):
                for y in range(rows):
                    for x in range(columns):
                        window = padded[:, c, y : y + stride * height : stride, x : x + stride * width : stride]
                        w = weights[o, c, y, x]
                        if table is None:
                            sums[:, o] += window * w
                        else:
                            sums[:, o] += table.products[window, w % (1 << layer.operands.weight_width)]
        # Requantise first and pool afterwards: the other way round from the code under test.
        bias = layer.bias.astype(int)[:, None, None]
        constants = layer.requantisation
        if constants is None:
            codes = sums + bias
        else:
            rounded = ((sums + bias) * constants.multiplier + 2 ** (constants.shift - 1)) // 2**constants.shift
            codes = np.clip(rounded, 0, constants.maximum)
        codes = codes[:, :, : height // pool * pool, : width // pool * pool]
        codes = codes.reshape(len(codes), layer.outputs, height // pool, pool, width // pool, pool).max(axis=(3, 5))
        outputs[network.network.leaving(layer.name)] = codes[:, :, 0, 0] if layer.is_linear else codes
    return outputs


@pytest.mark.parametrize(
    ("operands", "tables"),
    [
        (Operands(), {}),
        (Operands(), dict.fromkeys(("conv1", "conv2", "fc1", "fc2", "fc3"), EXACT)),
        (Operands(), dict.fromkeys(("conv1", "conv2"), TWO_ROWS)),
        (Operands(), {"conv1": EIGHT_ROWS, "conv2": TWO_ROWS, "fc2": EIGHT_ROWS}),
        (Operands(), dict.fromkeys(("conv1", "conv2", "fc3"), random_table(1))),
        (Operands(8, 8, True), dict.fromkeys(("conv1", "conv2", "fc1"), random_table(2, signed_a=True))),
        (Operands(4, 3), dict.fromkeys(("conv1", "conv2", "fc1", "fc2", "fc3"), random_table(3, False, 4, 3, 40))),
    ],
    ids=["exact", "exact table", "two rows", "per layer", "any table", "signed activations", "u4s3"],
)
def test_every_layer_equals_the_plain_loop(operands, tables):
    net, images = network(operands), mnist_test().images[:3]
    wanted = by_the_equation(net, tables, images)
    found, plain = Inference(net, tables).outputs(images, wanted), outputs(net, tables, images)
    for name in wanted:
        np.testing.assert_array_equal(found[name], wanted[name], err_msg=name)
        np.testing.assert_array_equal(plain[name], wanted[name], err_msg=name)
    assert (wanted["pool2"] > 0).any()


def test_what_leaves_a_layer_does_not_depend_on_what_else_is_asked_for():
    """A max-pool alone behind a convolution is taken before rounding, unless the convolution's own codes are wanted."""
    images = mnist_test().images[:3]
    everything = Inference(network()).outputs(images)
    assert set(everything) == {layer.name for layer in network().network.layers}
    for name, codes in everything.items():
        np.testing.assert_array_equal(Inference(network()).outputs(images, [name])[name], codes)
    assert everything["conv1"].shape == (3, 6, 28, 28)


def small_network(rounding=0, stride=2, padding=1, pool=2):
    operands = Operands()
    rng = np.random.default_rng(7)
    low, high = -operands.weight_max, operands.weight_max + 1
    constants = Requantisation(3, 8, operands.activation_max)
    weights, bias = rng.integers(low, high, (3, 1, 3, 3)), rng.integers(-500, 500, 3)
    conv = convolution("conv1", weights, bias, constants, operands, padding, stride, rounding)
    side = ((28 + 2 * padding - 3) // stride + 1) // pool
    fc = linear("fc1", rng.integers(low, high, (10, 3 * side * side)), rng.integers(-9, 9, 10))
    return chain((conv, fc), (1, 28, 28), (pool,))


@pytest.mark.parametrize("tables", [{}, {"conv1": TWO_ROWS}, {"conv1": random_table(5)}], ids=["exact", "mask", "any"])
@pytest.mark.parametrize("rounding", [0, 16, 255])
@pytest.mark.parametrize(("stride", "padding", "pool"), [(1, 0, 1), (2, 1, 2), (3, 2, 3)])
def test_geometry_and_input_rounding_follow_the_equation(tables, rounding, stride, padding, pool):
    net = small_network(rounding, stride, padding, pool)
    images = np.random.default_rng(0).integers(0, 256, (2, 1, 28, 28), dtype=np.uint8)
    found, wanted = Inference(net, tables).outputs(images), by_the_equation(net, tables, images)
    for name in wanted:
        np.testing.assert_array_equal(found[name], wanted[name])


def test_padding_stays_zero_under_input_rounding():
    net = small_network(rounding=16, padding=2, stride=1)
    layer = net.layers[0]
    columns = im2col(layer, np.zeros((1, 1, 28, 28), np.uint8))
    inside = np.zeros((32, 32), bool)
    inside[2:30, 2:30] = True
    for y, x in np.ndindex(30, 30):
        assert columns[0, y, x].tolist() == (16 * inside[y : y + 3, x : x + 3].ravel()).tolist()


def test_im2col_meets_the_weights_of_the_sums():
    layer, images = network()["conv2"], mnist_test().images[:2]
    codes = Inference(network()).inputs(images)["conv2"]
    sums = np.einsum("nyxk,ok->noyx", im2col(layer, codes).astype(int), layer.matrix.astype(int))
    np.testing.assert_array_equal(LayerSums(layer)(torch.from_numpy(codes)).numpy(), sums)


def test_inputs_are_the_outputs_of_the_layer_before():
    inference, images = Inference(network()), mnist_test().images[:2]
    inputs, found = inference.inputs(images), inference.outputs(images)
    np.testing.assert_array_equal(inputs["conv1"], images)
    np.testing.assert_array_equal(inputs["conv2"], found["pool1"])
    np.testing.assert_array_equal(inputs["fc1"], found["pool2"].reshape(2, -1))
    np.testing.assert_array_equal(inputs["fc3"], found["fc2"])


@pytest.mark.parametrize("largest", [2**20, 2**27], ids=["beyond float32", "near 32 bits"])
@pytest.mark.parametrize("table", ["any", "separable"])
def test_large_products_are_added_exactly(largest, table):
    """Odd products whose sums need more than 24 bits: float32 would lose their last bits."""
    rng = np.random.default_rng(3)
    weights = np.array([[1, 2, 3, 4, 5, 6, 7, 8]], dtype=np.int8)
    layer = linear("fc1", weights, [0])
    if table == "any":
        products = random_table(4, largest=largest).products
    else:
        u = rng.integers(0, 100, 256)
        u[0] = 0
        products = u[:, None] * (rng.integers(0, largest // 100, 256) | 1)[None, :]
    codes = rng.integers(0, 256, (200, 8), dtype=np.uint8)
    wanted = products[codes, weights].sum(axis=1, dtype=np.int64)
    assert np.abs(wanted).max() > 2**24 or largest == 2**20
    sums = LayerSums(layer, ProductTable(products, False, True))(torch.from_numpy(codes))
    np.testing.assert_array_equal(sums.numpy()[:, 0], wanted)
    np.testing.assert_array_equal(finish(layer, sums).numpy()[:, 0], wanted)


def test_the_tables_above_take_the_paths_they_are_meant_for():
    assert len(TWO_ROWS.factors().u) == 2
    assert len(EIGHT_ROWS.factors().u) == 8 <= MAX_TERMS
    assert random_table(1).factors(MAX_TERMS) is None


def test_a_table_of_zeros_leaves_the_bias():
    nothing = ProductTable(np.zeros((256, 256), int), False, True)
    net = small_network()
    logits = Inference(net, {"fc1": nothing}).logits(mnist_test().images[:4])
    np.testing.assert_array_equal(logits, np.broadcast_to(net["fc1"].bias, (4, 10)))


def test_sums_beyond_32_bits_are_refused():
    table = random_table(6, largest=2**30)
    with pytest.raises(Refusal, match="accumulators have 32 bits"):
        LayerSums(network()["conv2"], table)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"conv3": TWO_ROWS}, "no layer conv3; this network has conv1"),
        ({"conv1": ProductTable.of(Masked.exact(8, 8))}, "weights are signed"),
        ({"conv1": ProductTable.of(Masked.exact(8, 8, signed_a=True, signed_b=True))}, "multiplies s8s8.*wants u8s8"),
        ({"conv1": ProductTable.of(Masked.exact(7, 8, signed_b=True))}, "multiplies u7s8.*wants u8s8"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(tables, message):
    with pytest.raises(Refusal, match=message):
        Inference(network(), tables)


def test_torch_settings_are_left_as_they_were():
    before = torch.backends.mkldnn.set_flags(None, None, None, None)
    Inference(small_network()).logits(mnist_test().images[:1])
    assert torch.backends.mkldnn.set_flags(None, None, None, None) == before
