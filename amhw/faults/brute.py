"""The campaign as it is defined: every image is classified anew for every fault.

The equations are those of `amhw.network.quantised`, with two words on what its constants' checks exclude: a shift of 0
rounds nothing (there is no 2^−1 to add), and sums with a bias are exact, whatever the bias has become. So every word
has a meaning whatever its bits.
"""

from collections.abc import Mapping
from copy import copy
from dataclasses import replace

import numpy as np
import torch

from amhw.faults.memories import Fault
from amhw.faults.outcome import Counts, counted, statuses
from amhw.network.inference import CHUNK, LayerSums
from amhw.network.layers import IMAGE, Add, AveragePool, Convolution, Flatten, Linear, MaxPool
from amhw.network.quantised import QuantisedLayer, QuantisedNetwork
from amhw.network.requantisation import Addition, Requantisation
from amhw.table import ProductTable


def rounded(scaled: np.ndarray, shift: int, minimum: int, maximum: int) -> np.ndarray:
    """clamp(⌊(scaled + 2^(shift−1)) / 2^shift⌋, minimum, maximum) of int64; a shift of 0 divides by 1.

    The codes have the type that `Requantisation` gives them.
    """
    half = 1 << (shift - 1) if shift else 0
    return np.clip((scaled + half) >> shift, minimum, maximum).astype(np.int8 if minimum < 0 else np.uint8)


class FaultyNetwork:
    """A network of which one word reads another value; without a fault, the network itself.

    Raises:
        Refusal: a table does not fit its layer.
    """

    def __init__(
        self,
        network: QuantisedNetwork,
        tables: Mapping[str, ProductTable],
        ceilings: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """`ceilings`: the greatest code of each output of a layer, by name, where it is clipped: int64[out]."""
        self.network, self._tables, self._ceilings = network, tables, ceilings or {}
        self.fault: Fault | None = None
        self._sums = {layer.name: self._layer_sums(layer) for layer in network.layers}

    def having(self, fault: Fault) -> "FaultyNetwork":
        """The same network with another fault."""
        found = copy(self)
        found.fault, found._sums = fault, dict(self._sums)
        if fault.kind == "weights":
            found._sums[fault.layer] = found._layer_sums(self.network[fault.layer])
        return found

    def logits(self, images: np.ndarray) -> np.ndarray:
        """int64[N, classes] of uint8 images [N, C, H, W]."""
        last = self.network.network.layers[-1].name
        parts = (images[start : start + CHUNK] for start in range(0, len(images), CHUNK))
        return np.concatenate([self.outputs(part)[last] for part in parts])

    def _layer_sums(self, layer: QuantisedLayer) -> LayerSums:
        weights = self._word(layer.name, "weights", layer.weights)
        return LayerSums(replace(layer, weights=weights, bias=np.zeros_like(layer.bias)), self._tables.get(layer.name))

    def _word(self, layer: str, kind: str, values: np.ndarray) -> np.ndarray:
        """`values`, with the faulty word among them if it is there."""
        if self.fault is None or (self.fault.layer, self.fault.kind) != (layer, kind):
            return values
        changed = values.astype(np.int64)
        changed.reshape(-1)[self.fault.word] = self.fault.value
        return changed

    def _constants(self, name: str, constants: Requantisation | Addition) -> tuple[np.ndarray, int, int, int]:
        given = constants.multipliers if isinstance(constants, Addition) else (constants.multiplier,)
        multipliers = self._word(name, "multiplier", np.array(given))
        [shift] = self._word(name, "shift", np.array([constants.shift])).tolist()
        return multipliers, shift, constants.minimum, constants.maximum

    def outputs(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """What leaves each layer, all images at once: codes [N, …], the last one's are the logits."""
        network = self.network
        values = {IMAGE: images}
        for layer in network.network.layers:
            x, *others = (values[name] for name in network.network.sources[layer.name])
            match layer:
                case Convolution() | Linear():
                    own = network[layer.name]
                    codes = own.operands.codes_of(x) if layer.name in network.network.pixel_layers else x
                    sums = self._sums[layer.name](torch.from_numpy(codes)).numpy().astype(np.int64)
                    bias = self._word(layer.name, "bias", own.bias).astype(np.int64)
                    sums += bias.reshape(-1, *[1] * (sums.ndim - 2))
                    values[layer.name] = (
                        sums if own.requantisation is None else self._requantised(layer.name, own.requantisation, sums)
                    )
                    if (ceiling := self._ceilings.get(layer.name)) is not None:
                        found = values[layer.name]
                        high = ceiling.astype(found.dtype).reshape(-1, *[1] * (found.ndim - 2))
                        values[layer.name] = np.minimum(found, high)
                case AveragePool():
                    constants = network.joins[layer.name]
                    assert isinstance(constants, Requantisation)
                    values[layer.name] = self._requantised(layer.name, constants, _windows(x, layer).sum(axis=(-2, -1)))
                case MaxPool():
                    values[layer.name] = _windows(x, layer).max(axis=(-2, -1)).astype(x.dtype)
                case Add():
                    join = network.joins[layer.name]
                    assert isinstance(join, Addition)
                    (first, second), *rest = self._constants(layer.name, join)
                    scaled = x.astype(np.int64) * first + others[0].astype(np.int64) * second
                    values[layer.name] = rounded(scaled, *rest)
                case Flatten():
                    values[layer.name] = x.reshape(len(x), -1)
        return values

    def _requantised(self, name: str, constants: Requantisation, sums: np.ndarray) -> np.ndarray:
        (multiplier,), *rest = self._constants(name, constants)
        return rounded(sums * multiplier, *rest)


def counts(network: FaultyNetwork, fault: Fault, images: np.ndarray, labels: np.ndarray, golden: np.ndarray) -> Counts:
    """How many images have each status with a fault: int64[5].

    Args:
        golden: logits without it.
    """
    return counted(statuses(network.having(fault).logits(images), golden, labels))


def _windows(x: np.ndarray, pool: MaxPool | AveragePool) -> np.ndarray:
    """int64[N, C, H', W', height, width]."""
    (height, width), (down, across) = pool.window, pool.stride
    seen = np.lib.stride_tricks.sliding_window_view(x, (height, width), axis=(2, 3))
    return seen[:, :, ::down, ::across].astype(np.int64)
