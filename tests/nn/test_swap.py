"""Swapped layers against integers computed one product at a time, against export, and in models of other shapes."""

import numpy as np
import pytest
import torch
from torch import nn

from amhw import parse
from amhw.datasets import mnist_slice, mnist_test
from amhw.network.inference import Inference
from amhw.network.models.lenet5 import float_network
from amhw.nn import ApproxConv2d, ApproxLinear, approximate, export
from amhw.nn.layers import Codes, Grid, requantised
from amhw.nn.products import Products
from amhw.nn.swap import swapped_layers, table_of
from amhw.refusal import Refusal
from amhw.table import ProductTable

FOUR = parse("mul_u8s8_pp_0_0_0_0_0_0_c0_c0")
THREE_ROWS = parse("mul_u8s8_pp_0_0_0_0_0_e0_f0_f8")
EXACT = None


def random_table(signed_a=False, seed=0, lawful=True):
    """Products near the exact ones, in no separable form; 0·x = 0 unless unlawful."""
    rng = np.random.default_rng(seed)
    a = np.arange(256) if not signed_a else np.where(np.arange(256) > 127, np.arange(256) - 256, np.arange(256))
    b = np.where(np.arange(256) > 127, np.arange(256) - 256, np.arange(256))
    products = a[:, None] * b[None, :] + rng.integers(-300, 300, (256, 256))
    if lawful:
        products[0, :] = products[:, 0] = 0
    return ProductTable(products, signed_a, True, name="any")


