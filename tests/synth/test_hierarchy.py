"""Modules kept, memories as bits, buffers on broadcast nets."""

import json
import shutil
import subprocess

import numpy as np
import pytest

from amhw.refusal import Refusal
from amhw.synth import SEARCH, Expected, Synthesiser, SynthesisError, Technology, WrongNetlistError
from amhw.synth.models import cell_models
from amhw.synth.netlist import Netlist
from amhw.synth.technology import MOST_READERS
from amhw.synth.truth import check
from amhw.synth.worker import buffered

LEAF = "module leaf(input a, b, output y); assign y = a & b; endmodule "
HIERARCHY = LEAF + (
    "module middle(input [1:0] a, input b, output y); wire [1:0] w; leaf l0(a[0], b, w[0]); leaf l1(a[1], b, w[1]); "
    "assign y = ^w; endmodule module top(input [3:0] a, input b, output [1:0] y); "
    "middle m0(a[1:0], b, y[0]); middle m1(a[3:2], b, y[1]); endmodule"
)
MEMORY = """
module store(input clk, we, input [3:0] at, input [7:0] d, output reg [7:0] q, output reg [2:0] r);
  reg [7:0] cells [0:15];
  always @(posedge clk) begin
    if (we) cells[at] <= d;
    q <= cells[at];
    r <= r + we;
  end
endmodule
"""


@pytest.fixture(scope="module")
def quick():
    with Synthesiser(Technology.named("sky130hd"), [SEARCH], workers=1, netlists=True) as synthesiser:
        yield synthesiser


def test_modules_are_mapped_once_and_add_up(quick):
    result = quick.submit(HIERARCHY, hierarchical=True, prove=True).result()
    leaf = quick.submit(LEAF).result().area_um2
    parity = quick.submit("module m(input a, b, output y); assign y = a ^ b; endmodule").result().area_um2
    modules = {module.name: module for module in result.best_product.modules}
    assert {name: module.instances for name, module in modules.items()} == {"top": 1, "middle": 2, "leaf": 4}
    assert modules["leaf"].area_um2 == pytest.approx(leaf)
    assert modules["middle"].area_um2 == pytest.approx(2 * leaf + parity)
    assert modules["middle"].own_area_um2 == pytest.approx(parity)
    assert modules["top"].own_area_um2 == 0
    assert modules["top"].cells == result.cells == 2 * modules["middle"].cells
    assert result.area_um2 == modules["top"].area_um2 == pytest.approx(4 * leaf + 2 * parity)
    assert result.verified.startswith("proved")
    assert (result.best_product.start, result.best_product.end[0]) == ("b", "y"), "through two modules"
    assert quick.submit(HIERARCHY).result().best_product.modules == ()


def test_a_hierarchy_computes_what_the_flat_design_does(quick):
    text = (
        "module half(input [2:0] a, input [5:0] b, output [8:0] p); assign p = a * b; endmodule "
        "module product(input [5:0] a, b, output [11:0] p); wire [8:0] u, v; "
        "half h(a[5:3], b, u); half l(a[2:0], b, v); assign p = {u, 3'd0} + v; endmodule"
    )
    products = np.arange(64)[:, None] * np.arange(64)
    result = quick.submit(text, expected=Expected(products), hierarchical=True).result()
    assert result.verified == "4096 products"
    assert check(result.best_product.gates, Expected(products)) == 4096
    with pytest.raises(WrongNetlistError):
        quick.submit(text, expected=Expected(products ^ (products == 63)), hierarchical=True).result()


def test_a_loop_through_modules_is_refused(quick):
    inverter = "module inv(input a, output y); assign y = ~a; endmodule "
    ring = inverter + "module ring(input a, output y); wire w; inv u(y, w); assign y = w & a; endmodule"
    for hierarchical in (False, True):
        with pytest.raises(Refusal, match=r"^combinational loop through .*\(in ring\)$"):
            quick.submit(ring, hierarchical=hierarchical).result()
    latch = "module hold(input e, d, output reg q); always @* if (e) q = d; endmodule "
    top = "module top(input e, d, output q); hold h(e, d, q); endmodule"
    with pytest.raises(Refusal, match="latch for q"):
        quick.submit(latch + top, hierarchical=True).result()
    loose = "module sub(input a, output y); wire w; assign y = a & w; endmodule "
    with pytest.raises(Refusal, match="undriven net"):
        quick.submit(loose + "module top(input a, output y); sub s(a, y); endmodule", hierarchical=True).result()


