"""The multipliers that are searched: which partial products are kept, and which columns are OR-ed instead of added.

A point of the space is a vector of wa·wb + (wa + wb − 1) bits: keep partial product (i, j) at index i·wb + j, then OR
column k. With no column to OR it is a `Masked` multiplier, otherwise an `OrCompressed` one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from amhw.families.masked import Masked
from amhw.families.or_compressed import OrCompressed
from amhw.multiplier import parse
from amhw.network.quantised import Operands
from amhw.refusal import Refusal

Candidate = Masked | OrCompressed


def candidate_named(name: str) -> Candidate:
    """The multiplier of the space that has this name."""
    multiplier = parse(name)
    assert isinstance(multiplier, Candidate)
    return multiplier


@dataclass(frozen=True)
class Space:
    """The multipliers for some operands: activation a, signed weight b."""

    operands: Operands = Operands()  # noqa: RUF009 (frozen)

    @property
    def width_a(self) -> int:
        return self.operands.activation_width

    @property
    def width_b(self) -> int:
        return self.operands.weight_width

    @property
    def size(self) -> int:
        """Bits of a point."""
        return self.width_a * self.width_b + self.width_a + self.width_b - 1

    def check_kept(self, kept: int) -> None:
        """
        Raises:
            Refusal: no multiplier keeps so many partial products.
        """
        products = self.width_a * self.width_b
        if not 1 <= kept <= products:
            nearest = min(max(kept, 1), products)
            raise Refusal(f"cannot keep {kept} of {products} partial products; the nearest possible is {nearest}")

    def keeps_something(self, point: NDArray[np.bool_]) -> bool:
        """Whether there is a multiplier at a point: at least one partial product is kept."""
        return bool(point[: self.width_a * self.width_b].any())

    def multiplier(self, point: NDArray[np.bool_]) -> Candidate:
        """The multiplier at a point.

        Raises:
            Refusal: nothing is kept.
        """
        products = self.width_a * self.width_b
        keep = point[:products].reshape(self.width_a, self.width_b)
        rows = tuple(int((row << np.arange(self.width_b)).sum()) for row in keep.astype(np.int64))
        return self.of_rows(rows, tuple(np.flatnonzero(point[products:]).tolist()))

    def of_rows(self, rows: tuple[int, ...], or_columns: tuple[int, ...] = ()) -> Candidate:
        """The multiplier with these rows, OR-ing these columns as far as there is anything to OR."""
        mask = Masked(
            rows=rows,
            width_a=self.width_a,
            width_b=self.width_b,
            signed_a=self.operands.activation_signed,
            signed_b=True,
        )
        if not or_columns:
            return mask
        merged = OrCompressed(
            rows=rows,
            or_columns=or_columns,
            width_a=self.width_a,
            width_b=self.width_b,
            signed_a=self.operands.activation_signed,
            signed_b=True,
        )
        return merged if merged.or_columns else mask

    def without(self, dropped: NDArray[np.bool_]) -> Masked:
        """The mask that drops these products, bool[wa·wb].

        Raises:
            Refusal: nothing is kept.
        """
        none = np.zeros(self.size - dropped.size, dtype=bool)
        mask = self.multiplier(np.concatenate([~dropped, none]))
        assert isinstance(mask, Masked), "no column is OR-ed"
        return mask

    def point(self, multiplier: Candidate) -> NDArray[np.bool_]:
        """The point of a multiplier."""
        keep = np.array([[row >> j & 1 for j in range(self.width_b)] for row in multiplier.rows], dtype=bool)
        columns = np.zeros(self.width_a + self.width_b - 1, dtype=bool)
        if isinstance(multiplier, OrCompressed):
            columns[list(multiplier.or_columns)] = True
        return np.concatenate([keep.ravel(), columns])

    def exact(self) -> Masked:
        """The exact multiplier."""
        return Masked.exact(self.width_a, self.width_b, signed_a=self.operands.activation_signed, signed_b=True)

    def reduced_precision(self, bits_a: int, bits_b: int) -> Masked:
        """The exact multiplier of the top `bits_a` bits of a and the top `bits_b` bits of b.

        >>> Space().reduced_precision(2, 3).rows
        (0, 0, 0, 0, 0, 0, 224, 224)
        """
        row = (1 << self.width_b) - (1 << (self.width_b - bits_b))
        rows = (0,) * (self.width_a - bits_a) + (row,) * bits_a
        return Masked(
            rows=rows,
            width_a=self.width_a,
            width_b=self.width_b,
            signed_a=self.operands.activation_signed,
            signed_b=True,
        )

    def precisions(self) -> Iterator[tuple[int, int, Masked]]:
        """Every reduced precision."""
        for bits_a in range(1, self.width_a + 1):
            for bits_b in range(1, self.width_b + 1):
                yield bits_a, bits_b, self.reduced_precision(bits_a, bits_b)

    def without_adder(self, columns: int = 6) -> Iterator[Masked]:
        """Every mask with at most one product in each of the topmost columns, the sign among them: nothing is added."""
        places = []
        for below in range(columns):
            column = self.width_a + self.width_b - 2 - below
            # Another product with the sign would need an adder.
            ways = [(i, column - i) for i in range(self.width_a) if 0 <= column - i < self.width_b - (below > 0)]
            places.append(ways if below == 0 else [None, *ways])
        for chosen in product(*places):
            rows = [0] * self.width_a
            for place in chosen:
                if place is not None:
                    rows[place[0]] |= 1 << place[1]
            mask = self.of_rows(tuple(rows))
            assert isinstance(mask, Masked), "no column is OR-ed"
            yield mask

    def small(self, bits_a: int = 2, bits_b: int = 4) -> Iterator[Candidate]:
        """Every mask within the top bits whose top row has the sign, with every choice of columns to OR, and those
        without an adder."""
        yield from self.without_adder()
        bits_a, bits_b = min(bits_a, self.width_a), min(bits_b, self.width_b)
        choices = range(1 << bits_b)
        shift = self.width_b - bits_b
        for index in np.ndindex(*[len(choices)] * bits_a):
            if not index[-1] >> (bits_b - 1):
                continue
            rows = (0,) * (self.width_a - bits_a) + tuple(choice << shift for choice in index)
            mask = self.of_rows(rows)
            yield mask
            merging = self.of_rows(rows, tuple(range(self.width_a + self.width_b - 1)))
            if isinstance(merging, OrCompressed):
                for count in range(1, len(merging.or_columns) + 1):
                    for columns in combinations(merging.or_columns, count):
                        yield self.of_rows(rows, columns)
