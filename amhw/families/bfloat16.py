"""A bfloat16 multiplier whose significands meet in any unsigned 8 × 8 multiplier.

A bfloat16 number has a sign, 8 exponent bits (bias 127) and 7 fraction bits: (−1)^s·1.f·2^(e−127). Its
product is

    sign         s_a ⊕ s_b
    exponent     e_a + e_b − 127, + 1 if the product of the significands is 2 or more
    significand  core(1.f_a, 1.f_b), normalised to 1.f and rounded to 7 fraction bits, to nearest, ties to
    even

    a ─┬─ s ── ⊕ ─────────────────────────────┐
       ├─ e ── + ── − 127 ────── + ── range ──┤
       └─ f ──┐                  |            ├── p
              core ── normalise ─┴─ round ────┤
    b ── … ───┘                               │
         special operands (0, ∞, NaN) ────────┘

Operands and results outside the normal numbers:

    subnormal operand   is taken for a zero of its sign (DAZ)
    result too small    below 2^−126 after rounding to 8 bits: a zero of its sign (FTZ);
                        no subnormal is put out
    result too large    infinity of its sign
    0 · ∞, NaN · x      the quiet NaN 7FC0h (sign clear, payload not kept)
    ∞ · x               infinity of its sign

So the exact core gives torch's product of bfloat16 numbers for all operands and results that are not
subnormal. An approximate core's product below 1 is not normalised further (its fraction is taken as 0): no
core here gives one.

It is no `Multiplier`: its operands are not integers and 2^32 products make no table. It has the same two
sides, `golden` on codes and `create` for the circuit; `amhw.verilog.emit(m.create(), m.name)` writes its
Verilog.

Sources: the format is that of Google's Brain project, rounding as IEEE 754-2019; approximate significands:
Kim, Del Barrio, Kim, Bagherzadeh, "The effects of approximate multiplication on convolutional neural
networks", IEEE Transactions on Emerging Topics in Computing 10(2), 2022 (Mitch-w6 against bfloat16
multiply-accumulate).
"""

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import ArrayLike, NDArray

from amhw.bitheap import compress
from amhw.multiplier import Multiplier
from amhw.refusal import Refusal

_NAN, _INFINITY = 0x7FC0, 0x7F80


@dataclass(frozen=True)
class Bfloat16:
    """A bfloat16 multiplier around an unsigned 8 × 8 one, for Python: ``golden`` and ``create``, but no product table.

    Attributes:
        core: the multiplier of the 8-bit significands, unsigned.

    >>> from amhw.families import Masked
    >>> m = Bfloat16(Masked.exact(8, 8))
    >>> m.name, hex(m.golden(0x4040, 0xBFC0).item())  # 3 × −1.5 = −4.5
    ('bf16_mul_u8u8_pp_full', '0xc090')

    Raises:
        Refusal: the core is not unsigned 8 × 8.
    """

    core: Multiplier

    def __post_init__(self) -> None:
        if self.core.operands != "u8u8":
            raise Refusal(f"bfloat16 significands are u8u8; {self.core.name} multiplies {self.core.operands}")

    @property
    def name(self) -> str:
        """A Verilog identifier."""
        return f"bf16_{self.core.name}"

    def golden(self, a: ArrayLike, b: ArrayLike) -> NDArray[np.uint16]:
        """The products of bfloat16 codes, elementwise; the arrays broadcast.

        Args:
            a, b: codes 0…65535.

        Returns:
            uint16 codes.

        Raises:
            Refusal: a code is out of range.
        """
        codes = []
        for name, given in (("a", a), ("b", b)):
            array = np.asarray(given)
            if not np.issubdtype(array.dtype, np.integer) or (
                array.size and not 0 <= array.min() <= array.max() <= 0xFFFF
            ):
                raise Refusal(f"operand {name} holds no bfloat16 codes (integers 0 to 65535)")
            codes.append(array.astype(np.int64))
        code_a, code_b = np.broadcast_arrays(*codes)
        sign = (code_a ^ code_b) & 0x8000
        fields = [(code >> 7 & 0xFF, code & 0x7F) for code in (code_a, code_b)]
        (exponent_a, fraction_a), (exponent_b, fraction_b) = fields
        product = self.core.golden(128 + fraction_a, 128 + fraction_b)
        # product / 2^14 is the significand: 1 … 4. Scale it so that one unit is the last place of the result.
        carry = (product >= 1 << 15).astype(np.int64)
        unit = 1 << (7 + carry)
        kept = np.maximum(product, 1 << 14) // unit
        twice_rest = 2 * (np.maximum(product, 1 << 14) - kept * unit)
        kept += (twice_rest > unit) | ((twice_rest == unit) & (kept % 2 == 1))
        exponent = exponent_a + exponent_b - 127 + carry
        overflow = kept == 256
        exponent, kept = exponent + overflow, np.where(overflow, 128, kept)
        result = np.where(exponent >= 255, _INFINITY, np.where(exponent <= 0, 0, exponent << 7 | (kept & 0x7F)))
        zero = (exponent_a == 0) | (exponent_b == 0)
        infinite = (exponent_a == 255) | (exponent_b == 255)
        nan = ((exponent_a == 255) & (fraction_a > 0)) | ((exponent_b == 255) & (fraction_b > 0)) | (zero & infinite)
        result = np.where(infinite, _INFINITY, np.where(zero, 0, result)) | sign
        return np.where(nan, _NAN, result).astype(np.uint16)

    def create(self, *, tree: str = "dadda", adder: str = "auto") -> "Bfloat16Component":
        """The combinational circuit with ports `a`, `b` and `p`, 16 bits each."""
        return Bfloat16Component(self, tree=tree, adder=adder)


