"""Matrix products C[M, N] = A[M, K]·B[K, N] as streams of tiles, with any multiplier in place of ×.

`amhw.array.tiling` says how matrices are cut into beats, and does so in NumPy.
"""

from amaranth.hdl import Cat, Module, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from amhw.array.delay import flag_line
from amhw.array.element import pack, sum_shape
from amhw.array.loops import Loops
from amhw.array.mesh import OutputStationaryArray, SystolicArray
from amhw.array.queue import CreditQueue
from amhw.array.tiling import Tiling
from amhw.array.widths import SUM_BITS, Widths
from amhw.multiplier import Multiplier


class MatMul(wiring.Component):
    """A matrix product of a fixed shape on a systolic array.

    *Weight-stationary*: for each tile of B (column tiles outside, reduction tiles inside) rows/depth beats of `b`,
    each `depth` rows of the tile, then M beats of `a`, each the part of a row of A that is multiplied by the tile. The
    next tile of B is preloaded while the present one is used. Partial sums of M × cols are kept inside.

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
        rows, cols, depth = tiling.rows, tiling.cols, tiling.depth
        self.cols, self.depth = cols, depth
        inner = tiling.shape[1]
        self.sum_width = widths.sum_width(inner)
        self.sums = data.ArrayLayout(sum_shape(widths, inner), cols)
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
        queue = self._output_queue(m, array.latency + 6)

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
        m.d.comb += [
            self.a.ready.eq(queue.room & ((walk.index["row"] != 0) | (loaded == array.lanes))),
            issue.eq(self.a.valid & self.a.ready),
            queue.reserve.eq(issue & walk.last["part"]),
            array.swap.eq(issue & (walk.index["row"] == 0)),
            array.a.eq(Cat(*(pack(lane, self.widths.bits_a) for lane in self.a.payload))),
        ]
        with m.If(array.swap):
            m.d.sync += [loaded.eq(0), wait.eq(array.swap_time)]

        # One cycle before a sum leaves the array, the partial sum that it is added to is read.
        coming = flag_line(m, issue, array.latency - 1, "line")[-1]
        retire = Loops(m, coming, order, "retire_")
        here = Signal()
        fresh = Signal()
        finished = Signal()
        final = Signal()
        m.d.sync += [
            here.eq(coming),
            fresh.eq(retire.index["part"] == 0),
            finished.eq(retire.last["part"]),
            final.eq(retire.all_last),
        ]
        total = Signal(self.sums)
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
        m.d.comb += [queue.push.eq(here & finished), queue.word.data.eq(total), queue.word.last.eq(final)]

    def _output_stationary(self, m: Module, array: OutputStationaryArray) -> None:
        tiles_m, tiles_k, tiles_n = self.tiling.tiles
        queue = self._output_queue(m, 2 * self.tiling.rows + 2, batch=self.tiling.rows)
        issue = Signal()
        walk = Loops(m, issue, {"step": tiles_k}, "issue_")
        full = Signal(init=1)  # the elements hold finished sums, which the next start sends out …
        real = Signal()  # … and which are a product's, as all but those after reset are
        gap = Signal(range(array.spacing))
        ready = Signal()
        m.d.comb += [
            array.start.eq(full & (gap == 0) & queue.room),
            ready.eq((walk.index["step"] != 0) | ~full | array.start),
            issue.eq(ready & self.a.valid & self.b.valid),
            self.a.ready.eq(issue),
            self.b.ready.eq(issue),
        ]
        with m.If(issue):  # otherwise the operands are 0 and add nothing
            m.d.comb += _packed_lanes(array.a, self.a.payload, self.widths.bits_a, self.depth)
            m.d.comb += _packed_lanes(array.b, self.b.payload, self.widths.bits_b, self.depth)
        with m.If(gap != 0):
            m.d.sync += gap.eq(gap - 1)
        with m.If(array.start):
            m.d.sync += [full.eq(0), gap.eq(array.spacing - 1)]
        with m.If(issue & walk.last["step"]):
            m.d.sync += [full.eq(1), real.eq(1)]

        sent = Signal()
        m.d.comb += [sent.eq(array.start & real), queue.reserve.eq(sent)]
        first_row = flag_line(m, sent, array.latency, "line")[-1]
        left = Signal(range(array.spacing))
        push = Signal()
        with m.If(first_row):
            m.d.sync += left.eq(array.spacing - 1)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        m.d.comb += push.eq(first_row | ((left != 0) & ~left[0]))
        retire = Loops(m, push, {"row": self.tiling.rows, "tile": tiles_m * tiles_n}, "retire_")
        m.d.comb += [queue.push.eq(push), queue.word.data.eq(array.c), queue.word.last.eq(retire.all_last)]

    def _output_queue(self, m: Module, depth: int, batch: int = 1) -> CreditQueue:
        """The queue in front of `c`. It holds sums as the array makes them; `c` has them in units of 1."""
        word = data.StructLayout({"data": self.sums, "last": 1})
        m.submodules.queue = queue = CreditQueue(word, depth, batch)
        m.d.comb += [
            self.c.valid.eq(queue.output.valid),
            queue.output.ready.eq(self.c.ready),
            self.c.payload.last.eq(queue.output.payload.last),
        ]
        for j in range(self.cols):
            m.d.comb += self.c.payload.data[j].eq(queue.output.payload.data[j].shift_left(self.widths.shift))
        return queue


def _packed_lanes(target: data.View, lanes: data.View, bits: tuple[int, ...], depth: int) -> list[Value]:
    """Assignments of `depth` lanes at a time to each packed entry of `target`."""
    count = lanes.shape().length
    return [target[k].eq(Cat(*(pack(lanes[k * depth + d], bits) for d in range(depth)))) for k in range(count // depth)]


def _whole_bytes(bits: int) -> int:
    return -(-bits // 8) * 8
