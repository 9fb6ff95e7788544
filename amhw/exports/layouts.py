"""The layouts, each with how its reader indexes it.

| layout | file | reader | its index | limits |
|---|---|---|---|---|
| npy | .npy, int32 | NumPy | ``t[a, b]`` by codes | |
| csv | a,b,p lines | anything | by operand values | |
| c | .h, int32 | a C program | ``NAME[a][b]`` by codes | |
| tfapprox | .bin, uint16 | TFApprox | ``t[(input << 8) \\| filter]`` | 8 × 8 bits unsigned |
| torchapprox | .npy, int32 | TorchApprox | ``lut[x][w]`` by codes | 8 × 8 bits |
| adapt | .h, int16 | AdaPT | ``lut[a][b]`` by codes | 8 × 8 bits, products in int16 |

Operand a is the activation, b the weight. AdaPT's linear layers look up ``lut[activation][weight]``, its
convolutions ``lut[weight][activation]``: a table that is not symmetric means one thing in the first and
another in the second, so such a table is refused unless an order is asked for.

Sources: the READMEs and kernels of TFApprox (Vaverka, Mrazek, Vasicek, Sekanina, DATE 2020), TorchApprox
(Trommer et al., 2022) and AdaPT (Danopoulos, Zervakis, Siozios, Soudris, Henkel, IEEE TCAD 2022).
"""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amhw.refusal import Refusal
from amhw.table import ProductTable


@dataclass(frozen=True)
class Layout:
    """A way to write a product table.

    Attributes:
        name: on the command line.
        suffix: of its files.
        write: the file's content for a table's products with a given name; the first index comes first.
    """

    name: str
    suffix: str
    write: Callable[[ProductTable, NDArray[np.int32], str], bytes]


def _npy(table: ProductTable, products: NDArray[np.int32], name: str) -> bytes:
    array = io.BytesIO()
    np.save(array, np.ascontiguousarray(products, dtype="<i4"))
    return array.getvalue()


def _csv(table: ProductTable, products: NDArray[np.int32], name: str) -> bytes:
    lines = ["a,b,p"]
    b_values = table.values_b.tolist()
    for a, row in zip(table.values_a.tolist(), table.products.tolist(), strict=True):
        lines += [f"{a},{b},{p}" for b, p in zip(b_values, row, strict=True)]
    return ("\n".join(lines) + "\n").encode()


def _c(table: ProductTable, products: NDArray[np.int32], name: str) -> bytes:
    identifier = re.sub(r"[^A-Za-z0-9_]|^(?=[0-9])", "_", name)  # a file may be called anything
    return _c_array(products, "int32_t", f"{identifier}_table", f"{identifier}: indexed by operand codes")


def _adapt(table: ProductTable, products: NDArray[np.int32], name: str) -> bytes:
    _eight_bits(table, "AdaPT")
    limits = np.iinfo(np.int16)
    if products.min() < limits.min or products.max() > limits.max:
        raise Refusal(f"AdaPT's tables hold int16; {table.name} has products up to {products.max()}")
    return _c_array(products, "int16_t", "lut", "for AdaPT: indexed by operand codes")


def _torchapprox(table: ProductTable, products: NDArray[np.int32], name: str) -> bytes:
    _eight_bits(table, "TorchApprox")
    return _npy(table, products, name)


def _tfapprox(table: ProductTable, products: NDArray[np.int32], name: str) -> bytes:
    _eight_bits(table, "TFApprox")
    if table.signed_a or table.signed_b or products.min() < 0 or products.max() > np.iinfo(np.uint16).max:
        raise Refusal(f"TFApprox reads unsigned operands and 16-bit unsigned products; {table.name} has others")
    return products.astype("<u2").tobytes()


def _c_array(products: NDArray[np.int32], kind: str, name: str, comment: str) -> bytes:
    rows = ",\n".join("{" + ", ".join(map(str, row)) + "}" for row in products.tolist())
    shape = f"[{products.shape[0]}][{products.shape[1]}]"
    return f"/* {comment} */\n#include <stdint.h>\n\nconst {kind} {name}{shape} = {{\n{rows}\n}};\n".encode()


def _eight_bits(table: ProductTable, reader: str) -> None:
    if (table.width_a, table.width_b) != (8, 8):
        raise Refusal(f"{reader} reads tables of 8 × 8 bits; {table.name} has {table.width_a} × {table.width_b}")


LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout("npy", ".npy", _npy),
        Layout("csv", ".csv", _csv),
        Layout("c", ".h", _c),
        Layout("tfapprox", ".bin", _tfapprox),
        Layout("torchapprox", ".npy", _torchapprox),
        Layout("adapt", ".h", _adapt),
    )
}
"""Every layout by its name."""


def content(table: ProductTable, layout: str, *, order: str | None = None, name: str) -> bytes:
    """A table in a layout.

    Args:
        table: what to write.
        layout: a key of `LAYOUTS`.
        order: ``ab`` puts operand a (activation) first, ``ba`` operand b. Left out it is ``ab``, and refused
            where the reader's own order is not the same everywhere.
        name: for C identifiers, in which "_" stands for what they cannot have.

    Raises:
        Refusal: the layout cannot hold the table, or needs an order.
    """
    if layout == "csv" and order is not None:
        raise Refusal("a CSV table names its operands in its header; leave out --out-order")
    commutative = table.products.shape[0] == table.products.shape[1] and (table.products == table.products.T).all()
    if layout == "adapt" and order is None and not commutative:
        raise Refusal(
            f"AdaPT looks up [activation][weight] in linear layers and [weight][activation] in convolutions, and "
            f"{table.name} is not symmetric; say --out-order ab for linear layers or ba for convolutions"
        )
    products = table.products.T if order == "ba" else table.products
    return LAYOUTS[layout].write(table, products, name)
