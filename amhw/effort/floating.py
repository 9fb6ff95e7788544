"""Multiply-accumulate of bfloat16 numbers with a float32 sum, the way floating-point accelerators do it.

    s' = round(s + a·b)

The product of two significands of 8 bits has 16 and is exact in float32, so that only the addition rounds, to nearest,
ties to even. Subnormal operands and sums are taken for zeros, a result below 2^−126 becomes 0. There are no infinities
and no NaNs, as in a network that was trained: operands are finite, and a sum beyond the greatest number is not defined.

    a ─┬─ s ── ⊕ ───────────┐
       ├─ e ── + ── − 127 ──┤ greater ──────────── ± ── leading one ── << ── round ── s'
       └─ f ── 1.f × 1.f ───┤ lesser ── >> ────────┘
    b ── …                  │
    s ──────────────────────┘
"""

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from amhw.bitheap import compress
from amhw.multiplier import Multiplier
from amhw.refusal import Refusal

_FRACTION = 23
_KEPT = _FRACTION + 4
"""Bits of a significand in the addition: the leading one, the fraction, and three that round."""

_SMALLEST = 2.0**-126


def float_sum(a: NDArray[np.uint16], b: NDArray[np.uint16], s: NDArray[np.float32]) -> NDArray[np.float32]:
    """round(s + a·b) in NumPy's float32, of bfloat16 codes and float32 sums.

    >>> three, half = np.array([0x4040], np.uint16), np.array([0x3F00], np.uint16)
    >>> float_sum(three, half, np.array([-1.25], np.float32)).tolist()
    [0.25]
    """
    x, y = (_flushed((code.astype(np.uint32) << 16).view(np.float32)) for code in (a, b))
    with np.errstate(over="ignore", under="ignore"):
        return _flushed(_flushed(s) + _flushed(x * y))


def _flushed(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.where(np.abs(x) < np.float32(_SMALLEST), np.float32(0), x)


class FloatMultiplyAccumulate(wiring.Component):
    """s_out = round(s_in + a × b), combinational; made by `float_multiply_accumulate`.

    Members:
        a, b: In, bfloat16.
        s_in, s_out: In and Out, float32.
    """

    def __init__(self, core: Multiplier) -> None:
        self.core = core
        super().__init__({"a": In(16), "b": In(16), "s_in": In(32), "s_out": Out(32)})

    @property
    def name(self) -> str:
        """The Verilog module's name."""
        return f"mac_bf16_{self.core.name}_f32"

    def elaborate(self, platform: object) -> Module:
        m = Module()
        product = Signal(16)
        heap = self.core.heap(m, *(Cat(x[:7], Const(1, 1)) for x in (self.a, self.b)))
        m.d.comb += product.eq(compress(m, heap, 16))
        present = self.a[7:15].any() & self.b[7:15].any()
        # Signs, exponents (of a product from −125 to 382) and significands with the leading one on top.
        exponent_p = Signal(signed(10))
        m.d.comb += exponent_p.eq(self.a[7:15] + self.b[7:15] + product[15] - 127)
        there = present & (exponent_p > 0)
        significand_p = Mux(product[15], product, Cat(Const(0, 1), product[:15]))
        terms = [
            (self.a[15] ^ self.b[15], exponent_p[:9], significand_p.shift_left(_FRACTION - 15)[: _FRACTION + 1], there),
            (self.s_in[31], self.s_in[23:31], Cat(self.s_in[:23], Const(1, 1)), self.s_in[23:31].any()),
        ]
        keys = []
        for k, (sign, exponent, significand, is_there) in enumerate(terms):
            key = Signal(9 + _FRACTION + 1, name=f"magnitude_{k}")
            m.d.comb += key.eq(Mux(is_there, Cat(significand, exponent), 0))
            keys.append((sign, key))
        swapped = keys[1][1] > keys[0][1]
        greater, lesser = (_chosen(swapped, keys[k], keys[1 - k]) for k in (1, 0))
        return self._added(m, greater, lesser)

    def _added(self, m: Module, greater: tuple[Value, Value], lesser: tuple[Value, Value]) -> Module:
        """The sum of two numbers (sign, magnitude), the greater magnitude first."""
        whole = _FRACTION + 1
        exponent, small = greater[1][whole:], lesser[1][whole:]
        distance = Signal(9)
        m.d.comb += distance.eq(exponent - small)
        aligned, lost = Signal(_KEPT), Signal()
        wide = Signal(2 * _KEPT)
        m.d.comb += [
            wide.eq(Cat(Const(0, _KEPT + 3), lesser[1][:whole]) >> distance[:5]),
            aligned.eq(Mux(distance >= 32, 0, wide[_KEPT:])),
            lost.eq(Mux(distance >= 32, lesser[1].any(), wide[:_KEPT].any())),
        ]
        first, second = Cat(Const(0, 3), greater[1][:whole]), aligned | lost
        total = Signal(_KEPT + 1)
        m.d.comb += total.eq(Mux(greater[0] ^ lesser[0], first - second, first + second))
        # The leading one to the top; then the fraction is rounded.
        zeros = Signal(range(_KEPT + 2))
        for k in range(_KEPT + 1):
            with m.If(total[k]):
                m.d.comb += zeros.eq(_KEPT - k)
        top = Signal(_KEPT + 1)
        m.d.comb += top.eq(total << zeros)
        fraction, rest = top[_KEPT - _FRACTION : _KEPT], top[: _KEPT - _FRACTION]
        up = rest[-1] & (rest[:-1].any() | fraction[0])
        rounded = Signal(_FRACTION + 1)
        power = Signal(signed(11))
        m.d.comb += [
            rounded.eq(fraction + up),
            power.eq(exponent + 1 - zeros + rounded[_FRACTION]),
            self.s_out.eq(Mux((power <= 0) | ~total.any(), 0, Cat(rounded[:_FRACTION], power[:8], greater[0]))),
        ]
        return m


def float_multiply_accumulate(core: Multiplier) -> FloatMultiplyAccumulate:
    """The unit whose significands meet in `core`: unsigned 8 × 8, never below 1.0 × 1.0.

    Raises:
        Refusal: the core has other operands.
    """
    if core.operands != "u8u8":
        raise Refusal(f"bfloat16 significands are u8u8; {core.name} multiplies {core.operands}")
    return FloatMultiplyAccumulate(core)


def _chosen(wanted: Value, one: tuple[Value, Value], other: tuple[Value, Value]) -> tuple[Value, Value]:
    return Mux(wanted, one[0], other[0]), Mux(wanted, one[1], other[1])
