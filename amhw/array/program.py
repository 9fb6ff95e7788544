"""Records as words of memories, and how great an engine has to be to run them.

A field takes as many bits as its values in all operations of all networks need, without those that are always alike:
they are constants of the circuit.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property, reduce
from operator import and_, or_
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np
from amaranth.hdl import Cat, Const, Shape, Value
from numpy.typing import NDArray

from amhw.array.config import ArrayConfig
from amhw.array.element import sum_shape
from amhw.array.operation import Operation
from amhw.array.records import Finish, Record, Setup
from amhw.array.widths import Widths, width_of
from amhw.network.quantised import QuantisedNetwork
from amhw.refusal import Refusal

Range = tuple[int, int]

BUS_BITS = 32
"""Of the data that the configuration port writes at a time."""


class Program(Protocol):
    """What an engine runs: `amhw.array.schedule.Schedule`, or the operations of two of them."""

    @property
    def network(self) -> QuantisedNetwork: ...

    @property
    def config(self) -> ArrayConfig: ...

    @property
    def widths(self) -> Widths: ...

    @property
    def operations(self) -> tuple[Operation, ...]: ...

    @property
    def setup(self) -> Setup: ...

    @property
    def weight_words(self) -> NDArray[np.int64]: ...

    @property
    def bias_words(self) -> NDArray[np.int64]: ...

    @property
    def bias_width(self) -> int: ...

    @property
    def words(self) -> int: ...

    @property
    def terms(self) -> int: ...

    @property
    def batch(self) -> int: ...

    @property
    def plain(self) -> bool: ...


@dataclass(frozen=True)
class Packing:
    """Where each field of a kind of record lies in a word, lowest first: those of its bits that are not always alike.

    Attributes:
        ranges: the least and the greatest value of each field.
        ones, zeros: bits of each field that are 1 in every record, and 0; two's complement where a value is negative.
    """

    ranges: Mapping[str, Range]
    ones: Mapping[str, int]
    zeros: Mapping[str, int]

    @classmethod
    def of(cls, records: Iterable[Record]) -> "Packing":
        """For these records, all of one kind."""
        values: dict[str, list[int]] = {}
        for record in records:
            for field in fields(record):
                values.setdefault(field.name, []).append(getattr(record, field.name))
        ranges = {name: (min(found), max(found)) for name, found in values.items()}
        masks = {name: (1 << width_of(*ranges[name])) - 1 for name in values}
        ones = {name: reduce(and_, found) & masks[name] for name, found in values.items()}
        zeros = {name: ~reduce(or_, found) & masks[name] for name, found in values.items()}
        return cls(ranges, ones, zeros)

    @property
    def width(self) -> int:
        """Bits of a word."""
        return sum(len(self._places(name)) for name in self.ranges)

    def most(self, name: str) -> int:
        """The greatest value of a field."""
        return self.ranges[name][1]

    def _places(self, name: str) -> list[int]:
        """The bits of a field that differ."""
        alike = self.ones[name] | self.zeros[name]
        return [bit for bit in range(width_of(*self.ranges[name])) if not alike >> bit & 1]

    def word(self, record: Record) -> int:
        """The record as a number.

        Raises:
            Refusal: a value does not fit.
        """
        word = place = 0
        for name, (low, high) in self.ranges.items():
            value, bits, ones, zeros = getattr(record, name), width_of(low, high), self.ones[name], self.zeros[name]
            code = value & ((1 << bits) - 1)
            if not _fits(value, bits, low < 0) or code & zeros or ~code & ones:
                there = f"only {low}" if low == high else f"bits for {low}…{high}, some of them fixed"
                raise Refusal(f"{name} {value} does not fit: this engine has {there}")
            for bit in self._places(name):
                word |= (code >> bit & 1) << place
                place += 1
        return word

    def view(self, word: Value) -> Any:
        """The fields of a word, with constants for what is always alike."""
        found: dict[str, Value] = {}
        place = 0
        for name, (low, high) in self.ranges.items():
            bits: list[Value] = [Const(self.ones[name] >> bit & 1, 1) for bit in range(width_of(low, high))]
            for bit in self._places(name):
                bits[bit] = word[place]
                place += 1
            value = Cat(*bits)
            if low == high:
                found[name] = Const(low, Shape(width_of(low, high), low < 0))
            else:
                found[name] = value.as_signed() if low < 0 else value
        return SimpleNamespace(**found)


@dataclass(frozen=True, eq=False)
class Sizes:
    """What an engine needs to run `schedules`, all on one configuration.

    Attributes:
        schedules: the first one's operations, weights and biases are in the memories at the start.

    Raises:
        Refusal: the configurations, or the kinds of codes, differ.
    """

    schedules: tuple[Program, ...]

    def __post_init__(self) -> None:
        if len({schedule.config for schedule in self.schedules}) != 1:
            raise Refusal("networks for one engine need one configuration of the array")
        if len({schedule.widths for schedule in self.schedules}) != 1:
            raise Refusal("networks for one engine need activations of one kind")

    @property
    def config(self) -> ArrayConfig:
        return self.schedules[0].config

    @property
    def widths(self) -> Widths:
        """Of the multiplier's table."""
        return self.schedules[0].widths

    def _records(self, kind: str) -> list[Any]:
        return [getattr(one, kind) for schedule in self.schedules for one in schedule.operations]

    @cached_property
    def fetch(self) -> Packing:
        return Packing.of(self._records("fetch"))

    @cached_property
    def weights(self) -> Packing:
        return Packing.of(self._records("weights"))

    @cached_property
    def finish(self) -> Packing:
        return Packing.of(self._records("finish"))

    @cached_property
    def setup(self) -> Packing:
        return Packing.of([schedule.setup for schedule in self.schedules])

    @cached_property
    def operations(self) -> int:
        """Places in each program."""
        return max(2, *(len(schedule.operations) for schedule in self.schedules))

    @cached_property
    def words(self) -> int:
        """Of each bank of the activation memory."""
        return max(2, *(schedule.words for schedule in self.schedules))

    @cached_property
    def weight_words(self) -> int:
        return max(2, *(len(schedule.weight_words) for schedule in self.schedules))

    @cached_property
    def bias_words(self) -> int:
        return max(2, *(len(schedule.bias_words) for schedule in self.schedules))

    @cached_property
    def bias_width(self) -> int:
        return max(schedule.bias_width for schedule in self.schedules)

    @cached_property
    def terms(self) -> int:
        """The most products in a sum."""
        return max(schedule.terms for schedule in self.schedules)

    @property
    def sum_shape(self) -> Shape:
        """Of a sum of all of a layer's products, in units of 2^`widths.shift`."""
        return sum_shape(self.widths, max(self.terms, self.config.rows))

    @cached_property
    def scaled(self) -> Shape:
        """Of what is multiplied by a factor: what is beyond it has the code of the nearest that is not.

        Where codes are never negative, neither is what is scaled: what is below 0 has the least code.
        """
        ranges = [_telling(one) for one in self._records("finish") if not one.results]
        low, high = min((0, *(low for low, _ in ranges))), max((1, *(high for _, high in ranges)))
        return Shape(width_of(low, high), low < 0)

    @cached_property
    def places(self) -> int:
        """Positions whose partial sums are kept, at most."""
        return max(
            (
                one.positions * (schedule.batch if one.fetch.batched else 1)
                for schedule in self.schedules
                for one in schedule.operations
                if one.finish.terms > 1
            ),
            default=0,
        )

    @cached_property
    def batch(self) -> int:
        return max(schedule.batch for schedule in self.schedules)

    @cached_property
    def results(self) -> int:
        """Words of the memory of logits."""
        return max(2, *(schedule.batch * schedule.setup.words for schedule in self.schedules))

    @property
    def plain(self) -> bool:
        """Whether only the bits of activations that the multiplier reads are stored."""
        return all(schedule.plain for schedule in self.schedules)

    @property
    def code_bits(self) -> int:
        """Of an activation in the memory."""
        return len(self.widths.bits_a) if self.plain else 8

    @property
    def pooled(self) -> int:
        """The most positions of a pooling window that leaves the array out; 0 where there is no such operation."""
        windows = [one.pool_y * one.pool_x for one in self._records("finish") if one.element]
        return max(windows, default=0)

    @property
    def keeps_least(self) -> bool:
        """Whether of pooled sums the least is kept, too, because it may have the greatest absolute value."""
        return any(one.absolute and one.pool_y * one.pool_x > 1 for one in self._records("finish"))

    def program(self, kind: str, schedule: Program) -> list[int]:
        """The words of the `fetch`, `weights` or `finish` program.

        Raises:
            Refusal: the schedule does not fit this engine.
        """
        packing: Packing = getattr(self, kind)
        if len(schedule.operations) > self.operations:
            raise Refusal(f"{len(schedule.operations)} operations; this engine has places for {self.operations}")
        return [packing.word(getattr(one, kind)) for one in schedule.operations]


def _telling(finish: Finish) -> Range:
    """Sums or words within these bounds have the codes of all: clamp(⌊(v · factor + offset) / 2^shift⌋), v ≥ 0 where it
    is an absolute value."""
    if finish.adds:
        return -128, 255
    if finish.factor_0 == 0:
        return 0, 0
    lowest = ((finish.lowest + 1 << finish.shift) - finish.offset - 1) // finish.factor_0
    highest = -((finish.offset - (finish.highest << finish.shift)) // finish.factor_0)
    return min(lowest, highest), max(lowest, highest)


def _fits(value: int, bits: int, signed: bool) -> bool:
    return -(1 << bits - 1) <= value < 1 << bits - 1 if signed else 0 <= value < 1 << bits
