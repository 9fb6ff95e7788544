"""The wires of a placed netlist: a tree for each net, its capacitance, and the Elmore delay to each reader.

A net's tree grows from its driver: the nearest pin joins the tree at the nearest point of the rectangle that one
of its edges spans. The edge may as well bend there, at the same length, so pins share their way. An edge runs
horizontally on one layer and vertically on another. With R and C of each edge, half of its capacitance at either end,
the delay to a reader is

    T = Σ_edges on the way  R_edge · C_beyond

(W. C. Elmore, J. Appl. Phys. 19, 1948), and the edge arrives there slower: √(slew² + (ln 4 · T)²) from 20 to 80 %
(C. V. Kashyap et al., PERI, TAU 2002). The driver sees the sum of all capacitances.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from amhw.synth.netlist import ONE, ZERO, Netlist
from amhw.synth.placement import Placement, Point, clocks_of, port_bits
from amhw.synth.wires import Wires

Pin = tuple[str, str]
"""A gate's name and its pin; or no name and a bit of a port."""

_SLEW = math.log(4)
"""Of a step behind one time constant, from 20 to 80 %."""


@dataclass(frozen=True)
class Tree:
    """One net's wire. Node 0 is the driver; every other hangs on an earlier one.

    `above` has for each node the node that it hangs on (itself for node 0), `edges` R (Ω) and C (fF) of the wire in
    between, `readers` the node of each reader.
    """

    points: tuple[Point, ...]
    above: tuple[int, ...]
    edges: tuple[tuple[float, float], ...]
    driver: Pin
    readers: Mapping[Pin, int] = field(hash=False)

    @property
    def capacitance(self) -> float:
        """Of the whole wire, fF."""
        return math.fsum(c for _, c in self.edges)

    @property
    def length(self) -> float:
        """Of the whole wire, µm."""
        pairs = ((self.points[node], self.points[above]) for node, above in enumerate(self.above))
        return math.fsum(_distance(*pair) for pair in pairs)

    def delays(self, loads: Mapping[Pin, float]) -> dict[Pin, float]:
        """The Elmore delay to each reader (ps) with `loads` (fF) of their pins."""
        beyond = [0.0] * len(self.points)
        for pin, node in self.readers.items():
            beyond[node] += loads.get(pin, 0.0)
        order = _from_driver(self.above)
        for node in reversed(order[1:]):
            half = self.edges[node][1] / 2
            beyond[node] += half
            beyond[self.above[node]] += half + beyond[node]
        delay = [0.0] * len(self.points)
        for node in order[1:]:
            delay[node] = delay[self.above[node]] + self.edges[node][0] * beyond[node] * 1e-3  # Ω·fF = 10⁻³ ps
        return {pin: delay[node] for pin, node in self.readers.items()}


@dataclass(frozen=True)
class Interconnect:
    """The wires of a netlist: a tree for each net, and what timing needs of them.

    Attributes:
        trees: for each net that has a wire.
        capacitance: of each net's wire, fF.
        delay: to each reader, ps.
    """

    trees: Mapping[int, Tree] = field(repr=False, hash=False)
    capacitance: Mapping[int, float] = field(repr=False, hash=False)
    delay: Mapping[Pin, float] = field(repr=False, hash=False)

    @property
    def length_um(self) -> float:
        """Of all wires."""
        return math.fsum(tree.length for tree in self.trees.values())


def interconnect(netlist: Netlist, placement: Placement, wires: Wires, outside: float) -> Interconnect:
    """The wires of `netlist` as `placement` has it; `outside` is the load at each output, fF."""
    drivers: dict[int, tuple[Pin, Point]] = {}
    readers: dict[int, dict[Pin, tuple[Point, float]]] = {}
    inputs = sum(map(len, netlist.inputs.values()))
    for k, (name, net) in enumerate(port_bits(netlist)):
        if k < inputs:
            drivers[net] = ("", name), placement.ports[name]
        else:
            readers.setdefault(net, {})["", name] = placement.ports[name], outside
    for gate, point in zip(netlist.instances, placement.gates, strict=True):
        for output in gate.cell.outputs:
            if output.name in gate.nets:
                drivers[gate.nets[output.name]] = (gate.name, output.name), point
        for pin in gate.cell.inputs:
            if pin.name in gate.nets:
                readers.setdefault(gate.nets[pin.name], {})[gate.name, pin.name] = point, pin.capacitance
    none = {ZERO, ONE, *clocks_of(netlist)}
    trees, delay = {}, {}
    for net, (driver, start) in drivers.items():
        if net in none or net not in readers:
            continue
        tree = _tree(driver, start, {pin: point for pin, (point, _) in readers[net].items()}, wires)
        trees[net] = tree
        delay.update(tree.delays({pin: load for pin, (_, load) in readers[net].items()}))
    return Interconnect(trees, {net: tree.capacitance for net, tree in trees.items()}, delay)


def slew_behind(slew: float, delay: float) -> float:
    """The slew at the end of a wire of Elmore delay `delay`, ps."""
    return math.hypot(slew, _SLEW * delay) if delay else slew


def _tree(driver: Pin, start: Point, readers: Mapping[Pin, Point], wires: Wires) -> Tree:
    points, above, nodes = [start], [0], dict[Pin, int]()
    waiting = dict(readers)
    while waiting:
        near = (
            (_distance(point, meets), pin, node, meets)
            for pin, point in waiting.items()
            for node in range(len(points))
            for meets in [_nearest(point, points[node], points[above[node]])]
        )
        _, pin, node, meets = min(near)
        at = node if meets == points[node] else above[node]
        if meets != points[at]:  # the edge is split
            points.append(meets)
            above.append(above[node])
            at = above[node] = len(points) - 1
        if waiting[pin] != points[at]:
            points.append(waiting[pin])
            above.append(at)
            at = len(points) - 1
        nodes[pin] = at
        del waiting[pin]
    edges = tuple(_wire(points[node], points[above[node]], wires) for node in range(len(points)))
    return Tree(tuple(points), tuple(above), edges, driver, nodes)


def _from_driver(above: Sequence[int]) -> list[int]:
    """The nodes, each after the one that it hangs on."""
    below: list[list[int]] = [[] for _ in above]
    for node, at in enumerate(above):
        if node:
            below[at].append(node)
    order = [0]
    for node in order:
        order += below[node]
    return order


def _wire(a: Point, b: Point, wires: Wires) -> tuple[float, float]:
    """R (Ω) and C (fF) of a wire that bends once."""
    lengths = abs(a[0] - b[0]), abs(a[1] - b[1])
    layers = wires.horizontal, wires.vertical
    return (
        sum(length * layer.resistance for length, layer in zip(lengths, layers, strict=True)),
        sum(length * layer.capacitance for length, layer in zip(lengths, layers, strict=True)),
    )


def _nearest(point: Point, a: Point, b: Point) -> Point:
    """The point nearest to `point` of the rectangle between `a` and `b`."""
    x, y = (min(max(p, min(q, r)), max(q, r)) for p, q, r in zip(point, a, b, strict=True))
    return x, y


def _distance(a: Point, b: Point) -> float:
    return abs(a[0] - b[0]) + abs(a[1] - b[1])
