"""Gates sized, and nets buffered, for the loads that they drive, wires included.

What the library allows decides and nothing else: a gate whose load exceeds its output's `max_capacitance` becomes the
smallest cell of the same function and pins that may drive it; where none may, the farther half of the net's readers
gets a buffer. That is what a flow does to a design whose clock is slow enough; none of it is for speed, which is
`amhw.synth.repair`'s.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from amhw.synth.interconnect import Interconnect, Pin
from amhw.synth.library import Cell
from amhw.synth.netlist import Gate, Netlist
from amhw.synth.technology import Technology
from amhw.synth.timing import loads_of


def sized(netlist: Netlist, technology: Technology, wires: Interconnect) -> Netlist:
    """`netlist` with no gate above its load where the library has a way; the same object where nothing changes."""
    drives = alternatives(technology)
    new: dict[str, Cell] = {}
    loads = {net: max(pair) for net, pair in loads_of(netlist, technology.load).items()}
    for net, more in wires.capacitance.items():
        loads[net] = loads.get(net, 0.0) + more
    beyond: list[int] = []
    for gate in reversed(netlist.gates):  # readers first: their pins are the load
        if not _above(gate, gate.cell, loads):
            continue
        fits = [cell for cell in drives[does(gate.cell)] if not _above(gate, cell, loads)]
        cell = fits[0] if fits else max(drives[does(gate.cell)], key=_strength)
        if not fits:
            beyond += _above(gate, cell, loads)
        if cell is gate.cell:
            continue
        new[gate.name] = cell
        for pin, before in zip(cell.inputs, gate.cell.inputs, strict=True):
            if pin.name in gate.nets:
                loads[gate.nets[pin.name]] += pin.capacitance - before.capacitance
    if new:
        netlist = replace(netlist, gates=tuple(replace(g, cell=new.get(g.name, g.cell)) for g in netlist.gates))
    for net in beyond:
        netlist = _buffered(netlist, technology, net, wires)
    return netlist


def does(cell: Cell) -> tuple[object, ...]:
    """Pins and functions: what cells that may stand for one another have in common."""
    pins = tuple((pin.name, pin.is_clock) for pin in cell.inputs)
    return pins, tuple((output.name, output.function) for output in cell.outputs), cell.flip_flop


def alternatives(technology: Technology) -> Mapping[tuple[object, ...], Sequence[Cell]]:
    """The cells that do the same (`does`), the smallest first."""
    found: dict[tuple[object, ...], list[Cell]] = {}
    for cell in sorted(technology.library.cells.values(), key=lambda cell: (cell.area, cell.name)):
        found.setdefault(does(cell), []).append(cell)
    return found


def _strength(cell: Cell) -> float:
    """What it may drive; of equals `max` takes the first, the smallest."""
    return sum(output.max_capacitance for output in cell.outputs)


def _above(gate: Gate, cell: Cell, loads: Mapping[int, float]) -> list[int]:
    """The nets that are too heavy for `cell` in the place of `gate`; a library that says no limit has 0."""
    limits = ((gate.nets.get(output.name, -1), output.max_capacitance) for output in cell.outputs)
    return [net for net, limit in limits if 0 < limit < loads.get(net, 0.0)]


def buffer_name(net: int) -> str:
    """Of a buffer that drives `net`; no designer's name begins that way."""
    return f"$buffer${net}"


def _buffered(netlist: Netlist, technology: Technology, net: int, wires: Interconnect) -> Netlist:
    """`net` with a buffer before the farther half of the gates that read it."""
    far = sorted(
        ((gate.name, pin) for gate, pin in netlist.sinks.get(net, ())),
        key=lambda pin: (wires.delay.get(pin, 0.0), pin),
    )
    moved: set[Pin] = set(far[len(far) // 2 :])
    if technology.buffer is None or len(far) < 2:
        return netlist
    kind, into, out = technology.buffer
    fresh = 1 + max([*netlist.names, *(net for gate in netlist.instances for net in gate.nets.values())], default=net)
    drivers = (gate for gate in netlist.instances if net in (gate.nets.get(o.name) for o in gate.cell.outputs))
    scope = next((gate.scope for gate in drivers), "")
    buffer = Gate(buffer_name(fresh), technology.cell(kind), {into: net, out: fresh}, scope)

    def moved_to(gate: Gate) -> Gate:
        nets = {pin: fresh if (gate.name, pin) in moved else at for pin, at in gate.nets.items()}
        return gate if nets == gate.nets else replace(gate, nets=nets)

    gates = [moved_to(gate) for gate in netlist.gates]
    driver = [k for k, gate in enumerate(gates) if net in (gate.nets.get(o.name) for o in gate.cell.outputs)]
    gates.insert(driver[0] + 1 if driver else 0, buffer)
    return replace(netlist, gates=tuple(gates), flip_flops=tuple(map(moved_to, netlist.flip_flops)))
