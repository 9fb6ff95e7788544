"""A combinational multiplier in Verilog, simulated for every operand pair."""

import numpy as np

from amhw.circuit import Circuit
from amhw.imports.imported import Imported
from amhw.imports.suspicion import likelier_signs, of_codes
from amhw.manifests import OperandPorts
from amhw.multiplier import KINDS, SIGNEDNESS
from amhw.refusal import Refusal
from amhw.table import LARGEST, ProductTable

_PAIRS = (
    ("a", "b"), ("x", "y"), ("in1", "in2"), ("in0", "in1"), ("op1", "op2"), ("ina", "inb"), ("in_a", "in_b"),
    ("a_i", "b_i"), ("i_a", "i_b"), ("op_a", "op_b"), ("a_in", "b_in"), ("data_a", "data_b"), ("dataa", "datab"),
)  # fmt: skip
"""Names of inputs, lower case, that say which is operand a and which is b."""


def read_circuit(
    verilog: str,
    *,
    name: str,
    top: str | None = None,
    a: str | None = None,
    b: str | None = None,
    p: str | None = None,
    signed: str | None = None,
    system_verilog: bool = False,
) -> Imported:
    """The multiplier that Verilog text describes.

    Ports go by name, never by the order in which they are declared. Where no names are given they are
    guessed only if they leave no choice: inputs called A and B (or x and y, …), and a single output.

    Args:
        verilog: the text, with every module that the top one uses.
        name: what people call the circuit; its identity is the table's hash.
        top: the top module, where several are possible.
        a, b, p: ports of the operands and of the product.
        signed: which operands are two's complement: ``none``, ``a``, ``b`` or ``both``. Left out, the
        declarations
            are believed, unless the products contradict them (many published signed circuits have unsigned
            ports).

    Raises:
        Refusal: the text is no combinational circuit, a port is missing or ambiguous, or the signedness is.
    """
    if signed is not None and signed not in SIGNEDNESS:
        raise Refusal(f"signed is {signed!r}; choose one of {', '.join(SIGNEDNESS)}")
    circuit = Circuit.read(verilog, top, system_verilog=system_verilog)
    ports = _ports(circuit, a, b, p)
    width_a, width_b = circuit.inputs[ports.a].width, circuit.inputs[ports.b].width
    width_p = circuit.outputs[ports.p].width
    if width_a + width_b > LARGEST.bit_length() - 1:
        raise Refusal(f"{width_a} × {width_b} bits make more than {LARGEST} products; a table cannot hold them")
    codes = circuit.evaluate({ports.a: np.arange(1 << width_a)[:, None], ports.b: np.arange(1 << width_b)[None, :]})[
        ports.p
    ]
    signs = _signs(circuit, ports, codes, width_p, signed)
    table = ProductTable(of_codes(codes, width_p, any(signs)), *signs, name=name)
    return Imported(label=name, table=table, verilog=verilog, top=circuit.top, ports=ports)


def _ports(circuit: Circuit, a: str | None, b: str | None, p: str | None) -> OperandPorts:
    for given, kind, known in (
        (a, "input", circuit.inputs),
        (b, "input", circuit.inputs),
        (p, "output", circuit.outputs),
    ):
        if given is not None and given not in known:
            raise Refusal(f"module {circuit.top} has no {kind} {given!r}; it has {', '.join(known) or 'none'}")
    if p is None:
        if len(circuit.outputs) != 1:
            raise Refusal(f"which output is the product? say --p: one of {', '.join(circuit.outputs)}")
        [p] = circuit.outputs
    if len(circuit.inputs) != 2:
        raise Refusal(f"a multiplier has two inputs; module {circuit.top} has {', '.join(circuit.inputs) or 'none'}")
    if a is None and b is None:
        by_name = {port.lower(): port for port in circuit.inputs}
        pairs = [pair for pair in _PAIRS if set(pair) == set(by_name)]
        if not pairs:
            raise Refusal(f"which input is operand a, which b? say --a and --b: {' and '.join(circuit.inputs)}")
        a, b = (by_name[port] for port in pairs[0])
    elif a is None or b is None:
        [other] = [port for port in circuit.inputs if port not in (a, b)]
        a, b = a or other, b or other
    if a == b:
        raise Refusal(f"both operands are said to be {a}; the inputs are {' and '.join(circuit.inputs)}")
    return OperandPorts(a, b, p)


def _signs(
    circuit: Circuit, ports: OperandPorts, codes: np.ndarray, width_p: int, signed: str | None
) -> tuple[bool, bool]:
    if signed is not None:
        return SIGNEDNESS[signed]
    declared = circuit.inputs[ports.a].signed, circuit.inputs[ports.b].signed
    likelier = likelier_signs(codes, width_p, declared)
    if likelier is not None:
        raise Refusal(
            f"module {circuit.top} declares its operands {KINDS[declared[0]]} and {KINDS[declared[1]]}, but its "
            f"products fit --signed {likelier} better; say --signed none, a, b or both"
        )
    return declared
