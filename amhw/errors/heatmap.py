"""A picture of the error over the operand plane."""

import io

import numpy as np

from amhw.table import ProductTable


def heat_map(table: ProductTable) -> bytes:
    """A PNG of the error p − a·b for every pair of operand values: red too large, blue too small, white exact.

    The axes are in the order of the operands' values, so a signed table has its negative operands at the left
    and at the bottom.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    order_a, order_b = np.argsort(table.values_a), np.argsort(table.values_b)
    errors = table.errors[np.ix_(order_a, order_b)].T
    largest = max(1, int(np.abs(errors).max()))
    figure = Figure(figsize=(6, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    a, b = table.values_a[order_a], table.values_b[order_b]
    image = axes.imshow(
        errors,
        origin="lower",
        extent=(a[0] - 0.5, a[-1] + 0.5, b[0] - 0.5, b[-1] + 0.5),
        cmap="RdBu_r",
        vmin=-largest,
        vmax=largest,
        aspect="auto",
        interpolation="nearest",
    )
    axes.set_xlabel("a")
    axes.set_ylabel("b")
    axes.set_title(table.name, fontsize=9)
    figure.colorbar(image, label="p − a·b")
    picture = io.BytesIO()
    # No software version in the file: the same table gives the same bytes.
    figure.savefig(picture, format="png", dpi=120, metadata={"Software": None})
    return picture.getvalue()
