"""Published circuits as oracles: thirteen signed ones are masks, and all 25 tables have the published errors."""

import pytest
from evoapprox import PUBLISHED, SIGNED, UNSIGNED, mask_of, table_of

from amhw import ProductTable
from amhw.errors import Errors


@pytest.mark.parametrize("row", SIGNED, ids=lambda row: row["name"])
def test_signed_circuit_is_a_mask(row):
    """The hash is that of the table computed from the published circuit."""
    assert ProductTable.of(mask_of(row)).sha256 == row["table_sha256"]


@pytest.mark.parametrize("row", UNSIGNED, ids=lambda row: row["name"])
def test_unsigned_table_is_the_published_circuits(row):
    assert table_of(row).sha256 == row["table_sha256"]


def unit(text: str) -> float:
    """One unit of the last digit of a published figure: the library cuts off some digits and rounds others."""
    digits, _, exponent = text.partition("e")
    return 10.0 ** (int(exponent or 0) - len(digits.partition(".")[2]))


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: row["name"])
def test_errors_are_the_published_ones(row):
    errors = Errors.of(table_of(row))
    assert errors.wce == float(row["published_wce"])
    for figure, published in (
        (errors.mae, row["published_mae"]),
        (errors.mse, row["published_mse"]),
        (100 * errors.ep, row["published_ep_percent"]),
        (100 * errors.mred, row["published_mre_percent"]),
        (100 * errors.wcre, row["published_wcre_percent"]),
    ):
        assert abs(figure - float(published)) < unit(published)
