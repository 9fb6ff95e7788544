r"""Multipliers of short segments: DRUM (dynamic segment) and SSM (static segment).

Each operand is replaced by a segment of few bits and a shift, and only the segments are multiplied:

    a ≈ segment_a · 2^shift_a,      p = (segment_a · segment_b) · 2^(shift_a + shift_b)

    x = 0 0 0 1 ? ? ? . . . . .        the leading zeros cost nothing, the last bits are cut off
              \_____/ \_______/
              segment   shift

The product of two approximate operands is one separable term: `ProductTable.factors` has one.

DRUM(k): the segment starts at the operand's leading one and is k bits long; its last bit is set to 1, which
is the mean of the bits cut off to within half a unit, so that the error is all but unbiased. Operands below
2^k are exact. Source: Hashemi, Bahar, Reda, "DRUM: a dynamic range unbiased multiplier for approximate
applications", ICCAD 2015.

SSM(m): the segment is either the low or the high m bits of the operand, the high ones if any bit outside
the low m is 1. Its detector is one OR gate and its shifter one multiplexer, but an operand just above 2^m
keeps few bits. Source: Narayanamoorthy, Moghaddam, Liu, Park, Kim, "Energy-efficient approximate
multiplication for digital signal processing and classification applications", IEEE TVLSI 23(6), 2015.
"""

import re
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data
from numpy.typing import NDArray

from amhw.bitheap import BitHeap, compress
from amhw.families.encoded import EncodedMultiplier, pack
from amhw.families.leading_one import floor_log2, leading_one, position, select
from amhw.families.masked import Masked
from amhw.families.unsigned import refuse_bits, refuse_signs
from amhw.refusal import Refusal


