"""Yosys reads what people write, in the dialect that they mean, and opens no file for it."""

import json
from pathlib import Path

import numpy as np
import pytest

from amhw import Refusal
from amhw.circuit import Circuit
from amhw.hdl import PLAIN_FIRST, Source, elaborated, yosys
from amhw.hdl.pieces import STATEMENTS, in_pieces
from amhw.hdl.reading import UnreadableError, buses, top_of
from amhw.synth import SEARCH, Synthesiser, Technology

FIELD = Path(__file__).parent.parent / "data" / "field"
A, B = np.arange(16)[:, None], np.arange(16)[None, :]

MULTIPLIER = "module m(input [3:0] a, input [3:0] b, output [7:0] p); {} assign p = a * b; endmodule\n"

DIALECTS = {
    "verilog": (FIELD / "sv_word.v").read_text(encoding="utf-8"),
    "verilog, names": "module m(input [3:0] a, b, output [7:0] p); wire [7:0] bit, byte, priority; "
    "assign bit = a * b, byte = bit, priority = byte, p = priority; endmodule",
    "systemverilog": (FIELD / "sv_in_v.v").read_text(encoding="utf-8"),
    "systemverilog, array": "module m(input logic [3:0] a, b, output logic [7:0] p); logic [3:0] both [2]; "
    "assign both = '{a, b}; assign p = both[0] * both[1]; endmodule",
    "slang, set": "module m(input logic [3:0] a, b, output logic [7:0] p); "
    "assign p = a inside {[0:15]} ? a * b : '0; endmodule",
    "slang, package": "package c; typedef logic [3:0] op_t; endpackage\n"
    "module m import c::*; (input op_t a, input op_t b, output logic [7:0] p); assign p = a * b; endmodule",
    "systemverilog, interface": "interface i; logic [3:0] a, b; logic [7:0] p; "
    "modport m(input a, b, output p); endinterface\n"
    "module core(i.m x); assign x.p = x.a * x.b; endmodule\n"
    "module m(input logic [3:0] a, b, output logic [7:0] p); i w(); "
    "assign w.a = a, w.b = b, p = w.p; core c(.x(w)); endmodule",
}


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect_is_read_and_found(name):
    circuit = Circuit.read(DIALECTS[name])
    assert circuit.source.dialects == (name.partition(",")[0],)
    assert (circuit.evaluate({"a": A, "b": B})["p"] == A * B).all()


def test_synthesis_reads_every_dialect():
    with Synthesiser(Technology.named("sky130hd"), [SEARCH], workers=1) as synthesiser:
        areas = [synthesiser.submit(text).result().area_um2 for text in DIALECTS.values()]
    assert max(areas) < 1.05 * min(areas)


def test_what_no_dialect_knows_is_refused_with_each_reason():
    with pytest.raises(Refusal) as refusal:
        Circuit.read("module m(input a, output b);\n assign b = ;\n endmodule")
    assert str(refusal.value) == (
        "Yosys rejects this Verilog: line 2: syntax error, unexpected ';' (as Verilog-2005 and SystemVerilog); "
        "line 2: expected expression (as SystemVerilog by slang)"
    )


def test_lines_of_several_files_are_named(tmp_path):
    (tmp_path / "good.v").write_text("module good(input a, output b); bad x(a, b); endmodule\n")
    (tmp_path / "bad.v").write_text("module bad(input a, output b);\n\n assign b = ; endmodule\n")
    source = Source.of_files([tmp_path / "good.v"], [tmp_path / "bad.v"])
    with pytest.raises(Refusal, match=r"bad\.v line 3: syntax error"):
        Circuit.read(source)


# Tops


def test_top():
    assert top_of({"a": {"b", "c"}, "b": {"c"}, "c": set()}, {}) == "a"
    assert top_of({"m": set(), "spare": set()}, {}, own=["m"]) == "m"
    assert top_of({"m": set()}, {}, own=["elsewhere"]) == "m"
    multiplier = {"a": ("input", 4), "b": ("input", 4), "en": ("input", 1), "p": ("output", 8), "ok": ("output", 1)}
    bits = {
        **{f"{bus}{k}": ("input", 1) for bus in "xy" for k in range(3)},
        **{f"z{k}": ("output", 1) for k in range(6)},
    }
    cell = {"a": ("input", 1), "b": ("input", 1), "c": ("input", 1), "s": ("output", 1)}
    for ports in (multiplier, bits):
        assert top_of({"fa": set(), "m": set()}, {"fa": cell, "m": ports}) == "m"
    for modules, ports, words in (
        ({"b": {"c"}, "a": set(), "c": set()}, {}, "several possible tops: a, b; choose one with --top"),
        ({"b": set(), "a": set()}, {"a": multiplier, "b": multiplier}, "several possible tops: a, b"),
        ({}, {}, "no module with contents"),
        ({"a": {"b"}, "b": {"a"}}, {}, "a, b instantiate one another"),
    ):
        with pytest.raises(UnreadableError, match=words):
            top_of(modules, ports)


