"""Which ports of a circuit are the operands and the product.

Ports go by name, never by the order in which they are declared. Where no names are given they are guessed only if they
leave no choice: inputs called A and B (or x and y, …), and a single output. Ports of one bit that are numbered make
up one operand, as circuits have them that went through logic optimisers.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amhw.circuit import Circuit, CircuitPort
from amhw.hdl.reading import buses
from amhw.refusal import Refusal

_PAIRS = (
    ("a", "b"), ("x", "y"), ("in1", "in2"), ("in0", "in1"), ("op1", "op2"), ("ina", "inb"), ("in_a", "in_b"),
    ("a_i", "b_i"), ("i_a", "i_b"), ("op_a", "op_b"), ("a_in", "b_in"), ("data_a", "data_b"), ("dataa", "datab"),
)  # fmt: skip
"""Names of inputs, lower case, that say which is operand a and which is b."""


@dataclass(frozen=True)
class Bus:
    """A port, or ports of one bit that are numbered: the lowest bit first."""

    name: str
    ports: tuple[str, ...]
    width: int
    signed: bool = False

    def split(self, codes: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        """What each port sees of codes of the whole."""
        return {p: codes >> k & 1 for k, p in enumerate(self.ports)} if len(self.ports) > 1 else {self.ports[0]: codes}

    def joined(self, values: Mapping[str, NDArray[np.int64]]) -> NDArray[np.int64]:
        """The codes of the whole from what each port shows."""
        first, *others = (values[port] for port in self.ports)
        for k, bit in enumerate(others, 1):
            first = first | bit << k
        return first


@dataclass(frozen=True)
class Fit:
    """A circuit as a multiplier.

    Attributes:
        a, b, p: the operands and the product.
        idle: inputs on which the product does not depend.
        latency: cycles from the operands to the product.
    """

    a: Bus
    b: Bus
    p: Bus
    idle: tuple[str, ...]
    latency: int


def fit(circuit: Circuit, a: str | None, b: str | None, p: str | None, latency: int | None) -> Fit:
    """The circuit's operands and product.

    Args:
        circuit: what was read.
        a, b, p: their names, where they are known.
        latency: where it is known; needed where the ways through the circuit meet different numbers of registers.

    Raises:
        Refusal: a port is missing or ambiguous, the product depends on something else too, or the latency is another.
    """
    inputs, outputs = _buses(circuit.inputs), _buses(circuit.outputs)
    for given, kind, known in ((a, "input", inputs), (b, "input", inputs), (p, "output", outputs)):
        if given is not None and given not in known:
            raise Refusal(f"module {circuit.top} has no {kind} {given!r}; it has {', '.join(known) or 'none'}")
    if p is None:
        if len(outputs) != 1:
            raise Refusal(f"which output is the product? say --p: one of {', '.join(outputs)}")
        [p] = outputs
    product = outputs[p]
    read = frozenset[str]().union(*(circuit.reads(port) for port in product.ports))
    operand_a, operand_b = _operands(circuit, inputs, a, b)
    others = [port for port in circuit.inputs if port not in (*operand_a.ports, *operand_b.ports)]
    if also := [port for port in others if port in read]:
        raise Refusal(
            f"{p} of module {circuit.top} depends on {', '.join(also)} too; say --hold {also[0]}=VALUE for what stays"
        )
    return Fit(operand_a, operand_b, product, tuple(others), _latency(circuit, product, latency))


def _buses(ports: Mapping[str, CircuitPort]) -> dict[str, Bus]:
    found = {name: Bus(name, (name,), port.width, port.signed) for name, port in ports.items()}
    if len(found) > 2 or any(name.endswith(("]", ">", ")")) for name in found):
        for bus, bits in buses([name for name, port in ports.items() if port.width == 1]).items():
            if bus not in found:
                for bit in bits:
                    del found[bit]
                found[bus] = Bus(bus, bits, len(bits))
    return found


def _operands(circuit: Circuit, inputs: dict[str, Bus], a: str | None, b: str | None) -> tuple[Bus, Bus]:
    names = ", ".join(inputs) or "none"
    if len(inputs) < 2:
        raise Refusal(f"a multiplier has two inputs; module {circuit.top} has {names}")
    if a is None and b is None:
        by_name = {name.lower(): name for name in inputs}
        pairs = [pair for pair in _PAIRS if set(pair) <= set(by_name)]
        if len(pairs) != 1:
            raise Refusal(f"which input is operand a, which b? say --a and --b: {names.replace(', ', ' and ', 1)}")
        a, b = (by_name[name] for name in pairs[0])
    elif a is None or b is None:
        rest = [name for name in inputs if name not in (a, b)]
        if len(rest) != 1:
            raise Refusal(f"which input is the other operand? say --a and --b: {names}")
        a, b = a or rest[0], b or rest[0]
    if a == b:
        raise Refusal(f"both operands are said to be {a}; the inputs are {names}")
    assert a is not None and b is not None
    return inputs[a], inputs[b]


def _latency(circuit: Circuit, product: Bus, stated: int | None) -> int:
    ways = [circuit.latency(port) for port in product.ports]
    least, most = min(way[0] for way in ways), max(way[1] for way in ways)
    if stated is None and least != most:
        raise Refusal(
            f"module {circuit.top} has {least} registers on one way to {product.name} and {most} on another; where "
            f"operands stay for as long as that takes, say --latency {most}"
        )
    if stated is not None and (stated < most or (least == most and stated != most)):
        raise Refusal(f"--latency {stated}: {most} registers lie between the operands and {product.name}")
    return most if stated is None else stated
