"""A table's file in one of the layouts, read back before it counts as written."""

from pathlib import Path

import numpy as np

from amhw.exports.layouts import LAYOUTS, content
from amhw.files import write_atomically
from amhw.imports.tables import read_table
from amhw.multiplier import signedness
from amhw.refusal import Refusal
from amhw.table import ProductTable


def write(table: ProductTable, layout: str, folder: Path, order: str | None = None) -> Path:
    """Write `table` into `folder` in a layout; `order` is as in `amhw.exports.layouts.content`.

    Raises:
        Refusal: the layout cannot hold the table, the folder cannot be written, or the file did not read back.
    """
    data = content(table, layout, order=order, name=table.name)
    transposed = "_ba" if order == "ba" else ""
    path = write_atomically(folder / f"{table.name}_{layout}{transposed}{LAYOUTS[layout].suffix}", data)
    indices = None if layout == "csv" else order or "ab"
    shape = "256x256" if path.suffix == ".bin" else None  # TFApprox's, the only raw layout
    again = read_table(path, signed=signedness(table.signed_a, table.signed_b), order=indices, shape=shape)
    if not np.array_equal(again.products, table.products):
        path.unlink()
        raise Refusal(f"{path} did not read back as it was written; nothing is left of it")
    return path
