"""The campaign with only that computed which a fault changes; bit-equal to `amhw.faults.brute`.

* A word of a convolution (weight or bias) changes one channel: its sums are the golden ones and, at each position, what
  the fault adds to one product. Images in which no code of the channel changes are done; the others go `Downstream`.
* A word of a linear layer changes one neuron, whose code has at most 256 values. What follows from each code that some
  fault leads to is computed once an image; every fault is then a look-up for each image.
* A word of the last layer changes one logit.
* A multiplier or a shift changes all codes of its layer: the golden sums are requantised anew, and all that follows.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from amhw.faults import kernels
from amhw.faults.brute import rounded
from amhw.faults.changes import EXACT, Changes, constants_of, ranges, wider
from amhw.faults.downstream import AT_ONCE, Downstream, statuses_behind
from amhw.faults.golden import Arithmetic, Golden
from amhw.faults.memories import Memory
from amhw.faults.outcome import IDENTICAL, RIGHT_TO_WRONG, STATUSES, WRONG_TO_RIGHT, WRONG_TO_WRONG, Counts, counted
from amhw.network.inference import pooled
from amhw.network.layers import AveragePool, Convolution
from amhw.network.requantisation import Addition

FAULTS = 1 << 12
"""How many faults of a neuron are computed at a time."""


@dataclass(frozen=True)
class Words:
    """Some words of a memory and the values that they read instead: int64[F] each.

    `lesser`: a copy of each output is free of faults, and the lesser of the two codes (or logits) counts.
    """

    words: np.ndarray
    values: np.ndarray
    lesser: bool = False

    def __len__(self) -> int:
        return len(self.words)

    def at(self, chosen: np.ndarray | slice) -> "Words":
        """Some of them."""
        return Words(self.words[chosen], self.values[chosen], self.lesser)


def counts(arithmetic: Arithmetic, golden: Golden, memory: Memory, faulty: Words) -> Counts:
    """How many of the golden's images have each status with each fault: int64[F, 5]."""
    found = np.zeros((len(faulty), STATUSES), np.int64)
    if memory.kind in ("multiplier", "shift"):
        given = _unscaled(arithmetic, golden, memory.layer)
        for f, (word, value) in enumerate(zip(faulty.words.tolist(), faulty.values.tolist(), strict=True)):
            found[f] = _constant(arithmetic, golden, memory, word, value, given)
        return found
    units = faulty.words // (len(memory) // arithmetic.network[memory.layer].outputs)
    for unit in np.unique(units).tolist():
        chosen = np.flatnonzero(units == unit)
        found[chosen] = _unit_counts(arithmetic, golden, memory, int(unit), faulty.at(chosen))
    return found


def _unit_counts(arithmetic: Arithmetic, golden: Golden, memory: Memory, unit: int, faulty: Words) -> Counts:
    """The same of faults that are all in one output's words."""
    found = np.zeros((len(faulty), STATUSES), np.int64)
    work = _Work.of(arithmetic, memory, faulty)
    layer = arithmetic.network[memory.layer]
    active = work.active
    found[:, IDENTICAL] = len(golden)
    found[active] = 0
    if not len(active):
        return found
    work = work.at(active)
    if layer.requantisation is None:
        found[active] = _logit(golden, memory.layer, unit, work)
    elif isinstance(layer.layer, Convolution):
        found[active] = _channel(arithmetic, golden, memory.layer, unit, work)
    else:
        found[active] = _neuron(arithmetic, golden, memory.layer, unit, work)
    return found


