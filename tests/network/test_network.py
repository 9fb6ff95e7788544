"""The quantised network as a value and as a file, and its one rounding."""

import dataclasses
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amhw.network.models.lenet5 import network
from amhw.network.quantised import Geometry, Operands, QuantisedLayer, QuantisedNetwork, Requantisation
from amhw.refusal import Refusal


@given(
    value=st.integers(-(2**31), 2**31 - 1),
    multiplier=st.integers(1, 2**16 - 1),
    shift=st.integers(1, 40),
    maximum=st.integers(1, 255),
)
def test_requantisation_is_python_integer_arithmetic(value, multiplier, shift, maximum):
    found = Requantisation(multiplier, shift, maximum)(np.array([value], np.int32))[0]
    assert found == min(max((value * multiplier + 2 ** (shift - 1)) // 2**shift, 0), maximum)


def test_ties_round_up_and_negative_values_become_zero():
    quarter = Requantisation(1, 2, 255)
    assert quarter(np.array([-6, -2, -1, 0, 1, 2, 3, 5, 6, 10, 1018, 1022])).tolist() == [
        0, 0, 0, 0, 0, 1, 1, 1, 2, 3, 255, 255
    ]  # fmt: skip


@given(scale=st.floats(1e-6, 1e3))
def test_requantisation_constants_are_within_half_a_unit_in_the_last_place(scale):
    constants = Requantisation.of(scale, 255)
    assert constants.multiplier * 2.0**-constants.shift == pytest.approx(scale, rel=2**-15)


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
    layers = (dataclasses.replace(shipped.layers[0], **change), *shipped.layers[1:])
    assert QuantisedNetwork(layers, shipped.name).sha256 != shipped.sha256


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


def layer(**members):
    given = {
        "name": "fc1",
        "weights": np.ones((2, 3), int),
        "bias": np.zeros(2, int),
        "requantisation": Requantisation(1, 1, 255),
    }
    return QuantisedLayer(**given | members)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"weights": np.ones((2, 3, 5))}, "shape"),
        ({"weights": np.full((2, 3), 128)}, "outside -128…127"),
        ({"weights": np.full((2, 3), 4), "operands": Operands(8, 3)}, "outside -4…3"),
        ({"bias": np.zeros(3)}, "bias of shape"),
        ({"bias": np.full(2, 2**30)}, "bias"),
        ({"input_rounding": 256}, "input rounding"),
        ({"geometry": Geometry(padding=1)}, "fully-connected"),
    ],
)
def test_a_layer_out_of_range_is_refused(members, message):
    with pytest.raises(Refusal, match=message):
        layer(**members)


@pytest.mark.parametrize(
    "layers",
    [
        (),
        (layer(),),
        (layer(), layer(requantisation=None)),
        (layer(requantisation=None), layer(name="fc2", requantisation=None)),
        (layer(), layer(name="fc2", operands=Operands(4, 4), requantisation=None)),
    ],
    ids=["none", "last requantised", "same name", "first not requantised", "widths"],
)
def test_layers_that_do_not_follow_one_another_are_refused(layers):
    with pytest.raises(Refusal):
        QuantisedNetwork(layers)


@pytest.mark.parametrize("width", [1, 9])
def test_widths_out_of_range_are_refused(width):
    with pytest.raises(Refusal, match="2 to 8 bits"):
        Operands(width, 8)
    with pytest.raises(Refusal, match="2 to 8 bits"):
        Operands(8, width)


def test_pixels_become_codes_by_rounding_and_saturating():
    pixels = np.array([[[0, 1, 2, 127, 128, 253, 254, 255]]], np.uint8)
    assert Operands().codes_of(pixels)[0, 0, 0].tolist() == pixels[0, 0].tolist()
    assert Operands(8, 8, True).codes_of(pixels)[0, 0, 0].tolist() == [0, 1, 1, 64, 64, 127, 127, 127]
    assert Operands(2, 8).codes_of(pixels)[0, 0, 0].tolist() == [0, 0, 0, 2, 2, 3, 3, 3]
