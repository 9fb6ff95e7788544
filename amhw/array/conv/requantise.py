"""Requantisation: bias, factor, rounding, shift and clamp, a quarter of the columns a cycle."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib.memory import ReadPort

from amhw.array.conv.pool import Tag
from amhw.array.delay import delay_line, delayed
from amhw.array.plan import ConvPlan, LayerPlan
from amhw.array.widths import width_of
from amhw.network.requantisation import Requantisation


def requantised(
    m: Module, plan: ConvPlan, tag: Tag, held: list[Signal], bias_read: ReadPort, code_bits: int
) -> "Write":
    """Bias, multiplication, rounding, shift and clamp of the held sums, `requantisers` columns a cycle."""
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
    m.d.comb += bias_read.addr.eq(Cat(now, Mux(tag.layer, groups + tag.group, tag.group)))

    constants = [constants_of(plan, 0), constants_of(plan, 1)]
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

    write = Write(plan, code_bits, m)
    layers = delay_line(m, tag.layer, 5, "requantised_layer")
    factor = Signal(4 * part, reset_less=True)
    m.d.sync += factor.eq(Mux(layers[0], constants[1].multiplier, constants[0].multiplier))
    for unit in range(units):
        chosen = Signal(held[0].shape(), name=f"chosen_{unit}", reset_less=True)
        columns = [held[min(p * units + unit, plan.cols - 1)] for p in range(phases)]
        m.d.sync += chosen.eq(Array(columns)[now])
        biased = Signal(sum_shape, name=f"biased_{unit}", reset_less=True)
        b = bias_read.data[unit * plan.bias_width : (unit + 1) * plan.bias_width].as_signed()
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


def lane_enables(plan: ConvPlan, write: "Write", layer: LayerPlan) -> list[Value]:
    """The write enable of each channel of a layer: high while its code leaves the requantisers."""
    enables = []
    for channel in range(layer.outputs):
        group, column = divmod(channel, plan.cols)
        enables.append((write.group == group) & (write.phase == column // plan.requantisers))
    return enables


def lane_of(plan: ConvPlan, write: "Write", channel: int) -> Value:
    """The requantiser that a channel's code leaves while the channel's write enable is high."""
    return write.code[channel % plan.cols % plan.requantisers]


class Write:
    """The codes that leave the requantisers, with layer, group and position."""

    def __init__(self, plan: ConvPlan, code_bits: int, m: Module) -> None:
        self._plan = plan
        bits = max(code_bits, width_of(0, constants_of(plan, 0).maximum))
        self.code = [Signal(bits, name=f"code_{unit}", reset_less=True) for unit in range(plan.requantisers)]

    def follow(self, m: Module, tag: Tag, phase: Value, valid: Value, cycles: int) -> None:
        self.valid = delay_line(m, valid, cycles, "code_valid", reset_less=False)[-1]
        self.layer = delayed(m, tag.layer, cycles, "code_layer")
        self.group = delayed(m, tag.group, cycles, "code_group")
        self.py = delayed(m, tag.py, cycles, "code_py")
        self.px = delayed(m, tag.px, cycles, "code_px")
        self.phase = delayed(m, phase, cycles, "code_phase")
        groups = [layer.groups for layer in self._plan.layers]
        self.last_group = self.group == Mux(self.layer, groups[1] - 1, groups[0] - 1)


def constants_of(plan: ConvPlan, index: int) -> Requantisation:
    """Of layer 0 or 1."""
    constants = plan.convolutions[index].requantisation
    assert constants is not None, "a layer that is followed by others has them"
    return constants
