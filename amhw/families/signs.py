"""One bit and a little more: operands that only say a sign, or a sign or nothing.

Each operand x of w bits is read as a level L(x), times 2^(w−1):

    levels  read as     unsigned x             two's-complement x
    b       −1, +1      +1 in the upper half   the sign: −1 for x < 0, else +1
    u       0, +1       +1 in the upper half   (none: two's complement has signs)
    t       −1, 0, +1   (none)                 ±1 where |x| is in its upper half, else 0

    p = L_a(a) · L_b(b) · 2^(w_a + w_b − 2)

Two binary operands are multiplied by an XNOR gate (Rastegari, Ordonez, Redmon, Farhadi, "XNOR-Net: ImageNet
classification using binary convolutional neural networks", ECCV 2016; Hubara, Courbariaux, Soudry, El-Yaniv, Bengio,
"Binarized neural networks", NIPS 2016), a binary or ternary weight adds, subtracts or leaves out an activation (Li,
Zhang, Liu, "Ternary weight networks", 2016). A sum is a count of these; the thresholds that a layer wants are found in
training, by its scales.

Binary levels have no zero: 0·x = ±2^(w_a + w_b − 2). A padded position then counts as the level of the code 0.
"""

import re
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from amaranth.hdl import Const, Module, Value
from numpy.typing import NDArray

from amhw.bitheap import BitHeap
from amhw.multiplier import KINDS, Multiplier
from amhw.refusal import Refusal

_LEVELS = {False: "bu", True: "bt"}
"""What an unsigned and a signed operand may be."""


@dataclass(frozen=True, kw_only=True)
class Signs(Multiplier):
    """Products of operands that are read as −1, 0 or +1 alone.

    Operands may have a single bit, unless they are ternary.

    Attributes:
        levels: two letters, those of a and of b: b (−1, +1), u (0, +1; unsigned), t (−1, 0, +1; two's complement).

    >>> m = Signs(levels="bb", width_a=1, width_b=1, signed_b=True)
    >>> m.name, m.golden([0, 0, 1, 1], [0, -1, 0, -1]).tolist()
    ('mul_u1s1_sign_bb', [-1, 1, 1, -1])
    >>> Signs(levels="ut", width_a=8, width_b=8, signed_b=True).golden(200, [-128, -64, 63, 64]).tolist()
    [-16384, 0, 0, 16384]

    Raises:
        Refusal: an operand cannot have its levels, or a product may be negative although both operands are unsigned.
    """

    levels: str

    keyword: ClassVar[str] = "sign"
    narrowest: ClassVar[int] = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not re.fullmatch("[but]{2}", self.levels):
            raise Refusal(f"levels {self.levels!r}; wanted two of b (−1, +1), u (0, +1) and t (−1, 0, +1), as in ub")
        for name, level, width, signed in self._operands():
            if level not in _LEVELS[signed]:
                kinds = " or ".join(_LEVELS[signed])
                raise Refusal(f"operand {name} is {KINDS[signed]} and cannot have the levels {level}; choose {kinds}")
            if level == "t" and width < 2:
                raise Refusal(f"operand {name} has {width} bit; three levels take 2")
        if not (self.signed_a or self.signed_b) and "b" in self.levels:
            raise Refusal("a product of binary levels may be −1: make an operand two's complement (--signed b)")

    def _operands(self) -> tuple[tuple[str, str, int, bool], ...]:
        return (
            ("a", self.levels[0], self.width_a, self.signed_a),
            ("b", self.levels[1], self.width_b, self.signed_b),
        )

    def _parameters_text(self) -> str:
        return self.levels

    @classmethod
    def _from_parameters_text(cls, text: str, **operands: Any) -> Self:
        return cls(levels=text, **operands)

    @property
    def zero_exception(self) -> str | None:
        return "binary levels have no zero" if "b" in self.levels else None

    @property
    def equation(self) -> str:
        return (
            f"p = {self.levels[0]}(a)*{self.levels[1]}(b)*2^{self._exponent}, levels b: -1, +1; u: 0, +1; t: -1, 0, +1"
        )

    @property
    def _exponent(self) -> int:
        return self.width_a + self.width_b - 2

    def _golden(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
        one, other = (
            _level(x, level, width, signed)
            for x, (_, level, width, signed) in zip((a, b), self._operands(), strict=True)
        )
        return np.asarray(one * other * (1 << self._exponent))

    def heap(self, m: Module, a: Value, b: Value) -> BitHeap:
        heap = BitHeap()
        present: Value = Const(1, 1)
        negative: Value = Const(0, 1)
        for x, (_, level, width, signed) in zip((a, b), self._operands(), strict=True):
            top = x[width - 1]
            if level == "u":
                present &= top
            else:
                negative ^= top if signed else ~top
            if level == "t":
                present &= top ^ x[width - 2]
        if self.levels == "bb":
            heap.add_constant(1 << self._exponent)
        else:
            heap.add_bit(present, self._exponent)
        if self.levels != "uu":
            heap.add_bit(present & negative, self._exponent + 1, negative=True)
        return heap


def _level(x: NDArray[Any], level: str, width: int, signed: bool) -> NDArray[Any]:
    """The levels of values."""
    if level == "t":
        half = 1 << width >> 2
        return np.where(x >= half, 1, np.where(x < -half, -1, 0))
    upper = x >= (0 if signed else 1 << width >> 1)
    return np.where(upper, 1, 0 if level == "u" else -1)
