"""The serial line in Amaranth's simulator, against lines drawn and read bit by bit in Python."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from amhw import Refusal
from amhw.fpga.design import Line
from amhw.fpga.uart import UartReceiver, UartSender


def simulated(unit, bench) -> None:
    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def frame(byte: int) -> list[int]:
    return [0, *(byte >> k & 1 for k in range(8)), 1]


BYTES = [0, 255, 0x55, 0xAA, *np.random.default_rng(0).integers(0, 256, 12).tolist()]


@pytest.mark.parametrize("divisor", [4, 7, 16])
@pytest.mark.parametrize("off", [-0.03, 0.0, 0.03])
def test_received_bytes(divisor, off):
    """Of a sender whose clock is a little slow or fast; nothing between one byte and the next."""
    if divisor == 4 and off:
        return  # a bit of four clocks is sampled a quarter of a bit off already
    unit = UartReceiver(divisor)
    levels = [1] * 3 + [bit for byte in BYTES for bit in frame(byte)] + [1] * 12
    ends = np.round(np.arange(1, len(levels) + 1) * divisor * (1 + off)).astype(int)
    found = []

    async def bench(ctx):
        ctx.set(unit.bytes.ready, 1)
        clock = 0
        for level, end in zip(levels, ends, strict=True):
            ctx.set(unit.rx, level)
            while clock < end:
                seen = await ctx.tick().sample(unit.bytes.valid, unit.bytes.payload, unit.broken)
                valid, byte, broken = seen[-3:]
                assert not broken
                if valid:
                    found.append(byte)
                clock += 1

    simulated(unit, bench)
    assert found == BYTES


def test_a_byte_waits_until_it_is_taken():
    unit = UartReceiver(5)

    async def bench(ctx):
        for bit in frame(0x4B):
            ctx.set(unit.rx, bit)
            await ctx.tick().repeat(5)
        await ctx.tick().repeat(20)
        assert ctx.get(unit.bytes.valid) and ctx.get(unit.bytes.payload) == 0x4B
        ctx.set(unit.bytes.ready, 1)
        await ctx.tick()
        assert not ctx.get(unit.bytes.valid)

    simulated(unit, bench)


def test_a_break_is_no_byte():
    unit = UartReceiver(5)

    async def bench(ctx):
        ctx.set(unit.bytes.ready, 1)
        ctx.set(unit.rx, 0)
        for clock in range(12 * 5):
            assert not ctx.get(unit.bytes.valid)
            if clock < 9 * 5:
                assert not ctx.get(unit.broken)
            await ctx.tick()
        assert ctx.get(unit.broken)
        ctx.set(unit.rx, 1)
        await ctx.tick().repeat(4)
        assert not ctx.get(unit.broken)
        for bit in frame(0x96):
            ctx.set(unit.rx, bit)
            for _ in range(5):
                await ctx.tick()
                if ctx.get(unit.bytes.valid):
                    assert ctx.get(unit.bytes.payload) == 0x96
                    return
        raise AssertionError("no byte after the break")

    simulated(unit, bench)


@pytest.mark.parametrize("divisor", [4, 9])
def test_sent_bytes(divisor):
    """Sampled in every clock: each bit lasts as long as it should, and bytes that wait follow without a pause."""
    unit = UartSender(divisor)
    levels = []

    async def bench(ctx):
        left = list(BYTES)
        ctx.set(unit.bytes.valid, 1)
        ctx.set(unit.bytes.payload, left[0])
        for _ in range((len(BYTES) * 10 + 2) * divisor + 5):
            levels.append(ctx.get(unit.tx))
            taken = ctx.get(unit.bytes.ready) and bool(left)
            await ctx.tick()
            if taken:
                left.pop(0)
                ctx.set(unit.bytes.valid, bool(left))
                ctx.set(unit.bytes.payload, left[0] if left else 0)

    simulated(unit, bench)
    assert levels[0] == 1
    line = levels[levels.index(0) :]
    for byte in BYTES:
        for bit in frame(byte):
            assert line[:divisor] == [bit] * divisor
            line = line[divisor:]
        while line and line[0] == 1:  # a clock may pass between two bytes
            line = line[1:]


@pytest.mark.parametrize(
    ("clock", "baud", "divisor"), [(50, 1_000_000, 50), (50, 115_200, 434), (25, 3_000_000, 8), (60, 3_000_000, 20)]
)
def test_divisors(clock, baud, divisor):
    if (clock, baud) == (25, 3_000_000):  # 3.125 Mbaud is 4 % off
        with pytest.raises(Refusal, match="--baud 3000000 cannot be made of 25 MHz: the nearest is 3125000"):
            Line(clock, baud)
    else:
        assert Line(clock, baud).divisor == divisor


@pytest.mark.parametrize("baud", [0, -1, 20_000_000])
def test_impossible_rates(baud):
    with pytest.raises(Refusal, match=f"--baud {baud} at 50 MHz; wanted 1 to 12500000"):
        Line(50, baud)
