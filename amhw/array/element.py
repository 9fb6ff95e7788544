"""Processing elements: `depth` products and one running sum in a single bit heap.

The product's bits and the sum's bits meet in one heap, so that an element has one carry-propagate adder and
not two. Depth 1 is the classical systolic element; an element as deep as the array is an adder tree.

    weight-stationary                                   output-stationary

                s_in  w_in                                     b_in
                 │     │                                        │
                 │  [shadow]──► w_out                  a_in ──►[a]──► a_out
                 │     │ swap                                   │  [b]──► b_out
    a_in ──►[a]──┼────[w]                                       ▼   │
             │   ▼     │                                       heap ┘◄─┐
             │  heap ◄─┘                                        └─►[acc]
             ▼   └─►[s]──► s_out                                     │ start
           a_out                                          d_out ◄──[d]◄── d_in

Square brackets are registers. The shadow register makes the weights double-buffered: the next one is preloaded while
the present one is used. No register is reset, because nothing is valid before weights and sums have been shifted in.

Where a multiplier encodes each operand on its own (finds its leading one, takes its magnitude), operands are encoded
once at the array's edges; the codes travel from element to element, which only combine them.

Sources: Kung, "Why systolic architectures?", Computer 15(1), 1982; two weight registers, one loaded while
the other works: Jouppi et al., "In-datacenter performance analysis of a tensor processing unit", ISCA 2017.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from amaranth.hdl import Cat, ClockDomain, Const, Module, Shape, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from amhw.array.modes import Rows, gated_heap
from amhw.array.widths import Widths
from amhw.bitheap import BitHeap, compress
from amhw.multiplier import Multiplier


@runtime_checkable
class Encoding(Protocol):
    """The interface of a multiplier that encodes each operand on its own (`amhw.families.EncodedMultiplier`)."""

    @property
    def layout_a(self) -> data.StructLayout: ...

    @property
    def layout_b(self) -> data.StructLayout: ...

    def encode_a(self, m: Module, a: Value) -> data.View: ...

    def encode_b(self, m: Module, b: Value) -> data.View: ...

    def combine(self, m: Module, a: data.View, b: data.View) -> BitHeap: ...


NO_GATES = Const(0, 0)


def passed_bits(multiplier: Multiplier, widths: Widths) -> tuple[int, int]:
    """Bits of an activation and of a weight between elements: their codes', or the operand bits that are read."""
    if isinstance(multiplier, Encoding):
        return multiplier.layout_a.size, multiplier.layout_b.size
    return len(widths.bits_a), len(widths.bits_b)


