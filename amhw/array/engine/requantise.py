"""Bias, factor, rounding, shift and clamp: from sums to codes, or to logits before the factor."""

from typing import Any

from amaranth.hdl import Array, Cat, Module, Mux, Shape, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from amhw.array.config import REQUANTISED
from amhw.array.delay import delay_line
from amhw.array.engine.memory import ConfiguredMemory, written_members
from amhw.array.engine.pool import held_shape
from amhw.array.program import Sizes
from amhw.array.widths import width_of

BIASED = 2
"""Clocks until the bias has been added."""

PARTS = 4
"""Of the factor: a product with each, then their sum in two more clocks. In one clock it would be the critical path."""


class Requantiser(wiring.Component):
    """y = clamp(⌊(v · factor + offset) / 2^shift⌋) of `requantisers` columns a clock; v = held + bias or
    |held + bias|.

    A sum is clipped before it meets the factor: beyond `Sizes.scaled`, all have the same code. A window's columns take
    `phases` clocks. A pair of words is scaled one after the other; the second one's code is
    that of the sum.

    Args:
        sizes: of the engine.
        fixed: there is no configuration port.

    Members:
        record: In, `amhw.array.records.Finish`.
        load: In, an operation begins.
        held: In, and with it `start`, `half`: it is new; it is the first of a pair. `least`: the least of the window of
            which it is the greatest, if `Sizes.keeps_least`.
        group_ends: In, with `start`: the window is the last of a group of outputs.
        active: Out, in each clock in which columns enter; `last_phase`: the last ones of a window.
        sums: Out, `BIASED` clocks later: with bias.
        codes: Out, `latency` clocks later.
        write, to, data: In, of the configuration port, for biases.
    """

    def __init__(self, sizes: Sizes, *, fixed: bool = False) -> None:
        self._sizes, self._fixed = sizes, fixed
        config, schedule = sizes.config, sizes.schedules[0]
        mask = (1 << sizes.bias_width) - 1
        init = [
            sum((int(bias) & mask) << (k * sizes.bias_width) for k, bias in enumerate(word))
            for word in schedule.bias_words
        ]
        self.memory = ConfiguredMemory(init, sizes.bias_words, config.requantisers, sizes.bias_width, fixed=fixed)
        super().__init__(
            {
                "record": In(sizes.finish.width),
                "load": In(1),
                "held": In(data.ArrayLayout(held_shape(sizes), config.cols)),
                **({"least": In(data.ArrayLayout(sizes.sum_shape, config.cols))} if sizes.keeps_least else {}),
                "start": In(1),
                "half": In(1),
                "group_ends": In(1),
                "active": Out(1),
                "last_phase": Out(1),
                "sums": Out(data.ArrayLayout(biased_shape(sizes), config.requantisers)),
                "codes": Out(data.ArrayLayout(8, config.requantisers)),
                **written_members(fixed),
            }
        )

    @property
    def latency(self) -> int:
        """Clocks from columns to their codes."""
        return REQUANTISED

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sizes, config = self._sizes, self._sizes.config
        most = sizes.finish.most
        now = sizes.finish.view(self.record)
        units = config.requantisers
        phase = self._phases(m, now)
        bias = self._biases(m, now)

        biased_type = biased_shape(sizes)
        clipped_type = sizes.scaled
        factor_most = max(most("factor_0"), most("factor_1"))
        greatest = (1 << clipped_type.width) * factor_most * (2 if most("adds") else 1) + most("offset")
        scaled_type = Shape(width_of(-greatest if clipped_type.signed else 0, greatest), clipped_type.signed)
        part = -(-factor_most.bit_length() // PARTS)
        halves_line = delay_line(m, self.half, 5, "half")
        seconds = delay_line(m, ~self.half, 5, "second")
        factor = Signal(PARTS * part, reset_less=True)
        m.d.sync += factor.eq(Mux(halves_line[0], now.factor_0, now.factor_1) if most("adds") else now.factor_0)
        for unit in range(units):
            chosen = Signal(held_shape(sizes), name=f"chosen_{unit}", reset_less=True)
            columns = [self.held[p * units + unit] for p in range(config.phases)]
            m.d.sync += chosen.eq(Array(columns)[phase] if config.phases > 1 else columns[0])
            biased = Signal(biased_type, name=f"biased_{unit}", reset_less=True)
            own = bias[unit * sizes.bias_width : (unit + 1) * sizes.bias_width].as_signed()
            summed = chosen.shift_left(sizes.widths.shift) + own
            m.d.sync += biased.eq(Mux(now.element, chosen, summed) if sizes.pooled else summed)
            m.d.comb += self.sums[unit].eq(biased)
            clipped = Signal(clipped_type, name=f"clipped_{unit}")
            value: Value = biased
            if sizes.keeps_least:
                value = self._farther(m, now, unit, phase, own, summed, biased)
            elif most("absolute"):
                value = _magnitude(biased, now.absolute)
            m.d.comb += clipped.eq(_clipped(value, clipped_type))
            wide, wider = (Shape(clipped_type.width + parts * part, clipped_type.signed) for parts in (1, 2))
            products = [Signal(wide, name=f"product_{unit}_{k}", reset_less=True) for k in range(PARTS)]
            for k, product in enumerate(products):
                m.d.sync += product.eq(clipped * factor[k * part : (k + 1) * part])
            pairs = [Signal(wider, name=f"pair_{unit}_{k}", reset_less=True) for k in range(2)]
            for k, pair in enumerate(pairs):
                m.d.sync += pair.eq(products[2 * k] + products[2 * k + 1].shift_left(part))
            scaled = Signal(scaled_type, name=f"scaled_{unit}", reset_less=True)
            before: Value = now.offset
            if most("adds"):
                before = Mux(now.adds & seconds[3], scaled, now.offset)
            m.d.sync += scaled.eq(pairs[0] + pairs[1].shift_left(2 * part) + before)
            shifted = Signal(scaled_type, name=f"shifted_{unit}")
            m.d.comb += shifted.eq(_shifted(scaled, now.shift, sizes.finish.ranges["shift"]))
            code = Signal(8, name=f"code_{unit}", reset_less=True)
            m.d.sync += code.eq(
                Mux(shifted < now.lowest, now.lowest, Mux(shifted > now.highest, now.highest, shifted))[:8]
            )
            m.d.comb += self.codes[unit].eq(code)
        return m

    def _farther(
        self, m: Module, now: Any, unit: int, phase: Value, bias: Value, summed: Value, biased: Value
    ) -> Value:
        """The greatest sum with its bias, or, where absolute values are wanted and it has the greater one, the least
        sum with its sign changed."""
        config = self._sizes.config
        columns = [self.least[p * config.requantisers + unit] for p in range(config.phases)]
        chosen = Signal(self._sizes.sum_shape, name=f"chosen_least_{unit}", reset_less=True)
        m.d.sync += chosen.eq(Array(columns)[phase] if config.phases > 1 else columns[0])
        below = chosen.shift_left(self._sizes.widths.shift) + bias
        least = Signal(biased.shape(), name=f"biased_least_{unit}", reset_less=True)
        farther = Signal(name=f"farther_{unit}", reset_less=True)
        m.d.sync += [least.eq(below), farther.eq((summed + below < 0) & now.absolute)]
        return Mux(farther, -least, biased)

    def _phases(self, m: Module, now: Any) -> Value:
        """Which columns enter."""
        count = self._sizes.config.phases
        if count == 1:
            m.d.comb += [self.active.eq(self.start), self.last_phase.eq(self.start)]
            return self.start
        later = Signal(range(count))
        going = Signal()
        phase = Signal(range(count), name="phase_now")
        m.d.comb += [
            phase.eq(Mux(self.start, 0, later)),
            self.active.eq(self.start | going),
            self.last_phase.eq(self.active & (phase == now.phases - 1)),
        ]
        with m.If(self.active):
            m.d.sync += [later.eq(phase + 1), going.eq(~self.last_phase)]
        return phase

    def _biases(self, m: Module, now: Any) -> Value:
        """The bias of the columns that entered a clock ago: of a group, the same words for each window."""
        sizes = self._sizes
        m.submodules.bias = memory = self.memory
        group = Signal(range(sizes.bias_words), name="bias_group")
        word = Signal(range(sizes.bias_words), name="bias_word")
        further = Signal(range(sizes.bias_words), name="bias_next")
        m.d.comb += [
            memory.address.eq(Mux(self.start, group, word)),
            further.eq(memory.address + 1),
        ]
        if not self._fixed:
            m.d.comb += [memory.write.eq(self.write), memory.to.eq(self.to), memory.data.eq(self.data)]
        group_ends = Signal(name="in_last_window")
        with m.If(self.start):
            m.d.sync += group_ends.eq(self.group_ends)
        with m.If(self.active):
            m.d.sync += word.eq(further)
            with m.If(self.last_phase & Mux(self.start, self.group_ends, group_ends)):
                m.d.sync += group.eq(further)
        with m.If(self.load):
            m.d.sync += group.eq(now.bias)
        return memory.word


def _magnitude(value: Signal, wanted: Value) -> Value:
    """|value| of a signed value where that is wanted, one bit wider."""
    negative = wanted & value[-1]
    return ((value ^ negative.replicate(len(value)).as_signed()) + negative).as_signed()


def _clipped(value: Value, shape: Shape) -> Value:
    """The nearest value of this shape to a signed one, `shape` being signed or its values not negative."""
    magnitude = shape.width - shape.signed
    if magnitude >= len(value) - 1:
        return value if shape.signed else Mux(value[-1], 0, value)
    beyond = value[magnitude:-1] != value[-1].replicate(len(value) - 1 - magnitude)
    below = value[-1].replicate(magnitude)
    if not shape.signed:
        return (value[:magnitude] | beyond.replicate(magnitude)) & ~below
    return Cat(Mux(beyond, ~below, value[:magnitude]), value[-1]).as_signed()


def _shifted(value: Signal, shift: Value, limits: tuple[int, int]) -> Value:
    """⌊value / 2^shift⌋ for shifts within `limits`: first by the least, then by the rest, bit by bit."""
    low, high = limits
    result = value.shift_right(low)
    by = shift - low
    for bit in range((high - low).bit_length()):
        result = Mux(by[bit], result.shift_right(1 << bit), result)
    return result


def biased_shape(sizes: Sizes) -> Shape:
    """Of a sum with its bias, as the logits are."""
    terms = max(sizes.terms, sizes.config.rows)
    low, high = (bound << sizes.widths.shift for bound in sizes.widths.sum_range(terms))
    bias = 1 << (sizes.bias_width - 1)
    word = held_shape(sizes) if sizes.pooled else signed(1)
    return signed(max(width_of(low - bias, high + bias), word.width))
