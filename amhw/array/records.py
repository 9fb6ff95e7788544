"""What the engine's units are told of one operation: plain numbers, which a ROM or the configuration port gives them.

An operation is one nest of loops over output positions. Each unit walks it on its own, and so has a record of its own:

    `Fetch`     which window of activations enters the array in each clock
    `Weights`   which weights are preloaded meanwhile
    `Finish`    what becomes of the sums that leave the array, and where the codes go

`Setup` is what holds for the whole network. Pixel (y, x) of a map lies in bank (y mod h, x mod w) of an activation
memory with h × w banks, at address base + plane · pitch + (y div h) · row pitch + x div w. A word holds as many
channels as there are requantisers, and a plane is one word of every pixel. So any h × w window is one word of each
bank.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Move:
    """A way along one axis of a map, in windows of `side` pixels: remainder and address of the bank, and the plain
    coordinate, which says what is padding."""

    remainder: int = 0
    address: int = 0
    coordinate: int = 0


@dataclass(frozen=True)
class Fetch:
    """The loops, outermost first: groups of output channels, input channels, parts of a kernel down and across,
    pooled rows and columns, and the rows and columns of the pooling window.

    Attributes:
        element: the corner's word goes past the array: additions, pools of their own, copies.
        image: the image is read; wait for one.
        release: it is not read again.
        results: wait until the last results are sent.
        ends: the last operation of an image, or of a batch.
        gathers: the last operation of an image that leaves its results for the batch's operations.
        gap: clocks since the last turn of the operation before.
        interval: clocks for a position whose codes are complete.
        groups, channels, parts_y, parts_x, rows, columns, pool_y, pool_x: rounds of the loops.
        batched: there are as many columns as images in the batch.
        lanes: channels in a word that are read one after another.
        slot: addresses are relative to the image's slot.
        base: address of plane 0.
        pitch, row_pitch: addresses from one plane, and from one row of windows, to the next.
        height, width: of the map.
        kept: bits of an activation that enter the array; the others are 0 there.
        gates: of the elements that are open.
        start_*, inner_*, outer_*: of the window's corner, down (y) and across (x): where it starts, and how it moves
            from one position to the next within a pooling window and from one pooling window to the next.
        decides: the last operation of an image that may have others (`amhw.array.cascade`).
    """

    element: int
    image: int
    release: int
    results: int
    ends: int
    gathers: int
    gap: int
    interval: int
    groups: int
    channels: int
    parts_y: int
    parts_x: int
    rows: int
    columns: int
    pool_y: int
    pool_x: int
    batched: int
    lanes: int
    slot: int
    base: int
    pitch: int
    row_pitch: int
    height: int
    width: int
    kept: int
    gates: int
    start_y_remainder: int
    start_y_address: int
    start_y_coordinate: int
    start_x_remainder: int
    start_x_address: int
    start_x_coordinate: int
    inner_y_remainder: int
    inner_y_address: int
    inner_y_coordinate: int
    inner_x_remainder: int
    inner_x_address: int
    inner_x_coordinate: int
    outer_y_remainder: int
    outer_y_address: int
    outer_y_coordinate: int
    outer_x_remainder: int
    outer_x_address: int
    outer_x_coordinate: int
    decides: int = 0


@dataclass(frozen=True)
class Weights:
    """Attributes:
    tiles: whether there are any.
    first: word of the weight memory at which the operation's begin; they follow in the order in which they are used.
    """

    tiles: int
    first: int


@dataclass(frozen=True)
class Finish:
    """The loops are those of `Fetch`, with all rounds that add to the same sums in one.

    Attributes:
        element: what comes has not been through the array.
        adds: pairs of words are scaled, each by its factor, and added.
        greatest: of a pooling window that has not been through the array, the greatest, not the sum.
        signed_0, signed_1: whether such words are two's complement, the first and second of a pair.
        groups, terms, rows, columns, pool_y, pool_x, batched: rounds of the loops.
        phases: words for a position.
        bias: word of the bias memory at which the operation's begin.
        factor_0, factor_1, offset, shift, lowest, highest: y = clamp((v · factor + offset) >> shift).
        absolute: |v| is scaled.
        results: sums with bias are the logits.
        slot: addresses are relative to the image's slot.
        vector: words follow one another from bank to bank, not from plane to plane.
        base, pitch, row_pitch: as for `Fetch`; the first row's.
        bank: of the first row.
        step: addresses from one column to the next, beside those that banks give; of images and results.
        ends, gathers, decides: as for `Fetch`.
    """

    element: int
    adds: int
    greatest: int
    signed_0: int
    signed_1: int
    groups: int
    terms: int
    rows: int
    columns: int
    pool_y: int
    pool_x: int
    batched: int
    phases: int
    bias: int
    factor_0: int
    factor_1: int
    offset: int
    shift: int
    lowest: int
    highest: int
    absolute: int
    results: int
    slot: int
    vector: int
    base: int
    pitch: int
    row_pitch: int
    bank: int
    step: int
    ends: int
    gathers: int
    decides: int = 0


@dataclass(frozen=True)
class Setup:
    """Attributes:
    channels, height, width: of an image.
    pitch, row_pitch, image: of its planes; addresses from one image buffer to the other. The first one begins at 0.
    pixel_shift, pixel_rounding, pixel_highest: a pixel's code is min((p + half) >> shift + rounding, highest).
    slots, slot: address of the first image's slot, and from one to the next.
    batch: most images in a batch.
    classes, words: results of an image, and the words of the results' memory that they take.
    threshold: of the margin, below which an image's other operations follow.
    """

    channels: int
    height: int
    width: int
    pitch: int
    row_pitch: int
    image: int
    pixel_shift: int
    pixel_rounding: int
    pixel_highest: int
    slot: int
    batch: int
    classes: int
    words: int
    threshold: int = 0


Record = Fetch | Weights | Finish | Setup
