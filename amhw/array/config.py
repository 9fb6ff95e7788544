"""An engine's array and what is around it, as one value."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from math import isqrt
from typing import Any, Self

from amhw.array.modes import Mode, Rows, gates_of, joined, mode_of
from amhw.array.tiling import check_array, swap_time
from amhw.multiplier import Multiplier
from amhw.network.layers import Pair
from amhw.refusal import Refusal
from amhw.table import ProductTable

FETCH = 3
"""Clocks from an output position to its window at the array: address, memories, rotation."""

POOLED = 2
"""Clocks from the array's sums to those of a whole pooling window: partial sums, then the greatest."""

REQUANTISED = 6
"""Clocks from there to the first codes: column, bias, three for the factor, shift and clamp."""

LOADED = 4
"""Clocks that the fetch unit takes to begin another operation."""


@dataclass(frozen=True)
class ArrayConfig:
    """A weight-stationary array of rows × cols, and how it is fed.

    Attributes:
        multiplier: in every element.
        rows: taps of a window, times channels of a tap.
        cols: output channels side by side.
        depth: rows that share an element's adder.
        window: height and width of what is read in one clock, by default as square as `rows` allows. A greater
            kernel is split into such windows, a smaller one leaves rows idle.
        requantisers: columns whose sums are requantised in one clock, and channels in a word of the activation
            memory; by default a quarter of the columns, because pooling needs no more, or what divides them.
        batch: images that share the weights of the linear layers at the end.
        sums: positions whose partial sums are kept; a map that has more is computed in strips.
        masks: what the array can be told to multiply instead, layer by layer; each keeps some partial products of
            `multiplier` (`amhw.array.modes`).

    >>> from amhw import Masked
    >>> config = ArrayConfig(Masked.exact(8, 8, signed_b=True))
    >>> config.window, config.channels, config.requantisers, config.array_latency
    ((5, 5), 1, 4, 41)

    Raises:
        Refusal: there is no such array.
    """

    multiplier: Multiplier
    rows: int = 25
    cols: int = 16
    depth: int = 1
    window: Pair = (0, 0)
    requantisers: int = 0
    batch: int = 32
    sums: int = 1024
    masks: tuple[Multiplier, ...] = ()

    def __post_init__(self) -> None:
        check_array(self.rows, self.cols, self.depth)
        if self.window == (0, 0):
            height = next(side for side in range(isqrt(self.rows), 0, -1) if self.rows % side == 0)
            object.__setattr__(self, "window", (height, self.rows // height))
        if self.requantisers == 0:
            phases = next(count for count in (4, 3, 2, 1) if self.cols % count == 0)
            object.__setattr__(self, "requantisers", self.cols // phases)
        height, width = self.window
        if min(self.window) < 1 or self.rows % (height * width):
            raise Refusal(f"{self.rows} rows are no multiple of the {height * width} taps of a {height}×{width} window")
        if self.requantisers < 1 or self.cols % self.requantisers:
            raise Refusal(f"{self.cols} columns are no multiple of {self.requantisers} requantisers")
        if self.requantisers % self.channels:
            raise Refusal(
                f"{self.rows} rows are {self.channels} channels of a {height}×{width} window, which do not divide the "
                f"{self.requantisers} channels of a word (as many as requantisers)"
            )
        if self.batch < 1 or self.sums < 2:
            raise Refusal(f"a batch of {self.batch} and partial sums of {self.sums} positions; at least 1 and 2")
        self.gates  # noqa: B018 (refuses what are no masks of the multiplier)

    @classmethod
    def joining(cls, multipliers: Iterable[Multiplier], **shape: Any) -> Self:
        """An array that can multiply like each of these."""
        multiplier, masks = joined(multipliers)
        return cls(multiplier, masks=masks, **shape)

    @cached_property
    def gates(self) -> tuple[Rows, ...]:
        """The partial products behind each gate of the elements."""
        return gates_of(self.multiplier, self.masks)

    def mode(self, multiplier: Multiplier) -> Mode:
        """What is left of the array's multiplier where a layer has this one.

        Raises:
            Refusal: the array cannot multiply like this.
        """
        there = (self.multiplier, *self.masks)
        if multiplier not in there:
            raise Refusal(f"{multiplier.name} in an array of {', '.join(one.name for one in there)}")
        return mode_of(self.multiplier, self.gates, multiplier)

    @cached_property
    def table(self) -> ProductTable:
        """Of the multiplier."""
        return ProductTable.of(self.multiplier)

    @property
    def taps(self) -> int:
        """Of a window."""
        return self.window[0] * self.window[1]

    @property
    def channels(self) -> int:
        """Input channels that are read side by side."""
        return self.rows // self.taps

    @property
    def lanes(self) -> int:
        """Elements in a column."""
        return self.rows // self.depth

    @property
    def phases(self) -> int:
        """Clocks in which all columns are requantised."""
        return self.cols // self.requantisers

    def shares(self, outputs: int) -> tuple[int, int]:
        """Groups of columns that so many outputs take, and words of each group."""
        groups = -(-outputs // self.cols)
        return groups, self.phases if groups > 1 else -(-outputs // self.requantisers)

    # Clocks

    @property
    def array_latency(self) -> int:
        """From a window at the array to its sums."""
        return self.lanes + self.cols

    @property
    def tile_interval(self) -> int:
        """From one tile to the next, at least: its weights are loaded after the last element has swapped."""
        return FETCH + swap_time(self.lanes, self.cols) + self.lanes + 1

    def latency(self, element: bool) -> int:
        """From a position's turn to its sums, or without the array to its codes at the pooling unit."""
        return FETCH if element else FETCH + self.array_latency

    def until_readable(self, element: bool) -> int:
        """At most, from a position's turn to the first that reads what became of it: a clock writes, one addresses."""
        return self.latency(element) + POOLED + REQUANTISED + (0 if element else self.phases - 1)

    def between(self, before: bool, after: bool) -> int:
        """From an operation's last turn to the next one's first, at least; whether each goes past the array.

        What finishes positions has one set of constants: the last codes leave before the next sums come.
        """
        leaving = POOLED + REQUANTISED + (1 if before else self.phases)
        return max(LOADED, self.latency(before) + leaving - self.latency(after))
