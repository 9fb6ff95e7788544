"""Whether an image's answer goes out, or is asked of another network: the margin of its two greatest logits."""

from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from amhw.array.engine.requantise import biased_shape
from amhw.array.engine.results import RESULT_BITS
from amhw.array.program import Sizes


class Judge(wiring.Component):
    """Keeps an image's logits until its class has come; then they go out, or the second network's are waited for.

    Args:
        sizes: of the engine, of which an operation decides.

    Members:
        setup: In, `amhw.array.records.Setup`.
        given: In, stream of `amhw.array.engine.results.Results`.
        results: Out, stream of the same words, of one network for each image.
        judged: Out, the first network's margin is known.
        again: Out, from then on: it was below the threshold.
    """

    def __init__(self, sizes: Sizes) -> None:
        self._sizes = sizes
        word = data.StructLayout({"data": signed(RESULT_BITS), "last": 1})
        super().__init__(
            {
                "setup": In(sizes.setup.width),
                "given": In(stream.Signature(word)),
                "results": Out(stream.Signature(word)),
                "judged": Out(1),
                "again": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sizes = self._sizes
        now = sizes.setup.view(self.setup)
        words = sizes.setup.most("classes") + 1
        m.submodules.words = memory = Memory(shape=unsigned(RESULT_BITS), depth=words, init=[])
        read, write = memory.read_port(), memory.write_port()
        index = Signal(range(words))
        word = self.given.payload.data
        width = biased_shape(sizes).width  # of logits; a class may have more bits
        value = word[:width].as_signed()
        best, second = Signal(signed(width)), Signal(signed(width))
        margin = Signal(width)
        doubtful, repeated, verdict, still = Signal(), Signal(), Signal(), Signal()
        # The difference in the clock of the class, the comparison in the next.
        m.d.sync += margin.eq(best - second)
        m.d.comb += [
            doubtful.eq((margin < now.threshold) & ~repeated),
            self.judged.eq(verdict & ~repeated),
            self.again.eq(doubtful & verdict | still),
            read.addr.eq(index),
            write.addr.eq(index),
            write.data.eq(word),
            self.results.payload.data.eq(read.data),
            self.results.payload.last.eq(index == now.classes),
        ]
        with m.FSM():
            with m.State("take"):
                m.d.comb += self.given.ready.eq(1)
                with m.If(self.given.valid):
                    m.d.comb += write.en.eq(1)
                    m.d.sync += index.eq(index + 1)
                    with m.If(self.given.payload.last):
                        m.d.sync += index.eq(0)
                        m.next = "weigh"
                    with m.Elif((index == 0) | (value > best)):
                        m.d.sync += [best.eq(value), second.eq(best)]
                        with m.If(index == 0):
                            m.d.sync += second.eq(-(1 << width - 1))
                    with m.Elif(value > second):
                        m.d.sync += second.eq(value)
            with m.State("weigh"):
                m.d.comb += verdict.eq(1)
                m.d.sync += [repeated.eq(doubtful), still.eq(doubtful)]
                m.next = "give"
                with m.If(doubtful):
                    m.next = "take"
            with m.State("read"):
                m.next = "give"
            with m.State("give"):
                m.d.comb += self.results.valid.eq(1)
                with m.If(self.results.ready):
                    m.d.sync += index.eq(index + 1)
                    m.next = "read"
                    with m.If(index == now.classes):
                        m.d.sync += index.eq(0)
                        m.next = "take"
        return m