def by_the_equation(layer, x, stride=(1, 1), padding=(0, 0)):
    """Outputs of a layer that does not requantise: one product at a time, from its scales and codes."""
    products = layer.products
    table = products.table.products
    codes = np.floor(x.double().numpy() / layer.activation_scale + 0.5 + 2.0**-16)
    codes = np.clip(codes, products.lowest, products.highest).astype(int)
    codes = np.minimum(codes + layer.input_rounding, products.highest)
    weights = layer.weight_codes.numpy()
    if weights.ndim == 2:
        codes, weights = codes[..., None, None], weights[..., None, None]
    codes = np.pad(codes, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    out, channels, high, wide = weights.shape
    height = (codes.shape[2] - high) // stride[0] + 1
    width = (codes.shape[3] - wide) // stride[1] + 1
    sums = np.zeros((len(codes), out, height, width), int)
    for o in range(out):
        for c in range(channels):
            for i in range(high):
                for j in range(wide):
                    window = codes[:, c, i : i + stride[0] * height : stride[0], j : j + stride[1] * width : stride[1]]
                    sums[:, o] += table[window & 255, weights[o, c, i, j]]
    sums = sums + layer.bias_codes.numpy().astype(int)[:, None, None]
    return (sums * layer.unit).astype(np.float32).reshape(layer_shape(layer, sums))


def layer_shape(layer, sums):
    return sums.shape if layer.weight.ndim == 4 else sums.shape[:2]


@pytest.mark.parametrize(
    "multiplier",
    [EXACT, FOUR, THREE_ROWS, random_table(), random_table(signed_a=True), random_table(lawful=False)],
    ids=["exact", "one term", "three terms", "gather", "signed", "0·x ≠ 0"],
)
@pytest.mark.parametrize(("stride", "padding"), [((1, 1), (0, 0)), ((2, 1), (1, 2)), ((1, 2), (0, 1))])
def test_a_convolution_is_its_equation(multiplier, stride, padding):
    torch.manual_seed(3)
    model = nn.Conv2d(2, 3, (3, 2), stride, padding)
    x = torch.rand(2, 2, 7, 6)
    if table_of(multiplier).signed_a:
        x = x - 0.4
    layer = approximate(nn.Sequential(model), multiplier, inputs=x)[0].eval()
    assert isinstance(layer, ApproxConv2d)
    np.testing.assert_array_equal(layer(x).detach().numpy(), by_the_equation(layer, x, stride, padding))
    # In training the same sums, in float32 from there on.
    np.testing.assert_allclose(layer.train()(x).detach(), layer.eval()(x).detach(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("multiplier", [EXACT, FOUR, random_table()], ids=["exact", "one term", "gather"])
def test_a_linear_layer_is_its_equation(multiplier):
    torch.manual_seed(4)
    x = torch.rand(5, 9)
    layer = approximate(nn.Sequential(nn.Linear(9, 4)), multiplier, ["0"], inputs=x)[0].eval()
    assert isinstance(layer, ApproxLinear)
    np.testing.assert_array_equal(layer(x).detach().numpy(), by_the_equation(layer, x))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize(
    "multiplier", [EXACT, FOUR, THREE_ROWS, random_table()], ids=["exact", "one term", "three terms", "gather"]
)
def test_a_gpu_gives_the_same_bits(multiplier):
    torch.manual_seed(5)
    x = torch.rand(3, 6, 14, 14)
    layer = approximate(nn.Sequential(nn.Conv2d(6, 16, 5)), multiplier, inputs=x)[0].eval()
    expected = layer(x).detach().numpy()
    np.testing.assert_array_equal(expected, by_the_equation(layer, x))
    np.testing.assert_array_equal(layer.cuda()(x.cuda()).detach().cpu().numpy(), expected)


@pytest.mark.parametrize("name", ["mul_u8s8_pp_full", "mul_u4s3_pp_full", "mul_u8s8_pp_0_0_0_0_0_0_f0_f0"])
def test_the_nearest_effective_value_is_the_lower_of_equals(name):
    """Around every threshold, as close as float32 goes: counted or searched for, the index must be the same."""
    products = Products(table_of(parse(name)))
    thresholds = products.thresholds.numpy()
    around = [np.nextafter(thresholds, np.float32(-np.inf)), thresholds, np.nextafter(thresholds, np.float32(np.inf))]
    weights = np.concatenate([*around, np.float32([-1e9, -1e-30, 0, 1e-30, 1e9])])
    expected = (thresholds < weights[:, None]).sum(axis=1)
    np.testing.assert_array_equal(products.nearest(torch.tensor(weights)).numpy(), expected)


def lenet(multiplier, seed=0):
    """The shipped network, swapped and then disturbed, so that nothing is special about its constants."""
    images = torch.tensor(mnist_slice().images[:100]).float() / 255
    names = float_network().layer_names
    multipliers = {name: multiplier if name.startswith("conv") else None for name in names}
    model = approximate(float_network().module(), multipliers, inputs=images, input_scale=1 / 255)
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name != "conv1.grid.log_scale":
                parameter.add_(torch.randn_like(parameter) * parameter.abs().mean() * 0.05)
    return model.eval()


@pytest.mark.parametrize("multiplier", [EXACT, FOUR, THREE_ROWS, random_table()], ids=["exact", "4", "rows", "any"])
def test_the_exported_network_gives_the_models_bits(multiplier):
    model, images = lenet(multiplier), mnist_test().images[:60]
    network = export(model)
    tables = {name: table_of(multiplier) for name in ("conv1", "conv2")}
    with torch.no_grad():
        found = model(torch.tensor(images).float() / 255).numpy()
    logits = Inference(network, tables).logits(images)
    assert len(np.unique(logits)) > 300
    np.testing.assert_array_equal((logits * model.fc3.unit).astype(np.float32), found)
    # And every layer on the way: codes times the next layer's scale.
    outputs, x = Inference(network, tables).outputs(images), torch.tensor(images).float() / 255
    followers = {"conv1": "conv2", "pool1": "conv2", "conv2": "fc1", "pool2": "fc1", "fc1": "fc2", "fc2": "fc3"}
    with torch.no_grad():
        for name, part in model.named_children():
            x = part(x)
            if name in followers:
                scale = network[followers[name]].activation_scale
                np.testing.assert_array_equal((outputs[name] * scale).astype(np.float32), x.numpy())


def test_every_pixel_enters_as_its_code_at_every_width():
    """The model quantises pixel/255 in floating point; the network file takes the codes of `Operands`."""
    for width in range(2, 9):
        a, b = np.arange(1 << width), np.array([0, 1, -2, -1])
        table = ProductTable(a[:, None] * b[None, :], False, True)
        images = np.arange(256, dtype=np.uint8).reshape(2, 1, 1, 128)
        model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU(), nn.Flatten(), nn.Linear(128, 2))
        x = torch.tensor(images).float() / 255
        swapped = approximate(model, table, ["0", "3"], inputs=x, input_scale=2.0 ** (8 - width) / 255).eval()
        layer = swapped[0]
        codes = np.floor(x.double().numpy() / layer.activation_scale + 0.5 + 2.0**-16).clip(0, 2**width - 1)
        np.testing.assert_array_equal(codes, export(swapped).layers[0].operands.codes_of(images))


def test_the_gradient_of_exact_products_is_that_of_the_quantised_values():
    """With the exact table, backward must be what autograd gives for an ordinary convolution of the same values."""
    torch.manual_seed(5)
    x = torch.rand(3, 2, 6, 6)
    layer = approximate(nn.Sequential(nn.Conv2d(2, 3, 3, padding=1)), None, inputs=x)[0].train()
    x.requires_grad_()
    layer(x).square().sum().backward()
    s, t = layer.activation_scale, layer.weight_scale
    codes = torch.floor(x.detach() / s + 0.5).clamp(0, 255)
    values = (codes * s).requires_grad_()
    weights = (torch.round(layer.weight.detach() / t) * t).requires_grad_()
    bias = (layer.bias_codes.float() * s * t).requires_grad_()
    nn.functional.conv2d(values, weights, bias, padding=1).square().sum().backward()
    torch.testing.assert_close(layer.weight.grad, weights.grad, rtol=2e-3, atol=2e-3)
    torch.testing.assert_close(layer.bias.grad, bias.grad, rtol=2e-3, atol=2e-3)
    inside = x.detach() / s + 0.5 < 256
    torch.testing.assert_close(x.grad[inside], values.grad[inside], rtol=2e-3, atol=2e-3)
    # LSQ: the scale's derivative is that of s·code less x, and the same of the bias, where nothing was clamped.
    wanted = (values.grad * torch.where(inside, codes * s - x.detach(), codes * s)).sum()
    wanted += (bias.grad * (bias - layer.bias)).sum()
    torch.testing.assert_close(layer.grid.log_scale.grad, wanted, rtol=1e-2, atol=1e-3)


def test_the_gradient_of_requantisation_is_that_of_its_formula():
    """Of sums, ratio and scale: what autograd finds for the formula with its rounding left out inside the range."""
    torch.manual_seed(8)
    sums = (400 * torch.randn(3, 2, 5, 5)).requires_grad_()
    ratio, scale = torch.tensor(0.31, requires_grad=True), torch.tensor(0.07, requires_grad=True)
    weights = torch.randn_like(sums)
    (requantised(sums, ratio, scale, Codes(Grid(-128, 100), 0)) * weights).sum().backward()
    found = sums.grad, ratio.grad, scale.grad
    sums.grad = ratio.grad = scale.grad = None
    real = sums * ratio
    code = (real + 0.5).floor().detach()
    assert int((code > 100).sum()) > 10 and int((code < 0).sum()) > 10
    straight = torch.where((code >= 0) & (code <= 100), real + (code - real).detach(), code.clamp(0, 100))
    (straight * scale * weights).sum().backward()
    torch.testing.assert_close(found, (sums.grad, ratio.grad, scale.grad), rtol=1e-5, atol=1e-5)


def test_the_gradient_through_any_table_points_downhill():
    """A step against the gradient lowers a loss of the real outputs, for a table that no formula describes."""
    torch.manual_seed(6)
    x, target = torch.rand(40, 1, 8, 8), torch.rand(40, 2, 6, 6)
    model = approximate(nn.Sequential(nn.Conv2d(1, 2, 3)), random_table(), inputs=x).train()
    optimiser = torch.optim.SGD(model.parameters(), 0.05)
    losses = []
    for _ in range(30):
        loss = nn.functional.mse_loss(model(x), target)
        losses.append(float(loss.detach()))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert losses[-1] < 0.7 * losses[0]


class Residual(nn.Module):
    """Not sequential: a sum of two ways, batch normalisation, a stride, global pooling."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 6, 3, padding=1)
        self.body = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 6, 3, padding=1))
        self.normal = nn.BatchNorm2d(6)
        self.down = nn.Conv2d(6, 8, 3, stride=2)
        self.head = nn.Linear(8, 10)

    def forward(self, x):
        x = torch.relu(self.first(x))
        x = torch.relu(self.normal(self.body(x)) + x)
        return self.head(torch.relu(self.down(x)).mean(dim=(2, 3)))


def test_a_residual_network_is_swapped_and_trains():
    torch.manual_seed(7)
    data = mnist_slice()
    images, labels = torch.tensor(data.images[:48]).float() / 255, torch.tensor(data.labels[:48].astype(int))
    model = Residual()
    model(images)
    swapped = approximate(model, THREE_ROWS, inputs=images)
    assert set(swapped_layers(swapped)) == {"first", "body.0", "body.2", "down"}
    assert not swapped_layers(model)
    # Only inside the Sequential is it certain who takes a layer's outputs.
    assert swapped.body[0].output.grid is swapped.body[2].grid
    assert all(swapped_layers(swapped)[name].output is None for name in ("first", "body.2", "down"))
    optimiser = torch.optim.Adam(swapped.parameters(), 2e-2)
    losses = []
    for _ in range(25):
        loss = nn.functional.cross_entropy(swapped.train()(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.25


@pytest.mark.parametrize(
    ("model", "arguments", "message"),
    [
        (nn.Sequential(nn.Conv2d(2, 4, 3, dilation=2)), {}, r"0: dilation \(2, 2\)"),
        (nn.Sequential(nn.Conv2d(2, 4, 3, padding="same")), {}, "0: padding 'same'"),
        (nn.Sequential(nn.Conv2d(2, 4, 3, padding=1, padding_mode="reflect")), {}, "0: padding .* of reflect"),
        (nn.Sequential(nn.Conv2d(2, 4, 3)).bfloat16(), {}, r"0: weights are torch\.bfloat16"),
        (nn.Sequential(nn.Conv2d(2, 4, 3)), {"layers": ["1"]}, "no layer '1'; this model has 0"),
        (nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU()), {"layers": ["1"]}, "1 is a ReLU"),
        (nn.Sequential(nn.Conv2d(2, 4, 3)), {"multiplier": parse("mul_u8u8_pp_full")}, "0: .*weights are signed"),
        (nn.Sequential(nn.Identity(), nn.Conv2d(2, 4, 3)), {"shift": -0.5}, "1: inputs reach -0.5.*unsigned"),
    ],
)
def test_what_cannot_be_swapped_is_named(model, arguments, message):
    arguments = dict(arguments)
    shift, multiplier = arguments.pop("shift", 0), arguments.pop("multiplier", FOUR)
    inputs = (torch.arange(128).reshape(1, 2, 8, 8) / 128 + shift).to(next(model.parameters()).dtype)
    with pytest.raises(Refusal, match=message):
        approximate(model, multiplier, inputs=inputs, **arguments)


@pytest.mark.parametrize("multiplier", [EXACT, THREE_ROWS, random_table()], ids=["exact", "three terms", "gather"])
@pytest.mark.parametrize("training", [True, False])
def test_what_is_no_number_is_refused(multiplier, training):
    x, model = torch.rand(2, 1, 6, 6), nn.Sequential(nn.Conv2d(1, 2, 3))
    swapped, broken = approximate(model, multiplier, inputs=x).train(training), x.clone()
    broken[1, 0, 2, 3] = np.nan
    with pytest.raises(Refusal, match="activations are not all numbers"):
        swapped(broken)
    with pytest.raises(Refusal, match="0: inputs are not all finite numbers"):
        approximate(model, multiplier, inputs=broken)
    swapped[0].bias.data[1] = np.nan
    with pytest.raises(Refusal, match="a bias is nan"):
        swapped(x)
    swapped[0].bias.data[1] = 0
    for value in (np.nan, np.inf):
        for part, message in ((swapped, "weights are not all"), (model, "0: weights are not all finite numbers")):
            with torch.no_grad():
                part[0].weight[1, 0, 2, 1] = value
            with pytest.raises(Refusal, match=message):
                part(x) if part is swapped else approximate(model, multiplier, inputs=x)


def test_no_inputs_are_refused():
    with pytest.raises(Refusal, match="0: inputs are empty"):
        approximate(nn.Sequential(nn.Conv2d(1, 2, 3)), FOUR, inputs=torch.rand(0, 1, 6, 6))


def test_a_multiplier_may_be_given_by_name():
    torch.manual_seed(1)
    x, model = torch.rand(2, 1, 6, 6), nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 3))
    wanted = approximate(model, FOUR, inputs=x).eval()(x)
    for given in (FOUR.name, dict.fromkeys("02", FOUR.name)):
        np.testing.assert_array_equal(approximate(model, given, inputs=x).eval()(x).detach(), wanted.detach())
    with pytest.raises(Refusal, match=r"0: .*nosuch"):
        approximate(model, "nosuch", inputs=x)


def test_what_is_no_chain_of_integers_is_not_exported():
    x = torch.rand(4, 1, 8, 8)
    chain = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3))
    with pytest.raises(Refusal, match="1 layers are not swapped"):
        export(approximate(chain, FOUR, ["0"], inputs=x, input_scale=1 / 255))
    with pytest.raises(Refusal, match="input_scale"):
        export(approximate(chain, FOUR, ["0", "3"], inputs=x))
    with pytest.raises(Refusal, match=r"wanted an nn\.Sequential"):
        export(Residual())
    with pytest.raises(Refusal, match="without a ReLU"):
        model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 3))
        export(approximate(model, parse("mul_s8s8_pp_full"), ["0", "2"], inputs=x, input_scale=2 / 255))
