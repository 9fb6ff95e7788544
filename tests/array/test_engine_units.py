"""Each unit of the engine alone, in Amaranth's simulator, against loops in Python."""

import numpy as np
import pytest
from amaranth.hdl import Elaboratable
from amaranth.sim import Simulator
from test_engine import joined, split
from test_schedule import EXACT, MASKED, small

from amhw import Masked
from amhw.array.config import ArrayConfig
from amhw.array.engine.accumulate import Accumulator
from amhw.array.engine.images import Receiver
from amhw.array.engine.memory import ConfiguredMemory
from amhw.array.engine.pool import Pool
from amhw.array.engine.requantise import BIASED, Requantiser
from amhw.array.engine.results import Results
from amhw.array.engine.store import Store
from amhw.array.engine.walk import Walk
from amhw.array.engine.window import Window
from amhw.array.operation import Operation
from amhw.array.program import Sizes
from amhw.array.records import Fetch
from amhw.array.schedule import Schedule
from amhw.network.models import lenet5

SCHEDULES = {
    "joins": Schedule(joined(), ArrayConfig(EXACT, 4, 2, batch=2)),
    "parts": Schedule(split(), ArrayConfig(Masked.exact(4, 3, signed_b=True), 4, 3, 2, batch=1, sums=20)),
    "batches": Schedule(small(), ArrayConfig(MASKED, 9, 2, batch=4)),
}

EACH = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)


