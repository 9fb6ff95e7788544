"""ONNX files that we write: ONNX Runtime finds our logits in them, and they come back as they were."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator
from onnx_graphs import run
from random_networks import networks, with_weights

from amhw import Refusal
from amhw.datasets import data_source
from amhw.interchange.imported import read_network
from amhw.interchange.onnx_out import onnx_bytes, write_onnx
from amhw.network.inference import Inference
from amhw.network.models.lenet5 import float_network
from amhw.network.models.lenet5 import network as lenet5
from amhw.network.quantise import quantise
from amhw.network.quantised import MadeFor, Operands


def integers(logits, network):
    """Logits in steps of the accumulator."""
    last = network.layers[-1]
    return logits / last.unit


def test_the_shipped_network_in_floating_point(tmp_path):
    images = data_source().test.images[:300]
    path = write_onnx(float_network(), tmp_path / "f.onnx")
    np.testing.assert_allclose(run(path, images), float_network().logits(images), atol=1e-4)
    back = read_network(str(path), (1, 28, 28)).network
    assert back.network.layers == float_network().network.layers
    for ours, theirs in zip(back.layers, float_network().layers, strict=True):
        np.testing.assert_array_equal(ours.weights, theirs.weights)
        np.testing.assert_array_equal(ours.bias, theirs.bias)


def test_the_shipped_network_in_integers(tmp_path):
    """Of 1,000 real images all logits but those of a few are the same, and all classes."""
    images = data_source().test.images[:1000]
    network = lenet5()
    path = write_onnx(network, tmp_path / "q.onnx")
    wanted = Inference(network).logits(images)
    found = integers(run(path, images), network)
    same = (np.abs(found - wanted) < 0.4 + 1e-5 * np.abs(wanted)).all(axis=1)
    assert same.mean() >= 0.995
    np.testing.assert_array_equal(found.argmax(axis=1), wanted.argmax(axis=1))
    back = read_network(str(path), (1, 28, 28)).integers
    assert back is not None
    assert_alike(back, network)


def described(network):
    """Layers and what they take, however that is said."""
    return [(replace(layer, source=None), network.sources[layer.name]) for layer in network.layers]


def assert_alike(found, wanted):
    assert found.network.layers == wanted.network.layers and found.joins == wanted.joins
    for ours, theirs in zip(found.layers, wanted.layers, strict=True):
        np.testing.assert_array_equal(ours.weights, theirs.weights)
        np.testing.assert_array_equal(ours.bias, theirs.bias)
        assert (ours.requantisation, ours.operands) == (theirs.requantisation, theirs.operands)


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,  # how far rounding may be off is a matter of experience, not a bound
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.generate],  # a smaller example would take minutes
)
@given(network=networks(engine=False), seed=st.integers(0, 99), signed=st.booleans())
def test_any_network_goes_out_and_comes_back(tmp_path, network, seed, signed):
    images = np.random.default_rng(seed).integers(0, 256, (30, *network.input_shape), dtype=np.uint8)
    real = with_weights(network, seed)
    path = write_onnx(real, tmp_path / "f.onnx")
    np.testing.assert_allclose(run(path, images), real.logits(images), atol=1e-4)
    assert described(read_network(str(path), network.input_shape).network.network) == described(network)
    try:
        made = quantise(real, images, Operands(activation_signed=signed))
        path = write_onnx(made, tmp_path / "q.onnx")
    except Refusal as refusal:
        assert "pooled pixels" in str(refusal) or "scale" in str(refusal)
        return
    wanted = Inference(made).logits(images)
    found = integers(run(path, images), made)
    # Sums of few codes are often on a tie, which goes to the even code there: then a code is off by one.
    assert np.abs(found - wanted).mean() < 0.02 * np.abs(wanted).mean() + 1
    back = read_network(str(path), network.input_shape)
    if not signed:
        assert back.integers is not None, back.notes
        for ours, theirs in zip(back.integers.layers, made.layers, strict=True):
            np.testing.assert_array_equal(ours.weights, theirs.weights)
            assert ours.requantisation == theirs.requantisation
        np.testing.assert_array_equal(Inference(back.integers).logits(images), wanted)


def test_onnx_itself_agrees():
    """The reference evaluator of the onnx package, a third opinion."""
    import onnx

    images = data_source().test.images[:20]
    network = lenet5()
    evaluator = ReferenceEvaluator(onnx.load_from_string(onnx_bytes(network)))
    found = evaluator.run(None, {"image": (images / np.float32(255)).astype(np.float32)})[0]
    wanted = Inference(network).logits(images)
    assert (np.abs(integers(found, network) - wanted) < 0.4 + 1e-5 * np.abs(wanted)).all(axis=1).mean() >= 0.9


def test_the_same_network_gives_the_same_bytes():
    assert onnx_bytes(lenet5()) == onnx_bytes(lenet5())


def test_layers_with_other_products_are_refused():
    network = lenet5()
    made = replace(network.layers[0], made_for=MadeFor("mul_u8s8_drum_4", "0" * 64))
    with pytest.raises(Refusal, match="conv1 was made for mul_u8s8_drum_4; ONNX has exact products only"):
        onnx_bytes(replace(network, layers=(made, *network.layers[1:])))
    rounding = replace(network.layers[0], input_rounding=4)
    with pytest.raises(Refusal, match="conv1 adds 4 to its activations"):
        onnx_bytes(replace(network, layers=(rounding, *network.layers[1:])))
