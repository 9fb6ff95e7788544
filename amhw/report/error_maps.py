"""Small pictures of a multiplier's errors, for a page that holds many."""

import base64
import io

import numpy as np
from PIL import Image

from amhw.table import ProductTable

SIZE = 64
"""Of a picture, pixels: each is the mean of the pairs of operands that it stands for."""


def thumbnail(table: ProductTable) -> bytes:
    """A PNG of the error p − a·b over the operands' values, a to the right and b upwards.

    White is exact, red too large, blue too small; the deepest colour is the largest mean.
    """
    means = _means(table)
    largest = max(1e-9, float(np.abs(means).max()))
    share = means / largest
    # From white to the ends of the usual diverging scale.
    red, blue = np.array([178, 24, 43]), np.array([33, 102, 172])
    towards = np.where(share[..., None] > 0, red, blue)
    pixels = 255 + (towards - 255) * np.abs(share)[..., None] ** 0.7
    image = Image.fromarray(np.rint(pixels[::-1]).astype(np.uint8)).quantize(64)
    png = io.BytesIO()
    image.save(png, format="PNG", optimize=True)
    return png.getvalue()


def caption(table: ProductTable) -> str:
    """What is to be known of its picture."""
    a, b = table.values_a, table.values_b
    low, high = int(table.errors.min()), int(table.errors.max())
    return (
        f"error p − a·b, {low:,} to {high:,}: red too large, blue too small. a from {a.min()} to {a.max()} to the "
        f"right, b from {b.min()} to {b.max()} upwards"
    )


def data_url(png: bytes) -> str:
    """A picture that is part of the page."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _means(table: ProductTable) -> np.ndarray:
    """Mean errors [b, a], both in the order of values."""
    order_a, order_b = np.argsort(table.values_a), np.argsort(table.values_b)
    errors = table.errors[np.ix_(order_a, order_b)].T.astype(np.float64)
    for axis in (0, 1):
        count = errors.shape[axis]
        if count > SIZE:
            errors = np.add.reduceat(errors, np.arange(SIZE) * count // SIZE, axis=axis) * (SIZE / count)
    return errors
