r"""Multipliers with approximate 4:2 compressors in their low columns.

An exact 4:2 compressor turns four bits of a column (and a carry from its neighbour) into one bit there and
two in the next column. An approximate one has no neighbour and two outputs, value ≈ sum + 2·carry, so at
least 1111 (four) cannot be right. Columns c and above are added exactly. In each column below c, stage
after stage, bits are compressed in fours, oldest first (x1 has the smallest index of a), until fewer than
four are left; those are added exactly:

    column k       o o o o   o o o        x1 x2 x3 x4
                   |_____|   | | |           4:2
                    4:2      | | |         carry  sum
                   /   \     | | |        (k + 1)  (k)

The compressors, named by their authors (value − exact sum in brackets where they differ):

    momeni    sum = ¬(x1⊕x2) + ¬(x3⊕x4)                carry = (x1+x2)·(x3+x4)
              0000 → 1 (+1), 0011 and 1100 → 1 (−1), 1111 → 3 (−1)
    yang      sum = (x1⊕x2⊕x3⊕x4) + x1x2x3x4           carry = x1x2 + x3x4 + (x1+x2)·(x3+x4)
              1111 → 3 (−1), and nothing else

`momeni` answers 1 to nothing at all, so its products of zero are not zero.

Sources: Momeni, Han, Montuschi, Lombardi, "Design and analysis of approximate compressors for
multiplication", IEEE Transactions on Computers 64(4), 2015 (design 2); Yang, Han, Lombardi, "Approximate
compressors for error-resilient multiplier design", DFTS 2015 (design 1).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from amaranth.hdl import Module, Signal, Value
from numpy.typing import NDArray

from amhw.bitheap import BitHeap
from amhw.families.unsigned import refuse_signs
from amhw.multiplier import Multiplier
from amhw.refusal import Refusal


def _momeni(x1: Any, x2: Any, x3: Any, x4: Any) -> tuple[Any, Any]:
    return ~(x1 ^ x2) | ~(x3 ^ x4), (x1 | x2) & (x3 | x4)


def _yang(x1: Any, x2: Any, x3: Any, x4: Any) -> tuple[Any, Any]:
    return (x1 ^ x2 ^ x3 ^ x4) | (x1 & x2 & x3 & x4), (x1 & x2) | (x3 & x4) | ((x1 | x2) & (x3 | x4))


_LOGIC: dict[str, Callable[..., tuple[Value, Value]]] = {"momeni": _momeni, "yang": _yang}
"""Kind → sum and carry as gates."""

_VALUES: dict[str, tuple[int, ...]] = {
    "momeni": (1, 1, 1, 1, 1, 2, 2, 3, 1, 2, 2, 3, 1, 3, 3, 3),
    "yang": (0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 3),
}
"""Kind → sum + 2·carry for each input x1 + 2·x2 + 4·x3 + 8·x4: the papers' truth tables."""

COMPRESSORS = tuple(_LOGIC)