def test_the_top_is_in_the_file_and_not_in_the_library():
    source = Source.of_files([FIELD / "top2.v"], [FIELD / "cells.v"])
    circuit = Circuit.read(source)
    a, b = np.arange(4)[:, None], np.arange(4)[None, :]
    assert circuit.top == "top2" and (circuit.evaluate({"a": a, "b": b})["p"] == (a & b & 1)).all()


def test_buses():
    names = [f"a[{k}]" for k in range(12)] + ["b_1", "b_0", "c<2>", "c<1>", "d1", "d3", "e0", "in"]
    assert buses(names) == {
        "a": tuple(f"a[{k}]" for k in range(12)),
        "b": ("b_0", "b_1"),
        "c": ("c<1>", "c<2>"),
        "e": ("e0",),
    }


# What a text from elsewhere must not do


HOSTILE = {
    "system": ('initial $system("touch {out}");', "$system"),
    "open": ('integer f; initial f = $fopen("{out}", "w");', "$fopen"),
    "write memory": ('reg [7:0] r[0:1]; initial $writememh("{out}", r);', "$writememh"),
    "read memory": ('reg [7:0] r[0:1]; initial $readmemh("{secret}", r); wire [7:0] w = r[a[0]];', "$readmemh"),
    "include": ('`include "{secret}"\n', "include"),
    "include by a macro": ('`define X(f) `include f\n`X("{secret}")\n', ""),
    "include by pasting": ('`define X `inc``lude "{secret}"\n`X\n', ""),
    "a function in C": ('import "DPI-C" function integer getpid(); localparam integer X = getpid();', ""),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("synthesised", [False, True])
def test_no_file_is_opened_and_nothing_runs(tmp_path, name, synthesised):
    (tmp_path / "secret").write_text("2a 2b\n")
    body, words = HOSTILE[name]
    text = MULTIPLIER.format(body.format(out=tmp_path / "out", secret=tmp_path / "secret"))
    if name == "a function in C":
        text = body.partition(";")[0] + ";\n" + MULTIPLIER.format(body.partition(";")[2])
    with pytest.raises(Refusal) as refusal:
        if synthesised:
            with Synthesiser(Technology.named("sky130hd"), [SEARCH], workers=1) as synthesiser:
                synthesiser.submit(text).result()
        else:
            Circuit.read(text)
    assert words in str(refusal.value) and "2a" not in str(refusal.value)
    assert not (tmp_path / "out").exists()


def test_a_memory_file_behind_a_parameter_is_not_opened(tmp_path):
    """Modules with parameters are elaborated after the text has been read."""
    (tmp_path / "secret").write_text("1 2\n")
    rom = 'module rom #(parameter F = "") (input a, output [7:0] p); reg [7:0] r[0:1]; initial $readmemh(F, r); '
    text = rom + "assign p = r[a]; endmodule\n"
    text += f'module m(input a, output [7:0] p); rom #(.F("{tmp_path / "secret"}")) x(a, p); endmodule\n'
    with pytest.raises(Refusal, match="readmemh"):
        Circuit.read(text)


def test_waves_are_not_written(tmp_path):
    dump = f'initial begin $dumpfile("{tmp_path / "out"}"); $dumpvars; end'
    circuit = Circuit.read(MULTIPLIER.format(dump))
    assert (circuit.evaluate({"a": A, "b": B})["p"] == A * B).all()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["m;!touch${IFS}pwned", 'm"!touch', "m#x"])
@pytest.mark.parametrize("inside", [False, True])
def test_names_are_no_commands(tmp_path, name, inside):
    body = "module \\{} (input [3:0] a, input [3:0] b, output [7:0] p); assign p = a * b; endmodule\n"
    text = body.format(name)
    if inside:
        text += f"module m(input [3:0] a, input [3:0] b, output [7:0] p); \\{name} x(a, b, p); endmodule\n"
    with pytest.raises(Refusal, match="no plain name; rename it"):
        elaborated(Source(text), tmp_path)
    assert not (tmp_path / "pwned").exists()


