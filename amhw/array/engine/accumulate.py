"""Sums over input channels and parts of a kernel: what the array gives for one tile is added to what it gave before."""

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from amhw.array.delay import delayed, delayed_flag
from amhw.array.element import sum_shape
from amhw.array.program import Sizes


class Accumulator(wiring.Component):
    """total = (0 if fresh else the total that was kept in this place) + s, `latency` clocks after s.

    Places count up with `coming`, which is high one clock before s, and begin anew after `tile_ends`.

    Args:
        sizes: of the engine.

    Members:
        coming, fresh, kept, tile_ends: In, one clock before s (`amhw.array.engine.retire.Retire`).
        s: In, of the array.
        totals: Out, one for each column.
    """

    def __init__(self, sizes: Sizes) -> None:
        self._sizes = sizes
        super().__init__(
            {
                "coming": In(1),
                "fresh": In(1),
                "kept": In(1),
                "tile_ends": In(1),
                "s": In(data.ArrayLayout(sum_shape(sizes.widths, sizes.config.rows), sizes.config.cols)),
                "totals": Out(data.ArrayLayout(sizes.sum_shape, sizes.config.cols)),
            }
        )

    @property
    def latency(self) -> int:
        """Clocks from s to the totals."""
        return 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        columns = range(self._sizes.config.cols)
        totals = [Signal(self.totals[j].shape(), name=f"total_{j}", reset_less=True) for j in columns]
        m.d.comb += [self.totals[j].eq(totals[j]) for j in columns]
        places = self._sizes.places
        if places == 0:
            m.d.sync += [totals[j].eq(self.s[j]) for j in columns]
            return m
        width = len(totals[0])
        m.submodules.partial = memory = Memory(shape=unsigned(width * len(columns)), depth=max(places, 2), init=[])
        read, write = memory.read_port(), memory.write_port()
        place = Signal(range(max(places, 2)))
        with m.If(self.coming):
            m.d.sync += place.eq(place + 1)
            with m.If(self.tile_ends):
                m.d.sync += place.eq(0)
        fresh = delayed_flag(m, self.fresh)
        now = []
        for j in columns:
            stored = read.data[j * width : (j + 1) * width] & (~fresh).replicate(width)
            total = Signal(totals[j].shape(), name=f"total_now_{j}")
            m.d.comb += total.eq((stored.as_signed() if self._sizes.widths.signed else stored) + self.s[j])
            m.d.sync += totals[j].eq(total)
            now.append(total)
        m.d.comb += [
            read.addr.eq(place),
            write.addr.eq(delayed(m, place, 1, "place")),
            write.data.eq(Cat(*now)),
            write.en.eq(delayed_flag(m, self.coming & self.kept)),
        ]
        return m
