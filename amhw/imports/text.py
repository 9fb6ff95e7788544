"""Product tables as text: grids, lists under a header, C arrays, as spreadsheets and programs write them."""

import csv
import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amhw.files import decoded
from amhw.multiplier import KINDS
from amhw.refusal import Refusal
from amhw.table import LARGEST

_INTEGER = re.compile(r"[+-]?(\d{1,18}|0[xX][0-9a-fA-F]{1,15}|0[bB][01]{1,62})")
_C_INTEGER = re.compile(r"([+-]?(?:0[xX][0-9a-fA-F]{1,15}|\d{1,18}))[uUlL]{0,3}")


def listed(content: bytes, signs: tuple[bool, bool]) -> NDArray[Any] | None:
    """The table that lines under a header with columns a, b and p list; None if there is no such header.

    Columns may stand in any order and be called A, B, P; others (an index, the exact product) do not count. Operands
    are values: a signed one runs from −2^(n−1).

    Raises:
        Refusal: the lines do not list every operand pair once.
    """
    rows = _rows(content)
    header = [name.casefold() for name in rows[0]] if rows else []
    if not {"a", "b", "p"} <= set(header):
        return None
    columns = [header.index(name) for name in ("a", "b", "p")]
    if len({*header} & {"a", "b", "p"}) != sum(name in ("a", "b", "p") for name in header):
        raise Refusal("the header names a, b or p twice")
    if any(len(row) <= max(columns) for row in rows[1:]):
        raise Refusal("a line does not have the fields of the header")
    a, b, p = (integers([row[column] for row in rows[1:]]) for column in columns)
    shape = []
    for name, values, signed in (("a", a, signs[0]), ("b", b, signs[1])):
        side = int(values.max()) - int(values.min()) + 1 if values.size else 0
        if side < 2 or side & (side - 1) or values.min() != (-(side // 2) if signed else 0):
            raise Refusal(f"operand {name} does not run over all values of a {KINDS[signed]} number; see --signed")
        shape.append(side)
    if shape[0] * shape[1] > LARGEST or len(p) != shape[0] * shape[1]:
        raise Refusal(f"{len(p)} products listed for {shape[0]} × {shape[1]} operand pairs")
    products = np.zeros(shape, dtype=np.int64)
    found = np.zeros(shape, dtype=bool)
    products[a, b], found[a, b] = p, True  # −1 is code 2^n − 1, as NumPy counts from the end
    if not found.all():
        raise Refusal("an operand pair is listed twice and another is missing")
    return products


def grid(content: bytes, signs: tuple[bool, bool]) -> NDArray[Any]:
    """The table in lines of numbers, one line for each first index; one number a line is a row of numbers.

    A line of operands above the numbers, a column of them beside, or both, say which row and column is whose: codes, or
    values of an index that `signs` calls signed.

    Raises:
        Refusal: there are no numbers, or lines of different lengths.
    """
    rows = _rows(content)
    if not rows:
        raise Refusal("no products in it")
    if len({len(row) for row in rows}) != 1:
        raise Refusal("lines of different lengths; a grid has one line for each first index")
    above = len(rows) > 2 and _is_side(len(rows) - 1)
    beside = len(rows[0]) > 2 and _is_side(len(rows[0]) - 1)
    labels = rows[0][beside:] if above else None, [row[0] for row in rows[above:]] if beside else None
    body = [row[beside:] for row in rows[above:]]
    products = integers([cell for row in body for cell in row]).reshape(len(body), -1)
    if labels[0] is not None:
        products = _by_code(products.T, labels[0], signs[1], "columns").T
    if labels[1] is not None:
        products = _by_code(products, labels[1], signs[0], "rows")
    return products.ravel() if 1 in products.shape else products


def c_array(content: bytes) -> NDArray[Any]:
    """The numbers of a C array of two dimensions, or of one.

    Raises:
        Refusal: there is none, or it does not hold as many numbers as it declares.
    """
    text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", _text(content), flags=re.DOTALL)
    found = re.search(r"\[\s*(\d{1,9})\s*\](?:\s*\[\s*(\d{1,9})\s*\])?\s*=\s*(\{.*\})\s*;", text, flags=re.DOTALL)
    if found is None:
        raise Refusal("no C array of two dimensions with its numbers: name[256][256] = {…};")
    shape = [int(side) for side in found.group(1, 2) if side is not None]
    cells = re.findall(r"[^\s,{}]+", found[3])
    if len(cells) != np.prod(shape, dtype=object):
        declared = "".join(f"[{side}]" for side in shape)
        raise Refusal(f"{len(cells)} numbers in an array declared {declared}")
    return np.array([_c_integer(cell) for cell in cells], dtype=np.int64).reshape(shape)


def integers(cells: Sequence[str]) -> NDArray[Any]:
    """The numbers that cells hold: decimal (007 is 7), 0x…, 0b…, or decimals like 1.50e+01 that are whole.

    Raises:
        Refusal: one is none, or needs more than 64 bits.
    """
    try:
        return np.array(cells, dtype=np.str_).astype(np.int64)
    except (ValueError, OverflowError):
        return np.array([_integer(cell) for cell in cells], dtype=np.int64)


def _integer(cell: str) -> int:
    if match := _INTEGER.fullmatch(cell):
        return int(cell, 10 if match[1].isdecimal() else 0)
    try:
        number = Decimal(cell)
        if abs(number) < 1 << 62 and number == int(number):
            return int(number)
    except (InvalidOperation, ValueError, OverflowError):
        pass
    raise Refusal(f"{cell[:40]!r} is no integer")


def _c_integer(cell: str) -> int:
    match = _C_INTEGER.fullmatch(cell)
    try:
        if match is not None:
            digits = match[1].lstrip("+-")
            octal = digits.startswith("0") and digits.isdecimal()
            return int(match[1], 8 if octal else 0)
    except ValueError:  # 08
        pass
    raise Refusal(f"{cell[:40]!r} is no integer in C, where a leading 0 means octal")


def _rows(content: bytes) -> list[list[str]]:
    """The cells, without quotes, of each line that is neither empty nor a comment (#).

    Cells stand between semicolons, tabs or commas, whichever the first line has, or between blanks; what follows the
    last mark of every line is no cell if it is empty.
    """
    lines = [line for line in _text(content).splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if lines and re.fullmatch(r'"?sep=.?"?', lines[0].strip()):  # a spreadsheet's word about what follows
        del lines[0]
    if not lines:
        return []
    delimiter = next((mark for mark in ";\t," if mark in lines[0]), None)
    if delimiter is None:
        return [[cell.strip('"') for cell in line.split()] for line in lines]
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=delimiter, skipinitialspace=True)]
    except csv.Error as error:
        raise Refusal(f"no lines of cells: {error}") from None
    while rows and all(row and not row[-1] for row in rows):
        rows = [row[:-1] for row in rows]
    return rows


def _is_side(count: int) -> bool:
    return count >= 2 and not count & (count - 1)


def _by_code(products: NDArray[Any], labels: list[str], signed: bool, what: str) -> NDArray[Any]:
    """`products` with their rows, which belong to the operands `labels`, in the order of codes."""
    values = integers(labels)
    side = len(values)
    low = -(side // 2) if signed and values.min() < 0 else 0
    if not np.array_equal(np.sort(values), np.arange(low, low + side)):
        raise Refusal(
            f"{what} are labelled {values.min()} … {values.max()}, which is not every {KINDS[signed]} operand"
        )
    ordered = np.empty_like(products)
    ordered[values % side] = products
    return ordered


def _text(content: bytes) -> str:
    text = decoded(content)
    if "\0" in text:
        raise Refusal("no text")
    return text
