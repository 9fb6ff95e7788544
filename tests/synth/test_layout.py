"""Placed netlists: legal, the same every time, wires right by hand and by algebra, timed as OpenSTA times them."""

import itertools
import json
import math
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from amhw.commands.synth import command
from amhw.refusal import Refusal
from amhw.synth import AS_DESIGNED, SEARCH, Expected, Synthesiser, Technology, technologies
from amhw.synth.interconnect import interconnect
from amhw.synth.layout import laid_out
from amhw.synth.library import Cell, Input, Library, Output
from amhw.synth.netlist import Gate, Memory, Netlist
from amhw.synth.opensta import available, timing_by_opensta
from amhw.synth.placement import Placement, place, place_again
from amhw.synth.sizing import sized
from amhw.synth.spef import spef
from amhw.synth.timing import timing
from amhw.synth.truth import check
from amhw.synth.wires import wires_of
from amhw.verilog import Design

WIDTH = 5
PRODUCTS = Expected(np.arange(1 << WIDTH)[:, None] * np.arange(1 << WIDTH))
MULTIPLIER = f"""module multiplier(input [{WIDTH - 1}:0] a, b, output [{2 * WIDTH - 1}:0] p);
  assign p = a * b;
endmodule
"""


@pytest.fixture(scope="module", params=technologies())
def technology(request):
    return Technology.named(request.param)


@pytest.fixture(scope="module")
def netlists(technology):
    """The multiplier of both kinds."""
    with Synthesiser(technology, (SEARCH, AS_DESIGNED), workers=1, netlists=True) as synthesiser:
        result = synthesiser.submit(MULTIPLIER, expected=PRODUCTS).result()
    return {mapping.kind: mapping.gates for mapping in result.mappings}


@pytest.fixture(scope="module")
def layout(technology, netlists):
    return laid_out(netlists["as designed"], technology, seeds=(1, 2, 3))


# One gate of two inputs for trees by hand.

BUFFER = Cell("buf", 4.0, (Input("A", 2.0, 2.0),), (Output("X", "A", 50.0, ()),))
SINKS = Cell("and3", 4.0, tuple(Input(pin, 2.0, 2.0) for pin in "ABC"), (Output("X", "A&B&C", 50.0, ()),))


def star(points):
    """A net from an input at the origin to a gate at each of `points`, each one a buffer."""
    gates = tuple(Gate(f"g{k}", BUFFER, {"A": 2, "X": 3 + k}) for k in range(len(points)))
    netlist = Netlist("star", {"a": (2,)}, {}, gates, (), {})
    return netlist, Placement(100.0, 100.0, 2.72, tuple(points), {"a": (0.0, 0.0)}, 1)


def wired(points, outside=0.0):
    return interconnect(*star(points), wires_of("sky130hd"), outside)


def test_one_wire_by_hand():
    found = wired([(30.0, 40.0)])
    # met1 and met2: 0.125 Ω a square, 0.14 µm wide; 25.7784 and 16.9423 aF/µm², both edges 40.567 and 37.759 aF/µm.
    resistance = 70 * 0.125 / 0.14
    capacitance = (30 * (25.7784 * 0.14 + 2 * 40.567) + 40 * (16.9423 * 0.14 + 2 * 37.759)) / 1000
    assert found.length_um == pytest.approx(70)
    assert found.capacitance[2] == pytest.approx(capacitance)
    assert found.delay["g0", "A"] == pytest.approx(resistance * (capacitance / 2 + 2.0) / 1000)


@pytest.mark.parametrize(
    ("points", "length"),
    [
        ([(10.0, 0.0), (5.0, 8.0)], 18),  # a Steiner point at (5, 0)
        ([(4.0, 4.0), (4.0, 9.0), (9.0, 4.0)], 18),
        ([(10.0, 0.0), (10.0, 0.0)], 10),  # two pins at one place
        ([(2.0, 2.0), (4.0, 4.0), (6.0, 6.0)], 12),  # one after the other
    ],
)
def test_pins_share_their_way(points, length):
    assert wired(points).length_um == pytest.approx(length)


def test_trees_are_no_longer_than_a_minimum_spanning_tree():
    random = np.random.default_rng(3)
    for count in (2, 3, 5, 9, 17):
        points = [(float(x), float(y)) for x, y in random.uniform(0, 100, (count, 2))]
        assert (
            half_perimeter([(0.0, 0.0), *points]) <= wired(points).length_um <= spanning([(0.0, 0.0), *points]) + 1e-9
        )


