"""Quantised ONNX files, as ONNX Runtime's own tool makes them: their integers are kept where they are of our kind."""

import numpy as np
import onnx
import pytest
from onnx_graphs import Model, run
from onnxruntime.quantization import QuantType
from quantised_models import statically

from amhw.interchange.imported import read_network
from amhw.network.inference import Inference
from amhw.refusal import Refusal

SHAPE = (2, 10, 10)


def mobile():
    m = Model(SHAPE)
    m.conv(2, 6, pads=[1, 1, 1, 1])
    m.then("Relu")
    m.conv(6, 6, groups=6, strides=[2, 2], pads=[1, 1, 1, 1])
    m.then("Clip", m.constant(0), m.constant(6))
    m.conv(6, 8, 1)
    m.then("Relu")
    m.then("MaxPool", kernel_shape=[2, 2], strides=[1, 1])
    m.then("GlobalAveragePool")
    m.then("Flatten")
    m.linear(8)
    return m


def residual():
    m = Model(SHAPE)
    m.conv(2, 4, pads=[1, 1, 1, 1])
    first = m.then("Relu")
    m.conv(4, 4, pads=[1, 1, 1, 1])
    m.then("Add", first)
    m.then("Relu")
    m.then("AveragePool", kernel_shape=[2, 2], strides=[2, 2])
    m.then("Flatten")
    m.linear(100)
    return m


@pytest.fixture(scope="module")
def images():
    found = np.random.default_rng(2).integers(0, 256, (300, *SHAPE), dtype=np.uint8)
    found[:, :, 0, 0], found[:, :, 9, 9] = 0, 255  # so that pixels are rounded to pixels
    return found


def quantised(model, tmp_path, images, **options):
    float_path = model.save(tmp_path / "float.onnx")
    pixels = (images[:50] / np.float32(255)).astype(np.float32)
    return statically(float_path, tmp_path / "quantised.onnx", "image", pixels, **options)


def rounded(path, logits, unit):
    """Logits as the model's last node rounds them."""
    graph = onnx.load(path).graph
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    last = next(node for node in reversed(graph.node) if node.op_type == "QuantizeLinear")
    scale, zero = constants[last.input[1]], constants[last.input[2]]
    limits = np.iinfo(zero.dtype)
    return (np.clip(np.rint(logits * unit / scale) + zero, limits.min, limits.max) - zero) * scale, float(scale)


@pytest.mark.parametrize(
    ("model", "options", "operands"),
    [
        (mobile, {}, "u8s8"),
        (residual, {"activation_type": QuantType.QInt8, "extra": {"ActivationSymmetric": True}}, None),
    ],
    ids=["unsigned", "signed"],
)
def test_integers_are_kept(model, options, operands, tmp_path, images):
    path = quantised(model(), tmp_path, images, **options)
    found = read_network(str(path), SHAPE)
    if operands is None:
        # That tool rounds twice, before the ReLU and after it.
        assert found.integers is None and "before node 11 (Relu)" in found.notes[0]
        return
    made = found.integers
    assert made is not None and not found.notes
    assert {layer.operands.name for layer in made.layers} == {operands}
    wanted = run(path, images)
    ours, step = rounded(path, Inference(made).logits(images), made.layers[-1].unit)
    off = np.abs(ours - wanted) / step
    # A factor has 16 bits, theirs 24: a code in some hundreds lies so near to the middle between two.
    assert off.max() < 1.5 and (off < 0.5).mean() > 0.9
    # And the integers are not those that we would have found.
    weights = next(t for t in onnx.load(path).graph.initializer if t.name == "c0_quantized")
    np.testing.assert_array_equal(made.layers[0].weights, onnx.numpy_helper.to_array(weights))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"per_channel": True}, "6 weight scales; a layer here has one"),
        ({"extra": {"WeightSymmetric": False}}, "weights with the zero point"),
    ],
)
def test_integers_of_another_kind_are_found_anew(options, reason, tmp_path, images):
    path = quantised(mobile(), tmp_path, images, **options)
    found = read_network(str(path), SHAPE)
    assert found.integers is None and reason in found.notes[0]
    near = found.network.logits(images)
    assert np.abs(near - run(path, images)).mean() < 0.2 * near.std(axis=0).mean()


@pytest.mark.parametrize("kind", [{}, {"output_dtype": 2}, {"output_dtype": 3}])
def test_codes_without_a_zero_point_are_of_the_type_they_say(kind, tmp_path):
    """Those from 0 rectify, those with a sign do not."""
    m = Model(SHAPE, opset=21)
    m.conv(2, 3)
    m.then("QuantizeLinear", m.constant(0.03, name="step"), **kind)
    m.then("DequantizeLinear", "step")
    m.then("Abs")
    m.then("Flatten")
    m.linear(3 * 8 * 8)
    path = m.save(tmp_path / "m.onnx")
    images = np.random.default_rng(1).integers(0, 256, (20, *SHAPE), dtype=np.uint8)
    logits = read_network(str(path), SHAPE).network.logits(images)
    np.testing.assert_allclose(logits, run(path, images), atol=0.15)


def test_codes_of_another_type_are_refused(tmp_path):
    m = Model(SHAPE, opset=21)
    m.conv(2, 3)
    m.then("QuantizeLinear", m.constant(0.01), output_dtype=5, name="odd")
    m.then("Flatten")
    m.linear(3 * 8 * 8)
    with pytest.raises(Refusal, match=r"odd \(QuantizeLinear\) rounds to the type 5; wanted 2, UINT8, or 3, INT8"):
        read_network(str(m.save(tmp_path / "m.onnx")), SHAPE)


def test_a_zero_point_of_what_is_only_added_has_to_be_in_the_middle(tmp_path, images):
    found = read_network(str(quantised(residual(), tmp_path, images)), SHAPE)
    assert found.integers is None
    assert "has the zero point" in found.notes[0] and "wanted 128, as it may be negative" in found.notes[0]
