"""Yosys and ABC at work: areas known by hand, functions preserved, refusals."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from amhw.commands.synth import command
from amhw.refusal import Refusal
from amhw.synth import RECIPES, SEARCH, Synthesiser, Technology, technologies
from amhw.synth.recipe import AREA

INVERTER = "module inverter(input a, output y); assign y = ~a; endmodule"
MULTIPLIER = """
module multiplier(input [3:0] a, input signed [3:0] b, output signed [7:0] p);
  assign p = $signed({1'b0, a}) * b;
endmodule
"""


@pytest.fixture(scope="module", params=technologies())
def synthesiser(request):
    with Synthesiser(Technology.named(request.param), workers=1, netlists=True) as synthesiser:
        yield synthesiser


GATES = {  # expression: area in sky130hd and in sg13g2, from the foundries' Liberty files
    "~a": (3.7536, 5.4432),
    "~(a & b)": (3.7536, 7.2576),
    "a & b": (6.256, 9.072),
    "a ^ b": (8.7584, 14.5152),
    "~(a & b | c)": (5.0048, 9.072),
    "{2{a}} & {b, c}": (12.512, 18.144),
}


@pytest.mark.parametrize("expression", GATES)
def test_a_gate_has_its_cells_area(synthesiser, expression):
    text = f"module gate(input a, b, c, output [1:0] y); assign y = {expression}; endmodule"
    best = synthesiser.submit(text.replace("[1:0]", "[1:0]" if "{" in expression else "")).result().best_area
    assert best.area_um2 == GATES[expression][synthesiser.technology.name == "sg13g2"]
    assert best.delay_ps > 0


def test_registers_count_with_their_area(synthesiser):
    text = "module r(input c, input [4:0] d, output reg [4:0] q); always @(posedge c) q <= d; endmodule"
    result = synthesiser.submit(text).result()
    (name, count), *_ = result.best_area.cells_by_type.items()
    cell = synthesiser.technology.cell(name)
    assert cell.flip_flop is not None and count == 5
    assert result.area_um2 == pytest.approx(5 * cell.area)
    best = result.best_area
    assert [step.cell for step in best.path] == [name]
    assert (best.path[0].pin, best.start, best.setup_ps) == ("CLK", "q[0]", 0)
    assert result.delay_ps == best.path[0].arrival_ps > 50


def test_wires_cost_nothing(synthesiser):
    result = synthesiser.submit("module w(input a, output y, z); assign y = a; assign z = 1; endmodule").result()
    assert (result.area_um2, result.delay_ps, result.cells) == (0, 0, 0)


EQUIVALENCE = """
import sys
from pyosys import libyosys
design = libyosys.Design()
liberty, original, mapped = sys.argv[1:]
for command in (
    f"read_liberty {liberty}", f"read_verilog -sv {original}", "rename multiplier gold",
    f"read_verilog {mapped}", "rename multiplier gate", "proc", "flatten",
    "miter -equiv -flatten -make_outputs gold gate miter", "hierarchy -top miter", "proc", "opt",
    "sat -verify -prove trigger 0 miter",
):
    libyosys.run_pass(command, design)
"""


def equivalent(folder, technology, netlist):
    paths = [folder / name for name in ("cells.lib", "original.v", "mapped.v")]
    for path, text in zip(paths, (technology.liberty, MULTIPLIER, netlist), strict=True):
        path.write_text(text)
    run = subprocess.run([sys.executable, "-c", EQUIVALENCE, *paths], capture_output=True, text=True, check=False)
    assert "SAT proof finished" in run.stdout or "Solving problem" in run.stdout, run.stdout[-500:]
    return run.returncode == 0 and "no model found: SUCCESS" in run.stdout


def test_every_recipe_keeps_the_function(synthesiser, tmp_path):
    result, technology = synthesiser.submit(MULTIPLIER).result(), synthesiser.technology
    assert [mapping.recipe for mapping in result.mappings] == [recipe.name for recipe in synthesiser.recipes]
    assert set(RECIPES) - set(synthesiser.recipes) == {r for r in RECIPES if r.adders and not technology.small_adders}
    for mapping in result.mappings:
        assert equivalent(tmp_path, synthesiser.technology, mapping.netlist), mapping.recipe
    wrong = result.best_area.netlist.replace("a[1]", "a[2]")
    assert not equivalent(tmp_path, synthesiser.technology, wrong)


def test_best_of_the_recipes(synthesiser):
    result = synthesiser.submit(MULTIPLIER).result()
    assert result.best_area.area_um2 == min(m.area_um2 for m in result.mappings) == result.best_area.area_um2
    assert result.best_delay.delay_ps == min(m.delay_ps for m in result.mappings)
    product = result.best_product.area_um2 * result.best_product.delay_ps
    assert (result.area_um2, result.delay_ps) == (result.best_product.area_um2, result.best_product.delay_ps)
    assert all(product <= m.area_um2 * m.delay_ps for m in result.mappings)
    assert result.nand2 == pytest.approx(result.area_um2 / synthesiser.technology.nand2_area)
    for m in result.mappings:
        cells = synthesiser.technology.library.cells
        assert m.area_um2 == pytest.approx(sum(n * cells[name].area for name, n in m.cells_by_type.items()))


def test_figures_do_not_depend_on_what_came_before():
    technology = Technology.named("sky130hd")
    with Synthesiser(technology, [SEARCH, AREA], workers=1) as synthesiser:
        first = synthesiser.submit(MULTIPLIER).result()
        synthesiser.submit(INVERTER).result()
        again = synthesiser.submit(MULTIPLIER).result()
    with Synthesiser(technology, [AREA], workers=1) as synthesiser:
        alone = synthesiser.submit(MULTIPLIER).result()
    assert first == again
    assert alone.mappings[0] == first.mappings[1]


REFUSED = {
    "Yosys rejects this Verilog: line 1: syntax error": "module m(input a, output y); assign y = a +; endmodule",
    "several possible tops: m, n; choose one": "module m(input a, output y); assign y = a; endmodule "
    "module n(input a, output y); assign y = ~a; endmodule",
    "no module with contents": "module m(input a); endmodule",
    r"foo' referenced": "module m(input a, output y); foo f(.a(a), .y(y)); endmodule",
    "black boxes: foo": "(* blackbox *) module foo(input a, output y); endmodule "
    "module m(input a, output y); foo f(.a(a), .y(y)); endmodule",
    "latch for y": "module m(input a, e, output reg y); always @* if (e) y = a; endmodule",
    "combinational loop through": "module m(input a, b, output y); wire q, r; "
    "assign q = ~(a & r); assign r = ~(b & q); assign y = q; endmodule",
    "multiply-driven net: y": "module m(input a, b, output y); assign y = ~a; assign y = a & b; endmodule",
    "inout port: a; make it": "module m(inout a, input e, output y); assign y = a & e; endmodule",
    "three-state: y driven with z": "module m(input a, e, output y); assign y = e ? a : 1'bz; endmodule",
    "three-state: w driven": "module m(input a, b, e, output y); wire w; assign w = e ? a : 1'bz; "
    "assign w = e ? 1'bz : b; assign y = ~w; endmodule",
    r"W' has no default value": "module m #(parameter W) (input [W-1:0] a, output y); assign y = ^a; endmodule",
    "undriven net: w": "module m(input a, output y); wire w; assign y = a & w; endmodule",
}


@pytest.fixture(scope="module")
def quick():
    with Synthesiser(Technology.named("sky130hd"), [SEARCH], workers=1) as synthesiser:
        yield synthesiser


@pytest.mark.parametrize("says", REFUSED)
def test_unusable_verilog_is_refused(quick, says):
    with pytest.raises(Refusal, match=says) as refusal:
        quick.submit(REFUSED[says]).result()
    assert "\n" not in str(refusal.value) and "/tmp" not in str(refusal.value)


def test_what_is_no_hardware_costs_nothing(quick):
    told = 'always @(posedge c) $display("%d", a); always @* assert (a || !a); assume property (a);'
    text = f"module m(input c, a, output y); assign y = ~a; {told} endmodule"
    assert quick.submit(text).result().cells == 1


def test_word_level_feedback_between_different_bits_is_no_loop(quick):
    text = "module m(input [3:0] a, output [3:0] c); assign c = {c[2:0] & a[3:1], a[0]}; endmodule"
    assert quick.submit(text).result().cells > 0


def test_top_is_found_or_chosen(quick):
    text = "module sub(input a, output y); assign y = ~a; endmodule "
    text += "module top(input a, output y); wire w; sub s(a, w); assign y = w & a; endmodule"
    assert quick.submit(text).result().top == "top"
    assert quick.submit(text, "sub").result().cells == 1
    with pytest.raises(Refusal, match="no module absent in this Verilog; its modules: sub, top"):
        quick.submit(text, "absent").result()


def test_a_refused_design_costs_no_other(quick):
    first, second, third = [quick.submit(*job) for job in ((INVERTER,), ("module",), (INVERTER, "inverter"))]
    assert first.result() == third.result()
    with pytest.raises(Refusal, match="syntax error"):
        second.result()


def test_library_without_flip_flops_maps_combinational_logic_only():
    library = Technology.named("sky130hd").library
    names = [name for name, cell in library.cells.items() if cell.flip_flop is None]
    technology = Technology.of("gates", library.restricted_to(names))
    with Synthesiser(technology, [SEARCH], workers=1) as synthesiser:
        assert synthesiser.submit(INVERTER).result().cells == 1
        with pytest.raises(Refusal, match=r"registers \(q\) in r, and the library has no flip-flops"):
            synthesiser.submit("module r(input c, d, output reg q); always @(posedge c) q <= d; endmodule").result()


def test_a_register_that_no_flip_flop_can_be_is_named():
    library = Technology.named("sky130hd").library
    names = [name for name, cell in library.cells.items() if cell.flip_flop is None or "dfxtp" in name]
    text = (
        "module r(input c, x, d, output reg q); always @(posedge c or posedge x) if (x) q <= 0; else q <= d; endmodule"
    )
    plain = Technology.of("plain", library.restricted_to(names))
    says = r"FF r\.q .* async set or reset are not supported"
    with Synthesiser(plain, [SEARCH], workers=1) as synthesiser, pytest.raises(Refusal, match=says) as refusal:
        synthesiser.submit(text).result()
    assert "$auto" not in str(refusal.value)


def test_command_prints_one_json_object(tmp_path):
    path = tmp_path / "m.v"
    path.write_text(MULTIPLIER)
    run = CliRunner().invoke(command, [str(path), "--tech", "sg13g2", "--json"])
    assert run.exit_code == 0, run.output
    record = json.loads(run.stdout)
    keys = {"area_um2", "nand2", "delay_ps", "cells", "cells_by_type", "tech", "recipe", "tool"}
    assert keys <= set(record)
    assert record["tech"] == "sg13g2" and record["tool"].startswith("Yosys ")
    assert sum(record["cells_by_type"].values()) == record["cells"]
    restructured = [recipe["recipe"] for recipe in record["recipes"] if recipe["kind"] == "restructured"]
    assert restructured == [recipe.name for recipe in RECIPES if not recipe.adders] and record["kind"] == "restructured"
    kept = record["as_designed"]
    assert kept["kind"] == "as designed" and kept["recipe"] not in restructured
    assert sum(kept["cells_by_type"].values()) == kept["cells"] and kept["path"]["steps"]
    assert record["failures"] == [] and record["noise"]["area"] >= 0


def test_registers_on_the_falling_edge_share_their_clocks_inverter(synthesiser):
    text = "module m(input clk, rst, input [3:0] a, output reg [3:0] q, p); "
    text += "always @(EDGE clk) begin p <= a; q <= q + p; if (rst) q <= 0; end endmodule"
    falling, rising = (synthesiser.submit(text.replace("EDGE", edge), prove=True).result() for edge in EDGES)
    for mapping in falling.mappings:
        clocks = {g.nets[pin.name] for g in mapping.gates.flip_flops for pin in g.cell.inputs if pin.is_clock}
        assert len(clocks) == 1 and not clocks & {*mapping.gates.inputs["clk"]}
    inverter = synthesiser.submit(INVERTER).result().best_area.area_um2
    assert 0 < falling.best_area.area_um2 - rising.best_area.area_um2 <= 4 * inverter


EDGES = "negedge", "posedge"


def test_command_prints_a_page_and_takes_a_liberty_file(tmp_path):
    (tmp_path / "g.v").write_text(INVERTER)
    (tmp_path / "my.lib").write_text(Technology.named("sky130hd").liberty)
    run = CliRunner().invoke(command, [str(tmp_path / "g.v"), "--tech", str(tmp_path / "my.lib"), "--quick"])
    assert run.exit_code == 0, run.output
    assert "inverter in my (my.lib), Yosys" in run.stdout
    assert "3.75 µm²" in run.stdout and "a → y, 1 cells" in run.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["none.v"], "cannot read none.v"),
        (["good.v", "--tech", "tsmc5"], "unknown technology 'tsmc5'; known: sg13g2, sky130hd"),
        (["good.v", "--tech", "./good.lib"], "no Liberty file"),
        (["good.v", "--top", "absent"], "no module absent"),
        (["bad.v"], "Yosys rejects this Verilog: line 2: syntax error"),
    ],
)
def test_command_refuses_in_one_line(tmp_path, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.v").write_text(INVERTER)
    (tmp_path / "good.lib").write_text(INVERTER)
    (tmp_path / "bad.v").write_text("module m(input a, output y);\n assign y = ; endmodule\n")
    run = CliRunner().invoke(command, arguments)
    assert run.exit_code == 2
    assert run.stdout == ""
    assert says in run.stderr and run.stderr.count("\n") == 1
