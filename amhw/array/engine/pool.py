"""Pooling windows: the greatest total of each, and where absolute values follow the least; of what has not been through
the array, the greatest or the sum."""

from amaranth.hdl import Module, Mux, Shape, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from amhw.array.program import Sizes
from amhw.array.widths import width_of

CODE_BITS = 8


class Pool(wiring.Component):
    """Holds what a window comes to from the clock after its last position until the next window's.

    Args:
        sizes: of the engine.

    Members:
        record: In, `amhw.array.records.Finish`.
        totals: In, of the array.
        word: In, codes that went past it, one clock before such totals would come.
        second: In, with `word`, whether it is the second of a pair.
        begins, complete: In, with the totals: the window's first, its last.
        held: Out, a value for each column; lowest, for words, those of the channels.
        least: Out, the least total of each column, if `Sizes.keeps_least`.
    """

    def __init__(self, sizes: Sizes) -> None:
        self._sizes = sizes
        shape = held_shape(sizes)
        super().__init__(
            {
                "record": In(sizes.finish.width),
                "totals": In(data.ArrayLayout(sizes.sum_shape, sizes.config.cols)),
                "word": In(data.ArrayLayout(sizes.code_bits, sizes.config.requantisers)),
                "second": In(1),
                "begins": In(1),
                "complete": In(1),
                "held": Out(data.ArrayLayout(shape, sizes.config.cols)),
                **({"least": Out(data.ArrayLayout(sizes.sum_shape, sizes.config.cols))} if sizes.keeps_least else {}),
            }
        )

    @property
    def latency(self) -> int:
        """Clocks from a window's last totals until they are held."""
        return 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sizes = self._sizes
        now = sizes.finish.view(self.record)
        pooled = sizes.finish.most("pool_y") * sizes.finish.most("pool_x")
        for j in range(sizes.config.cols):
            total = self.totals[j]
            window: Value = total
            if pooled > 1:
                best = Signal(total.shape(), name=f"best_{j}", reset_less=True)
                greater = Signal(total.shape(), name=f"greater_{j}")
                m.d.comb += greater.eq(Mux(self.begins | (total > best), total, best))
                m.d.sync += best.eq(greater)
                window = greater
            if sizes.keeps_least:
                m.d.comb += self.least[j].eq(self._least(m, total, j))
            if sizes.pooled and j < sizes.config.requantisers:
                window = Mux(now.element, self._words(m, now, j), window)
            hold = Signal(self.held[j].shape(), name=f"hold_{j}", reset_less=True)
            with m.If(self.complete):
                m.d.sync += hold.eq(window)
            m.d.comb += self.held[j].eq(hold)
        return m

    def _least(self, m: Module, total: Value, column: int) -> Value:
        """The least total of the window whose greatest is held."""
        so_far = Signal(total.shape(), name=f"lowest_{column}", reset_less=True)
        lesser = Signal(total.shape(), name=f"lesser_{column}")
        kept = Signal(total.shape(), name=f"least_{column}", reset_less=True)
        m.d.comb += lesser.eq(Mux(self.begins | (total < so_far), total, so_far))
        m.d.sync += so_far.eq(lesser)
        with m.If(self.complete):
            m.d.sync += kept.eq(lesser)
        return kept

    def _words(self, m: Module, now: object, lane: int) -> Value:
        """What a window of codes comes to so far."""
        negative = Mux(self.second, now.signed_1, now.signed_0)  # type: ignore[attr-defined]
        code = Signal(signed(CODE_BITS + 1), name=f"code_{lane}", reset_less=True)
        m.d.sync += code.eq(Value.cast(self.word[lane]) | ((negative & self.word[lane][-1]) << CODE_BITS))
        value = Signal(_words_shape(self._sizes), name=f"words_{lane}")
        so_far = Signal(_words_shape(self._sizes), name=f"so_far_{lane}", reset_less=True)
        summed = Mux(now.greatest, Mux(code > so_far, code, so_far), so_far + code)  # type: ignore[attr-defined]
        m.d.comb += value.eq(Mux(self.begins | now.adds, code, summed))  # type: ignore[attr-defined]
        m.d.sync += so_far.eq(value)
        return value


def _words_shape(sizes: Sizes) -> Shape:
    most = sizes.pooled << CODE_BITS
    return signed(width_of(-most, most))


def held_shape(sizes: Sizes) -> Shape:
    """Of what is held: sums of the array, or of codes where there are any."""
    sums = sizes.sum_shape
    if not sizes.pooled:
        return sums
    return signed(max(sums.width + (not sums.signed), _words_shape(sizes).width))
