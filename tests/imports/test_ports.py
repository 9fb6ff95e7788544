"""Circuits whose ports are not two operands and a product, and circuits with registers."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from amhw import Masked, ProductTable, Refusal
from amhw.circuit import Circuit
from amhw.cli import main
from amhw.families import Drum, SignMagnitude
from amhw.hdl import Source
from amhw.imports import Imported, read_circuit, read_table
from amhw.imports.signs import sign_magnitude
from amhw.neighbour import Known, known_of
from amhw.verilog import Design

FIELD = Path(__file__).parent.parent / "data" / "field"
CODES = np.arange(16)
EXACT = ProductTable(CODES[:, None] * CODES[None, :])


def field(name: str, *libraries: str) -> Source:
    return Source.of_files([FIELD / name], [FIELD / library for library in libraries])


def again(imported: Imported) -> ProductTable:
    """The table of what was imported, read from its Verilog alone by its own ports."""
    ports = imported.ports
    signed = {(0, 0): "none", (1, 0): "a", (0, 1): "b", (1, 1): "both"}[
        imported.table.signed_a, imported.table.signed_b
    ]
    stated = {"a": ports.a, "b": ports.b, "p": ports.p, "latency": imported.latency}
    return read_circuit(imported.verilog, name="again", top=imported.top, signed=signed, **stated).table


# Ports


def test_inputs_that_stay_are_held():
    with pytest.raises(Refusal, match="p of module extra depends on en too; say --hold en=VALUE"):
        read_circuit(field("extra_input.v"), name="x")
    imported = read_circuit(field("extra_input.v"), name="x", held={"en": 1})
    assert imported.table.sha256 == EXACT.sha256 == again(imported).sha256
    assert not read_circuit(field("extra_input.v"), name="x", held={"en": 0}).table.products.any()


@pytest.mark.parametrize(("held", "words"), [({"on": 1}, "no input 'on'"), ({"en": 2}, "en=2: it has 1 bits")])
def test_what_is_held_is_an_input_that_can_have_the_value(held, words):
    with pytest.raises(Refusal, match=words):
        read_circuit(field("extra_input.v"), name="x", held=held)


def test_ports_of_one_bit_make_up_operands():
    imported = read_circuit(field("bitports.v"), name="bits")
    assert (
        imported.table.products.tolist() == (CODES[:4, None] * CODES[:4]).tolist() == again(imported).products.tolist()
    )
    one = read_circuit(field("one_bit.v"), name="one")
    assert one.table.products.tolist() == [[0, 0], [0, 1]] == again(one).products.tolist()


@pytest.mark.parametrize(
    ("style", "first"), [("{}{}", 0), ("{}_{}", 0), ("\\{}[{}] ", 0), ("\\{}<{}> ", 1), ("{}{}", 1)]
)
def test_ports_of_one_bit_in_any_style(style, first):
    """Twelve bits: the tenth comes after the ninth and not after the first."""
    multiplier = Drum(bits=3, width_a=6, width_b=6)
    names = {
        bus: [style.format(bus, first + k) for k in range(width)] for bus, width in (("x", 6), ("y", 6), ("z", 12))
    }
    ports = ", ".join(["input " + ", ".join(names["x"] + names["y"]), "output " + ", ".join(names["z"])])
    x, y, z = ("{" + ", ".join(reversed(names[bus])) + "}" for bus in "xyz")
    wrapper = f"module bits({ports}); {multiplier.name} m(.a({x}), .b({y}), .p({z})); endmodule\n"
    imported = read_circuit(wrapper + Design(multiplier).verilog(), name="bits", top="bits")
    assert imported.table.sha256 == ProductTable.of(multiplier).sha256 == again(imported).sha256


def test_two_operands_of_one_bit_are_no_bus():
    imported = read_circuit("module m(input in1, in2, output p); assign p = in1 & in2; endmodule", name="m")
    assert imported.table.products.tolist() == [[0, 0], [0, 1]] and imported.top == "m"


def test_parameters_are_kept_with_what_is_imported():
    text = "module m #(parameter W = 16) (input [W-1:0] a, b, output [2*W-1:0] p); assign p = a * b; endmodule"
    with pytest.raises(Refusal, match="cannot hold"):
        read_circuit(text, name="m")
    imported = read_circuit(text, name="m", parameters={"W": "4"})
    assert imported.table.sha256 == EXACT.sha256 == again(imported).sha256


def test_an_output_without_its_low_bits_has_a_weight():
    text = "module m(input [7:0] a, b, output [11:0] p); wire [15:0] t = a * b; assign p = t[15:4]; endmodule"
    imported = read_circuit(text, name="m", shift=4)
    a = np.arange(256)
    expected = a[:, None] * a[None, :] >> 4 << 4
    assert (imported.table.products == expected).all() and imported.table.sha256 == again(imported).sha256
    signed = text.replace("input", "input signed").replace("wire", "wire signed")
    assert read_circuit(signed, name="m", shift=4).table.products[255, 255] == 0
    assert read_circuit(signed, name="m", shift=4).table.products[255, 1] == -16


@pytest.mark.parametrize("signed", ["a", "b", "both"])
@pytest.mark.parametrize(
    "core", [Masked.columns(6, 8, 8), Drum(bits=4, width_a=8, width_b=8)], ids=["mask", "overshoots"]
)
def test_signs_around_an_unsigned_circuit(tmp_path, signed, core):
    """As the family `SignMagnitude` has it, which other tests compare with the literature; DRUM overshoots."""
    signs = {"a": (True, False), "b": (False, True), "both": (True, True)}[signed]
    expected = ProductTable.of(SignMagnitude(core=core, signed_a=signs[0], signed_b=signs[1]))
    imported = read_circuit(Design(core).verilog(), name="core", sign_magnitudes=signed)
    assert imported.table.sha256 == expected.sha256 == again(imported).sha256
    np.save(tmp_path / "core.npy", ProductTable.of(core).products)
    stated = ["--order", "ab", "--sign-magnitude", signed, "--json"]
    read = CliRunner().invoke(main, ["errors", str(tmp_path / "core.npy"), *stated])
    assert json.loads(read.stdout)["table_sha256"] == expected.sha256
    refused = CliRunner().invoke(main, ["errors", str(tmp_path / "core.npy"), "--signed", signed, *stated])
    assert refused.exit_code == 2 and "leave out --signed" in refused.stderr


def test_signs_are_for_unsigned_products():
    for table in (ProductTable(EXACT.products, True, False), ProductTable(-EXACT.products)):
        with pytest.raises(Refusal, match="are signed"):
            sign_magnitude(table, "b")


# Registers

CLOCKED = "module m(input clk, rst_n, en, start, input [3:0] a, b, output {kind} [7:0] p{more});\n{body}\nendmodule\n"


def clocked(body: str, kind: str = "reg", more: str = "") -> str:
    return CLOCKED.format(body=body, kind=kind, more=more)


PIPELINES = {
    "in and out": (2, {}, "reg [3:0] x, y; always @(posedge clk) begin x <= a; y <= b; p <= x * y; end"),
    "falling edge": (1, {}, "always @(negedge clk) p <= a * b;"),
    "three stages": (
        3,
        {},
        "reg [3:0] x, y; reg [7:0] lo, hi; always @(posedge clk) begin "
        "x <= a; y <= b; lo <= x * y[1:0]; hi <= x * y[3:2]; p <= lo + (hi << 2); end",
    ),
    "reset": (1, {"rst_n": 1}, "always @(posedge clk or negedge rst_n) if (!rst_n) p <= 0; else p <= a * b;"),
    "reset with the clock": (1, {"rst_n": 1}, "always @(posedge clk) if (!rst_n) p <= 0; else p <= a * b;"),
    "enable": (1, {"en": 1}, "always @(posedge clk) if (en) p <= a * b;"),
    "started": (1, {}, "reg [7:0] p = 8'h55; always @(posedge clk) p <= a * b;"),
}


@pytest.mark.parametrize("name", PIPELINES)
def test_pipelines_are_read_and_their_latency_found(name):
    latency, held, body = PIPELINES[name]
    text = clocked(body, "" if name == "started" else "reg")
    imported = read_circuit(text, name="m", held=held)
    assert imported.table.sha256 == EXACT.sha256 == again(imported).sha256
    assert imported.latency == latency
    with pytest.raises(Refusal, match=f"--latency {latency + 1}: {latency} registers lie"):
        read_circuit(text, name="m", held=held, latency=latency + 1)


def test_what_lies_beside_a_pipeline_does_not_count():
    """A counter that nothing of the product depends on, and a flag that goes along with the operands."""
    body = """reg v; reg [3:0] n; wire done = n == 9;
    always @(posedge clk) begin n <= n + 1; v <= start; valid <= v; end
    reg [7:0] t; always @(posedge clk) begin t <= a * b; p <= t; end assign busy = done;"""
    imported = read_circuit(clocked(body, more=", output reg valid, output busy"), name="m", p="p")
    assert imported.table.sha256 == EXACT.sha256 and imported.latency == 2


def test_operands_that_come_at_different_times_are_held_or_refused():
    body = "reg [3:0] x; always @(posedge clk) begin x <= a; p <= x * b; end"
    with pytest.raises(Refusal, match=r"has 1 registers on one way to p and 2 on another; .* say --latency 2"):
        read_circuit(clocked(body), name="m")
    assert read_circuit(clocked(body), name="m", latency=2).table.sha256 == EXACT.sha256
    with pytest.raises(Refusal, match="--latency 1: 2 registers"):
        read_circuit(clocked(body), name="m", latency=1)


SEQUENTIAL = """reg [7:0] acc; reg [3:0] m; reg [2:0] n;
always @(posedge clk) if (start) begin acc <= 0; m <= b; n <= 0; end
  else if (n < 4) begin acc <= acc + (m[0] ? a << n : 0); m <= m >> 1; n <= n + 1; end
