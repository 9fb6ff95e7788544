"""Signed operands for an unsigned table: magnitudes are multiplied, and the product gets its sign.

    p = (−1)^(s_a ⊕ s_b) · min(core(|a|, |b|), 2^(m+n−1) − 1)

where s is the sign bit of a signed operand and 0 for an unsigned one: what `amhw.families.SignMagnitude` does for
multipliers that were made here. The magnitude is held at the largest that m + n bits show with either sign.
"""

import numpy as np

from amhw.multiplier import SIGNEDNESS
from amhw.refusal import Refusal
from amhw.table import ProductTable, code_values


def sign_magnitude(table: ProductTable, signed: str) -> ProductTable:
    """The table with signed operands.

    Args:
        table: of an unsigned multiplier.
        signed: which operands become two's complement: ``a``, ``b`` or ``both``.

    >>> core = ProductTable(np.arange(4)[:, None] * np.arange(4)[None, :])
    >>> sign_magnitude(core, "b").products.tolist()[3]
    [0, 3, -6, -3]

    Raises:
        Refusal: the table is signed already, or has negative products.
    """
    if table.signed_a or table.signed_b or table.products.min() < 0:
        raise Refusal("--sign-magnitude is for unsigned operands and products; these are signed")
    signs = SIGNEDNESS[signed]
    a, b = (code_values(width, sign) for width, sign in zip((table.width_a, table.width_b), signs, strict=True))
    magnitudes = np.minimum(table.products[np.ix_(np.abs(a), np.abs(b))], largest_magnitude(table))
    negative = (a[:, None] < 0) ^ (b[None, :] < 0)
    return ProductTable(np.where(negative, -magnitudes, magnitudes), *signs, name=table.name)


def largest_magnitude(table: ProductTable) -> int:
    """The largest product of magnitudes that width_a + width_b bits can show with either sign."""
    return (1 << (table.width_a + table.width_b - 1)) - 1
