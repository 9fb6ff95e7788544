"""The engine behind a serial line: pixels in, logits and class out.

rx ─►[receiver]─► pixels ─►┌────────┐─► words ─►[bytes]─►[sender]─► tx
         └─ break ──► reset│ engine │         └─ class ──────────► led
                           └────────┘
"""

from amaranth.hdl import Cat, Module, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from amhw.array.engine import Engine
from amhw.array.program import Sizes
from amhw.fpga.uart import UartReceiver, UartSender

LEDS = 8


class SerialEngine(wiring.Component):
    """An `Engine` that is spoken to over a serial line.

    The host sends an image's pixels, a byte each, by channel, row and column, and gets its logits and then its class as
    words of 32 bits, the lowest byte first, logits in two's complement. A break drops what has been received and what
    has not been sent. Nothing holds the host back: it reads an answer before it sends another image.

    Args:
        sizes: of the engine.
        divisor: clocks a bit of the line.

    Members:
        rx: In, tx: Out, the line.
        led: Out, the last image's class.
    """

    def __init__(self, sizes: Sizes, divisor: int) -> None:
        self.engine = Engine(sizes, fixed=True)
        self._divisor = divisor
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), "led": Out(LEDS)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        engine = self.engine
        m.submodules.receiver = receiver = UartReceiver(self._divisor)
        m.submodules.sender = sender = UartSender(self._divisor)
        m.submodules.engine = ResetInserter(receiver.broken)(engine)
        m.d.comb += [
            receiver.rx.eq(self.rx),
            self.tx.eq(sender.tx),
            engine.image.valid.eq(receiver.bytes.valid),
            engine.image.payload.data.eq(receiver.bytes.payload),
            receiver.bytes.ready.eq(engine.image.ready),
        ]
        # A word of results, byte by byte.
        waiting = Signal(range(5))
        word = Signal(32, reset_less=True)
        m.d.comb += [
            engine.results.ready.eq(waiting == 0),
            sender.bytes.valid.eq(waiting != 0),
            sender.bytes.payload.eq(word[:8]),
        ]
        with m.If(engine.results.valid & engine.results.ready):
            m.d.sync += [waiting.eq(4), word.eq(engine.results.payload.data)]
            with m.If(engine.results.payload.last):
                m.d.sync += self.led.eq(engine.results.payload.data[:LEDS])
        with m.Elif(sender.bytes.valid & sender.bytes.ready):
            m.d.sync += [waiting.eq(waiting - 1), word.eq(Cat(word[8:], 0))]
        with m.If(receiver.broken):
            m.d.sync += waiting.eq(0)
        return m
