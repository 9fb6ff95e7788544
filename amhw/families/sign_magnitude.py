"""Signed operands for any unsigned multiplier: multiply magnitudes, then give the product its sign.

    p = (−1)^(s_a ⊕ s_b) · core(|a|, |b|)

where s is the sign bit of a signed operand and 0 for an unsigned one. −2^(n−1) needs no exception: its
magnitude 2^(n−1) is an n-bit unsigned number, which is why the core is as wide as the operands.

    a ──┬─ s_a ──────────────┐
        └─ |a| ──┐           ├─ s ─┐
                 ├─ core ─────────( ± )── p
        ┌─ |b| ──┘           │
    b ──┴─ s_b ──────────────┘

Negation is either *true* (two's complement, −x = ¬x + 1), or *ones' complement* (¬x = −x − 1), which saves
three incrementers and is off by one at each place:

    |x| ≈ ¬x = −x − 1   for x < 0,      p ≈ ¬core = −core − 1   where the signs differ.

Ones' complement alone would take −1 for 0 and make 0·(−1) = −1. As published, −1 is taken for 1, and the
product is forced to 0 where an operand is 0 ("exact zero computation").

A core that can overshoot (DRUM takes 240 for 248 and 136 for 128: 240·136 > 2^15) would wrap to the other
sign; the magnitude of its product is held at the largest that the port can show. Cores that cannot
overshoot cost nothing.

Sources: true negation is textbook sign-magnitude; ones' complement: Kim, Del Barrio, Oliveira, Hermida,
Bagherzadeh, "Efficient Mitchell's approximate log multipliers for convolutional neural networks", IEEE
Transactions on Computers 68(5), 2019.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data
from numpy.typing import NDArray

from amhw.bitheap import BitHeap, compress
from amhw.families.encoded import EncodedMultiplier, pack
from amhw.multiplier import Multiplier, parse
from amhw.refusal import Refusal

NEGATIONS = ("true", "ones")

_EXHAUSTIVE = 16
"""Operand bits up to which a core's largest product is found by trying all."""


