"""Codes that words are stored in: what is written for a word, and what is read back from a pattern.

A Hamming code (Hamming, "Error detecting and error correcting codes", 1950) gives every stored bit a number, powers of
two to check bits and the others to data bits; the check bits are such that the numbers of the bits that are 1 cancel
(exclusive or). After one flip they do not: what is left is the number of the flipped bit. k data bits take the least r
check bits with 2^r ≥ k + r + 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import xor
from typing import Protocol

import numpy as np

from amhw.faults.models import Patterns
from amhw.refusal import Refusal
from amhw.table import ProductTable, bits_read


class Code(Protocol):
    """How words of `width` bits are stored in `stored` bits."""

    @property
    def width(self) -> int: ...

    @property
    def stored(self) -> int: ...

    def written(self, words: Patterns) -> Patterns:
        """What is stored for words."""
        ...

    def read(self, patterns: Patterns) -> Patterns:
        """The words that stored patterns are read as."""
        ...


@dataclass(frozen=True)
class Plain:
    """Words as they are."""

    width: int

    @property
    def stored(self) -> int:
        return self.width

    def written(self, words: Patterns) -> Patterns:
        return words

    def read(self, patterns: Patterns) -> Patterns:
        return patterns


@dataclass(frozen=True)
class Parity:
    """A bit more, so that the number of ones is even; a word of which it is odd is read as 0.

    >>> code = Parity(3)
    >>> code.written(np.array([0b101, 0b100])).tolist(), code.read(np.array([0b0101, 0b0100])).tolist()
    ([5, 12], [5, 0])
    """

    width: int

    @property
    def stored(self) -> int:
        return self.width + 1

    def written(self, words: Patterns) -> Patterns:
        return words | _odd(words, self.width) << self.width

    def read(self, patterns: Patterns) -> Patterns:
        words = patterns & ((1 << self.width) - 1)
        return np.where(_odd(patterns, self.stored), 0, words)


@dataclass(frozen=True)
class Hamming:
    """Corrects one flip among `data` and `check` bits of a stored word; all others are written and read as 0.

    Attributes:
        width: of the words, of which only the bits at `data` are kept.
        stored: bits of a stored word.
        data, check: places of bits in the stored word; a data bit's is that in the word itself.

    >>> code = Hamming.added(4)
    >>> code.stored, code.check
    (7, (4, 5, 6))
    >>> word = code.written(np.array([0b1011]))
    >>> [code.read(word ^ 1 << k).item() for k in range(7)] == [0b1011] * 7
    True
    """

    width: int
    stored: int
    data: tuple[int, ...]
    check: tuple[int, ...]

    @staticmethod
    def added(width: int) -> "Hamming":
        """All bits of a word, with check bits beside them."""
        stored = width + check_bits(width)
        return Hamming(width, stored, tuple(range(width)), tuple(range(width, stored)))

    @staticmethod
    def in_free_bits(table: ProductTable) -> "Hamming":
        """The bits of a weight that a multiplier reads, with check bits among those that it does not read.

        Raises:
            Refusal: too few are left.
        """
        read, free = _read_and_free(table)
        need = check_bits(len(read))
        if not has_free_bits(table):
            raise Refusal(
                f"{table.name} reads {len(read)} of {table.width_b} weight bits: a code for these takes {need} more, "
                f"and {len(free)} are free; wanted a multiplier that reads fewer, or --protect hamming"
            )
        return Hamming(table.width_b, table.width_b, read, free[:need])

    @cached_property
    def numbers(self) -> dict[int, int]:
        """Of each kept bit, by its place."""
        others = (n for n in range(1, 1 << len(self.check)) if n & (n - 1))
        found = dict(zip(self.data, others, strict=False))
        assert len(found) == len(self.data), "as many check bits as it takes"
        return {**found, **{place: 1 << k for k, place in enumerate(self.check)}}

    def written(self, words: Patterns) -> Patterns:
        kept = words & _mask(self.data)
        left = self._left(kept)
        return kept | reduce(np.bitwise_or, ((left >> k & 1) << place for k, place in enumerate(self.check)))

    def read(self, patterns: Patterns) -> Patterns:
        left = self._left(patterns)
        flipped = reduce(
            np.bitwise_or, ((left == self.numbers[place]).astype(np.int64) << place for place in self.data)
        )
        return (patterns ^ flipped) & _mask(self.data)

    def _left(self, patterns: Patterns) -> Patterns:
        """The numbers of the ones, cancelled."""
        return reduce(xor, ((patterns >> place & 1) * number for place, number in self.numbers.items()))


def check_bits(data: int) -> int:
    """How many a Hamming code for so many data bits takes.

    >>> [check_bits(k) for k in (1, 3, 4, 5, 8, 32)]
    [2, 3, 3, 4, 4, 6]
    """
    return next(r for r in range(2, 63) if 1 << r >= data + r + 1)


def _mask(places: Sequence[int]) -> int:
    return sum(1 << place for place in places)


def _odd(words: Patterns, width: int) -> Patterns:
    return reduce(xor, (words >> k & 1 for k in range(width)))


def has_free_bits(table: ProductTable) -> bool:
    """Whether a code has room in the weight bits that a multiplier does not read."""
    read, free = _read_and_free(table)
    return len(free) >= check_bits(len(read))


def _read_and_free(table: ProductTable) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The weight bits that a multiplier reads, and the others."""
    read = bits_read(table.products.T)
    return read, tuple(k for k in range(table.width_b) if k not in read)
