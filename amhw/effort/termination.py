"""Early termination: a sum that must end as the code 0 need not be finished.

After the first products of an output, what can still come is known: an activation is a code of 0 to m, so that the
remaining weights w_j add at most m·Σ max(w_j, 0). As soon as

    partial sum + bias + θ·m·Σ_remaining max(w_j, 0) ≤ the greatest value that requantises to 0

the output is 0. With θ = 1 that is certain and no code changes; a smaller θ speculates that not everything comes that
could. If all positive weights come first, the bound is exact as soon as they have been used up, whatever θ (the exact
mode of Akhlaghi et al., "SnaPEA: predictive early activation for reducing computation in deep convolutional neural
networks", ISCA 2018); but then each output wants the activations in an order of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from amhw.network.inference import im2col, of_positions
from amhw.network.quantised import QuantisedLayer
from amhw.network.requantisation import Requantisation
from amhw.refusal import Refusal

ORDERS = ("given", "common", "signs")
"""In which order an output's products are added: as the weights lie; in one order for all outputs of a layer, the taps
with the greatest sum of weights first; each output's positive weights first, then the negative ones, greatest first."""

_PART = 1 << 22
"""Products that are looked at at a time."""


def zero_limit(constants: Requantisation) -> int:
    """The greatest value that requantises to the code 0.

    >>> half = Requantisation(multiplier=1, shift=1, maximum=255)
    >>> zero_limit(half), half(np.array([0, 1])).tolist()
    (0, [0, 1])

    Raises:
        Refusal: the least code is not 0: there is no ReLU that a sum could end at.
    """
    if constants.minimum != 0 or constants.absolute:
        found = "absolute values are never known early" if constants.absolute else f"codes begin at {constants.minimum}"
        raise Refusal(f"{found}; only what a ReLU makes 0 can end early")
    half = 1 << constants.shift >> 1  # v·m < half rounds down to 0
    return -(-half // constants.multiplier) - 1


@dataclass
class EarlySums:
    """The sums of a layer with a ReLU, ended early; and how many products were needed.

    Attributes:
        layer: that is computed.
        order: one of ORDERS.
        trust: θ.
        products: of all outputs seen so far, zero weights too.
        needed: of these, so many before the output was known to be 0.
        slowest: the sum over output positions of the most products that one of the position's outputs needed, times the
            outputs: what is needed where all outputs of a position are computed side by side.
        wrong: outputs that were ended although they would not have been 0.
    """

    layer: QuantisedLayer
    order: str = "signs"
    trust: float = 1.0
    products: int = field(default=0, init=False)
    needed: int = field(default=0, init=False)
    slowest: int = field(default=0, init=False)
    wrong: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.layer.check_one_group("early termination")

    def __call__(self, codes: torch.Tensor) -> torch.Tensor:
        """As `amhw.network.inference.LayerSums`; what ended early is a sum that requantises to 0."""
        layer = self.layer
        assert layer.requantisation is not None, "the last layer has no ReLU"
        windows = im2col(layer, codes.numpy())  # [N, H', W', K]
        inputs = windows.reshape(-1, windows.shape[-1]).astype(np.int32)
        sums = np.empty((len(inputs), layer.outputs))
        limit = zero_limit(layer.requantisation)
        for part in _parts(len(inputs), inputs.shape[1]):
            steps = np.empty((part.stop - part.start, layer.outputs), np.int64)
            for output, (weights, order) in enumerate(self._orders()):
                partial = np.cumsum(inputs[part][:, order] * weights[order], axis=1) + int(layer.bias[output])
                still = self.trust * layer.operands.activation_max * _remaining(weights[order])
                over = partial + still <= limit
                ended = over.any(axis=1)
                steps[:, output] = np.where(ended, over.argmax(axis=1) + 1, len(weights))
                whole = partial[:, -1]
                self.wrong += int((ended & (whole > limit)).sum())
                sums[part, output] = np.where(ended, np.minimum(whole, limit), whole) - int(layer.bias[output])
            self.products += steps.size * inputs.shape[1]
            self.needed += int(steps.sum())
            self.slowest += int(steps.max(axis=1).sum()) * layer.outputs
        return of_positions(layer, sums.reshape(*windows.shape[:3], layer.outputs))

    def _orders(self) -> Iterator[tuple[NDArray[np.int32], NDArray[np.intp]]]:
        """Each output's weights, and the order of its products."""
        matrix = self.layer.matrix.astype(np.int32)
        common = np.argsort(-matrix.sum(axis=0), kind="stable")
        for weights in matrix:
            match self.order:
                case "given":
                    yield weights, np.arange(len(weights))
                case "common":
                    yield weights, common
                case "signs":
                    yield weights, np.argsort(np.where(weights > 0, -(1 << 20) - weights, weights), kind="stable")
                case _:
                    raise ValueError(self.order)


def _remaining(weights: NDArray[np.int32]) -> NDArray[np.int64]:
    """Σ max(w_j, 0) over the weights after each."""
    positive = np.maximum(weights, 0).astype(np.int64)
    return positive.sum() - np.cumsum(positive)


def _parts(rows: int, taps: int) -> Iterator[slice]:
    step = max(1, _PART // taps)
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))
