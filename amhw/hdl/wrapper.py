"""A module around another that sets its parameters and holds inputs, so that what is synthesised has them."""

import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from amhw.hdl.process import elaborated
from amhw.hdl.source import Source


def wrapped(
    source: Source, top: str | None, parameters: Mapping[str, str], held: Mapping[str, int]
) -> tuple[Source, str]:
    """The source with a module more, which is its top: the old one with these parameters and without these inputs.

    Args:
        source: the Verilog.
        top: its top module; by default the only one that could be.
        parameters: of the top module, as Verilog numbers.
        held: values of inputs that never change.

    Raises:
        Refusal: Yosys cannot read the source, or a parameter or an input is not there.
    """
    with tempfile.TemporaryDirectory(prefix="amhw-") as name:
        source, top = elaborated(
            source, Path(name), ["write_json ports.json"], top=top, parameters=parameters, held=held
        )
        module = json.loads((Path(name) / "ports.json").read_text(encoding="utf-8"))["modules"][top]
    declared, pins = [], constants(held)
    for port, described in module["ports"].items():
        kind = " signed" if described.get("signed") else ""
        declared.append(f"{described['direction']}{kind} [{len(described['bits']) - 1}:0] {escaped(port)}")
        pins[port] = escaped(port)
    around = free_name(f"{top}_adapted", source.text)
    text = f"{source.text}\nmodule {around} ({', '.join(declared)});\n{instance(top, parameters, pins)}endmodule\n"
    return replace(source, text=text, own=(around,)), around


def instance(module: str, parameters: Mapping[str, str], pins: Mapping[str, str]) -> str:
    """Verilog of an instance called core."""
    values = ", ".join(f".{name}({value})" for name, value in parameters.items())
    joined = ",\n".join(f"    .{escaped(pin)}({wire})" for pin, wire in pins.items())
    return f"  {escaped(module)}{f' #({values})' if values else ''} core (\n{joined}\n  );\n"


def constants(held: Mapping[str, int]) -> dict[str, str]:
    """What holds each input, as Verilog."""
    return {port: f"{max(1, value.bit_length())}'h{value:x}" for port, value in held.items()}


def escaped(name: str) -> str:
    """A name as Verilog takes any: a backslash before, a blank after."""
    return f"\\{name} "


def free_name(name: str, text: str) -> str:
    """`name`, or the first with underscores after it that does not occur in `text`."""
    while re.search(rf"\b{re.escape(name)}\b", text):
        name += "_"
    return name
