"""Linear layers: with a table like convolutions, and with exact products to make up for what came before."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from amhw import Masked, ProductTable
from amhw.datasets import mnist_slice
from amhw.network import reference
from amhw.network.inference import Inference, LayerSums
from amhw.network.layers import Linear
from amhw.network.models.lenet5 import float_network
from amhw.network.quantise import quantise
from amhw.network.quantised import Operands, QuantisedLayer
from amhw.refusal import Refusal
from amhw.remap import fit as remap_fit
from amhw.remap import reconstruction
from amhw.remap.fit import Judge, fit
from amhw.remap.reconstruction import Moments, exact_codes, limited, moments_bytes, rectified, remap, shares
from amhw.remap.teacher import LayerTargets, Teacher
from amhw.remap.terms import Terms

OPERANDS = Operands(4, 4)


def table(text="0,8,c,e"):
    return ProductTable.of(Masked.from_text(text, 4, 4, signed_b=True))


@pytest.fixture(scope="module")
def problem():
    network, images = float_network(), mnist_slice().images
    base = quantise(network, images[:200], OPERANDS)
    teacher = Teacher.of(network, images[:600], 100)
    return base, teacher, Judge.of(network, images[600:800])


def linear_problem(samples, taps=6, outputs=3):
    """A linear layer, codes and targets: sums of real-valued weights and something that is not to be had."""
    random = np.random.default_rng(4)
    layer = QuantisedLayer(Linear("fc", outputs), np.zeros((outputs, taps), np.int8), np.zeros(outputs), None, OPERANDS)
    codes = random.integers(0, 16, (samples, taps)).astype(np.uint8)
    real = random.normal(size=(outputs, taps))
    sums = (codes @ real.T + random.normal(size=(samples, outputs))).astype(np.float32)
    shares = random.uniform(0.2, 3, samples).astype(np.float32)
    return layer, codes, LayerTargets(sums, weights=shares, inputs=codes.astype(np.float32)), real


@pytest.mark.parametrize("text", ["0,8,c,e", "0,0,c,c", "full"])
def test_the_predicted_error_is_the_measured_one(text):
    """With independent taps the moments that are drawn towards independence are nearly the samples' own."""
    layer, codes, targets, real = linear_problem(60_000)
    terms = Terms.of(table(text))
    found = remap(Moments.of(layer, terms, codes, targets, real), terms, units=3)
    share = targets.weights / targets.weights.sum()
    noise = 0.5  # the half of the target's own noise that the independent taps do not have
    for s, unit in enumerate(found.units):
        weights = np.where(found.codes[s] >= 8, found.codes[s] - 16, found.codes[s]).astype(np.int8)
        sums = LayerSums(replace(layer, weights=weights), table(text))(torch.from_numpy(codes)).numpy()
        for output in range(3):
            wrong = sums[:, output] * unit - targets.sums[:, output]
            measured = float(share @ (wrong - share @ wrong) ** 2)
            assert found.errors[s, output] == pytest.approx(measured - noise, rel=0.05, abs=0.1)


def test_constant_activations_give_no_weights_and_a_unit_for_the_bias():
    """As where a multiplier leaves every activation before the layer 0; what rounding leaves is no information."""
    noise = np.full((3, 6), 1e-17)
    weights, unit = exact_codes(Moments(np.zeros((1, 6, 6)), noise, np.array([4.0, 4.0, 4.0])), 7)
    assert not weights.any() and unit == pytest.approx(2 / 7)


@pytest.mark.parametrize("ceiling", [None, 6.0])
def test_a_dead_output_only_has_to_stay_dead(ceiling, monkeypatch):
    """What the ReLU leaves comes nearer to what is wanted than by plain least squares; in the end the targets are those
    that the solution leads to, and it has their mean."""
    layer, codes, targets, real = linear_problem(3000)
    sums = targets.sums - targets.sums.mean(axis=0)
    targets = replace(targets, sums=np.where(sums < 0, 5 * sums, sums))  # how dead cannot be told from the inputs
    layer = replace(layer, layer=Linear("fc", 3, relu=True, ceiling=ceiling))
    terms = Terms(np.arange(16, dtype=np.float32)[:, None], np.arange(16.0)[:, None], np.arange(16), True)
    plain = Moments.of(layer, terms, codes, targets, real)
    found, means = rectified(plain, layer, terms, codes, targets)
    share, values = shares(targets), codes.astype(np.float64)
    highest = np.inf if ceiling is None else ceiling

    def left(moments, means):
        y = (values - share @ values) @ moments.solution.T + means
        return y, (share @ (np.clip(y, 0, highest) - np.clip(targets.sums, 0, highest)) ** 2).sum()

    assert left(found, means)[1] < 0.8 * left(plain, share @ targets.sums)[1]
    np.testing.assert_array_equal(found.features, plain.features)
    monkeypatch.setattr(reconstruction, "_RECTIFIED", 300)
    found, means = rectified(plain, layer, terms, codes, targets)
    y, _ = left(found, means)
    np.testing.assert_allclose(share @ limited(targets.sums, y, highest), means, rtol=1e-3)


