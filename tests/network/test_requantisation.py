"""The one rounding, against Python's integers, and all that restates it, over every code."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from amhw.network.requantisation import Addition, Requantisation
from amhw.nn.layers import rounded_half_up
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


@given(
    x=st.integers(0, 255),
    z=st.integers(-128, 127),
    multipliers=st.tuples(st.integers(1, 2**16 - 1), st.integers(1, 2**16 - 1)),
    shift=st.integers(1, 40),
    limits=st.sampled_from([(0, 255), (0, 127), (-128, 127)]),
)
def test_addition_is_python_integer_arithmetic(x, z, multipliers, shift, limits):
    lowest, highest = limits
    found = Addition(multipliers, shift, highest, lowest)(np.array([x]), np.array([z]))[0]
    rounded = (x * multipliers[0] + z * multipliers[1] + 2 ** (shift - 1)) // 2**shift
    assert found == min(max(rounded, lowest), highest)


def test_signed_codes_are_rounded_and_clamped_at_both_ends():
    quarter = Requantisation(1, 2, 127, -128)
    values = np.array([-2000, -514, -512, -6, -3, -2, -1, 0, 2, 510, 2000])
    assert quarter(values).tolist() == [-128, -128, -128, -1, -1, 0, 0, 0, 1, 127, 127]
    assert quarter(values).dtype == np.int8


@pytest.mark.parametrize("multiplier", [1, 3, 255, 32768, 40001, 2**16 - 1])
@pytest.mark.parametrize("shift", [1, 7, 16, 23, 33, 40])
@pytest.mark.parametrize("limits", [(0, 255), (0, 3), (-128, 127)])
def test_torch_layers_round_every_sum_as_numpy_does(multiplier, shift, limits):
    """The sums where the code changes, and one to either side: over every code, and beyond both ends."""
    lowest, highest = limits
    constants = Requantisation(multiplier, shift, highest, lowest)
    codes = np.arange(lowest - 1, highest + 2, dtype=object)
    edges = [int(code * 2**shift - 2 ** (shift - 1)) // multiplier for code in codes]
    sums = np.array([edge + step for edge in edges for step in (-1, 0, 1)], dtype=np.float64)
    sums = sums[np.abs(sums) < 2**31].astype(np.int64)
    found = rounded_half_up(torch.tensor(sums).double() * constants.scale, lowest, highest)
    assert found.tolist() == constants(sums).tolist()


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"multiplier": 0}, "multiplier 0"),
        ({"multiplier": 2**16}, "multiplier 65536"),
        ({"shift": 41}, "shift 41"),
        ({"maximum": 256}, "maximum 256"),
        ({"maximum": 255, "minimum": -128}, "maximum 255; wanted 1…127"),
        ({"minimum": -129}, "minimum -129"),
    ],
)
def test_constants_out_of_range_are_refused(members, message):
    with pytest.raises(Refusal, match=message):
        Requantisation(**{"multiplier": 1, "shift": 1, "maximum": 100} | members)
