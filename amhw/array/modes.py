"""Several multipliers in one array, of which each layer uses one: masks of partial products.

Its elements are built for the union U of what the masks keep. A layer whose mask M keeps less has the rest switched off
where that costs least. With A and B the operand bits that M reads,

    weight bits outside B        are 0 in the weight memory, which costs nothing;
    activation bits outside A    are 0 where they enter the array: an AND for each bit of each row, not of each element;
    (U ∩ A × B) without M        is gated in the elements: an AND for each partial product, one gate for all those that
                                 every mask treats alike.

A mask that is a rectangle of U, as plain reduced precision in an otherwise exact array is, needs no gate.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import and_, or_

from amaranth.hdl import Module, Signal, Value

from amhw.bitheap import BitHeap
from amhw.families.masked import Masked
from amhw.multiplier import Multiplier
from amhw.refusal import Refusal

Rows = tuple[int, ...]
"""Partial products: bit j of number i is a_i·b_j."""


@dataclass(frozen=True)
class Mode:
    """What a layer leaves of an array's multiplier.

    Attributes:
        activation_bits, weight_bits: that are not 0.
        gates: bit k: gate k is open.
    """

    activation_bits: int
    weight_bits: int
    gates: int


def joined(multipliers: Iterable[Multiplier]) -> tuple[Multiplier, tuple[Multiplier, ...]]:
    """The multiplier of an array that can be each of these, and those of them that it has to be told to be.

    >>> exact, some = Masked.exact(4, 3, signed_b=True), Masked.columns(4, 4, 3, signed_b=True)
    >>> joined([some, exact]) == (exact, (some,)), joined([some, some]) == (some, ())
    (True, True)

    Raises:
        Refusal: they differ, and are not all masks of partial products of the same operands.
    """
    first, *others = dict.fromkeys(multipliers)
    if not others:
        return first, ()
    masks = [_mask(one, first) for one in (first, *others)]
    rows = tuple(reduce(or_, products) for products in zip(*(mask.rows for mask in masks), strict=True))
    union = replace(masks[0], rows=rows)
    return union, tuple(mask for mask in masks if mask != union)


def gates_of(built: Multiplier, masks: Sequence[Multiplier]) -> tuple[Rows, ...]:
    """The partial products behind each gate of an array of `built` that can be each of `masks`.

    Raises:
        Refusal: a mask is none, is of other operands, or keeps what is not built.
    """
    if not masks:
        return ()
    built = _mask(built, masks[0])
    given = [_mask(one, built) for one in masks]
    for mask in given:
        if any(row & ~there for row, there in zip(mask.rows, built.rows, strict=True)):
            raise Refusal(f"{mask.name} keeps partial products that an array of {built.name} does not have")
    off = [_closed(built, mask) for mask in given]
    alike: dict[tuple[bool, ...], list[int]] = {}
    for i, row in enumerate(built.rows):
        for j in range(built.width_b):
            which = tuple(bool(rows[i] >> j & 1) for rows in off)
            if row >> j & 1 and any(which):
                alike.setdefault(which, [0] * built.width_a)[i] |= 1 << j
    return tuple(map(tuple, alike.values()))


def mode_of(built: Multiplier, gates: Sequence[Rows], layer: Multiplier) -> Mode:
    """How an array of `built` with these gates becomes `layer`'s multiplier."""
    everything = Mode((1 << built.width_a) - 1, (1 << built.width_b) - 1, (1 << len(gates)) - 1)
    if layer == built:
        return everything
    mask = _mask(layer, built)
    closed = _closed(_mask(built, layer), mask)
    is_open = (not any(map(and_, gate, closed)) for gate in gates)
    return Mode(*_read(mask), sum(state << k for k, state in enumerate(is_open)))


def gated_heap(m: Module, multiplier: Multiplier, a: Value, b: Value, gates: Sequence[Rows], is_open: Value) -> BitHeap:
    """`multiplier.heap`, with those partial products that belong to gate k only while bit k of `is_open` is high."""
    if not gates:
        return multiplier.heap(m, a, b)
    mask = _mask(multiplier, multiplier)
    heap = BitHeap()
    for i, row in enumerate(mask.rows):
        for j in range(mask.width_b):
            if row >> j & 1:
                bit = Signal(name=f"pp_{i}_{j}")
                passing = [is_open[k] for k, gate in enumerate(gates) if gate[i] >> j & 1]
                m.d.comb += bit.eq(reduce(and_, passing, a[i] & b[j]))
                heap.add_bit(bit, i + j, negative=mask.is_negative(i, j))
    return heap


def _mask(multiplier: Multiplier, beside: Multiplier) -> Masked:
    """
    Raises:
        Refusal: it is no mask, or of other operands than the one beside it.
    """
    if not isinstance(multiplier, Masked) or multiplier.operands != beside.operands:
        raise Refusal(
            f"{multiplier.name} and {beside.name} in one array: multipliers that differ from layer to layer have to be "
            "masks of partial products (mul_…_pp_…) of the same operands"
        )
    return multiplier


def _read(mask: Masked) -> tuple[int, int]:
    """The bits of an activation and of a weight that a mask reads."""
    return sum(1 << i for i, row in enumerate(mask.rows) if row), reduce(or_, mask.rows)


def _closed(built: Masked, mask: Masked) -> Rows:
    """The partial products that are still there when all operand bits are 0 that the mask does not read, and that it
    does not keep."""
    bits_a, bits_b = _read(mask)
    return tuple(
        there & bits_b & ~row if bits_a >> i & 1 else 0
        for i, (there, row) in enumerate(zip(built.rows, mask.rows, strict=True))
    )
