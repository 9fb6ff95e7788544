"""Gate-level truth: the mapped netlist against numbers that came from elsewhere."""

import json

import numpy as np
import pytest

from amhw.synth import SEARCH, Expected, Recipe, Synthesiser, Technology, WrongNetlistError, technologies
from amhw.synth.failure import SynthesisError
from amhw.synth.netlist import ONE, ZERO, Netlist
from amhw.synth.truth import bit_planes, check, unpacked

MULTIPLIER = """
module multiplier(input [3:0] a, input signed [4:0] b, output signed [8:0] p);
  assign p = $signed({1'b0, a}) * b;
endmodule
"""
A, B = np.arange(16), np.where(np.arange(32) < 16, np.arange(32), np.arange(32) - 32)
PRODUCTS = A[:, None] * B[None, :]


@pytest.fixture(scope="module", params=technologies())
def synthesiser(request):
    with Synthesiser(Technology.named(request.param), workers=1, netlists=True) as synthesiser:
        yield synthesiser


def test_every_netlist_computes_every_product(synthesiser):
    result = synthesiser.submit(MULTIPLIER, None, Expected(PRODUCTS)).result()
    assert result.verified == "512 products"
    assert not result.failures


def test_one_wrong_product_is_an_error_that_names_it(synthesiser):
    wrong = PRODUCTS.copy()
    wrong[11, 29] += 1
    lost = synthesiser.submit(MULTIPLIER, None, Expected(wrong))
    with pytest.raises(WrongNetlistError, match="the code 479 for a=11 b=29; expected 480"):
        lost.result()


def test_a_recipe_that_changes_the_function_is_caught():
    lying = Recipe("lying", "strash; zeropo -N 3; dch; map; topo")  # output 3 becomes 0
    with Synthesiser(Technology.named("sky130hd"), [SEARCH, lying], workers=1) as synthesiser:
        assert synthesiser.submit(MULTIPLIER).result().failures == ()
        with pytest.raises(WrongNetlistError, match="recipe lying: the netlist of multiplier gives the code"):
            synthesiser.submit(MULTIPLIER, None, Expected(PRODUCTS)).result()
        with pytest.raises(WrongNetlistError, match="recipe lying: the netlist of multiplier is not its Verilog"):
            synthesiser.submit(MULTIPLIER, prove=True).result()


def test_proof_of_registers_and_of_adder_cells(synthesiser):
    text = """module mac(input clk, input [3:0] a, b, output reg [9:0] s);
      always @(posedge clk) s <= s + a * b; endmodule"""
    result = synthesiser.submit(text, prove=True).result()
    assert result.verified.startswith("proved") and not result.failures
    assert len(result.mappings) == len(synthesiser.recipes)
    plain = synthesiser.submit(text).result()
    assert [m.area_um2 for m in plain.mappings] == [m.area_um2 for m in result.mappings]


def test_a_table_does_not_describe_registers_or_other_ports(synthesiser):
    registered = MULTIPLIER.replace("output signed", "input c, output reg signed").replace(
        "assign p =", "always @(posedge c) p <="
    )
    for text, says in ((registered, "registers"), (MULTIPLIER.replace("[4:0] b", "[3:0] b"), r"ports a\[4\], b\[4\]")):
        lost = synthesiser.submit(text, None, Expected(PRODUCTS))
        with pytest.raises(SynthesisError, match=says):
            lost.result()


def test_every_gate_matters(synthesiser):
    """Turn each gate of a netlist into a constant: the check must notice (unless the gate is redundant)."""
    netlist = synthesiser.submit(MULTIPLIER).result().best_area.gates
    noticed = 0
    for broken in netlist.gates:
        outputs = {broken.nets[o.name] for o in broken.cell.outputs if o.name in broken.nets}
        stuck = {name: tuple(ZERO if net in outputs else net for net in nets) for name, nets in netlist.outputs.items()}
        gates = tuple(
            type(g)(g.name, g.cell, {p: ZERO if n in outputs and g is not broken else n for p, n in g.nets.items()})
            for g in netlist.gates
        )
        faulty = Netlist(netlist.top, netlist.inputs, stuck, gates, (), {})
        try:
            check(faulty, Expected(PRODUCTS))
        except WrongNetlistError:
            noticed += 1
    assert noticed >= 0.95 * len(netlist.gates)


def test_bit_planes_and_back():
    codes = np.random.default_rng(1).integers(0, 1 << 9, 200)
    planes = list(bit_planes(codes, 9))
    assert sum(unpacked(plane, 200).astype(int) << k for k, plane in enumerate(planes)).tolist() == codes.tolist()
    negative = list(bit_planes(np.array([-3]), 4))
    assert [int(unpacked(plane, 1)[0]) for plane in negative] == [1, 0, 1, 1]


def module(cells, ports=None):
    ports = ports or {"a": {"direction": "input", "bits": [2]}, "y": {"direction": "output", "bits": [3, "1"]}}
    return json.dumps({"modules": {"top": {"ports": ports, "netnames": {}, "cells": cells}}})


def test_netlist_in_order_with_constants():
    library = Technology.named("sky130hd").library
    inverter = "sky130_fd_sc_hd__inv_1"
    cells = {
        "second": {"type": inverter, "connections": {"A": [4], "Y": [3]}},
        "first": {"type": inverter, "connections": {"A": [2], "Y": [4]}},
    }
    netlist = Netlist.read(module(cells), library)
    assert [gate.name for gate in netlist.gates] == ["first", "second"]
    assert netlist.outputs["y"] == (3, ONE)
    assert [gate.name for gate, _ in netlist.sinks[4]] == ["second"]
    cells["first"]["connections"]["A"] = [3]
    with pytest.raises(SynthesisError, match="loop through first, second"):
        Netlist.read(module(cells), library)
    with pytest.raises(SynthesisError, match="outside the library after mapping: unknown"):
        Netlist.read(module({"g": {"type": "unknown", "connections": {}}}), library)
