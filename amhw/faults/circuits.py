"""The circuits of the protections: combinational components that stand between a memory and the array, or behind it.

Each computes what its golden model in `amhw.faults.codes` and `amhw.faults.protection` says; the tests compare them,
and the mapped netlists, bit for bit. None depends on an engine's insides: a reader takes a stored word and gives the
word that the array loads.
"""

from functools import reduce
from operator import xor

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from amhw.faults.codes import Hamming
from amhw.network.requantisation import Requantisation


class ParityReader(wiring.Component):
    """word = stored without its highest bit, or 0 where the number of ones in `stored` is odd.

    Members:
        stored: In, width + 1 bits.
        word: Out, width bits.
        error: Out, whether it was odd.
    """

    def __init__(self, width: int) -> None:
        super().__init__({"stored": In(width + 1), "word": Out(width), "error": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += [self.error.eq(self.stored.xor()), self.word.eq(Mux(self.error, 0, self.stored[:-1]))]
        return m


class HammingReader(wiring.Component):
    """word = what `code` reads from a stored pattern.

    Members:
        stored: In, code.stored bits.
        word: Out, code.width bits.
        error: Out, whether a kept bit was flipped.
    """

    def __init__(self, code: Hamming) -> None:
        self.code = code
        super().__init__({"stored": In(code.stored), "word": Out(code.width), "error": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        numbers = self.code.numbers
        left = Signal(len(self.code.check))
        for k in range(len(left)):
            ones = [self.stored[place] for place, number in numbers.items() if number >> k & 1]
            m.d.comb += left[k].eq(reduce(xor, ones))
        m.d.comb += self.error.eq(left.any())
        for place in self.code.data:
            m.d.comb += self.word[place].eq(self.stored[place] ^ (left == numbers[place]))
        return m


class Voter(wiring.Component):
    """word = the majority of three, bit by bit.

    Members:
        first, second, third: In, width bits.
        word: Out, width bits.
        error: Out, whether they differ.
    """

    def __init__(self, width: int) -> None:
        inputs = {name: In(width) for name in ("first", "second", "third")}
        super().__init__({**inputs, "word": Out(width), "error": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        a, b, c = self.first, self.second, self.third
        m.d.comb += [self.word.eq((a & b) | (a & c) | (b & c)), self.error.eq((a != b) | (a != c))]
        return m


class LesserOf(wiring.Component):
    """code = the lesser of two copies of a neuron's code: the light correction unit behind a split neuron.

    Members:
        first, second: In, width bits.
        code: Out, width bits.
        error: Out, whether they differ.
    """

    def __init__(self, width: int) -> None:
        super().__init__({"first": In(width), "second": In(width), "code": Out(width), "error": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += [
            self.code.eq(Mux(self.first < self.second, self.first, self.second)),
            self.error.eq(self.first != self.second),
        ]
        return m


class Requantiser(wiring.Component):
    """code = min(requantisation(sum), ceiling): `amhw.network.requantisation` with a ceiling of each channel's own.

    Members:
        sum: In, two's complement with the bias in it.
        ceiling: In, only where it clips.
        code: Out.
    """

    def __init__(self, requantisation: Requantisation, width: int, *, clips: bool) -> None:
        self.requantisation, self.clips = requantisation, clips
        bits = requantisation.maximum.bit_length()
        ceiling = {"ceiling": In(bits)} if clips else {}
        super().__init__({"sum": In(signed(width)), **ceiling, "code": Out(bits)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        constants = self.requantisation
        scaled: Value = self.sum * constants.multiplier + (1 << (constants.shift - 1))
        shifted = Signal(signed(len(scaled) - constants.shift))
        m.d.comb += shifted.eq(scaled.shift_right(constants.shift))
        top: Value = Cat(self.ceiling) if self.clips else Value.cast(constants.maximum)
        m.d.comb += self.code.eq(Mux(shifted < 0, 0, Mux(shifted > top, top, shifted)))
        return m
