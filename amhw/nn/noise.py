"""A multiplier's error as noise: how wrong a product is on average and how much that varies, in a given network."""

from collections.abc import Mapping

import numpy as np

from amhw.network.inference import Inference, im2col
from amhw.network.quantised import QuantisedLayer, QuantisedNetwork
from amhw.table import ProductTable

_WINDOWS = 20_000


def measured_noise(
    network: QuantisedNetwork, tables: Mapping[str, ProductTable], images: np.ndarray
) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation of one product's error in each layer that `tables` names.

    They are weighted by how often activation and weight codes meet when the exact `network` sees `images`
    (uint8[N, H, W], training images). A sum of K products is then taken to have the mean K·ME and the standard
    deviation √K·σ, as if errors were independent, which they are not: that is what makes it a model.

    Raises:
        Refusal: a layer is unknown.
    """
    entering = Inference(network).inputs(images)
    noise = {}
    for name, table in tables.items():
        pairs = operand_pairs(network[name], entering[name])
        pairs /= pairs.sum()
        mean = float((pairs * table.errors).sum())
        noise[name] = (mean, float(np.sqrt((pairs * np.square(table.errors - mean)).sum())))
    return noise


def operand_pairs(layer: QuantisedLayer, codes: np.ndarray) -> np.ndarray:
    """How often each activation code meets each weight code, float64[2^wa, 2^wb], for input codes [N, in, …].

    Padding counts: it occupies the multiplier too.
    """
    windows = im2col(layer, codes)
    windows = windows.reshape(-1, windows.shape[-1])
    windows = windows[:: max(1, len(windows) // _WINDOWS)]
    levels_a, levels_b = 1 << layer.operands.activation_width, 1 << layer.operands.weight_width
    counts_a, counts_b = (
        np.stack([np.bincount(column, minlength=levels) for column in operands.T])
        for operands, levels in ((windows, levels_a), (layer.weight_codes, levels_b))
    )
    return np.asarray(counts_a.T.astype(np.float64) @ counts_b.astype(np.float64))
