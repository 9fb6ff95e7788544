"""The product table: everything that accuracy and error figures need to know about a multiplier.

A table lists the product of every pair of operand codes. One made by a `Multiplier` and one read from a file
are worth the same: what looks at a table never looks at the family behind it.
"""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from amhw.multiplier import Multiplier, operands_text
from amhw.refusal import Refusal

LARGEST = 1 << 24
"""The most products a table may hold (12 × 12 bits, 64 MiB)."""


@dataclass(frozen=True, eq=False)
class ProductTable:
    """The products of all operand codes.

    Attributes:
        products: read-only int32[2^width_a, 2^width_b]; ``products[a, b]`` is the product of the operands with
            codes a and b. The code of a signed operand is its two's complement: −1 has the code 2^width − 1.
        signed_a, signed_b: whether each operand is two's complement.
        name: where the table comes from, for people; identity is `sha256`.

    >>> from amhw import Masked
    >>> table = ProductTable.of(Masked.exact(8, 8, signed_b=True))
    >>> table.products[200, 256 - 3].item()
    -600
    >>> table.factors().u.shape
    (1, 256)

    Raises:
        Refusal: the array is no integer table with power-of-two sides, or its products need more than 32 bits.
    """

    products: NDArray[np.int32]
    signed_a: bool = False
    signed_b: bool = False
    name: str = field(default="table", kw_only=True)

    def __post_init__(self) -> None:
        given = np.asarray(self.products)
        if given.ndim != 2 or any(side < 2 or side & (side - 1) for side in given.shape):
            raise Refusal(f"a product table has 2^m × 2^n entries; this one has the shape {given.shape}")
        if given.size > LARGEST:
            raise Refusal(f"a product table of {given.size} entries is too large; the limit is {LARGEST}")
        if not np.issubdtype(given.dtype, np.integer):
            raise Refusal(f"a product table holds integers; this one holds {given.dtype}")
        limits = np.iinfo(np.int32)
        if given.min() < limits.min or given.max() > limits.max:
            raise Refusal("a product in the table needs more than 32 bits")
        products = np.array(given, dtype=np.int32, order="C")
        products.setflags(write=False)
        object.__setattr__(self, "products", products)

    @classmethod
    def of(cls, multiplier: Multiplier) -> Self:
        """The table of a multiplier.

        Raises:
            Refusal: the multiplier is too wide for a table.
        """
        if multiplier.width_a + multiplier.width_b > LARGEST.bit_length() - 1:
            raise Refusal(
                f"{multiplier.name} has 2^{multiplier.width_a + multiplier.width_b} products; "
                f"a table holds at most {LARGEST}"
            )
        a = code_values(multiplier.width_a, multiplier.signed_a)
        b = code_values(multiplier.width_b, multiplier.signed_b)
        products = multiplier.golden(a[:, None], b[None, :])
        return cls(products, multiplier.signed_a, multiplier.signed_b, name=multiplier.name)

    @property
    def width_a(self) -> int:
        """Bits of operand a."""
        return self.products.shape[0].bit_length() - 1

    @property
    def width_b(self) -> int:
        """Bits of operand b."""
        return self.products.shape[1].bit_length() - 1

    @property
    def operands(self) -> str:
        """The operands' widths and signedness, a first: ``u8s8``."""
        return operands_text(self.width_a, self.width_b, self.signed_a, self.signed_b)

    @property
    def values_a(self) -> NDArray[np.int64]:
        """The value of each code of operand a."""
        return code_values(self.width_a, self.signed_a)

    @property
    def values_b(self) -> NDArray[np.int64]:
        """The value of each code of operand b."""
        return code_values(self.width_b, self.signed_b)

    @cached_property
    def errors(self) -> NDArray[np.int64]:
        """Product minus exact product, for every pair of codes."""
        return self.products - self.values_a[:, None] * self.values_b[None, :]

    @cached_property
    def sha256(self) -> str:
        """The table's identity: a hash of its shape, signedness and products."""
        header = f"{self.products.shape} {self.signed_a:d} {self.signed_b:d}\n"
        return hashlib.sha256(header.encode() + self.products.astype("<i4").tobytes()).hexdigest()

    def factors(self, max_terms: int = 16) -> "Factors | None":
        """The table as a sum of few separable terms, exactly, or None where none of `max_terms` is found.

        T[a, b] = Σ_r u[r, a]·v[r, b] in integers. The v are a basis of the lattice that the table's rows
        span, found by integer elimination; their number is the table's rank, so no exact form has fewer
        terms. A masked multiplier has one term for each distinct non-zero row of its mask at most, because its
        product is linear in the bits of a.
        """
        if max_terms not in self._factors:
            self._factors[max_terms] = self._factorised(max_terms)
        return self._factors[max_terms]

    @cached_property
    def _factors(self) -> "dict[int, Factors | None]":
        """What `factors` has found, by its argument: every layer on this table asks again."""
        return {}

    def _factorised(self, max_terms: int) -> "Factors | None":
        basis = _row_basis(self.products.astype(np.int64), max_terms)
        if basis is None:
            return None
        u, rest = _coordinates(self.products.astype(np.int64), basis)
        assert not rest.any(), "every row is an integer combination of the basis by construction"
        return Factors(
            u, np.array([row for _, row in basis], dtype=np.int64).reshape(len(basis), self.products.shape[1])
        )


