"""The product table and its separable form."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amhw import Masked, ProductTable, Refusal
from amhw.table import code_values


def test_codes_of_signed_operands_are_twos_complement():
    table = ProductTable.of(Masked.exact(8, 8, signed_a=True, signed_b=True))
    assert table.products[0x80, 0x80] == 128 * 128
    assert table.products[0xFF, 0x7F] == -127
    assert not table.errors.any()


def test_rows_are_operand_a():
    table = ProductTable.of(Masked.exact(3, 5, signed_b=True))
    assert table.products.shape == (8, 32)
    assert (table.width_a, table.width_b) == (3, 5)
    assert table.products[7, 31] == -7


def test_a_table_cannot_be_changed():
    given = np.zeros((4, 4), dtype=np.int32)
    table = ProductTable(given)
    given[1, 1] = 9
    assert table.products[1, 1] == 0
    with pytest.raises(ValueError, match="read-only"):
        table.products[0, 0] = 1


def test_identity_is_the_content():
    exact = Masked.exact(4, 4)
    table = ProductTable.of(exact)
    assert table.sha256 == ProductTable(table.products, name="another name").sha256
    assert table.sha256 != ProductTable(table.products, signed_b=True).sha256
    changed = table.products.copy()
    changed[3, 3] += 1
    assert table.sha256 != ProductTable(changed).sha256
    assert table.sha256 != ProductTable.of(Masked.columns(1, 4, 4)).sha256


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 8), st.integers(0, 2**32))
def test_factors_of_any_low_rank_table(rank, seed):
    random = np.random.default_rng(seed)
    products = random.integers(-9, 9, (32, rank)) @ random.integers(-9, 9, (rank, 16))
    factors = ProductTable(products).factors()
    if factors is None:  # the entries of a basis of an arbitrary lattice may grow too large
        assert rank > 3
        return
    assert (factors.u.T @ factors.v == products).all()
    assert len(factors.u) == np.linalg.matrix_rank(products)


def test_no_factors_beyond_the_limit():
    table = ProductTable(np.random.default_rng(0).integers(0, 1000, (64, 64)))
    assert table.factors() is None


def test_no_fewer_terms_than_the_rank():
    table = ProductTable.of(Masked.from_text("1,3,7,f", 4, 4))
    assert table.factors(max_terms=3) is None
    assert len(table.factors(max_terms=4).u) == 4


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((3, 4), int), "shape"),
        (np.zeros(16, int), "shape"),
        (np.zeros((4, 4)), "float64"),
        (np.full((4, 4), 2**31), "32 bits"),
        (np.zeros((1 << 13, 1 << 12), np.int8), "too large"),
    ],
)
def test_what_is_no_table_is_refused(array, words):
    with pytest.raises(Refusal, match=words):
        ProductTable(array)


def test_too_wide_multipliers_have_no_table():
    with pytest.raises(Refusal, match="2\\^26"):
        ProductTable.of(Masked.exact(13, 13))


def test_code_values_cover_the_range():
    assert sorted(code_values(4, signed=True)) == list(range(-8, 8))
    assert code_values(4, signed=False).tolist() == list(range(16))
