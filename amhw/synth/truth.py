"""Gate-level truth: a mapped netlist computes what it should, for all operand pairs.

The netlist's gates are evaluated from the library's functions for 64 operand pairs a machine word. Nothing
here knows of Verilog, Yosys or the circuit that was mapped: what comes out of synthesis is compared with
numbers that came from elsewhere.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from amhw.synth.boolean import function
from amhw.synth.failure import SynthesisError
from amhw.synth.netlist import ONE, ZERO, Netlist

Words = NDArray[np.uint64]

MOST_PAIRS = 1 << 24
"""Beyond this many operand pairs a proof replaces the simulation."""

_AT_ONCE = 1 << 17
_EVERY = np.uint64(0xFFFF_FFFF_FFFF_FFFF)


class WrongNetlistError(SynthesisError):
    """A mapped netlist does not compute what it should: neither it nor its figures are worth anything."""


@dataclass(frozen=True, eq=False)
class Expected:
    """What a combinational multiplier should compute.

    Attributes:
        products: integers [2^width_a, 2^width_b], indexed by operand codes; compared modulo 2^width of `p`.
        a, b, p: names of the ports.
    """

    products: NDArray[np.integer]
    a: str = field(default="a", kw_only=True)
    b: str = field(default="b", kw_only=True)
    p: str = field(default="p", kw_only=True)

    def __post_init__(self) -> None:
        if self.products.ndim != 2 or any(side & (side - 1) for side in self.products.shape):
            raise ValueError(f"expected products have the shape [2^m, 2^n], not {self.products.shape}")
        if self.products.size > MOST_PAIRS:
            raise ValueError(f"{self.products.size} operand pairs are more than {MOST_PAIRS}")

    @cached_property
    def sha256(self) -> str:
        """A hash of the products and of the ports' names."""
        found = hashlib.sha256(f"{self.products.shape} {self.a} {self.b} {self.p}".encode())
        found.update(self.products.astype("<i8").tobytes())
        return found.hexdigest()


def check(netlist: Netlist, expected: Expected) -> int:
    """Compare all products of `netlist` with `expected`; the number of operand pairs compared.

    Raises:
        WrongNetlistError: a product differs; the first operand pair is named.
        SynthesisError: the netlist has registers, or not these ports.
    """
    if netlist.flip_flops:
        raise SynthesisError(f"{netlist.top} has registers; a product table describes combinational circuits")
    rows, columns = expected.products.shape
    ports = {expected.a: rows.bit_length() - 1, expected.b: columns.bit_length() - 1}
    if {name: len(bits) for name, bits in netlist.inputs.items()} != ports or expected.p not in netlist.outputs:
        found = [f"{name}[{len(bits)}]" for name, bits in {**netlist.inputs, **netlist.outputs}.items()]
        wanted = [f"{name}[{width}]" for name, width in ports.items()]
        raise SynthesisError(
            f"{netlist.top} has the ports {', '.join(found)}; expected {', '.join(wanted)} and {expected.p}"
        )
    outputs = netlist.outputs[expected.p]
    flat = expected.products.reshape(-1)
    shift = ports[expected.b]
    for start in range(0, flat.size, _AT_ONCE):
        pairs = np.arange(start, min(start + _AT_ONCE, flat.size))
        values = evaluate(netlist, {expected.a: pairs >> shift, expected.b: pairs & (columns - 1)})
        wrong = np.zeros_like(values[ZERO])
        for k, planes in enumerate(bit_planes(flat[start : start + pairs.size], len(outputs))):
            wrong |= values[outputs[k]] ^ planes
        where = np.flatnonzero(unpacked(wrong, pairs.size))
        if where.size:
            pair = pairs[where[0]]
            codes = sum(int(unpacked(values[net], pairs.size)[where[0]]) << k for k, net in enumerate(outputs))
            meant = int(flat[pair]) % (1 << len(outputs))
            raise WrongNetlistError(
                f"the netlist of {netlist.top} gives the code {codes} for {expected.a}={pair >> shift} "
                f"{expected.b}={pair & (columns - 1)}; expected {meant}"
            )
    return int(flat.size)


def evaluate(netlist: Netlist, codes: Mapping[str, NDArray[np.integer]]) -> dict[int, Words]:
    """The value of every net of a combinational netlist, pattern t in bit t % 64 of word t // 64.

    `codes` has one integer a pattern for each input port.
    """
    values: dict[int, Words] = {}
    for name, nets in netlist.inputs.items():
        values.update(zip(nets, bit_planes(codes[name], len(nets)), strict=True))
    some = next(iter(values.values()))
    values[ZERO], values[ONE] = np.zeros_like(some), np.full_like(some, _EVERY)
    return settled(netlist, values)


def settled(netlist: Netlist, values: dict[int, Words]) -> dict[int, Words]:
    """`values` of inputs, constants and flip-flops' outputs, with those of all gates added."""
    for gate in netlist.gates:
        words = {pin.name: values[gate.nets[pin.name]] for pin in gate.cell.inputs}
        pins = tuple(words)
        for output in gate.cell.outputs:
            if output.name in gate.nets:
                values[gate.nets[output.name]] = function(output.function, pins)(words, _EVERY)
    return values


def bit_planes(codes: NDArray[np.integer], width: int) -> Iterator[Words]:
    """Bit k of every code, for k from 0 up, 64 codes a word (the last word padded with zeros)."""
    for k in range(width):
        yield packed((codes.astype(np.int64) >> min(k, 63) & 1).astype(np.uint8))


def packed(bits: NDArray[np.uint8]) -> Words:
    """One 0 or 1 a pattern, 64 a word."""
    padded = np.zeros(-(-bits.size // 64) * 64, dtype=np.uint8)
    padded[: bits.size] = bits
    return np.packbits(padded, bitorder="little").view(np.uint64)


def planes(bits: Mapping[int, NDArray[np.uint8]]) -> dict[int, Words]:
    """`packed` of every net's bits, and the constants: what `settled` takes."""
    values = {net: packed(each) for net, each in bits.items()}
    some = next(iter(values.values()))
    return {ZERO: np.zeros_like(some), ONE: np.full_like(some, _EVERY), **values}


def unpacked(words: Words, size: int) -> NDArray[np.uint8]:
    """One 0 or 1 a pattern, the inverse of `bit_planes` for one plane."""
    return np.unpackbits(words.view(np.uint8), bitorder="little")[:size]