@dataclass(frozen=True, eq=False)
class Factors:
    """An exact separable form of a product table.

    Attributes:
        u: int64[R, 2^width_a].
        v: int64[R, 2^width_b].
    """

    u: NDArray[np.int64]
    v: NDArray[np.int64]


def code_values(width: int, signed: bool) -> NDArray[np.int64]:
    """The value of each operand code 0…2^width − 1.

    >>> code_values(3, signed=True).tolist()
    [0, 1, 2, 3, -4, -3, -2, -1]
    """
    codes = np.arange(1 << width, dtype=np.int64)
    return np.where(codes >> (width - 1), codes - (1 << width), codes) if signed else codes


def bits_read(products: NDArray[Any]) -> tuple[int, ...]:
    """The bits of the row index on which some entry of a table depends, ascending.

    >>> bits_read(np.array([[0], [0], [5], [5]]))
    (1,)
    """
    codes = np.arange(len(products))
    width = len(products).bit_length() - 1
    return tuple(k for k in range(width) if (products != products[codes ^ (1 << k)]).any())


_LARGEST_COEFFICIENT = 1 << 30
"""Elimination can make entries grow without end; products of two entries must stay within 64 bits, and beyond
this size the separable form would be of no use anyway."""

_Basis = list[tuple[int, NDArray[np.int64]]]
"""Rows in echelon form, each with the index of its pivot: later rows are zero at earlier pivots."""


def _row_basis(rows: NDArray[np.int64], max_terms: int) -> _Basis | None:
    """A basis of a lattice that holds every row, or None if more than `max_terms` vectors or huge ones are needed.

    Each vector is what earlier ones leave of a row, divided by the greatest common divisor of its entries
    (which only makes the lattice larger). One with an entry ±1 is ready to be the next pivot row; where
    there is none, Euclid's algorithm makes one whose pivot divides all entries of its column.
    """
    basis: _Basis = []
    while True:
        u, rest = _coordinates(rows, basis)
        rest = rest[rest.any(axis=1)]
        if not rest.size:
            return basis
        if len(basis) == max_terms or max(np.abs(u).max(initial=0), np.abs(rest).max()) > _LARGEST_COEFFICIENT:
            return None
        rest = np.unique(rest // np.gcd.reduce(rest, axis=1)[:, None], axis=0)
        units = rest[(np.abs(rest) == 1).any(axis=1)]
        if units.size:
            # Small entries keep the later sums small enough for fast number formats.
            row = units[np.abs(units).max(axis=1).argmin()]
            basis.append((int(np.flatnonzero(np.abs(row) == 1)[0]), row))
        else:
            basis.append(_pivot_by_euclid(rest))


def _pivot_by_euclid(rows: NDArray[np.int64]) -> tuple[int, NDArray[np.int64]]:
    """A vector of the rows' lattice whose entry in some column divides that column, and that column."""
    divisors = np.gcd.reduce(rows, axis=0)
    column = int(np.where(divisors > 0, divisors, np.iinfo(np.int64).max).argmin())
    rows = rows.copy()
    while True:
        rows = rows[rows[:, column] != 0]
        smallest = rows[np.abs(rows[:, column]).argmin()].copy()
        if abs(smallest[column]) == divisors[column]:
            return column, smallest // np.gcd.reduce(smallest)
        rows -= (rows[:, column] // smallest[column])[:, None] * smallest
        rows = np.vstack([rows, smallest])


def _coordinates(rows: NDArray[np.int64], basis: _Basis) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Coefficients and remainder of each row; a pivot divides its column, so each division is exact."""
    rest = rows.copy()
    u = np.zeros((len(basis), rows.shape[0]), dtype=np.int64)
    for r, (pivot, row) in enumerate(basis):
        u[r] = rest[:, pivot] // row[pivot]
        rest -= u[r][:, None] * row[None, :]
    return u, rest
