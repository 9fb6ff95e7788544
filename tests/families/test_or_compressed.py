"""OR-compressed columns against the definition, bit by bit, and against its neighbours."""

import numpy as np
from evoapprox import UNSIGNED, table_of
from hypothesis import given, settings
from hypothesis import strategies as st

from amhw import Masked, ProductTable
from amhw.families import OrCompressed, SignMagnitude


def bit_by_bit(multiplier: OrCompressed, a: int, b: int) -> int:
    """The definition, spelt out: in each column the ones of either sign, counted or only noticed."""
    total = 0
    for k in range(multiplier.width_a + multiplier.width_b - 1):
        counts = {1: 0, -1: 0}
        for i in range(multiplier.width_a):
            j = k - i
            if 0 <= j < multiplier.width_b and multiplier.rows[i] >> j & 1:
                sign_a = -1 if multiplier.signed_a and i == multiplier.width_a - 1 else 1
                sign_b = -1 if multiplier.signed_b and j == multiplier.width_b - 1 else 1
                counts[sign_a * sign_b] += (a >> i & 1) * (b >> j & 1)
        for sign, count in counts.items():
            total += sign * 2**k * (min(count, 1) if k in multiplier.or_columns else count)
    return total


@st.composite
def or_multipliers(draw):
    width_a, width_b = draw(st.integers(2, 8)), draw(st.integers(2, 8))
    rows = draw(st.lists(st.integers(0, 2**width_b - 1), min_size=width_a, max_size=width_a).filter(any))
    return OrCompressed(
        rows=tuple(rows),
        or_columns=tuple(draw(st.sets(st.integers(0, width_a + width_b - 2)))),
        width_a=width_a,
        width_b=width_b,
        signed_a=draw(st.booleans()),
        signed_b=draw(st.booleans()),
    )


@settings(max_examples=100, deadline=None)
@given(or_multipliers(), st.integers(0, 2**32))
def test_golden_is_the_definition(multiplier, seed):
    random = np.random.default_rng(seed)
    (low_a, high_a), (low_b, high_b) = multiplier.range_a, multiplier.range_b
    a = random.integers(low_a, high_a, 30, endpoint=True)
    b = random.integers(low_b, high_b, 30, endpoint=True)
    expected = [bit_by_bit(multiplier, x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    assert multiplier.golden(a, b).tolist() == expected


@settings(max_examples=50, deadline=None)
@given(or_multipliers())
def test_columns_with_nothing_to_or_have_no_name(multiplier):
    again = OrCompressed.of_columns(
        set(multiplier.or_columns) | {0, multiplier.width_a + multiplier.width_b - 2},
        multiplier.rows,
        width_a=multiplier.width_a,
        width_b=multiplier.width_b,
        signed_a=multiplier.signed_a,
        signed_b=multiplier.signed_b,
    )
    assert again == multiplier and again.name == multiplier.name


def test_no_or_column_is_the_mask():
    rows = (0, 0x80, 0xC0, 0xE0, 0xF0, 0xF8, 0xFC, 0xFE)
    for signed_b in (False, True):
        plain = OrCompressed.of_columns([], rows, width_a=8, width_b=8, signed_b=signed_b)
        masked = Masked(rows=rows, width_a=8, width_b=8, signed_b=signed_b)
        assert (ProductTable.of(plain).products == ProductTable.of(masked).products).all()


def test_magnitudes_suit_small_negative_weights():
    """−1 is all ones in two's complement: OR gates count it wrongly unless the magnitude is taken."""
    plain = OrCompressed.of_columns(range(15), width_a=8, width_b=8, signed_b=True)
    wrapped = SignMagnitude(core=OrCompressed.of_columns(range(15), width_a=8, width_b=8), signed_b=True)
    a = np.arange(256)
    assert (wrapped.golden(a, -1) == -a).all()
    assert np.abs(plain.golden(a, -1) + a).max() > 10_000


def test_a_published_circuit_without_carries():
    """mul8u_YX7 ORs every column (and counts one product, a_0·b_7, in column 6 instead of 7)."""
    published = table_of(next(row for row in UNSIGNED if row["name"] == "mul8u_YX7")).products
    ours = ProductTable.of(OrCompressed.of_columns(range(15), width_a=8, width_b=8)).products
    a, b = np.arange(256)[:, None], np.arange(256)[None, :]
    elsewhere = ((a & 1) & (b >> 7)) == 0
    assert (ours == published)[elsewhere].all()
    assert elsewhere.mean() == 0.75


def test_or_is_exact_while_one_input_is_one():
    multiplier = OrCompressed.of_columns(range(15), width_a=8, width_b=8)
    for bit in range(8):
        assert (multiplier.golden(1 << bit, np.arange(256)) == np.arange(256) << bit).all()
    assert multiplier.golden(3, 3) == 7
