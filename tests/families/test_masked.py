"""The masked multiplier: three answers that never look at each other, and every way to write a mask."""

import numpy as np
import pytest
from amaranth_products import all_pairs, simulate, some_pairs
from hypothesis import given, settings
from hypothesis import strategies as st

from amhw import Masked, Refusal, parse
from amhw.bitheap import ADDERS, TREES
from amhw.table import ProductTable

MASKS = {
    "full": "full",
    "eight kept": "0,0,0,0,0,c0,e0,e0",
    "columns": "columns>=9",
    "scattered": "1,82,44,28,18,24,c2,81",
}


def bit_by_bit(multiplier: Masked, a: int, b: int) -> int:
    """The definition, spelt out with Python integers: the sum of the kept weights."""
    total = 0
    for i, row in enumerate(multiplier.rows):
        for j in range(multiplier.width_b):
            weight_a = -(2**i) if multiplier.signed_a and i == multiplier.width_a - 1 else 2**i
            weight_b = -(2**j) if multiplier.signed_b and j == multiplier.width_b - 1 else 2**j
            total += (row >> j & 1) * (a >> i & 1) * (b >> j & 1) * weight_a * weight_b
    return total


@pytest.mark.parametrize(("signed_a", "signed_b"), [(False, True), (True, True)])
def test_datapath_is_golden_for_every_pair(signed_a, signed_b):
    masked = [Masked.from_text(text, 8, 8, signed_a=signed_a, signed_b=signed_b) for text in MASKS.values()]
    a, b = all_pairs(masked[0])
    products = simulate([multiplier.create() for multiplier in masked], a, b)
    for multiplier, product in zip(masked, products, strict=True):
        assert (product == multiplier.golden(a, b)).all(), multiplier.name


@st.composite
def masked_multipliers(draw, smallest=2, largest=11):
    width_a, width_b = (draw(st.integers(smallest, largest)) for _ in "ab")
    rows = draw(st.lists(st.integers(0, 2**width_b - 1), min_size=width_a, max_size=width_a).filter(any))
    return Masked(
        rows=tuple(rows), width_a=width_a, width_b=width_b, signed_a=draw(st.booleans()), signed_b=draw(st.booleans())
    )


@settings(max_examples=60, deadline=None)
@given(masked_multipliers(), st.sampled_from(TREES), st.sampled_from(ADDERS), st.integers(0, 2**32))
def test_datapath_golden_and_definition_agree(multiplier, tree, adder, seed):
    a, b = some_pairs(multiplier, 40, seed)
    [products] = simulate([multiplier.create(tree=tree, adder=adder)], a, b)
    golden = multiplier.golden(a, b)
    assert (products == golden).all()
    assert golden.tolist() == [bit_by_bit(multiplier, x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)]


def test_widest_products_are_exact():
    multiplier = Masked.exact(32, 32)
    top = 2**32 - 1
    assert multiplier.golden(top, top).item() == top * top
    a, b = np.array([top, 0, 2**31], dtype=object), np.array([top, top, 3], dtype=object)
    [products] = simulate([multiplier.create()], a, b)
    assert products.tolist() == [top * top, 0, 3 * 2**31]


@settings(max_examples=200, deadline=None)
@given(masked_multipliers(largest=32))
def test_name_gives_the_value_back(multiplier):
    assert parse(multiplier.name) == multiplier
    assert len(multiplier.name) < 240
    assert multiplier.name.isidentifier()


def test_different_masks_have_different_names():
    names = {
        Masked.from_text(text, wa, wb, signed_a=sa, signed_b=sb).name
        for text in ("full", "columns>=1", "columns>=2", "0x8001")
        for wa, wb in ((4, 4), (4, 8), (8, 4))
        for sa in (False, True)
        for sb in (False, True)
    }
    assert len(names) == 4 * 3 * 2 * 2


@pytest.mark.parametrize(
    "text",
    ["0,0,0,0,0,c0,e0,e0", "0xe0e0c00000000000", "0x00E0E0C00000000000", " 0,0,0,0,0,0xC0,e0 , e0 "],
)
def test_ways_to_write_one_mask(text):
    assert Masked.from_text(text, 8, 8).rows == (0, 0, 0, 0, 0, 0xC0, 0xE0, 0xE0)


def test_mask_from_a_file(tmp_path):
    file = tmp_path / "mask"
    file.write_text("0\n0\n3\nf\n")
    assert Masked.from_text(f"@{file}", 4, 4).rows == (0, 0, 3, 15)


def test_columns_keep_the_heavy_partial_products():
    rows = Masked.from_text("columns>=9", 8, 8).rows
    assert [[row >> j & 1 for j in range(8)] for row in rows] == [[int(i + j >= 9) for j in range(8)] for i in range(8)]


@pytest.mark.parametrize(
    ("text", "width", "words"),
    [
        ("0,0,0,0,0,0,0,0", 8, "no partial product"),
        ("columns>=15", 8, "no partial product"),
        ("ff,ff", 8, "2 rows"),
        ("1ff,0,0,0,0,0,0,0", 8, "a_0"),
        ("0x10000", 4, "16 bits"),
        ("hello", 8, "columns>=K"),
        ("", 8, "columns>=K"),
        ("-1,0", 2, "columns>=K"),
        ("@/nonexistent/mask", 8, "/nonexistent/mask"),
        ("full", 1, "2 to 32"),
        ("full", 33, "2 to 32"),
    ],
)
def test_bad_masks_are_refused(text, width, words):
    with pytest.raises(Refusal, match=words.replace("(", r"\(")):
        Masked.from_text(text, width, width)


@pytest.mark.parametrize(
    "name",
    ["", "mul", "mul_u8s8_pp", "mul_u8s8_nosuch_1", "mul_u8s8_pp_0_0", "mul_u1u8_pp_full", "mul_u8u8_pp_FULL",
     "mul_u2u2_pp_03_3", "mul_u2u2_pp_3_3", "mul_u08u8_pp_full", "mul_u8s8_pp_packed_zzzz", "mul_u8s8_pp_packed_0"],
)  # fmt: skip
def test_names_that_are_not_canonical_are_refused(name):
    with pytest.raises(Refusal):
        parse(name)


def test_golden_refuses_what_is_out_of_range():
    multiplier = Masked.exact(8, 8, signed_b=True)
    for a, b in ((256, 0), (-1, 0), (0, 128), (0, -129)):
        with pytest.raises(Refusal, match="outside"):
            multiplier.golden(a, b)
    with pytest.raises(Refusal, match="float"):
        multiplier.golden(1.5, 2)


@settings(max_examples=40, deadline=None)
@given(masked_multipliers(smallest=3, largest=8))
def test_factors_are_exact_and_few(multiplier):
    table = ProductTable.of(multiplier)
    factors = table.factors()
    assert factors is not None
    assert (factors.u.T @ factors.v == table.products).all()
    assert len(factors.u) <= len(set(multiplier.rows) - {0})


def test_diagram_shows_every_partial_product():
    multiplier = Masked.from_text("1,82,44,28,18,24,c2,81", 8, 8, signed_b=True)
    picture = "".join(line[3:] for line in multiplier.diagram().splitlines()[1:])
    assert picture.count("o") + picture.count("-") == multiplier.kept
    assert picture.count("-") == sum(row >> 7 for row in multiplier.rows)
    assert picture.count(".") == 64 - multiplier.kept
