"""What looks wrong is noted; what only looks alike is not."""

import numpy as np
import pytest
from evoapprox import SIGNED, UNSIGNED, table_of

from amhw import Masked, ProductTable
from amhw.families import SignMagnitude
from amhw.families.catalogue import representatives
from amhw.imports import read_table, suspicions

CODES = np.arange(256)
VALUES = np.where(CODES > 127, CODES - 256, CODES)
EXACT, SIGNED_EXACT = CODES[:, None] * CODES[None, :], VALUES[:, None] * VALUES[None, :]


def significant(products: np.ndarray, digits: int) -> np.ndarray:
    """Rounded towards minus infinity to so many significant bits."""
    step = 1 << np.maximum(0, np.floor(np.log2(np.maximum(np.abs(products), 1))).astype(int) + 1 - digits)
    return products // step * step


LOOK_ALIKE = {
    "an exact product rounded down": (SIGNED_EXACT >> 4 << 4, True),
    "rounded to the nearest": (SIGNED_EXACT + 8 >> 4 << 4, True),
    "rounded down to six significant bits": (significant(SIGNED_EXACT, 6), True),
    "rounded towards zero": (np.sign(SIGNED_EXACT) * (np.abs(SIGNED_EXACT) >> 4 << 4), True),
    "an approximate operand, rounded down": (VALUES[:, None] * np.sign(VALUES) * (np.abs(VALUES) & ~3) >> 3 << 3, True),
    "ones' complement": (np.where(SIGNED_EXACT < 0, SIGNED_EXACT - 1, SIGNED_EXACT), True),
    "zeros where there should be none": (np.where(EXACT == 1, 0, EXACT), False),
    "two kept partial products": (EXACT & 0x4000, False),
    "four high bits of each operand": ((CODES[:, None] >> 4) * (CODES[None, :] >> 4) << 8, False),
    "products that are all too small": (EXACT - (EXACT >> 3), False),
    "half of the largest products missing": (np.minimum(EXACT, 0x3FFF), False),
}  # fmt: skip


@pytest.mark.parametrize("name", LOOK_ALIKE)
def test_what_looks_alike_is_not_noted(name):
    products, signed = LOOK_ALIKE[name]
    assert suspicions(ProductTable(products, signed, signed)) == []


@pytest.mark.parametrize("signed", [(False, False), (False, True), (True, False), (True, True)])
def test_no_family_looks_wrong(signed):
    for _, multiplier in representatives(signed_a=signed[0], signed_b=signed[1]):
        expected = [] if multiplier.zero_exception is None else ["0·x is not always 0"]
        assert suspicions(ProductTable.of(multiplier)) == expected, multiplier.name


def test_no_ones_complement_of_a_core_looks_wrong():
    for entry, core in representatives():
        multiplier = SignMagnitude(core=core, signed_a=True, signed_b=True, negation="ones")
        assert suspicions(ProductTable.of(multiplier)) == [], entry.title


def test_few_partial_products_do_not_look_wrong():
    random = np.random.default_rng(0)
    for k in range(60):
        rows = tuple(int(row) for row in np.bitwise_and.reduce(random.integers(0, 256, (3, 8)), axis=0))
        multiplier = Masked(rows=rows, width_a=8, width_b=8, signed_a=bool(k & 1), signed_b=bool(k & 2))
        assert suspicions(ProductTable.of(multiplier)) == [], multiplier.name


@pytest.mark.parametrize("shift", [3, 8])
@pytest.mark.parametrize("row", [*SIGNED[1:4], *UNSIGNED[:3]], ids=lambda row: row["name"])
def test_an_output_without_its_low_bits_is_noted_and_read_with_its_weight(tmp_path, row, shift):
    """MAE 13 to 131 where the products count at their weight, some 3,000 to 16,000 where they do not."""
    whole = table_of(row)
    signed = "both" if row["signedness"] == "signed" else "none"
    np.save(tmp_path / "high.npy", whole.products >> shift)
    taken = read_table(tmp_path / "high.npy", signed=signed, order="ab")
    assert any(f"with a lowest bit of 2^{shift} " in doubt for doubt in suspicions(taken))
    read = read_table(tmp_path / "high.npy", signed=signed, order="ab", shift=shift)
    assert (read.products == whole.products >> shift << shift).all()
    assert not any("--shift" in doubt for doubt in suspicions(read))
