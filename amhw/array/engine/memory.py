"""Memories that the configuration port writes, a lane of a word at a time."""

from collections.abc import Sequence

from amaranth.hdl import Const, Module, Mux, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from amhw.array.program import BUS_BITS
from amhw.manifests import MemoryPlace

ADDRESS_BITS = 28
"""Of an address within a memory; the bits above say which memory."""


def written_members(fixed: bool) -> dict[str, wiring.Member]:
    """Members of a unit through which its memory is written; none where it is `fixed`."""
    return {} if fixed else {"write": In(1), "to": In(ADDRESS_BITS), "data": In(BUS_BITS)}


class ConfiguredMemory(wiring.Component):
    """Words of `lanes` × `bits`; the word at `address` is read one clock later.

    Args:
        init: the words at the start.
        words: how many there are.
        lanes, bits: of a word.
        fixed: nothing is ever written.

    Members:
        address: In.
        word: Out.
        write: In, high while `to` and `data` are the place (word · lanes, to a power of two, + lane) and what belongs
            there; all three only where it is not `fixed`.
    """

    def __init__(self, init: Sequence[int], words: int, lanes: int, bits: int, *, fixed: bool = False) -> None:
        self._init, self.words, self.lanes, self.bits, self._fixed = init, words, lanes, bits, fixed
        self.stride = 1 << max(0, (lanes - 1).bit_length())
        super().__init__(
            {"address": In(range(max(words, 2))), "word": Out(lanes * bits), **written_members(fixed)},
        )

    def place(self, region: int) -> MemoryPlace:
        """Where it is in the address space of the configuration port."""
        return MemoryPlace(region << ADDRESS_BITS, self.words, self.stride, self.lanes, self.bits)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if self.lanes * self.bits == 0:
            return m
        memory = Memory(shape=unsigned(self.lanes * self.bits), depth=max(self.words, 2), init=self._init)
        m.submodules.memory = memory
        read = memory.read_port()
        m.d.comb += [read.addr.eq(self.address), self.word.eq(read.data)]
        if self._fixed:
            return m
        lane_bits = self.stride.bit_length() - 1
        write = memory.write_port(granularity=self.bits)
        lane = Signal(max(lane_bits, 1))
        m.d.comb += [
            lane.eq(self.to[:lane_bits]),
            write.addr.eq(self.to[lane_bits:][: len(write.addr)]),
            write.data.eq(self.data[: self.bits].replicate(self.lanes)),
            write.en.eq(Mux(self.write, Const(1) << lane, 0)),
        ]
        return m


def program_memory(words: Sequence[int], count: int, width: int, *, fixed: bool = False) -> ConfiguredMemory:
    """A memory of records, written by lanes as wide as the configuration port."""
    lanes = -(-width // BUS_BITS)
    return ConfiguredMemory(words, count, lanes, BUS_BITS if width else 0, fixed=fixed)
