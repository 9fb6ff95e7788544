"""Prediction: its moments against brute force, its propagation against the network itself, its regression."""

import numpy as np
import pytest

from amhw import Masked, ProductTable, parse
from amhw.datasets import balanced, mnist_slice
from amhw.families import broken_array
from amhw.network.inference import Inference, im2col
from amhw.network.models.lenet5 import network
from amhw.nn.predict import Predictor
from amhw.refusal import Refusal

LAYERS = ("conv1", "conv2")
EXACT = ProductTable.of(parse("mul_u8s8_pp_full"))


@pytest.fixture(scope="module")
def data():
    return balanced(mnist_slice(), 2)


@pytest.fixture(scope="module")
def predictor(data):
    return Predictor(network(), LAYERS, data)


def test_no_error_moves_no_margin(predictor):
    assert not any(part.any() for layer in predictor._margin_errors(EXACT) for part in layer)
    assert predictor.survivors(EXACT) > 0.99


def test_small_errors_move_margins_as_the_network_does(predictor, data):
    """A small gain of every product is first-order exact: the margins must move as the integers do."""
    larger = ProductTable(np.rint(EXACT.products * 1.06).astype(int), False, True)
    predicted = sum(shift for shift, _ in predictor._margin_errors(larger))
    logits = [Inference(network(), dict.fromkeys(LAYERS, table)).logits(data.images) for table in (EXACT, larger)]
    unit = network().layers[-1].activation_scale * network().layers[-1].weight_scale
    moved = (logits[1] - logits[0]) * unit
    labels = data.labels.astype(int)
    rows = np.arange(len(labels))
    others = np.array([[k for k in range(10) if k != label] for label in labels])
    margins = moved[rows, labels][:, None] - np.take_along_axis(moved, others, axis=1)
    assert margins.size == predicted.size, "every image is right without errors"
    assert np.corrcoef(margins.ravel(), predicted)[0, 1] > 0.95
    assert np.abs(margins.ravel() - predicted).mean() < 0.3 * np.abs(margins).mean()


def test_the_mean_error_is_that_of_the_pairs_that_meet(predictor, data):
    """Of conv1, by brute force over every product: what the predictor takes for mean + gain·exact mean."""
    table = ProductTable.of(parse("mul_u8s8_pp_0_0_0_0_0_e0_f0_f8"))
    layer = network()["conv1"]
    windows = im2col(layer, Inference(network()).inputs(data.images)["conv1"]).reshape(-1, 25)
    # One histogram serves all taps of an input channel.
    histogram = np.bincount(windows.ravel(), minlength=256) / windows.size
    wanted = [float((histogram @ table.errors[:, codes]).sum()) for codes in layer.weight_codes]
    model = predictor._layers[0]
    found = (model.activations[:1] @ table.errors.astype(np.float32) @ model.counts.T).ravel()
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


def test_each_layer_counts_apart(data, predictor):
    """One layer's shift and deviation are those of a predictor of that layer alone."""
    table = ProductTable.of(Masked.columns(7, 8, 8, signed_b=True))
    both = predictor.features(table)
    for index, name in enumerate(LAYERS):
        alone = Predictor(network(), (name,), data).features(table)
        np.testing.assert_allclose(alone[1:], both[1 + 3 * index : 4 + 3 * index], rtol=1e-4)
        assert alone[0] != both[0]


def test_worse_multipliers_are_predicted_worse(predictor):
    tables = [ProductTable.of(Masked.columns(k, 8, 8, signed_b=True)) for k in (0, 5, 8, 9, 10)]
    survivors = [predictor.survivors(table) for table in tables]
    assert survivors == sorted(survivors, reverse=True)
    assert survivors[0] - survivors[-1] > 0.3


def test_the_regression_returns_what_it_was_fitted_on(predictor):
    tables = [ProductTable.of(Masked.columns(k, 8, 8, signed_b=True)) for k in range(11)]
    tables += [
        ProductTable.of(broken_array(h, v, width_a=8, width_b=8, signed_b=True))
        for h in (2, 3, 4)
        for v in (3, 5, 7, 8)
    ]
    survivors = np.array([predictor.survivors(table) for table in tables])
    accuracies = 0.1 + 0.895 * survivors**2
    model = predictor.fit(tables, accuracies)
    predicted = np.array([model.predict(table) for table in tables])
    assert np.abs(predicted - accuracies).mean() < 0.03
    with pytest.raises(Refusal, match="wanted 20 or more"):
        predictor.fit(tables[:5], accuracies[:5])


def test_an_unknown_layer_is_refused(data):
    with pytest.raises(Refusal, match="no layer conv3"):
        Predictor(network(), ("conv3",), data)


def test_no_layers_are_refused(data):
    with pytest.raises(Refusal, match="no layers; wanted one or more of conv1, conv2, fc1"):
        Predictor(network(), (), data)


@pytest.mark.parametrize("name", ["mul_u4s4_pp_full", "mul_s8s8_pp_full", "mul_u8u8_pp_full"])
def test_a_table_of_other_operands_is_refused_by_name(predictor, name):
    table = ProductTable.of(parse(name))
    for predict in (predictor.features, predictor.survivors):
        with pytest.raises(Refusal, match=name):
            predict(table)


@pytest.mark.parametrize("wrong", [90.0, -0.1, float("nan"), float("inf")])
def test_accuracies_are_shares(predictor, wrong):
    with pytest.raises(Refusal, match=rf"an accuracy of {wrong}; wanted 0…1"):
        predictor.fit([EXACT] * 20, [0.9] * 19 + [wrong])
