"""Multipliers that first encode each operand on its own.

Finding the leading one of an operand, rounding it to a power of two, or taking its magnitude needs no look
at the other operand. Such a multiplier is

    p = combine(encode_a(a), encode_b(b))

so that an array which meets one activation in a whole row and one weight in a whole column can encode each
once at its edge, pass the codes on, and keep only `combine` in its elements. A multiplier on its own does
both.
"""

from abc import abstractmethod
from typing import Any

from amaranth.hdl import Cat, Module, Shape, Signal, Value
from amaranth.lib import data

from amhw.bitheap import BitHeap
from amhw.multiplier import Multiplier


class EncodedMultiplier(Multiplier):
    """A multiplier whose datapath is an encoder for each operand and a combiner.

    ``heap(m, a, b)`` is ``combine(m, encode_a(m, a), encode_b(m, b))`` and nothing else.
    """

    @property
    @abstractmethod
    def layout_a(self) -> data.StructLayout:
        """What an encoded operand a is made of; ``Signal(layout_a)`` is a register for one."""

    @property
    @abstractmethod
    def layout_b(self) -> data.StructLayout:
        """What an encoded operand b is made of."""

    @abstractmethod
    def encode_a(self, m: Module, a: Value) -> data.View:
        """Operand a (of shape `shape_a`) as a view of `layout_a`; its logic is added to `m`."""

    @abstractmethod
    def encode_b(self, m: Module, b: Value) -> data.View:
        """Operand b (of shape `shape_b`) as a view of `layout_b`; its logic is added to `m`."""

    @abstractmethod
    def combine(self, m: Module, a: data.View, b: data.View) -> BitHeap:
        """The product of two encoded operands as weighted bits."""

    def heap(self, m: Module, a: Value, b: Value) -> BitHeap:
        return self.combine(m, self.encode_a(m, a), self.encode_b(m, b))

    def diagram(self) -> str:
        """What each operand is encoded as, and where the codes meet.

        >>> from amhw.families import Drum
        >>> print(Drum(bits=4, width_a=8, width_b=6).diagram(), end="")
        a[8] --encode--> segment[4] shift[3] --.
                                               combine--> p[14]
        b[6] --encode--> segment[4] shift[2] --'
        """
        lines = [
            f"{operand}[{width}] --encode--> {' '.join(_members(layout))} --"
            for operand, width, layout in (("a", self.width_a, self.layout_a), ("b", self.width_b, self.layout_b))
        ]
        longest = max(map(len, lines))
        a, b = (line.ljust(longest, "-") for line in lines)
        return f"{a}.\n{' ' * longest}combine--> p[{self.width_a + self.width_b}]\n{b}'\n"


def pack(m: Module, layout: data.StructLayout, operand: str, /, **members: Any) -> data.View:
    """A view of `layout` over one plainly named signal for each member: ``shift_a``, ``sign_b``."""
    signals = []
    for member, field in layout:
        signal = Signal(Shape.cast(field.shape).width, name=f"{member}_{operand}")
        m.d.comb += signal.eq(Value.cast(members[member]))
        signals.append(signal)
    return data.View(layout, Cat(*signals))


def _members(layout: data.StructLayout) -> list[str]:
    """Names and widths of a layout's members, those of nested layouts in their place."""
    found = []
    for member, field in layout:
        nested = isinstance(field.shape, data.StructLayout)
        found += _members(field.shape) if nested else [f"{member}[{Shape.cast(field.shape).width}]"]
    return found