def half_perimeter(points):
    return sum(max(axis) - min(axis) for axis in zip(*points, strict=True))


def spanning(points):
    """Prim's."""
    left, length = list(points[1:]), 0.0
    tree = [points[0]]
    while left:
        found, point = min((abs(p[0] - q[0]) + abs(p[1] - q[1]), p) for p in left for q in tree)
        left.remove(point)
        tree.append(point)
        length += found
    return length


def legal(netlist, placement, facts):
    """Every cell in a row of the core, none on another."""
    boxes = []
    for gate, (x, y) in zip(netlist.instances, placement.gates, strict=True):
        half = gate.cell.area / facts.row_height / 2
        assert x - half >= -0.02 and x + half <= placement.width + 0.02
        row = y / facts.row_height - 0.5
        assert row == pytest.approx(round(row), abs=0.01) and 0 <= round(row) < placement.height / facts.row_height
        boxes.append((round(row), x - half, x + half))
    for (row, _, right), (other, left, _) in itertools.pairwise(sorted(boxes)):
        assert row != other or right <= left + 0.02
    return True


def test_cells_stand_in_rows_and_apart(technology, netlists):
    facts, netlist = wires_of(technology.name), netlists["as designed"]
    found = place(netlist, facts, (1, 2))
    for placement in found:
        assert legal(netlist, placement, facts)
        assert math.fsum(g.cell.area for g in netlist.instances) / placement.area_um2 == pytest.approx(0.6, rel=0.05)
    assert found == place(netlist, facts, (1, 2))
    assert found[0].gates != found[1].gates


