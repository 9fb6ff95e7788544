"""The queue behind a pipeline, on Amaranth's simulator: words are neither lost, doubled nor reordered."""

import random
from collections import deque

import pytest
from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator

from amhw.array.queue import CreditQueue


def run(queue, latency, words, *, start=1.0, take=1.0, clocks=4000):
    """Send words through a pipeline that takes `latency` clocks and cannot stop, into the queue.

    `batch` words, which come one after another, are started with probability `start` in each clock with room for them,
    and the receiver is ready with probability `take`.

    Returns:
        (clock, word) for each word received.
    """
    drawn = random.Random(1)
    waiting = deque(words)
    pipeline = deque([None] * latency)
    received = []

    async def drive(ctx):
        offered = None
        for clock in range(clocks):
            starting = bool(waiting and ctx.get(queue.room) and drawn.random() < start)
            ctx.set(queue.reserve, starting)
            if starting:
                pipeline.extend(waiting.popleft() for _ in range(queue.batch))
            elif len(pipeline) == latency:
                pipeline.append(None)
            arriving = pipeline.popleft()
            ctx.set(queue.push, arriving is not None)
            ctx.set(queue.word, arriving or 0)
            ready = drawn.random() < take
            ctx.set(queue.output.ready, ready)
            if ctx.get(queue.output.valid):
                word = ctx.get(queue.output.payload)
                assert offered in (None, word), "what is offered stays until it is taken"
                offered = None if ready else word
                if ready:
                    received.append((clock, word))
            else:
                assert offered is None, "what is offered is not taken back"
            await ctx.tick()
            if len(received) == len(words) and clock > received[-1][0] + 5:
                return

    simulator = Simulator(queue)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run()
    return received


@pytest.mark.parametrize(("start", "take"), [(1.0, 0.3), (0.5, 0.5), (0.3, 1.0)], ids=["full", "both", "empty"])
@pytest.mark.parametrize(
    ("depth", "batch", "latency"), [(1, 1, 0), (2, 1, 9), (4, 1, 1), (16, 1, 9), (3, 3, 1), (8, 3, 4)]
)
def test_every_word_once_and_in_order(depth, batch, latency, start, take):
    words = random.Random(depth).sample(range(1 << 12), 60)
    received = run(CreditQueue(12, depth, batch), latency, words, start=start, take=take)
    assert [word for _, word in received] == words


@pytest.mark.parametrize("latency", [0, 1, 9])
def test_enough_places_keep_a_word_a_clock_going(latency):
    words = list(range(50))
    clocks = [clock for clock, _ in run(CreditQueue(8, latency + 3), latency, words)]
    assert clocks == list(range(latency + 2, latency + 2 + len(words)))
    clocks = [clock for clock, _ in run(CreditQueue(8, latency + 2), latency, words)]
    assert clocks[-1] > latency + 1 + len(words), "one place fewer is too few"


def test_a_receiver_that_never_takes_stops_the_sender():
    queue = CreditQueue(8, 4)
    pushed = []

    async def drive(ctx):
        for _ in range(20):
            room = ctx.get(queue.room)
            ctx.set(queue.reserve, room)
            ctx.set(queue.push, room)
            pushed.append(room)
            await ctx.tick()

    simulator = Simulator(queue)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run()
    assert pushed == [1] * 4 + [0] * 16


def test_reset_drops_the_words_and_gives_all_places_back():
    queue, reset = CreditQueue(8, 4, batch=2), Signal()
    seen = []

    async def drive(ctx):
        def look():
            seen.append((ctx.get(queue.room), ctx.get(queue.output.valid)))

        ctx.set(queue.reserve, 1)
        ctx.set(queue.push, 1)
        await ctx.tick().repeat(2)
        ctx.set(queue.reserve, 0)
        ctx.set(queue.push, 0)
        look()
        ctx.set(reset, 1)
        await ctx.tick()
        ctx.set(reset, 0)
        look()
        await ctx.tick().repeat(3)
        look()

    simulator = Simulator(ResetInserter(reset)(queue))
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run()
    assert seen == [(0, 1), (1, 0), (1, 0)]
