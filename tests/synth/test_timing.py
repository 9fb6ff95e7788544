"""Static timing: by hand, against ABC and against OpenSTA."""

import pytest
from netlist_text import blif

from amhw.synth import Synthesiser, Technology, technologies
from amhw.synth.opensta import available, timing_by_opensta
from amhw.synth.sta import timing_with
from amhw.synth.timing import CLOCK_SLEW

MAC = """module mac(input clk, input [3:0] a, input signed [3:0] b, output reg signed [9:0] s, output parity);
  reg [3:0] x; reg signed [3:0] y;
  always @(posedge clk) begin x <= a; y <= b; s <= s + $signed({1'b0, x}) * y; end
  assign parity = ^s ^ a[0];
endmodule
"""
MULTIPLIER = """module multiplier(input [4:0] a, input signed [4:0] b, output signed [9:0] p);
  assign p = $signed({1'b0, a}) * b;
endmodule
"""


@pytest.fixture(scope="module", params=technologies())
def synthesiser(request):
    with Synthesiser(Technology.named(request.param), workers=1, netlists=True) as synthesiser:
        yield synthesiser


def test_one_inverter_by_hand(synthesiser):
    technology = synthesiser.technology
    mapping = synthesiser.submit("module m(input a, output y); assign y = ~a; endmodule").result().best_area
    (cell,) = (gate.cell for gate in mapping.gates.gates)
    driver = technology.cell(technology.driving_cell).outputs[0].arcs[0]
    arc, pin = cell.outputs[0].arcs[0], cell.inputs[0]
    falls = (
        driver.cell_rise.at(0, pin.rise_capacitance) - driver.cell_rise.at(0, 0)
        + arc.cell_fall.at(driver.rise_transition.at(0, pin.rise_capacitance), technology.load)
    )  # fmt: skip
    rises = (
        driver.cell_fall.at(0, pin.fall_capacitance) - driver.cell_fall.at(0, 0)
        + arc.cell_rise.at(driver.fall_transition.at(0, pin.fall_capacitance), technology.load)
    )  # fmt: skip
    assert mapping.delay_ps == pytest.approx(max(falls, rises), abs=0.01)
    assert [step.cell for step in mapping.path] == ["input", cell.name]
    assert (mapping.start, mapping.end, mapping.path[-1].net) == ("a", "y", "y")


def test_a_register_pays_clock_to_output_and_set_up(synthesiser):
    text = "module m(input clk, d, output q); reg x, z; always @(posedge clk) begin x <= d; z <= x; end "
    mapping = synthesiser.submit(text + "assign q = z; endmodule").result().best_area
    names = {step.cell for step in mapping.path}
    (cell,) = {gate.cell for gate in mapping.gates.flip_flops}
    # x to z has no gate between: clock to output at z's input load, then z's set-up.
    capacitance = next(pin for pin in cell.inputs if pin.name == "D")
    output = next(o for o in cell.outputs if any(o.name in g.nets for g in mapping.gates.flip_flops))
    (arc,) = (arc for arc in output.arcs if arc.related_pin == "CLK")
    loads = capacitance.rise_capacitance, capacitance.fall_capacitance
    tables = (arc.cell_rise, arc.rise_transition), (arc.cell_fall, arc.fall_transition)
    through = max(
        delay.at(CLOCK_SLEW, load) + setup.at(slew.at(CLOCK_SLEW, load), CLOCK_SLEW)
        for (delay, slew), load, setup in zip(tables, loads, capacitance.setup, strict=True)
    )
    at_port = max(delay.at(CLOCK_SLEW, synthesiser.technology.load) for delay, _ in tables)
    assert names == {cell.name}
    assert mapping.delay_ps == pytest.approx(max(through, at_port), abs=0.01)


@pytest.mark.parametrize("name", technologies())
def test_agrees_with_abc(name, tmp_path):
    """ABC's `stime` reads the same library from its Liberty text and finds the same delay.

    Cells with arcs of both senses are left out: ABC merges those.
    """
    library = Technology.named(name).library
    unate = [
        cell.name
        for cell in library.cells.values()
        if all(len({arc.related_pin for arc in o.arcs}) == len(o.arcs) for o in cell.outputs)
    ]
    technology = Technology.of("unate", library.restricted_to(unate))
    liberty = tmp_path / "cells.lib"
    liberty.write_text(technology.liberty)
    with Synthesiser(technology, workers=1, netlists=True) as synthesiser:
        mappings = [m for m in synthesiser.submit(MULTIPLIER).result().mappings if not m.adders]
    netlists = []
    for mapping in mappings:
        netlists.append(tmp_path / f"{mapping.recipe}.blif")
        netlists[-1].write_text(blif(mapping.gates))
    for mapping, found in zip(mappings, timing_with(liberty, technology.constraints, netlists), strict=True):
        assert mapping.delay_ps == pytest.approx(found.delay_ps, abs=0.02), mapping.recipe


