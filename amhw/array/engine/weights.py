"""Weights: one tile after another is preloaded into the array while the one before is used."""

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from amhw.array.config import FETCH
from amhw.array.delay import delayed_flag
from amhw.array.element import pack
from amhw.array.engine.memory import ConfiguredMemory, written_members
from amhw.array.program import Sizes
from amhw.array.tiling import swap_time


class WeightLoader(wiring.Component):
    """Reads an operation's tiles in their order.

    Args:
        sizes: of the engine.
        fixed: there is no configuration port.

    Members:
        record: In, `amhw.array.records.Weights` of the operation that `begin` announces.
        begin: In, the next tile is the first of another operation.
        swap: In, the tile that is ready goes into use; `last`: no other follows it in its operation.
        ready: Out, the next tile is in the array.
        load, weights: Out, to the array.
        write, to, data: In, of the configuration port.
    """

    def __init__(self, sizes: Sizes, *, fixed: bool = False) -> None:
        self._sizes, self._fixed = sizes, fixed
        config, bits = sizes.config, len(sizes.widths.bits_b)
        lanes = config.cols * config.depth
        schedule = sizes.schedules[0]
        init = [
            sum(_packed_code(int(code), sizes.widths.bits_b) << (k * bits) for k, code in enumerate(word))
            for word in schedule.weight_words.reshape(-1, lanes)
        ]
        self.memory = ConfiguredMemory(init, sizes.weight_words, lanes, bits, fixed=fixed)
        super().__init__(
            {
                "record": In(sizes.weights.width),
                "begin": In(1),
                "swap": In(1),
                "last": In(1),
                "ready": Out(1),
                "load": Out(1),
                "weights": Out(data.ArrayLayout(config.depth * bits, config.cols)),
                **written_members(fixed),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sizes, config = self._sizes, self._sizes.config
        now = sizes.weights.view(self.record)
        m.submodules.memory = memory = self.memory
        address = Signal(range(sizes.weight_words))
        wanted, fetch = Signal(), Signal()
        fetched = Signal(range(config.lanes + 1))
        swapping = swap_time(config.lanes, config.cols) + FETCH
        wait = Signal(range(swapping + 1))
        m.d.comb += [
            fetch.eq(wanted & (wait == 0) & (fetched != config.lanes)),
            self.ready.eq(wanted & (fetched == config.lanes)),
            memory.address.eq(address),
            self.load.eq(delayed_flag(m, fetch)),
            Value.cast(self.weights).eq(memory.word),
        ]
        if not self._fixed:
            m.d.comb += [
                memory.write.eq(self.write),
                memory.to.eq(self.to),
                memory.data.eq(pack(self.data, sizes.widths.bits_b)),
            ]
        with m.If(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.If(fetch):
            m.d.sync += [fetched.eq(fetched + 1), address.eq(address + 1)]
        with m.If(self.swap):
            m.d.sync += [fetched.eq(0), wait.eq(swapping), wanted.eq(~self.last)]
        with m.If(self.begin):
            m.d.sync += [wanted.eq(1), address.eq(now.first)]
        return m


def _packed_code(code: int, bits: tuple[int, ...]) -> int:
    return sum((code >> bit & 1) << k for k, bit in enumerate(bits))
