"""A product table as a short sum of separable terms, for statistics and for choosing weight codes."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from amhw.table import ProductTable, bits_read

MAX_TERMS = 4
"""More terms make the moment matrices large, and what a fifth one adds to real multipliers is small."""

_NEGLIGIBLE = 1e-3
_DIGITS = 9


@dataclass(frozen=True, eq=False)
class Terms:
    """T[a, w] ≈ Σ_r u[a, r]·v[d, r] where w is any code of the distinct table column d.

    Exact where the table has an exact form of at most `MAX_TERMS` terms (every masked multiplier with so few
    different rows has); otherwise the leading terms of a singular value decomposition, the closest form of so few
    terms. It decides which weight codes are chosen and nothing else: accuracies are always those of the table.

    Attributes:
        u: float32[codes of a, R], each term scaled to at most 1.
        v: float64[D, R], one row for each distinct column.
        codes: int64[D], the smallest code with that column.
        exact: whether the sum is the table.
    """

    u: NDArray[np.float32]
    v: NDArray[np.float64]
    codes: NDArray[np.int64]
    exact: bool

    @classmethod
    def of(cls, table: ProductTable) -> Self:
        """The terms of a table.

        >>> from amhw import Masked
        >>> terms = Terms.of(ProductTable.of(Masked.from_text("0,0,0,0,0,0,c0,c0", 8, 8, signed_b=True)))
        >>> terms.u.shape, terms.v[:, 0].tolist(), terms.codes.tolist()
        ((256, 1), [0.0, 12288.0, -24576.0, -12288.0], [0, 64, 128, 192])
        """
        codes = np.unique(table.products, axis=1, return_index=True)[1]
        codes.sort()
        factors = table.factors(MAX_TERMS)
        if factors is not None:
            u, v = factors.u.T.astype(np.float64), factors.v.T[codes].astype(np.float64)
        else:
            left, singular, right = np.linalg.svd(table.products[:, codes].astype(np.float64), full_matrices=False)
            count = min(MAX_TERMS, int((singular > _NEGLIGIBLE * singular[0]).sum()))
            u, v = left[:, :count] * singular[:count], np.round(right[:count].T, _DIGITS)
        if not u.shape[1]:
            u, v = np.zeros((len(u), 1)), np.zeros((len(codes), 1))
        scale = np.abs(u).max(axis=0)
        scale[scale == 0] = 1
        return cls((u / scale).astype(np.float32), v * scale, codes, factors is not None)

    @property
    def count(self) -> int:
        """R, the number of terms."""
        return int(self.u.shape[1])


def half_step(table: ProductTable) -> int:
    """The constant that makes a multiplier which reads only the upper bits of `a` round instead of truncate.

    >>> from amhw import Masked
    >>> half_step(ProductTable.of(Masked.from_text("0,0,0,0,0,0,c0,c0", 8, 8, signed_b=True)))
    32
    """
    read = bits_read(table.products)
    unread = min(read[0] if read else table.width_a, table.width_a - 1)
    return (1 << unread) >> 1