assign p = acc; assign done = n == 4;"""


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (SEQUENTIAL, "", r"module m is sequential: p depends on registers that feed themselves \((acc|p)"),
        ("always @(posedge clk) if (en) p <= a * b; assign done = 0;", "reg", "--hold says which enables"),
        ("always @(posedge clk) if (!rst_n) p <= 0; else p <= a * b; assign done = 0;", "reg", "depends on rst_n too"),
        ("always @(posedge clk & en) p <= a * b; assign done = 0;", "reg", "made inside it"),
        (
            "reg [3:0] x; always @(posedge clk) x <= a; always @(posedge en) p <= x * b; assign done = 0;",
            "reg",
            "several",
        ),
        ("always @(posedge clk) p <= a * b + clk; assign done = 0;", "reg", "reads its clock clk like an operand"),
        ("always @* if (en) p = a * b; assign done = 0;", "reg", "a latch is no register"),
    ],
)
def test_what_is_no_pipeline_is_refused(body, kind, words):
    with pytest.raises(Refusal, match=words):
        read_circuit(clocked(body, kind, ", output done"), name="m", p="p")


def test_registers_that_are_held_at_two_clocks_are_one_clock():
    body = "always @(posedge clk) if (en) p <= a * b;"
    circuit = Circuit.read(clocked(body), held={"en": 1})
    assert circuit.clock == "clk" and circuit.latency("p") == (1, 1) and circuit.reads("p") == {"a", "b"}


# The commands


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_a_pipeline_is_imported_with_its_registers_and_its_netlists_are_proved(tmp_path):
    (tmp_path / "m.v").write_text(clocked(PIPELINES["three stages"][2]))
    imported = run("import", tmp_path / "m.v", "--out", tmp_path, "--json")
    assert imported.exit_code == 0, imported.stderr
    record = json.loads(imported.stdout)
    assert record["latency"] == 3 and record["table_sha256"] == EXACT.sha256
    assert record["cost"]["verified"].startswith("proved")
    assert any("dfx" in cell for cell in record["cost"]["cells_by_type"])
    assert Imported.load(record["manifest"]).latency == 3
    assert known_of(Path(record["manifest"]).with_suffix(".v")) == Known(provable=True)


@pytest.mark.parametrize(
    ("file", "options"),
    [
        ("bitports.v", []),
        ("one_bit.v", []),
        ("extra_input.v", ["--hold", "en=1"]),
        ("top2.v", ["--library", FIELD / "cells.v"]),
        ("top2.v", [FIELD / "cells.v"]),
        ("sv_in_v.v", []),
        ("sv_word.v", []),
        ("bom.v", []),
        ("include/inc.v", []),
        ("floor_trunc.v", ["--shift", "0"]),
    ],
)
def test_netlists_of_what_is_imported_compute_its_table(tmp_path, file, options):
    """Every product of every netlist is compared with the table, which comes from another reading of the Verilog."""
    imported = run("import", FIELD / file, *options, "--out", tmp_path, "--json")
    assert imported.exit_code == 0, imported.stderr
    record = json.loads(imported.stdout)
    assert record["cost"]["verified"].endswith("products") and record["notes"] == []
    if file == "floor_trunc.v":
        assert record["errors"]["mae"] == 6.5
    elif file != "top2.v":
        assert record["errors"]["mae"] == 0
    synthesised = run("synth", Path(record["manifest"]).with_suffix(".v"), "--quick", "--json")
    assert json.loads(synthesised.stdout)["verified"].endswith("products")


def test_signs_cost_something(tmp_path):
    core = Masked.columns(2, 4, 4)
    (tmp_path / "core.v").write_text(Design(core).verilog())
    areas = []
    for signs in ([], ["--sign-magnitude", "b"]):
        record = json.loads(run("import", tmp_path / "core.v", *signs, "--out", tmp_path, "--json").stdout)
        areas.append(record["cost"]["area_um2"])
        assert read_table(record["manifest"].replace(".json", ".npy"), signed=["none", "b"][bool(signs)], order="ab")
    assert areas[1] > areas[0]


@pytest.mark.parametrize(
    "command", [["import", "--tech", "none"], ["errors"], ["export", "--format", "npy"], ["synth"]]
)
@pytest.mark.parametrize("file", ["sv_in_v.v", "sv_word.v", "bom.v", "include/inc.v"])
def test_every_command_reads_the_same_files(command, file, tmp_path):
    out = ["--out", tmp_path] if command[0] in ("import", "export") else ["--quick"] if command[0] == "synth" else []
    result = run(*command, FIELD / file, *out, "--json")
    assert result.exit_code == 0, result.stderr
    if command[0] != "synth":
        assert json.loads(result.stdout)["table_sha256"] == EXACT.sha256


@pytest.mark.parametrize(
    "command", [["import", "--tech", "none"], ["errors"], ["export", "--format", "npy"], ["synth"]]
)
def test_every_command_takes_several_files_folders_parameters_and_held_inputs(command, tmp_path):
    (tmp_path / "inc").mkdir()
    (tmp_path / "inc" / "w.vh").write_text("`define ZERO 1'b0\n")
    (tmp_path / "top.v").write_text(
        '`include "w.vh"\nmodule m #(parameter W = 30) (input [W-1:0] a, b, input off, output [2*W-1:0] p);\n'
        "wire [2*W-1:0] t; core #(W) c(a, b, t); assign p = off == `ZERO ? t : 0; endmodule\n"
    )
    (tmp_path / "core.v").write_text(
        "module core #(parameter W = 1) (input [W-1:0] x, y, output [2*W-1:0] z); assign z = x * y; endmodule\n"
        "module spare(input a, output b); assign b = ~a; endmodule\n"
    )
    out = ["--out", tmp_path] if command[0] in ("import", "export") else ["--quick"] if command[0] == "synth" else []
    said = [tmp_path / "core.v", "-I", tmp_path / "inc", "-P", "W=4", "--hold", "off=0"]
    result = run(*command, tmp_path / "top.v", *said, *out, "--json")
    assert result.exit_code == 0, result.stderr
    record = json.loads(result.stdout)
    if command[0] == "synth":
        assert record["top"] == "m_adapted" and record["area_um2"] < 1000
    else:
        assert record["table_sha256"] == EXACT.sha256


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--hold", "en"], "--hold 'en' is no NAME=VALUE"),
        (["--hold", "en=on"], "no PORT=VALUE with a number"),
        (["-P", "=4"], "-P '=4' is no NAME=VALUE"),
        (["-P", "W=4"], "module extra has no parameter W; it has none"),
        (["-I", "x", "--dtype", "int8"], "--dtype: such options are for tables"),
    ],
)
def test_bad_options_are_refused_in_a_line(options, words, tmp_path):
    result = run("import", FIELD / "extra_input.v", *options, "--out", tmp_path / "out")
    assert result.exit_code == 2 and words in result.stderr and result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