def test_ports_may_have_any_name():
    ports = ("a;!touch", 'b"', "p\\n#")
    a, b, p = (f"\\{port} " for port in ports)
    text = f"module m(input [3:0] {a}, input [3:0] {b}, output [7:0] {p}); assign {p} = {a} * {b}; endmodule"
    circuit = Circuit.read(text)
    assert (circuit.evaluate({ports[0]: A, ports[1]: B})[ports[2]] == A * B).all()


# Limits


ENDLESS = MULTIPLIER.format(
    "genvar i; generate for (i = 0; 1; i = i + 1) begin wire x; assign x = a[0]; end endgenerate"
)


def test_endless_verilog_meets_a_limit_of_memory(monkeypatch):
    monkeypatch.setattr(yosys, "MOST_MEMORY", 256 << 20)
    with pytest.raises(Refusal, match="Yosys takes more memory than 256 MiB"):
        Circuit.read(ENDLESS)


def test_endless_verilog_meets_a_limit_of_time(monkeypatch):
    monkeypatch.setattr(yosys, "LONGEST_S", 1)
    with pytest.raises(Refusal, match="Yosys takes longer than 1 s; is there a loop in the Verilog that does not end"):
        Circuit.read(ENDLESS)


# Parameters


@pytest.mark.parametrize(
    "text",
    [
        "module m #(parameter W = 16) (input [W-1:0] a, b, output [2*W-1:0] p); assign p = a * b; endmodule",
        "module m #(parameter W) (input logic [W-1:0] a, b, output logic [2*W-1:0] p); assign p = a * b; endmodule",
        "module m #(parameter int W = 16) (input logic [W-1:0] a, b, output logic [2*W-1:0] p); "
        "assign p = a inside {[0:'1]} ? a * b : '0; endmodule",
    ],
)
def test_parameters_of_the_top(text):
    circuit = Circuit.read(text, parameters={"W": "4"})
    assert circuit.top == "m" and circuit.inputs["a"].width == 4
    assert (circuit.evaluate({"a": A, "b": B})["p"] == A * B).all()
    with pytest.raises(Refusal, match=r"(no parameter V|parameter 'V' does not exist)"):
        Circuit.read(text, parameters={"V": "4"})


@pytest.mark.parametrize(("name", "value"), [("W", "4;shell"), ("W;shell", "4"), ("W", "4 -top x"), ("W", '"x"')])
def test_parameters_are_verilog_numbers(name, value):
    with pytest.raises(Refusal, match="no parameter with a Verilog number"):
        Circuit.read(MULTIPLIER.format(""), parameters={name: value})


def test_the_reading_order_of_plain_files_begins_with_plain_verilog():
    assert PLAIN_FIRST[0] == "verilog"


def test_long_initial_blocks_are_read_in_pieces(tmp_path):
    """The memory has its words, and what is wrong behind it is found in its own line."""
    words = [(7 * k + 3) % 251 for k in range(3 * STATEMENTS + 5)]
    lines = ["module top(input clk, input [7:0] a, output reg [7:0] q);", f"  reg [7:0] store [{len(words) - 1}:0];"]
    lines += ["  initial begin", *(f"    store[{k}] = 8'd{word};" for k, word in enumerate(words)), "  end"]
    lines += ["  always @(posedge clk) q <= store[a];", "endmodule"]
    text = "\n".join(lines)
    pieces = in_pieces(text)
    assert pieces.count("initial begin") == 4 and pieces.count("\n") == text.count("\n")
    assert in_pieces(pieces) == pieces
    for folder in ("right", "wrong"):
        (tmp_path / folder).mkdir()
    elaborated(Source(pieces), tmp_path / "right", ["memory_collect", "write_json design.json"])
    [module] = json.loads((tmp_path / "right" / "design.json").read_text())["modules"].values()
    [memory] = [cell for cell in module["cells"].values() if cell["type"] == "$mem_v2"]
    assert memory["parameters"]["INIT"] == "".join(f"{word:08b}" for word in reversed(words))
    with pytest.raises(Refusal, match=f"line {len(lines)}"):
        elaborated(Source(pieces.replace("endmodule", "endmodulo")), tmp_path / "wrong")


def test_other_initial_blocks_stay_as_they_are():
    block = "  initial begin\n" + "    a = 8'd1;\n" * 200 + "  end\n"
    words = "".join(f"    m[{k}] = 1'd0;\n" for k in range(200))
    inside = f"  initial begin\n    if (1) begin\n{words}  end end\n"
    assert in_pieces(block) == block and in_pieces(inside) == inside
