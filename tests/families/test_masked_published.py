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


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: row["name"])
def test_errors_are_the_published_ones(row):
    """Published means have two to four significant digits."""
    errors = Errors.of(table_of(row))
    assert errors.wce == float(row["published_wce"])
    published = row["published_mae"]
    decimals = len(published.partition(".")[2])
    # The library cuts off some of its digits and rounds others.
    assert abs(errors.mae - float(published)) < 10**-decimals
