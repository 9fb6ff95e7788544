"""Matrix products C[M, N] = A[M, K]·B[K, N] as streams of tiles, with any multiplier in place of ×.

`amhw.array.tiling` says how matrices are cut into beats, and does so in NumPy.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from amhw.array.element import pack
from amhw.array.loops import Loops
from amhw.array.mesh import OutputStationaryArray, SystolicArray
from amhw.array.tiling import Tiling
from amhw.array.widths import Widths
from amhw.multiplier import Multiplier

SUM_BITS = 32
"""Bits of each sum at the output."""


class MatMul(wiring.Component):
    """A matrix product of a fixed shape on a systolic array.

    *Weight-stationary*: for each tile of B (column tiles outside, reduction tiles inside) rows/depth beats of `b`,
    each `depth` rows of the tile, then M beats of `a`, each the part of a row of A that meets the tile. Tiles of B
    are taken while the one before is at work. Partial sums of M × cols are kept inside.

    *Output-stationary*: for each tile of C (row tiles outside, column tiles inside) ⌈K/depth⌉ beats of `a` and of
    `b`, each with `depth` values of k for every row and every column.

    `c` has a beat for each row of each tile, `cols` sums of 32 bits; `last` marks the last one of the product.
    A new product may follow at once. All streams may stall at any time.

    Args:
        multiplier: a × b, operand a from A and b from B.
        widths: of its table; sums of K products have passed `Widths.check_sums`.
        tiling: the shapes of the matrices and of the array.

    Members:
        a, b: In, streams of lanes of whole bytes that hold one operand each (two's complement where signed).
        c: Out, stream of ``data`` and ``last``.
    """

    def __init__(self, multiplier: Multiplier, widths: Widths, tiling: Tiling) -> None:
        self.multiplier = multiplier
        self.widths = widths
        self.tiling = tiling
        self.cols, self.depth = tiling.cols, tiling.depth
        inner = tiling.shape[1]
        self.sum_width = widths.sum_width(inner)
        rows, cols, depth = tiling.rows, tiling.cols, tiling.depth
        self.array: SystolicArray | OutputStationaryArray
        if tiling.is_weight_stationary:
            self.array = SystolicArray(multiplier, self.widths, rows, cols, depth)
            lanes_a, lanes_b = rows, depth * cols
        else:
            self.array = OutputStationaryArray(multiplier, self.widths, rows, cols, inner, depth)
            lanes_a, lanes_b = rows * depth, cols * depth
        beat = data.StructLayout({"data": data.ArrayLayout(signed(SUM_BITS), cols), "last": 1})
        super().__init__(
            {
                "a": In(stream.Signature(data.ArrayLayout(unsigned(_whole_bytes(multiplier.width_a)), lanes_a))),
                "b": In(stream.Signature(data.ArrayLayout(unsigned(_whole_bytes(multiplier.width_b)), lanes_b))),
                "c": Out(stream.Signature(beat)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.array = self.array
        if isinstance(self.array, SystolicArray):
            self._weight_stationary(m, self.array)
        else:
            self._output_stationary(m, self.array)
        return m

    def _weight_stationary(self, m: Module, array: SystolicArray) -> None:
        tiles_m, tiles_k, tiles_n = self.tiling.tiles
        order = {"row": tiles_m, "part": tiles_k, "tile": tiles_n}

        loaded = Signal(range(array.lanes + 1))
        wait = Signal(range(array.swap_time + 1))
        m.d.comb += [
            self.b.ready.eq((loaded != array.lanes) & (wait == 0)),
            array.w_load.eq(self.b.valid & self.b.ready),
            *_packed_lanes(array.w, self.b.payload, self.widths.bits_b, self.depth),
        ]
        with m.If(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.If(array.w_load):
            m.d.sync += loaded.eq(loaded + 1)

        issue = Signal()
        walk = Loops(m, issue, order, "issue_")
        room = Signal()
        m.d.comb += [
            self.a.ready.eq(room & ((walk.index["row"] != 0) | (loaded == array.lanes))),
            issue.eq(self.a.valid & self.a.ready),
            array.swap.eq(issue & (walk.index["row"] == 0)),
            array.a.eq(Cat(*(pack(lane, self.widths.bits_a) for lane in self.a.payload))),
        ]
        with m.If(array.swap):
            m.d.sync += [loaded.eq(0), wait.eq(array.swap_time)]

        # One clock before a sum leaves the array, the sum to which it belongs is read.
        line = Signal(array.latency)
        m.d.sync += line.eq(Cat(issue, line)[: len(line)])
        coming = Signal()
        m.d.comb += coming.eq(line[-2] if array.latency > 1 else issue)
        retire = Loops(m, coming, order, "retire_")
        here = Signal()
        fresh, finished, final = Signal(), Signal(), Signal()
        m.d.sync += [
            here.eq(coming),
            fresh.eq(retire.index["part"] == 0),
            finished.eq(retire.last["part"]),
            final.eq(retire.all_last),
        ]
        total = Signal(data.ArrayLayout(_sum_shape(self.widths, self.sum_width), self.cols))
        if tiles_k == 1:
            m.d.comb += [total[j].eq(array.s[j]) for j in range(self.cols)]
        else:
            shape = unsigned(len(Value.cast(total)))
            m.submodules.partial = partial = Memory(shape=shape, depth=max(tiles_m, 2), init=[])
            read, write = partial.read_port(), partial.write_port()
            stored = Signal.like(total)
            address = Signal.like(retire.index["row"])
            m.d.sync += address.eq(retire.index["row"])
            m.d.comb += [
                read.addr.eq(retire.index["row"]),
                stored.eq(read.data & (~fresh).replicate(len(read.data))),
                write.addr.eq(address),
                write.data.eq(total),
                write.en.eq(here & ~finished),
                *(total[j].eq(stored[j] + array.s[j]) for j in range(self.cols)),
            ]
        self._send(m, here & finished, total, final, array.latency + 6, room, 1, issue & walk.last["part"])

    def _output_stationary(self, m: Module, array: OutputStationaryArray) -> None:
        tiles_m, tiles_k, tiles_n = self.tiling.tiles
        issue = Signal()
        walk = Loops(m, issue, {"step": tiles_k}, "issue_")
        dirty, real = Signal(init=1), Signal()  # finished sums lie in the elements; they are worth sending
        gap = Signal(range(array.spacing))
        room, ready = Signal(), Signal()
        m.d.comb += [
            array.start.eq(dirty & (gap == 0) & room),
            ready.eq((walk.index["step"] != 0) | ~dirty | array.start),
            issue.eq(ready & self.a.valid & self.b.valid),
            self.a.ready.eq(issue),
            self.b.ready.eq(issue),
        ]
        with m.If(issue):  # what is not issued is 0, and adds nothing
            m.d.comb += _packed_lanes(array.a, self.a.payload, self.widths.bits_a, self.depth)
            m.d.comb += _packed_lanes(array.b, self.b.payload, self.widths.bits_b, self.depth)
        with m.If(gap != 0):
            m.d.sync += gap.eq(gap - 1)
        with m.If(array.start):
            m.d.sync += [dirty.eq(0), gap.eq(array.spacing - 1)]
        with m.If(issue & walk.last["step"]):
            m.d.sync += [dirty.eq(1), real.eq(1)]

        sent = Signal()
        m.d.comb += sent.eq(array.start & real)
        line = Signal(array.latency)
        m.d.sync += line.eq(Cat(sent, line)[: len(line)])
        left = Signal(range(array.spacing))
        push = Signal()
        with m.If(line[-1]):
            m.d.sync += left.eq(array.spacing - 1)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        m.d.comb += push.eq(line[-1] | ((left != 0) & ~left[0]))
        retire = Loops(m, push, {"row": self.tiling.rows, "tile": tiles_m * tiles_n}, "retire_")
        self._send(m, push, array.c, retire.all_last, 2 * self.tiling.rows + 2, room, self.tiling.rows, sent)

    def _send(
        self, m: Module, push: Value, sums: Value, last: Value, entries: int, room: Signal, each: int, take: Value
    ) -> None:
        """Queue beats for `c`. `room` is high while `each` more beats may be started by `take`.

        What is under way through the array has its place in the queue reserved, because nothing stops it.
        """
        width = len(Value.cast(sums))
        m.submodules.queue = queue = SyncFIFOBuffered(width=width + 1, depth=entries)
        taken = Signal()
        free = Signal(range(entries + 1), init=entries)
        m.d.comb += [
            queue.w_en.eq(push),
            queue.w_data.eq(Cat(sums, last)),
            self.c.valid.eq(queue.r_rdy),
            queue.r_en.eq(self.c.ready),
            taken.eq(queue.r_rdy & self.c.ready),
            room.eq(free >= each),
            self.c.payload.last.eq(queue.r_data[-1]),
        ]
        m.d.sync += free.eq(free + taken - Mux(take, each, 0))
        each_sum = width // self.cols
        for j in range(self.cols):
            bits = queue.r_data[j * each_sum : (j + 1) * each_sum]
            value = bits.as_signed() if self.widths.signed else bits
            m.d.comb += self.c.payload.data[j].eq(value.shift_left(self.widths.shift))


def _packed_lanes(target: data.View, lanes: data.View, bits: tuple[int, ...], depth: int) -> list[Value]:
    """Assignments of `depth` lanes at a time to each packed entry of `target`."""
    count = lanes.shape().length
    return [target[k].eq(Cat(*(pack(lanes[k * depth + d], bits) for d in range(depth)))) for k in range(count // depth)]


def _sum_shape(widths: Widths, width: int) -> object:
    return signed(width) if widths.signed else unsigned(width)


def _whole_bytes(bits: int) -> int:
    return -(-bits // 8) * 8