def test_placed_again_cells_stay_near_where_they_stood(technology, netlists, monkeypatch):
    """One gate becomes three times as large and one net gets a buffer, which stands among what it drives."""
    facts, netlist = wires_of(technology.name), netlists["as designed"]
    before = place(netlist, facts, (1, 2))
    kind, into, out = technology.buffer
    net, readers = max(netlist.sinks.items(), key=lambda pair: (len(pair[1]), pair[0]))
    moved, fresh = {gate.name for gate, _ in readers[:2]}, 100_000
    gates = [
        replace(gate, nets={pin: fresh if at == net and gate.name in moved else at for pin, at in gate.nets.items()})
        for gate in netlist.gates
    ]
    large = gates[0].name
    gates[0] = replace(gates[0], cell=replace(gates[0].cell, area=3 * gates[0].cell.area))
    changed = replace(netlist, gates=(*gates, Gate("fresh", technology.cell(kind), {into: net, out: fresh})))
    found = place_again(changed, facts, netlist, before)
    assert [placement.seed for placement in found] == [1, 2]
    for old, new in zip(before, found, strict=True):
        assert legal(changed, new, facts)
        was = dict(zip((gate.name for gate in netlist.instances), old.gates, strict=True))
        now = dict(zip((gate.name for gate in changed.instances), new.gates, strict=True))
        far = sorted(math.dist(was[name], now[name]) for name in was if name != large)
        assert far[len(far) // 2] < 2 * facts.row_height < math.dist((0, 0), (new.width, new.height)) / 4
        middle = [sum(now[name][axis] for name in moved) / len(moved) for axis in (0, 1)]
        assert math.dist(now["fresh"], middle) < 4 * facts.row_height
    monkeypatch.setattr("amhw.synth.placement._LARGE", 0)  # as many processes as cores: the same places
    assert place_again(changed, facts, netlist, before) == found
    assert place(netlist, facts, (1, 2)) == before


def test_cells_that_are_connected_stand_together(technology, layout):
    """Against the same places dealt at random, and no seed is much better than another."""
    facts, gates = wires_of(technology.name), list(layout.placement.gates)
    found = [interconnect(layout.netlist, place, facts, 0.0).length_um for place in place(layout.netlist, facts)]
    np.random.default_rng(1).shuffle(gates)
    dealt = interconnect(layout.netlist, replace(layout.placement, gates=tuple(gates)), facts, 0.0)
    assert max(found) < 0.47 * dealt.length_um and max(found) < 1.2 * min(found)


def test_elmore_delays_are_the_first_moments_of_the_spef(technology, layout):
    """The RC network as written, solved: T = R·C summed by algebra instead of along the tree."""
    names = {net: f"n{net}" for net in layout.wires.trees}
    text = spef(layout.wires, names, lambda pin: f"{pin[0]}:{pin[1]}" if pin[0] else pin[1])
    pins = {(gate.name, pin.name): pin.capacitance for gate in layout.netlist.instances for pin in gate.cell.inputs}
    seen = 0
    for block in re.findall(r"^\*D_NET .*?^\*END$", text, re.MULTILINE | re.DOTALL):
        conn, _, rest = block.partition("*CAP\n")
        caps, _, res = rest.partition("*RES\n")
        nodes = {line.split()[1]: k for k, line in enumerate(caps.splitlines())}
        grounded = np.array([float(line.split()[2]) for line in caps.splitlines()])
        conductance, at, driver = np.zeros((len(nodes),) * 2), {}, None
        for line in res.splitlines()[:-1]:
            _, a, b, ohm = line.split()
            if float(ohm) == 0 and b not in nodes:
                at[b] = nodes[a]
                continue
            siemens = 1e3 / max(float(ohm), 1e-9)
            for i, k in ((nodes[a], nodes[b]), (nodes[b], nodes[a])):
                conductance[i, i] += siemens
                conductance[i, k] -= siemens
        readers = {}
        for line in conn.splitlines()[2:]:
            _, pin, way = line.split()
            port = ":" not in pin
            if (way == "O") != port:
                driver = at[pin]
                continue
            key = ("", pin) if port else (pin.rpartition(":")[0], pin.rpartition(":")[2])
            readers[key] = at[pin]
            grounded[at[pin]] += technology.load if port else pins[key]
        free = [node for node in range(len(nodes)) if node != driver]
        moment = np.zeros(len(nodes))
        moment[free] = np.linalg.solve(conductance[np.ix_(free, free)], grounded[free])
        for key, node in readers.items():
            assert layout.wires.delay[key] == pytest.approx(moment[node], abs=1e-4)
            seen += 1
    assert seen > 100


def test_wires_make_it_slower_and_never_faster(technology, netlists, layout):
    bare = timing(netlists["as designed"], technology)
    assert min(layout.delays) > bare.delay_ps
    assert sorted(layout.delays)[1] == layout.delay_ps and layout.spread < 0.05
    assert layout.timing.path[0].cell == "input" and all(step.gate for step in layout.timing.path[1:])


@pytest.mark.skipif(not available(), reason="OpenSTA is not installed")
def test_opensta_agrees_with_the_same_wires(technology, netlists, layout):
    for found in (layout, laid_out(netlists["restructured"], technology, seeds=(1,))):
        other = timing_by_opensta(found.netlist, technology, wires=found.wires)
        # OpenSTA reduces the load to an effective one and follows the waveform; the wires are short here.
        assert other.delay_ps == pytest.approx(found.delay_ps, rel=0.02)
        bare = timing(found.netlist, technology).delay_ps
        assert other.delay_ps - bare > 0.5 * (found.delay_ps - bare)


def limited(technology, most):
    """The technology with outputs that may drive `most` fF a unit of area."""
    cells = {
        name: replace(cell, outputs=tuple(replace(output, max_capacitance=most * cell.area) for output in cell.outputs))
        for name, cell in technology.library.cells.items()
    }
    library = technology.library
    return Technology.of(technology.name, Library(library.name, cells, library.max_transition, library.voltage))


def test_gates_are_sized_for_their_loads(technology, netlists):
    netlist, strict = netlists["as designed"], limited(technology, 1.2)
    netlist = replace(netlist, gates=tuple(replace(g, cell=strict.cell(g.cell.name)) for g in netlist.gates))

    def over(some):
        loads = dict.fromkeys((net for gate in some.gates for net in gate.nets.values()), 0.0)
        for gate in some.gates:
            for pin in gate.cell.inputs:
                loads[gate.nets[pin.name]] += pin.capacitance
        for nets in some.outputs.values():
            for net in nets:
                loads[net] = loads.get(net, 0.0) + strict.load
        return sum(
            0 < output.max_capacitance < loads[gate.nets[output.name]]
            for gate in some.gates
            for output in gate.cell.outputs
            if output.name in gate.nets
        )

    before = over(netlist)
    found = laid_out(netlist, strict, seeds=(1,)).netlist
    assert before > over(found)
    assert check(found, PRODUCTS) == 1 << 2 * WIDTH
    relaxed = laid_out(netlists["as designed"], technology, seeds=(1,)).netlist
    assert relaxed is netlists["as designed"]


def test_a_net_beyond_every_drive_gets_buffers(technology):
    inverter = min(technology.library.with_truth(1, 0b01), key=lambda cell: cell.area)
    into, out = inverter.inputs[0].name, inverter.outputs[0].name
    most = 4 * inverter.inputs[0].capacitance
    cells = {
        name: replace(cell, outputs=tuple(replace(output, max_capacitance=most) for output in cell.outputs))
        for name, cell in technology.library.cells.items()
    }
    strict = replace(technology, library=replace(technology.library, cells=cells))
    inverter = strict.cell(inverter.name)
    gates = [Gate("driver", inverter, {into: 2, out: 3})]
    gates += [Gate(f"reader{k}", inverter, {into: 3, out: 10 + k}) for k in range(16)]
    netlist = Netlist("tree", {"a": (2,)}, {"y": tuple(range(10, 26))}, tuple(gates), (), {})
    facts = wires_of(technology.name)
    for _ in range(4):
        placement = place(netlist, facts, (1,))[0]
        netlist = sized(netlist, strict, interconnect(netlist, placement, facts, strict.load))
    buffers = [gate for gate in netlist.gates if gate.cell.truth == 0b10]
    assert len(buffers) >= 3 and len(netlist.sinks[3]) < 16
    drivers = {gate.nets[output.name]: gate for gate in netlist.gates for output in gate.cell.outputs}
    for k in range(16):  # every reader still sees the driver, through buffers alone
        gate = next(gate for gate in netlist.gates if gate.name == f"reader{k}")
        net = gate.nets[into]
        while net != 3:
            assert drivers[net] in buffers
            net = drivers[net].nets[drivers[net].cell.inputs[0].name]


def test_memories_and_unknown_wires_are_refused(netlists, technology):
    other = replace(technology, name="other")
    with pytest.raises(Refusal, match="nothing is known of the wires of other; --place goes with"):
        laid_out(netlists["as designed"], other)
    with pytest.raises(Refusal, match=r"memories \(m\) have no size"):
        place(replace(netlists["as designed"], memories=(Memory("m", 4, 4, (), ()),)), wires_of(technology.name))


def test_the_command_prints_both_kinds_and_draws(tmp_path):
    path, drawn = tmp_path / "m.v", tmp_path / "m.svg"
    path.write_text(MULTIPLIER)
    run = CliRunner().invoke(command, [str(path), "--quick", "--place", "--picture", str(drawn)])
    assert run.exit_code == 0, run.output
    assert re.search(r"^restructured:\narea ", run.stdout, re.MULTILINE)
    assert re.search(r"^as designed, the structure kept:\narea ", run.stdout, re.MULTILINE)
    assert re.search(r"^  as designed +[\d.]+ µm² of core +[\d.]+ ps ", run.stdout, re.MULTILINE)
    tree = ElementTree.parse(drawn)
    cells = [e for e in tree.iter("{http://www.w3.org/2000/svg}rect") if e.get("fill-opacity")]
    count = int(re.findall(r"^cells +(\d+)", run.stdout, re.MULTILINE)[-1])
    assert len(cells) == count
    again = CliRunner().invoke(command, [str(path), "--quick", "--place", "--json"])
    placed = json.loads(again.stdout)["placed"]
    assert placed.keys() == {"as designed", "restructured"}
    for kind, figures in placed.items():
        assert f"{figures['delay_ps']:.1f} ps" in run.stdout, kind
        assert len(figures["delays_ps"]) == 3 and figures["core_um2"] > figures["area_um2"] > 0
    alone = CliRunner().invoke(command, [str(path), "--picture", str(drawn)])
    assert alone.exit_code == 2 and "goes with --place" in alone.stderr


def test_as_designed_the_structure_shows():
    """Ripple and Kogge–Stone are one function: restructured they come near each other, as designed they do not."""
    designs = [Design.parse(f"mul_u5s5_pp_full__array__{adder}") for adder in ("ripple", "kogge_stone")]
    with Synthesiser(Technology.named("sky130hd"), (SEARCH, AS_DESIGNED), workers=1) as synthesiser:
        found = [synthesiser.submit(design.verilog(), design.name).result() for design in designs]
    kept = [result.as_designed for result in found]
    assert all(mapping is not None and mapping.cells_by_type.get("sky130_fd_sc_hd__fa_1", 0) > 5 for mapping in kept)
    ripple, prefix = kept
    assert ripple.delay_ps > 1.2 * prefix.delay_ps and ripple.area_um2 < 0.97 * prefix.area_um2
    assert all(result.best_area.kind == "restructured" for result in found)
    assert all(result.area_um2 == result.restructured[0].area_um2 for result in found)
