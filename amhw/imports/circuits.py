"""A multiplier in Verilog, simulated for every operand pair."""

from collections.abc import Mapping

import numpy as np

from amhw.circuit import Circuit
from amhw.hdl.source import Source
from amhw.hdl.wrapper import free_name
from amhw.imports.adapter import Adapter
from amhw.imports.imported import Imported
from amhw.imports.ports import Fit, fit
from amhw.imports.signs import largest_magnitude, sign_magnitude
from amhw.imports.suspicion import likelier_signs, of_codes
from amhw.imports.tables import shifted
from amhw.manifests import OperandPorts
from amhw.multiplier import KINDS, SIGNEDNESS
from amhw.refusal import Refusal
from amhw.table import LARGEST, ProductTable


def read_circuit(
    source: Source | str,
    *,
    name: str,
    top: str | None = None,
    a: str | None = None,
    b: str | None = None,
    p: str | None = None,
    signed: str | None = None,
    shift: int = 0,
    sign_magnitudes: str | None = None,
    latency: int | None = None,
    parameters: Mapping[str, str] | None = None,
    held: Mapping[str, int] | None = None,
) -> Imported:
    """The multiplier that Verilog describes: without registers, or a pipeline.

    What is imported is the Verilog itself, with a module around it where its ports are not two operands and a
    product as they stand.

    Args:
        source: the Verilog, with every module that the top one uses.
        name: what people call the circuit; its identity is the table's hash.
        top: the top module, where several are possible.
        a, b, p: ports of the operands and of the product (see `amhw.imports.ports`).
        signed: which operands are two's complement: ``none``, ``a``, ``b`` or ``both``. Left out, the declarations
            are believed, unless the products contradict them (many published signed circuits have unsigned
            ports).
        shift: the product's lowest bit weighs 2^shift.
        sign_magnitudes: which operands become signed by multiplying magnitudes: ``a``, ``b`` or ``both``.
        latency: cycles from the operands to the product, where the ways between them differ.
        parameters: of the top module, as Verilog numbers.
        held: inputs that stay, with their values.

    Raises:
        Refusal: the text is no such circuit, a port is missing or ambiguous, or the signedness is.
    """
    if signed is not None and signed not in SIGNEDNESS:
        raise Refusal(f"signed is {signed!r}; choose one of {', '.join(SIGNEDNESS)}")
    circuit = Circuit.read(source, top, parameters=parameters, held=held)
    ports = fit(circuit, a, b, p, latency)
    if ports.a.width + ports.b.width > LARGEST.bit_length() - 1:
        raise Refusal(
            f"{ports.a.width} × {ports.b.width} bits make more than {LARGEST} products; a table cannot hold them "
            "(where the width is a parameter of the top module, -P NAME=VALUE sets it)"
        )
    codes = _codes(circuit, ports)
    signs = _signs(circuit, ports, codes, "none" if sign_magnitudes else signed, shift)
    products = shifted(of_codes(codes, ports.p.width, any(signs)), shift)
    table = ProductTable(products, *signs, name=name)
    limit = None
    if sign_magnitudes is not None:
        if ports.latency:
            raise Refusal("--sign-magnitude is for circuits without registers: signs would have to wait for products")
        limit = largest_magnitude(table) if table.products.max() > largest_magnitude(table) else None
        table = sign_magnitude(table, sign_magnitudes)
    adapter = Adapter(
        core=circuit.top,
        fit=ports,
        signs=signs,
        clock=circuit.clock,
        parameters=parameters,
        held=held,
        shift=shift,
        sign_magnitude=sign_magnitudes,
        limit=limit,
    )
    text = circuit.source.text
    if not adapter.needed:
        own = OperandPorts(ports.a.name, ports.b.name, ports.p.name)
        return Imported(name, table, text, circuit.top, own, ports.latency)
    module = free_name(f"{circuit.top}_adapted", text)
    around = "" if text.endswith("\n") else "\n"
    return Imported(
        name, table, text + around + adapter.verilog(module), module, OperandPorts("a", "b", "p"), ports.latency
    )


def _codes(circuit: Circuit, ports: Fit) -> np.ndarray:
    """The code of the product for every pair of operand codes, [2^width_a, 2^width_b]."""
    operands = ports.a.split(np.arange(1 << ports.a.width)[:, None]) | ports.b.split(
        np.arange(1 << ports.b.width)[None, :]
    )
    return ports.p.joined(circuit.evaluate(operands, ports.p.ports))


def _signs(circuit: Circuit, ports: Fit, codes: np.ndarray, signed: str | None, shift: int) -> tuple[bool, bool]:
    if signed is not None:
        return SIGNEDNESS[signed]
    declared = ports.a.signed, ports.b.signed
    likelier = likelier_signs(codes, ports.p.width, declared, shift)
    if likelier is not None:
        raise Refusal(
            f"module {circuit.top} declares its operands {KINDS[declared[0]]} and {KINDS[declared[1]]}, but its "
            f"products fit --signed {likelier} better; say --signed none, a, b or both"
        )
    return declared