@dataclass(frozen=True, kw_only=True)
class Compressed(Multiplier):
    """An unsigned multiplier whose columns below `columns` are reduced by approximate 4:2 compressors.

    Attributes:
        compressor: ``momeni`` or ``yang``.
        columns: c; columns 0…c − 1 are approximate. Published 8-bit multipliers take 8 (or 15: all).

    >>> m = Compressed(compressor="yang", columns=8, width_a=8, width_b=8)
    >>> m.name, m.golden([15, 255], [15, 255]).tolist()
    ('mul_u8u8_c42_yang_8', [217, 64425])

    Raises:
        Refusal: an operand is signed (wrap it in `SignMagnitude`), an unknown compressor, or no such column.
    """

    compressor: str
    columns: int

    keyword: ClassVar[str] = "c42"

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_signs(self)
        if self.compressor not in _LOGIC:
            raise Refusal(f"unknown compressor {self.compressor!r}; choose one of {', '.join(COMPRESSORS)}")
        last = self.width_a + self.width_b - 1
        if not 1 <= self.columns <= last:
            raise Refusal(f"{self.columns} approximate columns; for {self.operands} choose 1 to {last}")

    def _parameters_text(self) -> str:
        return f"{self.compressor}_{self.columns}"

    @classmethod
    def _from_parameters_text(cls, text: str, **operands: Any) -> Self:
        match = re.fullmatch(r"([a-z]+)_([1-9]\d?)", text)
        if match is None:
            raise Refusal(f"{text!r} names no compressor and columns; write c42_yang_8")
        return cls(compressor=match[1], columns=int(match[2]), **operands)

    @property
    def equation(self) -> str:
        return f"p = a*b, columns below {self.columns} by {self.compressor} 4:2 compressors"

    @property
    def zero_exception(self) -> str | None:
        if self.compressor != "momeni" or self._heights() == self._heights_after():
            return None
        return "the compressor's output for four zeros is 1, as published"

    def _heights(self) -> list[int]:
        return [sum(0 <= k - i < self.width_b for i in range(self.width_a)) for k in range(self.columns)]

    def _heights_after(self) -> list[int]:
        return [min(height, 3) for height in self._heights()]

    def _golden(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
        # Each compressor changes the product by (its value − the bits it was given)·2^k, and nothing else does.
        bits_a = [(a >> i & 1).astype(np.uint8) for i in range(self.width_a)]
        bits_b = [(b >> j & 1).astype(np.uint8) for j in range(self.width_b)]
        columns: list[list[NDArray[np.uint8]]] = [
            [bits_a[i] & bits_b[k - i] for i in range(self.width_a) if 0 <= k - i < self.width_b]
            for k in range(self.columns)
        ]
        columns.append([])
        truth_table = np.array(_VALUES[self.compressor], dtype=np.uint8)
        changes: dict[int, NDArray[np.int8]] = {}
        while max(map(len, columns[: self.columns])) >= 4:
            stage: list[list[NDArray[np.uint8]]] = [[] for _ in columns]
            carries: list[list[NDArray[np.uint8]]] = [[] for _ in columns]
            for k, column in enumerate(columns):
                fours = len(column) // 4 if k < self.columns else 0
                for x1, x2, x3, x4 in (column[4 * n : 4 * n + 4] for n in range(fours)):
                    high = x4 + x4 | x3  # doubling and comparing bytes is several times faster than shifting them
                    low = x2 + x2 | x1
                    index = high + high
                    value = np.take(truth_table, index + index | low)
                    change = value.view(np.int8) - (x1 + x2 + x3 + x4).view(np.int8)
                    changes[k] = changes[k] + change if k in changes else change
                    stage[k].append(value & 1)
                    carries[k + 1].append((value > 1).view(np.uint8))
                stage[k] = column[4 * fours :] + stage[k]
            columns = [kept + new for kept, new in zip(stage, carries, strict=True)]
        product = a * b
        for k, change in changes.items():
            product = product + change.astype(a.dtype) * (1 << k)
        return product

    def heap(self, m: Module, a: Value, b: Value) -> BitHeap:
        heap = BitHeap()
        for i in range(self.width_a):
            for j in range(self.width_b):
                bit = Signal(name=f"pp_{i}_{j}")
                m.d.comb += bit.eq(a[i] & b[j])
                heap.add_bit(bit, i + j)
        stage = 0
        while any(len(heap.columns[k]) >= 4 for k in range(self.columns)):
            stage += 1
            sums: dict[int, list[Value]] = {k: [] for k in range(self.columns + 1)}
            carries: dict[int, list[Value]] = {k: [] for k in range(self.columns + 1)}
            for k in range(self.columns):
                waiting = heap.columns[k]
                while len(waiting) >= 4:
                    group, waiting = waiting[:4], waiting[4:]
                    index = len(sums[k])
                    outputs = (Signal(name=f"sum{stage}_{k}_{index}"), Signal(name=f"carry{stage}_{k}_{index}"))
                    for output, logic in zip(outputs, _LOGIC[self.compressor](*group), strict=True):
                        m.d.comb += output.eq(logic)
                    sums[k].append(outputs[0])
                    carries[k + 1].append(outputs[1])
                heap.columns[k] = waiting
            for k in range(self.columns + 1):
                heap.columns[k] = [*heap.columns.get(k, []), *sums[k], *carries[k]]
        return heap
