"""A placed netlist made fast enough for a clock, as a flow repairs its timing: no faster than that, and no structure
is touched.

While the longest path takes longer than the clock, what is on it is changed where that helps most:

- the late signal changes places with another that the gate treats alike (an adder's carry input is its fastest);
- a gate or register becomes a larger or smaller cell of the same function and pins;
- the readers of a net that are not on the path get a buffer, so that the net is lighter for the one that is.

Each change is first judged by when its gate's output then arrives, its driver's heavier or lighter load included; the
best ones are then tried with all that follows, and one stays that makes the longest path shorter, or leaves it as it is
and brings the ends of late paths nearer to the clock. When none does, the netlist misses the clock. Repair by sizing
and buffering until a constraint is met goes back to J. P. Fishburn and A. E. Dunlop, TILOS, ICCAD 1985.
"""

import heapq
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache

from amhw.synth.boolean import truth_table
from amhw.synth.interconnect import Interconnect, Pin
from amhw.synth.library import Cell
from amhw.synth.netlist import Gate, Netlist
from amhw.synth.sizing import alternatives, buffer_name, does
from amhw.synth.technology import Technology
from amhw.synth.timing import Arrivals, Edge, behind, setup_of

_LEAST = 1e-4
"""Of the clock: a change that gains less is not worth its area."""

_LEAST_PS = 1e-3
"""And however short the clock is: what is less may be rounding."""

_TRIED = 32
"""Changes that are tried with all that follows before the longest path is given up."""

_BUFFERS = 3
"""Of the library's, the smallest."""

_Edges = tuple[Edge, Edge]


def repaired(netlist: Netlist, technology: Technology, wires: Interconnect, clock_ps: float) -> Netlist:
    """`netlist` with gates changed until no path takes longer than `clock_ps`, or no change helps.

    The same object where nothing changes. No change makes anything drive more than the library lets it. New buffers
    share their net's wire by the number of readers; where they stand is for a placement to say.
    """
    work = _Work(netlist, technology, wires, clock_ps)
    changed = False
    while work.worst() > clock_ps and work.improve():
        changed = True
    return work.netlist() if changed else netlist


@dataclass(frozen=True)
class _Change:
    """Gates that take the place of those of their names, or are new; nets' wires and pins' delays that change with it.

    `gone` are the buffers that taking a change back removes.
    """

    gates: tuple[Gate, ...]
    gone: tuple[str, ...] = ()
    wires: Mapping[int, float] = field(default_factory=dict)
    delays: Mapping[Pin, float] = field(default_factory=dict)


