"""One multiplier that can be each layer's own: what an array costs that all layers share.

It is built for the union of what the masks keep; a layer's mask is what is left when operand bits are 0 and gates are
closed, as `amhw.array.modes` has it. Its gates are further bits of its port `a`, above the activation's, so that a
netlist is checked over all operand pairs in every state of the gates, and its energy is counted with them.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from amhw.array.modes import Rows, gated_heap, gates_of, joined, mode_of
from amhw.bitheap import TREES, compress
from amhw.families.masked import Masked
from amhw.multiplier import Multiplier
from amhw.synth import Expected
from amhw.verilog import emit

MOST_GATES = 4
"""A netlist with more is not checked over all its states in reasonable time."""


@dataclass(frozen=True)
class SharedMultiplier:
    """A mask's circuit with gates.

    Attributes:
        built: the union.
        gates: the partial products behind each gate.
        adder: see `amhw.bitheap.compress`.
    """

    built: Masked
    gates: tuple[Rows, ...]
    adder: str

    @staticmethod
    def of(multipliers: Sequence[Multiplier], adder: str = "auto") -> "SharedMultiplier | None":
        """The multiplier that can be each of these; None where they are not all masks, or need too many gates."""
        masks = [each for each in dict.fromkeys(multipliers) if isinstance(each, Masked)]
        if len(masks) < len(set(multipliers)):
            return None
        union, others = joined(masks)
        assert isinstance(union, Masked)
        gates = gates_of(union, others)
        return SharedMultiplier(union, gates, adder) if len(gates) <= MOST_GATES else None

    @property
    def name(self) -> str:
        """Its module's."""
        said = repr((self.built.name, self.gates, self.adder))
        return f"shared_{hashlib.sha256(said.encode()).hexdigest()[:16]}"

    @cached_property
    def verilog(self) -> str:
        """Its text."""
        return emit(_Component(self), self.name)

    @cached_property
    def expected(self) -> Expected:
        """Its products, with every state of the gates."""
        states = [self._with(state).golden_table for state in range(1 << len(self.gates))]
        return Expected(np.concatenate(states))

    def operands(
        self, layer: Multiplier, a: NDArray[np.int64], b: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """What is at its ports when a layer with this mask multiplies codes a and b."""
        mode = mode_of(self.built, self.gates, layer)
        return (a & mode.activation_bits) | mode.gates << self.built.width_a, b & mode.weight_bits

    def _with(self, state: int) -> "_State":
        rows = list(self.built.rows)
        for k, gate in enumerate(self.gates):
            if not state >> k & 1:
                rows = [row & ~closed for row, closed in zip(rows, gate, strict=True)]
        return _State(self.built, tuple(rows))


@dataclass(frozen=True)
class _State:
    """The products of a mask that may keep nothing."""

    built: Masked
    rows: Rows

    @property
    def golden_table(self) -> NDArray[np.int64]:
        built = self.built
        codes_a, codes_b = np.arange(1 << built.width_a), np.arange(1 << built.width_b)
        found = np.zeros((len(codes_a), len(codes_b)), dtype=np.int64)
        for i, row in enumerate(self.rows):
            for j in range(built.width_b):
                if row >> j & 1:
                    sign = -1 if built.is_negative(i, j) else 1
                    found += np.outer(codes_a >> i & 1, codes_b >> j & 1) * (sign << (i + j))
        return found


class _Component(wiring.Component):
    def __init__(self, shared: SharedMultiplier) -> None:
        self.shared = shared
        built = shared.built
        super().__init__(
            {
                "a": In(built.width_a + len(shared.gates)),
                "b": In(built.width_b),
                "p": Out(built.shape_p),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        built = self.shared.built
        a, is_open = self.a[: built.width_a], self.a[built.width_a :]
        heap = gated_heap(m, built, a, self.b, self.shared.gates, is_open)
        m.d.comb += self.p.eq(compress(m, heap, len(self.p), tree=TREES[0], adder=self.shared.adder))
        return m
