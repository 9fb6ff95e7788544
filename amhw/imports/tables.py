"""Product tables in files: NumPy arrays, raw numbers, CSV and C arrays.

Nothing in such a file says which index is operand a or which operands are signed: both must be stated. (An
order need not be stated where it makes no difference.) Raw bytes say neither their element type nor a shape.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from amhw.arrays import array_in
from amhw.files import read_whole, shown
from amhw.imports.raw import Shape, raw_table, shaped, stated_shape, whole
from amhw.imports.text import c_array, grid, listed
from amhw.multiplier import SIGNEDNESS
from amhw.refusal import Refusal
from amhw.table import LARGEST, ProductTable

SUFFIXES = (".npy", ".bin", ".csv", ".h", ".c")

ORDERS = ("ab", "ba")
"""``ab``: the first index is operand a (activation); ``ba``: it is operand b (weight)."""

_MOST_BYTES = 40 * LARGEST
"""A line of three numbers for each product fits."""


def read_table(
    path: Path | str,
    *,
    signed: str | None,
    order: str | None = None,
    dtype: str | None = None,
    shape: str | None = None,
    shift: int = 0,
) -> ProductTable:
    """The product table in a file, indexed by operand codes (two's complement where an operand is signed).

    Args:
        path: by its suffix one of

            - ``.npy``: integers, or whole floating-point numbers, of shape [2^m, 2^n];
            - ``.bin``: raw numbers, little-endian;
            - ``.csv``: a grid, one line for each first index; or lines under a header that names the columns a,
              b and p, with operand values, which have no order;
            - ``.h``, ``.c``: a C array with its numbers.
        signed: which operands are two's complement: ``none``, ``a``, ``b`` or ``both``. It must be stated.
        order: ``ab`` if the first index is operand a, ``ba`` if it is operand b. It must be stated unless the
            table is symmetric.
        dtype: of ``.bin``, the element type, as NumPy names it; needed where several are possible.
        shape: of ``.bin``, and of numbers in a row, ``ROWSxCOLUMNS``; needed where several are possible.
        shift: the weight of each product's lowest bit is 2^shift.

    Raises:
        Refusal: the file is none of these, can be read in several ways, or signedness or order is missing.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise Refusal(f"{path} is no table file; tables end in {', '.join(SUFFIXES)}")
    if signed is None:
        raise Refusal(f"{path}: which operands are two's complement? say --signed none, a, b or both")
    if signed not in SIGNEDNESS:
        raise Refusal(f"signed is {signed!r}; choose one of {', '.join(SIGNEDNESS)}")
    if order is not None and order not in ORDERS:
        raise Refusal(f"order is {order!r}; choose ab (the first index is operand a) or ba")
    if dtype is not None and path.suffix != ".bin":
        raise Refusal(f"--dtype is for raw numbers (.bin); {path} says its own")
    stated = None if shape is None else stated_shape(shape)
    content = read_whole(path, _MOST_BYTES)
    signs = SIGNEDNESS[signed]
    try:
        if path.suffix == ".csv" and (products := listed(content, signs)) is not None:
            if order is not None:
                raise Refusal("the header names the operands; leave out --order")
            if shape is not None:
                raise Refusal("the lines name the operands; leave out --shape")
            return ProductTable(shifted(products, shift), *signs, name=shown(path.stem))
        by_index = signs if order != "ba" else signs[::-1]
        products = shifted(_indexed(path.suffix, content, by_index, dtype, stated), shift)
        table = ProductTable(products, *by_index, name=shown(path.stem))
    except Refusal as refusal:
        raise Refusal(f"{path}: {refusal}") from None
    if order is None:
        symmetric = products.shape[0] == products.shape[1] and (products == products.T).all()
        if not symmetric or signs[0] != signs[1]:
            raise Refusal(
                f"{path}: which index is operand a? say --order ab (the first; rows) or ba (the second; columns)"
            )
    if order == "ba":
        return ProductTable(table.products.T, *signs, name=shown(path.stem))
    return table


def shifted(products: NDArray[Any], shift: int) -> NDArray[Any]:
    """Products whose lowest bit weighs 2^shift.

    Raises:
        Refusal: the shift is negative, or leaves 32 bits.
    """
    if not 0 <= shift < 32:
        raise Refusal(f"--shift {shift}: the product's lowest bit weighs 2^0 to 2^31")
    if shift == 0:
        return products
    integers = whole(products)
    if integers is None:
        raise Refusal("a product in the table needs more than 32 bits")
    return integers << shift


def _indexed(
    suffix: str, content: bytes, signs: tuple[bool, bool], dtype: str | None, shape: Shape | None
) -> NDArray[Any]:
    """The numbers in a file by first and second index; `signs` are those of the indices."""
    if suffix == ".bin":
        return raw_table(content, signs, dtype, shape)
    readers: dict[str, Callable[[], NDArray[Any]]] = {
        ".npy": lambda: _npy(content),
        ".csv": lambda: grid(content, signs),
        ".h": lambda: c_array(content),
        ".c": lambda: c_array(content),
    }
    products = readers[suffix]()
    if products.ndim == 1:
        return shaped(products, signs, shape)
    if shape is not None and products.shape != shape:
        raise Refusal(f"its numbers have the shape {products.shape}; --shape says {shape}")
    return products


def _npy(content: bytes) -> NDArray[Any]:
    array = array_in(content, LARGEST)
    if array.dtype.kind == "f" and (numbers := whole(array)) is not None:
        return numbers
    return array
