"""The campaign with only that computed which a fault changes; bit-equal to `amhw.faults.brute`.

* A word of a convolution (weight or bias) changes one channel: its sums are the golden ones and, at each position, what
  the fault adds to one product. Images in which no code of the channel changes are done; the others go `Downstream`.
* A word of a linear layer changes one neuron, whose code has at most 256 values. What follows from each code that some
  fault leads to is computed once an image; every fault is then a look-up for each image.
* A word of the last layer changes one logit.
* A multiplier or a shift changes all codes of its layer: the golden sums are requantised anew, and all that follows.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from amhw.faults import kernels
from amhw.faults.brute import rounded
from amhw.faults.downstream import Downstream, constants_of
from amhw.faults.golden import Arithmetic, Golden
from amhw.faults.memories import Memory
from amhw.faults.outcome import IDENTICAL, STATUSES, Counts, counted
from amhw.network.inference import pooled
from amhw.network.layers import AveragePool, Convolution
from amhw.network.requantisation import Addition, Requantisation

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
        for f, (word, value) in enumerate(zip(faulty.words.tolist(), faulty.values.tolist(), strict=True)):
            found[f] = _constant(arithmetic, golden, memory, word, value)
        return found
    units = faulty.words // (len(memory) // arithmetic.network[memory.layer].outputs)
    for unit in np.unique(units).tolist():
        chosen = np.flatnonzero(units == unit)
        found[chosen] = _unit_counts(arithmetic, golden, memory, int(unit), faulty.at(chosen))
    return found


def _unit_counts(arithmetic: Arithmetic, golden: Golden, memory: Memory, unit: int, faulty: Words) -> Counts:
    """The same of faults that are all in one output's words."""
    found = np.zeros((len(faulty), STATUSES), np.int64)
    work = _changes(arithmetic, memory, unit, faulty)
    layer = arithmetic.network[memory.layer]
    # Values that no multiplication tells from the right one, such as those of bits that the multiplier does not read.
    active = np.flatnonzero(work.deltas.any(axis=1) | (work.biases != int(layer.bias[unit])))
    found[:, IDENTICAL] = len(golden)
    found[active] = 0
    if not len(active):
        return found
    work = work.at(active)
    if layer.requantisation is None:
        found[active] = _logit(golden, memory.layer, unit, work, int(layer.bias[unit]))
    elif isinstance(layer.layer, Convolution):
        found[active] = _channel(arithmetic, golden, memory.layer, unit, work)
    else:
        found[active] = _neuron(arithmetic, golden, memory.layer, unit, work)
    return found


@dataclass(frozen=True)
class _Changes:
    """What faults add to products, and the bias that they make.

    Attributes:
        inputs: int64[F], which of the unit's weights each is in; 0 of a bias.
        deltas: int32[F, codes].
        biases: float64[F].
    """

    inputs: np.ndarray
    deltas: np.ndarray
    biases: np.ndarray
    lesser: bool

    def at(self, chosen: np.ndarray | slice) -> "_Changes":
        return _Changes(self.inputs[chosen], self.deltas[chosen], self.biases[chosen], self.lesser)

    def parts(self, size: int) -> Iterator[tuple[slice, "_Changes"]]:
        for first in range(0, len(self.inputs), size):
            part = slice(first, first + size)
            yield part, self.at(part)


def _changes(arithmetic: Arithmetic, memory: Memory, unit: int, faulty: Words) -> _Changes:
    layer = arithmetic.network[memory.layer]
    products = arithmetic.products(memory.layer)
    bias = np.full(len(faulty), float(layer.bias[unit]))
    if memory.kind == "bias":
        none = np.zeros((len(faulty), len(products)), np.int32)
        return _Changes(np.zeros_like(faulty.words), none, faulty.values + 0.0, faulty.lesser)
    codes = 2**layer.operands.weight_width - 1
    before, after = memory.values[faulty.words] & codes, faulty.values & codes
    deltas = products.T[after] - products.T[before]
    return _Changes(faulty.words % layer.matrix.shape[1], deltas.astype(np.int32), bias, faulty.lesser)


