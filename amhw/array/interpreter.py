"""What a schedule's records compute: every loop, address and constant as the engine takes them, in NumPy.

Nothing here knows layers. The activation memory is an array [h, w, words, lanes] as `amhw.array.records` describes it;
an operation reads windows of it, looks products up in the multiplier's table and writes words back.
"""

from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from amhw.array.config import ArrayConfig
from amhw.array.operation import Operation
from amhw.array.program import Program
from amhw.array.records import Fetch, Finish
from amhw.array.schedule import Schedule
from amhw.families.masked import Masked
from amhw.table import ProductTable

Integers = NDArray[np.int64]


class Interpreter:
    """The memories of an engine, and what its operations do to them."""

    def __init__(self, schedule: Program) -> None:
        self._schedule = schedule
        self._config = schedule.config
        self._weights = schedule.weight_words.transpose(0, 2, 1).reshape(-1, self._config.cols)
        self._biases = schedule.bias_words
        kept = sum(1 << bit for bit in schedule.widths.bits_a) if schedule.plain else 255
        self._kept = kept
        self._memory = np.zeros((*self._config.window, schedule.words, self._config.requantisers), np.int64)
        self._results = np.zeros((schedule.batch * schedule.setup.words, self._config.requantisers), np.int64)

    def logits(self, images: NDArray[np.uint8]) -> Integers:
        """int64[N, classes] of uint8 images [N, C, H, W], one batch after another."""
        schedule = self._schedule
        assert isinstance(schedule, Schedule), "a cascade is `amhw.array.cascade.interpreted`"
        parts = [
            self._batch(schedule, images[first : first + schedule.batch])
            for first in range(0, len(images), schedule.batch)
        ]
        return np.concatenate(parts)

    def _batch(self, schedule: Schedule, images: NDArray[np.uint8]) -> Integers:
        setup = schedule.setup
        for index, image in enumerate(images):
            buffer = index % 2 * setup.image
            self.receive(image, buffer)
            for one in schedule.image_operations:
                self.run(one, buffer, index * setup.slot, 1)
        for one in schedule.batch_operations:
            self.run(one, 0, 0, len(images))
        return self.results(len(images))

    def results(self, images: int) -> Integers:
        """The logits of the last so many images."""
        setup = self._schedule.setup
        each = setup.words * self._config.requantisers
        return self._results.reshape(-1)[: images * each].reshape(-1, each)[:, : setup.classes].copy()

    def receive(self, image: NDArray[np.uint8], buffer: int) -> None:
        """Put an image's codes into the buffer that begins at this address."""
        setup = self._schedule.setup
        height, width = self._config.window
        pixels = image.astype(np.int64)
        half = 1 << setup.pixel_shift >> 1
        codes = np.minimum(((pixels + half) >> setup.pixel_shift) + setup.pixel_rounding, setup.pixel_highest)
        channel, y, x = np.indices(image.shape)
        lanes = self._config.requantisers
        address = buffer + channel // lanes * setup.pitch + y // height * setup.row_pitch + x // width
        self._memory[y % height, x % width, address, channel % lanes] = codes & self._kept

    def run(self, one: Operation, buffer: int, slot: int, images: int) -> None:
        """An operation of the image in this buffer, with its slot at this address; or of so many images' batch."""
        fetch, finish = one.fetch, one.finish
        offset = (buffer if fetch.image else 0) + (slot if fetch.slot else 0)
        totals = self._elements(fetch, finish, offset) if fetch.element else self._sums(one, offset, images)
        self._write(finish, totals, slot if finish.slot else 0)

    # Windows

    def _windows(self, fetch: Fetch, offset: int, images: int, part: tuple[int, int]) -> Integers:
        """The words [positions, h, w, lanes] of all positions, and 0 outside the map."""
        side = self._config.window
        columns = images if fetch.batched else fetch.columns
        y = _axis(fetch, "y", side[0], fetch.row_pitch, fetch.rows, fetch.pool_y)
        x = _axis(fetch, "x", side[1], 1, columns, fetch.pool_x)
        rows, pool_y, columns, pool_x = (count for axis in (y, x) for count in axis.shape[:2])
        order = (rows, columns, pool_y, pool_x)
        down = np.broadcast_to(y[:, None, :, None], (*order, 3)).reshape(-1, 3)
        across = np.broadcast_to(x[None, :, None, :], (*order, 3)).reshape(-1, 3)
        corner = fetch.base + offset + part[0] * fetch.row_pitch + part[1] + down[:, 1] + across[:, 1]
        tap_y, tap_x = np.arange(side[0]), np.arange(side[1])
        bank_y, bank_x = down[:, :1] + tap_y, across[:, :1] + tap_x
        address = (
            corner[:, None, None] + (bank_y // side[0] * fetch.row_pitch)[:, :, None] + (bank_x // side[1])[:, None, :]
        )
        words = self._memory[
            (bank_y % side[0])[:, :, None], (bank_x % side[1])[:, None, :], address % self._schedule.words
        ]
        pixel_y, pixel_x = down[:, 2:] + part[0] * side[0] + tap_y, across[:, 2:] + part[1] * side[1] + tap_x
        inside = ((pixel_y >= 0) & (pixel_y < fetch.height))[:, :, None] & ((pixel_x >= 0) & (pixel_x < fetch.width))[
            :, None, :
        ]
        return np.where(inside[..., None], words, 0)

    def _sums(self, one: Operation, offset: int, images: int) -> Integers:
        """Totals [groups, positions of a pooling window last, columns] of an array operation."""
        fetch, config = one.fetch, self._config
        word = one.weights.first * config.depth
        products = _products(config, fetch.gates)
        groups = []
        for _ in range(fetch.groups):
            total: Integers | int = 0
            for channel in range(fetch.channels):
                plane, lane = divmod(channel, fetch.lanes)
                for part_y in range(fetch.parts_y):
                    for part_x in range(fetch.parts_x):
                        at = offset + plane * fetch.pitch
                        words = self._windows(fetch, at, images, (part_y, part_x))
                        first = lane * config.channels
                        taps = words[..., first : first + config.channels].reshape(len(words), -1) & fetch.kept
                        weights = self._weights[word : word + config.rows]
                        word += config.rows
                        for row in range(config.rows):
                            if weights[row].any():
                                total = total + products[taps[:, row]][:, weights[row]]
            groups.append(total if isinstance(total, np.ndarray) else np.zeros((len(words), config.cols), np.int64))
        return np.stack(groups)

    def _elements(self, fetch: Fetch, finish: Finish, offset: int) -> Integers:
        """Words [planes, positions of a pooling window last, lanes] of an operation that leaves the array out."""
        planes = []
        for plane in range(fetch.channels):
            words = self._windows(fetch, offset + plane * fetch.pitch, 1, (0, 0))[:, 0, 0]
            pairs = words.reshape(len(words) // fetch.pool_x, fetch.pool_x, -1)
            signed = np.array([finish.signed_0, finish.signed_1])[np.arange(fetch.pool_x) % 2 * finish.adds]
            planes.append(np.where((signed == 1)[:, None] & (pairs > 127), pairs - 256, pairs).reshape(words.shape))
        return np.stack(planes)

    # What becomes of them

    def _write(self, finish: Finish, totals: Integers, slot: int) -> None:
        lanes = self._config.requantisers
        window = finish.pool_y * finish.pool_x
        blocks = totals.reshape(finish.groups, -1, window, totals.shape[-1])
        if finish.adds:
            scaled = blocks[:, :, 0] * finish.factor_0 + blocks[:, :, 1] * finish.factor_1
        else:
            if not finish.element:
                words = self._biases[finish.bias : finish.bias + finish.groups * finish.phases]
                bias = words.reshape(finish.groups, 1, 1, -1)
                blocks = blocks[..., : bias.shape[-1]] + bias
                blocks = np.abs(blocks) if finish.absolute and not finish.results else blocks
            pooled = blocks.sum(axis=2) if finish.element and not finish.greatest else blocks.max(axis=2)
            scaled = pooled * (1 if finish.results else finish.factor_0)
        codes = scaled
        if not finish.results:
            codes = np.clip((scaled + finish.offset) >> finish.shift, finish.lowest, finish.highest) & 255 & self._kept
        for group in range(finish.groups):
            for position in range(codes.shape[1]):
                word = codes[group, position].reshape(finish.phases, lanes)
                row, column = divmod(position, codes.shape[1] if finish.batched else finish.columns)
                for phase in range(finish.phases):
                    self._store(finish, word[phase], slot, group * finish.phases + phase, row, column)

    def _store(self, finish: Finish, word: Integers, slot: int, index: int, row: int, column: int) -> None:
        height, width = self._config.window
        address = finish.base + slot + column * finish.step
        if finish.results:
            self._results[address + index * finish.pitch] = word
        elif finish.vector:
            plane, bank = divmod(index, height * width)
            self._memory[bank // width, bank % width, address + plane] = word
        else:
            down, bank_y = divmod(finish.bank + row, height)
            across, bank_x = (0, 0) if finish.batched else divmod(column, width)
            self._memory[bank_y, bank_x, address + index * finish.pitch + down * finish.row_pitch + across] = word


@cache
def _products(config: ArrayConfig, gates: int) -> Integers:
    """Of the array's elements while these gates are open."""
    multiplier = config.multiplier
    for k, gate in enumerate(config.gates):
        assert isinstance(multiplier, Masked), "only masks have gates"
        if not gates >> k & 1:
            rows = tuple(there & ~closed for there, closed in zip(multiplier.rows, gate, strict=True))
            multiplier = replace(multiplier, rows=rows)
    return ProductTable.of(multiplier).products.astype(np.int64)


def _axis(fetch: Fetch, axis: str, side: int, pitch: int, outer: int, inner: int) -> Integers:
    """Remainder, address and coordinate [outer, inner, 3] of the corner along one axis, step by step."""

    def moved(place: tuple[int, int, int], step: str) -> tuple[int, int, int]:
        carry, remainder = divmod(place[0] + getattr(fetch, f"{step}_{axis}_remainder"), side)
        address = place[1] + getattr(fetch, f"{step}_{axis}_address") + carry * pitch
        return remainder, address, place[2] + getattr(fetch, f"{step}_{axis}_coordinate")

    start = tuple(getattr(fetch, f"start_{axis}_{part}") for part in ("remainder", "address", "coordinate"))
    places = []
    at = (start[0], start[1], start[2])
    for _ in range(outer):
        within = at
        row = []
        for _ in range(inner):
            row.append(within)
            within = moved(within, "inner")
        places.append(row)
        at = moved(at, "outer")
    return np.array(places, np.int64)
