"""Maps in kernel × kernel banks: pixel (y, x) lies in bank (y mod k, x mod k)."""

from collections.abc import Sequence

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import data
from amaranth.lib.memory import Memory, ReadPort, WritePort


def banks(
    m: Module, name: str, kernel: int, side: int, shape: object, buffers: int
) -> tuple[list[list[ReadPort]], list[list[WritePort]]]:
    """kernel × kernel memories that together hold `buffers` maps: their read and write ports."""
    depth = buffers * (-(-side // kernel)) ** 2
    reads: list[list[ReadPort]] = []
    writes: list[list[WritePort]] = []
    for i in range(kernel):
        reads.append([])
        writes.append([])
        for j in range(kernel):
            m.submodules[f"{name}_{i}_{j}"] = memory = Memory(shape=shape, depth=max(depth, 2), init=[])
            reads[i].append(memory.read_port())
            writes[i].append(
                memory.write_port(granularity=1) if isinstance(shape, data.ArrayLayout) else memory.write_port()
            )
    return reads, writes


class Place:
    """A coordinate's bank (remainder) and its place in the bank (quotient)."""

    def __init__(self, quotient: Value, remainder: Value) -> None:
        self.quotient, self.remainder = quotient, remainder


def places_of(m: Module, name: str, coordinate: Value, side: int, kernel: int) -> Place:
    """Bank and place of a coordinate from 0 to side − 1."""
    return Place(
        table(m, f"{name}_quotient", coordinate, [k // kernel for k in range(side)]),
        table(m, f"{name}_remainder", coordinate, [k % kernel for k in range(side)]),
    )


def table(m: Module, name: str, index: Value, values: Sequence[int]) -> Signal:
    """A lookup table of constants."""
    result = Signal(range(max(values) + 1) if max(values) else 1, name=name)
    with m.Switch(index):
        for k, value in enumerate(values):
            with m.Case(k):
                m.d.comb += result.eq(value)
    return result
