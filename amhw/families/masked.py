"""The masked multiplier: each partial product a_i·b_j is kept or dropped.

    p = Σ over kept (i, j) of w_a(i)·w_b(j)·a_i·b_j

where w(i) = 2^i, except that the top bit of a signed operand weighs −2^(n−1). A kept product contributes its
exact two's-complement weight; a dropped one contributes 0. With every product kept the multiplier is exact.
Truncation, row perforation and broken arrays without compensation are all masks.

Keeping single partial products, chosen by the operands that the multiplier meets, follows the case study of
approximate multipliers in the convolution layers of an MNIST network that this project descends from.
"""

import base64
import re
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from amaranth.hdl import Module, Signal, Value
from numpy.typing import NDArray

from amhw.bitheap import BitHeap
from amhw.files import read_whole
from amhw.multiplier import MAX_WIDTH, MIN_WIDTH, Multiplier
from amhw.refusal import Refusal

_LONGEST_PLAIN_NAME = 150
"""Characters of hex rows beyond which a name is packed, so that it stays a legal file name."""


@dataclass(frozen=True, kw_only=True)
class Masked(Multiplier):
    """A multiplier of which only some partial products are built.

    Attributes:
        rows: one mask for each bit of a, from a_0 up; bit j of ``rows[i]`` set keeps a_i·b_j.

    >>> m = Masked(rows=(0, 0, 0, 0, 0, 0xC0, 0xE0, 0xE0), width_a=8, width_b=8, signed_b=True)
    >>> m.name, m.kept
    ('mul_u8s8_pp_0_0_0_0_0_c0_e0_e0', 8)
    >>> m.golden(255, -128).item(), m.golden(255, 127).item()
    (-28672, 20480)
    >>> print(m.diagram())
    p   15 14 13 12 11 10  9  8  7  6  5  4  3  2  1  0
    a_0                          .  .  .  .  .  .  .  .
    a_1                       .  .  .  .  .  .  .  .
    a_2                    .  .  .  .  .  .  .  .
    a_3                 .  .  .  .  .  .  .  .
    a_4              .  .  .  .  .  .  .  .
    a_5           -  o  .  .  .  .  .  .
    a_6        -  o  o  .  .  .  .  .
    a_7     -  o  o  .  .  .  .  .
    <BLANKLINE>

    Raises:
        Refusal: the number of rows is not width_a, a row has bits beyond width_b, or nothing is kept.
    """

    rows: tuple[int, ...]

    keyword: ClassVar[str] = "pp"
    overestimates: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "rows", tuple(int(row) for row in self.rows))
        if len(self.rows) != self.width_a:
            raise Refusal(f"the mask has {len(self.rows)} rows; a has {self.width_a} bits and needs as many")
        full = (1 << self.width_b) - 1
        for i, row in enumerate(self.rows):
            if not 0 <= row <= full:
                raise Refusal(f"mask row a_{i} is {row:x}; b has {self.width_b} bits, so at most {full:x}")
        if not any(self.rows):
            raise Refusal("the mask keeps no partial product; keep at least one")

    @classmethod
    def exact(cls, width_a: int, width_b: int, *, signed_a: bool = False, signed_b: bool = False) -> Self:
        """The multiplier that keeps every partial product.

        >>> Masked.exact(8, 8, signed_b=True).name
        'mul_u8s8_pp_full'
        """
        full = (1 << width_b) - 1 if 0 <= width_b <= MAX_WIDTH else 0
        rows = (full,) * max(0, min(width_a, MAX_WIDTH + 1))
        return cls(rows=rows, width_a=width_a, width_b=width_b, signed_a=signed_a, signed_b=signed_b)

    @classmethod
    def columns(
        cls, at_least: int, width_a: int, width_b: int, *, signed_a: bool = False, signed_b: bool = False
    ) -> Self:
        """The multiplier that keeps the partial products of columns i + j ≥ `at_least` (plain truncation).

        >>> Masked.columns(13, 8, 8).rows
        (0, 0, 0, 0, 0, 0, 128, 192)
        """
        full = (1 << width_b) - 1
        rows = tuple(full & -(1 << max(0, at_least - i)) for i in range(width_a))
        return cls(rows=rows, width_a=width_a, width_b=width_b, signed_a=signed_a, signed_b=signed_b)

    @classmethod
    def from_text(
        cls, text: str, width_a: int, width_b: int, *, signed_a: bool = False, signed_b: bool = False
    ) -> Self:
        """Read a mask as people write it.

        Args:
            text: one of

                - ``0,0,0,0,0,c0,e0,e0``: a hex row for each bit of a, from a_0 up;
                - ``0x…``: one hex number, bit i·width_b + j keeps a_i·b_j;
                - ``full``; ``columns>=K`` (keep i + j ≥ K); ``@FILE`` (a file that holds any of these).

        Raises:
            Refusal: the text is none of these, or does not fit the widths.
        """
        for operand, width in (("a", width_a), ("b", width_b)):
            if not MIN_WIDTH <= width <= MAX_WIDTH:
                raise Refusal(f"width of {operand} is {width}; choose {MIN_WIDTH} to {MAX_WIDTH} bits")
        text = text.strip()
        operands: dict[str, Any] = {
            "width_a": width_a, "width_b": width_b, "signed_a": signed_a, "signed_b": signed_b
        }  # fmt: skip
        if text.startswith("@"):
            try:
                content = read_whole(text[1:]).decode("utf-8-sig").strip()
            except UnicodeDecodeError:
                raise Refusal(f"{text[1:]} is no text file; a mask file holds hex rows") from None
            if content.startswith("@"):
                raise Refusal(f"{text[1:]} names another file; a mask file holds the mask itself")
            return cls.from_text(re.sub(r"[\s,]+", ",", content), **operands)
        if text == "full":
            return cls.exact(width_a, width_b, signed_a=signed_a, signed_b=signed_b)
        if match := re.fullmatch(r"columns\s*>=\s*(\d{1,3})", text):
            return cls.columns(int(match[1]), **operands)
        if re.fullmatch(r"0[xX][0-9a-fA-F]+", text):
            bits = int(text, 16)
            if bits >> (width_a * width_b):
                raise Refusal(f"mask {text} has more than {width_a}·{width_b} = {width_a * width_b} bits")
            full = (1 << width_b) - 1
            return cls(rows=tuple(bits >> (i * width_b) & full for i in range(width_a)), **operands)
        rows = [row.strip() for row in text.split(",")]
        if not all(re.fullmatch(r"(0[xX])?[0-9a-fA-F]+", row) for row in rows):
            raise Refusal(
                f"mask {text!r} is none of: {width_a} hex rows from a_0 up separated by commas, "
                "one 0x… number, full, columns>=K, @FILE"
            )
        return cls(rows=tuple(int(row, 16) for row in rows), **operands)

    @property
    def kept(self) -> int:
        """How many partial products are kept."""
        return sum(row.bit_count() for row in self.rows)

    @property
    def is_exact(self) -> bool:
        """Whether every partial product is kept."""
        return self.kept == self.width_a * self.width_b

    def _parameters_text(self) -> str:
        if self.is_exact:
            return "full"
        plain = "_".join(f"{row:x}" for row in self.rows)
        if len(plain) <= _LONGEST_PLAIN_NAME:
            return plain
        return "packed_" + _pack(self.rows, self.width_b)

    @classmethod
    def _from_parameters_text(cls, text: str, **operands: Any) -> Self:
        if text == "full":
            return cls.exact(**operands)
        if text.startswith("packed_"):
            return cls(rows=_unpack(text.removeprefix("packed_"), operands["width_a"], operands["width_b"]), **operands)
        if not re.fullmatch(r"[0-9a-f]+(_[0-9a-f]+)*", text):
            raise Refusal(f"{text!r} holds no mask; name it by hex rows from a_0 up, such as 0_0_0_0_0_c0_e0_e0")
        return cls(rows=tuple(int(row, 16) for row in text.split("_")), **operands)

    @property
    def parameters(self) -> dict[str, Any]:
        return super().parameters | {"rows": [f"{row:x}" for row in self.rows], "kept": self.kept}

    @property
    def equation(self) -> str:
        if self.is_exact:
            return "p = a*b"
        terms = []
        for row in sorted(set(self.rows) - {0}):
            bits_a = sum(1 << i for i, other in enumerate(self.rows) if other == row)
            terms.append(
                f"{_selected('a', bits_a, self.width_a, self.signed_a)}"
                f"*{_selected('b', row, self.width_b, self.signed_b)}"
            )
        return "p = " + " + ".join(terms)

    def diagram(self) -> str:
        """The partial products: o is kept, - is kept with negative weight, . is dropped."""
        width = self.width_a + self.width_b
        label = len(f"a_{self.width_a - 1}")
        lines = ["p".ljust(label) + "".join(f"{k:3}" for k in reversed(range(width)))]
        for i, row in enumerate(self.rows):
            cells = []
            for j in reversed(range(self.width_b)):
                negative = self.is_negative(i, j)
                cells.append("  " + (("-" if negative else "o") if row >> j & 1 else "."))
            lines.append((f"a_{i}".ljust(label) + "   " * (self.width_a - i) + "".join(cells)).rstrip())
        return "\n".join(lines) + "\n"

    def is_negative(self, i: int, j: int) -> bool:
        """Whether a_i·b_j weighs −2^(i+j): exactly one of the two is a sign bit."""
        return (self.signed_a and i == self.width_a - 1) != (self.signed_b and j == self.width_b - 1)

    def _golden(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
        # Rows with the same mask share one exact multiplication: (those bits of a)·(those bits of b).
        total = np.zeros(np.broadcast_shapes(a.shape, b.shape), dtype=a.dtype)
        for row in set(self.rows) - {0}:
            bits_a = sum(1 << i for i, other in enumerate(self.rows) if other == row)
            total += (a & _value_mask(bits_a, self.width_a, self.signed_a)) * (
                b & _value_mask(row, self.width_b, self.signed_b)
            )
        return total

    def heap(self, m: Module, a: Value, b: Value) -> BitHeap:
        heap = BitHeap()
        for i, row in enumerate(self.rows):
            for j in range(self.width_b):
                if row >> j & 1:
                    bit = Signal(name=f"pp_{i}_{j}")
                    m.d.comb += bit.eq(a[i] & b[j])
                    heap.add_bit(bit, i + j, negative=self.is_negative(i, j))
        return heap


def _value_mask(bits: int, width: int, signed: bool) -> int:
    """The integer m for which ``value & m`` keeps the chosen bits of a two's-complement value.

    Where the sign bit is chosen, all the copies of it above must be kept too.
    """
    return bits - (1 << width) if signed and bits >> (width - 1) else bits


def _selected(operand: str, bits: int, width: int, signed: bool) -> str:
    """The chosen bits of an operand as people write them; ``a[7:5]<<5`` for a run, otherwise a bit-and."""
    if bits == (1 << width) - 1:
        return operand
    low = (bits & -bits).bit_length() - 1
    high = bits.bit_length() - 1
    sign = "signed " if signed and high == width - 1 else ""
    if bits >> low == (1 << (high - low + 1)) - 1:
        field = f"{operand}[{high}]" if high == low else f"{operand}[{high}:{low}]"
        return f"({sign}{field}<<{low})" if low else f"({sign}{field})"
    return f"({sign}{operand}&{bits:x}h)"


def _pack(rows: tuple[int, ...], width_b: int) -> str:
    """All rows in base 32, lower case, so that even a 32 × 32 mask fits a file name."""
    bits = sum(row << (i * width_b) for i, row in enumerate(rows))
    size = (len(rows) * width_b + 7) // 8
    return base64.b32encode(bits.to_bytes(size, "little")).decode().rstrip("=").lower()


def _unpack(text: str, width_a: int, width_b: int) -> tuple[int, ...]:
    padded = text.upper() + "=" * (-len(text) % 8)
    try:
        bits = int.from_bytes(base64.b32decode(padded), "little")
    except ValueError:
        raise Refusal(f"{text!r} is no packed mask; take the name as amhw printed it") from None
    full = (1 << width_b) - 1
    return tuple(bits >> (i * width_b) & full for i in range(width_a))
