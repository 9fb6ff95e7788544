"""Static timing of a mapped netlist with the library's delay tables, loads included, and wires where it is placed.

Rising and falling edges are followed apart; at each net the latest arrival and the slowest slew count. An input
comes from the technology's driving cell, of whose delay only what the load adds counts; an output drives the
technology's load. A path starts at an input or at the clock of a register and ends at an output or at a
register's datum, where its set-up time is added. The clock is ideal, with `CLOCK_SLEW`. A memory is a boundary like
the ports: what it gives comes from the driving cell, what it takes drives the technology's load.

A wire loads its driver with all of its capacitance and delays every reader by its own Elmore delay, behind which edges
are slower (`amhw.synth.interconnect`).

The method is that of ABC's `stime`, which cannot see registers or cells with two outputs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from amhw.synth.interconnect import Interconnect, Pin, slew_behind
from amhw.synth.library import Arc, Input
from amhw.synth.netlist import Gate, Netlist
from amhw.synth.reports import Step
from amhw.synth.technology import Technology

CLOCK_SLEW = 50.0
"""Slew of the clock at every register, ps."""

RISE, FALL = 0, 1

_FROM = {"positive_unate": ((RISE,), (FALL,)), "negative_unate": ((FALL,), (RISE,))}
_EITHER = ((RISE, FALL), (RISE, FALL))


class Edge(NamedTuple):
    """The latest arrival (ps) and slowest slew (ps) of a net's rising or falling edge, and its predecessor."""

    arrival: float
    slew: float
    gate: Gate | None = None
    arc: Arc | None = None
    before: tuple[int, int] | None = None
    """The net and the edge that caused it."""


@dataclass(frozen=True)
class Timing:
    """The longest path: its delay (ps), start, end and stages; `setup_ps` is the part after the last stage."""

    delay_ps: float
    start: str
    end: str
    path: tuple[Step, ...]
    setup_ps: float = 0.0
    latest: Mapping[str, float] = field(default_factory=dict, repr=False, compare=False)
    """For each instance in a hierarchy the longest path that ends at a register in it, ps."""


def timing(netlist: Netlist, technology: Technology, wires: Interconnect | None = None) -> Timing:
    """The longest path of `netlist`, with `wires` where it is placed; its delay is 0 where no path has a cell."""
    wires = wires or Interconnect({}, {}, {})
    arrivals = Arrivals(netlist, technology, wires)
    return _longest(netlist, arrivals.edges, arrivals.loads, wires.delay)


class Arrivals:
    """Loads of all nets (fF, rising and falling), and the edges that arrive at them.

    What changes a netlist changes `loads` and `delays`, and calls `enter` or `pass_through` for what that concerns.
    """

    def __init__(self, netlist: Netlist, technology: Technology, wires: Interconnect) -> None:
        self.loads = dict(loads_of(netlist, technology.load))
        for net, more in wires.capacitance.items():
            rise, fall = self.loads.get(net, (0.0, 0.0))
            self.loads[net] = rise + more, fall + more
        self.delays: dict[Pin, float] = dict(wires.delay)
        self.edges: dict[int, tuple[Edge, Edge]] = {}
        driver = technology.cell(technology.driving_cell).outputs[0].arcs[0]
        self._driver = (driver.cell_rise, driver.rise_transition), (driver.cell_fall, driver.fall_transition)
        clocks = {gate.nets[pin.name] for gate in netlist.flip_flops for pin in gate.cell.inputs if pin.is_clock}
        from_outside = [*netlist.inputs.values(), *(memory.outputs for memory in netlist.memories)]
        self.entries = {net for nets in from_outside for net in nets} - clocks
        for net in self.entries:
            self.enter(net)
        for gate in netlist.instances:
            self.pass_through(gate)

    def enter(self, net: int) -> None:
        """The edges of a net that comes from outside."""
        load = self.loads.get(net, (0.0, 0.0))
        self.edges[net] = tuple(  # type: ignore[assignment]
            Edge(max(0.0, delay.at(0, load[e]) - delay.at(0, 0)), slew.at(0, load[e]))
            for e, (delay, slew) in enumerate(self._driver)
        )

    def pass_through(self, gate: Gate) -> None:
        """The edges at what `gate` drives, from those at what it reads."""
        _propagate(gate, self.edges, self.loads, self.delays)


def loads_of(netlist: Netlist, outside: float) -> Mapping[int, tuple[float, float]]:
    """What each net loads its driver with when it rises and when it falls, fF."""
    loads: dict[int, tuple[float, float]] = {}
    for gate in netlist.instances:
        for pin in gate.cell.inputs:
            if pin.name in gate.nets:
                rise, fall = loads.get(gate.nets[pin.name], (0.0, 0.0))
                loads[gate.nets[pin.name]] = rise + pin.rise_capacitance, fall + pin.fall_capacitance
    for nets in [*netlist.outputs.values(), *(memory.inputs for memory in netlist.memories)]:
        for net in nets:
            rise, fall = loads.get(net, (0.0, 0.0))
            loads[net] = rise + outside, fall + outside
    return loads


