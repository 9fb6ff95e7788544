"""Figures and product tables of published circuits; see tests/data/evoapprox8/README.md."""

import csv
import io
import lzma
from functools import cache
from pathlib import Path

import numpy as np

from amhw import Masked, ProductTable

FOLDER = Path(__file__).parent / "data" / "evoapprox8"

with (FOLDER / "published.csv").open() as _file:
    PUBLISHED = list(csv.DictReader(_file))
    """One dictionary of strings for each circuit."""

SIGNED = [row for row in PUBLISHED if row["signedness"] == "signed"]
UNSIGNED = [row for row in PUBLISHED if row["signedness"] == "unsigned"]


def mask_of(row: dict[str, str]) -> Masked:
    """The masked multiplier that a signed circuit is."""
    rows = tuple(int(bits, 16) for bits in row["rows"].split())
    return Masked(rows=rows, width_a=8, width_b=8, signed_a=True, signed_b=True)


def table_of(row: dict[str, str]) -> ProductTable:
    """A circuit's product table."""
    if row["signedness"] == "signed":
        return ProductTable.of(mask_of(row))
    index = sorted(other["name"] for other in UNSIGNED).index(row["name"])
    return ProductTable(_unsigned()[index], name=row["name"])


@cache
def _unsigned() -> np.ndarray:
    with lzma.open(FOLDER / "unsigned.npy.xz") as file:
        planes = np.load(io.BytesIO(file.read()))
    bits = np.unpackbits(planes, axis=2).astype(np.int32)
    return (bits << np.arange(16)[None, :, None]).sum(axis=1).reshape(-1, 256, 256)
