"""How wide an array's sums and operands have to be, read off the product table.

The sum of n products lies in n·low … n·high, where low ≤ 0 ≤ high are the extremes of the table (an idle
element adds 0). Where every product is a multiple of 2^shift, no sum has anything below bit `shift`, and those
bits are not built. Where flipping a bit of an operand never changes a product, that bit is neither stored nor
passed on.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from amhw.refusal import Refusal
from amhw.table import ProductTable, bits_read

SUM_BITS = 32
"""Bits of a sum, two's complement, wherever sums leave an array or go on to the next layer, and of the golden model's
accumulators."""


@dataclass(frozen=True)
class Widths:
    """What a product table asks of registers and wires.

    Attributes:
        low, high: the extremes of one product, 0 included.
        shift: every product is a multiple of 2^shift.
        bits_a, bits_b: the operand bits on which some product depends, ascending.

    >>> from amhw import Masked
    >>> Widths.of(ProductTable.of(Masked.exact(8, 8, signed_b=True))).sum_width(25)
    21
    >>> w = Widths.of(ProductTable.of(Masked.from_text("0,0,0,0,0,0,f0,f0", 8, 8, signed_b=True)))
    >>> w.shift, w.bits_a, w.bits_b, w.sum_width(25)
    (10, (6, 7), (4, 5, 6, 7), 11)
    """

    low: int
    high: int
    shift: int
    bits_a: tuple[int, ...]
    bits_b: tuple[int, ...]

    @classmethod
    def of(cls, table: ProductTable, codes_a: int | None = None) -> Self:
        """The widths for a table of which only the first `codes_a` rows (a power of two; default all) occur.

        Raises:
            Refusal: a product with a zero operand is not 0, on which padding and idle elements rely.
        """
        products = table.products[:codes_a].astype(np.int64)
        if products[0].any() or products[:, 0].any():
            raise Refusal(f"{table.name}: 0·x is not always 0, and idle elements of an array rely on it")
        union = int(np.bitwise_or.reduce(products, axis=None)) & ((1 << 62) - 1)
        if union == 0:
            raise Refusal(f"{table.name}: every product is 0; there is nothing to add up")
        return cls(
            low=int(products.min(initial=0)),
            high=int(products.max(initial=0)),
            shift=(union & -union).bit_length() - 1,
            bits_a=bits_read(products),
            bits_b=bits_read(products.T),
        )

    def sum_range(self, terms: int) -> tuple[int, int]:
        """The extremes of a sum of `terms` products, in units of 2^shift."""
        return terms * self.low >> self.shift, terms * self.high >> self.shift

    @property
    def signed(self) -> bool:
        """Whether a sum can be negative."""
        return self.low < 0

    def sum_width(self, terms: int) -> int:
        """Bits of a sum of `terms` products in units of 2^shift, two's complement where `signed`; 0 for no term."""
        if terms == 0:
            return 0
        return width_of(*self.sum_range(terms))

    def check_sums(self, terms: int, bits: int) -> None:
        """
        Raises:
            Refusal: a sum of `terms` products could leave signed numbers of `bits` bits.
        """
        low, high = self.low * terms, self.high * terms
        if width_of(min(low, -1), high) > bits:
            raise Refusal(f"{terms} products sum up to {low}…{high}; sums have {bits} bits")


def width_of(low: int, high: int) -> int:
    """Bits that hold every integer low…high; two's complement if low < 0.

    >>> width_of(-128, 127), width_of(-129, 0), width_of(0, 255)
    (8, 9, 8)
    """
    if low < 0:
        return max((-low - 1).bit_length(), high.bit_length()) + 1
    return max(1, high.bit_length())
