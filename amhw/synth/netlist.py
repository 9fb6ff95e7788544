"""A mapped netlist as a value: cells of a library and the nets between them, in topological order."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from amhw.synth.failure import SynthesisError
from amhw.synth.library import Cell, Library

ZERO, ONE = 0, 1
"""The nets of the constants; an undefined bit is read as zero."""

_CONSTANTS = {"0": ZERO, "1": ONE, "x": ZERO, "z": ZERO}


@dataclass(frozen=True)
class Gate:
    """One instance: its name, its cell, and the net at each pin."""

    name: str
    cell: Cell
    nets: Mapping[str, int] = field(hash=False)


@dataclass(frozen=True)
class Netlist:
    """Ports (nets from the least significant bit), combinational gates in topological order, flip-flops.

    `names` gives the nets that the designer named.
    """

    top: str
    inputs: Mapping[str, tuple[int, ...]]
    outputs: Mapping[str, tuple[int, ...]]
    gates: tuple[Gate, ...]
    flip_flops: tuple[Gate, ...]
    names: Mapping[int, str] = field(repr=False)

    @staticmethod
    def read(text: str, library: Library) -> "Netlist":
        """The only module with ports in what Yosys' `write_json` wrote, made of cells of `library`.

        Raises:
            SynthesisError: a cell is not in the library, or the gates form a loop.
        """
        modules = {name: m for name, m in json.loads(text)["modules"].items() if not _is_box(m)}
        if len(modules) != 1:
            raise SynthesisError(f"the mapped netlist has {len(modules)} modules instead of one")
        ((top, module),) = modules.items()
        ports: dict[str, dict[str, tuple[int, ...]]] = {"input": {}, "output": {}}
        for name, port in module["ports"].items():
            ports[port["direction"]][name] = _nets(port["bits"])
        names: dict[int, str] = {}
        for name, net in module["netnames"].items():
            if not net.get("hide_name"):
                bits = _nets(net["bits"])
                for k, bit in enumerate(bits):
                    names.setdefault(bit, f"{name}[{k}]" if len(bits) > 1 else name)
        gates: list[Gate] = []
        flip_flops: list[Gate] = []
        for name, instance in module["cells"].items():
            cell = library.cells.get(instance["type"])
            if cell is None:
                raise SynthesisError(f"cells outside the library after mapping: {instance['type']}")
            nets = {pin: _nets(bits)[0] for pin, bits in instance["connections"].items() if bits}
            gate = Gate(name, cell, nets)
            (gates if cell.flip_flop is None else flip_flops).append(gate)
        return Netlist(top, ports["input"], ports["output"], _ordered(gates), tuple(flip_flops), names)

    @cached_property
    def instances(self) -> tuple[Gate, ...]:
        """All of them, flip-flops first."""
        return self.flip_flops + self.gates

    @cached_property
    def sinks(self) -> Mapping[int, tuple[tuple[Gate, str], ...]]:
        """The gates and their pins that read each net."""
        sinks: dict[int, list[tuple[Gate, str]]] = {}
        for gate in self.instances:
            for pin in gate.cell.inputs:
                if pin.name in gate.nets:
                    sinks.setdefault(gate.nets[pin.name], []).append((gate, pin.name))
        return {net: tuple(found) for net, found in sinks.items()}


def _nets(bits: list[int | str]) -> tuple[int, ...]:
    return tuple(_CONSTANTS[bit] if isinstance(bit, str) else bit for bit in bits)


def _is_box(module: Mapping[str, Mapping[str, str]]) -> bool:
    return bool({"blackbox", "whitebox"} & set(module.get("attributes", {})))


def _ordered(gates: list[Gate]) -> tuple[Gate, ...]:
    """The gates with every driver before its readers (Kahn)."""
    drivers = {gate.nets[o.name]: g for g, gate in enumerate(gates) for o in gate.cell.outputs if o.name in gate.nets}
    waiting, readers = [0] * len(gates), [[] for _ in gates]  # type: list[int], list[list[int]]
    for g, gate in enumerate(gates):
        before = {drivers[gate.nets[i.name]] for i in gate.cell.inputs if gate.nets.get(i.name) in drivers}
        waiting[g] = len(before)
        for driver in before:
            readers[driver].append(g)
    ready = [g for g, count in enumerate(waiting) if not count]
    for g in ready:
        for reader in readers[g]:
            waiting[reader] -= 1
            if not waiting[reader]:
                ready.append(reader)
    if len(ready) != len(gates):
        left = sorted(gates[g].name for g, count in enumerate(waiting) if count)
        raise SynthesisError(f"the mapped netlist has a combinational loop through {', '.join(left[:4])}")
    return tuple(gates[g] for g in ready)
