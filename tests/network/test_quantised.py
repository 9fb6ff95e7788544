"""The quantised network as a value and as a file."""

import dataclasses
import io
import zipfile

import numpy as np
import pytest
from chains import chain, with_layer

from amhw.network.layers import Convolution, Linear
from amhw.network.models.lenet5 import network
from amhw.network.quantised import Operands, QuantisedLayer, QuantisedNetwork
from amhw.network.requantisation import Requantisation
from amhw.refusal import Refusal


def test_the_files_bytes_are_the_same_every_time_and_give_the_value_back(tmp_path):
    shipped = network()
    one, two = shipped.save(tmp_path / "one.npz"), shipped.save(tmp_path / "two.npz")
    assert one.read_bytes() == two.read_bytes()
    again = QuantisedNetwork.load(one)
    assert (again.sha256, again.to_bytes()) == (shipped.sha256, shipped.to_bytes())
    for layer, other in zip(shipped.layers, again.layers, strict=True):
        for member in dataclasses.fields(layer):
            np.testing.assert_array_equal(getattr(layer, member.name), getattr(other, member.name))
    assert np.load(io.BytesIO(one.read_bytes()))["conv1.weights"].shape == (6, 1, 5, 5)


@pytest.mark.parametrize(
    "change",
    [{"input_rounding": 16}, {"bias": np.arange(6)}, {"requantisation": Requantisation(40000, 20, 255)}],
)
def test_the_hash_changes_with_every_constant(change):
    shipped = network()
    assert with_layer(shipped, 0, **change).sha256 != shipped.sha256


def test_arrays_cannot_be_written():
    with pytest.raises(ValueError, match="read-only"):
        network().layers[0].weights[0] = 1


@pytest.mark.parametrize(
    "content", [b"", b"not a network", b"PK\x03\x04 damaged", "float"], ids=["empty", "text", "zip", "float network"]
)
def test_a_foreign_file_is_refused_by_name(tmp_path, content):
    from amhw.network.models.lenet5 import float_network

    file = tmp_path / "foreign.npz"
    file.write_bytes(float_network().to_bytes() if content == "float" else content)
    with pytest.raises(Refusal, match=r"foreign\.npz"):
        QuantisedNetwork.load(file)


def test_a_truncated_file_is_refused(tmp_path):
    file = tmp_path / "short.npz"
    file.write_bytes(network().to_bytes()[:-100])
    with pytest.raises(Refusal, match=r"short\.npz"):
        QuantisedNetwork.load(file)


def layer(name="fc1", relu=True, **members):
    given = {
        "layer": Linear(name, 2, relu),
        "weights": np.ones((2, 3), int),
        "bias": np.zeros(2, int),
        "requantisation": Requantisation(1, 1, 255) if relu else None,
    }
    return QuantisedLayer(**given | members)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"weights": np.ones((2, 3, 5))}, "shape"),
        ({"layer": Convolution("c", 2, (3, 3)), "weights": np.ones((2, 1, 3, 2))}, "shape"),
        ({"weights": np.full((2, 3), 128)}, "outside -128…127"),
        ({"weights": np.full((2, 3), 4), "operands": Operands(8, 3)}, "outside -4…3"),
        ({"bias": np.zeros(3)}, "bias of shape"),
        ({"bias": np.full(2, 2**30)}, "bias"),
        ({"input_rounding": 256}, "input rounding"),
        ({"weight_scale": float("nan")}, "weight scale nan"),
        ({"requantisation": Requantisation(1, 1, 127, -128)}, "but ReLU is True"),
    ],
)
def test_a_layer_out_of_range_is_refused(members, message):
    with pytest.raises(Refusal, match=message):
        layer(**members)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ((), "no convolution and no linear layer"),
        ((layer(),), "last layer"),
        ((layer(relu=False), layer(relu=False)), "names must differ"),
        ((layer(relu=False), layer(name="fc2", weights=np.ones((2, 2)), relu=False)), "fc1 has no requantisation"),
        ((layer(), layer(name="fc2", weights=np.ones((2, 3)), relu=False)), r"fc2: weights \[2, 3\] and bias"),
        (
            (layer(), layer(name="fc2", weights=np.ones((2, 2)), operands=Operands(4, 4), relu=False)),
            "fc1 gives codes 0…255, fc2 takes 0…15",
        ),
    ],
    ids=["none", "last requantised", "same name", "first not requantised", "shape", "widths"],
)
def test_layers_that_do_not_follow_one_another_are_refused(layers, message):
    with pytest.raises(Refusal, match=message):
        chain(layers, (3, 1, 1))


@pytest.mark.parametrize("width", [1, 9])
def test_widths_out_of_range_are_refused(width):
    with pytest.raises(Refusal, match="2 to 8 bits"):
        Operands(width, 8)
    with pytest.raises(Refusal, match="2 to 8 bits"):
        Operands(8, width)


def test_pixels_become_codes_by_rounding_and_saturating():
    pixels = np.array([0, 1, 2, 127, 128, 253, 254, 255], np.uint8)
    assert Operands().codes_of(pixels).tolist() == pixels.tolist()
    assert Operands(8, 8, True).codes_of(pixels).tolist() == [0, 1, 1, 64, 64, 127, 127, 127]
    assert Operands(2, 8).codes_of(pixels).tolist() == [0, 0, 0, 2, 2, 3, 3, 3]


def test_a_file_of_another_version_is_refused(tmp_path):
    old = network().to_bytes().replace(b'"schema":2', b'"schema":1')
    file = tmp_path / "old.npz"
    file.write_bytes(_with_right_checksums(old))
    with pytest.raises(Refusal, match="of file version 1, and this amhw reads version 2"):
        QuantisedNetwork.load(file)


def _with_right_checksums(archive):
    """The archive with its members stored again, so that only what was edited differs."""
    rebuilt = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as source, zipfile.ZipFile(rebuilt, "w") as target:
        for member in source.infolist():
            start = member.header_offset + 30 + len(member.filename)
            target.writestr(member.filename, archive[start : start + member.file_size])
    return rebuilt.getvalue()
