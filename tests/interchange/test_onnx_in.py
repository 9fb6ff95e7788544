"""Float ONNX files: what our network computes is what ONNX Runtime computes."""

import numpy as np
import onnx
import pytest
from onnx_graphs import SHAPE, Model, run

from amhw.interchange.imported import Normalisation, read_network
from amhw.network.inference import Inference
from amhw.network.layers import AveragePool, Convolution, Linear
from amhw.network.quantise import quantise

TOLERANCE = 2e-5
"""Of logits of about 1: sums of float32 in another order."""

GRAPHS = {}


def graph(function):
    GRAPHS[function.__name__] = function
    return function


def ended(m, channels, height, width):
    m.then("Flatten")
    m.linear(channels * height * width)
    return m


@graph
def batch_normalisation_and_relu6():
    m = Model()
    m.conv(2, 4, pads=[1, 1, 1, 1])
    m.batch_norm(4)
    m.then("Clip", m.constant(0), m.constant(0.8))
    return ended(m, 4, 9, 8)


@graph
def depthwise_and_pointwise():
    m = Model(opset=13)
    m.conv(2, 6)
    m.then("Relu")
    m.conv(6, 12, groups=6, strides=[2, 1], pads=[1, 0, 1, 0])
    m.batch_norm(12)
    m.then("Relu")
    m.conv(12, 4, 1)
    m.then("Relu")
    m.then("GlobalAveragePool")
    return ended(m, 4, 1, 1)


@graph
def limits_as_attributes():
    m = Model(opset=9)
    m.conv(2, 3)
    m.then("Clip", min=0.0, max=0.5)
    return ended(m, 3, 7, 6)


@graph
def uneven_padding_as_tensorflow_has_it():
    m = Model((2, 8, 8))
    m.conv(2, 3, auto_pad="SAME_UPPER", strides=[2, 2])
    m.then("Relu")
    m.conv(3, 4, auto_pad="SAME_LOWER", strides=[2, 2])
    m.then("Relu")
    return ended(m, 4, 2, 2)


@graph
def padding_of_its_own():
    m = Model()
    m.then("Pad", m.constant([0, 0, 1, 0, 0, 0, 2, 1], np.int64))
    m.conv(2, 3, strides=[2, 2])
    m.then("Relu")
    return ended(m, 3, 5, 4)


@graph
def padding_of_its_own_and_as_tensorflow_has_it():
    m = Model()
    m.then("Pad", m.constant([0, 0, 1, 0, 0, 0, 0, 1], np.int64))
    m.conv(2, 3, auto_pad="SAME_UPPER", strides=[2, 2])
    m.then("Relu")
    return ended(m, 3, 5, 5)


@graph
def dilation():
    m = Model()
    m.conv(2, 3, dilations=[2, 3])
    m.then("Relu")
    return ended(m, 3, 5, 2)


@graph
def residual():
    m = Model()
    m.conv(2, 4, pads=[1, 1, 1, 1])
    first = m.then("Relu")
    m.conv(4, 4, pads=[1, 1, 1, 1])
    m.batch_norm(4)
    m.then("Add", first)
    second = m.then("Relu")
    around = m.conv(4, 6, 1, strides=[2, 2])
    m.conv(4, 6, source=second, pads=[1, 1, 1, 1], strides=[2, 2])
    m.then("Sum", around)
    m.then("Relu")
    m.then("AveragePool", kernel_shape=[2, 2], strides=[2, 2])
    return ended(m, 6, 2, 2)


