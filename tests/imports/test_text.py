"""Tables as text, in the dialects that spreadsheets and programs write."""

from pathlib import Path

import numpy as np
import pytest

from amhw import Masked, ProductTable, Refusal
from amhw.imports import read_table

FIELD = Path(__file__).parent.parent / "data" / "field"

TABLE = ProductTable.of(Masked.columns(3, 3, 4, signed_b=True))
"""Not square, not symmetric, signed in b."""

LINES = [(a, b, int(TABLE.products[a, b % 16])) for a in range(8) for b in range(-8, 8)]
GRID = TABLE.products.tolist()
BY_VALUE = TABLE.products[:, list(range(8, 16)) + list(range(8))].tolist()


def text(rows, delimiter=",", quote=""):
    return "\n".join(delimiter.join(f"{quote}{cell}{quote}" for cell in row) for row in rows) + "\n"


LISTS = {
    "plain": text([("a", "b", "p"), *LINES]),
    "upper case": text([("A", "B", "P"), *LINES]),
    "another order": text([("P", "a", "B"), *((p, a, b) for a, b, p in LINES)]),
    "quotes": text([("a", "b", "p"), *LINES], quote='"'),
    "semicolons": text([("A", "B", "P"), *LINES], ";"),
    "semicolons, said first": "sep=;\r\n" + text([("A", "B", "P"), *LINES], ";").replace("\n", "\r\n"),
    "tabs": text([("a", "b", "p"), *LINES], "\t"),
    "blanks": text([("a", "b", "p"), *LINES], "  "),
    "an index without a name": text([("", "a", "b", "p"), *((k, *line) for k, line in enumerate(LINES))]),
    "columns that do not count": text([("exact", "a", "b", "p", "n"), *((a * b, a, b, p, "") for a, b, p in LINES)]),
    "padded": text([("a", "b", "p"), *((f"{a:03d}", f"{b:+04d}", f"{p:06d}") for a, b, p in LINES)]),
    "floating point": text([("a", "b", "p"), *((f"{a:.18e}", f"{b:.1f}", f"{p:.18e}") for a, b, p in LINES)]),
    "delimiters at the ends": text([("a", "b", "p", ""), *((*line, "") for line in LINES)]),
}  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", LISTS)
def test_lists_of_products(tmp_path, name, encoding):
    (tmp_path / "t.csv").write_text(LISTS[name], encoding=encoding)
    assert read_table(tmp_path / "t.csv", signed="b").sha256 == TABLE.sha256


CODES, VALUES = list(range(16)), list(range(-8, 8))

GRIDS = {
    "plain": text(GRID),
    "semicolons and quotes": text(GRID, ";", '"'),
    "delimiters at the ends": text([*row, ""] for row in GRID),
    "hexadecimal": text([f"0x{cell:x}" if cell >= 0 else f"-0x{-cell:x}" for cell in row] for row in GRID),
    "index column": text([a, *row] for a, row in enumerate(GRID)),
    "codes above": text([CODES, *GRID]),
    "codes above, index column": text([["", *CODES], *([a, *row] for a, row in enumerate(GRID))]),
    "values above, index column": text([["a\\b", *VALUES], *([a, *row] for a, row in enumerate(BY_VALUE))]),
    "rows from the bottom up": text([["", *CODES], *([a, *GRID[a]] for a in range(7, -1, -1))]),
    "a comment": "# a down, b across\n" + text(GRID),
}


@pytest.mark.parametrize("name", GRIDS)
def test_grids_of_products(tmp_path, name):
    (tmp_path / "t.csv").write_text("\ufeff" + GRIDS[name], encoding="utf-8")
    assert read_table(tmp_path / "t.csv", signed="b", order="ab").sha256 == TABLE.sha256


def test_decimals_padded_with_zeros():
    codes = np.arange(16)
    read = read_table(FIELD / "padded.csv", signed="none", order="ab")
    assert (read.products == codes[:, None] * codes[None, :]).all()


def test_a_leading_zero_is_octal_in_c_and_nowhere_else(tmp_path):
    (tmp_path / "t.h").write_text("int t[2][2] = {{010, 0x1Fu}, {-3L, 0}};")
    assert read_table(tmp_path / "t.h", signed="both", order="ab").products.tolist() == [[8, 31], [-3, 0]]
    (tmp_path / "t.csv").write_text("010,0x1F\n-3,0\n")
    assert read_table(tmp_path / "t.csv", signed="both", order="ab").products.tolist() == [[10, 31], [-3, 0]]
    (tmp_path / "t.h").write_text("int t[2][2] = {08, 1, 2, 3};")
    with pytest.raises(Refusal, match="'08' is no integer in C"):
        read_table(tmp_path / "t.h", signed="none", order="ab")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (text([("a", "b", "p", "a"), (0, 0, 0, 0)]), "twice"),
        (text([("a", "b", "p"), (0, 0)]), "fields of the header"),
        (text([["", *range(1, 17)], *([a, *row] for a, row in enumerate(GRID))]), "columns are labelled 1 … 16"),
        (text([["", *CODES], *([0, *row] for row in GRID)]), "rows are labelled 0 … 0"),
        (text([(1, 0.5), (3, 4)]), "'0.5' is no integer"),
        (text([(1, "1e400"), (3, 4)]), "no integer"),
        (text([(1, "nan"), (3, 4)]), "no integer"),
        (text([(1, "9" * 6000), (3, 4)]), "no integer"),
        (text([(1, ""), (3, 4)]), "'' is no integer"),
        ('"1,2\n3,4\n', "no integer"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, content, words):
    (tmp_path / "t.csv").write_text(content, encoding="utf-8")
    with pytest.raises(Refusal) as refusal:
        read_table(tmp_path / "t.csv", signed="b", order=None if content.startswith("a,") else "ab")
    assert words in str(refusal.value) and "\n" not in str(refusal.value)