class _Work:
    """A netlist under repair, with its arrivals kept up to date."""

    def __init__(self, netlist: Netlist, technology: Technology, wires: Interconnect, clock_ps: float) -> None:
        self._before, self._clock = netlist, clock_ps
        self._least = max(_LEAST * clock_ps, _LEAST_PS)
        self._cells = alternatives(technology)
        self._buffers = technology.library.with_truth(1, 0b10)[:_BUFFERS]
        self._wires = dict(wires.capacitance)
        self._arrivals = Arrivals(netlist, technology, wires)
        self._gates = {gate.name: gate for gate in netlist.instances}
        self._rank = {name: float(k) for k, name in enumerate(self._gates)}
        self._driver: dict[int, str] = {}
        self._readers: dict[int, dict[Pin, None]] = {}  # in a fixed order
        for gate in netlist.instances:
            self._connect(gate)
        self._fresh = max([*netlist.names, *self._driver, *self._readers], default=1)
        self._outputs: dict[int, list[Pin]] = {}
        for name, nets in [*netlist.outputs.items(), *((memory.name, memory.inputs) for memory in netlist.memories)]:
            for k, net in enumerate(nets):
                self._outputs.setdefault(net, []).append(("", f"{name}[{k}]" if len(nets) > 1 else name))
        self._late: dict[int, tuple[float, int, Pin]] = {}  # of each net where paths end: when, which edge and where
        for net in self._arrivals.edges:
            self._end(net)

    def worst(self) -> float:
        """The longest path, ps."""
        return max((late for late, *_ in self._late.values()), default=0.0)

    def improve(self) -> bool:
        """Make the one change that helps the longest path; whether there is one."""
        before = self._score()
        found = sorted(self._found(), key=lambda pair: -pair[0])
        for _, change in found[:_TRIED]:
            undo, edges = self._make(change), dict[int, _Edges | None]()
            self._settle(self._concerned(change), edges)
            after = self._score()
            if after[0] < before[0] - self._least or (after[0] <= before[0] and after[1] < before[1] - self._least):
                self._fresh = max(self._fresh, *change.wires) if change.wires else self._fresh
                return True
            self._make(undo)
            self._restore(edges)
        return False

    def netlist(self) -> Netlist:
        """What it has become."""
        before = self._before
        registers = tuple(self._gates[gate.name] for gate in before.flip_flops)
        names = {gate.name for gate in registers}
        gates = sorted((name for name in self._gates if name not in names), key=lambda name: (self._rank[name], name))
        return replace(before, gates=tuple(self._gates[name] for name in gates), flip_flops=registers)

    def _score(self) -> tuple[float, float]:
        """The longest path, and how much all ends are late together."""
        late = [late for late, *_ in self._late.values()]
        return max(late, default=0.0), sum(max(0.0, each - self._clock) for each in late)

    def _found(self) -> Iterator[tuple[float, _Change]]:
        """Changes on the longest path with what each gains there, ps, those that gain something."""
        _, net, e, reader = max((late, net, e, pin) for net, (late, e, pin) in self._late.items())
        where: tuple[int, int] | None = (net, e)
        while where is not None:
            net, e = where
            edge = self._arrivals.edges[net][e]
            changes = list(self._splits(net, reader))
            if edge.gate is not None:
                gate = self._gates[edge.gate.name]
                pin = "" if edge.arc is None or edge.before is None else edge.arc.related_pin
                changes += [*_exchanges(gate, pin, self._arrivals.delays), *self._sizes(gate)]
            for change in changes:
                gain = self._gain(change, net, e, reader)
                if gain > self._least:
                    yield gain, change
            if edge.gate is not None:
                reader = edge.gate.name, pin
            where = edge.before

    def _sizes(self, gate: Gate) -> Iterator[_Change]:
        for cell in self._cells[does(gate.cell)]:
            if cell is not gate.cell:
                yield _Change((replace(gate, cell=cell),))

    def _splits(self, net: int, reader: Pin) -> Iterator[_Change]:
        """A buffer for the gates that read `net`, but for `reader`; outputs stay where they are."""
        moved = [pin for pin in self._readers.get(net, ()) if pin != reader]
        if not moved:
            return
        whole = self._wires.get(net, 0.0)
        part = whole * len(moved) / (len(moved) + 1 + len(self._outputs.get(net, ())))
        fresh = self._fresh + 1
        gates: dict[str, Gate] = {}
        for name, pin in moved:
            gate = gates.get(name, self._gates[name])
            gates[name] = replace(gate, nets={**gate.nets, pin: fresh})
        for cell in self._buffers:
            nets = {cell.inputs[0].name: net, cell.outputs[0].name: fresh}
            buffer = Gate(buffer_name(fresh), cell, nets, self._scope(net))
            yield _Change((*gates.values(), buffer), wires={net: whole - part, fresh: part})

    def _scope(self, net: int) -> str:
        """The instance that drives `net`."""
        return self._gates[self._driver[net]].scope if net in self._driver else ""

    def _gain(self, change: _Change, net: int, e: int, reader: Pin) -> float:
        """How much earlier `net` arrives at `reader` after `change`, from what drives the changed gates on, ps.

        Nothing is gained by a change after which something drives more than it may and did not before.
        """
        pins = self._arrivals.delays
        before = behind(self._arrivals.edges[net], pins.get(reader, 0.0))[e].arrival
        concerned = self._concerned(change) | {gate.name for gate in change.gates if gate.name in self._gates}
        above = self._above(concerned)
        undo, edges = self._make(change), dict[int, _Edges | None]()
        concerned |= {gate.name for gate in change.gates}
        last = self._rank.get(self._driver.get(net, ""), -1.0)
        if self._above(concerned) > above:
            gain = 0.0
        else:
            self._enter(concerned, edges)
            for name in sorted(concerned, key=lambda name: self._rank[name]):
                if self._rank[name] <= last:
                    self._pass(name, edges)
            gain = before - behind(self._arrivals.edges[net], pins.get(reader, 0.0))[e].arrival
        self._make(undo)
        self._restore(edges)
        return gain

    def _above(self, names: Iterable[str]) -> float:
        """By how much outputs drive more than the library lets them, fF together; one without a limit has 0."""
        above = 0.0
        for name in names:
            gate = self._gates[name]
            for output in gate.cell.outputs:
                load = max(self._arrivals.loads.get(gate.nets.get(output.name, -1), (0.0, 0.0)))
                if 0 < output.max_capacitance < load:
                    above += load - output.max_capacitance
        return round(above, 6)

    def _connect(self, gate: Gate) -> None:
        for pin in gate.cell.inputs:
            if pin.name in gate.nets:
                self._readers.setdefault(gate.nets[pin.name], {})[gate.name, pin.name] = None
        for output in gate.cell.outputs:
            if output.name in gate.nets:
                self._driver[gate.nets[output.name]] = gate.name

    def _make(self, change: _Change) -> _Change:
        """Make `change`, arrivals untouched; the one that takes it back."""
        loads, before = self._arrivals.loads, [self._gates.get(gate.name) for gate in change.gates]
        wires = {net: self._wires.get(net, 0.0) for net in change.wires}
        delays = {pin: self._arrivals.delays.get(pin, 0.0) for pin in change.delays}
        removed = [self._gates.pop(name) for name in change.gone]
        undo = _Change(
            (*(gate for gate in before if gate is not None), *removed),
            tuple(gate.name for gate, old in zip(change.gates, before, strict=True) if old is None),
            wires,
            delays,
        )
        for gate in [*removed, *(gate for gate in before if gate is not None)]:
            for pin in gate.cell.inputs:
                if pin.name in gate.nets:
                    net = gate.nets[pin.name]
                    del self._readers[net][gate.name, pin.name]
                    rise, fall = loads[net]
                    loads[net] = rise - pin.rise_capacitance, fall - pin.fall_capacitance
        for gate in change.gates:
            self._gates[gate.name] = gate
            self._connect(gate)
            for pin in gate.cell.inputs:
                if pin.name in gate.nets:
                    rise, fall = loads.get(gate.nets[pin.name], (0.0, 0.0))
                    loads[gate.nets[pin.name]] = rise + pin.rise_capacitance, fall + pin.fall_capacitance
            if gate.name not in self._rank:
                self._rank[gate.name] = self._between(gate)
        for net, whole in change.wires.items():
            rise, fall = loads.get(net, (0.0, 0.0))
            loads[net] = rise + whole - wires.get(net, 0.0), fall + whole - wires.get(net, 0.0)
            self._wires[net] = whole
        self._arrivals.delays.update(change.delays)
        for gate in removed:  # with it goes its net
            net = gate.nets[gate.cell.outputs[0].name]
            del self._readers[net], self._wires[net], self._driver[net], loads[net], self._rank[gate.name]
        return undo

    def _between(self, buffer: Gate) -> float:
        """A place in the order after what drives a new buffer and before what it drives."""
        into, out = (buffer.nets[pins[0].name] for pins in (buffer.cell.inputs, buffer.cell.outputs))
        combinational = [name for name, _ in self._readers[out] if self._gates[name].cell.flip_flop is None]
        while True:
            after = self._rank.get(self._driver.get(into, ""), -1.0)
            place = (after + min((self._rank[name] for name in combinational), default=after + 1.0)) / 2
            if place > after:
                return place
            order = sorted(self._rank, key=lambda name: self._rank[name])  # too near to have anything in between
            self._rank = {name: float(k) for k, name in enumerate(order)}

    def _concerned(self, change: _Change) -> set[str]:
        """The gates that `change` concerns at first hand: those it changes, what drives them, and what has its nets."""
        names = {gate.name for gate in change.gates} & self._gates.keys()
        nets = {net for gate in change.gates for net in gate.nets.values()} | {*change.wires}
        nets |= {net for name in names for net in self._gates[name].nets.values()}
        return names | {self._driver[net] for net in nets if net in self._driver}

    def _enter(self, names: Iterable[str], edges: dict[int, _Edges | None]) -> set[str]:
        """Enter again the nets from outside that gates read; who else reads those that changed."""
        now, others = self._arrivals.edges, set[str]()
        for net in dict.fromkeys(net for name in sorted(names) for net in self._gates[name].nets.values()):
            if net in self._arrivals.entries:
                old = now.get(net)
                edges.setdefault(net, old)
                self._arrivals.enter(net)
                if _moved(old, now.get(net)):
                    others |= {name for name, _ in self._readers.get(net, ())}
        return {name for name in others if self._gates[name].cell.flip_flop is None}

    def _pass(self, name: str, edges: dict[int, _Edges | None]) -> list[int]:
        """Let signals pass through a gate again; the nets that changed, their edges of before in `edges`."""
        gate, now = self._gates[name], self._arrivals.edges
        nets = [gate.nets[output.name] for output in gate.cell.outputs if output.name in gate.nets]
        before = [now.get(net) for net in nets]
        self._arrivals.pass_through(gate)
        for net, old in zip(nets, before, strict=True):
            edges.setdefault(net, old)
        return [net for net, old in zip(nets, before, strict=True) if _moved(old, now.get(net))]

    def _settle(self, names: set[str], edges: dict[int, _Edges | None]) -> None:
        """Let signals enter and pass through gates and all that follows."""
        queued = names | self._enter(names, edges)
        waiting = [(self._rank[name], name) for name in queued]
        heapq.heapify(waiting)
        ends = {net for name in queued for net in self._gates[name].nets.values()}
        while waiting:
            _, name = heapq.heappop(waiting)
            queued.discard(name)
            for net in self._pass(name, edges):
                ends.add(net)
                for reader, _ in self._readers.get(net, ()):
                    if reader not in queued and self._gates[reader].cell.flip_flop is None:
                        queued.add(reader)
                        heapq.heappush(waiting, (self._rank[reader], reader))
        for net in ends:
            edges.setdefault(net, self._arrivals.edges.get(net))
            self._end(net)

    def _restore(self, edges: Mapping[int, _Edges | None]) -> None:
        for net, old in edges.items():
            if old is None:
                self._arrivals.edges.pop(net, None)
            else:
                self._arrivals.edges[net] = old
            self._end(net)

    def _end(self, net: int) -> None:
        """When the paths that end at `net` are there, set-up included."""
        self._late.pop(net, None)
        edges = self._arrivals.edges.get(net)
        if edges is None:
            return
        found: list[tuple[float, int, Pin]] = []
        for port in self._outputs.get(net, ()):
            there = enumerate(behind(edges, self._arrivals.delays.get(port, 0.0)))
            found += [(edge.arrival, e, port) for e, edge in there if edge.gate is not None]
        for name, pin_name in self._readers.get(net, ()):
            cell = self._gates[name].cell
            if cell.flip_flop is None:
                continue
            pin = next(pin for pin in cell.inputs if pin.name == pin_name)
            if not pin.is_clock:
                there = enumerate(behind(edges, self._arrivals.delays.get((name, pin_name), 0.0)))
                found += [(edge.arrival + setup_of(pin, e, edge.slew), e, (name, pin_name)) for e, edge in there]
        if found:
            self._late[net] = max(found)


