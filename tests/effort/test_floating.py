"""The floating-point multiply-accumulate: its circuit against float32 arithmetic."""

import re

import numpy as np
import pytest

from amhw import Masked, Refusal
from amhw.circuit import Circuit
from amhw.effort.floating import float_multiply_accumulate, float_sum
from amhw.verilog import emit


@pytest.fixture(scope="module")
def circuit():
    unit = float_multiply_accumulate(Masked.exact(8, 8))
    return Circuit.read(emit(unit, unit.name), unit.name)


def operands(count):
    """Of all sizes; sums near the product, of the other sign, as often as not."""
    random = np.random.default_rng(0)
    a, b = (random.integers(0, 2, count) << 15 | random.integers(60, 160, count) << 7 for _ in range(2))
    a, b = (x | random.integers(0, 128, count) for x in (a, b))
    product = ((a << 16).astype(np.uint32).view(np.float32)) * ((b << 16).astype(np.uint32).view(np.float32))
    near = (product.view(np.uint32) ^ (random.integers(0, 2, count) << 31).astype(np.uint32)).view(np.float32)
    s = near * np.exp2(random.integers(-28, 28, count) * random.integers(0, 2, count)).astype(np.float32)
    s *= random.uniform(1, 2, count).astype(np.float32) ** random.integers(0, 2, count)
    s[::7] = near[::7]  # cancels
    s[::11] = 0
    a[::13] = random.integers(0, 2, len(a[::13])) << 15
    a[::17] &= 0x807F  # subnormal
    return a.astype(np.uint16), b.astype(np.uint16), s.astype(np.float32)


def test_the_circuit_is_float32(circuit):
    a, b, s = operands(20_000)
    wanted = float_sum(a, b, s)
    assert np.isfinite(wanted).all() and (wanted == 0).sum() > 100
    found = circuit.evaluate({"a": a, "b": b, "s_in": s.view(np.uint32)})["s_out"].astype(np.uint32).view(np.float32)
    np.testing.assert_array_equal(found, wanted)


def test_by_hand():
    codes = {3.0: 0x4040, -1.5: 0xBFC0, 2.0**-100: 0x0D80}
    a, b = (np.array([codes[x] for x in row], np.uint16) for row in ((3.0, -1.5, 2.0**-100), (-1.5, -1.5, 2.0**-100)))
    assert float_sum(a, b, np.array([4.5, 0.0, 1.0], np.float32)).tolist() == [0.0, 2.25, 1.0]


def test_other_cores_are_refused():
    with pytest.raises(Refusal, match=re.escape("significands are u8u8; mul_u8s8_pp_full multiplies u8s8")):
        float_multiply_accumulate(Masked.exact(8, 8, signed_b=True))
