"""Widths read off a product table, against brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amhw import Masked, ProductTable, Refusal, parse
from amhw.array.widths import Widths, width_of


@given(st.tuples(*[st.integers(0, 15)] * 4).filter(any), st.booleans(), st.booleans(), st.integers(1, 30))
def test_sums_of_extreme_products_fit_exactly(rows, signed_a, signed_b, terms):
    table = ProductTable.of(Masked(rows=rows, width_a=4, width_b=4, signed_a=signed_a, signed_b=signed_b))
    widths = Widths.of(table)
    unit = 1 << widths.shift
    assert not (table.products % unit).any()
    assert (table.products % (2 * unit)).any()
    low, high = min(0, table.products.min()) * terms // unit, max(0, table.products.max()) * terms // unit
    width = widths.sum_width(terms)
    fits = [w for w in range(1, 20) if (-(1 << (w - 1)) <= low and high < 1 << (w - 1) if low < 0 else high < 1 << w)]
    assert width == fits[0]


def test_bits_that_no_product_depends_on_are_found():
    table = ProductTable.of(parse("mul_u8s8_pp_0_0_0_0_0_c0_0_e0"))
    assert (Widths.of(table).bits_a, Widths.of(table).bits_b) == ((5, 7), (5, 6, 7))
    assert Widths.of(table, 128).bits_a == (5,), "bit 7 of an operand a below 128 is never set"


def test_a_table_that_breaks_the_zero_law_is_refused():
    products = np.arange(4)[:, None] * np.arange(4) + 1
    with pytest.raises(Refusal, match="0·x"):
        Widths.of(ProductTable(products))


@given(st.integers(-5000, 0), st.integers(0, 5000))
def test_width_of_a_range(low, high):
    width = width_of(low, high)
    limits = (lambda w: (-(1 << w >> 1), (1 << w >> 1) - 1)) if low < 0 else (lambda w: (0, (1 << w) - 1))
    assert limits(width)[0] <= low and high <= limits(width)[1]
    assert width == 1 or not (limits(width - 1)[0] <= low and high <= limits(width - 1)[1])
