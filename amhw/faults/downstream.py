"""What follows from changed codes: the layers behind them, computed again for those images that see a change.

A *pair* is an image and what has become of a layer's codes in it. Where nothing but convolutions and linear layers
follows, only changes go from layer to layer (`amhw.faults.changes`). Elsewhere (additions, average-pools, overlapping
ways, whole layers that change, products that are not separable) what follows is computed as a whole: as long as layers
only pool or flatten, one channel is all that is computed; the layer that multiplies next takes its golden sums, without
the golden channel's part and with the new one's; from there on everything is computed.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from amhw.faults import kernels
from amhw.faults.changes import Changes, constants_of, steps_behind
from amhw.faults.golden import Arithmetic, Golden
from amhw.faults.rows import Sums, sums_of
from amhw.network.layers import Add, Convolution, Flatten, Linear
from amhw.network.quantised import QuantisedLayer

AT_ONCE = 1 << 20
"""Sums of a layer, over all pairs, that are computed at a time: what a processor's second cache holds."""


def statuses_behind(arithmetic: Arithmetic, golden: Golden, start: str, unit: int) -> Callable[[Changes], np.ndarray]:
    """What tells the status of each pair, uint8[P], of changes in channel or neuron `unit` of what leaves `start`."""
    steps = steps_behind(arithmetic, golden, start)
    codes = golden.codes[arithmetic.network.network.leaving(start)][:, unit : unit + 1]
    if steps is not None:
        pairs = max(1, AT_ONCE // max(step.size for step in steps))

        def carried(changes: Changes) -> np.ndarray:
            found = np.empty(len(changes), np.uint8)
            for first in range(0, len(changes), pairs):
                part = changes.part(first, first + pairs)
                for step in steps[:-1]:
                    part = step(part)
                found[first : first + pairs] = steps[-1].statuses(part)
            return found

        return carried
    whole = Downstream(arithmetic, golden, start, unit)

    def computed(changes: Changes) -> np.ndarray:
        inside = replace(changes, places=changes.places - unit * codes[0].size)
        return whole.statuses(changes.images, inside.dense(codes))

    return computed


@dataclass(frozen=True)
class _Part:
    """Channels `span` of what leaves a layer: codes [P, …]; the others are golden."""

    codes: np.ndarray
    span: slice

    def of(self, whole: np.ndarray) -> np.ndarray:
        """The golden codes of the same channels."""
        return whole[:, self.span]


class Downstream:
    """The layers behind channel or neuron `unit` of what leaves layer `start`, for the images of one `Golden`."""

    def __init__(self, arithmetic: Arithmetic, golden: Golden, start: str, unit: int | None) -> None:
        """`unit` None: all of them change."""
        self._arithmetic, self._golden, self._start = arithmetic, golden, start
        structure = arithmetic.network.network
        self._span = slice(None) if unit is None else slice(unit, unit + 1)
        spans = {start: self._span}
        self._layers = []
        self._channels: dict[str, tuple[Sums, np.ndarray]] = {}
        most = 1
        for layer in structure.layers:
            sources = structure.sources[layer.name]
            if layer.name == start or not any(name in spans for name in sources):
                continue
            if structure.pool_of(sources[0]) is layer and sources[0] not in golden.codes:
                # The pool was taken before the rounding, and its layer's own change is already that of the pool.
                spans[layer.name] = spans[sources[0]]
                continue
            span = spans.get(sources[0], slice(0, 0))
            if isinstance(layer, Convolution | Linear):
                own = arithmetic.network[layer.name]
                if span != slice(None):
                    before = golden.codes[sources[0]][:, span]
                    part = sums_of(_of_channels(own, span), arithmetic.tables.get(layer.name), before.shape[2:])
                    whole = _channels_last(golden.sums[layer.name])
                    self._channels[layer.name] = part, whole - part(np.ascontiguousarray(before))
                most = max(most, golden.sums[layer.name][0].size)
                spans[layer.name] = slice(None)
            elif isinstance(layer, Flatten) and span != slice(None):
                places = golden.codes[layer.name].shape[1] // golden.codes[sources[0]].shape[1]
                spans[layer.name] = slice(span.start * places, span.stop * places)
            elif isinstance(layer, Add) and len({str(spans.get(name)) for name in sources}) > 1:
                touched = [spans[name] for name in sources if name in spans]
                spans[layer.name] = touched[0] if len(touched) == 1 else slice(None)
            else:
                spans[layer.name] = span
            self._layers.append(layer)
        self._spans = spans
        self.pairs = max(1, AT_ONCE // most)
        """How many are computed at a time."""

    def statuses(self, images: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """The status of each pair: uint8[P] of images int64[P] and codes [P, channels, …] of what leaves `start`."""
        found = np.empty(len(images), np.uint8)
        golden = self._golden
        for first in range(0, len(images), self.pairs):
            part = slice(first, first + self.pairs)
            logits = self._logits(images[part], codes[part])
            kernels.classified(logits, images[part], golden.logits, golden.classes, golden.labels, found[part])
        return found

    def _logits(self, images: np.ndarray, codes: np.ndarray) -> np.ndarray:
        structure = self._arithmetic.network.network
        values = {self._start: _Part(codes, self._span)}
        pool = structure.pool_of(self._start) if self._start in structure.layer_names else None
        if pool is not None:
            values[pool.name] = values[self._start]
        for layer in self._layers:
            sources = structure.sources[layer.name]
            if isinstance(layer, Convolution | Linear):
                found = self._multiplied(self._arithmetic.network[layer.name], values[sources[0]], images)
                if layer is structure.layers[-1]:
                    return found
                values[structure.leaving(layer.name)] = _Part(found, slice(None))
                continue
            span = self._spans[layer.name]
            if isinstance(layer, Flatten):
                values[layer.name] = _Part(values[sources[0]].codes.reshape(len(images), -1), span)
            else:
                inputs = [self._channels_at(name, values.get(name), span, images) for name in sources]
                values[layer.name] = _Part(self._arithmetic.joined(layer, *inputs), span)
        raise AssertionError("the last layer gives logits")

    def _channels_at(self, name: str, part: _Part | None, span: slice, images: np.ndarray) -> np.ndarray:
        """What leaves `name` in the channels of `span`, changed or not."""
        if part is not None and part.span == span:
            return part.codes
        codes = self._golden.codes[name][images]
        if part is not None:
            codes[:, part.span] = part.codes
        return np.ascontiguousarray(codes[:, span])

    def _multiplied(self, layer: QuantisedLayer, part: _Part, images: np.ndarray) -> np.ndarray:
        """Codes after the layer's pool, if it has one; logits of the last layer."""
        structure, arithmetic = self._arithmetic.network.network, self._arithmetic
        if part.span == slice(None):
            sums = _channels_last(arithmetic.sums[layer.name](torch.from_numpy(part.codes)).numpy())
            rest, rows = np.zeros((1, *sums.shape[1:]), sums.dtype), np.zeros(len(images), np.int64)
        else:
            of_channels, rest = self._channels[layer.name]
            sums, rows = of_channels(part.codes), images
        if layer.requantisation is None:
            logits: np.ndarray = (rest[rows] + sums).astype(np.int64) + layer.bias
            return logits
        # As floats, which the next product would make of them anyway.
        codes = np.empty((len(images), *structure.shapes[structure.leaving(layer.name)]), np.float32)
        bias, constants = layer.bias.astype(np.float64), constants_of(layer.requantisation)
        highs = arithmetic.ceilings(layer)
        if layer.is_linear:
            kernels.requantised(rest, rows, sums, bias, highs, constants, codes)
        else:
            pool = structure.pool_of(layer.name)
            window, step = ((1, 1), (1, 1)) if pool is None else (pool.window, pool.stride)
            flat = sums.shape[1], -1
            rest, sums = rest.reshape(len(rest), *flat), sums.reshape(len(sums), *flat)
            kernels.pooled_codes(rest, rows, sums, bias, highs, window, step, constants, codes)
        return codes


def _channels_last(sums: np.ndarray) -> np.ndarray:
    """[N, H, W, C] of [N, C, H, W]; [N, C] as they are."""
    return sums if sums.ndim == 2 else np.ascontiguousarray(sums.transpose(0, 2, 3, 1))


def _of_channels(layer: QuantisedLayer, span: slice) -> QuantisedLayer:
    """The layer with some of its inputs only, and no bias."""
    return replace(layer, weights=layer.weights[:, span], bias=np.zeros_like(layer.bias))
