"""A mapped netlist as a value: cells of a library and the nets between them, in topological order."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from amhw.synth.failure import SynthesisError
from amhw.synth.library import Cell, Library

ZERO, ONE = 0, 1
"""The nets of the constants; an undefined bit is read as zero."""

_CONSTANTS = {"0": ZERO, "1": ONE, "x": ZERO, "z": ZERO}


class LoopError(SynthesisError):
    """Gates depend on one another in a circle."""


@dataclass(frozen=True)
class Gate:
    """One instance: its name, its cell, and the net at each pin."""

    name: str
    cell: Cell
    nets: Mapping[str, int] = field(hash=False)
    scope: str = ""
    """The instance that it is in, such as `core.array`; empty at the top."""


@dataclass(frozen=True)
class Memory:
    """A memory with clocked read ports: nets that leave it, and nets that go into it but for its clocks."""

    name: str
    words: int
    width: int
    outputs: tuple[int, ...] = field(repr=False)
    inputs: tuple[int, ...] = field(repr=False)
    scope: str = ""


@dataclass(frozen=True)
class Netlist:
    """Ports (nets from the least significant bit), combinational gates in topological order, flip-flops, memories.

    `names` gives the nets that the designer named; `modules` the module of each instance in a hierarchy.
    """

    top: str
    inputs: Mapping[str, tuple[int, ...]]
    outputs: Mapping[str, tuple[int, ...]]
    gates: tuple[Gate, ...]
    flip_flops: tuple[Gate, ...]
    names: Mapping[int, str] = field(repr=False)
    memories: tuple[Memory, ...] = ()
    modules: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)

    @staticmethod
    def read(text: str, library: Library, top: str | None = None) -> "Netlist":
        """The module `top` (default: the only one) in what Yosys' `write_json` wrote, made of cells of `library`.

        Instances of other modules are put in their place.

        Raises:
            SynthesisError: a cell is not in the library.
            LoopError: the gates form a loop.
        """
        modules = {name: m for name, m in json.loads(text)["modules"].items() if not _is_box(m)}
        if top is None:
            if len(modules) != 1:
                raise SynthesisError(f"the mapped netlist has {len(modules)} modules instead of one")
            (top,) = modules
        reader = _Reader(modules, library)
        reader.module(top, "", {})
        ports: dict[str, dict[str, tuple[int, ...]]] = {"input": {}, "output": {}}
        for name, port in modules[top]["ports"].items():
            ports[port["direction"]][name] = _nets(port["bits"])
        return Netlist(
            top,
            ports["input"],
            ports["output"],
            _ordered(reader.gates),
            tuple(reader.flip_flops),
            reader.names,
            tuple(reader.memories),
            reader.scopes,
        )

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


class _Reader:
    """Modules put in place of their instances, nets renumbered."""

    def __init__(self, modules: Mapping[str, Any], library: Library) -> None:
        self.modules, self.library = modules, library
        self.gates: list[Gate] = []
        self.flip_flops: list[Gate] = []
        self.memories: list[Memory] = []
        self.names: dict[int, str] = {}
        self.scopes: dict[str, str] = {}
        self._fresh = 0

    def module(self, name: str, scope: str, outside: Mapping[int, int]) -> None:
        """Take in an instance of the module `name`; `outside` are the nets at its ports."""
        module, prefix = self.modules[name], f"{scope}." if scope else ""
        self.scopes[scope] = name
        place: dict[int, int] = dict(outside)
        top = not scope

        def net(bit: int | str) -> int:
            if isinstance(bit, str):
                return _CONSTANTS[bit]
            if top:
                self._fresh = max(self._fresh, bit)
                return bit
            if bit not in place:
                self._fresh += 1
                place[bit] = self._fresh
            return place[bit]

        if top:
            bits = (bit for item in module["netnames"].values() for bit in item["bits"] if isinstance(bit, int))
            self._fresh = max(bits, default=ONE)
        for signal, described in module["netnames"].items():
            if not described.get("hide_name"):
                plain = prefix + signal.removeprefix("\\")
                for k, bit in enumerate(described["bits"]):
                    self.names.setdefault(net(bit), f"{plain}[{k}]" if len(described["bits"]) > 1 else plain)
        for label, instance in module["cells"].items():
            kind, connections = instance["type"], instance["connections"]
            if kind in self.modules:
                inside = {}
                for port, bits in connections.items():
                    for within, bit in zip(self.modules[kind]["ports"][port]["bits"], bits, strict=True):
                        if isinstance(within, int):
                            inside[within] = net(bit)
                self.module(kind, f"{prefix}{label}", inside)
                continue
            if kind == "$mem_v2":
                self.memories.append(
                    _memory(instance, {pin: [net(bit) for bit in bits] for pin, bits in connections.items()}, scope)
                )
                continue
            cell = self.library.cells.get(kind)
            if cell is None:
                raise SynthesisError(f"cells outside the library after mapping: {kind}")
            nets = {pin: net(bits[0]) for pin, bits in connections.items() if bits}
            gate = Gate(f"{prefix}{label}", cell, nets, scope)
            (self.gates if cell.flip_flop is None else self.flip_flops).append(gate)


def _memory(instance: Mapping[str, Any], nets: Mapping[str, list[int]], scope: str) -> Memory:
    parameters = instance["parameters"]
    words, width = (int(parameters[key], 2) for key in ("SIZE", "WIDTH"))
    inputs = (bit for pin, bits in nets.items() if pin not in ("RD_DATA", "RD_CLK", "WR_CLK") for bit in bits)
    return Memory(
        parameters["MEMID"].removeprefix("\\"),
        words,
        width,
        tuple(bit for bit in nets["RD_DATA"] if bit not in (ZERO, ONE)),
        tuple(dict.fromkeys(bit for bit in inputs if bit not in (ZERO, ONE))),
        scope,
    )


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
        raise LoopError(f"combinational loop through {', '.join(left[:4])}")
    return tuple(gates[g] for g in ready)
