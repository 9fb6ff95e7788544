"""FPGA figures: known cells, refusals; needs the extra amhw[fpga]."""

import json
import re

import pytest
from click.testing import CliRunner

from amhw.commands.synth import command
from amhw.refusal import Refusal
from amhw.synth.fpga import FAMILIES, fpga

ADDER = "module adder(input [7:0] x, y, output [8:0] s); assign s = x + y; endmodule"
MULTIPLIER = "module m(input [7:0] a, b, output [15:0] p); assign p = a * b; endmodule"


@pytest.mark.parametrize("family", FAMILIES)
def test_an_adder_is_a_carry_chain(family):
    pytest.importorskip(FAMILIES[family].package)
    found = fpga(ADDER, family)
    # iCE40: a carry a bit; ECP5: one for two bits, and one that takes the carry out.
    assert {"ice40": 7 <= found.carries <= 9, "ecp5": 4 <= found.carries <= 6}[family], found
    assert (found.top, found.dsps, found.flip_flops) == ("adder", 0, 0)
    assert found.fmax_mhz is not None and 30 < found.fmax_mhz < 1000


def test_a_multiplication_takes_a_dsp_unless_forbidden():
    pytest.importorskip(FAMILIES["ice40"].package)
    with_dsp, without = (fpga(MULTIPLIER, "ice40", dsp=dsp) for dsp in (True, False))
    assert (with_dsp.dsps, without.dsps) == (1, 0)
    assert without.luts > 60 > with_dsp.luts


ACCUMULATOR = """module acc(input clk, rst, input [3:0] a, output reg [7:0] q);
  always @(posedge clk) if (rst) q <= 0; else q <= q + a;
endmodule"""


@pytest.mark.parametrize("family", FAMILIES)
def test_registers_of_its_own(family):
    pytest.importorskip(FAMILIES[family].package)
    found = fpga(ACCUMULATOR, family)
    assert (found.top, found.flip_flops) == ("acc", 8)
    assert found.carries >= 4 and found.fmax_mhz is not None and 30 < found.fmax_mhz < 1000
    chosen = fpga("module m(input a, output y); assign y = ~a; endmodule\n" + ACCUMULATOR, family, "acc")
    assert (chosen.top, chosen.luts, chosen.flip_flops) == ("acc", found.luts, 8)


UNUSABLE = {
    "no module with contents": "",
    r"combinational loop through y, b \(in m\)": "module m(input a, output y); wire b = ~(a & y); assign y = b | a; "
    "endmodule",
    r"three-state: y driven with z": "module m(input a, e, output y); assign y = e ? a : 1'bz; endmodule",
    "inout port: a": "module m(inout a, output y); assign y = a; endmodule",
    "latch for q": "module m(input e, d, output reg q); always @* if (e) q = d; endmodule",
    "several possible tops: m, n": "module m(input a, output y); assign y = a; endmodule "
    "module n(input a, output y); assign y = a; endmodule",
}


@pytest.mark.parametrize("says", UNUSABLE)
def test_what_cannot_be_mapped_is_refused_as_for_cells(says, tmp_path):
    pytest.importorskip(FAMILIES["ice40"].package)
    path = tmp_path / "m.v"
    path.write_text(UNUSABLE[says])
    for family in ["ice40"], ["ecp5", "--json"]:
        result = CliRunner().invoke(command, [str(path), "--fpga", *family])
        assert result.exit_code == 2 and not result.stdout
        assert re.search(says, result.stderr) and result.stderr.count("\n") == 1, result.stderr


def test_the_command(tmp_path):
    pytest.importorskip(FAMILIES["ice40"].package)
    path = tmp_path / "adder.v"
    path.write_text(ADDER)
    result = CliRunner().invoke(command, [str(path), "--fpga", "ice40", "--json"])
    assert json.loads(result.stdout)["carries"] > 0
    path.write_text("module m(input a, output y); assign y = a +; endmodule")
    result = CliRunner().invoke(command, [str(path), "--fpga", "ice40"])
    assert result.exit_code == 2 and "Yosys rejects this Verilog" in result.stderr and result.stderr.count("\n") == 1


def test_refusals(tmp_path, monkeypatch):
    with pytest.raises(Refusal, match="known: ice40, ecp5"):
        fpga(ADDER, "virtex")
    monkeypatch.setitem(__import__("sys").modules, FAMILIES["ecp5"].package, None)
    with pytest.raises(Refusal, match=r"install amhw\[fpga\]"):
        fpga(ADDER, "ecp5")
    path = tmp_path / "adder.v"
    path.write_text(ADDER)
    for arguments in (["--fpga", "ice40", "--tech", "sky130hd"], ["--no-dsp"]):
        result = CliRunner().invoke(command, [str(path), *arguments])
        assert result.exit_code == 2 and "--fpga" in result.stderr


def test_verilog_from_elsewhere_writes_no_file(tmp_path):
    body = f'integer f; initial f = $fopen("{tmp_path / "out"}", "w"); assign y = a;'
    with pytest.raises(Refusal, match=r"\$fopen"):
        fpga(f"module m(input a, output y); {body} endmodule", "ice40")
    assert not (tmp_path / "out").exists()