@dataclass(frozen=True, kw_only=True)
class SignMagnitude(EncodedMultiplier):
    """An unsigned multiplier made signed in one operand or both.

    Attributes:
        core: the unsigned multiplier of magnitudes; the widths are its widths.
        negation: ``true`` or ``ones`` (ones' complement, of operands and product).

    >>> from amhw.families import OrCompressed
    >>> core = OrCompressed.of_columns(range(15), width_a=8, width_b=8)
    >>> m = SignMagnitude(core=core, signed_b=True)
    >>> m.name
    'mul_u8s8_sm_or_3ffe_full'
    >>> m.golden(255, [-128, -1, 0, 1]).tolist()
    [-32640, -255, 0, 255]

    Raises:
        Refusal: the core is not unsigned, neither operand is signed, or the negation is unknown.
    """

    core: Multiplier
    negation: str = "true"
    width_a: int = field(init=False)
    width_b: int = field(init=False)

    keyword: ClassVar[str] = "sm"

    def __post_init__(self) -> None:
        object.__setattr__(self, "width_a", self.core.width_a)
        object.__setattr__(self, "width_b", self.core.width_b)
        super().__post_init__()
        if self.core.signed_a or self.core.signed_b:
            raise Refusal(f"the core of SignMagnitude multiplies magnitudes; {self.core.name} has signed operands")
        if not (self.signed_a or self.signed_b):
            raise Refusal("SignMagnitude makes operands signed; set signed_a, signed_b or both, or use the core alone")
        if self.negation not in NEGATIONS:
            raise Refusal(f"unknown negation {self.negation!r}; choose one of {', '.join(NEGATIONS)}")

    def _parameters_text(self) -> str:
        core = self.core.name.removeprefix(f"mul_{self.core.operands}_")
        return core if self.negation == "true" else f"{self.negation}_{core}"

    @classmethod
    def _from_parameters_text(cls, text: str, **operands: Any) -> Self:
        negation = "true"
        for prefix in NEGATIONS[1:]:
            if text.startswith(f"{prefix}_"):
                negation, text = prefix, text.removeprefix(f"{prefix}_")
        core = parse(f"mul_u{operands['width_a']}u{operands['width_b']}_{text}")
        return cls(core=core, negation=negation, signed_a=operands["signed_a"], signed_b=operands["signed_b"])

    @property
    def parameters(self) -> dict[str, Any]:
        return super().parameters | {"core": self.core.name}

    @property
    def equation(self) -> str:
        magnitude = "|{}|" if self.negation == "true" else "({0}<0 ? max(~{0},1) : {0})"
        a, b = (
            magnitude.format(operand) if signed else operand
            for operand, signed in (("a", self.signed_a), ("b", self.signed_b))
        )
        negate = "-q" if self.negation == "true" else "~q (0 if a or b is 0)"
        return f"p = signs differ ? {negate} : q, with a := {a}, b := {b}, q: {self.core.equation}"

    def diagram(self) -> str:
        """The picture of the bits that the core adds, or of the codes where the core encodes its operands."""
        return super().diagram() if isinstance(self.core, EncodedMultiplier) else self.core.diagram()

    @property
    def zero_exception(self) -> str | None:
        return self.core.zero_exception if self.negation == "true" else None

    @property
    def _limit(self) -> int:
        """The largest magnitude that the product port shows with either sign."""
        return (1 << (self.width_a + self.width_b - 1)) - 1

    @property
    def _overflows(self) -> bool:
        """Whether the core may exceed the limit for some magnitudes; a yes may be cautious for wide operands."""
        if not self.core.overestimates:
            return False
        if self.width_a + self.width_b > _EXHAUSTIVE:
            return True
        largest_a, largest_b = (
            1 << (width - 1) if signed else (1 << width) - 1
            for width, signed in ((self.width_a, self.signed_a), (self.width_b, self.signed_b))
        )
        products = self.core.golden(np.arange(largest_a + 1)[:, None], np.arange(largest_b + 1)[None, :])
        return bool(products.max() > self._limit)

    def _golden(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
        ones = self.negation == "ones"
        magnitudes = [np.where(x < 0, np.maximum(-x - 1, 1) if ones else -x, x) for x in (a, b)]
        product = np.minimum(self.core._golden(*magnitudes), self._limit)
        signed = np.where((a < 0) ^ (b < 0), -product - 1 if ones else -product, product)
        return np.where((a == 0) | (b == 0), 0, signed) if ones else signed

    # The codes: a magnitude, its sign, and (for ones' complement) whether the operand is zero; a core that
    # encodes its own operands gets them encoded.

    @property
    def layout_a(self) -> data.StructLayout:
        return self._layout(
            self.core.layout_a if isinstance(self.core, EncodedMultiplier) else self.width_a, self.signed_a
        )

    @property
    def layout_b(self) -> data.StructLayout:
        return self._layout(
            self.core.layout_b if isinstance(self.core, EncodedMultiplier) else self.width_b, self.signed_b
        )

    def _layout(self, magnitude: Any, signed: bool) -> data.StructLayout:
        members: dict[str, Any] = {"magnitude": magnitude}
        if signed:
            members["sign"] = 1
        if self.negation == "ones":
            members["nonzero"] = 1
        return data.StructLayout(members)

    def encode_a(self, m: Module, a: Value) -> data.View:
        encode = self.core.encode_a if isinstance(self.core, EncodedMultiplier) else None
        return self._encode(m, a, "a", self.layout_a, encode)

    def encode_b(self, m: Module, b: Value) -> data.View:
        encode = self.core.encode_b if isinstance(self.core, EncodedMultiplier) else None
        return self._encode(m, b, "b", self.layout_b, encode)

    def _encode(self, m: Module, x: Value, operand: str, layout: data.StructLayout, encode: Any) -> data.View:
        magnitude = Signal(len(x), name=f"abs_{operand}")
        m.d.comb += magnitude.eq(x)
        if "sign" in layout.members:
            flipped = x ^ x[-1].replicate(len(x))
            if self.negation == "ones":
                m.d.comb += [magnitude.eq(flipped), magnitude[0].eq(flipped[0] | x.all())]
            else:
                m.d.comb += magnitude.eq(flipped + x[-1])
        code = {"magnitude": encode(m, magnitude) if encode else magnitude, "sign": x[-1], "nonzero": x.any()}
        return pack(m, layout, operand, **code)

    def combine(self, m: Module, a: data.View, b: data.View) -> BitHeap:
        if isinstance(self.core, EncodedMultiplier):
            core = self.core.combine(m, a.magnitude, b.magnitude)
        else:
            core = self.core.heap(m, a.magnitude, b.magnitude)
        width = self.width_a + self.width_b
        product = Signal(width, name="magnitude_p")
        negative = Signal(name="negative")
        signs = [code.sign for code, signed in ((a, self.signed_a), (b, self.signed_b)) if signed]
        sign = signs[0] ^ signs[1] if len(signs) == 2 else signs[0]
        m.d.comb += product.eq(compress(m, core, width))
        if self._overflows:
            held = Signal(width, name="held_p")
            m.d.comb += held.eq(Mux(product[-1], self._limit, product))
            product = held
        flipped: Value = product ^ negative.replicate(width)
        if self.negation == "ones":
            nonzero = Signal(name="nonzero")
            m.d.comb += [nonzero.eq(a.nonzero & b.nonzero), negative.eq(sign & nonzero)]
            flipped = Mux(nonzero, flipped, 0)
        else:
            m.d.comb += negative.eq(sign)
        # −x = ¬x + 1: the flipped bits, a sign bit above them, and one more bit of weight 1.
        signed_product = Signal(width, name="signed_p")
        m.d.comb += signed_product.eq(flipped)
        heap = BitHeap()
        heap.add_value(signed_product)
        heap.add_bit(negative, width, negative=True)
        if self.negation == "true":
            heap.add_bit(negative, 0)
        return heap
