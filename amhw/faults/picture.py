"""Heat maps of a campaign: which bit of which layer costs how much, and which weight of which kernel."""

from collections.abc import Mapping

import numpy as np
from matplotlib.colors import SymLogNorm
from matplotlib.figure import Figure

from amhw.faults.outcome import RIGHT_TO_WRONG, WRONG_TO_RIGHT, Counts
from amhw.faults.summary import FaultRun
from amhw.svg import svg

_COLOURS = "YlOrRd"


def heat_map(run: FaultRun, model: str) -> str:
    """Bit × layer: the mean loss of accuracy in points, weights on the left and biases on the right, as SVG."""
    kinds = [
        kind for kind in ("weights", "bias") if any(cell.kind == kind and cell.model == model for cell in run.cells)
    ]
    figure = Figure(figsize=(1.5 + 4.5 * len(kinds), 5.2), layout="constrained")
    axes = figure.subplots(1, max(len(kinds), 1), squeeze=False)[0]
    for ax, kind in zip(axes, kinds, strict=False):
        cells = [cell for cell in run.cells if (cell.kind, cell.model) == (kind, model)]
        layers = list(dict.fromkeys(cell.layer for cell in cells))
        bits = 1 + max(cell.bit for cell in cells)
        harm = np.full((bits, len(layers)), np.nan)
        for cell in cells:
            harm[cell.bit, layers.index(cell.layer)] = 100 * run.figures(model, cell.layer, kind, cell.bit).harm
        image = ax.imshow(harm, cmap=_COLOURS, norm=_scale(harm), aspect="auto", origin="lower")
        ax.set_xticks(range(len(layers)), map(_plain, layers))
        ax.set_yticks(range(0, bits, 1 if bits <= 8 else 4))
        ax.set(title=f"{kind}: mean loss of accuracy, points", ylabel="bit" if kind == kinds[0] else "")
        if bits <= 8:
            for (bit, layer), value in np.ndenumerate(harm):
                if np.isfinite(value):
                    dark = value > np.nanmax(harm) / 4
                    ax.text(
                        layer, bit, _short(value), ha="center", va="center", size=8, color="white" if dark else "black"
                    )
        figure.colorbar(image, ax=ax)
    figure.suptitle(_plain(f"{run.subject.network}, {model}, {run.images} images"))
    return svg(figure)


def kernel_map(kernels: Mapping[str, tuple[tuple[int, ...], Counts]], model: str, images: int) -> str:
    """Each weight of each convolution: the loss of accuracy of its worst bit in points, as SVG.

    Args:
        kernels: shape [out, in, height, width] and counts [words, locations, 5], by layer.
    """
    figure = Figure(figsize=(11, 2.2 + 2.6 * len(kernels)), layout="constrained")
    axes = figure.subplots(len(kernels), 1, squeeze=False)[:, 0]
    for ax, (layer, (shape, counts)) in zip(axes, kernels.items(), strict=True):
        harm = (counts[..., RIGHT_TO_WRONG] - counts[..., WRONG_TO_RIGHT]).max(axis=1) * 100 / images
        outputs, inputs, height, width = shape
        grid = np.full((inputs * (height + 1) - 1, outputs * (width + 1) - 1), np.nan)
        for (out, into), kernel in np.ndenumerate(np.empty((outputs, inputs))):
            del kernel
            place = harm.reshape(shape)[out, into]
            grid[into * (height + 1) :, out * (width + 1) :][:height, :width] = place
        image = ax.imshow(grid, cmap=_COLOURS, norm=_scale(grid), aspect="equal")
        ax.set_xticks([(width + 1) * k + (width - 1) / 2 for k in range(outputs)], range(outputs))
        ax.set_yticks([(height + 1) * k + (height - 1) / 2 for k in range(inputs)], range(inputs))
        ax.set(title=f"{layer}: loss of accuracy by each weight's worst bit, points", xlabel="output", ylabel="input")
        figure.colorbar(image, ax=ax)
    figure.suptitle(f"{model}, {images} images")
    return svg(figure)


def _plain(text: str) -> str:
    """Names from a file are no formulas."""
    return text.replace("$", r"\$")


def _scale(values: np.ndarray) -> SymLogNorm:
    """Linear below a hundredth of the greatest, then logarithmic."""
    top = max(float(np.nanmax(values, initial=0)), 0.01)
    return SymLogNorm(top / 100, vmin=0, vmax=top, base=10)


def _short(value: float) -> str:
    return "0" if value == 0 else f"{value:.1f}" if abs(value) >= 1 else f"{value:.2g}"
