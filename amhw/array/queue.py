"""A queue behind a pipeline that cannot stop, by credits.

    reserve ──► pipeline of any latency ──► push ─► queue ─► output, which its receiver may stall
       ▲                                                │
       └──────── room ◄── free places ◄─────────────────┘

A systolic array takes no notice of backpressure: what has been started comes out. So every word has its place in the
queue reserved before it is started, and gives it back when it leaves; a queue that is never written without a
reservation never overflows.

Source: Kung and Morris, "Credit-based flow control for ATM networks", IEEE Network 9(2), 1995.
"""

from typing import Any

from amaranth.hdl import Module, Mux, Shape, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out


class CreditQueue(wiring.Component):
    """A first-in, first-out queue with reserved places.

    A word is at `output` two cycles after its `push`, at the earliest.

    Args:
        shape: of a word.
        depth: places; one for each cycle from a reservation until its word can leave keeps a word a cycle going.
        batch: places reserved at once, `depth` at most.

    Members:
        room: Out, high while `batch` places are free.
        reserve: In, reserve them; only where `room` is high.
        push: In, put `word` into the queue; only after a reservation.
        word: In.
        output: Out, stream of words.
    """

    def __init__(self, shape: Any, depth: int, batch: int = 1) -> None:
        self.depth = depth
        self.batch = batch
        super().__init__(
            {
                "room": Out(1),
                "reserve": In(1),
                "push": In(1),
                "word": In(shape),
                "output": Out(stream.Signature(shape)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits = Shape.cast(self.signature.members["word"].shape).width
        # With two places, this FIFO refuses a word in the cycle in which the one before moves to its output register.
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=bits, depth=max(self.depth, 3))
        free = Signal(range(self.depth + 1), init=self.depth)
        leaves = Signal()
        m.d.comb += [
            fifo.w_en.eq(self.push),
            fifo.w_data.eq(self.word),
            fifo.r_en.eq(self.output.ready),
            self.output.valid.eq(fifo.r_rdy),
            Value.cast(self.output.payload).eq(fifo.r_data),
            leaves.eq(self.output.valid & self.output.ready),
            self.room.eq(free >= self.batch),
        ]
        m.d.sync += free.eq(free + leaves - Mux(self.reserve, self.batch, 0))
        return m