def simulated(unit: Elaboratable, bench) -> None:
    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def corners(fetch: Fetch, window: tuple[int, int], images: int):
    """Address, remainders and which taps are inside, of each position of each tile, by plain arithmetic."""
    strides = [
        (fetch.outer_y_coordinate, fetch.inner_y_coordinate),
        (fetch.outer_x_coordinate, fetch.inner_x_coordinate),
    ]
    columns = images if fetch.batched else fetch.columns
    for _ in range(fetch.groups):
        for channel in range(fetch.channels):
            for part in np.ndindex(fetch.parts_y, fetch.parts_x):
                for row, column, pool_y, pool_x in np.ndindex(fetch.rows, columns, fetch.pool_y, fetch.pool_x):
                    y = fetch.start_y_coordinate + row * strides[0][0] + pool_y * strides[0][1]
                    x = fetch.start_x_coordinate + column * strides[1][0] + pool_x * strides[1][1]
                    address = fetch.base + channel // fetch.lanes * fetch.pitch
                    address += (y // window[0] + part[0]) * fetch.row_pitch + x // window[1] + part[1]
                    # Ways that are not of a map: from image to image, and from one summand to the other.
                    address += column * fetch.outer_x_address if fetch.batched else 0
                    address += pool_x * fetch.inner_x_address if fetch.element and strides[1][1] == 0 else 0
                    inside = [
                        [0 <= at + part[axis] * window[axis] + tap < size for tap in range(window[axis])]
                        for axis, at, size in ((0, y, fetch.height), (1, x, fetch.width))
                    ]
                    yield address, y % window[0], x % window[1], *inside, channel % fetch.lanes


@EACH
def test_the_walk_is_the_loops(schedule):
    sizes = Sizes((schedule,))
    walk = Walk(sizes)
    images = min(3, schedule.batch)

    async def bench(ctx):
        ctx.set(walk.images, images)
        for one in schedule.operations:
            ctx.set(walk.record, sizes.fetch.word(one.fetch))
            ctx.set(walk.load, 1)
            await ctx.tick()
            ctx.set(walk.load, 0)
            ctx.set(walk.step, 1)
            wanted = list(corners(one.fetch, schedule.config.window, images))
            per_tile = len(wanted) // one.tiles
            for turn, (address, y, x, inside_y, inside_x, lane) in enumerate(wanted):
                found = [ctx.get(port) for port in (walk.address, walk.remainder_y, walk.remainder_x, walk.lane)]
                assert found == [address % (1 << walk.address_bits), y, x, lane], (one.name, turn)
                for port, flags in ((walk.inside_y, inside_y), (walk.inside_x, inside_x)):
                    assert ctx.get(port) == sum(flag << tap for tap, flag in enumerate(flags)), (one.name, turn)
                assert ctx.get(walk.first) == (turn % per_tile == 0)
                assert ctx.get(walk.last) == (turn % per_tile == per_tile - 1)
                assert ctx.get(walk.last_tile) == (turn >= len(wanted) - per_tile)
                await ctx.tick()
            ctx.set(walk.step, 0)

    simulated(walk, bench)


@EACH
def test_a_window_is_read_three_clocks_later(schedule):
    """What was written, at its place in the window, and 0 outside."""
    sizes = Sizes((schedule,))
    unit = Window(sizes)
    height, width = schedule.config.window
    lanes, bits = schedule.config.requantisers, sizes.code_bits
    random = np.random.default_rng(2)
    codes = random.integers(0, 1 << bits, (height, width, sizes.words, lanes))
    fetch = schedule.operations[0].fetch

    async def bench(ctx):
        ctx.set(unit.record, sizes.fetch.word(fetch))
        ctx.set(unit.write, 1)
        ctx.set(unit.lanes, (1 << lanes) - 1)
        for y, x, address in np.ndindex(height, width, sizes.words):
            ctx.set(unit.bank_y, y)
            ctx.set(unit.bank_x, x)
            ctx.set(unit.to, address)
            ctx.set(unit.codes, [int(code) for code in codes[y, x, address]])
            await ctx.tick()
        ctx.set(unit.write, 0)
        for _ in range(20):
            corner, y, x = random.integers(0, 12), int(random.integers(height)), int(random.integers(width))
            lane = int(random.integers(max(1, fetch.lanes)))
            inside_y, inside_x = (int(random.integers(1 << side)) for side in (height, width))
            for port, value in (("address", int(corner)), ("remainder_y", y), ("remainder_x", x), ("lane", lane)):
                ctx.set(getattr(unit, port), value)
            ctx.set(unit.inside_y, inside_y)
            ctx.set(unit.inside_x, inside_x)
            await ctx.tick().repeat(unit.latency)
            wanted = place = 0
            for i, j, k in np.ndindex(height, width, schedule.config.channels):
                down, across = (y + i) // height, (x + j) // width
                at = corner + down * fetch.row_pitch + across
                code = int(codes[(y + i) % height, (x + j) % width, at, lane * schedule.config.channels + k])
                code = code if inside_y >> i & inside_x >> j & 1 else 0
                read = range(bits) if sizes.plain else sizes.widths.bits_a
                packed = sum((code >> bit & 1) << n for n, bit in enumerate(read))
                wanted |= packed << place
                place += len(sizes.widths.bits_a)
            assert ctx.get(unit.activations) == wanted

    simulated(unit, bench)


def test_pixels_go_to_their_places_and_a_broken_off_image_is_dropped():
    schedule = SCHEDULES["joins"]
    sizes, setup = Sizes((schedule,)), schedule.setup
    unit = Receiver(sizes)
    height, width = schedule.config.window
    random = np.random.default_rng(4)
    shape = (setup.channels, setup.height, setup.width)
    images = random.integers(0, 256, (3, *shape))
    memory = {}

    async def send(ctx, pixels, last):
        for k, pixel in enumerate(pixels):
            ctx.set(unit.image.payload, {"data": int(pixel), "last": int(last and k == len(pixels) - 1)})
            ctx.set(unit.image.valid, 1)
            while True:
                ctx.set(unit.allow, int(random.integers(2)))
                taken = ctx.get(unit.image.ready)
                assert ctx.get(unit.write) == taken
                if taken:
                    place = tuple(ctx.get(port) for port in (unit.bank_y, unit.bank_x, unit.to, unit.lane))
                    memory[place] = ctx.get(unit.code)
                await ctx.tick()
                if taken:
                    break
            ctx.set(unit.image.valid, 0)

    async def bench(ctx):
        await send(ctx, images[0].ravel()[:17], True)
        assert (ctx.get(unit.images), ctx.get(unit.partial)) == (0, 0)
        for index, image in enumerate(images):
            await send(ctx, image.ravel()[:5], False)
            assert ctx.get(unit.partial)
            await send(ctx, image.ravel()[5:], True)
            assert not ctx.get(unit.partial)
            buffer = index % 2 * setup.image
            for channel, y, x in np.ndindex(shape):
                lanes = schedule.config.requantisers
                at = buffer + channel // lanes * setup.pitch + y // height * setup.row_pitch + x // width
                assert memory[y % height, x % width, at, channel % lanes] == image[channel, y, x]
            if index == 1:
                assert ctx.get(unit.images) == 2 and not ctx.get(unit.image.ready)
                ctx.set(unit.release, 1)
                await ctx.tick()
                ctx.set(unit.release, 0)
        assert ctx.get(unit.buffer) == setup.image

    simulated(unit, bench)


def test_sums_of_tiles_are_added_up():
    schedule = SCHEDULES["batches"]
    unit = Accumulator(Sizes((schedule,)))
    random = np.random.default_rng(5)
    sums = random.integers(-30, 30, (2, 3, 4, 2))  # groups, tiles, positions, columns

    async def bench(ctx):
        found = []
        flat = [(tile, position, sums[group, tile, position]) for group, tile, position in np.ndindex(2, 3, 4)]
        for turn in range(len(flat) + 2):
            if turn < len(flat):
                tile, position, _ = flat[turn]
                ctx.set(unit.coming, 1)
                ctx.set(unit.fresh, tile == 0)
                ctx.set(unit.kept, tile != 2)
                ctx.set(unit.tile_ends, position == 3)
            else:
                ctx.set(unit.coming, 0)
            if 1 <= turn <= len(flat):
                ctx.set(unit.s, [int(value) for value in flat[turn - 1][2]])
            if turn > 1 and flat[turn - 2][0] == 2:
                found.append([ctx.get(unit.totals)[column] for column in range(2)])
            await ctx.tick()
        assert np.array_equal(np.array(found).reshape(2, 4, 2), sums.sum(axis=1))

    simulated(unit, bench)


def test_pools():
    """The greatest of the array's sums; of signed and unsigned words the greatest and the sum."""
    schedule = SCHEDULES["joins"]
    sizes = Sizes((schedule,))
    unit = Pool(sizes)
    random = np.random.default_rng(6)

    async def window(ctx, operation: Operation, values) -> list[int]:
        ctx.set(unit.record, sizes.finish.word(operation.finish))
        for k in range(len(values) + 1):
            if operation.finish.element and k < len(values):
                ctx.set(unit.word, [int(value) & 255 for value in values[k]])
            elif not operation.finish.element and k:
                ctx.set(unit.totals, [int(value) for value in values[k - 1]])
            ctx.set(unit.begins, k == 1)
            ctx.set(unit.complete, k == len(values))
            await ctx.tick()
        ctx.set(unit.complete, 0)
        return [ctx.get(unit.held)[lane] for lane in range(len(values[0]))]

    async def bench(ctx):
        for one in schedule.operations:
            count, finish = one.finish.pool_y * one.finish.pool_x, one.finish
            if finish.adds:
                continue
            for _ in range(10):
                signed = finish.signed_0
                if finish.element:
                    values = random.integers(-128 if signed else 0, 128 if signed else 256, (count, 1))
                else:
                    values = random.integers(-9999, 9999, (count, 2))
                wanted = values.max(axis=0) if finish.greatest or not finish.element else values.sum(axis=0)
                assert await window(ctx, one, values) == wanted.tolist(), one.name
                if sizes.keeps_least and not finish.element:
                    assert [ctx.get(unit.least)[lane] for lane in range(2)] == values.min(axis=0).tolist(), one.name

    simulated(unit, bench)


@EACH
def test_requantised_words(schedule):
    """Codes are the golden model's for the operation's constants; the bias is that of the group and the column.

    Sums are small, and as great as they can be."""
    sizes = Sizes((schedule,))
    unit = Requantiser(sizes)
    random = np.random.default_rng(7)
    config = schedule.config

    async def bench(ctx):
        for one in schedule.operations * 12:
            finish = one.finish
            if finish.element:
                continue
            ctx.set(unit.record, sizes.finish.word(finish))
            ctx.set(unit.load, 1)
            await ctx.tick()
            ctx.set(unit.load, 0)
            low, high = sizes.widths.sum_range(max(sizes.terms, config.rows))
            wanted, lowest, found, sums = [], [], [], []
            for group in range(finish.groups):
                scale = 1 / (1 << int(random.integers(12)))
                held = random.integers(int(low * scale), int(high * scale) + 1, config.cols)
                ctx.set(unit.held, [int(value) for value in held])
                least = np.minimum(held, random.integers(low, high + 1, config.cols)) if sizes.keeps_least else held
                if sizes.keeps_least:
                    ctx.set(unit.least, [int(value) for value in least])
                biases = schedule.bias_words[finish.bias + group * finish.phases :][: finish.phases].ravel()
                values = (held[: len(biases)].astype(np.int64) << sizes.widths.shift) + biases
                wanted.append(values)
                lowest.append((least[: len(biases)].astype(np.int64) << sizes.widths.shift) + biases)
                ctx.set(unit.start, 1)
                ctx.set(unit.group_ends, 1)
                for phase in range(finish.phases + unit.latency):
                    assert ctx.get(unit.active) == (phase < finish.phases)
                    assert ctx.get(unit.last_phase) == (phase == finish.phases - 1)
                    if BIASED <= phase < finish.phases + BIASED:
                        sums.append([ctx.get(unit.sums)[k] for k in range(config.requantisers)])
                    if phase >= unit.latency:
                        found.append([ctx.get(unit.codes)[k] for k in range(config.requantisers)])
                    await ctx.tick()
                    ctx.set(unit.start, 0)
            flat = np.concatenate(wanted)
            assert np.array_equal(np.array(sums).ravel(), flat)
            if not finish.results:
                flat = np.maximum(np.abs(flat), np.abs(np.concatenate(lowest))) if finish.absolute else flat
                scaled = np.clip(flat * finish.factor_0 + finish.offset >> finish.shift, finish.lowest, finish.highest)
                assert np.array_equal(np.array(found).ravel(), scaled & 255)

    simulated(unit, bench)


@EACH
def test_words_are_stored_where_the_layout_says(schedule):
    sizes = Sizes((schedule,))
    unit = Store(sizes)
    height, width = schedule.config.window

    async def bench(ctx):
        for one in schedule.operations:
            finish = one.finish
            columns = min(3, schedule.batch) if finish.batched else finish.columns
            ctx.set(unit.record, sizes.finish.word(finish))
            ctx.set(unit.slot, 1)
            ctx.set(unit.load, 1)
            await ctx.tick()
            ctx.set(unit.load, 0)
            for group, row, column in np.ndindex(finish.groups, finish.rows, columns):
                for phase in range(finish.phases):
                    ctx.set(unit.start, phase == 0)
                    ctx.set(unit.first, row == column == 0)
                    ctx.set(unit.row_ends, column == columns - 1)
                    ctx.set(unit.group_ends, column == columns - 1 and row == finish.rows - 1)
                    ctx.set(unit.active, 1)
                    ctx.set(unit.last_phase, phase == finish.phases - 1)
                    index = group * finish.phases + phase
                    to = finish.base + finish.slot + column * finish.step
                    if finish.vector:
                        plane, bank = divmod(index, height * width)
                        wanted = to + plane, bank // width, bank % width
                    else:
                        down, bank_y = divmod(finish.bank + row, height)
                        across, bank_x = (0, 0) if finish.batched else divmod(column, width)
                        wanted = to + index * finish.pitch + down * finish.row_pitch + across, bank_y, bank_x
                    found = tuple(ctx.get(port) for port in (unit.to, unit.bank_y, unit.bank_x))
                    assert found[0] == wanted[0] and (finish.results or found == wanted), (one.name, group, row, column)
                    await ctx.tick()
            ctx.set(unit.active, 0)

    simulated(unit, bench)


def test_logits_and_classes_leave_in_order_whatever_the_receiver_does():
    schedule = SCHEDULES["batches"]
    sizes = Sizes((schedule,))
    unit = Results(sizes)
    random = np.random.default_rng(8)
    logits = random.integers(-500, 500, (3, 2))
    logits[1] = 7  # the first of equals is the class

    async def bench(ctx):
        assert ctx.get(unit.sent)
        ctx.set(unit.claim, 1)
        for image, row in enumerate(logits):
            for word in range(schedule.setup.words):
                lanes = schedule.config.requantisers
                ctx.set(unit.write, 1)
                ctx.set(unit.to, image * schedule.setup.words + word)
                ctx.set(unit.sums, [int(value) for value in row[word * lanes : (word + 1) * lanes]])
                ctx.set(unit.whole, image == len(logits) - 1 and word == schedule.setup.words - 1)
                ctx.set(unit.images, len(logits))
                await ctx.tick()
                ctx.set(unit.claim, 0)
        ctx.set(unit.write, 0)
        ctx.set(unit.whole, 0)
        ctx.set(unit.images, 0)
        found = []
        for _ in range(60):
            ctx.set(unit.results.ready, int(random.integers(2)))
            if ctx.get(unit.results.valid) and ctx.get(unit.results.ready):
                found.append((ctx.get(unit.results.payload.data), ctx.get(unit.results.payload.last)))
            await ctx.tick()
        wanted = [pair for row in logits for pair in [*((value, 0) for value in row), (row.argmax(), 1)]]
        assert found == wanted
        assert ctx.get(unit.sent)

    simulated(unit, bench)


def test_a_memory_is_written_lane_by_lane():
    unit = ConfiguredMemory([0x123, 0x456], 5, 3, 4)
    assert (unit.place(2).base, unit.place(2).stride) == (2 << 28, 4)

    async def bench(ctx):
        for word, lane, value in ((0, 1, 0xA), (4, 2, 0xB)):
            ctx.set(unit.write, 1)
            ctx.set(unit.to, word * 4 + lane)
            ctx.set(unit.data, value)
            await ctx.tick()
        ctx.set(unit.write, 0)
        for address, wanted in ((0, 0x1A3), (1, 0x456), (4, 0xB00)):
            ctx.set(unit.address, address)
            await ctx.tick()
            assert ctx.get(unit.word) == wanted

    simulated(unit, bench)


def test_an_engine_for_lenet_has_no_bits_for_what_never_differs():
    sizes = Sizes((Schedule(lenet5.network(), ArrayConfig(MASKED)),))
    assert sizes.setup.width == 0 and sizes.plain and sizes.code_bits == 2
    assert sizes.fetch.ranges["parts_y"] == (1, 1)