def _channel(arithmetic: Arithmetic, golden: Golden, name: str, unit: int, work: _Changes) -> Counts:
    structure, layer = arithmetic.network.network, arithmetic.network[name]
    assert layer.requantisation is not None
    downstream = Downstream(arithmetic, golden, name, unit)
    pool = structure.pool_of(name)
    before = golden.codes[structure.leaving(name)][:, unit]
    base, seen = np.ascontiguousarray(golden.sums[name][:, unit]), np.ascontiguousarray(golden.seen[name])
    taps = np.stack(np.unravel_index(work.inputs, layer.weights.shape[1:]), axis=1).astype(np.int64)
    # The least format that holds every sum, the faulty ones included.
    exact = np.abs(base).max(initial=0) + np.abs(work.deltas).max() <= 2**24
    kind = np.float32 if exact else np.float64
    base, deltas = base.astype(kind), work.deltas.astype(kind)
    steps = np.arange(work.deltas.shape[1])
    linear = (work.deltas == work.deltas[:, 1:2] * steps).all(axis=1)
    found = np.zeros((len(work.inputs), STATUSES), np.int64)
    for part, some in work.parts(max(1, downstream.pairs // len(golden))):
        shape = (len(some.inputs), *before.shape)
        codes, changed = np.empty(shape, before.dtype), np.empty(shape[:2], np.uint8)
        kernels.channel_codes(
            base,
            seen,
            deltas[part],
            linear[part],
            taps[part],
            some.biases,
            layer.stride,
            (1, 1) if pool is None else pool.window,
            (1, 1) if pool is None else pool.stride,
            constants_of(layer.requantisation, arithmetic.ceilings(layer)[unit]),
            before,
            codes,
            changed,
        )
        if work.lesser:
            np.minimum(codes, before, out=codes)
            changed = (codes != before).reshape(*shape[:2], -1).any(axis=2)
        faults, images = np.nonzero(changed)
        status = np.zeros(shape[:2], np.uint8)
        status[faults, images] = downstream.statuses(images, codes[faults, images][:, None])
        found[part] = _each(status)
    return found


def _neuron(arithmetic: Arithmetic, golden: Golden, name: str, unit: int, work: _Changes) -> Counts:
    layer = arithmetic.network[name]
    requantisation = layer.requantisation
    assert requantisation is not None
    levels = requantisation.maximum - requantisation.minimum + 1
    sums, seen = np.ascontiguousarray(golden.sums[name][:, unit]), np.ascontiguousarray(golden.seen[name].T)
    downstream = Downstream(arithmetic, golden, name, unit)
    status = np.zeros((len(golden), levels), np.uint8)
    done = np.zeros((len(golden), levels), np.uint8)
    before = golden.codes[name][:, unit]
    level = (before.astype(np.int64) - requantisation.minimum).astype(np.uint8)
    done[np.arange(len(golden)), level] = 1
    constants = constants_of(requantisation, arithmetic.ceilings(layer)[unit])
    found = np.zeros((len(work.inputs), STATUSES), np.int64)
    for part, some in work.parts(FAULTS):
        codes = np.empty((len(some.inputs), len(golden)), np.uint8)
        reached = np.zeros_like(done)
        kernels.neuron_codes(sums, seen, some.deltas, some.inputs, some.biases, constants, codes, reached)
        if work.lesser:
            np.minimum(codes, level, out=codes)
            reached[:] = 0
            reached[np.arange(len(golden)), codes] = 1
        images, levels_reached = np.nonzero(reached & ~done & 1)
        new = (levels_reached + requantisation.minimum).astype(before.dtype)
        status[images, levels_reached] = downstream.statuses(images, new[:, None])
        done |= reached
        kernels.looked_up(codes, status, found[part])
    return found


def _logit(golden: Golden, name: str, unit: int, work: _Changes, bias: int) -> Counts:
    others = golden.logits.copy()
    others[:, unit] = np.iinfo(np.int64).min
    found = np.zeros((len(work.inputs), STATUSES), np.int64)
    kernels.logit_counts(
        np.ascontiguousarray(golden.seen[name].T),
        work.deltas,
        work.inputs,
        work.biases.astype(np.int64) - bias,
        unit,
        golden.logits,
        others.argmax(axis=1),
        golden.classes,
        golden.labels,
        work.lesser,
        found,
    )
    return found


def _constant(arithmetic: Arithmetic, golden: Golden, memory: Memory, word: int, value: int) -> Counts:
    """Of a fault in the constants of a requantisation, an average-pool or an addition."""
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
    if isinstance(x, Requantisation):
        scaled = _unscaled(arithmetic, golden, name) * multipliers[0]
    else:
        first, second = (golden.codes[source].astype(np.int64) for source in structure.sources[name])
        scaled = first * multipliers[0] + second * multipliers[1]
    codes = rounded(scaled, shift, x.minimum, x.maximum)
    if name in network.layer_names:
        codes = arithmetic.clipped(network[name], codes)
    before = golden.codes[structure.leaving(name) if name in network.layer_names else name]
    images = np.flatnonzero((codes != before).reshape(len(codes), -1).any(axis=1))
    status = np.zeros(len(golden), np.uint8)
    status[images] = Downstream(arithmetic, golden, name, None).statuses(images, codes[images])
    return counted(status)


def _unscaled(arithmetic: Arithmetic, golden: Golden, name: str) -> np.ndarray:
    """What a layer requantises: int64, after a max-pool that alone takes it."""
    structure, network = arithmetic.network.network, arithmetic.network
    if name in network.layer_names:
        best = pooled(torch.from_numpy(golden.sums[name]), structure.pool_of(name)).numpy().astype(np.int64)
        return best + network[name].bias.astype(np.int64).reshape(-1, *[1] * (best.ndim - 2))
    pool = structure[name]
    assert isinstance(pool, AveragePool)
    x = golden.codes[structure.sources[name][0]].astype(np.int64)
    seen = np.lib.stride_tricks.sliding_window_view(x, pool.window, axis=(2, 3))
    total: np.ndarray = seen[:, :, :: pool.stride[0], :: pool.stride[1]].sum(axis=(-2, -1))
    return total


def _each(status: np.ndarray) -> Counts:
    """How many of each status in each row."""
    return np.stack([np.count_nonzero(status == k, axis=1) for k in range(STATUSES)], axis=1)
