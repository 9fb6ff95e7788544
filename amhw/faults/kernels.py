"""The inner loops of the incremental campaign, compiled by Numba: what NumPy would do in many passes over memory.

A requantisation comes as the floats m, h, d, low, high: y = min(max(⌊(v·m + h)·d⌋, low), high) with d = 2^−s. All of
it is exact: |v·m + h| is below 2^53, and a power of two only moves the point. Processors do this on more numbers at a
time than on 64-bit integers.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from amhw.extras import optional

Constants = tuple[float, float, float, float, float]

numba = optional("numba", "faults", "amhw faults")

_compiled: Callable[[Callable[..., Any]], Callable[..., Any]] = numba.njit(cache=True, nogil=True)


@_compiled
def channel_codes(
    base: np.ndarray,
    padded: np.ndarray,
    deltas: np.ndarray,
    linear: np.ndarray,
    taps: np.ndarray,
    biases: np.ndarray,
    stride: tuple[int, int],
    window: tuple[int, int],
    step: tuple[int, int],
    constants: Constants,
    golden: np.ndarray,
    out: np.ndarray,
    changed: np.ndarray,
) -> None:
    """A convolution's channel under faults in its own weights or bias, pooled and requantised.

    Args:
        base: the channel's sums without a fault, floats [N, H, W].
        padded: what the multipliers see, [N, in, …, …].
        deltas: floats [F, codes], what fault f adds to the product of each code with the weight at `taps[f]`.
        linear: bool[F], whether deltas[f, x] is x·deltas[f, 1].
        taps: int64[F, 3], the weight's input channel, row and column.
        biases: float64[F].
        stride: of the convolution.
        window, step: of the pooling; all 1 where there is none.
        golden: codes without a fault, [N, h, w].
        out: codes [F, N, h, w].
        changed: uint8[F, N], whether any code is.
    """
    m, h, d, low, high = constants
    faults, images, height, width = out.shape
    columns = (width - 1) * step[1] + window[1]
    best = np.empty(columns, base.dtype)
    for f in range(faults):
        c, ky, kx = taps[f]
        delta, slope, bias = deltas[f], deltas[f, 1], biases[f]
        plain = linear[f] and stride[1] == 1
        for n in range(images):
            different = 0
            for y in range(height):
                for j in range(window[0]):
                    row = y * step[0] + j
                    sums = base[n, row]
                    line = padded[n, c, row * stride[0] + ky][kx:]
                    if plain and j == 0:
                        for x in range(columns):
                            best[x] = sums[x] + slope * line[x]
                    elif plain:
                        for x in range(columns):
                            best[x] = max(best[x], sums[x] + slope * line[x])
                    elif j == 0:
                        for x in range(columns):
                            best[x] = sums[x] + delta[line[x * stride[1]]]
                    else:
                        for x in range(columns):
                            best[x] = max(best[x], sums[x] + delta[line[x * stride[1]]])
                codes, before = out[f, n, y], golden[n, y]
                if window[1] == 2 and step[1] == 2:
                    for x in range(width):
                        value = np.float64(max(best[2 * x], best[2 * x + 1])) + bias
                        codes[x] = min(max(np.floor((value * m + h) * d), low), high)
                else:
                    for x in range(width):
                        greatest = best[x * step[1]]
                        for i in range(1, window[1]):
                            greatest = max(greatest, best[x * step[1] + i])
                        value = np.float64(greatest) + bias
                        codes[x] = min(max(np.floor((value * m + h) * d), low), high)
                for x in range(width):
                    different |= codes[x] != before[x]
            changed[f, n] = different


@_compiled
def neuron_codes(
    sums: np.ndarray,
    inputs: np.ndarray,
    deltas: np.ndarray,
    words: np.ndarray,
    biases: np.ndarray,
    constants: Constants,
    out: np.ndarray,
    reached: np.ndarray,
) -> None:
    """A linear layer's neuron under faults in its own weights or bias.

    Args:
        sums: without a fault, floats [N].
        inputs: what the multipliers see, [in, N].
        deltas: int32[F, codes], as in `channel_codes`.
        words: int64[F], which weight each fault is in.
        biases: float64[F].
        out: uint8[F, N], code minus `low`.
        reached: uint8[N, codes], set where a fault leads to that code.
    """
    m, h, d, low, high = constants
    for f in range(len(deltas)):
        delta, line, bias = deltas[f], inputs[words[f]], biases[f]
        for n in range(len(sums)):
            value = np.float64(sums[n]) + delta[line[n]] + bias
            code = np.int64(min(max(np.floor((value * m + h) * d), low), high) - low)
            out[f, n] = code
            reached[n, code] = 1


@_compiled
def looked_up(codes: np.ndarray, status: np.ndarray, counts: np.ndarray) -> None:
    """Add to counts[f] the status[n, codes[f, n]] of each image."""
    for f in range(len(codes)):
        for n in range(codes.shape[1]):
            counts[f, status[n, codes[f, n]]] += 1


@_compiled
def requantised(
    rest: np.ndarray,
    images: np.ndarray,
    part: np.ndarray,
    biases: np.ndarray,
    highs: np.ndarray,
    constants: Constants,
    out: np.ndarray,
) -> None:
    """Codes [P, S] of rest[images[p]] + part[p] + bias, none above `highs`: floats [N, S] and [P, S],
    float64[S] both."""
    m, h, d, low, _ = constants
    for p in range(len(part)):
        n = images[p]
        for x in range(part.shape[1]):
            value = np.float64(rest[n, x] + part[p, x]) + biases[x]
            out[p, x] = min(max(np.floor((value * m + h) * d), low), highs[x])


@_compiled
def pooled_codes(
    rest: np.ndarray,
    images: np.ndarray,
    part: np.ndarray,
    biases: np.ndarray,
    highs: np.ndarray,
    window: tuple[int, int],
    step: tuple[int, int],
    constants: Constants,
    out: np.ndarray,
) -> None:
    """Codes [P, C, h, w] of the greatest rest[images[p]] + part[p] of each window, and a bias: floats [N, H, W·C] and
    [P, H, W·C], float64[C]; none above `highs`, float64[C]."""
    m, h, d, low, _ = constants
    _, channels, height, width = out.shape
    columns = ((width - 1) * step[1] + window[1]) * channels
    best = np.empty(columns, part.dtype)
    for p in range(len(part)):
        n = images[p]
        for y in range(height):
            one, other = rest[n, y * step[0]], part[p, y * step[0]]
            for k in range(columns):
                best[k] = one[k] + other[k]
            for j in range(1, window[0]):
                one, other = rest[n, y * step[0] + j], part[p, y * step[0] + j]
                for k in range(columns):
                    best[k] = max(best[k], one[k] + other[k])
            for x in range(width):
                first = best[x * step[1] * channels :]
                for i in range(1, window[1]):
                    next_ = best[(x * step[1] + i) * channels :]
                    for c in range(channels):
                        first[c] = max(first[c], next_[c])
                for c in range(channels):
                    value = np.float64(first[c]) + biases[c]
                    out[p, c, y, x] = min(max(np.floor((value * m + h) * d), low), highs[c])


@_compiled
def classified(
    logits: np.ndarray, images: np.ndarray, golden: np.ndarray, classes: np.ndarray, labels: np.ndarray, out: np.ndarray
) -> None:
    """`amhw.faults.outcome.statuses` of logits [P, classes] of the images at `images`."""
    for p in range(len(logits)):
        n = images[p]
        best, same = 0, logits[p, 0] == golden[n, 0]
        for k in range(1, logits.shape[1]):
            if logits[p, k] > logits[p, best]:
                best = k
            same &= logits[p, k] == golden[n, k]
        before, label = classes[n], labels[n]
        if same:
            out[p] = 0
        elif best == before:
            out[p] = 1
        elif before == label:
            out[p] = 2
        elif best == label:
            out[p] = 3
        else:
            out[p] = 4


@_compiled
def logit_counts(
    inputs: np.ndarray,
    deltas: np.ndarray,
    words: np.ndarray,
    shifts: np.ndarray,
    own: int,
    golden: np.ndarray,
    rival: np.ndarray,
    classes: np.ndarray,
    labels: np.ndarray,
    lesser: bool,
    counts: np.ndarray,
) -> None:
    """Add to counts[f] the statuses of images of which a fault changes the logit of class `own` only.

    Args:
        inputs, deltas, words: as in `neuron_codes`.
        shifts: int64[F], what each fault adds to the bias.
        golden: int64[N, classes].
        lesser: whether the lesser of the logit with and without the fault counts.
        rival: int64[N], which of the other classes has the greatest logit, the first of equals.
    """
    for f in range(len(deltas)):
        delta, line, shift = deltas[f], inputs[words[f]], shifts[f]
        for n in range(len(rival)):
            change = delta[line[n]] + shift
            if lesser:
                change = min(change, 0)
            if change == 0:
                counts[f, 0] += 1
                continue
            mine, other = golden[n, own] + change, golden[n, rival[n]]
            now = own if mine > other or (mine == other and own < rival[n]) else rival[n]
            before, label = classes[n], labels[n]
            if now == before:
                counts[f, 1] += 1
            elif before == label:
                counts[f, 2] += 1
            elif now == label:
                counts[f, 3] += 1
            else:
                counts[f, 4] += 1