@pytest.mark.skipif(not available(), reason="OpenSTA is not on PATH")
@pytest.mark.parametrize("text", [MULTIPLIER, MAC])
def test_agrees_with_opensta(synthesiser, text):
    for mapping in synthesiser.submit(text).result().mappings:
        other = timing_by_opensta(mapping.gates, synthesiser.technology)
        assert mapping.delay_ps == pytest.approx(other.delay_ps, abs=0.02), mapping.recipe
        assert mapping.setup_ps == pytest.approx(other.setup_ps, abs=0.02)
        assert [step.cell for step in other.path] == [step.cell for step in mapping.path]
        assert [step.edge for step in other.path] == [step.edge for step in mapping.path]


CLOCKED = "module m(input clk, en, input [3:0] a, output reg [3:0] q, p); "
CLOCKS = {
    "inverted": "always @(negedge clk) begin p <= a; q <= q + p; end",
    "gated": "wire g = clk & en; always @(posedge g) begin p <= a; q <= q * p; end",
    "gated by a register": "reg on; wire g = clk & on; always @(posedge clk) on <= ^(p * a) ^ en; "
    "always @(posedge g) begin p <= a; q <= q * p; end",
    "both edges": "always @(posedge clk) p <= a + q; always @(negedge clk) q <= q * p;",
    "divided": "reg half; always @(posedge clk) half <= ~half; always @(posedge half) begin p <= a; q <= q * p; end",
}


@pytest.mark.skipif(not available(), reason="OpenSTA is not on PATH")
@pytest.mark.parametrize("kind", CLOCKS)
def test_agrees_with_opensta_on_clocks_that_gates_make(synthesiser, kind):
    for mapping in synthesiser.submit(f"{CLOCKED} {CLOCKS[kind]} endmodule").result().mappings:
        other = timing_by_opensta(mapping.gates, synthesiser.technology)
        assert mapping.delay_ps == pytest.approx(other.delay_ps, abs=0.02), mapping.recipe
        assert (mapping.start, mapping.end) == (other.start, other.end)
        assert [step.cell for step in other.path] == [step.cell for step in mapping.path]


HIERARCHY = """
module cell_(input clk, input [3:0] a, input signed [7:0] s, output reg [3:0] x, output reg signed [7:0] t);
  always @(posedge clk) begin x <= a; t <= s + $signed({1'b0, x}) * $signed({1'b0, x[1:0]}); end
endmodule
module mesh(input clk, we, input [1:0] at, input [3:0] a, input signed [7:0] s, output signed [7:0] t, output [3:0] y);
  wire [3:0] x [0:3]; wire signed [7:0] u [0:3]; reg [3:0] stored [0:3]; reg [3:0] read;
  always @(posedge clk) begin if (we) stored[at] <= x[3]; read <= stored[~at]; end
  cell_ c0(clk, a, s, x[0], u[0]); cell_ c1(clk, x[0], u[0], x[1], u[1]);
  cell_ c2(clk, x[1], {u[1][6:0], a[0]}, x[2], u[2]); cell_ c3(clk, x[2] ^ read, u[2], x[3], u[3]);
  assign t = u[3]; assign y = {x[3][2:0], 1'b0};
endmodule
"""


@pytest.mark.skipif(not available(), reason="OpenSTA is not on PATH")
@pytest.mark.parametrize("top", ["mesh", "cell_"])
def test_agrees_with_opensta_on_a_hierarchy_with_a_memory(synthesiser, top):
    for mapping in synthesiser.submit(HIERARCHY, top, hierarchical=True).result().mappings:
        other = timing_by_opensta(mapping.gates, synthesiser.technology)
        assert mapping.delay_ps == pytest.approx(other.delay_ps, abs=0.02), mapping.recipe
        assert (mapping.start, mapping.end) == (other.start, other.end)
        mine, theirs = ([(s.cell, s.edge, s.net) for s in path] for path in (mapping.path, other.path))
        assert mine == theirs
        assert bool(mapping.modules) == bool(mapping.memories) == (top == "mesh")


def test_the_path_is_consistent(synthesiser):
    mapping = synthesiser.submit(MAC).result().best_delay
    arrivals = [step.arrival_ps for step in mapping.path]
    assert arrivals == sorted(arrivals)
    assert mapping.delay_ps == pytest.approx(arrivals[-1] + mapping.setup_ps, abs=0.02)
    assert all(step.pin and step.load_ff > 0 for step in mapping.path[1:])
