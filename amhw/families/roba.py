"""RoBA: the rounding-based multiplier.

With each operand rounded to the nearest power of two, A to A' and B to B',

    A·B = A'·B + B'·A − A'·B' + (A' − A)·(B' − B) ≈ A'·B + B'·A − A'·B'

leaves three products by powers of two, which are shifts. The error −(A' − A)·(B' − B) has the sign of neither
operand in particular and is at most 1/9 of the product (11.1 %).

    a ──┬── round ── A' ─┐
        │                ├─ b << A', a << B', 1 << A'B' ── add, add, subtract ── p
    b ──┴── round ── B' ─┘

3·2^k lies midway between two powers of two and is rounded up, which costs less hardware; 3 itself is
rounded down. 0 stays 0.

Signed operands: `SignMagnitude` (true negation is the published S-RoBA, ones' complement AS-RoBA).

Source: Zendegani, Kamal, Bahadori, Afzali-Kusha, Pedram, "RoBA multiplier: a rounding-based approximate
multiplier for high-speed yet energy-efficient digital signal processing", IEEE TVLSI 25(2), 2017.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import data
from numpy.typing import NDArray

from amhw.bitheap import BitHeap
from amhw.families.encoded import EncodedMultiplier, pack
from amhw.families.leading_one import floor_log2, select
from amhw.families.unsigned import refuse_signs
from amhw.refusal import Refusal


@dataclass(frozen=True, kw_only=True)
class Roba(EncodedMultiplier):
    """RoBA: unsigned operands multiplied through the powers of two nearest to them.

    >>> m = Roba(width_a=8, width_b=8)
    >>> m.name, m.golden([0, 3, 6, 255], [255, 3, 7, 255]).tolist()
    ('mul_u8u8_roba', [0, 8, 40, 65024])

    Raises:
        Refusal: an operand is signed (wrap it in `SignMagnitude`).
    """

    keyword: ClassVar[str] = "roba"

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_signs(self)

    def _parameters_text(self) -> str:
        return ""

    @classmethod
    def _from_parameters_text(cls, text: str, **operands: Any) -> Self:
        if text:
            raise Refusal(f"roba has no parameters; leave out {text!r}")
        return cls(**operands)

    @property
    def equation(self) -> str:
        return "p = r(a)*b + a*r(b) - r(a)*r(b), r(x) the nearest power of two"

    def _golden(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
        rounded_a, rounded_b = _nearest_power(a), _nearest_power(b)
        return a * b - (rounded_a - a) * (rounded_b - b)

    @property
    def layout_a(self) -> data.StructLayout:
        return data.StructLayout({"operand": self.width_a, "rounded": self.width_a + 1})

    @property
    def layout_b(self) -> data.StructLayout:
        return data.StructLayout({"operand": self.width_b, "rounded": self.width_b + 1})

    def encode_a(self, m: Module, a: Value) -> data.View:
        return self._encode(m, a, "a", self.layout_a)

    def encode_b(self, m: Module, b: Value) -> data.View:
        return self._encode(m, b, "b", self.layout_b)

    def _encode(self, m: Module, x: Value, name: str, layout: data.StructLayout) -> data.View:
        rounded = []
        width = len(x)
        padded = Cat(Const(0, 2), x, Const(0, 1))  # x_k is padded[k + 2]; x_(−1) = x_(−2) = x_width = 0
        for k in range(width + 1):
            x_k, x_1, x_2 = padded[k + 2], padded[k + 1], padded[k]
            none_above = ~x[k + 1 :].any() if k + 1 < width else Const(1, 1)
            stays = x_k & ~x_1
            raised = ~x_k & x_1 & x_2 if k != 2 else Const(0, 1)
            if k == 1:
                stays = x_k  # 3 is rounded down like 2
            rounded.append((stays | raised) & none_above)
        return pack(m, layout, name, operand=x, rounded=Cat(*rounded))

    def combine(self, m: Module, a: data.View, b: data.View) -> BitHeap:
        heap = BitHeap()
        for name, one_hot, factor in (("a", a.rounded, b.operand), ("b", b.rounded, a.operand)):
            shifted = Signal(len(one_hot) + len(factor), name=f"by_{name}")
            m.d.comb += shifted.eq(select(one_hot, [Cat(Const(0, k), factor) for k in range(len(one_hot))]))
            heap.add_value(shifted)
        both = Signal(len(a.rounded) + len(b.rounded) - 1, name="by_both")
        m.d.comb += both.eq(select(a.rounded, [Cat(Const(0, k), b.rounded) for k in range(len(a.rounded))]))
        for k in range(len(both)):
            heap.add_bit(both[k], k, negative=True)
        return heap


def _nearest_power(x: NDArray[Any]) -> NDArray[Any]:
    power = np.left_shift(np.ones_like(x), floor_log2(x))
    # From 3/2 of the power upwards the next one is as near or nearer; 3 is the published exception.
    up = (2 * x >= 3 * power) & (x != 3) & (x != 1)
    return np.where(x == 0, 0, np.where(up, 2 * power, power))
