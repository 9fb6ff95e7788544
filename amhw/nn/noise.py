"""A multiplier's error as noise: how wrong a product is on average and how much that varies, in a given network."""

from collections.abc import Mapping

import numpy as np

from amhw.network.operands import layer_operands
from amhw.network.quantised import QuantisedNetwork
from amhw.table import ProductTable


def measured_noise(
    network: QuantisedNetwork, tables: Mapping[str, ProductTable], images: np.ndarray
) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation of one product's error in each layer that `tables` names.

    They are weighted by how often activation and weight codes meet when the exact `network` sees `images`
    (uint8[N, C, H, W], training images). A sum of K products is then taken to have the mean K·ME and the standard
    deviation √K·σ, as if errors were independent, which they are not: that is what makes it a model.

    Raises:
        Refusal: a layer is unknown.
    """
    noise = {}
    for name, distribution in layer_operands(network, images, tables).items():
        pairs, table = distribution.joint, tables[name]
        mean = float((pairs * table.errors).sum())
        noise[name] = (mean, float(np.sqrt((pairs * np.square(table.errors - mean)).sum())))
    return noise
