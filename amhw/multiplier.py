"""A multiplier is one frozen value: what it computes, and what is built.

Every family is a frozen dataclass derived from `Multiplier`. The two descriptions it gives never call each
other, so that one can be tested against the other: `golden` computes products of integers with NumPy, and
`heap` lays out the datapath as weighted bits.
"""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np
from amaranth.hdl import Fragment, Module, Shape, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import ArrayLike, NDArray

from amhw.bitheap import BitHeap, check_structure, compress
from amhw.refusal import Refusal

MIN_WIDTH, MAX_WIDTH = 2, 32

SIGNEDNESS = {"none": (False, False), "a": (True, False), "b": (False, True), "both": (True, True)}
"""How people say which operands are two's complement → (signed_a, signed_b)."""

KINDS = {False: "unsigned", True: "signed"}
"""What one operand is called."""

_NAME = re.compile(r"mul_([us])([1-9]\d*)([us])([1-9]\d*)_([a-z][a-z0-9]*)(?:_([a-z0-9_]+))?")


@dataclass(frozen=True, kw_only=True)
class Multiplier(ABC):
    """A binary multiplier with operands `a` and `b`, exact or not.

    The product p has width_a + width_b bits and is signed if either operand is. Signed operands are two's
    complement.

    Attributes:
        width_a, width_b: bits of each operand, 2…32; of some families 1…32.
        signed_a, signed_b: whether each operand is two's complement.

    Raises:
        Refusal: a width is out of range.
    """

    width_a: int
    width_b: int
    signed_a: bool = False
    signed_b: bool = False

    keyword: ClassVar[str]
    """The family's part of every name, lower-case letters and digits; unique among families."""

    overestimates: ClassVar[bool] = True
    """Whether a product of unsigned operands may exceed the exact one; False only where it provably cannot."""

    narrowest: ClassVar[int] = MIN_WIDTH
    """Bits that an operand has at least."""

    _families: ClassVar[dict[str, type["Multiplier"]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "keyword" in cls.__dict__:
            known = cls._families.setdefault(cls.keyword, cls)
            if known.__qualname__ != cls.__qualname__ or known.__module__ != cls.__module__:
                raise TypeError(f"two families share the keyword {cls.keyword!r}")
            # A dataclass with slots is created twice; the second one is the one to keep.
            cls._families[cls.keyword] = cls

    def __post_init__(self) -> None:
        for operand, width in (("a", self.width_a), ("b", self.width_b)):
            if not self.narrowest <= width <= MAX_WIDTH:
                raise Refusal(f"width of {operand} is {width}; choose {self.narrowest} to {MAX_WIDTH} bits")

    # What it is called

    @property
    def operands(self) -> str:
        """The operands' widths and signedness, a first: ``u8s8``."""
        return operands_text(self.width_a, self.width_b, self.signed_a, self.signed_b)

    @property
    def name(self) -> str:
        """The canonical name: equal values have equal names, and ``parse(name)`` gives the value back.

        It is a Verilog identifier, a file name and a row key at once.
        """
        suffix = self._parameters_text()
        return f"mul_{self.operands}_{self.keyword}" + (f"_{suffix}" if suffix else "")

    @abstractmethod
    def _parameters_text(self) -> str:
        """The family's own fields as text: lower-case letters, digits and single underscores."""

    @classmethod
    @abstractmethod
    def _from_parameters_text(cls, text: str, **operands: Any) -> Self:
        """The inverse of `_parameters_text`; `operands` holds the fields of this base class."""

    @property
    def parameters(self) -> dict[str, Any]:
        """Every field by name, for manifests."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    @abstractmethod
    def equation(self) -> str:
        """What the product is, on one line."""

    def diagram(self) -> str:
        """A picture in ASCII of the bits that are added, one line a row."""
        m = Module()
        heap = self.heap(m, Signal(self.shape_a), Signal(self.shape_b))
        Fragment.get(m, None)  # Amaranth warns of a module that nobody elaborates
        heights = heap.heights
        width = self.width_a + self.width_b
        lines = [
            " ".join("o" if heights.get(k, 0) > row else " " for k in reversed(range(width))).rstrip()
            for row in range(max(heights.values(), default=0))
        ]
        return "\n".join(lines) + "\n"

    # What it computes

    @property
    def range_a(self) -> tuple[int, int]:
        """The smallest and the largest value of operand a."""
        return _range(self.width_a, self.signed_a)

    @property
    def range_b(self) -> tuple[int, int]:
        """The smallest and the largest value of operand b."""
        return _range(self.width_b, self.signed_b)

    def golden(self, a: ArrayLike, b: ArrayLike) -> NDArray[Any]:
        """The products of integers, elementwise; the arrays broadcast.

        Args:
            a, b: integer values (not codes: a signed operand is negative where it is negative).

        Returns:
            int64, or Python integers where a product may need more than 63 bits.

        Raises:
            Refusal: an operand is out of its range.
        """
        dtype = np.int64 if self.width_a + self.width_b <= 62 else object
        values = []
        for operand, given, (low, high) in (("a", a, self.range_a), ("b", b, self.range_b)):
            array = np.asarray(given)
            if array.dtype != object and not np.issubdtype(array.dtype, np.integer):
                raise Refusal(f"operand {operand} holds {array.dtype} values; multiply integers")
            if array.size and not (low <= array.min() and array.max() <= high):
                raise Refusal(f"operand {operand} is outside {low}…{high}, the range of {self.name}")
            values.append(array.astype(dtype))
        return np.asarray(self._golden(*values), dtype=dtype)

    @abstractmethod
    def _golden(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
        """The products of in-range integer arrays, by arithmetic on values and not by the circuit's bits."""

    @property
    def zero_exception(self) -> str | None:
        """Why a product with a zero operand may differ from zero; None where 0·x = 0 and x·0 = 0 hold.

        Padding and idle array cells rely on the law, so a family that breaks it says so here.
        """
        return None

    # What is built

    @property
    def shape_a(self) -> Shape:
        """Amaranth shape of port a."""
        return Shape(self.width_a, self.signed_a)

    @property
    def shape_b(self) -> Shape:
        """Amaranth shape of port b."""
        return Shape(self.width_b, self.signed_b)

    @property
    def shape_p(self) -> Shape:
        """Amaranth shape of port p."""
        return Shape(self.width_a + self.width_b, self.signed_a or self.signed_b)

    @abstractmethod
    def heap(self, m: Module, a: Value, b: Value) -> BitHeap:
        """The product as weighted bits; logic that the bits need is added to `m`.

        Args:
            m: the module under construction.
            a, b: the operands, of shapes `shape_a` and `shape_b`.
        """

    def layout(self) -> BitHeap:
        """The heap on operands of its own, to be looked at and not built."""
        m = Module()
        heap = self.heap(m, Signal(self.shape_a), Signal(self.shape_b))
        Fragment.get(m, None)  # Amaranth warns of modules that are dropped unseen
        return heap

    def create(self, *, tree: str = "dadda", adder: str = "auto") -> "MultiplierComponent":
        """The combinational circuit with ports `a`, `b` and `p`; see `amhw.bitheap.compress` for the choices."""
        return MultiplierComponent(self, tree=tree, adder=adder)


class MultiplierComponent(wiring.Component):
    """A multiplier as an Amaranth component: p = a × b in the sense of `multiplier`. Combinational, latency 0.

    Members:
        a: In, `multiplier.shape_a`.
        b: In, `multiplier.shape_b`.
        p: Out, `multiplier.shape_p`.
    """

    def __init__(self, multiplier: Multiplier, *, tree: str, adder: str) -> None:
        check_structure(tree, adder)
        self.multiplier = multiplier
        self.tree = tree
        self.adder = adder
        super().__init__({"a": In(multiplier.shape_a), "b": In(multiplier.shape_b), "p": Out(multiplier.shape_p)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        heap = self.multiplier.heap(m, self.a, self.b)
        m.d.comb += self.p.eq(compress(m, heap, len(self.p), tree=self.tree, adder=self.adder))
        return m


def is_name(text: str) -> bool:
    """Whether `text` has the form of a multiplier's name; `parse` knows whether there is such a multiplier."""
    return _NAME.fullmatch(text) is not None


def parse(name: str) -> Multiplier:
    """The multiplier that has this canonical name.

    >>> parse("mul_u8s8_pp_0_0_0_0_0_c0_e0_e0").operands
    'u8s8'

    Raises:
        Refusal: no multiplier has this name.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise Refusal(f"{name!r} is no multiplier's name; one looks like mul_u8s8_pp_0_0_0_0_0_c0_e0_e0")
    kind_a, width_a, kind_b, width_b, keyword, text = match.groups()
    family = Multiplier._families.get(keyword)
    if family is None:
        raise Refusal(
            f"unknown family {keyword!r} in {name!r}; the families are {', '.join(sorted(Multiplier._families))}"
        )
    multiplier = family._from_parameters_text(
        text or "",
        width_a=int(width_a),
        width_b=int(width_b),
        signed_a=kind_a == "s",
        signed_b=kind_b == "s",
    )
    if multiplier.name != name:
        raise Refusal(f"{name!r} is not canonical; the same multiplier is called {multiplier.name!r}")
    return multiplier


def signedness(signed_a: bool, signed_b: bool) -> str:
    """The word for it, a key of `SIGNEDNESS`.

    >>> signedness(False, True)
    'b'
    """
    return next(word for word, signs in SIGNEDNESS.items() if signs == (signed_a, signed_b))


def operands_text(width_a: int, width_b: int, signed_a: bool, signed_b: bool) -> str:
    """Widths and signedness as they stand in names.

    >>> operands_text(8, 4, False, True)
    'u8s4'
    """
    return f"{KINDS[signed_a][0]}{width_a}{KINDS[signed_b][0]}{width_b}"


def _range(width: int, signed: bool) -> tuple[int, int]:
    return (-(1 << (width - 1)), (1 << (width - 1)) - 1) if signed else (0, (1 << width) - 1)