@pytest.mark.parametrize("hierarchical", [False, True])
def test_memories_are_bits_and_no_area(quick, hierarchical):
    result = quick.submit(MEMORY, hierarchical=hierarchical, prove=True).result()
    (memory,) = result.best_product.memories
    assert (memory.name, memory.words, memory.width, memory.bits) == ("cells", 16, 8, 128)
    assert sum("df" in cell for cell in result.best_product.cells_by_type) == 1
    registers = sum(count for cell, count in result.best_product.cells_by_type.items() if "df" in cell)
    assert registers == 3, "the counter's"
    assert result.verified.startswith("proved")
    assert result.record()["memory_bits"] == 128


def test_memories_without_a_clocked_port_are_registers_and_constants_are_gates(quick):
    plain = MEMORY.replace("q <= cells[at];", "").replace("output reg [7:0] q", "output [7:0] q")
    unclocked = quick.submit(plain.replace("endmodule", "assign q = cells[at]; endmodule")).result().best_product
    assert unclocked.memories == ()
    assert sum(count for cell, count in unclocked.cells_by_type.items() if "df" in cell) == 16 * 8 + 3
    table = "; ".join(f"4'd{k}: q <= 8'd{k * k % 251}" for k in range(16))
    rom = f"always @(posedge clk) case (at) {table}; endcase endmodule"
    rom = f"module rom(input clk, input [3:0] at, output reg [7:0] q); {rom}"
    assert quick.submit(rom).result().best_product.memories == ()


def test_broadcast_nets_get_a_tree_of_buffers(quick):
    def registers(count):
        return f"module wide(input clk, en, input [{count - 1}:0] d, output reg [{count - 1}:0] q); reg e; " + (
            "always @(posedge clk) begin e <= en; if (e) q <= d; end endmodule"
        )

    wide = quick.submit(registers(400), prove=True).result()
    narrow = quick.submit(registers(12)).result()
    buffer = quick.technology.buffer[0]
    assert wide.best_product.cells_by_type[buffer] >= 400 // MOST_READERS
    assert buffer not in narrow.best_product.cells_by_type
    assert wide.verified.startswith("proved"), "a buffer changes nothing"
    assert wide.delay_ps < 4 * narrow.delay_ps, "and 400 readers cost no more than a few stages"
    netlist = wide.best_product.gates
    clocks = {gate.nets["CLK"] for gate in netlist.flip_flops}
    assert len(clocks) == 1, "the clock is ideal and stays one net"
    assert max(len(sinks) for net, sinks in netlist.sinks.items() if net not in clocks) <= MOST_READERS


def cell(kind, **connections):
    return {"type": kind, "connections": {pin: [net] for pin, net in connections.items()}, "port_directions": {}}


def module(inputs, outputs, cells):
    ports = {name: {"direction": "input", "bits": [net]} for name, net in inputs.items()}
    ports |= {name: {"direction": "output", "bits": [net]} for name, net in outputs.items()}
    nets = {net for described in cells for bits in described["connections"].values() for net in bits}
    names = {str(net): {"bits": [net]} for net in nets | {*inputs.values(), *outputs.values()}}
    return {"ports": ports, "cells": {str(k): c for k, c in enumerate(cells)}, "netnames": names}


def test_what_a_module_reads_inside_counts_outside():
    inner = module({"a": 2}, {"y": 3}, [cell("inv", A=2, Y=k) for k in range(3, 8)])
    outer = module({"a": 2}, {"y": 3}, [cell("inner", a=2, y=k) for k in range(3, 9)])
    modules = {"outer": outer, "inner": inner}
    added = buffered(modules, {"inv": ["A"], "buf": ["I"]}, {"inv": [], "buf": []}, ["buf", "I", "O"], 10)
    assert added == 3, "two instances of five readers each to a buffer"
    drivers = {
        c["connections"]["O"][0]: c["connections"]["I"][0] for c in outer["cells"].values() if c["type"] == "buf"
    }
    read = [c["connections"]["a"][0] for c in outer["cells"].values() if c["type"] == "inner"]
    assert all(net in drivers and drivers[net] == 2 for net in read)
    assert {net: read.count(net) for net in drivers} == dict.fromkeys(drivers, 2)


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus (iverilog) is not on PATH")
def test_models_of_all_cells_are_verilog_and_pass_on_knowns(tmp_path):
    for name in ("sky130hd", "sg13g2"):
        library = Technology.named(name).library
        path = tmp_path / f"{name}.v"
        path.write_text(cell_models(library, library.cells))
        done = subprocess.run(["iverilog", "-g2005", "-o", "/dev/null", str(path)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_json_of_a_hierarchy_needs_its_top():
    empty = {"ports": {}, "cells": {}, "netnames": {}}
    text = json.dumps({"modules": {"a": empty, "b": empty}})
    library = Technology.named("sky130hd").library
    assert Netlist.read(text, library, "b").top == "b"
    with pytest.raises(SynthesisError, match="2 modules instead of one"):
        Netlist.read(text, library)
