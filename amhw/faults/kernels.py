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

_ODD = -7046029254386353131
"""2^64 over the golden ratio, as a signed number: a product with it spreads keys over a table (Knuth, volume 3)."""

numba = optional("numba", "faults", "amhw faults")

_compiled: Callable[[Callable[..., Any]], Callable[..., Any]] = numba.njit(cache=True, nogil=True)

_inlined: Callable[[Callable[..., Any]], Callable[..., Any]] = numba.njit(inline="always")
"""Calls that pass arrays, and slices of arrays, take longer than these loops: references are counted."""


@_inlined
def _outside(
    values: np.ndarray, lows: np.ndarray, highs: np.ndarray, n: int, marks: np.ndarray, found: np.ndarray
) -> int:
    """Write the k with values[k] outside of lows[n, k] … highs[n, k] to `found`; how many there are.

    Without a branch a number, as few processors would guess right.

    Args:
        marks: uint8, a multiple of eight of them; 0 behind as many as there are values.
        found: int64, as many.
    """
    for k in range(len(values)):
        marks[k] = (values[k] < lows[n, k]) | (values[k] > highs[n, k])
    eights = marks.view(np.uint64)
    count = 0
    for w in range(len(eights)):
        if eights[w] != 0:
            for k in range(8 * w, 8 * w + 8):
                found[count] = k
                count += marks[k]
    return count


