"""What the layers of a network multiply: how often each activation code meets each weight code."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from amhw.network.inference import Inference, im2col, of_group
from amhw.network.quantised import QuantisedLayer, QuantisedNetwork
from amhw.operands import OperandDistribution

_WINDOWS = 20_000
"""More windows of the images change no figure that is derived from them."""


def layer_operands(
    network: QuantisedNetwork, images: np.ndarray, names: Iterable[str]
) -> dict[str, OperandDistribution]:
    """The operands of each layer that `names` names when the network sees `images` (uint8[N, C, H, W]).

    Raises:
        Refusal: a layer is unknown.
    """
    entering = Inference(network).inputs(images, names := tuple(names))
    return {name: distribution(network[name], some_windows(network[name], entering[name])) for name in names}


def pooled_operands(network: QuantisedNetwork, images: np.ndarray, names: Iterable[str]) -> OperandDistribution:
    """The operands of several layers together, each layer by its share of the multiplications of an image.

    Raises:
        Refusal: a layer is unknown.
    """
    each = layer_operands(network, images, names)
    counts = [network.network.multiplications[name] * found.joint for name, found in each.items()]
    return OperandDistribution.of_pairs(np.sum(counts, axis=0))


def some_windows(layer: QuantisedLayer, codes: np.ndarray) -> NDArray[np.uint8]:
    """Activation codes uint8[n, K] at output positions, evenly spaced, of input codes uint8[N, in, …]; K as in
    `im2col`."""
    windows = im2col(layer, codes)
    windows = windows.reshape(-1, windows.shape[-1])
    return windows[:: max(1, len(windows) // _WINDOWS)]


def distribution(layer: QuantisedLayer, windows: NDArray[np.uint8]) -> OperandDistribution:
    """How often each activation code of the windows meets each of the layer's weight codes.

    Padding counts: it occupies the multiplier too.
    """
    levels_a, levels_b = 1 << layer.operands.activation_width, 1 << layer.operands.weight_width
    pairs = np.zeros((levels_a, levels_b))
    for group, weights in enumerate(np.split(layer.weight_codes, layer.groups)):
        counts_a, counts_b = (
            np.stack([np.bincount(column, minlength=levels) for column in operands.T])
            for operands, levels in ((of_group(layer, windows, group), levels_a), (weights, levels_b))
        )
        pairs += counts_a.T.astype(np.float64) @ counts_b.astype(np.float64)
    return OperandDistribution.of_pairs(pairs)
