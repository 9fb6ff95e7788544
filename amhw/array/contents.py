"""What an engine's memories hold of a layer: its weights, tile after tile, and its biases."""

from math import prod

import numpy as np
from numpy.typing import NDArray

from amhw.array.config import ArrayConfig
from amhw.array.placement import Layout
from amhw.network.quantised import QuantisedLayer


def weight_tiles(layer: QuantisedLayer, layout: Layout, config: ArrayConfig, kept: int) -> NDArray[np.int64]:
    """Weight codes int64[tiles·lanes, cols, depth] in the order in which they are loaded; 0 where there is none.

    Args:
        layout: of what the layer takes.
        kept: bits of a code that the layer's multiplier reads.
    """
    codes = layer.weight_codes.astype(np.int64) & kept
    height, width = config.window
    lanes = config.requantisers
    if not layer.is_linear:
        kernels = codes.reshape(layer.outputs, -1, *layer.kernel)
    elif layout.vector:
        # Output o of the layer before: channel (o div lanes·taps)·lanes + o mod lanes, pixel o div lanes mod taps.
        planes = layout.channels // lanes
        filled = np.pad(codes, ((0, 0), (0, planes * config.taps * lanes - codes.shape[1])))
        parts = filled.reshape(layer.outputs, planes, config.taps, lanes).transpose(0, 1, 3, 2)
        kernels = parts.reshape(layer.outputs, planes * lanes, height, width)
    else:
        kernels = codes.reshape(layer.outputs, layout.channels, layout.height, layout.width)
    sides = (config.cols, config.channels, height, width)
    counts = [-(-size // side) for size, side in zip(kernels.shape, sides, strict=True)]
    padded = np.pad(
        kernels,
        [(0, n * side - size) for n, side, size in zip(counts, sides, kernels.shape, strict=True)],
    )
    split = padded.reshape(
        counts[0], config.cols, counts[1], config.channels, counts[2], height, counts[3], width
    ).transpose(0, 2, 4, 6, 5, 7, 3, 1)
    tiles = split.reshape(-1, config.lanes, config.depth, config.cols)
    return tiles.transpose(0, 1, 3, 2).reshape(-1, config.cols, config.depth)


def bias_words_of(layer: QuantisedLayer, config: ArrayConfig) -> NDArray[np.int64]:
    """Biases int64[words of all groups, requantisers]."""
    columns = np.zeros((prod(config.shares(layer.outputs)), config.requantisers), dtype=np.int64)
    columns.reshape(-1)[: layer.outputs] = layer.bias
    return columns
