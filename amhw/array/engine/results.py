"""Logits and classes go out, an image after another."""

from amaranth.hdl import Array, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from amhw.array.delay import delayed, delayed_flag
from amhw.array.engine.requantise import biased_shape
from amhw.array.loops import Loops
from amhw.array.program import Sizes
from amhw.array.queue import CreditQueue

QUEUE = 4
"""Depth of the queue: enough for the reads that are in flight when the receiver stalls."""

RESULT_BITS = 32


class Results(wiring.Component):
    """Keeps a batch's logits until all have been sent: for each image its logits, then the class, with ``last``.

    The class is the first of the greatest logits.

    Args:
        sizes: of the engine.

    Members:
        setup: In, `amhw.array.records.Setup`.
        claim: In, logits will come.
        write, to, sums: In, a word of them.
        whole: In, with the last word; `images`: of so many images.
        sent: Out, nothing waits to be sent.
        results: Out, stream of 32-bit words.
    """

    def __init__(self, sizes: Sizes) -> None:
        self._sizes = sizes
        result = data.StructLayout({"data": signed(RESULT_BITS), "last": 1})
        super().__init__(
            {
                "setup": In(sizes.setup.width),
                "claim": In(1),
                "write": In(1),
                "to": In(range(sizes.results)),
                "sums": In(data.ArrayLayout(biased_shape(sizes), sizes.config.requantisers)),
                "whole": In(1),
                "images": In(range(sizes.batch + 1)),
                "sent": Out(1),
                "results": Out(stream.Signature(result)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sizes, most = self._sizes, self._sizes.setup.most
        now = sizes.setup.view(self.setup)
        units = sizes.config.requantisers
        shape = biased_shape(sizes)
        memory = Memory(shape=unsigned(shape.width * units), depth=sizes.results, init=[])
        m.submodules.logits = memory
        read, write = memory.read_port(), memory.write_port()
        m.d.comb += [write.addr.eq(self.to), write.data.eq(Value.cast(self.sums)), write.en.eq(self.write)]

        m.submodules.queue = queue = CreditQueue(self.results.payload.shape(), QUEUE)
        wiring.connect(m, queue.output, wiring.flipped(self.results))
        busy, sending, take, done = Signal(), Signal(), Signal(), Signal()
        images = Signal.like(self.images)
        order = Loops(
            m,
            take,
            {"beat": (now.classes + 1, most("classes") + 1), "image": (images, max(2, sizes.batch))},
            "send_",
        )
        m.d.comb += [
            self.sent.eq(~busy),
            take.eq(sending & queue.room),
            done.eq(take & order.all_last),
        ]
        with m.If(self.claim):
            m.d.sync += busy.eq(1)
        with m.If(self.whole):
            m.d.sync += [sending.eq(1), images.eq(self.images)]
        with m.If(done):
            m.d.sync += [busy.eq(0), sending.eq(0)]
        image = Signal(range(sizes.results))
        word = Signal(range(sizes.results))
        lane = Signal(range(max(2, units)))
        ends = order.last["beat"]
        with m.If(take):
            with m.If(ends):
                m.d.sync += [lane.eq(0), image.eq(image + now.words), word.eq(image + now.words)]
            with m.Elif(lane == units - 1):
                m.d.sync += [lane.eq(0), word.eq(word + 1)]
            with m.Else():
                m.d.sync += lane.eq(lane + 1)
        with m.If(done):
            m.d.sync += [image.eq(0), word.eq(0)]
        m.d.comb += read.addr.eq(word)

        # One clock later.
        index = delayed(m, order.index["beat"], 1, "beat")
        which = delayed(m, lane, 1, "lane")
        is_class = delayed(m, ends, 1, "is_class")
        push = delayed_flag(m, take)
        logit = Signal(shape)
        m.d.comb += logit.eq(Array(read.data[k * shape.width : (k + 1) * shape.width] for k in range(units))[which])
        best = Signal(shape, reset_less=True)
        winner = Signal(range(max(2, most("classes"))), reset_less=True)
        with m.If(push & ~is_class & ((index == 0) | (logit > best))):
            m.d.sync += [best.eq(logit), winner.eq(index)]
        m.d.comb += [
            queue.reserve.eq(take),
            queue.push.eq(push),
            queue.word.data.eq(Mux(is_class, winner, logit)),
            queue.word.last.eq(is_class),
        ]
        return m
