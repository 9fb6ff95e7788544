"""A serial line: bytes as a start bit, eight bits, lowest first, and a stop bit (8N1).

    line ──┐  ┌──┬──┬──┬──┬──┬──┬──┬──┬──────
           └──┘b0 b1 b2 b3 b4 b5 b6 b7  stop
           start, each `divisor` clocks

A break, the line low for a whole frame or longer, has no stop bit; that is how a receiver tells it from a byte.
"""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

FRAME = 10
"""Bits of a byte on the line."""


class UartReceiver(wiring.Component):
    """Bytes from the line, each offered until the next one has come.

    Args:
        divisor: clocks a bit.

    Members:
        rx: In, the line.
        bytes: Out, stream.
        broken: Out, high from a frame without a stop bit until the line is high again.
    """

    def __init__(self, divisor: int) -> None:
        self._divisor = divisor
        super().__init__({"rx": In(1, init=1), "bytes": Out(stream.Signature(8)), "broken": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        line = Signal(init=1)
        m.submodules.synchroniser = FFSynchronizer(self.rx, line, init=1)
        clocks = Signal(range(self._divisor + self._divisor // 2))
        left = Signal(range(FRAME))
        shift = Signal(8, reset_less=True)
        with m.If(self.bytes.valid & self.bytes.ready):
            m.d.sync += self.bytes.valid.eq(0)
        with m.If(self.broken):
            m.d.sync += self.broken.eq(~line)
        with m.Elif(left == 0), m.If(~line):  # the middle of the first bit is half a bit after the start bit
            m.d.sync += [left.eq(FRAME - 1), clocks.eq(self._divisor + self._divisor // 2 - 1)]
        with m.Elif(clocks != 0):
            m.d.sync += clocks.eq(clocks - 1)
        with m.Else():
            m.d.sync += [left.eq(left - 1), clocks.eq(self._divisor - 1)]
            with m.If(left != 1):
                m.d.sync += shift.eq(Cat(shift[1:], line))
            with m.Elif(line):
                m.d.sync += [self.bytes.valid.eq(1), self.bytes.payload.eq(shift)]
            with m.Else():
                m.d.sync += self.broken.eq(1)
        return m


class UartSender(wiring.Component):
    """Bytes to the line.

    Args:
        divisor: clocks a bit.

    Members:
        bytes: In, stream.
        tx: Out, the line.
    """

    def __init__(self, divisor: int) -> None:
        self._divisor = divisor
        super().__init__({"bytes": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        clocks = Signal(range(self._divisor))
        left = Signal(range(FRAME + 1))
        shift = Signal(FRAME - 1, init=-1)
        m.d.comb += self.bytes.ready.eq((left == 0) & (clocks == 0))
        with m.If(clocks != 0):
            m.d.sync += clocks.eq(clocks - 1)
        with m.Elif(left != 0):
            m.d.sync += [self.tx.eq(shift[0]), shift.eq(Cat(shift[1:], 1)), left.eq(left - 1)]
            m.d.sync += clocks.eq(self._divisor - 1)
        with m.Elif(self.bytes.valid):
            m.d.sync += [self.tx.eq(0), shift.eq(Cat(self.bytes.payload, 1)), left.eq(FRAME - 1)]
            m.d.sync += clocks.eq(self._divisor - 1)
        return m
