"""BLIF and AIGER files have the figures of the same circuits in Verilog."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from amhw.commands.synth import command
from amhw.hdl import Source
from amhw.imports.source import table_of
from amhw.refusal import Refusal
from amhw.synth import Expected, Synthesiser, Technology

BLIF = ".model m\n.inputs a b\n.outputs y\n.names a b y\n{}\n.end\n"

GATES = {  # each in Verilog, as rows of a BLIF table, and as an ASCII AIGER file without its header
    "and": ("a & b", "11 1", "2\n4\n6\n6 4 2\n"),
    "nor": ("~(a | b)", "00 1", "2\n4\n6\n6 5 3\n"),
    "or": ("a | b", "1- 1\n-1 1", "2\n4\n7\n6 5 3\n"),
    "nand": ("~(a & b)", "11 0", "2\n4\n7\n6 4 2\n"),
}

MULTIPLIER = {
    "mul.v": """
module mul(input [1:0] a, input [1:0] b, output [3:0] p);
  wire x = a[0] & b[0], y = a[1] & b[0], z = a[0] & b[1], w = a[1] & b[1], c = y & z;
  assign p = {w & c, w ^ c, y ^ z, x};
endmodule
""",
    "mul.blif": """# numbered bits, a constant, a continued line
.model mul
.inputs a[0] a[1] \\
 b[0] b[1]
.outputs p[0] p[1] p[2] p[3]
.names a[0] b[0] p[0]
11 1
.names a[1] b[0] y
11 1
.names a[0] b[1] z
11 1
.names a[1] b[1] w
11 1
.names y z c
11 1
.names y z p[1]
10 1
01 1
.names w c p[2]
10 1
01 1
.names w c p[3]
11 1
.end
""",
    "mul.aag": """aag 16 4 0 4 12
2
4
6
8
10
20
30
32
10 6 2
12 6 4
14 8 2
16 14 12
18 15 13
20 19 17
22 8 4
24 14 12
26 24 22
28 25 23
30 29 27
32 24 22
i0 a[0]
i1 a[1]
i2 b[0]
i3 b[1]
o0 p[0]
o1 p[1]
o2 p[2]
o3 p[3]
""",
}


@pytest.fixture(scope="module")
def synthesiser():
    with Synthesiser(Technology.named("sky130hd"), workers=1) as synthesiser:
        yield synthesiser


def figures(synthesiser, verilog):
    result = synthesiser.submit(verilog).result()
    return [(m.recipe, m.area_um2, m.delay_ps, m.cells_by_type) for m in result.mappings]


@pytest.mark.parametrize("gate", GATES)
def test_a_gate_has_the_same_figures_in_every_kind_of_file(synthesiser, tmp_path, gate):
    expression, rows, aiger = GATES[gate]
    expected = figures(synthesiser, f"module m(input a, input b, output y); assign y = {expression}; endmodule")
    files = {"m.blif": BLIF.format(rows), "m.aag": f"aag 3 2 0 1 1\n{aiger}i0 a\ni1 b\no0 y\n"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        assert figures(synthesiser, Source.of_files([tmp_path / name])) == expected, name


@pytest.mark.parametrize("name", ["mul.blif", "mul.aag"])
def test_a_multiplier_has_its_products_and_the_area_of_the_verilog(synthesiser, tmp_path, name):
    (tmp_path / name).write_text(MULTIPLIER[name])
    a, b = np.arange(4)[:, None], np.arange(4)[None, :]
    result = synthesiser.submit(Source.of_files([tmp_path / name]), expected=Expected(a * b)).result()
    assert result.top == "mul" and result.verified == "16 products"
    assert result.best_area.area_um2 == synthesiser.submit(MULTIPLIER["mul.v"]).result().best_area.area_um2


def test_binary_aiger(synthesiser, tmp_path):
    """Literals 6 = 4 & 2 are two differences of 2, in a byte each."""
    (tmp_path / "m.aig").write_bytes(b"aig 3 2 0 1 1\n6\n\x02\x02i0 a\ni1 b\no0 y\nc\nby hand\n")
    expected = figures(synthesiser, "module m(input a, input b, output y); assign y = a & b; endmodule")
    assert figures(synthesiser, Source.of_files([tmp_path / "m.aig"])) == expected


def test_aiger_without_names(synthesiser, tmp_path):
    path = tmp_path / "2 odd.names.aag"
    path.write_text("aag 3 2 0 1 1\n2\n4\n6\n6 4 2\n")
    result = synthesiser.submit(Source.of_files([path])).result()
    assert result.top == "_2_odd_names" and result.best_area.area_um2 == pytest.approx(6.256)


@pytest.mark.parametrize("name", MULTIPLIER)
def test_its_table_is_the_verilogs(tmp_path, name):
    (tmp_path / name).write_text(MULTIPLIER[name])
    a, b = np.arange(4)[:, None], np.arange(4)[None, :]
    assert (table_of(str(tmp_path / name)).products == a * b).all()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("r.blif", ".model r\n.inputs clk d\n.outputs q\n.latch d q re clk 2\n.end\n"),
        ("r.aag", "aag 2 1 1 1 0\n2\n4 2\n4\ni0 d\no0 q\n"),
    ],
)
def test_latches_with_a_clock_are_registers(synthesiser, tmp_path, name, text):
    (tmp_path / name).write_text(text)
    result = synthesiser.submit(Source.of_files([tmp_path / name])).result()
    assert result.best_area.area_um2 == pytest.approx(20.0192)  # dfxtp_1


def test_the_command_reads_them(tmp_path):
    areas = set()
    for name, text in MULTIPLIER.items():
        (tmp_path / name).write_text(text)
        run = CliRunner().invoke(command, [str(tmp_path / name), "--json"])
        assert run.exit_code == 0, run.output
        areas.add(json.loads(run.stdout)["best_area"]["area_um2"])
    assert len(areas) == 1


REFUSED = {
    "m.py": ("", r"m\.py ends in '\.py'; circuits are read from Verilog \(\.v, \.sv\), BLIF \(\.blif\) and AIGER"),
    "m": ("", "ends in ''; circuits are read from Verilog"),
    "bad.blif": ("hello", "Yosys refuses this BLIF: Syntax error in line 1"),
    "bad.aag": ("aag what", "Yosys refuses this AIGER: Invalid AIGER header"),
    "bad.aig": ("aig 3 2 0 1 1\n", "Yosys refuses this AIGER: "),
    "empty.aig": ("", "Yosys refuses this AIGER: Unsupported AIGER file"),
    "latch.blif": (".model r\n.inputs d\n.outputs q\n.latch d q 2\n.end\n", "latches without a clock"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_in_a_line(tmp_path, name):
    text, says = REFUSED[name]
    (tmp_path / name).write_text(text)
    with pytest.raises(Refusal, match=says) as refusal:
        Source.of_files([tmp_path / name])
    assert "\n" not in str(refusal.value) and "/amhw-logic" not in str(refusal.value)


def test_mapped_blif_is_refused_by_its_cells(tmp_path):
    (tmp_path / "m.blif").write_text(".model m\n.inputs a\n.outputs y\n.gate INVX1 A=a Y=y\n.end\n")
    run = CliRunner().invoke(command, [str(tmp_path / "m.blif")])
    assert run.exit_code == 2 and "INVX1" in run.stderr and run.stderr.count("\n") == 1
