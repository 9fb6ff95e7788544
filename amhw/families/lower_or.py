"""The lower-part-OR adder as the last adder of a multiplier.

A lower-part-OR adder of x and y ORs the lowest l bits instead of adding them, and adds the rest with one
carry in, the AND of the two top bits of the lower part:

    x ──┬── upper bits ───── + ── sum's upper bits       c = x_(l−1) AND y_(l−1)
    y ──┤                    |
        │   top lower bits ─ & ── c
        └── lower l bits ─── OR ─ sum's lower bits

Here x and y are the exact products of b and the two halves of a: x = (a mod 2^h)·b and y = ⌊a/2^h⌋·b·2^h with
h = ⌊width_a/2⌋, so that the function depends on no choice of reduction tree. Since x OR y = x + y − (x AND
y),

    p = a·b − (x AND y mod 2^l) + 2^l·c

The error is positive or negative, and below 2^(l−1) + 1 in size. Columns below h have only x: they are exact.

It is a family and not one of `amhw.bitheap`'s final adders, because those never change what is computed.

Source: Mahdiani, Ahmadi, Fakhraie, Lucas, "Bio-inspired imprecise computational blocks for efficient VLSI
implementation of soft-computing applications", IEEE TCAS-I 57(4), 2010 (the adder, called LOA there).
"""

import re
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from amaranth.hdl import Module, Signal, Value
from numpy.typing import NDArray

from amhw.bitheap import BitHeap, compress
from amhw.families.unsigned import refuse_bits, refuse_signs
from amhw.multiplier import Multiplier
from amhw.refusal import Refusal


@dataclass(frozen=True, kw_only=True)
class LowerOr(Multiplier):
    """An unsigned multiplier whose last adder ORs its lower bits.

    Attributes:
        lower: l, the bits that are OR-ed; above ⌊width_a/2⌋ (or nothing is approximate) and at most the
        wider width.

    >>> m = LowerOr(lower=8, width_a=8, width_b=8)
    >>> m.name, m.golden([16, 17, 255], 255).tolist()
    ('mul_u8u8_loa_8', [4080, 4351, 65009])

    Raises:
        Refusal: an operand is signed (wrap it in `SignMagnitude`), or `lower` is out of range.
    """

    lower: int

    keyword: ClassVar[str] = "loa"

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_signs(self)
        refuse_bits(self, self.lower, self._half + 1, max(self.width_a, self.width_b), does="ORs")

    @property
    def _half(self) -> int:
        return self.width_a // 2

    def _parameters_text(self) -> str:
        return str(self.lower)

    @classmethod
    def _from_parameters_text(cls, text: str, **operands: Any) -> Self:
        if not re.fullmatch(r"[1-9]\d?", text):
            raise Refusal(f"{text!r} is no number of OR-ed bits; name it loa_8")
        return cls(lower=int(text), **operands)

    @property
    def equation(self) -> str:
        half, top = self._half, self.width_a - 1
        return f"p = a[{half - 1}:0]*b + (a[{top}:{half}]*b<<{half}), the low {self.lower} bits by OR"

    def _golden(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
        low = a % (1 << self._half) * b
        high = a * b - low
        both = (low & high) % (1 << self.lower)
        return a * b - both + np.where(both >= 1 << (self.lower - 1), 1 << self.lower, 0)

    def heap(self, m: Module, a: Value, b: Value) -> BitHeap:
        width = self.width_a + self.width_b
        addends = []
        for name, part, shift in (("low", a[: self._half], 0), ("high", a[self._half :], self._half)):
            addend = Signal(width, name=f"{name}_product")
            exact = BitHeap()
            for i in range(len(part)):
                for j in range(len(b)):
                    exact.add_bit(part[i] & b[j], i + j)
            product = compress(m, exact, len(part) + len(b))
            m.d.comb += addend.eq(product << shift)
            addends.append(addend)
        x, y = addends
        lower = Signal(self.lower, name="lower")
        m.d.comb += lower.eq(x[: self.lower] | y[: self.lower])
        heap = BitHeap()
        heap.add_value(lower)
        heap.add_value(x[self.lower :], self.lower)
        heap.add_value(y[self.lower :], self.lower)
        heap.add_bit(x[self.lower - 1] & y[self.lower - 1], self.lower)
        return heap