def _propagate(
    gate: Gate,
    edges: dict[int, tuple[Edge, Edge]],
    loads: Mapping[int, tuple[float, float]],
    wires: Mapping[Pin, float],
) -> None:
    registered = gate.cell.flip_flop is not None
    inside: dict[str, tuple[Edge, Edge]] = {}  # at outputs, also where nothing is connected
    for output in gate.cell.in_order:
        net = gate.nets.get(output.name)
        load = loads.get(net, (0.0, 0.0)) if net is not None else (0.0, 0.0)
        arrival, slew = [-1.0, -1.0], [0.0, 0.0]
        cause: list[tuple[Arc | None, tuple[int, int] | None]] = [(None, None), (None, None)]
        for arc in output.arcs:
            source = gate.nets.get(arc.related_pin)
            if registered:
                if arc.kind == "combinational":
                    continue
                befores = None
            else:
                befores = inside.get(arc.related_pin)
                if befores is None and source is not None and source in edges:
                    befores = behind(edges[source], wires.get((gate.name, arc.related_pin), 0.0))
                if befores is None:
                    continue
            for e, (delay, transition) in enumerate(
                ((arc.cell_rise, arc.rise_transition), (arc.cell_fall, arc.fall_transition))
            ):
                for b in (RISE,) if registered else _FROM.get(arc.sense, _EITHER)[e]:
                    before = Edge(0.0, CLOCK_SLEW) if befores is None else befores[b]
                    at = before.arrival + delay.at(before.slew, load[e])
                    slew[e] = max(slew[e], transition.at(before.slew, load[e]))
                    if at > arrival[e]:
                        arrival[e] = at
                        if befores is not None:
                            cause[e] = (arc, (source, b) if source is not None else before.before)
                        else:
                            cause[e] = (arc, None)
        if max(arrival) >= 0:
            found = tuple(Edge(max(arrival[e], 0.0), slew[e], gate, cause[e][0], cause[e][1]) for e in (RISE, FALL))
            inside[output.name] = found  # type: ignore[assignment]
            if net is not None:
                edges[net] = found  # type: ignore[assignment]


def behind(edges: tuple[Edge, Edge], wire: float) -> tuple[Edge, Edge]:
    """Both edges at the end of a wire of that Elmore delay."""
    if not wire:
        return edges
    rise, fall = (edge._replace(arrival=edge.arrival + wire, slew=slew_behind(edge.slew, wire)) for edge in edges)
    return rise, fall


def _longest(
    netlist: Netlist,
    edges: Mapping[int, tuple[Edge, Edge]],
    loads: Mapping[int, tuple[float, float]],
    wires: Mapping[Pin, float],
) -> Timing:
    longest, end, last, margin = 0.0, "", None, 0.0
    latest: dict[str, float] = {}
    boundary = [*netlist.outputs.items(), *((memory.name, memory.inputs) for memory in netlist.memories)]
    for name, nets in boundary:
        for k, net in enumerate(nets):
            bit = f"{name}[{k}]" if len(nets) > 1 else name
            for e, edge in enumerate(edges.get(net, ())):
                arrival = edge.arrival + wires.get(("", bit), 0.0)
                if arrival > longest and edge.gate is not None:
                    longest, last, margin, end = arrival, (net, e), 0.0, bit
    for gate in netlist.flip_flops:
        for pin in gate.cell.inputs:
            if pin.is_clock or gate.nets.get(pin.name) not in edges:
                continue
            for e, edge in enumerate(behind(edges[gate.nets[pin.name]], wires.get((gate.name, pin.name), 0.0))):
                setup = setup_of(pin, e, edge.slew)
                latest[gate.scope] = max(latest.get(gate.scope, 0.0), edge.arrival + setup)
                if edge.arrival + setup > longest:
                    longest, last, margin = edge.arrival + setup, (gate.nets[pin.name], e), setup
                    end = register_name(netlist, gate)
    if last is None:
        return Timing(0.0, "", "", ())
    path: list[Step] = []
    where: tuple[int, int] | None = last
    start = ""
    while where is not None:
        net, e = where
        edge = edges[net][e]
        path.append(
            Step(
                edge.gate.cell.name if edge.gate else "input",
                round(edge.arrival, 2),
                round(edge.slew, 2),
                round(loads.get(net, (0.0, 0.0))[e], 3),
                len(netlist.sinks.get(net, ())),
                pin=edge.arc.related_pin if edge.arc else "",
                edge="rise" if e == RISE else "fall",
                net=netlist.names.get(net, ""),
                gate=edge.gate.name if edge.gate else "",
            )
        )
        start = netlist.names.get(net, "") if edge.gate is None else start
        if edge.gate is not None and edge.gate.cell.flip_flop is not None:
            start = register_name(netlist, edge.gate)
        where = edge.before
    return Timing(round(longest, 2), start, end, tuple(reversed(path)), round(margin, 2), latest)


def setup_of(pin: Input, edge: int, slew: float) -> float:
    """How long before the clock an edge with that slew has to be at a register's pin, ps."""
    return 0.0 if pin.setup is None else pin.setup[edge].at(slew, CLOCK_SLEW)


def register_name(netlist: Netlist, flip_flop: Gate) -> str:
    """The signal that a register holds, or `register` where its name is Yosys' own."""
    nets = (flip_flop.nets.get(output.name) for output in flip_flop.cell.outputs)
    return next((netlist.names[net] for net in nets if net is not None and net in netlist.names), "register")
