"""A module with ports a, b and p around a circuit whose own ports are others.

What was said or found of the circuit (parameters, inputs that stay, ports of one bit, the weight of the lowest bit,
signs) becomes Verilog, so that what is synthesised and simulated is what the table describes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from amhw.hdl.wrapper import constants, instance
from amhw.imports.ports import Bus, Fit
from amhw.multiplier import SIGNEDNESS


@dataclass(frozen=True)
class Adapter:
    """What lies around the circuit.

    Attributes:
        core: the circuit's module.
        fit: which of its ports are operands and product.
        signs: which operands of the adapter are two's complement.
        clock: the input that clocks the circuit, if any.
        parameters: of the circuit, as Verilog numbers.
        held: inputs that stay, with their values.
        shift: the product's lowest bit weighs 2^shift.
        sign_magnitude: which operands become signed by multiplying magnitudes, or None.
        limit: the largest magnitude that the product can show, where the circuit may exceed it, or None.
    """

    core: str
    fit: Fit
    signs: tuple[bool, bool]
    clock: str | None = None
    parameters: Mapping[str, str] | None = None
    held: Mapping[str, int] | None = None
    shift: int = 0
    sign_magnitude: str | None = None
    limit: int | None = None

    @property
    def needed(self) -> bool:
        """Whether the circuit is not already what the adapter would make of it."""
        renamed = any(bus.ports != (bus.name,) for bus in (self.fit.a, self.fit.b, self.fit.p))
        return bool(self.parameters or self.held or self.shift or self.sign_magnitude or self.fit.idle or renamed)

    def verilog(self, name: str) -> str:
        """The module, called `name`; its ports are a, b, p, and clk where there is a clock."""
        fit, width = self.fit, self.width
        signed = SIGNEDNESS[self.sign_magnitude] if self.sign_magnitude else self.signs
        kinds = ["signed " if sign else "" for sign in (*signed, any(signed))]
        declared = [
            *(["input clk"] if self.clock else []),
            f"input {kinds[0]}[{fit.a.width - 1}:0] a",
            f"input {kinds[1]}[{fit.b.width - 1}:0] b",
            f"output {kinds[2]}[{width - 1}:0] p",
        ]
        weighed = f"{{found, {self.shift}'b0}}" if self.shift else "found"
        lines = [
            f"module {name} ({', '.join(declared)});",
            f"  wire [{fit.p.width - 1}:0] found;",
            f"  wire [{max(width, fit.p.width + self.shift) - 1}:0] product = {weighed};",
        ]
        pins = constants(dict.fromkeys(fit.idle, 0) | dict(self.held or {})) | _pins(fit.p, "found")
        if self.clock:
            pins[self.clock] = "clk"
        for operand, bus, sign in (("a", fit.a, signed[0]), ("b", fit.b, signed[1])):
            taken = f"{operand}[{bus.width - 1}] ? -{operand} : {operand}" if self.sign_magnitude and sign else operand
            lines.append(f"  wire [{bus.width - 1}:0] core_{operand} = {taken};")
            pins |= _pins(bus, f"core_{operand}")
        lines.append(instance(self.core, self.parameters or {}, pins).rstrip())
        if self.sign_magnitude is None:
            lines.append("  assign p = product;")
        else:
            negative = " ^ ".join(
                f"{operand}[{bus.width - 1}]"
                for operand, bus, sign in (("a", fit.a, signed[0]), ("b", fit.b, signed[1]))
                if sign
            )
            shown = "product" if self.limit is None else f"product > {self.limit} ? {self.limit} : product"
            lines += [
                f"  wire [{width - 1}:0] magnitude = {shown};",
                f"  assign p = {negative} ? -magnitude : magnitude;",
            ]
        return "\n".join([*lines, "endmodule", ""])

    @property
    def width(self) -> int:
        """Bits of the product."""
        return self.fit.a.width + self.fit.b.width if self.sign_magnitude else self.fit.p.width + self.shift


def _pins(bus: Bus, wire: str) -> dict[str, str]:
    if len(bus.ports) == 1:
        return {bus.ports[0]: wire}
    return {port: f"{wire}[{k}]" for k, port in enumerate(bus.ports)}
