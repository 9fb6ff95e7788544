"""Choosing codes jointly: the closed form against measurement, the descent against every alternative."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from chains import convolution

from amhw import Masked, ProductTable
from amhw.network.inference import LayerSums
from amhw.network.quantised import Operands
from amhw.remap.reconstruction import Moments, remap
from amhw.remap.teacher import LayerTargets
from amhw.remap.terms import Terms, half_step

OPERANDS = Operands(3, 3)


def mask(text, width=3):
    return Masked.from_text(text, width, width, signed_b=True)


def layer_and_targets(kernel=2, outputs=2, images=40, seed=3):
    """A small padded convolution, random smooth-ish inputs and targets that depend on them."""
    rng = np.random.default_rng(seed)
    weights = np.zeros((outputs, 1, kernel, kernel), np.int8)
    layer = convolution("conv1", weights, np.zeros(outputs), None, OPERANDS, padding=1)
    codes = rng.integers(0, 8, (images, 1, 5, 5)).astype(np.uint8)
    real = rng.normal(size=(outputs, 1, kernel, kernel))
    sums = torch.nn.functional.conv2d(torch.tensor(codes).double(), torch.tensor(real), padding=1)
    sums = (sums + torch.tensor(rng.normal(size=sums.shape))).float().numpy()
    places = np.broadcast_to(np.arange(sums.shape[2] * sums.shape[3]), (images, outputs, sums.shape[2] * sums.shape[3]))
    return layer, codes, LayerTargets(sums, places.copy(), np.ones_like(places, dtype=np.float32))


def measured_error(layer, table, codes, targets, weights, unit, output):
    """E[(s·Σ T + best bias − t)²] of one output, from the layer's real integer sums."""
    made = replace(layer, weights=weights)
    sums = LayerSums(made, table)(torch.from_numpy(codes)).numpy()[:, output] * unit
    return float(np.var(sums - targets.sums[:, output]))


def signed(codes):
    return np.where(codes >= 4, codes - 8, codes).astype(np.int8)


@pytest.mark.parametrize("text", ["0,6,7", "4,6,7", "0,7,7", "full"])
def test_the_predicted_error_is_the_measured_one(text):
    table = ProductTable.of(mask(text))
    layer, codes, targets = layer_and_targets()
    terms = Terms.of(table)
    found = remap(Moments.of(layer, terms, codes, targets), terms, units=4)
    for s, unit in enumerate(found.units):
        weights = signed(found.codes[s]).reshape(layer.weights.shape)
        for output in range(layer.outputs):
            error = measured_error(layer, table, codes, targets, weights, unit, output)
            assert found.errors[s, output] == pytest.approx(error, rel=0.02)


def test_outputs_without_a_pool_share_their_samples_and_their_mean_weights():
    layer, codes, targets = layer_and_targets(outputs=3)
    terms = Terms.of(ProductTable.of(mask("4,6,7")))
    weights = np.random.default_rng(5).uniform(0.2, 3, targets.weights.shape).astype(np.float32)
    shared = Moments.of(layer, terms, codes, replace(targets, winners=None, weights=weights))
    mean = np.broadcast_to(weights.mean(axis=1, keepdims=True), weights.shape)
    each = Moments.of(layer, terms, codes, replace(targets, weights=mean))
    assert len(shared.features) == 1 and len(each.features) == layer.outputs
    for features in each.features:
        np.testing.assert_allclose(shared.features[0], features, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(shared.cross, each.cross, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(shared.target, each.target, rtol=1e-5)
    np.testing.assert_array_equal(remap(shared, terms).codes, remap(each, terms).codes)


def test_no_single_code_can_be_changed_for_the_better_and_few_pairs():
    table = ProductTable.of(mask("4,6,7"))
    layer, codes, targets = layer_and_targets()
    terms = Terms.of(table)
    found = remap(Moments.of(layer, terms, codes, targets), terms, units=1, reach=(0.6, 0.6))
    best = [
        min(
            measured_error(
                layer, table, codes, targets,
                np.stack([signed(np.array(choice)).reshape(1, 2, 2)] * layer.outputs), found.units[0], output,
            )
            for choice in product(terms.codes, repeat=4)
        )
        for output in range(layer.outputs)
    ]  # fmt: skip
    for output in range(layer.outputs):
        start = found.codes[0].copy()
        now = found.errors[0, output]
        for k, code in product(range(4), terms.codes):
            other = start.copy()
            other[output, k] = code
            weights = signed(other).reshape(layer.weights.shape)
            error = measured_error(layer, table, codes, targets, weights, found.units[0], output)
            assert error >= now * (1 - 1e-3)
        # Coordinate descent is no exhaustive search; here it comes close to it.
        assert now <= best[output] * 1.1


def test_joint_choice_beats_weight_by_weight():
    """Rounding each weight on its own leaves more error than choosing the codes together."""
    table = ProductTable.of(mask("0,6,6"))
    layer, codes, targets = layer_and_targets(kernel=3, outputs=3)
    terms = Terms.of(table)
    moments = Moments.of(layer, terms, codes, targets)
    together = remap(moments, terms)
    diagonal = np.array([np.diag(np.diag(m)) for m in moments.features])
    alone = remap(Moments(diagonal, moments.cross, moments.target), terms)
    best_alone = np.inf
    for s, unit in enumerate(alone.units):
        weights = signed(alone.codes[s]).reshape(layer.weights.shape)
        best_alone = min(
            best_alone, sum(measured_error(layer, table, codes, targets, weights, unit, o) for o in range(3))
        )
    assert together.errors.sum(axis=1).min() < best_alone


def test_terms_are_the_table_where_they_say_so():
    for text in ("0,6,7", "0,0,4", "1,2,4"):
        table = ProductTable.of(mask(text))
        terms = Terms.of(table)
        assert terms.exact
        assert terms.u @ terms.v.T == pytest.approx(table.products[:, terms.codes], abs=1e-3)
        assert len({tuple(column) for column in table.products.T}) == len(terms.codes)


def test_terms_come_close_to_a_table_without_a_short_form():
    rng = np.random.default_rng(0)
    exact = ProductTable.of(Masked.exact(8, 8, signed_b=True)).products
    table = ProductTable(exact + rng.integers(-3, 4, exact.shape) * (exact != 0), False, True)
    terms = Terms.of(table)
    assert not terms.exact
    relative = np.linalg.norm(terms.u @ terms.v.T - table.products[:, terms.codes]) / np.linalg.norm(table.products)
    assert relative < 1e-2


@pytest.mark.parametrize(("text", "half"), [("full", 0), ("0,7,7", 1), ("0,0,4", 2)])
def test_the_rounding_constant_is_half_the_lowest_bit_that_is_read(text, half):
    assert half_step(ProductTable.of(mask(text))) == half