@dataclass(frozen=True)
class _Work:
    """What faults in an output's words add to products and to its bias.

    Attributes:
        inputs: int64[F], which of the unit's weights each is in; 0 of a bias.
        which: int64[F], which of `deltas` it is.
        deltas: int64[U, codes], what a change of a weight adds to its product with each code.
        shifts: int64[F].
        lesser: as of `Words`.
    """

    inputs: np.ndarray
    which: np.ndarray
    deltas: np.ndarray
    shifts: np.ndarray
    lesser: bool

    @staticmethod
    def of(arithmetic: Arithmetic, memory: Memory, faulty: Words) -> "_Work":
        layer = arithmetic.network[memory.layer]
        products = arithmetic.products(memory.layer)
        none = np.zeros(len(faulty), np.int64)
        if memory.kind == "bias":
            shifts = faulty.values - memory.values[faulty.words]
            return _Work(none, none, np.zeros((1, len(products)), np.int64), shifts, faulty.lesser)
        width = layer.operands.weight_width
        codes = 2**width - 1
        before, after = memory.values[faulty.words] & codes, faulty.values & codes
        pairs, which = np.unique(before << width | after, return_inverse=True)
        deltas = products.T[pairs & codes] - products.T[pairs >> width]
        return _Work(faulty.words % layer.matrix.shape[1], which, deltas, none, faulty.lesser)

    @property
    def active(self) -> NDArray[np.int64]:
        """Which faults do anything: values that no multiplication tells from the right one, such as those of bits that
        the multiplier does not read, do not."""
        different = (self.deltas != 0).any(axis=1)
        return np.flatnonzero(different[self.which] | (self.shifts != 0))

    def at(self, chosen: np.ndarray | slice) -> "_Work":
        """Some of them."""
        return _Work(self.inputs[chosen], self.which[chosen], self.deltas, self.shifts[chosen], self.lesser)

    def within(self, sums: np.ndarray) -> type[np.float32] | type[np.float64]:
        """The least format that holds every sum, the faulty ones included."""
        most = max(np.abs(each).max(initial=0) for each in (sums, self.deltas, self.shifts))
        return np.float32 if 3 * most <= EXACT[np.float32] else np.float64

    def as_kernels(self, kind: type[np.float32] | type[np.float64]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`deltas`, `linear` and `which` as `amhw.faults.kernels` takes them."""
        linear = (self.deltas == self.deltas[:, 1:2] * np.arange(self.deltas.shape[1])).all(axis=1)
        return self.deltas.astype(kind), linear, self.which


def _channel(arithmetic: Arithmetic, golden: Golden, name: str, unit: int, work: _Work) -> Counts:
    structure, layer = arithmetic.network.network, arithmetic.network[name]
    requantisation = layer.requantisation
    assert requantisation is not None
    pool = structure.pool_of(name)
    before = golden.codes[structure.leaving(name)][:, unit]
    window, step = ((1, 1), (1, 1)) if pool is None else (pool.window, pool.stride)
    (tall, wide), (down, across) = layer.kernel, layer.stride
    # What one member of a window, at every pooled position, sees at one tap depends on the sum of their offsets only.
    extent = (window[0] - 1) * down + tall, (window[1] - 1) * across + wide
    planes = _strided(golden.seen[name], extent, (step[0] * down, step[1] * across), before.shape[1:])
    base = _strided(golden.sums[name][:, unit : unit + 1], window, step, before.shape[1:])[:, 0]
    channels, row, column = np.unravel_index(work.inputs, layer.weights.shape[1:])
    y, x = np.divmod(np.arange(window[0] * window[1]), window[1])
    members = (row[:, None] + y * down) * extent[1] + column[:, None] + x * across
    ceiling, bias = int(arithmetic.ceilings(layer)[unit]), int(layer.bias[unit])
    kind = work.within(base)
    before = before.reshape(len(golden), -1)
    faults, positions = len(work.inputs), before.shape[1]
    limits = ranges(before, requantisation, np.array(ceiling), np.array(bias))
    lows, highs = (wider(each.astype(kind), end) for each, end in zip(limits, (-np.inf, np.inf), strict=True))
    base, planes, before, deltas = wider(base.astype(kind)), wider(planes), wider(before), work.as_kernels(kind)
    statuses = statuses_behind(arithmetic, golden, name, unit)
    found = np.zeros(faults * STATUSES, np.int64)
    for first in range(0, len(golden), each := max(1, AT_ONCE // (faults * positions))):
        part = slice(first, min(first + each, len(golden)))
        most = faults * (part.stop - first)
        of, which, images, starts = (np.empty(most + more, np.int64) for more in (0, 0, 0, 1))
        places, codes = np.empty(most * positions, np.int32), np.empty(most * positions, np.int16)
        trials, pairs = kernels.channel_changes(
            base[part],
            planes[part],
            members,
            *deltas,
            channels,
            work.shifts.astype(kind),
            lows[part],
            highs[part],
            before[part],
            float(bias),
            constants_of(requantisation, ceiling),
            work.lesser,
            of,
            which,
            images,
            starts,
            places,
            codes,
        )
        starts = starts[: pairs + 1]
        inside = slice(0, starts[-1])
        changes = Changes(images[:pairs] + first, starts, places[inside] + unit * positions, codes[inside])
        status = statuses(changes)[which[:trials]]
        found += np.bincount(of[:trials] * STATUSES + status, minlength=len(found))
    counts = found.reshape(faults, STATUSES)
    counts[:, IDENTICAL] += len(golden) - counts.sum(axis=1)
    return counts


def _strided(maps: np.ndarray, window: tuple[int, int], step: tuple[int, int], side: tuple[int, ...]) -> np.ndarray:
    """[N, C, window's places, positions] of maps [N, C, H, W]: what stands at each place of the windows."""
    (tall, wide), (down, across), (height, width) = window, step, side
    places = [
        maps[:, :, y : y + (height - 1) * down + 1 : down, x : x + (width - 1) * across + 1 : across]
        for y in range(tall)
        for x in range(wide)
    ]
    return np.stack(places, axis=2).reshape(*maps.shape[:2], len(places), height * width)


def _neuron(arithmetic: Arithmetic, golden: Golden, name: str, unit: int, work: _Work) -> Counts:
    layer, count = arithmetic.network[name], len(golden)
    requantisation = layer.requantisation
    assert requantisation is not None
    lowest = requantisation.minimum
    levels = requantisation.maximum - lowest + 1
    sums, seen = golden.sums[name][:, unit], np.ascontiguousarray(golden.seen[name].T)
    before = np.ascontiguousarray(golden.codes[name][:, unit])
    ceiling, bias = int(arithmetic.ceilings(layer)[unit]), int(layer.bias[unit])
    kind = work.within(sums)
    lows, highs = (each.astype(kind) for each in ranges(before, requantisation, np.array(ceiling), np.array(bias)))
    statuses = statuses_behind(arithmetic, golden, name, unit)
    status, done = np.zeros((count, levels), np.uint8), np.zeros((count, levels), np.uint8)
    found = np.zeros((len(work.inputs), STATUSES), np.int64)
    for first in range(0, len(found), FAULTS):
        some = work.at(slice(first, first + FAULTS))
        most = len(some.inputs)
        starts, reached = np.empty(most + 1, np.int64), np.zeros_like(done)
        images, codes = np.empty(most * count, np.int32), np.empty(most * count, np.uint8)
        kernels.neuron_changes(
            sums.astype(kind),
            seen,
            *some.as_kernels(kind),
            some.inputs,
            some.shifts.astype(kind),
            lows[None],
            highs[None],
            before,
            float(bias),
            constants_of(requantisation, ceiling),
            some.lesser,
            starts,
            images,
            codes,
            reached,
        )
        new, at = np.nonzero(reached > done)
        each = np.arange(len(new) + 1)
        changes = Changes(new, each, np.full(len(new), unit, np.int32), (at + lowest).astype(np.int16))
        status[new, at] = statuses(changes)
        done |= reached
        kernels.tallied(starts, images, codes, status, found[first : first + FAULTS])
    return found


def _logit(golden: Golden, name: str, unit: int, work: _Work) -> Counts:
    logits, classes = golden.logits, golden.classes
    others = logits.copy()
    others[:, unit] = np.iinfo(np.int64).min
    rivals = others.argmax(axis=1)
    each, own = np.arange(len(golden)), logits[:, unit]
    mine = classes == unit
    # The logit that is the greatest must stay above its rival's, another below the greatest: of equals the first wins.
    lows = np.where(mine, logits[each, rivals] - own + (rivals < unit), -np.inf)
    highs = np.where(mine, np.inf, logits[each, classes] - own - (unit < classes))
    now = np.where(mine, rivals, unit)
    moved = np.full(len(golden), WRONG_TO_WRONG, np.uint8)
    moved[now == golden.labels] = WRONG_TO_RIGHT
    moved[classes == golden.labels] = RIGHT_TO_WRONG
    kind = work.within(np.zeros(1))
    found = np.zeros((len(work.inputs), STATUSES), np.int64)
    kernels.logit_counts(
        np.ascontiguousarray(golden.seen[name].T),
        *work.as_kernels(kind),
        work.inputs,
        work.shifts.astype(kind),
        lows.astype(kind)[None],
        highs.astype(kind)[None],
        moved,
        work.lesser,
        found,
    )
    return found


def _constant(
    arithmetic: Arithmetic, golden: Golden, memory: Memory, word: int, value: int, given: tuple[np.ndarray, ...]
) -> Counts:
    """Of a fault in the constants of a requantisation, an average-pool or an addition, which scales what is `given`."""
    network = arithmetic.network
    structure, name = network.network, memory.layer
    x = network[name].requantisation if name in network.layer_names else network.joins[name]
    assert x is not None, "the last layer has no constants"
    multipliers = list(x.multipliers) if isinstance(x, Addition) else [x.multiplier]
    shift = x.shift
    if memory.kind == "shift":
        shift = value
    else:
        multipliers[word] = value
    scaled = sum(each * multiplier for each, multiplier in zip(given, multipliers, strict=True))
    assert isinstance(scaled, np.ndarray)
    codes = rounded(scaled, shift, x.minimum, x.maximum)
    if name in network.layer_names:
        codes = arithmetic.clipped(network[name], codes)
    before = golden.codes[structure.leaving(name) if name in network.layer_names else name]
    images = np.flatnonzero((codes != before).reshape(len(codes), -1).any(axis=1))
    status = np.zeros(len(golden), np.uint8)
    status[images] = Downstream(arithmetic, golden, name, None).statuses(images, codes[images])
    return counted(status)


def _unscaled(arithmetic: Arithmetic, golden: Golden, name: str) -> tuple[np.ndarray, ...]:
    """What a layer requantises, int64 each: sums after a max-pool that alone takes them; both inputs of an addition."""
    structure, network = arithmetic.network.network, arithmetic.network
    if name in network.layer_names:
        best = pooled(torch.from_numpy(golden.sums[name]), structure.pool_of(name)).numpy().astype(np.int64)
        return (best + network[name].bias.astype(np.int64).reshape(-1, *[1] * (best.ndim - 2)),)
    inputs = tuple(golden.codes[source].astype(np.int64) for source in structure.sources[name])
    pool = structure[name]
    if not isinstance(pool, AveragePool):
        return inputs
    seen = np.lib.stride_tricks.sliding_window_view(inputs[0], pool.window, axis=(2, 3))
    return (seen[:, :, :: pool.stride[0], :: pool.stride[1]].sum(axis=(-2, -1)),)
