"""Radix-4 Booth multiplication: exact, with half as many rows.

Operand b is recoded into digits d_j ∈ {−2, −1, 0, 1, 2}, each read off three overlapping bits,

    d_j = −2·b_(2j+1) + b_(2j) + b_(2j−1),        b = Σ d_j·4^j,        p = Σ d_j·a·4^j

so that each row is 0, ±a or ±2a, and ⌈n/2⌉ rows (one more where an unsigned b has even width) do for n.

    b_7 b_6 b_5 b_4 b_3 b_2 b_1 b_0  0          d_j = −2  −1   0   1   2
    |_____d_3___|                               row  −2a  −a   0   a  2a
            |_____d_2___|
                    |_____d_1___|
                            |_____d_0___|

−x is ¬x + 1: the row is inverted and a 1 joins its lowest column.

Source: Booth, "A signed binary multiplication technique", 1951; MacSorley, "High-speed arithmetic in binary
computers", Proc. IRE 49(1), 1961 (the modified, radix-4 form).
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from amaranth.hdl import Cat, Const, Module, Signal, Value
from numpy.typing import NDArray

from amhw.bitheap import BitHeap
from amhw.multiplier import Multiplier
from amhw.refusal import Refusal


@dataclass(frozen=True, kw_only=True)
class Booth(Multiplier):
    """The exact product by radix-4 Booth recoding of b; any widths, any signs.

    >>> m = Booth(width_a=8, width_b=8, signed_a=True, signed_b=True)
    >>> m.name, m.golden(-128, -128).item()
    ('mul_s8s8_booth', 16384)
    """

    keyword: ClassVar[str] = "booth"
    overestimates: ClassVar[bool] = False

    def _parameters_text(self) -> str:
        return ""

    @classmethod
    def _from_parameters_text(cls, text: str, **operands: Any) -> Self:
        if text:
            raise Refusal(f"booth has no parameters; leave out {text!r}")
        return cls(**operands)

    @property
    def equation(self) -> str:
        return "p = a*b, b in radix-4 digits -2...2"

    def _golden(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
        return a * b

    def heap(self, m: Module, a: Value, b: Value) -> BitHeap:
        heap = BitHeap()
        top = b[-1] if self.signed_b else Const(0, 1)
        # b_(−1) = 0 below; above, copies of the sign bit (or zeros).
        bits = [Const(0, 1), *b, top, top]
        digits = (self.width_b + 1) // 2 if self.signed_b else self.width_b // 2 + 1
        # Each row has room for ±2a: one bit more than a, two if a is unsigned (its negative needs a sign).
        width = self.width_a + (1 if self.signed_a else 2)
        sign = a[-1] if self.signed_a else Const(0, 1)
        once = Cat(a, *([sign] * (width - self.width_a)))
        twice = Cat(Const(0, 1), a, *([sign] * (width - self.width_a - 1)))
        for j in range(digits):
            below, low, high = bits[2 * j : 2 * j + 3]
            negative = Signal(name=f"neg_{j}")
            one = Signal(name=f"one_{j}")
            two = Signal(name=f"two_{j}")
            row = Signal(width, name=f"row_{j}")
            m.d.comb += [
                negative.eq(high & ~(low & below)),
                one.eq(low ^ below),
                two.eq((high & ~low & ~below) | (~high & low & below)),
                row.eq(((once & one.replicate(width)) | (twice & two.replicate(width))) ^ negative.replicate(width)),
            ]
            heap.add_value(row.as_signed(), 2 * j)
            heap.add_bit(negative, 2 * j)
        return heap
