"""Numbers without a shape: every table that they could be, and why one of them is.

A file of raw bytes says neither how wide its elements are nor how many rows it has: 256 bytes are 16 × 16
numbers of one byte, 8 × 8 of four, and more. All readings that the size and the numbers allow are listed. One is
taken where no other is left. Where the element type or the shape is stated, it may also be the one that is several
times nearer to exact products than any other. Else all are refused: a wrong one would give figures, not an error.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amhw.refusal import Refusal
from amhw.table import LARGEST, code_values

_SHOWN = 4
"""How many possible readings a refusal lists."""

_CLEARLY = 4
"""How many times smaller than any other's the mean error of a reading must be where something is stated."""

_SAMPLED = 1 << 10
"""The mean error of a reading is taken over so many rows and columns at most."""

Shape = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Possible:
    """One reading of numbers without a shape.

    Attributes:
        products: the table that it gives.
        dtype: the element type, or None where the numbers have one already.
    """

    products: NDArray[Any]
    dtype: np.dtype[Any] | None

    def mean_error(self, signs: tuple[bool, bool]) -> float:
        """The mean absolute error against exact products, which is small where the reading is right."""
        rows, columns = self.products.shape
        a, b = (code_values(side.bit_length() - 1, signed) for side, signed in zip((rows, columns), signs, strict=True))
        some = slice(None, None, max(1, rows // _SAMPLED)), slice(None, None, max(1, columns // _SAMPLED))
        exact = a[some[0], None] * b[None, some[1]]
        return float(np.abs(self.products[some].astype(np.float64) - exact).mean())

    def __str__(self) -> str:
        stated = "" if self.dtype is None else f"--dtype {self.dtype.name} "
        return f"{stated}--shape {_text(self.products.shape)}"


def raw_table(content: bytes, signs: tuple[bool, bool], dtype: str | None, shape: Shape | None) -> NDArray[Any]:
    """The table in raw bytes, first index first.

    Args:
        content: the bytes, little-endian unless `dtype` says otherwise.
        signs: which indices are two's complement; whole numbers of 8 and 16 bits are signed if one of them is.
        dtype, shape: what is known of the elements and the table, or None.

    Raises:
        Refusal: no reading is possible, or several are; they are listed with their mean errors.
    """
    found = []
    for element in _element_types(any(signs)) if dtype is None else [_stated(dtype)]:
        if len(content) % element.itemsize == 0:
            numbers = whole(np.frombuffer(content, dtype=element))
            if numbers is not None:
                found += [Possible(table, element) for table in _shaped(numbers, shape)]
    stated = " ".join([*([dtype] if dtype else []), *([_text(shape)] if shape else [])])
    return _only(found, signs, f"{len(content)} bytes", f"table of {stated or 'whole numbers'}", bool(stated))


def shaped(numbers: NDArray[Any], signs: tuple[bool, bool], shape: Shape | None) -> NDArray[Any]:
    """The table in numbers that stand in one row.

    Raises:
        Refusal: as `raw_table`.
    """
    found = [Possible(table, None) for table in _shaped(numbers, shape)]
    return _only(
        found, signs, f"{numbers.size} numbers in a row", f"table of {_text(shape) if shape else 'products'}", True
    )


def stated_shape(text: str) -> Shape:
    """Rows and columns as ``256x256`` states them.

    Raises:
        Refusal: it is no such text, or they are no powers of two.
    """
    rows, _, columns = text.replace("×", "x").partition("x")
    if rows.isdecimal() and columns.isdecimal() and len(text) < 24:
        shape = int(rows), int(columns)
        if all(side >= 2 and not side & (side - 1) for side in shape) and shape[0] * shape[1] <= LARGEST:
            return shape
    raise Refusal(f"--shape {text!r} is no ROWSxCOLUMNS of powers of two, such as 256x256")


def whole(numbers: NDArray[Any]) -> NDArray[Any] | None:
    """`numbers` as integers if a product table can hold each of them, else None."""
    if numbers.dtype.kind == "f" and not (np.isfinite(numbers).all() and (numbers == np.rint(numbers)).all()):
        return None
    limits = np.iinfo(np.int32)
    if numbers.size and not (numbers.min() >= limits.min and numbers.max() <= limits.max):
        return None
    return numbers.astype(np.int64)


def _text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _element_types(signed: bool) -> Iterator[np.dtype[Any]]:
    # A whole number of 32 or 64 bits holds an unsigned product as well, and an approximate one below zero too.
    for name in ("i1", "i2") if signed else ("u1", "u2"):
        yield np.dtype(f"<{name}")
    for name in ("i4", "i8", "f4", "f8"):
        yield np.dtype(f"<{name}")


def _stated(text: str) -> np.dtype[Any]:
    try:
        dtype = np.dtype(text)
    except (TypeError, ValueError):
        dtype = np.dtype(object)
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise Refusal(
            f"--dtype {text!r} is no element type; say for example uint16, int32, float32, or >u2 (big-endian)"
        )
    return dtype


def _shaped(numbers: NDArray[Any], shape: Shape | None) -> list[NDArray[Any]]:
    if shape is not None:
        return [numbers.reshape(shape)] if numbers.size == shape[0] * shape[1] else []
    count = numbers.size
    if count > LARGEST or count & (count - 1):
        return []
    return [numbers.reshape(1 << rows, -1) for rows in range(1, count.bit_length() - 1)]


def _only(
    found: Sequence[Possible], signs: tuple[bool, bool], what: str, wanted: str, something_stated: bool
) -> NDArray[Any]:
    if not found:
        raise Refusal(f"{what} are no {wanted} with 2^m × 2^n entries")
    if len(found) == 1:
        return found[0].products
    errors = [each.mean_error(signs) for each in found]
    ranked = sorted(range(len(found)), key=lambda k: errors[k])
    best, second = ranked[:2]
    if something_stated and errors[best] * _CLEARLY < errors[second]:
        return found[best].products
    listed = ", ".join(f"{found[k]} (MAE {errors[k]:.4g})" for k in ranked[:_SHOWN])
    more = f" and {len(ranked) - _SHOWN} more" if len(ranked) > _SHOWN else ""
    raise Refusal(f"{what} can be read in {len(ranked)} ways; say which: {listed}{more}")
