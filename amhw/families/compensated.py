"""A masked multiplier with a constant that makes up for the products it drops.

Dropping partial products makes every product too small (unsigned) by Σ dropped 2^(i+j)·a_i·b_j. Adding the
mean of that back centres the error:

    p = Σ kept products + C                          (constant correction: C is added always)
    p = Σ kept products + C·[a ≠ 0]·[b ≠ 0]          (gated: 0·x = 0 holds)

    o o o o o . . .
      o o o o o . . .        o kept, . dropped
        o o o o o . . .
          C C C              one row of constant bits, or one row of the gate

C costs next to nothing in the tree; the gate costs two zero detectors. `Compensated.fit` takes C from the
operands that the multiplier meets; with uniform operands C = 1/4 of the dropped weight, the published
choice.

Sources: Schulte, Swartzlander, "Truncated multiplication with correction constant", VLSI Signal Processing
VI, 1993.
"""

import re
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from amaranth.hdl import Module, Signal, Value
from numpy.typing import NDArray

from amhw.bitheap import BitHeap
from amhw.families.masked import Masked
from amhw.families.on_mask import OnMask
from amhw.operands import OperandDistribution
from amhw.refusal import Refusal


@dataclass(frozen=True, kw_only=True)
class Compensated(OnMask):
    """A masked multiplier plus a constant; any widths, any signs.

    Attributes:
        rows: the mask, as in `OnMask`.
        constant: C. It lies between the most that the dropped products can be worth and the least, which is
            also why the product always fits its port.
        gated: whether C is added only where neither operand is 0.

    >>> uniform = OperandDistribution.uniform(8, 8)
    >>> m = Compensated.fit(Masked.columns(8, 8, 8), uniform, gated=False)
    >>> m.name
    'mul_u8u8_comp_448_0_80_c0_e0_f0_f8_fc_fe'
    >>> m.golden([0, 255], [0, 255]).tolist()
    [448, 63680]

    Raises:
        Refusal: the mask is not one, or the constant is out of range.
    """

    constant: int
    gated: bool = False

    keyword: ClassVar[str] = "comp"
    _own_text: ClassVar[str] = r"(?P<sign>m?)(?P<constant>\d+)(?P<gate>_gated)?"
    _example: ClassVar[str] = "comp_448_gated"

    def __post_init__(self) -> None:
        super().__post_init__()
        low, high = _dropped(self.mask)
        if not low <= self.constant <= high:
            raise Refusal(f"the constant {self.constant} is out of range; what is dropped is worth {low} to {high}")

    @classmethod
    def fit(cls, mask: Masked, operands: OperandDistribution, *, gated: bool = True) -> Self:
        """The constant that minimises the mean square error over a distribution of operands.

        It is the mean of what the mask drops (over the pairs without a zero, if gated), rounded and held
        within what can be dropped.

        Raises:
            Refusal: the operands have other widths, or are always zero.
        """
        if (operands.width_a, operands.width_b) != (mask.width_a, mask.width_b):
            raise Refusal(f"operands of {operands.width_a} and {operands.width_b} bits; {mask.name} has other widths")
        # The dropped sum is bilinear in the operands' bits: only pairwise bit statistics are needed.
        joint = operands.joint.copy()
        if gated:
            joint[0, :] = joint[:, 0] = 0
        total = joint.sum()
        if not total:
            raise Refusal("an operand is always 0; there is nothing to compensate")
        bits_a, bits_b = (
            np.arange(1 << width)[None, :] >> np.arange(width)[:, None] & 1 for width in (mask.width_a, mask.width_b)
        )
        together = bits_a @ joint @ bits_b.T / total
        mean = sum(
            together[i, j] * _weight(mask, i, j)
            for i in range(mask.width_a)
            for j in range(mask.width_b)
            if not mask.rows[i] >> j & 1
        )
        return cls._rounded(mask, float(mean), gated)

    @classmethod
    def centred(cls, mask: Masked, *, gated: bool = True) -> Self:
        """`fit` for operands all of which are equally likely, in closed form: any width.

        Each dropped product is 1 in one of four pairs; pairs with a zero contribute nothing to it.

        >>> Compensated.centred(Masked.columns(8, 8, 8)).constant
        452
        """
        mean = sum(_dropped(mask)) / 4
        if gated:
            mean *= 2 ** (mask.width_a + mask.width_b) / ((2**mask.width_a - 1) * (2**mask.width_b - 1))
        return cls._rounded(mask, mean, gated)

    @classmethod
    def _rounded(cls, mask: Masked, mean: float, gated: bool) -> Self:
        low, high = _dropped(mask)
        fields = {name: getattr(mask, name) for name in ("rows", "width_a", "width_b", "signed_a", "signed_b")}
        return cls(constant=min(max(round(mean), low), high), gated=gated, **fields)

    def _own_parameters_text(self) -> str:
        sign = "m" if self.constant < 0 else ""
        return f"{sign}{abs(self.constant)}{'_gated' if self.gated else ''}"

    @classmethod
    def _own_parameters(cls, match: re.Match[str]) -> dict[str, Any]:
        constant = int(match["constant"])
        return {"constant": -constant if match["sign"] else constant, "gated": match["gate"] is not None}

    @property
    def equation(self) -> str:
        gate = "*(a!=0)*(b!=0)" if self.gated else ""
        return f"{self.mask.equation} + {self.constant}{gate}"

    def diagram(self) -> str:
        """The partial products as in `Masked`, and the constant's bits."""
        bits = self.constant % (1 << (self.width_a + self.width_b))
        cells = "".join("  1" if bits >> k & 1 else "   " for k in reversed(range(self.width_a + self.width_b)))
        return self._diagram_with("C", cells)

    @property
    def zero_exception(self) -> str | None:
        if self.gated or not self.constant:
            return None
        return f"the constant {self.constant} is added always, as published; gated=True keeps 0·x = 0"

    def _golden(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
        constant = self.constant * ((a != 0) & (b != 0)).astype(a.dtype) if self.gated else self.constant
        return self.mask._golden(a, b) + constant

    def heap(self, m: Module, a: Value, b: Value) -> BitHeap:
        heap = self.mask.heap(m, a, b)
        if not self.gated:
            heap.add_constant(self.constant)
            return heap
        gate = Signal(name="nonzero")
        m.d.comb += gate.eq(a.any() & b.any())
        magnitude = abs(self.constant)
        for k in range(magnitude.bit_length()):
            if magnitude >> k & 1:
                heap.add_bit(gate, k, negative=self.constant < 0)
        return heap


def _weight(mask: Masked, i: int, j: int) -> int:
    return (-1 if mask.is_negative(i, j) else 1) << (i + j)


def _dropped(mask: Masked) -> tuple[int, int]:
    """The least and the most that the dropped products can be worth."""
    weights = [
        _weight(mask, i, j) for i in range(mask.width_a) for j in range(mask.width_b) if not mask.rows[i] >> j & 1
    ]
    return sum(w for w in weights if w < 0), sum(w for w in weights if w > 0)
