"""Few codes change, and only those are carried from layer to layer.

A `Changes` holds, for *pairs* of an image and a fault, the places whose codes are others than without the fault. A
layer takes its golden sums and adds, for each changed input, the difference of its products with the layer's weights.
A sum that stays in the interval that is rounded to the golden code changes nothing; the others are rounded anew and are
the next layer's changes. A fault in a weight of LeNet-5's first layer changes 20 of the 196 codes of its channel, 60 of
the 400 that follow, 14 of 120 and 12 of 84, on average.

Products come as separable terms T[a, b] = Σ_r u_r[a]·v_r[b] (`amhw.network.inference`). Every number is an integer and
exact: with the bound of that module on Σ_k Σ_r max|u_r|·|v_r[w_k]|, no sum of differences exceeds twice the bound.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from amhw.faults import kernels
from amhw.faults.golden import Arithmetic, Golden
from amhw.network.inference import MAX_TERMS
from amhw.network.layers import Convolution, Flatten, Linear
from amhw.network.quantised import QuantisedLayer
from amhw.network.requantisation import Requantisation
from amhw.table import Factors, ProductTable, code_values

Format = type[np.float32] | type[np.float64]

EXACT: dict[Format, int] = {np.float32: 2**24, np.float64: 2**53}
"""Up to which every integer is a number of the format."""

LANES = 32
"""Sums come in multiples of so many: what is over, a processor adds one by one."""


@dataclass(frozen=True)
class Changes:
    """The changed codes of some pairs.

    Attributes:
        images: int64[P], of each pair.
        starts: int64[P + 1], where a pair's begin in the arrays that follow.
        places: int32[…], in the flattened codes of an image.
        codes: int16[…], what is there now.
    """

    images: np.ndarray
    starts: np.ndarray
    places: np.ndarray
    codes: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    def part(self, first: int, last: int) -> "Changes":
        """Those of pairs `first` to `last` − 1."""
        starts = self.starts[first : last + 1]
        inside = slice(starts[0], starts[-1])
        return Changes(self.images[first:last], starts - starts[0], self.places[inside], self.codes[inside])

    def dense(self, golden: np.ndarray) -> np.ndarray:
        """All codes of each pair: [P, …], those of `golden` [N, …] but for the changes."""
        found = golden[self.images]
        pairs = np.repeat(np.arange(len(self)), np.diff(self.starts))
        found.reshape(len(self), golden[0].size)[pairs, self.places] = self.codes
        return found


def constants_of(requantisation: Requantisation, ceiling: float | None = None) -> kernels.Constants:
    """As `amhw.faults.kernels` takes them; `ceiling` instead of the maximum."""
    shift, low = requantisation.shift, float(requantisation.minimum)
    high = float(requantisation.maximum) if ceiling is None else ceiling
    return (float(requantisation.multiplier), 2.0 ** (shift - 1), 2.0**-shift, low, high)


def ranges(
    codes: np.ndarray, requantisation: Requantisation, ceilings: np.ndarray, bias: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The least and the greatest sum, without its bias, that is rounded to each code: float64, of the codes' shape.

    ⌊(v·m + 2^(s−1)) / 2^s⌋ ≥ y just where v ≥ ⌈(y·2^s − 2^(s−1)) / m⌉. No bounds where codes are clamped.

    Args:
        codes: integers.
        ceilings, bias: integers that broadcast to them.
    """
    y = codes.astype(np.int64)
    m, s = requantisation.multiplier, requantisation.shift
    half = 1 << (s - 1)

    def least(code: np.ndarray) -> np.ndarray:
        found: np.ndarray = -((half - (code << s)) // m) - bias
        return found

    lows = np.where(y > requantisation.minimum, least(y), -np.inf)
    highs = np.where(y < ceilings, least(y + 1) - 1, np.inf)
    return lows, highs


class Step:
    """A layer that multiplies, and what it makes of changed inputs.

    Attributes:
        exact: the number format of its sums, or None where none holds them all.
    """

    def __init__(self, layer: QuantisedLayer, table: ProductTable | None) -> None:
        operands = layer.operands
        factors = (
            Factors(np.arange(1 << operands.activation_width)[None], code_values(operands.weight_width, True)[None])
            if table is None
            else table.factors(MAX_TERMS)
        )
        self.exact: Format | None = None
        if factors is None:
            return
        codes = np.minimum(np.arange(operands.activation_max + 1) + layer.input_rounding, operands.activation_max)
        u, v = factors.u[:, codes], factors.v[:, layer.weight_codes]  # [R, codes], [R, out, K]
        if not len(u):
            u, v = np.zeros((1, len(codes)), np.int64), np.zeros((1, *layer.matrix.shape), np.int64)
        bound = 2 * int((np.abs(u).max(axis=1)[:, None, None] * np.abs(v)).sum(axis=(0, 2), dtype=object).max())
        self.exact = next((kind for kind, most in EXACT.items() if bound <= most), None)
        if self.exact is None:
            return
        self.terms = np.ascontiguousarray(u.T.astype(self.exact))  # [codes, R]
        rows = (
            v.transpose(2, 0, 1) if layer.is_linear else _runs(v.reshape(len(v), *layer.weights.shape), layer.stride[1])
        )
        self.rows = wider(rows.astype(self.exact))


class GoldenStep:
    """A `Step` of the images of one `Golden`.

    Attributes:
        size: codes that leave the layer in one image.
    """

    def __init__(self, step: Step, arithmetic: Arithmetic, golden: Golden, name: str) -> None:
        structure, layer = arithmetic.network.network, arithmetic.network[name]
        before = golden.codes[structure.sources[name][0]]
        self._step, self._before = step, before.reshape(len(before), -1)
        self._classes, self._labels = golden.classes, golden.labels
        self._bias = layer.bias.astype(np.float64)
        sums = golden.sums[name].astype(step.exact)
        self.size = layer.outputs
        if layer.requantisation is None:
            self._sums = wider(sums)
            return
        codes, ceilings = golden.codes[structure.leaving(name)], arithmetic.ceilings(layer)
        self.size = codes[0].size
        found = ranges(
            codes.swapaxes(1, -1), layer.requantisation, ceilings.astype(np.int64), layer.bias.astype(np.int64)
        )
        lows, highs = (each.swapaxes(1, -1).astype(step.exact) for each in found)
        self._given: tuple[Any, ...]
        self._rounding = self._bias, ceilings, constants_of(layer.requantisation)
        if layer.is_linear:
            self._compute = kernels.linear_changes
            self._sums, *limits = wider(sums), wider(lows, -np.inf), wider(highs, np.inf)
            self._given = step.rows, self._sums, *limits
            return
        self._compute = kernels.convolution_changes
        pool = structure.pool_of(name)
        window, pace = ((1, 1), (1, 1)) if pool is None else (pool.window, pool.stride)
        outputs, high, wide = sums.shape[1:]
        room = (-(-layer.kernel[1] // layer.stride[1]) - 1) * outputs
        line = wide * outputs + room
        behind = max(step.rows.shape[-1], (window[1] - 1) * outputs)
        at, begins = _geometry(layer, before.shape[1:], high, room, line)
        self._sums = np.pad(_lines(sums, line, 1, 0).reshape(len(sums), -1), ((0, 0), (room, behind)))
        limits = [
            _lines(each, line, pace[1], end).reshape(-1, line)
            for each, end in zip((lows, highs), (-np.inf, np.inf), strict=True)
        ]
        pooled = codes.shape[3]
        places = np.arange(self.size).reshape(1, *codes.shape[1:])[:, :, :1]
        channels = places // codes[0, 0].size
        columns = np.stack([_lines(each, line, pace[1], 0)[0, 0] for each in (channels, places)], axis=1)
        given = self._sums, room, outputs, window, pace[0], *limits, columns, pooled
        self._given = (step.rows, at, begins, *given)

    def __call__(self, changes: Changes) -> Changes:
        """What changes in what leaves the layer, after the pool that alone takes it."""
        most = len(changes) * self.size
        starts, places, codes = np.zeros(len(changes) + 1, np.int64), np.empty(most, np.int32), np.empty(most, np.int16)
        given = changes.images, changes.starts, changes.places, changes.codes, self._before, self._step.terms
        self._compute(*given, *self._given, *self._rounding, starts, places, codes)
        return Changes(changes.images, starts, places[: starts[-1]], codes[: starts[-1]])

    def statuses(self, changes: Changes) -> np.ndarray:
        """Of the last layer: the status of each pair, uint8[P]."""
        found = np.empty(len(changes), np.uint8)
        given = changes.images, changes.starts, changes.places, changes.codes, self._before, self._step.terms
        last = self._step.rows, self._sums, self._bias, self._classes, self._labels
        kernels.last_statuses(*given, *last, found)
        return found


def steps_behind(arithmetic: Arithmetic, golden: Golden, start: str) -> list[GoldenStep] | None:
    """The layers that multiply behind layer `start`, or None where others follow or a step's sums have no format."""
    structure = arithmetic.network.network
    found: list[GoldenStep] = []
    name = structure.leaving(start)
    while name != structure.layers[-1].name:
        consumers = structure.consumers[name]
        if len(consumers) != 1:
            return None
        layer = structure[consumers[0]]
        name = layer.name
        if isinstance(layer, Flatten):
            continue
        if not isinstance(layer, Convolution | Linear):
            return None
        if name not in arithmetic.steps:
            arithmetic.steps[name] = Step(arithmetic.network[name], arithmetic.tables.get(name))
        if arithmetic.steps[name].exact is None:
            return None
        if name not in golden.steps:
            golden.steps[name] = GoldenStep(arithmetic.steps[name], arithmetic, golden, name)
        found.append(golden.steps[name])
        name = structure.leaving(name)
    return found


def _runs(kernels: np.ndarray, stride: int) -> np.ndarray:
    """What an input adds to the outputs of a row: [in, R, k, stride, run·out] of [R, out, in, k, l].

    An input at column x meets the taps x mod stride, x mod stride + stride, …, each at the output one further left: in
    a run they stand from the left-most output on, zeros where there is no such tap.
    """
    terms, out, channels, tall, wide = kernels.shape
    length = -(-wide // stride)
    found = np.zeros((channels, terms, tall, stride, length, out), kernels.dtype)
    for tap in range(wide):
        found[:, :, :, tap % stride, length - 1 - tap // stride] = kernels[..., tap].transpose(2, 0, 3, 1)
    return found.reshape(channels, terms, tall, stride, -1)


def _geometry(
    layer: QuantisedLayer, shape: tuple[int, ...], rows: int, room: int, line: int
) -> tuple[np.ndarray, np.ndarray]:
    """`at` and `begins` of `amhw.faults.kernels.convolution_changes`, for codes of a shape [in, H, W]."""
    (above, left), (down, across) = layer.padding, layer.stride
    channel, row, column = np.indices(shape).reshape(3, -1)
    column = column + left
    offset = column // across * layer.outputs - room
    at = np.stack([channel, row, column % across, np.where(offset < line - room, offset, -line)], axis=1)
    y = np.arange(shape[1])[:, None] + above - np.arange(layer.kernel[0])
    hit = (y >= 0) & (y % down == 0) & (y // down < rows)
    return at, np.where(hit, room + y // down * line, -1)


def _lines(maps: np.ndarray, line: int, step: int, fill: float) -> np.ndarray:
    """[N, H, line] of maps [N, C, H, W]: each row with its channels last, its positions `step` apart, else `fill`."""
    count, channels, high, wide = maps.shape
    found = np.full((count, high, -(-line // channels), channels), fill, maps.dtype)
    found[:, :, : wide * step : step] = maps.transpose(0, 2, 3, 1)
    return np.ascontiguousarray(found.reshape(count, high, -1)[:, :, :line])


def wider(values: np.ndarray, fill: float = 0) -> np.ndarray:
    """With the last axis, which is contiguous, a multiple of `LANES` long."""
    more = -values.shape[-1] % LANES
    return np.ascontiguousarray(np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, more)], constant_values=fill))