class Bfloat16Component(wiring.Component):
    """A bfloat16 multiplier as an Amaranth component. Combinational, latency 0.

    Members:
        a, b: In, 16 bits.
        p: Out, 16 bits.
    """

    def __init__(self, multiplier: Bfloat16, *, tree: str, adder: str) -> None:
        self.multiplier, self.tree, self.adder = multiplier, tree, adder
        super().__init__({"a": In(16), "b": In(16), "p": Out(16)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        a, b = self.a, self.b
        significands = []
        for name, x in (("a", a), ("b", b)):
            significand = Signal(8, name=f"significand_{name}")
            m.d.comb += significand.eq(Cat(x[:7], Const(1, 1)))
            significands.append(significand)
        product = Signal(16)
        heap = self.multiplier.core.heap(m, *significands)
        m.d.comb += product.eq(compress(m, heap, 16, tree=self.tree, adder=self.adder))

        high = product[15]
        normal = Signal(15)  # the fraction after the leading one: 7 bits, the round bit, 7 sticky bits
        m.d.comb += normal.eq(Mux(high, product[:15], Cat(Const(0, 1), product[:14])))
        below_one = ~high & ~product[14]
        fraction = Mux(below_one, 0, normal[8:])
        up = ~below_one & normal[7] & (normal[:7].any() | normal[8])
        rounded = Signal(8)
        m.d.comb += rounded.eq(fraction + up)

        exponent = Signal(11)  # e_a + e_b + carries, before the bias is taken off
        m.d.comb += exponent.eq(a[7:15] + b[7:15] + high + rounded[7])
        zero, infinite, nan = Signal(), Signal(), Signal()
        ones_a, ones_b = a[7:15].all(), b[7:15].all()
        m.d.comb += [
            zero.eq(~a[7:15].any() | ~b[7:15].any()),
            infinite.eq(ones_a | ones_b),
            nan.eq((ones_a & a[:7].any()) | (ones_b & b[:7].any()) | (zero & infinite)),
        ]
        magnitude = Signal(15)
        m.d.comb += magnitude.eq(Cat(rounded[:7], (exponent - 127)[:8]))
        with m.If(zero | (exponent <= 127)):
            m.d.comb += magnitude.eq(0)
        with m.If(infinite | (~zero & (exponent >= 127 + 255))):
            m.d.comb += magnitude.eq(_INFINITY)
        m.d.comb += self.p.eq(Cat(magnitude, a[15] ^ b[15]))
        with m.If(nan):
            m.d.comb += self.p.eq(_NAN)
        return m
