"""Two convolution layers on one weight-stationary array; `amhw.array.plan` has the schedule.

    image ─► code, rounding ─► 25 banks ×2 ─┐            ┌─► partial sums (one a position and column)
                                            ├─ window ─► array ─► + ─► 2×2 max ─► bias, requantise, ReLU ─┐
                          ┌─► 25 banks ─────┘            ▲                                                 │
                          │                        weight memory                                           │
                          └── layer 1 ◄──────────────────────────────────────────────────────────────────┤
    codes ◄── queue ◄── output maps ×2 ◄── layer 2 ◄────────────────────────────────────────────────────┘

Pixel (y, x) of a map lies in bank (y mod k, x mod k), so that any k×k window is one word of each bank and is read
in one cycle. Output positions are computed in 2×2 blocks, so that pooling is a running maximum and needs no line
buffer. Requantisation is monotonic, so pooling may come first; then there is one requantisation a block, and a quarter
as many requantisers as columns are enough. Only the activation bits that the multiplier reads are stored.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from amhw.array.conv.banks import banks, places_of, table
from amhw.array.conv.images import received
from amhw.array.conv.outgoing import sent
from amhw.array.conv.pool import pooled
from amhw.array.conv.requantise import constants_of, lane_enables, lane_of, requantised
from amhw.array.conv.sums import summed
from amhw.array.conv.walk import walk_of
from amhw.array.conv.weights import biases, lane_bits_of, preloaded, weights
from amhw.array.conv.window import window_of
from amhw.array.delay import delayed, delayed_flag, flag_line
from amhw.array.element import pack
from amhw.array.mesh import SystolicArray
from amhw.array.plan import FETCH, POOL, ConvPlan
from amhw.array.widths import width_of
from amhw.multiplier import Multiplier


class ConvEngine(wiring.Component):
    """Both convolutions with bias, requantisation, ReLU and pooling, one image after the other.

    Throughput: an image every `plan.cycles_per_image` cycles while neither stream stalls. Images and output maps are
    double-buffered, so that one is received, one computed and one sent at the same time. `last` on a pixel before the
    end of an image drops the image; `rst` drops everything but the contents of the weight and bias memories.

    Args:
        multiplier: of the array; its product table is the plan's.
        plan: network and array.

    Members:
        image: In, stream of 8-bit pixels, row by row, with ``last``.
        codes: Out, stream of the last layer's codes by channel, row and column, with ``last``.
        config: In, stream of writes to the memories: data in bits 0…31, address in bits 32…63 (`address_of_…`).
    """

    def __init__(self, multiplier: Multiplier, plan: ConvPlan) -> None:
        self.plan = plan
        self.array = SystolicArray(multiplier, plan.widths, plan.rows, plan.cols, plan.depth)
        maximum = constants_of(plan, 1).maximum
        self.code_bits = width_of(0, maximum)
        super().__init__(
            {
                "image": In(stream.Signature(data.StructLayout({"data": 8, "last": 1}))),
                "codes": Out(stream.Signature(data.StructLayout({"data": self.code_bits, "last": 1}))),
                "config": In(stream.Signature(64)),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from the issue of an output position to its sums."""
        return FETCH + self.array.latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        plan = self.plan
        first, second = plan.layers
        m.submodules.array = array = self.array

        # While `issue` is high, one output position enters the pipeline and the loops advance to the next one.
        issue = Signal()
        walk = walk_of(m, issue, plan, "issue_")
        layer, py, px = walk.index["layer"], walk.index["py"], walk.index["px"]
        first_column = (walk.index["sub"] == 0) & (px == 0)
        first_position = first_column & (py == 0)
        first_tile = (walk.index["channel"] == 0) & (walk.index["group"] == 0)
        last_position = walk.last["sub"] & walk.last["px"] & walk.last["py"]
        layer_ends = last_position & walk.last["channel"] & walk.last["group"]

        weight_read = weights(m, plan, self.config)
        bias_read = biases(m, plan, self.config)
        weights_ready = preloaded(m, plan, array, weight_read, issue & first_position)
        images, image_banks, image_buffer = received(m, plan, self.image, delayed_flag(m, issue & layer_ends & ~layer))
        rows_written = Signal(range(first.pooled + 1))
        free_outputs = Signal(range(3), init=2)
        rows_needed = table(
            m,
            "rows_needed",
            py,
            [min(second.side, POOL * y + 1 + plan.kernel - second.padding) for y in range(second.pooled)],
        )
        m.d.comb += issue.eq(
            (~first_position | weights_ready)
            & Mux(
                layer,
                ~(first_tile & first_column)
                | ((rows_written >= rows_needed) & (~first_position | (free_outputs != 0))),
                images != 0,
            )
        )

        # Window: addresses, memories, rotation, mask.
        channels = data.ArrayLayout(len(plan.widths.bits_a), first.outputs)
        map_banks, map_writes = banks(m, "map", plan.kernel, first.pooled, channels, 1)
        array_a = window_of(m, plan, walk, image_banks, image_buffer, map_banks)
        m.d.comb += array.a.eq(array_a)

        m.d.comb += array.swap.eq(delayed(m, issue & first_position, FETCH, "swap"))

        # One cycle before its sums leave the array a position retires: the same loops, delayed by the latency.
        coming = flag_line(m, issue, self.latency - 1, "line")[-1]
        retire = walk_of(m, coming, plan, "retire_")
        sums = summed(m, plan, array, coming, retire)
        tag, held = pooled(m, plan, coming, retire, sums)
        write = requantised(m, plan, tag, held, bias_read, self.code_bits)

        # The first layer's codes are written to the map banks, the second layer's to the output maps.
        y_place = places_of(m, "to_map_y", write.py, first.pooled, plan.kernel)
        x_place = places_of(m, "to_map_x", write.px, first.pooled, plan.kernel)
        per_bank = -(-first.pooled // plan.kernel)
        ends = (
            write.valid
            & (write.phase == plan.phases - 1)
            & (write.px == _side(plan, write.layer) - 1)
            & write.last_group
        )
        to_map = write.valid & ~write.layer
        enables = lane_enables(plan, write, first)
        for y in range(plan.kernel):
            for x in range(plan.kernel):
                port = map_writes[y][x]
                here = to_map & (y_place.remainder == y) & (x_place.remainder == x)
                m.d.comb += [
                    port.addr.eq((y_place.quotient * per_bank + x_place.quotient)[: len(port.addr)]),
                    port.en.eq(Cat(*(here & enable for enable in enables))),
                    Value.cast(port.data).eq(
                        Cat(*(pack(lane_of(plan, write, lane), plan.widths.bits_a) for lane in range(first.outputs)))
                    ),
                ]
        with m.If(ends & ~write.layer):
            m.d.sync += rows_written.eq(rows_written + 1)
        with m.If(issue & layer_ends & layer):
            m.d.sync += rows_written.eq(0)

        whole = ends & write.layer & (write.py == second.pooled - 1)
        leaves = sent(m, plan, write, whole, self.code_bits, self.codes)
        m.d.sync += free_outputs.eq(free_outputs + leaves - (issue & layer & first_tile & first_position))
        return m

    # What the host needs to know

    @property
    def memory_map(self) -> dict[str, dict[str, int]]:
        """Addresses of the config stream: base + word·stride + lane; see docs/array.md."""
        plan = self.plan
        lanes = plan.cols * plan.depth
        return {
            "weights": {
                "base": 0,
                "words": len(plan.weight_words),
                "stride": 1 << lane_bits_of(lanes),
                "lanes": lanes,
                "bits": plan.table.width_b,
            },
            "biases": {
                "base": 1 << 31,
                "words": len(plan.bias_words),
                "stride": 1 << lane_bits_of(plan.requantisers),
                "lanes": plan.requantisers,
                "bits": plan.bias_width,
            },
        }


def _side(plan: ConvPlan, layer: Value) -> Value:
    return Mux(layer, plan.layers[1].pooled, plan.layers[0].pooled)
