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

from collections.abc import Sequence

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory, ReadPort, WritePort
from amaranth.lib.wiring import In, Out

from amhw.array.delay import delay_line, delayed, delayed_flag, flag_line
from amhw.array.element import pack, sum_shape
from amhw.array.loops import Loops
from amhw.array.mesh import SystolicArray
from amhw.array.plan import FETCH, POOL, ConvPlan, LayerPlan
from amhw.array.queue import CreditQueue
from amhw.array.rotation import rotated
from amhw.array.widths import width_of
from amhw.multiplier import Multiplier
from amhw.network.requantisation import Requantisation

QUEUE = 4
"""Depth of the output queue: enough for the reads that are in flight when the receiver stalls."""


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
        maximum = _requantisation(plan, 1).maximum
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
        walk = _walk(m, issue, plan, "issue_")
        layer, py, px = walk.index["layer"], walk.index["py"], walk.index["px"]
        first_column = (walk.index["sub"] == 0) & (px == 0)
        first_position = first_column & (py == 0)
        first_tile = (walk.index["channel"] == 0) & (walk.index["group"] == 0)
        last_position = walk.last["sub"] & walk.last["px"] & walk.last["py"]
        layer_ends = last_position & walk.last["channel"] & walk.last["group"]

        weights_ready = self._weights(m, issue & first_position)
        images, image_banks, image_buffer = self._image_memory(m, delayed_flag(m, issue & layer_ends & ~layer))
        rows_written = Signal(range(first.pooled + 1))
        free_outputs = Signal(range(3), init=2)
        rows_needed = _table(
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
        map_banks, map_writes = _banks(m, "map", plan.kernel, first.pooled, channels, 1)
        array_a = self._window(m, walk, image_banks, image_buffer, map_banks)
        m.d.comb += array.a.eq(array_a)

        m.d.comb += array.swap.eq(delayed(m, issue & first_position, FETCH, "swap"))

        # One cycle before its sums leave the array a position retires: the same loops, delayed by the latency.
        coming = flag_line(m, issue, self.latency - 1, "line")[-1]
        retire = _walk(m, coming, plan, "retire_")
        sums = self._sums(m, coming, retire)
        pooled = self._pool(m, coming, retire, sums)
        write = self._requantise(m, *pooled)

        # The first layer's codes are written to the map banks, the second layer's to the output maps.
        y_place = _places(m, "to_map_y", write.py, first.pooled, plan.kernel)
        x_place = _places(m, "to_map_x", write.px, first.pooled, plan.kernel)
        per_bank = -(-first.pooled // plan.kernel)
        ends = (
            write.valid
            & (write.phase == plan.phases - 1)
            & (write.px == _side(plan, write.layer) - 1)
            & write.last_group
        )
        to_map = write.valid & ~write.layer
        enables = self._lane_enables(write, first)
        for y in range(plan.kernel):
            for x in range(plan.kernel):
                port = map_writes[y][x]
                here = to_map & (y_place.remainder == y) & (x_place.remainder == x)
                m.d.comb += [
                    port.addr.eq((y_place.quotient * per_bank + x_place.quotient)[: len(port.addr)]),
                    port.en.eq(Cat(*(here & enable for enable in enables))),
                    Value.cast(port.data).eq(
                        Cat(*(pack(self._lane(write, lane), plan.widths.bits_a) for lane in range(first.outputs)))
                    ),
                ]
        with m.If(ends & ~write.layer):
            m.d.sync += rows_written.eq(rows_written + 1)
        with m.If(issue & layer_ends & layer):
            m.d.sync += rows_written.eq(0)

        sent = self._output(m, write, ends & write.layer & (write.py == second.pooled - 1))
        m.d.sync += free_outputs.eq(free_outputs + sent - (issue & layer & first_tile & first_position))
        return m

    # Weights and biases

    def _weights(self, m: Module, swap: Value) -> Value:
        """Preload the weights of one tile after the other; high while the next tile's are in the array."""
        plan, array = self.plan, self.array
        bits_b = plan.widths.bits_b
        lanes = plan.cols * plan.depth
        words = plan.weight_words.reshape(-1, lanes)
        init = [
            sum(_packed_code(int(code), bits_b) << (k * len(bits_b)) for k, code in enumerate(word)) for word in words
        ]
        m.submodules.weights = memory = Memory(shape=unsigned(lanes * len(bits_b)), depth=len(init), init=init)
        read, write = memory.read_port(), memory.write_port(granularity=len(bits_b))
        is_bias = self.config.payload[63]
        lane_bits = _lane_bits(lanes)
        address = self.config.payload[32:63]
        m.d.comb += [
            self.config.ready.eq(1),
            write.addr.eq(address[lane_bits:][: len(write.addr)]),
            write.data.eq(pack(self.config.payload[: plan.table.width_b], bits_b).replicate(lanes)),
            write.en.eq(Mux(self.config.valid & ~is_bias, Const(1) << address[:lane_bits], 0)),
        ]
        self._biases(m)

        fetched = Signal(range(plan.lanes + 1))
        wait = Signal(range(array.swap_time + FETCH + 1))
        fetch = Signal()
        address_now = Signal(range(len(init)))
        ready = Signal()
        m.d.comb += [
            fetch.eq((fetched != plan.lanes) & (wait == 0)),
            read.addr.eq(address_now),
            ready.eq(fetched == plan.lanes),
            array.w_load.eq(delayed_flag(m, fetch)),
            Value.cast(array.w).eq(read.data),
        ]
        with m.If(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.If(fetch):
            m.d.sync += [fetched.eq(fetched + 1), address_now.eq(address_now + 1)]
            with m.If(address_now == len(init) - 1):
                m.d.sync += address_now.eq(0)
        with m.If(swap):
            m.d.sync += [fetched.eq(0), wait.eq(array.swap_time + FETCH)]
        return ready

    def _biases(self, m: Module) -> None:
        plan = self.plan
        width = plan.bias_width
        words = plan.bias_words
        init = [sum((int(b) & ((1 << width) - 1)) << (k * width) for k, b in enumerate(word)) for word in words]
        m.submodules.bias = memory = Memory(shape=unsigned(plan.requantisers * width), depth=len(init), init=init)
        self._bias_read, write = memory.read_port(), memory.write_port(granularity=width)
        lane_bits = _lane_bits(plan.requantisers)
        address = self.config.payload[32:63]
        m.d.comb += [
            write.addr.eq(address[lane_bits:][: len(write.addr)]),
            write.data.eq(self.config.payload[:width].replicate(plan.requantisers)),
            write.en.eq(Mux(self.config.valid & self.config.payload[63], Const(1) << address[:lane_bits], 0)),
        ]

    # Images and windows

    def _image_memory(self, m: Module, release: Value) -> tuple[Signal, list[list[ReadPort]], Signal]:
        """The double-buffered image memory: how many whole images it holds, its read ports, the buffer to read from."""
        plan = self.plan
        side = plan.image_side
        layer = plan.convolutions[0]
        reads, writes = _banks(m, "image", plan.kernel, side, unsigned(len(plan.widths.bits_a)), 2)
        images = Signal(range(3))
        filling = Signal()
        reading = Signal()
        taken = Signal()
        whole = Signal()
        m.d.comb += [self.image.ready.eq(images != 2), taken.eq(self.image.valid & self.image.ready)]
        x = Signal(range(side))
        y = Signal(range(side))
        m.d.comb += whole.eq(taken & (x == side - 1) & (y == side - 1))
        with m.If(taken):
            m.d.sync += x.eq(x + 1)
            with m.If(x == side - 1):
                m.d.sync += [x.eq(0), y.eq(y + 1)]
            with m.If(whole | self.image.payload.last):
                m.d.sync += [x.eq(0), y.eq(0)]
        m.d.sync += [
            images.eq(images + whole - release),
            filling.eq(filling ^ whole),
            reading.eq(reading ^ release),
        ]

        # min((pixel + half) >> unused, maximum), then the rounding constant, saturating: once, before it is stored.
        unused = 8 - layer.operands.activation_bits
        limit = layer.operands.activation_max
        rounded = Signal(10)
        code = Signal(layer.operands.activation_bits)
        m.d.comb += rounded.eq(
            (self.image.payload.data + ((1 << unused) >> 1)).shift_right(unused) + layer.input_rounding
        )
        m.d.comb += code.eq(Mux(rounded > limit, limit, rounded))
        place_y, place_x = _places(m, "pixel_y", y, side, plan.kernel), _places(m, "pixel_x", x, side, plan.kernel)
        per_bank = -(-side // plan.kernel)
        address = Signal(range(2 * per_bank**2))
        m.d.comb += address.eq(Mux(filling, per_bank**2, 0) + place_y.quotient * per_bank + place_x.quotient)
        for row in range(plan.kernel):
            for column in range(plan.kernel):
                port = writes[row][column]
                m.d.comb += [
                    port.addr.eq(address),
                    port.data.eq(pack(code, plan.widths.bits_a)),
                    port.en.eq(taken & (place_y.remainder == row) & (place_x.remainder == column)),
                ]
        return images, reads, reading

    def _window(
        self, m: Module, walk: Loops, image: list[list[ReadPort]], buffer: Signal, maps: list[list[ReadPort]]
    ) -> Value:
        """The packed activations of the window of the position that was issued FETCH cycles ago."""
        plan = self.plan
        kernel = plan.kernel
        layer, sub = walk.index["layer"], walk.index["sub"]
        span = POOL * max(plan.pooled for plan in plan.layers)
        corners = {}
        for axis, block, within in (("y", walk.index["py"], sub[1]), ("x", walk.index["px"], sub[0])):
            position = Signal(range(span), name=f"position_{axis}")
            m.d.comb += position.eq(Cat(within, block))
            corners[axis] = _Corner.of(m, axis, position, layer, plan)
        y, x = corners["y"], corners["x"]

        # Cycle 1: the address of the window's corner in each memory. A bank reads it, or the next row's or column's.
        addresses = []
        for name, ports, per_bank, offset in (
            (
                "image",
                image,
                -(-plan.layers[0].side // kernel),
                Mux(buffer, (-(-plan.layers[0].side // kernel)) ** 2, 0),
            ),
            ("map", maps, -(-plan.layers[1].side // kernel), Const(0)),
        ):
            bits = len(ports[0][0].addr)
            corner = Signal(bits, name=f"{name}_corner")
            m.d.sync += corner.eq(y.quotient * per_bank + x.quotient + offset)
            addresses.append((ports, corner, per_bank))
        y1, x1 = y.later(m, "y1"), x.later(m, "x1")
        for ports, corner, per_bank in addresses:
            near = [[Signal.like(corner, name_suffix=f"_{i}{j}") for j in range(2)] for i in range(2)]
            m.d.comb += [near[i][j].eq(corner + i * per_bank + j) for i in range(2) for j in range(2)]
            for i in range(kernel):
                for j in range(kernel):
                    below, right = y1.remainder > i, x1.remainder > j
                    m.d.comb += ports[i][j].addr.eq(
                        Mux(below, Mux(right, near[1][1], near[1][0]), Mux(right, near[0][1], near[0][0]))
                    )

        # Cycle 2: choose the memory and the channel, rotate the banks into the window's order, mask the padding.
        y2, x2 = y1.later(m, "y2"), x1.later(m, "x2")
        from_map = delayed(m, layer, 2, "from_map")
        channel = delayed(m, walk.index["channel"], 2, "channel")
        width = len(plan.widths.bits_a)
        grid: list[list[Value]] = []
        for i in range(kernel):
            grid.append([])
            for j in range(kernel):
                word = Signal(width, name=f"bank_{i}_{j}")
                stored = Value.cast(maps[i][j].data).word_select(channel, width)
                m.d.comb += word.eq(Mux(from_map, stored, image[i][j].data))
                grid[i].append(word)
        grid = rotated(m, "rows", grid, y2.remainder)
        turned = rotated(m, "columns", [list(column) for column in zip(*grid, strict=True)], x2.remainder)
        window = Signal(kernel**2 * width, reset_less=True)
        taps = [
            turned[j][i] & (y2.inside[i] & x2.inside[j]).replicate(width) for i in range(kernel) for j in range(kernel)
        ]
        m.d.sync += window.eq(Cat(*taps))
        return window

    # Sums

    def _sums(self, m: Module, coming: Value, retire: Loops) -> list[Signal]:
        """Partial sums over the input channels so far, one cycle after the array's sums (two after `coming`)."""
        plan, array = self.plan, self.array
        shape = sum_shape(plan.widths, plan.terms)
        width = shape.width
        depth = max((layer.positions for layer in plan.layers if layer.channels > 1), default=1)
        place = Signal(range(max(depth, 2)))
        with m.If(coming & retire.index["layer"]):
            m.d.sync += place.eq(place + 1)
            with m.If(retire.last["sub"] & retire.last["px"] & retire.last["py"]):
                m.d.sync += place.eq(0)
        m.submodules.partial = memory = Memory(shape=unsigned(width * plan.cols), depth=max(depth, 2), init=[])
        read, write = memory.read_port(), memory.write_port()
        fresh = delayed_flag(m, retire.index["channel"] == 0)
        totals = [Signal(shape, name=f"total_{j}", reset_less=True) for j in range(plan.cols)]
        totals_now = []
        for j in range(plan.cols):
            stored = (read.data[j * width : (j + 1) * width] & (~fresh).replicate(width)).as_signed()
            now = Signal(shape, name=f"total_now_{j}")
            m.d.comb += now.eq(stored + array.s[j])
            m.d.sync += totals[j].eq(now)
            totals_now.append(now)
        m.d.comb += [
            read.addr.eq(place),
            write.addr.eq(delayed(m, place, 1, "place")),
            write.data.eq(Cat(*totals_now)),
            write.en.eq(delayed_flag(m, coming & ~retire.last["channel"])),
        ]
        return totals

    def _pool(self, m: Module, coming: Value, retire: Loops, totals: list[Signal]) -> tuple["_Tag", list[Signal]]:
        """Max-pooling: the greatest sum of each 2×2 block, held for `phases` cycles, and where the block belongs."""
        plan = self.plan
        begins = delayed(m, retire.index["sub"] == 0, 2, "block_begins")
        tag = _Tag(m, "pooled", plan, 3)
        tag.load(m, retire, coming & retire.last["channel"] & retire.last["sub"])
        held = []
        for j, total in enumerate(totals):
            best = Signal(total.shape(), name=f"best_{j}", reset_less=True)
            hold = Signal(total.shape(), name=f"hold_{j}", reset_less=True)
            greater = Signal(total.shape(), name=f"greater_{j}")
            m.d.comb += greater.eq(Mux(begins | (total > best), total, best))
            m.d.sync += best.eq(greater)
            with m.If(tag.early):
                m.d.sync += hold.eq(greater)
            held.append(hold)
        return tag, held

    def _requantise(self, m: Module, tag: "_Tag", held: list[Signal]) -> "_Write":
        """Bias, multiplication, rounding, shift and clamp of the held sums, `requantisers` columns a cycle."""
        plan = self.plan
        units, phases = plan.requantisers, plan.phases
        shift = plan.widths.shift
        phase = Signal(range(phases))
        active = Signal()
        with m.If(tag.valid):
            m.d.sync += [phase.eq(1), active.eq(1)]
        with m.Elif(active):
            m.d.sync += phase.eq(phase + 1)
            with m.If(phase == phases - 1):
                m.d.sync += active.eq(0)
        now = Signal(range(phases), name="phase_now")
        m.d.comb += now.eq(Mux(tag.valid, 0, phase))
        groups = plan.layers[0].groups
        m.d.comb += self._bias_read.addr.eq(Cat(now, Mux(tag.layer, groups + tag.group, tag.group)))

        constants = [_requantisation(plan, 0), _requantisation(plan, 1)]
        rounding = [plan.convolutions[1].input_rounding, 0]
        offsets = [(1 << (c.shift - 1)) + (r << c.shift) for c, r in zip(constants, rounding, strict=True)]
        low, high = (bound << shift for bound in plan.widths.sum_range(plan.terms))
        bias = 1 << (plan.bias_width - 1)
        sum_shape = signed(width_of(low - bias, high + bias))
        most = max(c.multiplier for c in constants)
        scaled_shape = signed(width_of((low - bias) * most, (high + bias) * most + max(offsets)))
        # The multiplication is pipelined: products with four parts of the factor, then their sum in two more cycles. In
        # one cycle it would be the critical path by far.
        part = -(-most.bit_length() // 4)

        write = _Write(plan, self.code_bits, m)
        layers = delay_line(m, tag.layer, 5, "requantised_layer")
        factor = Signal(4 * part, reset_less=True)
        m.d.sync += factor.eq(Mux(layers[0], constants[1].multiplier, constants[0].multiplier))
        for unit in range(units):
            chosen = Signal(held[0].shape(), name=f"chosen_{unit}", reset_less=True)
            columns = [held[min(p * units + unit, plan.cols - 1)] for p in range(phases)]
            m.d.sync += chosen.eq(Array(columns)[now])
            biased = Signal(sum_shape, name=f"biased_{unit}", reset_less=True)
            b = self._bias_read.data[unit * plan.bias_width : (unit + 1) * plan.bias_width].as_signed()
            m.d.sync += biased.eq(chosen.shift_left(shift) + b)
            quarters = [Signal(scaled_shape, name=f"quarter_{unit}_{k}", reset_less=True) for k in range(4)]
            for k, quarter in enumerate(quarters):
                m.d.sync += quarter.eq(biased * factor[k * part : (k + 1) * part])
            halves = [Signal(scaled_shape, name=f"half_{unit}_{k}", reset_less=True) for k in range(2)]
            for k, half in enumerate(halves):
                m.d.sync += half.eq(quarters[2 * k] + quarters[2 * k + 1].shift_left(part))
            scaled = Signal(scaled_shape, name=f"scaled_{unit}", reset_less=True)
            m.d.sync += scaled.eq(halves[0] + halves[1].shift_left(2 * part) + Mux(layers[3], offsets[1], offsets[0]))
            shifted = Signal(scaled_shape, name=f"shifted_{unit}")
            m.d.comb += shifted.eq(
                Mux(layers[4], scaled.shift_right(constants[1].shift), scaled.shift_right(constants[0].shift))
            )
            lowest, greatest = (
                Mux(layers[4], second, first)
                for first, second in ((rounding[0], 0), (constants[0].maximum, constants[1].maximum))
            )
            m.d.sync += write.code[unit].eq(Mux(shifted < lowest, lowest, Mux(shifted > greatest, greatest, shifted)))
        write.follow(m, tag, now, tag.valid | active, 6)
        return write

    def _lane_enables(self, write: "_Write", layer: LayerPlan) -> list[Value]:
        """The write enable of each channel of a layer: high while its code leaves the requantisers."""
        plan = self.plan
        enables = []
        for channel in range(layer.outputs):
            group, column = divmod(channel, plan.cols)
            enables.append((write.group == group) & (write.phase == column // plan.requantisers))
        return enables

    def _lane(self, write: "_Write", channel: int) -> Value:
        """The requantiser that a channel's code leaves while the channel's write enable is high."""
        return write.code[channel % self.plan.cols % self.plan.requantisers]

    # Output

    def _output(self, m: Module, write: "_Write", whole: Value) -> Value:
        """The double-buffered output maps and the stream that sends them; high when a buffer has been read out."""
        plan = self.plan
        layer = plan.layers[1]
        places = layer.pooled**2
        m.submodules.outgoing = memory = Memory(
            shape=data.ArrayLayout(self.code_bits, layer.outputs), depth=2 * places, init=[]
        )
        read, port = memory.read_port(), memory.write_port(granularity=1)
        filling = Signal()
        sending = Signal()
        waiting = Signal(range(3))
        m.d.comb += [
            port.addr.eq(Mux(filling, places, 0) + write.py * layer.pooled + write.px),
            port.en.eq(Cat(*(enable & write.valid & write.layer for enable in self._lane_enables(write, layer)))),
            Value.cast(port.data).eq(Cat(*(self._lane(write, channel) for channel in range(layer.outputs)))),
        ]
        m.submodules.queue = queue = CreditQueue(self.codes.payload.shape(), QUEUE)
        take = Signal()
        done = Signal()
        order = Loops(m, take, {"place": places, "channel": layer.outputs}, "send_")
        channel = delayed(m, order.index["channel"], 1, "sent_channel")
        wiring.connect(m, queue.output, wiring.flipped(self.codes))
        m.d.comb += [
            take.eq((waiting != 0) & queue.room),
            read.addr.eq(Mux(sending, places, 0) + order.index["place"]),
            done.eq(take & order.all_last),
            queue.reserve.eq(take),
            queue.push.eq(delayed_flag(m, take)),
            queue.word.data.eq(Array(read.data[k] for k in range(layer.outputs))[channel]),
            queue.word.last.eq(delayed_flag(m, order.all_last)),
        ]
        m.d.sync += [
            waiting.eq(waiting + whole - done),
            filling.eq(filling ^ whole),
            sending.eq(sending ^ done),
        ]
        return done

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
                "stride": 1 << _lane_bits(lanes),
                "lanes": lanes,
                "bits": plan.table.width_b,
            },
            "biases": {
                "base": 1 << 31,
                "words": len(plan.bias_words),
                "stride": 1 << _lane_bits(plan.requantisers),
                "lanes": plan.requantisers,
                "bits": plan.bias_width,
            },
        }


class _Corner:
    """A window's corner along one axis: bank (remainder), place there (quotient), and the taps not in the padding."""

    def __init__(self, quotient: Value, remainder: Signal, inside: Signal) -> None:
        self.quotient, self.remainder, self.inside = quotient, remainder, inside

    @classmethod
    def of(cls, m: Module, axis: str, position: Signal, layer: Value, plan: ConvPlan) -> "_Corner":
        """The corner of the window at an output position along `axis`."""
        kernel = plan.kernel
        furthest = -(-plan.image_side // kernel)
        quotient = Signal(range(-furthest - 1, furthest + 1), name=f"{axis}_quotient")
        remainder = Signal(range(kernel), name=f"{axis}_remainder")
        inside = Signal(kernel, name=f"{axis}_inside")
        with m.Switch(Cat(position, layer)):
            for index, described in enumerate(plan.layers):
                for at in range(POOL * described.pooled):
                    corner = at - described.padding
                    with m.Case(at | index << len(position)):
                        m.d.comb += [
                            quotient.eq(corner // kernel),
                            remainder.eq(corner % kernel),
                            inside.eq(sum(1 << t for t in range(kernel) if 0 <= corner + t < described.side)),
                        ]
        return cls(quotient, remainder, inside)

    def later(self, m: Module, name: str) -> "_Corner":
        """Remainder and taps one cycle later; the quotient has become part of an address."""
        remainder = Signal.like(self.remainder, name=f"{name}_remainder", reset_less=True)
        inside = Signal.like(self.inside, name=f"{name}_inside", reset_less=True)
        m.d.sync += [remainder.eq(self.remainder), inside.eq(self.inside)]
        return _Corner(Const(0), remainder, inside)


class _Tag:
    """Layer, group and block that held sums belong to; `valid` is high in the first cycle in which they are held."""

    def __init__(self, m: Module, name: str, plan: ConvPlan, cycles: int) -> None:
        self._cycles, self._name, self._plan = cycles, name, plan

    def load(self, m: Module, retire: Loops, complete: Value) -> None:
        """Take them from `retire`: `early` is high one cycle before `valid`; the rest holds until the next `valid`."""
        complete_line = delay_line(m, complete, self._cycles, f"{self._name}_valid", reset_less=False)
        self.early, self.valid = complete_line[-2], complete_line[-1]
        fields = {}
        for field in ("layer", "group", "py", "px"):
            before = delayed(m, retire.index[field], self._cycles - 1, f"{self._name}_{field}_next")
            kept = Signal(len(before), name=f"{self._name}_{field}", reset_less=True)
            with m.If(self.early):
                m.d.sync += kept.eq(before)
            fields[field] = kept
        self.layer, self.group, self.py, self.px = fields.values()


class _Write:
    """The codes that leave the requantisers, with layer, group and position."""

    def __init__(self, plan: ConvPlan, code_bits: int, m: Module) -> None:
        self._plan = plan
        bits = max(code_bits, width_of(0, _requantisation(plan, 0).maximum))
        self.code = [Signal(bits, name=f"code_{unit}", reset_less=True) for unit in range(plan.requantisers)]

    def follow(self, m: Module, tag: _Tag, phase: Value, valid: Value, cycles: int) -> None:
        self.valid = delay_line(m, valid, cycles, "code_valid", reset_less=False)[-1]
        self.layer = delayed(m, tag.layer, cycles, "code_layer")
        self.group = delayed(m, tag.group, cycles, "code_group")
        self.py = delayed(m, tag.py, cycles, "code_py")
        self.px = delayed(m, tag.px, cycles, "code_px")
        self.phase = delayed(m, phase, cycles, "code_phase")
        groups = [layer.groups for layer in self._plan.layers]
        self.last_group = self.group == Mux(self.layer, groups[1] - 1, groups[0] - 1)


class _Place:
    """A coordinate's bank (remainder) and its place in the bank (quotient)."""

    def __init__(self, quotient: Value, remainder: Value) -> None:
        self.quotient, self.remainder = quotient, remainder


def _places(m: Module, name: str, coordinate: Value, side: int, kernel: int) -> _Place:
    return _Place(
        _table(m, f"{name}_quotient", coordinate, [k // kernel for k in range(side)]),
        _table(m, f"{name}_remainder", coordinate, [k % kernel for k in range(side)]),
    )


def _table(m: Module, name: str, index: Value, values: Sequence[int]) -> Signal:
    """A lookup table of constants."""
    result = Signal(range(max(values) + 1) if max(values) else 1, name=name)
    with m.Switch(index):
        for k, value in enumerate(values):
            with m.Case(k):
                m.d.comb += result.eq(value)
    return result


def _walk(m: Module, step: Value, plan: ConvPlan, prefix: str) -> Loops:
    """The loop counters over one image; their limits depend on the layer."""
    layer = Signal(name=f"{prefix}in_layer")
    first, second = plan.layers

    def limit(member: str) -> int | tuple[Value, int]:
        values = getattr(first, member), getattr(second, member)
        return values[0] if values[0] == values[1] else (Mux(layer, values[1], values[0]), max(values))

    walk = Loops(
        m,
        step,
        {
            "sub": POOL**2,
            "px": limit("pooled"),
            "py": limit("pooled"),
            "channel": limit("channels"),
            "group": limit("groups"),
            "layer": 2,
        },
        prefix,
    )
    m.d.comb += layer.eq(walk.index["layer"])
    return walk


def _banks(
    m: Module, name: str, kernel: int, side: int, shape: object, buffers: int
) -> tuple[list[list[ReadPort]], list[list[WritePort]]]:
    """kernel × kernel memories that together hold `buffers` maps: their read and write ports."""
    depth = buffers * (-(-side // kernel)) ** 2
    reads: list[list[ReadPort]] = []
    writes: list[list[WritePort]] = []
    for i in range(kernel):
        reads.append([])
        writes.append([])
        for j in range(kernel):
            m.submodules[f"{name}_{i}_{j}"] = memory = Memory(shape=shape, depth=max(depth, 2), init=[])
            reads[i].append(memory.read_port())
            writes[i].append(
                memory.write_port(granularity=1) if isinstance(shape, data.ArrayLayout) else memory.write_port()
            )
    return reads, writes


def _requantisation(plan: ConvPlan, index: int) -> Requantisation:
    constants = plan.convolutions[index].requantisation
    assert constants is not None, "a layer that is followed by others has them"
    return constants


def _side(plan: ConvPlan, layer: Value) -> Value:
    return Mux(layer, plan.layers[1].pooled, plan.layers[0].pooled)


def _packed_code(code: int, bits: Sequence[int]) -> int:
    return sum((code >> bit & 1) << k for k, bit in enumerate(bits))


def _lane_bits(lanes: int) -> int:
    return max(1, (lanes - 1).bit_length())