@graph
def pools():
    m = Model()
    m.conv(2, 4, 1)
    m.then("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    m.then("Relu")  # after the pool
    m.then("AveragePool", kernel_shape=[2, 3], ceil_mode=1, strides=[3, 1])
    m.conv(4, 4, 1)
    m.then("Relu")
    m.then("GlobalMaxPool")
    return ended(m, 4, 1, 1)


@graph
def a_normalised_image():
    m = Model()
    m.then("Sub", m.constant([[[0.4]], [[0.5]]]))
    m.then("Div", m.constant([[[[0.2]], [[0.3]]]]))
    m.conv(2, 4, groups=2)
    m.then("Relu")
    return ended(m, 4, 7, 6)


@graph
def a_normalised_image_without_convolutions():
    m = Model()
    m.then("Mul", m.constant(2.0))
    m.then("Add", m.constant([[[-1.0]], [[-0.5]]]))
    m.then("Flatten")
    m.then("MatMul", m.weights(144, 5))
    m.then("Add", m.weights(5))
    m.then("Relu")
    m.linear(5)
    return m


@graph
def affine_maps():
    m = Model()
    m.conv(2, 4)
    m.then("Mul", m.weights(4, 1, 1, low=0.5, high=2))
    m.then("Add", m.weights(1, 4, 1, 1))
    m.then("Relu")
    m.batch_norm(4)  # after the ReLU: a convolution of its own
    m.then("Relu")
    m.then("Flatten")
    m.then("MatMul", m.weights(168, 5))
    m.nodes.append(onnx.helper.make_node("Sub", [m.weights(5), m.last], ["turned"]))
    m.last = "turned"
    m.then("Relu")
    m.then("Gemm", m.weights(5, 3), m.constant([0.25]), alpha=0.5, beta=2.0)
    return m


@graph
def shapes_that_are_computed():
    m = Model()
    image = m.conv(2, 3)
    shape = m.then("Shape")
    batch = m.then("Gather", m.constant(0, np.int64), source=shape)
    sizes = [m.then("Unsqueeze", m.constant([0], np.int64), source=batch), m.constant([-1], np.int64)]
    target = m.then("Concat", sizes[1], source=sizes[0], axis=0)
    m.then("Relu", source=image)
    m.then("Reshape", target)
    m.then("Dropout")
    m.then("Identity")
    m.linear(126)
    return m


@graph
def means_without_their_sides():
    m = Model()
    m.conv(2, 3)
    m.then("Relu")
    m.then("ReduceMean", axes=[2, 3], keepdims=0)
    m.linear(3)
    return m


@graph
def a_convolution_that_classifies():
    m = Model()
    m.conv(2, 4)
    m.then("Relu")
    m.conv(4, 3, 1)
    m.then("GlobalAveragePool")
    m.then("Flatten")
    return m


@graph
def a_convolution_of_one_position():
    m = Model((2, 5, 5))
    m.conv(2, 4)
    m.then("Relu")
    m.conv(4, 3)
    m.then("Squeeze", m.constant([2, 3], np.int64))
    return m


@graph
def absolute_values():
    m = Model()
    m.conv(2, 4)
    m.batch_norm(4)
    m.then("Abs")
    m.then("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    m.then("Flatten")
    m.linear(36, 5)
    m.then("Abs")
    m.linear(5)
    return m


@graph
def weights_that_are_nodes():
    m = Model()
    m.nodes.append(
        onnx.helper.make_node(
            "Constant",
            [],
            ["w"],
            value=m.constants.pop()
            if m.constants
            else None or onnx.numpy_helper.from_array(m.random.normal(0, 0.3, (3, 2, 2, 2)).astype(np.float32)),
        )
    )
    m.then("Conv", "w")
    m.then("Relu")
    return ended(m, 3, 8, 7)


@graph
def casts_of_floats_and_of_constants():
    m = Model()
    m.then("Cast", to=11)
    m.then("Cast", to=1)
    m.conv(2, 3)
    steps = m.then("Cast", source=m.constant([0.9, 2.9]), to=6)  # 0 and 2
    last = m.then("Gather", m.constant(1, np.int64), source=steps)
    bias = m.then("Cast", source=last, to=1)
    m.then("Add", bias, source="t2")
    m.then("Relu")
    return ended(m, 3, 7, 6)


@pytest.mark.parametrize("name", GRAPHS)
def test_a_float_model_computes_what_it_did(name, tmp_path):
    model = GRAPHS[name]()
    path = model.save(tmp_path / "m.onnx")
    images = np.random.default_rng(1).integers(0, 256, (40, *model.shape), dtype=np.uint8)
    found = read_network(str(path), model.shape)
    wanted = run(path, images)
    assert wanted.std(axis=0).min() > 1e-3, "the graph tells images apart"
    np.testing.assert_allclose(found.network.logits(images), wanted.reshape(40, -1), atol=TOLERANCE)
    assert found.integers is None and not found.notes
    # The integers come near it, too.
    made = quantise(found.network, images)
    near = Inference(made).logits(images) * made.layers[-1].unit
    assert np.abs(near - wanted.reshape(40, -1)).mean() < 0.2 * wanted.std(axis=0).mean()


def test_layers_are_called_as_their_weights(tmp_path):
    m = Model()
    m.then("Conv", m.constant(np.ones((3, 2, 2, 2)), name="features.0.weight"), name="/body/Conv")
    m.then("Relu")
    m.then("Conv", m.constant(np.ones((3, 3, 1, 1))), name="/layer1/layer1.0/conv1/Conv")
    m.then("Relu")
    m.then("Conv", m.constant(np.ones((3, 3, 1, 1))), name="/layer1/layer1.0/conv1/Conv_1")
    m.then("Relu")
    m.then("Flatten", name="/Flatten")
    m.then("Gemm", m.constant(np.ones((168, 3)), name="onnx::Gemm_12"), name="/fc/Gemm")
    network = read_network(str(m.save(tmp_path / "m.onnx")), SHAPE).network.network
    assert [layer.name for layer in network.layers] == ["features_0", "layer1_0_conv1", "conv1", "flatten1", "fc"]


def test_what_goes_into_layers_leaves_none(tmp_path):
    network = read_network(str(GRAPHS["depthwise_and_pointwise"]().save(tmp_path / "m.onnx")), SHAPE).network.network
    kinds = [type(layer) for layer in network.layers]
    assert kinds[:4] == [Convolution, Convolution, Convolution, AveragePool] and kinds[-1] is Linear
    assert network.layers[1].groups == 6 and network.layers[3].window == (4, 4)


def test_a_softmax_at_the_end_changes_no_class(tmp_path):
    m = residual()
    m.then("Softmax", axis=1)
    path = m.save(tmp_path / "m.onnx")
    images = np.random.default_rng(1).integers(0, 256, (40, *SHAPE), dtype=np.uint8)
    found = read_network(str(path), SHAPE)
    assert "changes no class" in found.notes[0]
    np.testing.assert_array_equal(found.network.logits(images).argmax(axis=1), run(path, images).argmax(axis=1))


def test_pixels_may_be_normalised_before(tmp_path):
    """`mean` and `deviation` say what the file does not."""
    m = Model()
    m.conv(2, 4)
    m.then("Relu")
    path = ended(m, 4, 7, 6).save(tmp_path / "m.onnx")
    inside = Model()
    inside.then("Sub", inside.constant([[[0.4]], [[0.5]]]))
    inside.then("Div", inside.constant([[[0.2]], [[0.3]]]))
    inside.nodes += [onnx.NodeProto.FromString(node.SerializeToString()) for node in m.nodes]
    for node in inside.nodes[2:]:
        node.input[0] = inside.nodes[1].output[0] if node.input[0] == "image" else f"m_{node.input[0]}"
        node.output[0] = f"m_{node.output[0]}"
        for k in range(1, len(node.input)):
            node.input[k] = f"m_{node.input[k]}"
    for constant in m.constants:
        constant.name = f"m_{constant.name}"
    inside.constants += m.constants
    inside.last = f"m_{m.last}"
    images = np.random.default_rng(1).integers(0, 256, (20, *SHAPE), dtype=np.uint8)
    wanted = run(inside.save(tmp_path / "inside.onnx"), images)
    found = read_network(str(path), SHAPE, Normalisation((0.4, 0.5), (0.2, 0.3)))
    np.testing.assert_allclose(found.network.logits(images), wanted, atol=TOLERANCE)


def test_padding_of_a_normalised_image_is_told(tmp_path):
    m = Model()
    m.conv(2, 4, pads=[1, 1, 1, 1])
    m.then("Relu")
    path = ended(m, 4, 9, 8).save(tmp_path / "m.onnx")
    [note] = read_network(str(path), SHAPE, Normalisation((0.5,), (0.25,))).notes
    assert "padding is black" in note and "Conv" in note
    assert not read_network(str(path), SHAPE, Normalisation((0.0,), (0.25,))).notes
