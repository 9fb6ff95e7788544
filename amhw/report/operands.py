"""What the layers of a network really multiply: the statistics by which partial products are chosen."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amhw.network.inference import Inference
from amhw.report.source import Setting
from amhw.select.statistics import LayerStatistics
from amhw.table import code_values

IMAGES = 500


@dataclass(frozen=True, eq=False)
class LayerOperands:
    """One layer's operands.

    Attributes:
        activations, weights: probability of each value, by value.
        products: float64[width_a, width_b], the standard deviation of what partial product (i, j) adds to a sum,
            relative to that of the exact sums. Single ones may exceed 1: others take it back.
    """

    name: str
    activations: dict[int, float]
    weights: dict[int, float]
    products: NDArray[np.float64]


def operands_of(setting: Setting) -> list[LayerOperands]:
    """Of each layer, on some of the images, padding included."""
    images = setting.images.images
    entering = Inference(setting.network).inputs(images[:: max(1, len(images) // IMAGES)])
    found = []
    for name in setting.layers:
        layer = setting.network[name]
        statistics = LayerStatistics.of(layer, entering[name])
        joint = statistics.operands
        deviation = np.sqrt(np.diag(statistics.covariance) / max(statistics.signal, 1e-30))
        found.append(
            LayerOperands(
                name,
                _by_value(joint.probabilities_a, layer.operands.activation_signed),
                _by_value(joint.probabilities_b, True),
                deviation.reshape(statistics.width_a, statistics.width_b),
            )
        )
    return found


def _by_value(probabilities: NDArray[np.float64], signed: bool) -> dict[int, float]:
    values = code_values(probabilities.size.bit_length() - 1, signed)
    order = np.argsort(values)
    return dict(zip(values[order].tolist(), probabilities[order].tolist(), strict=True))
