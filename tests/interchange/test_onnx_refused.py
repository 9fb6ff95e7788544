"""Models that cannot be used: one line that names the node or the number, no traceback, and at once."""

import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.external_data_helper import convert_model_to_external_data
from onnx_graphs import SHAPE, Model

from amhw.interchange.imported import read_network
from amhw.refusal import Refusal


def small(m=None):
    m = m or Model()
    m.conv(m.shape[0], 4)
    m.then("Relu")
    m.then("Flatten")
    m.linear(168)
    return m


def refusal(path, shape=SHAPE):
    before = time.process_time()
    with pytest.raises(Refusal) as caught:
        read_network(str(path), shape)
    assert time.process_time() - before < 5
    said = str(caught.value)
    assert "\n" not in said and str(path) in said
    return said


def after_a_convolution(op, *, name="odd", classes=True, constants=(), **attributes):
    m = Model()
    m.conv(2, 4)
    m.then("Relu")
    m.then(op, *(m.constant(each) for each in constants), name=name, **attributes)
    if classes:
        m.then("Flatten")
        m.linear(168)
    return m


OPERATORS = {
    "Sigmoid": (after_a_convolution("Sigmoid"), r"odd \(Sigmoid\) has no layer here; train with a ReLU"),
    "unknown": (after_a_convolution("Floor"), r"odd \(Floor\) has no layer here; known are Conv"),
    "no name": (after_a_convolution("Floor", name=""), r"node 2 \(Floor\)"),
    "another domain": (
        after_a_convolution("Magic", domain="org.example"),
        r"odd \(Magic\) is of the domain org.example",
    ),
    "Transpose": (after_a_convolution("Transpose", perm=[0, 2, 3, 1]), "channels first"),
    "no classes": (
        after_a_convolution("Relu", classes=False),
        r"shape \[4, 7, 6\] and comes from .*wanted a number for",
    ),
    "clipped oddly": (after_a_convolution("Clip", constants=[-1, 1]), r"odd \(Clip\) cuts at -1.0 and 1.0"),
    "padded average": (
        after_a_convolution("AveragePool", kernel_shape=[2, 2], pads=[1, 1, 1, 1]),
        r"odd \(AveragePool\) averages over padding",
    ),
    "windows over the edge": (
        after_a_convolution("MaxPool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
        r"odd \(MaxPool\) has ceil_mode",
    ),
    "three dimensions": (
        after_a_convolution("MaxPool", kernel_shape=[2, 2, 2]),
        r"kernel_shape \[2, 2, 2\]; wanted two",
    ),
    "huge padding": (
        after_a_convolution("MaxPool", kernel_shape=[2, 2], pads=[10**9] * 4),
        r"odd \(MaxPool\) pads \[1000000000",
    ),
    "two rows": (after_a_convolution("Reshape", constants=[], shape=[2, 84]), r"odd \(Reshape\) makes \[2, 84\]"),
    "a cast to integers": (after_a_convolution("Cast", to=7), r"odd \(Cast\) makes the type 7 .*wanted a float"),
    "no stride": (after_a_convolution("MaxPool", kernel_shape=[2, 2], strides=[0, 1]), r"strides \(0, 1\)"),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_without_a_layer_is_refused_by_name(name, tmp_path):
    import re

    model, message = OPERATORS[name]
    assert re.search(message, refusal(model.save(tmp_path / "m.onnx")))


def test_a_negative_activation_is_not_multiplied(tmp_path):
    m = Model()
    m.conv(2, 4)
    m.batch_norm(4)
    m.nodes[0].name = "first"
    said = refusal(small_after(m).save(tmp_path / "m.onnx"))
    assert "multiplies what leaves first (Conv) without a ReLU" in said


def small_after(m):
    m.conv(4, 4)
    m.then("Relu")
    m.then("Flatten")
    m.linear(4 * 5 * 4)
    return m


def test_a_relu_that_serves_one_branch_only_is_refused(tmp_path):
    m = Model()
    first = m.conv(2, 4, pads=[1, 1, 1, 1])
    m.then("Relu", name="act")
    m.conv(4, 4, pads=[1, 1, 1, 1])
    m.then("Add", first)
    m.then("Relu")
    m.then("Flatten")
    m.linear(288)
    assert "act (Relu) rectifies what leaves node 0 (Conv), which others take as it is" in refusal(
        m.save(tmp_path / "m.onnx")
    )


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, "height", "width"), r"\[N, 2, height, width\], of no fixed size"),
        ((2, 8, 8), r"\[N, 2, 8, 8\], but the images are \[2, 9, 8\]"),
        ((2, 9), r"\[N, 2, 9\]; wanted images"),
    ],
)
def test_images_of_another_or_of_no_shape(shape, message, tmp_path):
    import re

    m = small(Model())
    m.shape = shape
    assert re.search(message, refusal(m.save(tmp_path / "m.onnx")))


