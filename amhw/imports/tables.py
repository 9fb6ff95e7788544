"""Product tables in files: NumPy arrays, raw integers, CSV and C arrays.

Nothing in such a file says which index is operand a or which operands are signed: both must be stated. (An
order need not be stated where it makes no difference.)
"""

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amhw.files import read_whole
from amhw.multiplier import KINDS, SIGNEDNESS
from amhw.refusal import Refusal
from amhw.table import LARGEST, ProductTable

SUFFIXES = (".npy", ".bin", ".csv", ".h", ".c")

ORDERS = ("ab", "ba")
"""``ab``: the first index is operand a (activation); ``ba``: it is operand b (weight)."""


def read_table(path: Path | str, *, signed: str | None, order: str | None = None) -> ProductTable:
    """The product table in a file, indexed by operand codes (two's complement where an operand is signed).

    Args:
        path: by its suffix one of

            - ``.npy``: integers of shape [2^m, 2^n];
            - ``.bin``: 2^n × 2^n little-endian integers of 16 or 32 bits, whichever gives a square;
            - ``.csv``: a grid, one line for each first index; or lines ``a,b,p`` under that header, with
              operand values, which have no order;
            - ``.h``, ``.c``: a C array of two dimensions with its numbers.
        signed: which operands are two's complement: ``none``, ``a``, ``b`` or ``both``. It must be stated.
        order: ``ab`` if the first index is operand a, ``ba`` if it is operand b. It must be stated unless the
            table is symmetric.

    Raises:
        Refusal: the file is none of these, or signedness or order is missing.
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
    content = read_whole(path)
    signs = SIGNEDNESS[signed]
    try:
        if path.suffix == ".csv" and (listed := _listed(content, signs)) is not None:
            if order is not None:
                raise Refusal("the header names the operands; leave out --order")
            return ProductTable(listed, *signs, name=path.stem)
        products = {
            ".npy": _npy, ".bin": lambda data: _raw(data, any(signs)), ".csv": _grid, ".h": _c_array, ".c": _c_array
        }[path.suffix](content)  # fmt: skip
        table = ProductTable(products, *(signs if order != "ba" else signs[::-1]), name=path.stem)
    except Refusal as refusal:
        raise Refusal(f"{path}: {refusal}") from None
    if order is None:
        symmetric = products.shape[0] == products.shape[1] and (products == products.T).all()
        if not symmetric or signs[0] != signs[1]:
            raise Refusal(
                f"{path}: which index is operand a? say --order ab (the first; rows) or ba (the second; columns)"
            )
    if order == "ba":
        return ProductTable(table.products.T, *signs, name=path.stem)
    return table


def _npy(content: bytes) -> NDArray[Any]:
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, OSError):
        raise Refusal("no NumPy array file (.npy)") from None
    if not isinstance(array, np.ndarray):
        raise Refusal("an archive of several arrays; give one .npy array")
    return array


def _raw(content: bytes, negative: bool) -> NDArray[Any]:
    for size in (2, 4):
        side = round((len(content) / size) ** 0.5)
        if side * side * size == len(content) and side >= 2 and not side & (side - 1):
            kind = f"<i{size}" if negative or size == 4 else f"<u{size}"
            return np.frombuffer(content, dtype=kind).reshape(side, side)
    raise Refusal(f"{len(content)} bytes are no square table of 16- or 32-bit integers")


def _grid(content: bytes) -> NDArray[Any]:
    lines = [line for line in _text(content).splitlines() if line.strip() and not line.lstrip().startswith("#")]
    rows = [re.split(r"[,;\s]+", line.strip().rstrip(",;")) for line in lines]
    if not rows:
        raise Refusal("no products in it")
    if len({len(row) for row in rows}) != 1:
        raise Refusal("lines of different lengths; a grid has one line for each first index")
    return _integers([cell for row in rows for cell in row]).reshape(len(rows), -1)


def _listed(content: bytes, signs: tuple[bool, bool]) -> NDArray[Any] | None:
    """The table that lines under an ``a,b,p`` header list, in any column order; None if there is no such header."""
    lines = [line.strip() for line in _text(content).splitlines() if line.strip()]
    header = [name.strip() for name in lines[0].split(",")] if lines else []
    if sorted(header) != ["a", "b", "p"]:
        return None
    cells = [cell for line in lines[1:] for cell in line.split(",")]
    if len(cells) != 3 * (len(lines) - 1):
        raise Refusal("a line does not have the three fields of the header")
    rows = _integers(cells).reshape(-1, 3)
    a, b, p = (rows[:, header.index(name)] for name in ("a", "b", "p"))
    shape = []
    for name, values, signed in (("a", a, signs[0]), ("b", b, signs[1])):
        side = int(values.max()) - int(values.min()) + 1 if values.size else 0
        if side < 2 or side & (side - 1) or values.min() != (-(side // 2) if signed else 0):
            raise Refusal(f"operand {name} does not run over all values of a {KINDS[signed]} number; see --signed")
        shape.append(side)
    if shape[0] * shape[1] > LARGEST or len(p) != shape[0] * shape[1]:
        raise Refusal(f"{len(p)} products listed for {shape[0]} × {shape[1]} operand pairs")
    products = np.zeros(shape, dtype=np.int64)
    listed = np.zeros(shape, dtype=bool)
    products[a, b], listed[a, b] = p, True  # −1 is code 2^n − 1, as NumPy counts from the end
    if not listed.all():
        raise Refusal("an operand pair is listed twice and another is missing")
    return products


def _c_array(content: bytes) -> NDArray[Any]:
    text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", _text(content), flags=re.DOTALL)
    found = re.search(r"\[\s*(\d+)\s*\]\s*\[\s*(\d+)\s*\]\s*=\s*(\{.*\})\s*;", text, flags=re.DOTALL)
    if found is None:
        raise Refusal("no C array of two dimensions with its numbers: name[256][256] = {…};")
    shape = int(found[1]), int(found[2])
    cells = re.findall(r"[^\s,{}]+", found[3])
    if len(cells) != shape[0] * shape[1]:
        raise Refusal(f"{len(cells)} numbers in an array declared [{shape[0]}][{shape[1]}]")
    return _integers(cells).reshape(shape)


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Refusal("no text") from None


def _integers(cells: list[str]) -> NDArray[Any]:
    try:
        return np.array([int(cell, 0) for cell in cells], dtype=np.int64)
    except (ValueError, OverflowError):
        bad = next(cell for cell in cells if not re.fullmatch(r"\s*[+-]?\d{1,18}\s*", cell))
        raise Refusal(f"{bad[:40]!r} is no integer") from None