def test_where_every_output_lives_nothing_is_rectified():
    layer, codes, targets, real = linear_problem(500)
    targets = replace(targets, sums=targets.sums + 1000)
    terms = Terms(np.arange(16, dtype=np.float32)[:, None], np.arange(16.0)[:, None], np.arange(16), True)
    plain = Moments.of(layer, terms, codes, targets, real)
    found, means = rectified(plain, layer, terms, codes, targets)
    np.testing.assert_allclose(found.cross, plain.cross, rtol=1e-6)
    np.testing.assert_allclose(means, shares(targets) @ targets.sums)


SOME = ("conv1", "conv2", "fc2", "fc3")


def test_linear_layers_get_codes_for_a_table(problem):
    """They are the integers that the reference computes, and far better than the weights as they were."""
    base, teacher, judge = problem
    tables = dict.fromkeys(SOME, table())
    found = fit(base, tables, teacher, judge)
    assert [layer.name for layer in found.network.layers if layer.made_for is not None] == list(SOME)
    assert set(found.errors) == set(SOME)
    some = judge.images[:2]
    logits = Inference(found.network, tables).logits(some)
    np.testing.assert_array_equal(logits, reference.outputs(found.network, tables, some)["fc3"])
    before, _ = judge.judged(base, tables)
    assert found.divergence < 0.3 * before


def test_exact_linear_layers_make_up_for_convolutions(problem):
    """Less of the error of the convolutions is left in the sums of the layer after them than with the teacher's own
    weights."""
    base, teacher, judge = problem
    tables = dict.fromkeys(base.convolutions, table("0,0,8,c"))
    found = fit(base, tables, teacher, judge).network
    codes = Inference(found, tables).inputs(judge.images, ("fc1",))["fc1"].reshape(len(judge.images), -1)
    _, wanted = _first_linear(teacher.network, judge.images)
    scales = np.repeat(_channel_scales(codes, teacher.network, judge.images), codes.shape[1] // 16)
    own = codes * scales @ teacher.network["fc1"].weights.T
    layer = found["fc1"]
    new = codes @ layer.weights.astype(np.float64).T * layer.unit
    left_own, left_new = (np.var(wanted - one, axis=0).sum() for one in (own, new))
    assert left_new < 0.9 * left_own


def test_a_wide_layer_with_exact_products_keeps_its_weights(problem, monkeypatch):
    base, teacher, judge = problem
    monkeypatch.setattr(remap_fit, "WIDEST", 399)
    found = fit(base, {"conv2": table()}, teacher, judge).network
    np.testing.assert_array_equal(found["fc1"].weights, base["fc1"].weights)
    assert (found["fc2"].weights != base["fc2"].weights).any()


def test_a_layer_whose_moments_are_too_large_is_refused(problem, monkeypatch):
    """With a table, and before anything is computed."""
    base, teacher, judge = problem
    monkeypatch.setattr(remap_fit, "LARGEST_MOMENTS", moments_bytes(base["fc1"], 1, pooled=False) - 1)
    wanted = "fc1 has 400 inputs to each of 120 outputs: the second moments of 4 terms of each would take 0.0 GiB"
    with pytest.raises(Refusal, match=wanted):
        remap_fit.check_layer(base, "fc1")
    with pytest.raises(Refusal, match="fc1 has 400 inputs"):
        fit(base, {"fc1": table()}, teacher, judge)


def _first_linear(network, images):
    """What enters the teacher's first linear layer, and its sums."""
    targets = Teacher.of(network, images, 1).layers["fc1"]
    return targets.inputs, targets.sums


def _channel_scales(codes, network, images):
    """The real value of a code step of each of the 16 channels, by least squares."""
    inputs, _ = _first_linear(network, images)
    one, other = codes.reshape(len(codes), 16, -1).astype(np.float64), inputs.reshape(len(codes), 16, -1)
    return (one * other).sum(axis=(0, 2)) / np.maximum((one**2).sum(axis=(0, 2)), 1e-9)


def test_the_same_network_with_any_number_of_threads(problem):
    """Bit for bit, though floats are added in another order."""
    base, _, judge = problem
    tables = dict.fromkeys(("conv2", "fc2"), table())
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            teacher = Teacher.of(float_network(), mnist_slice().images[:150], 40)
            made = fit(base, tables, teacher, Judge.of(float_network(), judge.images[:50]))
            found.append((made.network.sha256, made.divergence))
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]


def test_a_convolution_is_not_taught_by_more_images_than_were_asked_for(problem):
    _, teacher, _ = problem
    assert [len(teacher.layers[name].sums) for name in ("conv1", "conv2", "fc1", "fc3")] == [100, 100, 600, 600]
