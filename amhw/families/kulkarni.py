"""The underdesigned multiplier: 2 × 2 blocks that say 3·3 = 7, composed.

A 2 × 2 block whose product of 3 and 3 is 7 (111b) instead of 9 (1001b) needs no fourth output bit and about
half the gates; its other 15 products are exact. Wider operands are cut into digits of two bits, every pair
of digits is multiplied by such a block, and the products are added exactly:

    p = Σ_(d, e) block(a_d, b_e)·4^(d+e) = a·b − 2·T(a)·T(b),     T(x) = Σ over digits x_d = 3 of 4^d

            b_1b_0                 a_1a_0·b_1b_0
            × a_1a_0                p_2 = a_1·b_1
            ------------            p_1 = a_1·b_0 + a_0·b_1  (OR)
              p_2 p_1 p_0           p_0 = a_0·b_0

The product is never too large, and at most 2/9 (22.2 %) too small.

Source: Kulkarni, Gupta, Ercegovac, "Trading accuracy for power with an underdesigned multiplier
architecture", VLSI Design 2011.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from amaranth.hdl import Cat, Const, Module, Signal, Value
from numpy.typing import NDArray

from amhw.bitheap import BitHeap
from amhw.families.unsigned import refuse_signs
from amhw.multiplier import Multiplier
from amhw.refusal import Refusal


@dataclass(frozen=True, kw_only=True)
class Kulkarni(Multiplier):
    """An unsigned multiplier of underdesigned 2 × 2 blocks; an odd width has a last digit of one bit.

    >>> m = Kulkarni(width_a=8, width_b=8)
    >>> m.name, m.golden([2, 3, 255], [3, 3, 255]).tolist()
    ('mul_u8u8_kulkarni', [6, 7, 50575])

    Raises:
        Refusal: an operand is signed (wrap it in `SignMagnitude`).
    """

    keyword: ClassVar[str] = "kulkarni"
    overestimates: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_signs(self)

    def _parameters_text(self) -> str:
        return ""

    @classmethod
    def _from_parameters_text(cls, text: str, **operands: Any) -> Self:
        if text:
            raise Refusal(f"kulkarni has no parameters; leave out {text!r}")
        return cls(**operands)

    @property
    def equation(self) -> str:
        return "p = a*b - 2*t(a)*t(b), t(x) = the base-4 digits of x that are 3, each as 1"

    def _golden(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
        return a * b - 2 * _threes(a, self.width_a) * _threes(b, self.width_b)

    def heap(self, m: Module, a: Value, b: Value) -> BitHeap:
        heap = BitHeap()
        for d in range(0, self.width_a, 2):
            for e in range(0, self.width_b, 2):
                a_0, a_1 = _digit(a, d)
                b_0, b_1 = _digit(b, e)
                block = Signal(3, name=f"block_{d // 2}_{e // 2}")
                m.d.comb += block.eq(Cat(a_0 & b_0, (a_1 & b_0) | (a_0 & b_1), a_1 & b_1))
                heap.add_value(block, d + e)
        return heap


def _digit(x: Value, low: int) -> tuple[Value, Value]:
    return x[low], x[low + 1] if low + 1 < len(x) else Const(0, 1)


def _threes(x: NDArray[Any], width: int) -> NDArray[Any]:
    total = np.zeros_like(x)
    for low in range(0, width, 2):
        total += np.where(x // (1 << low) % 4 == 3, 1, 0).astype(x.dtype) * (1 << low)
    return total
