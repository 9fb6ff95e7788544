"""The OR-compressed multiplier: in chosen columns the partial products are OR-ed, not added.

Partial product a_i·b_j belongs to column k = i + j. Each column is treated in one of three ways: its kept
products are *added* (as in any multiplier), *OR-ed* to one bit of weight 2^k, or *dropped* (masked out):

    p = Σ over adding columns k of 2^k·(P_k − N_k) + Σ over OR columns k of 2^k·(min(P_k, 1) − min(N_k, 1))

where P_k counts the kept products of column k that are 1 and weigh +2^k, and N_k those that weigh −2^k
(exactly one of a_i, b_j is the sign bit of a signed operand). Products of opposite sign are never OR-ed
together: they are two OR gates, so that a column is worth −1, 0 or +1 times 2^k. An OR gate loses carries:
it is exact while at most one of its inputs is 1. No product of zero is 1, so 0·x = 0.

    add   o o o        or   o o o          with signs   - o o
          | | |             \\_|_/                       | \\_|
          three bits         one bit                    −1 bit, +1 bit

A two's-complement operand that is small and negative is a long run of ones, which OR gates count wrongly:
where signed operands are mostly small, ``SignMagnitude(OrCompressed(…unsigned…))`` is the better signed
form.

Sources: OR gates in place of adders: Mahdiani, Ahmadi, Fakhraie, Lucas, "Bio-inspired imprecise computational
blocks for efficient VLSI implementation of soft-computing applications", IEEE TCAS-I 57(4), 2010 (in an
adder); whole columns of a multiplier: Venkatachalam, Ko, "Design of power and area efficient approximate
multipliers", IEEE TVLSI 25(5), 2017 (there for the altered "generate" products), and evolved circuits
without any carry in Mrazek et al., "EvoApprox8b", DATE 2017.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from amaranth.hdl import Cat, Module, Signal, Value
from numpy.typing import NDArray

from amhw.bitheap import BitHeap
from amhw.families.masked import Masked
from amhw.families.on_mask import OnMask
from amhw.refusal import Refusal


@dataclass(frozen=True, kw_only=True)
class OrCompressed(OnMask):
    """A masked multiplier in some columns of which the kept partial products are OR-ed.

    Attributes:
        rows: the mask, as in `OnMask`.
        or_columns: the columns k = i + j whose kept products are OR-ed, ascending. Columns in which there is
            nothing to OR (at most one kept product of each sign) are left out, so that one circuit has one
            name.

    >>> m = OrCompressed.of_columns(range(15), width_a=8, width_b=8)
    >>> m.name
    'mul_u8u8_or_3ffe_full'
    >>> m.golden(3, [1, 2, 3]).tolist(), m.golden(0, 255).item()
    ([3, 6, 7], 0)

    Raises:
        Refusal: the mask is not one (see `Masked`), or a column does not exist.
    """

    or_columns: tuple[int, ...]

    keyword: ClassVar[str] = "or"
    _own_text: ClassVar[str] = "(?P<columns>[0-9a-f]+)"
    _example: ClassVar[str] = "or_3ffe"
    overestimates: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        chosen = {int(k) for k in self.or_columns}
        last = self.width_a + self.width_b - 2
        if outside := sorted(k for k in chosen if not 0 <= k <= last):
            raise Refusal(f"there is no column {outside[0]} to OR; the columns i + j are 0 to {last}")
        merging = sorted(k for k in chosen if any(len(side) > 1 for side in self._column(k)))
        object.__setattr__(self, "or_columns", tuple(merging))

    @classmethod
    def of_columns(
        cls,
        or_columns: Iterable[int],
        rows: Iterable[int] | None = None,
        *,
        width_a: int,
        width_b: int,
        signed_a: bool = False,
        signed_b: bool = False,
    ) -> Self:
        """The multiplier that ORs these columns; it keeps every partial product where no rows are given."""
        if rows is None:
            rows = Masked.exact(width_a, width_b).rows
        return cls(
            rows=tuple(rows),
            or_columns=tuple(or_columns),
            width_a=width_a,
            width_b=width_b,
            signed_a=signed_a,
            signed_b=signed_b,
        )

    @property
    def kept(self) -> int:
        """How many partial products are kept."""
        return sum(row.bit_count() for row in self.rows)

    def _column(self, k: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """The kept products (i, j) of column k: those that weigh +2^k, and those that weigh −2^k."""
        sides: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])
        for i, row in enumerate(self.rows):
            j = k - i
            if 0 <= j < self.width_b and row >> j & 1:
                signs = (self.signed_a and i == self.width_a - 1) + (self.signed_b and j == self.width_b - 1)
                sides[signs == 1].append((i, j))
        return sides

    def _own_parameters_text(self) -> str:
        return f"{sum(1 << k for k in self.or_columns):x}"

    @classmethod
    def _own_parameters(cls, match: re.Match[str]) -> dict[str, Any]:
        bits = int(match["columns"], 16)
        return {"or_columns": tuple(k for k in range(bits.bit_length()) if bits >> k & 1)}

    @property
    def parameters(self) -> dict[str, Any]:
        return super().parameters | {"kept": self.kept}

    @property
    def equation(self) -> str:
        columns = ",".join(map(str, self.or_columns))
        return f"{self.mask.equation}, with OR for + in columns {columns or 'none'}"

    def diagram(self) -> str:
        """The partial products as in `Masked`; the last line marks the columns that are OR-ed."""
        width = self.width_a + self.width_b
        marks = "".join("  |" if k in self.or_columns else "   " for k in reversed(range(width)))
        return self._diagram_with("or", marks)

    def _golden(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
        # Bit i of (a & b reversed and shifted) is the product a_i·b_(k−i): a whole column in one word.
        low_a = (a & ((1 << self.width_a) - 1)).astype(np.int64)
        reversed_b = np.zeros(b.shape, dtype=np.int64)
        for j in range(self.width_b):
            reversed_b |= (b >> j & 1).astype(np.int64) << (self.width_b - 1 - j)
        total = np.zeros(np.broadcast_shapes(a.shape, b.shape), dtype=a.dtype)
        for k in range(self.width_a + self.width_b - 1):
            shift = self.width_b - 1 - k
            ones = reversed_b >> shift if shift >= 0 else reversed_b << -shift
            for weight, products in zip((1, -1), self._column(k), strict=True):
                if products:
                    kept = sum(1 << i for i, _ in products)
                    column = (low_a & kept) & ones
                    count = (column != 0) if k in self.or_columns else np.bitwise_count(column)
                    total += count.astype(a.dtype) * (weight << k)
        return total

    def heap(self, m: Module, a: Value, b: Value) -> BitHeap:
        heap = BitHeap()
        for k in range(self.width_a + self.width_b - 1):
            for negative, products in zip((False, True), self._column(k), strict=True):
                bits = []
                for i, j in products:
                    bit = Signal(name=f"pp_{i}_{j}")
                    m.d.comb += bit.eq(a[i] & b[j])
                    bits.append(bit)
                if bits and k in self.or_columns:
                    merged = Signal(name=f"or_{'n' if negative else 'p'}_{k}")
                    m.d.comb += merged.eq(Cat(*bits).any())
                    bits = [merged]
                for bit in bits:
                    heap.add_bit(bit, k, negative=negative)
        return heap