@dataclass(frozen=True, kw_only=True)
class _Segmented(EncodedMultiplier):
    """What the two share: a segment and a shift for each unsigned operand."""

    bits: int

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_signs(self)
        refuse_bits(self, self.bits, *self._bits_range())

    @abstractmethod
    def _bits_range(self) -> tuple[int, int]:
        """The fewest and the most bits that a segment of these operands may have."""

    @abstractmethod
    def _shifts(self, width: int) -> tuple[int, ...]:
        """The shifts that an operand of this width can get, ascending from 0."""

    @abstractmethod
    def _segment(self, m: Module, x: Value, name: str) -> tuple[Value, Value]:
        """The segment, and the index of its shift in `_shifts`."""

    @abstractmethod
    def _operand(self, x: NDArray[Any], width: int) -> NDArray[Any]:
        """What the multiplier takes operand x for."""

    def _parameters_text(self) -> str:
        return str(self.bits)

    @classmethod
    def _from_parameters_text(cls, text: str, **operands: Any) -> Self:
        if not re.fullmatch(r"[1-9]\d?", text):
            raise Refusal(f"{text!r} is no number of bits; name a segment's bits, such as {cls.keyword}_4")
        return cls(bits=int(text), **operands)

    def _golden(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
        return self._operand(a, self.width_a) * self._operand(b, self.width_b)

    @property
    def layout_a(self) -> data.StructLayout:
        return self._layout(self.width_a)

    @property
    def layout_b(self) -> data.StructLayout:
        return self._layout(self.width_b)

    def _layout(self, width: int) -> data.StructLayout:
        members = {"segment": min(self.bits, width)}
        if len(self._shifts(width)) > 1:
            members["shift"] = (len(self._shifts(width)) - 1).bit_length()
        return data.StructLayout(members)

    def encode_a(self, m: Module, a: Value) -> data.View:
        return self._encode(m, a, "a", self.layout_a)

    def encode_b(self, m: Module, b: Value) -> data.View:
        return self._encode(m, b, "b", self.layout_b)

    def _encode(self, m: Module, x: Value, name: str, layout: data.StructLayout) -> data.View:
        if "shift" not in layout.members:
            return pack(m, layout, name, segment=x)
        segment, shift = self._segment(m, x, name)
        return pack(m, layout, name, segment=segment, shift=shift)

    def combine(self, m: Module, a: data.View, b: data.View) -> BitHeap:
        core = Masked.exact(len(a.segment), len(b.segment))
        segments = Signal(len(a.segment) + len(b.segment), name="segments")
        product = Signal(self.width_a + self.width_b, name="product")
        m.d.comb += segments.eq(compress(m, core.heap(m, a.segment, b.segment), len(segments)))
        shifts = [
            (code.shift, width)
            for code, width in ((a, self.width_a), (b, self.width_b))
            if len(self._shifts(width)) > 1
        ]
        m.d.comb += product.eq(self._shifted(segments, shifts))
        heap = BitHeap()
        heap.add_value(product)
        return heap

    @abstractmethod
    def _shifted(self, product: Value, shifts: list[tuple[Value, int]]) -> Value:
        """The product times both operands' powers of two; for each operand that has shifts, its index and width."""


@dataclass(frozen=True, kw_only=True)
class Drum(_Segmented):
    """DRUM(k): unsigned operands cut to k bits from their leading one, the last bit set to 1.

    Attributes:
        bits: k, from 2 to the wider operand's width (an operand not wider than k is exact).

    >>> m = Drum(bits=4, width_a=8, width_b=8)
    >>> m.name, m.golden([7, 200, 255], 100).tolist()
    ('mul_u8u8_drum_4', [728, 21632, 24960])

    7 is exact, 200 = 11001000b is taken for 11010000b = 208, and 100 for 104.

    Raises:
        Refusal: an operand is signed (wrap it in `SignMagnitude`), or k is out of range.
    """

    keyword: ClassVar[str] = "drum"

    def _bits_range(self) -> tuple[int, int]:
        return 2, max(self.width_a, self.width_b)

    @property
    def equation(self) -> str:
        return f"p = d(a)*d(b), d(x) = x<{1 << self.bits} ? x : {self.bits} bits from the leading one, the last set"

    def _operand(self, x: NDArray[Any], width: int) -> NDArray[Any]:
        shift = np.maximum(floor_log2(x) - (self.bits - 1), 0)
        unit = np.left_shift(np.ones_like(x), shift)
        # An odd multiple of the unit: the interval's middle.
        return np.where(shift > 0, x // (2 * unit) * (2 * unit) + unit, x)

    def _shifts(self, width: int) -> tuple[int, ...]:
        return tuple(range(max(0, width - self.bits) + 1))

    def _segment(self, m: Module, x: Value, name: str) -> tuple[Value, Value]:
        lead = leading_one(m, x, name)
        # One-hot over the shifts: no leading one above the segment means shift 0.
        chosen = Cat(~lead[self.bits :].any(), lead[self.bits :])
        segments = [x[: self.bits]]
        segments += [Cat(1, x[s + 1 : s + self.bits]) for s in range(1, len(x) - self.bits + 1)]
        return select(chosen, segments), position(m, chosen, name)

    def _shifted(self, product: Value, shifts: list[tuple[Value, int]]) -> Value:
        return product << sum((shift for shift, _ in shifts), start=Const(0, 1))


@dataclass(frozen=True, kw_only=True)
class StaticSegment(_Segmented):
    """SSM(m): unsigned operands of which the high m bits are taken if any of them matters, else the low m.

    Attributes:
        bits: m, at least half of the wider operand and at most its width.

    >>> m = StaticSegment(bits=5, width_a=8, width_b=8)
    >>> m.name, m.golden([7, 31, 33, 255], 1).tolist()
    ('mul_u8u8_ssm_5', [7, 31, 32, 248])

    Raises:
        Refusal: an operand is signed (wrap it in `SignMagnitude`), or m is out of range.
    """

    keyword: ClassVar[str] = "ssm"
    overestimates: ClassVar[bool] = False

    def _bits_range(self) -> tuple[int, int]:
        return max(2, -(-max(self.width_a, self.width_b) // 2)), max(self.width_a, self.width_b)

    @property
    def equation(self) -> str:
        return f"p = s(a)*s(b), s(x) = x<{1 << self.bits} ? x : the high {self.bits} bits of x"

    def _operand(self, x: NDArray[Any], width: int) -> NDArray[Any]:
        cut = 1 << max(0, width - self.bits)
        return np.where(x < 1 << self.bits, x, x // cut * cut)

    def _shifts(self, width: int) -> tuple[int, ...]:
        return (0, width - self.bits) if width > self.bits else (0,)

    def _segment(self, m: Module, x: Value, name: str) -> tuple[Value, Value]:
        high = x[self.bits :].any()
        return Mux(high, x[len(x) - self.bits :], x[: self.bits]), high

    def _shifted(self, product: Value, shifts: list[tuple[Value, int]]) -> Value:
        for high, width in shifts:
            product = Mux(high, product << (width - self.bits), product)
        return product