def test_an_opset_that_is_too_new_or_too_old(tmp_path):
    for opset, message in ((99, "opset 99 is newer than"), (3, "opset 3 is older than")):
        m = small()
        m.opset = opset
        assert message in refusal(m.save(tmp_path / "m.onnx"))


def test_several_inputs_and_outputs(tmp_path):
    made = small().made()
    made.graph.input.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, ["N", 3]))
    onnx.save(made, tmp_path / "m.onnx")
    assert "2 inputs (image, other)" in refusal(tmp_path / "m.onnx")
    made = small().made()
    made.graph.output.append(helper.make_tensor_value_info("t1", TensorProto.FLOAT, None))
    onnx.save(made, tmp_path / "m.onnx")
    assert "2 outputs (t3, t1)" in refusal(tmp_path / "m.onnx")


def external(path, size=None):
    made = small().made()
    convert_model_to_external_data(made, location="weights.bin", size_threshold=0)
    onnx.save(made, path)
    if size is not None:
        data = path.with_name("weights.bin")
        data.write_bytes(data.read_bytes()[:size])
    return made


def test_weights_beside_the_file(tmp_path):
    path = tmp_path / "m.onnx"
    external(path)
    inside = read_network(str(small().save(tmp_path / "inside.onnx")), SHAPE).network
    found = read_network(str(path), SHAPE).network
    for ours, theirs in zip(found.layers, inside.layers, strict=True):
        np.testing.assert_array_equal(ours.weights, theirs.weights)
    external(path, size=10)
    assert "where the file has 10" in refusal(path)
    (tmp_path / "weights.bin").unlink()
    assert "is in weights.bin, which is not there" in refusal(path)


@pytest.mark.parametrize("location", ["../outside.bin", "/etc/hostname", "link.bin", ""])
def test_files_outside_the_folder_are_not_read(location, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "outside.bin").write_bytes(bytes(10_000))
    (folder / "link.bin").symlink_to(tmp_path / "outside.bin")
    made = external(folder / "m.onnx")
    for tensor in made.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    (folder / "m.onnx").write_bytes(made.SerializeToString())
    assert "outside the folder" in refusal(folder / "m.onnx")


def test_sizes_that_nothing_holds(tmp_path):
    made = small().made()
    made.graph.initializer[0].dims[0] = 1 << 40
    (tmp_path / "m.onnx").write_bytes(made.SerializeToString())
    assert "numbers in all" in refusal(tmp_path / "m.onnx")
    made.graph.initializer[0].dims[0] = 5
    (tmp_path / "m.onnx").write_bytes(made.SerializeToString())
    assert "initialiser c0 is damaged" in refusal(tmp_path / "m.onnx")
    m = Model()
    m.then("Add", m.constant(np.zeros((1 << 13, 1))), source=m.constant(np.zeros((1, 1 << 13))))
    m.last = "image"
    grown = m.nodes[0].output[0]
    m.then("Add", grown)
    small(m)
    assert "too many numbers" in refusal(m.save(tmp_path / "m.onnx"))


def test_weights_that_are_no_numbers(tmp_path):
    m = Model()
    m.then("Conv", m.constant(np.full((3, 2, 2, 2), np.nan)), name="conv")
    assert "conv (Conv) has weights that are not all finite numbers" in refusal(m.save(tmp_path / "m.onnx"))


def test_weights_of_no_dimension(tmp_path):
    m = Model()
    m.then("Conv", m.constant(0.5), name="conv")
    assert "conv (Conv): weights [], bias []; wanted a convolution in 2D" in refusal(m.save(tmp_path / "m.onnx"))


def test_damaged_files(tmp_path):
    """Cut anywhere, or with any byte changed: refused in a line, or still a network."""
    path = tmp_path / "m.onnx"
    whole = small().made().SerializeToString()
    random = np.random.default_rng(0)
    for cut in random.integers(0, len(whole), 40):
        path.write_bytes(whole[:cut])
        refusal(path)
    refused = 0
    for place in random.integers(0, len(whole), 150):
        changed = bytearray(whole)
        changed[place] ^= 1 << random.integers(8)
        path.write_bytes(bytes(changed))
        try:
            read_network(str(path), SHAPE)
        except Refusal as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 10
    for content in (b"", b"no protobuf at all", bytes(1000)):
        path.write_bytes(content)
        refusal(path)
    with pytest.raises(Refusal, match="cannot read"):
        read_network(str(tmp_path / "nowhere.onnx"), SHAPE)
    with pytest.raises(Refusal, match=r"lenet is no model; wanted FILE.onnx"):
        read_network("lenet", SHAPE)


def test_a_missing_package_is_named(monkeypatch, tmp_path):
    import sys

    path = small().save(tmp_path / "m.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(Refusal, match=r"install amhw\[onnx\]"):
        read_network(str(Path(path)), SHAPE)