def at_edge(m: Module, multiplier: Multiplier, widths: Widths, packed: Value, operand: str, name: str) -> Value:
    """The packed operands (`a` or `b`) at the array's edge, encoded where the multiplier encodes them."""
    if not isinstance(multiplier, Encoding):
        return packed
    bits, shape, encode = (
        (widths.bits_a, multiplier.shape_a, multiplier.encode_a)
        if operand == "a"
        else (widths.bits_b, multiplier.shape_b, multiplier.encode_b)
    )
    codes = []
    for k in range(len(packed) // len(bits)):
        m.submodules[f"encode_{name}_{k}"] = encoder = Module()
        codes.append(Value.cast(encode(encoder, unpack(packed[k * len(bits) : (k + 1) * len(bits)], bits, shape))))
    return Cat(*codes)


class _Element(wiring.Component):
    """What both elements share: packed operands, a clock port and the heap.

    The element is a module of its own in the Verilog, instantiated for each place in the mesh, and so has its
    clock as an ordinary port.
    """

    def __init__(
        self,
        multiplier: Multiplier,
        widths: Widths,
        depth: int,
        ports: dict[str, wiring.Member],
        gates: Sequence[Rows] = (),
    ) -> None:
        self.multiplier = multiplier
        self.widths = widths
        self.depth = depth
        self.gates = tuple(gates)
        super().__init__({"clk": In(1)} | ports)

    @property
    def packed_a(self) -> int:
        """Bits of `depth` activations between elements."""
        return self.depth * passed_bits(self.multiplier, self.widths)[0]

    @property
    def packed_b(self) -> int:
        """Bits of `depth` weights between elements."""
        return self.depth * passed_bits(self.multiplier, self.widths)[1]

    def _clocked(self) -> Module:
        m = Module()
        m.domains.sync = domain = ClockDomain("sync", reset_less=True, local=True)
        m.d.comb += domain.clk.eq(self.clk)
        return m

    def _sum(
        self, m: Module, a: Value, b: Value, addend: Sequence[Value], width: int, is_open: Value = NO_GATES
    ) -> Value:
        """The products of the packed operands plus the addend, all in units of 2^shift and modulo 2^width."""
        heap = BitHeap()
        bits_a, bits_b = self.widths.bits_a, self.widths.bits_b
        wide_a, wide_b = passed_bits(self.multiplier, self.widths)
        for k in range(self.depth):
            one_a, one_b = a[k * wide_a : (k + 1) * wide_a], b[k * wide_b : (k + 1) * wide_b]
            if isinstance(self.multiplier, Encoding):
                codes = data.View(self.multiplier.layout_a, one_a), data.View(self.multiplier.layout_b, one_b)
                heap.add_heap(self.multiplier.combine(m, *codes))
            else:
                operands = (
                    unpack(one_a, bits_a, self.multiplier.shape_a),
                    unpack(one_b, bits_b, self.multiplier.shape_b),
                )
                heap.add_heap(gated_heap(m, self.multiplier, *operands, self.gates, is_open))
        shift = self.widths.shift
        for k, bit in enumerate(addend):
            # A top bit of weight 2^(width−1) is the same modulo 2^width with either sign.
            negative = self.widths.signed and k == len(addend) - 1 < width - 1
            heap.add_bit(bit, shift + k, negative=negative)
        return compress(m, heap, shift + width)[shift:]


class ProcessingElement(_Element):
    """The weight-stationary element: s_out = s_in + Σ_d T(a_d, w_d), one cycle after `a` is registered.

    Latency in cycles: a_in → a_out 1; a_in → s_out 2; s_in → s_out 1. A high `swap` in the cycle of an activation puts
    the preloaded weight to use, for this activation and all later ones.

    Args:
        multiplier: T.
        widths: of its table.
        depth: operand pairs in the element.
        terms: products in s_in; s_out has `depth` more.
        gates: partial products that can be switched off, together for each gate (`amhw.array.modes`).

    Members:
        clk: In, clock.
        a_in, a_out: activations, packed.
        w_in, w_out, w_load: the shift chain that preloads weights, packed; it shifts while `w_load` is high.
        swap: In.
        is_open: In, bit k: gate k is open, one cycle after the activation; only where there are any.
        s_in, s_out: sums in units of 2^widths.shift; no s_in where `terms` is 0.
    """

    def __init__(
        self,
        multiplier: Multiplier,
        widths: Widths,
        depth: int = 1,
        terms: int = 0,
        gates: Sequence[Rows] = (),
    ) -> None:
        self.terms = terms
        packed_a, packed_b = (depth * bits for bits in passed_bits(multiplier, widths))
        ports = {
            "a_in": In(packed_a),
            "a_out": Out(packed_a),
            "swap": In(1),
            "w_load": In(1),
            "w_in": In(packed_b),
            "w_out": Out(packed_b),
        }
        if terms:
            ports["s_in"] = In(widths.sum_width(terms))
        ports["s_out"] = Out(widths.sum_width(terms + depth))
        if gates:
            ports["is_open"] = In(len(gates))
        super().__init__(multiplier, widths, depth, ports, gates)

    @property
    def name(self) -> str:
        """The Verilog module's name; elements with equal names are equal."""
        incoming = self.widths.sum_width(self.terms)
        wide = self.packed_a // self.depth
        gates = f"_g{len(self.gates)}" if self.gates else ""
        return f"pe_{self.multiplier.name}{gates}_d{self.depth}_a{wide}_s{incoming}_{len(self.s_out)}"

    def elaborate(self, platform: object) -> Module:
        m = self._clocked()
        a = Signal(self.packed_a, reset_less=True)
        shadow = Signal(self.packed_b, reset_less=True)
        w = Signal(self.packed_b, reset_less=True)
        s = Signal(len(self.s_out), reset_less=True)
        m.d.sync += a.eq(self.a_in)
        with m.If(self.w_load):
            m.d.sync += shadow.eq(self.w_in)
        with m.If(self.swap):
            m.d.sync += w.eq(shadow)
        addend = list(self.s_in) if self.terms else []
        m.d.sync += s.eq(self._sum(m, a, w, addend, len(s), self.is_open if self.gates else NO_GATES))
        m.d.comb += [self.a_out.eq(a), self.w_out.eq(shadow), self.s_out.eq(s)]
        return m


class OutputElement(_Element):
    """The output-stationary element: acc ← Σ_d T(a_d, b_d) + (0 if start else acc).

    `start` is high one cycle after the first operands of a sum, as they leave their registers. In that cycle the
    finished sum moves into `d`; in all others `d` takes `d_in`: a shift chain that carries finished sums out.

    Args:
        multiplier, widths, depth: as for `ProcessingElement`.
        terms: products in a sum.

    Members:
        clk: In, clock.
        a_in, a_out, b_in, b_out: operands, packed; a_in → a_out and b_in → b_out take 1 cycle.
        start: In.
        d_in, d_out: sums in units of 2^widths.shift.
    """

    def __init__(self, multiplier: Multiplier, widths: Widths, depth: int, terms: int) -> None:
        packed_a, packed_b = (depth * bits for bits in passed_bits(multiplier, widths))
        width = widths.sum_width(terms)
        ports = {
            "a_in": In(packed_a),
            "a_out": Out(packed_a),
            "b_in": In(packed_b),
            "b_out": Out(packed_b),
            "start": In(1),
            "d_in": In(width),
            "d_out": Out(width),
        }
        super().__init__(multiplier, widths, depth, ports)

    @property
    def name(self) -> str:
        """The Verilog module's name; elements with equal names are equal."""
        wide = self.packed_a // self.depth
        return f"pe_os_{self.multiplier.name}_d{self.depth}_a{wide}_s{len(self.d_out)}"

    def elaborate(self, platform: object) -> Module:
        m = self._clocked()
        a = Signal(self.packed_a, reset_less=True)
        b = Signal(self.packed_b, reset_less=True)
        acc = Signal(len(self.d_out), reset_less=True)
        d = Signal(len(self.d_out), reset_less=True)
        m.d.sync += [a.eq(self.a_in), b.eq(self.b_in), d.eq(self.d_in)]
        with m.If(self.start):
            m.d.sync += d.eq(acc)
        going_on = Signal(len(acc))
        m.d.comb += going_on.eq(acc & (~self.start).replicate(len(acc)))
        m.d.sync += acc.eq(self._sum(m, a, b, list(going_on), len(acc)))
        m.d.comb += [self.a_out.eq(a), self.b_out.eq(b), self.d_out.eq(d)]
        return m


def sum_shape(widths: Widths, terms: int) -> Shape:
    """The shape of a sum of `terms` products in units of 2^widths.shift."""
    width = widths.sum_width(terms)
    return signed(width) if widths.signed else unsigned(width)


def pack(value: Value, bits: Sequence[int]) -> Value:
    """The operand bits that the multiplier reads, side by side."""
    return Cat(*(value[k] for k in bits))


def unpack(packed: Value, bits: Sequence[int], shape: Shape) -> Value:
    """The operand, with 0 for the bits that the multiplier does not read."""
    place = {bit: k for k, bit in enumerate(bits)}
    value = Cat(*(packed[place[k]] if k in place else Const(0, 1) for k in range(shape.width)))
    return value.as_signed() if shape.signed else value
