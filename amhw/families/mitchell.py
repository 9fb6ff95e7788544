"""Mitchell's logarithmic multiplier and its truncated form, Mitch-w.

A number x = 2^k·(1 + f), 0 ≤ f < 1, has log2 x = k + log2(1 + f) ≈ k + f, and k + f can be read off its
bits: k is the position of the leading one, f are the bits after it. Adding two such logarithms and reading
the sum back as a number gives

    p = ⌊2^(ka+kb)·(1 + fa + fb)⌋        if fa + fb < 1,
    p = ⌊2^(ka+kb+1)·(fa + fb)⌋          otherwise.

    a ── leading one ── k.ffff ──┐
                                 + ── k.ffff ── 1.ffff << k ── p
    b ── leading one ── k.ffff ──┘

The product is never too large, and at most 1/9 (11.1 %) too small. Mitch-w keeps w significant bits of each
operand (the leading one and w − 1 bits of f); the *unbias* bit sets the last of these bits of f to 1, the
middle of what was cut off. With w as wide as the operands nothing is cut off. Zero has no logarithm: the
product is forced to 0.

Signed operands: `SignMagnitude`, with true negation or, as Mitch-w was published, ``negation="ones"``.

Sources: Mitchell, "Computer multiplication and division using binary logarithms", IRE Trans. EC-11(4),
1962; Kim, Del Barrio, Oliveira, Hermida, Bagherzadeh, "Efficient Mitchell's approximate log multipliers for
convolutional neural networks", IEEE Transactions on Computers 68(5), 2019 (w as there; the published
Verilog's K is w − 1).
"""

import re
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data
from numpy.typing import NDArray

from amhw.bitheap import BitHeap
from amhw.families.encoded import EncodedMultiplier, pack
from amhw.families.leading_one import floor_log2, leading_one, position, select
from amhw.families.unsigned import refuse_bits, refuse_signs
from amhw.refusal import Refusal


@dataclass(frozen=True, kw_only=True)
class Mitchell(EncodedMultiplier):
    """Mitch-w: unsigned operands multiplied by adding approximate logarithms.

    Attributes:
        bits: w, the significant bits kept of each operand, 2 to the wider operand's width.
        unbias: whether the last kept bit is always 1.

    >>> m = Mitchell(bits=8, width_a=8, width_b=8)
    >>> m.name, m.golden([0, 3, 8, 255], [255, 3, 8, 255]).tolist()
    ('mul_u8u8_mitchell_8', [0, 8, 64, 65024])

    Raises:
        Refusal: an operand is signed (wrap it in `SignMagnitude`), or w is out of range.
    """

    bits: int
    unbias: bool = False

    keyword: ClassVar[str] = "mitchell"

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_signs(self)
        refuse_bits(self, self.bits, 2, max(self.width_a, self.width_b))

    @property
    def fraction(self) -> int:
        """Bits of f: w − 1."""
        return self.bits - 1

    def _parameters_text(self) -> str:
        return f"{self.bits}{'_unbiased' if self.unbias else ''}"

    @classmethod
    def _from_parameters_text(cls, text: str, **operands: Any) -> Self:
        match = re.fullmatch(r"([1-9]\d?)(_unbiased)?", text)
        if match is None:
            raise Refusal(f"{text!r} names no Mitchell multiplier; write its w, and _unbiased: mitchell_6_unbiased")
        return cls(bits=int(match[1]), unbias=match[2] is not None, **operands)

    @property
    def equation(self) -> str:
        unbias = ", its last bit set" if self.unbias else ""
        return f"p = antilog(log(a)+log(b)), log(2^k(1+f)) = k+f, f to {self.fraction} bits{unbias}"

    def _golden(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
        one = 1 << self.fraction  # f in units of 1/one
        exponent_a, exponent_b = floor_log2(a), floor_log2(b)
        total = self._fraction_of(a, exponent_a) + self._fraction_of(b, exponent_b)
        significand = np.where(total < one, one + total, 2 * total)
        product = np.left_shift(significand, exponent_a + exponent_b) // one
        return np.where((a == 0) | (b == 0), 0, product)

    def _fraction_of(self, x: NDArray[Any], exponent: NDArray[Any]) -> NDArray[Any]:
        power = np.left_shift(np.ones_like(x), exponent)
        fraction = (np.maximum(x, 1) - power) * (1 << self.fraction) // power
        return fraction // 2 * 2 + 1 if self.unbias else fraction

    @property
    def layout_a(self) -> data.StructLayout:
        return self._layout(self.width_a)

    @property
    def layout_b(self) -> data.StructLayout:
        return self._layout(self.width_b)

    def _layout(self, width: int) -> data.StructLayout:
        # The logarithm of 1 is 0, so a code needs one more bit to tell 0 from 1.
        stored = self.fraction - 1 if self.unbias else self.fraction
        return data.StructLayout({"fraction": stored, "exponent": (width - 1).bit_length(), "nonzero": 1})

    def encode_a(self, m: Module, a: Value) -> data.View:
        return self._encode(m, a, "a", self.layout_a)

    def encode_b(self, m: Module, b: Value) -> data.View:
        return self._encode(m, b, "b", self.layout_b)

    def _encode(self, m: Module, x: Value, name: str, layout: data.StructLayout) -> data.View:
        lead = leading_one(m, x, name)
        # For each place of the leading one, the bits after it with the first one on top.
        below = []
        for k in range(len(x)):
            bits = list(x[:k])[::-1][: self.fraction]
            bits += [Const(0, 1)] * (self.fraction - len(bits))
            below.append(Cat(*bits[::-1]))
        fraction = select(lead, below)
        return pack(
            m,
            layout,
            name,
            fraction=fraction[1:] if self.unbias else fraction,
            exponent=position(m, lead, name),
            nonzero=x.any(),
        )

    def combine(self, m: Module, a: data.View, b: data.View) -> BitHeap:
        width = self.width_a + self.width_b
        log_a, log_b = (Cat(*([Const(1, 1)] if self.unbias else []), code.fraction, code.exponent) for code in (a, b))
        total = Signal(max(len(log_a), len(log_b)) + 1, name="log_p")
        m.d.comb += total.eq(log_a + log_b)
        significand = Cat(total[: self.fraction], Const(1, 1))
        # The significand has its binary point after its top bit; what a small product shifts out is lost.
        shifted = Signal(width + self.fraction, name="antilog")
        m.d.comb += shifted.eq(significand << total[self.fraction :])
        product = Signal(width, name="product")
        m.d.comb += product.eq(Mux(a.nonzero & b.nonzero, shifted[self.fraction :], 0))
        heap = BitHeap()
        heap.add_value(product)
        return heap