@_compiled
def channel_changes(
    base: np.ndarray,
    planes: np.ndarray,
    members: np.ndarray,
    deltas: np.ndarray,
    linear: np.ndarray,
    which: np.ndarray,
    channels: np.ndarray,
    shifts: np.ndarray,
    lows: np.ndarray,
    highs: np.ndarray,
    golden: np.ndarray,
    bias: float,
    constants: Constants,
    lesser: bool,
    faults: np.ndarray,
    pairs: np.ndarray,
    images: np.ndarray,
    starts: np.ndarray,
    places: np.ndarray,
    codes: np.ndarray,
) -> tuple[int, int]:
    """What changes in a convolution's pooled channel under faults in its own weights or bias: in how many trials
    something does, and how many different pairs of an image and changes those are.

    A position of the pooled channel is the greatest of M sums, the *members* of its window. What the multipliers see at
    one member and one tap of the kernel, over all positions, is a *plane*.

    Args:
        base: the sums without a fault, floats [N, M, K], K positions.
        planes: uint8[N, in, planes, K].
        members: int64[F, M], the plane that each fault's tap sees at each member.
        deltas: floats [U, codes], what a change of a weight adds to its product with each code.
        linear: bool[U], whether deltas[u, x] is x·deltas[u, 1].
        which: int64[F], which of these changes a fault is.
        channels: int64[F], the input channel of its weight.
        shifts: floats [F], what it adds to the bias.
        lows, highs: floats [N, K], `amhw.faults.changes.ranges`.
        golden: codes without a fault, [N, K].
        bias: the channel's.
        lesser: whether the lesser of the two codes counts.
        faults, pairs: int64, written: of each trial in which something changes; there is room for all.
        images: int64, written: of each pair.
        starts, places, codes: written, as in `amhw.faults.changes.Changes`.
    """
    m, h, d, low, high = constants
    count, window, positions = base.shape
    best = np.empty(positions, base.dtype)
    marks = np.zeros((positions + 7) // 8 * 8, np.uint8)
    at = np.empty(len(marks), np.int64)
    slots = 1
    while slots < 2 * len(which):
        slots *= 2
    table, keys = np.empty(slots, np.int64), np.empty(len(images), np.int64)
    trial, pair, entry = 0, 0, 0
    starts[0] = 0
    for n in range(count):
        for k in range(slots):
            table[k] = -1
        for f in range(len(which)):
            change = which[f]
            slope, plain = deltas[change, 1], linear[change]
            for j in range(window):
                c, plane = channels[f], members[f, j]
                if plain and j == 0:
                    for k in range(positions):
                        best[k] = base[n, j, k] + slope * planes[n, c, plane, k]
                elif plain:
                    for k in range(positions):
                        best[k] = max(best[k], base[n, j, k] + slope * planes[n, c, plane, k])
                elif j == 0:
                    for k in range(positions):
                        best[k] = base[n, j, k] + deltas[change, planes[n, c, plane, k]]
                else:
                    for k in range(positions):
                        best[k] = max(best[k], base[n, j, k] + deltas[change, planes[n, c, plane, k]])
            shift = shifts[f]
            if shift != 0:
                for k in range(positions):
                    best[k] += shift
            key = np.int64(0)
            for i in range(_outside(best, lows, highs, n, marks, at)):
                k = at[i]
                value = np.float64(best[k]) + bias
                code = min(max(np.floor((value * m + h) * d), low), high)
                if not lesser or code < golden[n, k]:
                    places[entry], codes[entry] = k, code
                    key = (key + (k << 9) + np.int64(code)) * _ODD
                    entry += 1
            length = entry - starts[pair]
            if length == 0:
                continue
            # Another fault that changes the same codes of this image is in the same pair.
            slot = (key >> 32) & (slots - 1)
            while table[slot] >= 0:
                other = table[slot]
                same = keys[other] == key and starts[other + 1] - starts[other] == length
                for e in range(length if same else 0):
                    mine, its = starts[pair] + e, starts[other] + e
                    same &= places[mine] == places[its] and codes[mine] == codes[its]
                if same:
                    break
                slot = (slot + 1) & (slots - 1)
            if table[slot] < 0:
                table[slot], keys[pair], images[pair] = pair, key, n
                pair += 1
                starts[pair] = entry
            entry = starts[pair]
            faults[trial], pairs[trial] = f, table[slot]
            trial += 1
    return trial, pair


@_compiled
def neuron_changes(
    sums: np.ndarray,
    inputs: np.ndarray,
    deltas: np.ndarray,
    linear: np.ndarray,
    which: np.ndarray,
    words: np.ndarray,
    shifts: np.ndarray,
    lows: np.ndarray,
    highs: np.ndarray,
    golden: np.ndarray,
    bias: float,
    constants: Constants,
    lesser: bool,
    starts: np.ndarray,
    images: np.ndarray,
    levels: np.ndarray,
    reached: np.ndarray,
) -> None:
    """In which images faults in a linear layer's neuron change its code, and to what.

    Args:
        sums: without a fault, floats [N].
        inputs: what the multipliers see, uint8[in, N].
        deltas, linear, which, shifts, bias, lesser: as in `channel_changes`.
        words: int64[F], which weight each fault is in.
        lows, highs: floats [1, N].
        golden: codes without a fault, [N].
        starts: int64[F + 1], written: where a fault's images begin.
        images, levels: int32 and uint8, written: image, and code minus `low`; there is room for all.
        reached: uint8[N, codes], set where a fault leads to that code.
    """
    m, h, d, low, high = constants
    count = len(sums)
    values = np.empty(count, sums.dtype)
    marks = np.zeros((count + 7) // 8 * 8, np.uint8)
    at = np.empty(len(marks), np.int64)
    entry = 0
    starts[0] = 0
    for f in range(len(which)):
        change, word, shift = which[f], words[f], shifts[f]
        slope = deltas[change, 1]
        if linear[change]:
            for n in range(count):
                values[n] = sums[n] + slope * inputs[word, n] + shift
        else:
            for n in range(count):
                values[n] = sums[n] + deltas[change, inputs[word, n]] + shift
        for i in range(_outside(values, lows, highs, 0, marks, at)):
            n = at[i]
            value = np.float64(values[n]) + bias
            code = min(max(np.floor((value * m + h) * d), low), high)
            if not lesser or code < golden[n]:
                level = np.uint8(code - low)
                images[entry], levels[entry] = n, level
                reached[n, level] = 1
                entry += 1
        starts[f + 1] = entry


@_compiled
def tallied(starts: np.ndarray, images: np.ndarray, levels: np.ndarray, status: np.ndarray, counts: np.ndarray) -> None:
    """Add to counts[f] the status[image, level] of each image of a fault, and status 0 of all others."""
    for f in range(len(counts)):
        counts[f, 0] += len(status) - (starts[f + 1] - starts[f])
        for e in range(starts[f], starts[f + 1]):
            counts[f, status[images[e], levels[e]]] += 1


@_compiled
def logit_counts(
    inputs: np.ndarray,
    deltas: np.ndarray,
    linear: np.ndarray,
    which: np.ndarray,
    words: np.ndarray,
    shifts: np.ndarray,
    lows: np.ndarray,
    highs: np.ndarray,
    moved: np.ndarray,
    lesser: bool,
    counts: np.ndarray,
) -> None:
    """Add to counts[f] the statuses of images of which a fault changes one logit only.

    Args:
        inputs, deltas, linear, which, words, shifts, lesser: as in `neuron_changes`.
        lows, highs: floats [1, N], between which a change of the logit leaves the class as it is.
        moved: uint8[N], the status where it does not.
    """
    count = inputs.shape[1]
    changes = np.empty(count, lows.dtype)
    marks = np.zeros((count + 7) // 8 * 8, np.uint8)
    at = np.empty(len(marks), np.int64)
    for f in range(len(which)):
        change, word, shift = which[f], words[f], shifts[f]
        slope = deltas[change, 1]
        if linear[change]:
            for n in range(count):
                changes[n] = slope * inputs[word, n] + shift
        else:
            for n in range(count):
                changes[n] = deltas[change, inputs[word, n]] + shift
        same = 0
        if lesser:
            for n in range(count):
                changes[n] = min(changes[n], 0)
        for n in range(count):
            same += changes[n] == 0
        others = _outside(changes, lows, highs, 0, marks, at)
        for i in range(others):
            counts[f, moved[at[i]]] += 1
        counts[f, 0] += same
        counts[f, 1] += count - same - others


@_inlined
def _added(
    n: int,
    start: int,
    end: int,
    places: np.ndarray,
    codes: np.ndarray,
    before: np.ndarray,
    terms: np.ndarray,
    rows: np.ndarray,
    work: np.ndarray,
) -> None:
    """Add to sums [out] what changes `start` to `end` − 1 of image n's codes add; two at a time, as that loads and
    stores the sums half as often."""
    for r in range(terms.shape[1]):
        for e in range(start, end - 1, 2):
            j, k = places[e], places[e + 1]
            first, second = terms[codes[e], r] - terms[before[n, j], r], terms[codes[e + 1], r] - terms[before[n, k], r]
            for o in range(len(work)):
                work[o] += first * rows[j, r, o] + second * rows[k, r, o]
        if (end - start) % 2 != 0:
            k = places[end - 1]
            first = terms[codes[end - 1], r] - terms[before[n, k], r]
            for o in range(len(work)):
                work[o] += first * rows[k, r, o]


@_compiled
def linear_changes(
    images: np.ndarray,
    starts: np.ndarray,
    places: np.ndarray,
    codes: np.ndarray,
    before: np.ndarray,
    terms: np.ndarray,
    rows: np.ndarray,
    sums: np.ndarray,
    lows: np.ndarray,
    highs: np.ndarray,
    biases: np.ndarray,
    ceilings: np.ndarray,
    constants: Constants,
    out_starts: np.ndarray,
    out_places: np.ndarray,
    out_codes: np.ndarray,
) -> None:
    """What changes behind a linear layer.

    Args:
        images, starts, places, codes: `amhw.faults.changes.Changes`.
        before: codes that enter without a fault, [N, in].
        terms: floats [codes, R], the activations' part of a product.
        rows: floats [in, R, out], the weights' part; `out` may be more than there are.
        sums: without a fault, floats [N, out].
        lows, highs: floats [N, out], infinite for what is more.
        biases, ceilings: float64 of the outputs.
        out_starts, out_places, out_codes: written; there is room for all.
    """
    m, h, d, low, _ = constants
    outputs = sums.shape[1]
    work = np.empty(outputs, sums.dtype)
    marks = np.zeros((outputs + 7) // 8 * 8, np.uint8)
    at = np.empty(len(marks), np.int64)
    entry = 0
    out_starts[0] = 0
    for p in range(len(images)):
        n = images[p]
        for o in range(len(work)):
            work[o] = sums[n, o]
        _added(n, starts[p], starts[p + 1], places, codes, before, terms, rows, work)
        count = _outside(work, lows, highs, n, marks, at)
        for i in range(count):
            o = at[i]
            value = np.float64(work[o]) + biases[o]
            out_places[entry + i] = o
            out_codes[entry + i] = min(max(np.floor((value * m + h) * d), low), ceilings[o])
        entry += count
        out_starts[p + 1] = entry


@_compiled
def convolution_changes(
    images: np.ndarray,
    starts: np.ndarray,
    places: np.ndarray,
    codes: np.ndarray,
    before: np.ndarray,
    terms: np.ndarray,
    runs: np.ndarray,
    at: np.ndarray,
    begins: np.ndarray,
    sums: np.ndarray,
    lead: int,
    outputs: int,
    window: tuple[int, int],
    step: int,
    lows: np.ndarray,
    highs: np.ndarray,
    columns: np.ndarray,
    pooled: int,
    biases: np.ndarray,
    ceilings: np.ndarray,
    constants: Constants,
    out_starts: np.ndarray,
    out_places: np.ndarray,
    out_codes: np.ndarray,
) -> None:
    """What changes behind a convolution and its pool.

    A *line* is a row of the layer's sums, channels last, and some room, in which nothing is read: what an input adds
    to a row is a run of numbers that may begin before the row or end behind it.

    Args:
        images, starts, places, codes, before, terms, biases, ceilings, out_starts, out_places, out_codes: as in
            `linear_changes`; places are in [in, H, W], written ones in [out, h, w].
        runs: floats [in, R, k, stride, run].
        at: int64[in·H·W, 4], of each place: its channel, row, and column modulo the stride, and where its runs begin in
            a line, or −room where they would be behind it.
        begins: int64[H, k], where the line is that a row's inputs add to with each row of the kernel; −1 if none.
        sums: without a fault, floats [N, …], the first line at `lead`.
        outputs: channels.
        window: of the pool, all 1 where there is none.
        step: its rows.
        lows, highs: floats [N·h, line], infinite where no pooled position begins.
        columns: int64[line, 2], the channel that is there, and its place in the first pooled row.
        pooled: positions of a pooled row.
    """
    m, h, d, low, _ = constants
    pooled_rows, line = len(lows) // len(sums), lows.shape[1]
    taps, run = runs.shape[2], runs.shape[4]
    work = np.empty(sums.shape[1], sums.dtype)
    best = np.empty(line, sums.dtype)
    marks = np.zeros((line + 7) // 8 * 8, np.uint8)
    outside = np.empty(len(marks), np.int64)
    entry = 0
    out_starts[0] = 0
    for p in range(len(images)):
        n = images[p]
        for k in range(len(work)):
            work[k] = sums[n, k]
        first, last = len(work), -1
        for e in range(starts[p], starts[p + 1]):
            place = places[e]
            channel, row, phase, offset = at[place]
            if offset < -lead:
                continue
            for r in range(terms.shape[1]):
                delta = terms[codes[e], r] - terms[before[n, place], r]
                for tap in range(taps):
                    begin = begins[row, tap]
                    if begin < 0:
                        continue
                    first, last = min(first, begin), max(last, begin)
                    # Unsigned, as an index that might be negative is looked at, number by number.
                    here = np.uint64(begin + offset)
                    for k in range(np.uint64(run)):
                        work[here + k] += delta * runs[channel, r, tap, phase, k]
        for y in range(pooled_rows):
            begin = lead + y * step * line
            if begin > last or begin + window[0] * line <= first:
                continue
            for j in range(window[0]):
                for i in range(window[1]):
                    there = np.uint64(begin + j * line + i * outputs)
                    if i + j == 0:
                        for k in range(np.uint64(line)):
                            best[k] = work[there + k]
                    else:
                        for k in range(np.uint64(line)):
                            best[k] = max(best[k], work[there + k])
            count = _outside(best, lows, highs, n * pooled_rows + y, marks, outside)
            for k in range(count):
                channel, place = columns[outside[k]]
                value = np.float64(best[outside[k]]) + biases[channel]
                out_places[entry + k] = place + y * pooled
                out_codes[entry + k] = min(max(np.floor((value * m + h) * d), low), ceilings[channel])
            entry += count
        out_starts[p + 1] = entry


@_compiled
def last_statuses(
    images: np.ndarray,
    starts: np.ndarray,
    places: np.ndarray,
    codes: np.ndarray,
    before: np.ndarray,
    terms: np.ndarray,
    rows: np.ndarray,
    sums: np.ndarray,
    biases: np.ndarray,
    classes: np.ndarray,
    labels: np.ndarray,
    out: np.ndarray,
) -> None:
    """`amhw.faults.outcome.statuses` of pairs whose last layer has these changes at its inputs; arguments as in
    `linear_changes`, with the class without a fault and the label of each image, int64[N]."""
    work = np.empty(sums.shape[1], sums.dtype)
    for p in range(len(images)):
        n = images[p]
        for o in range(len(work)):
            work[o] = sums[n, o]
        _added(n, starts[p], starts[p + 1], places, codes, before, terms, rows, work)
        best, same = 0, work[0] == sums[n, 0]
        greatest = np.float64(work[0]) + biases[0]
        for o in range(1, len(biases)):
            logit = np.float64(work[o]) + biases[o]
            if logit > greatest:
                best, greatest = o, logit
            same &= work[o] == sums[n, o]
        out[p] = _status(same, best, classes[n], labels[n])


@_compiled
def _status(same: bool, now: int, before: int, label: int) -> int:
    if same:
        return 0
    if now == before:
        return 1
    if before == label:
        return 2
    return 3 if now == label else 4


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
        out[p] = _status(same, best, classes[n], labels[n])
