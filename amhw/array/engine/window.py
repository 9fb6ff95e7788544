"""The activation memory's banks, and the window that is read from them."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from amhw.array.config import FETCH
from amhw.array.delay import delayed
from amhw.array.element import pack
from amhw.array.program import Sizes
from amhw.array.rotation import rotated
from amhw.array.widths import width_of


class Window(wiring.Component):
    """height × width banks with one read and one write port each; the window at a corner, `latency` clocks later.

    Args:
        sizes: of the engine.

    Members:
        record: In, the operation's `amhw.array.records.Fetch`.
        address, remainder_y, remainder_x, inside_y, inside_x, lane: In, of the corner.
        activations: Out, packed bits of all taps, 0 outside the map; channels of a tap side by side.
        word: Out, all codes at the corner.
        write: In, put `code` of `lanes` at `to` of a bank.
    """

    def __init__(self, sizes: Sizes) -> None:
        self._sizes = sizes
        height, width = sizes.config.window
        lanes = sizes.config.requantisers
        self.lane_writes = sizes.setup.most("channels") > 1
        """Whether lanes are written one at a time, as images with several channels need it."""
        super().__init__(
            {
                "record": In(sizes.fetch.width),
                "address": In(range(sizes.words)),
                "remainder_y": In(range(height)),
                "remainder_x": In(range(width)),
                "inside_y": In(height),
                "inside_x": In(width),
                "lane": In(range(max(2, sizes.fetch.most("lanes")))),
                "activations": Out(sizes.config.rows * len(sizes.widths.bits_a)),
                "word": Out(data.ArrayLayout(sizes.code_bits, lanes)),
                "write": In(1),
                "lanes": In(lanes),
                "bank_y": In(range(height)),
                "bank_x": In(range(width)),
                "to": In(range(sizes.words)),
                "codes": In(data.ArrayLayout(sizes.code_bits, lanes)),
            }
        )

    @property
    def latency(self) -> int:
        """Clocks from a corner to its window."""
        return FETCH

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sizes, config = self._sizes, self._sizes.config
        height, width = config.window
        bits = sizes.code_bits
        word_bits = bits * config.requantisers
        address_bits = width_of(0, sizes.words - 1)

        # Clock 1: the corner's address. A bank reads it, or the next row's or column's.
        corner = Signal(address_bits, reset_less=True)
        m.d.sync += corner.eq(self.address)
        now = sizes.fetch.view(self.record)
        near = [[Signal(address_bits, name=f"near_{i}{j}") for j in range(2)] for i in range(2)]
        m.d.comb += [near[i][j].eq(corner + (now.row_pitch if i else 0) + j) for i in range(2) for j in range(2)]
        remainder_y = delayed(m, self.remainder_y, 1, "remainder_y")
        remainder_x = delayed(m, self.remainder_x, 1, "remainder_x")
        banks: list[list[Value]] = []
        for i in range(height):
            banks.append([])
            for j in range(width):
                m.submodules[f"bank_{i}_{j}"] = memory = Memory(shape=unsigned(word_bits), depth=sizes.words, init=[])
                read = memory.read_port()
                write = memory.write_port(granularity=bits if self.lane_writes else word_bits)
                below, right = remainder_y > i, remainder_x > j
                here = self.write & (self.bank_y == i) & (self.bank_x == j)
                m.d.comb += [
                    read.addr.eq(Mux(below, Mux(right, near[1][1], near[1][0]), Mux(right, near[0][1], near[0][0]))),
                    write.addr.eq(self.to),
                    write.data.eq(Value.cast(self.codes)),
                    write.en.eq(here.replicate(config.requantisers) & self.lanes if self.lane_writes else here),
                ]
                banks[i].append(read.data)

        # Clock 2: choose the channels, rotate the banks into the window's order, mask what is outside.
        remainder_y = delayed(m, remainder_y, 1, "remainder_y_later")
        remainder_x = delayed(m, remainder_x, 1, "remainder_x_later")
        lane = delayed(m, self.lane, 2, "lane")
        inside_y = delayed(m, self.inside_y, 2, "inside_y")
        inside_x = delayed(m, self.inside_x, 2, "inside_x")
        grid: list[list[Value]] = []
        for i in range(height):
            grid.append([])
            for j in range(width):
                codes = Signal(config.channels * bits, name=f"codes_{i}_{j}")
                m.d.comb += codes.eq(banks[i][j].word_select(lane, config.channels * bits))
                one = [codes[k * bits : (k + 1) * bits] for k in range(config.channels)]
                grid[i].append(Cat(*one) if sizes.plain else Cat(*(pack(code, sizes.widths.bits_a) for code in one)))
        grid = rotated(m, "rows", grid, remainder_y)
        turned = rotated(m, "columns", [list(column) for column in zip(*grid, strict=True)], remainder_x)
        # Until the window of an operation's last position is here, the record is that operation's.
        kept = pack(Cat(now.kept, Const(0, 8)), sizes.widths.bits_a).replicate(config.channels)
        always = all(sizes.fetch.ones["kept"] >> bit & 1 for bit in sizes.widths.bits_a)
        taps = [
            (turned[j][i] if always else turned[j][i] & kept) & (inside_y[i] & inside_x[j]).replicate(len(turned[j][i]))
            for i in range(height)
            for j in range(width)
        ]
        window = Signal(len(self.activations), reset_less=True)
        m.d.sync += window.eq(Cat(*taps))
        m.d.comb += self.activations.eq(window)
        if sizes.pooled:
            word = Signal(word_bits, reset_less=True)
            m.d.sync += word.eq(Array(Array(row)[remainder_x] for row in banks)[remainder_y])
            m.d.comb += Value.cast(self.word).eq(word)
        return m