def _moved(before: _Edges | None, after: _Edges | None) -> bool:
    if before is None or after is None:
        return before is not after
    return any(
        abs(a.arrival - b.arrival) > 1e-9 or abs(a.slew - b.slew) > 1e-9 for a, b in zip(before, after, strict=True)
    )


def _exchanges(gate: Gate, late: str, delays: Mapping[Pin, float]) -> Iterator[_Change]:
    """The signal at the pin `late` in the place of another that the gate treats alike."""
    for other in _alike(gate.cell).get(late, ()):
        if gate.nets.get(other, gate.nets.get(late)) != gate.nets.get(late):
            nets = {**gate.nets, late: gate.nets[other], other: gate.nets[late]}
            pins = (gate.name, late), (gate.name, other)
            swapped = dict(zip(pins, (delays.get(pin, 0.0) for pin in reversed(pins)), strict=True))
            yield _Change((replace(gate, nets=nets),), delays=swapped)


@cache
def _alike(cell: Cell) -> Mapping[str, tuple[str, ...]]:
    """For each input of a combinational cell those with which it may change places: no output notices.

    >>> from amhw.synth import Technology
    >>> _alike(Technology.named("sky130hd").cell("sky130_fd_sc_hd__a21oi_1"))
    {'A1': ('A2',), 'A2': ('A1',), 'B1': ()}
    """
    names = [pin.name for pin in cell.inputs]
    if cell.flip_flop is not None:
        return {}
    found: dict[str, tuple[str, ...]] = dict.fromkeys(names, ())
    for a, b in itertools.combinations(names, 2):
        exchanged = [{a: b, b: a}.get(name, name) for name in names]
        if all(truth_table(o.function, names) == truth_table(o.function, exchanged) for o in cell.outputs):
            found[a] += (b,)
            found[b] += (a,)
    return found
