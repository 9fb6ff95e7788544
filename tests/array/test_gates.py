"""The mapped netlist of an array: its figures, and the netlist itself in a simulator."""

import json
import re

import pytest
from click.testing import CliRunner
from test_conv import SMALL, written

from amhw import ProductTable, Refusal
from amhw.array.plan import ConvPlan
from amhw.commands.array import command as array
from amhw.commands.synth import command
from amhw.simulation import default_simulator, simulate


def made(folder, *shape):
    run = CliRunner().invoke(
        array, ["--multiplier", "mul_u8s8_pp_0_0_0_0_0_0_e0_e0", *shape, "--name", "dut", "--out", str(folder)]
    )
    assert run.exit_code == 0, run.stderr
    return folder / "dut.v"


def test_an_array_and_its_mapped_netlist(tmp_path):
    verilog = made(tmp_path, "--rows", "4", "--cols", "3", "--matmul", "5,6,4")
    gates = tmp_path / "gates.v"
    run = CliRunner().invoke(command, [str(verilog), "--quick", "--json", "--netlist", str(gates)])
    assert run.exit_code == 0, run.stderr
    record = json.loads(run.stdout)
    assert record["verified"] == "proved equivalent to the Verilog"
    assert record["memories"] and record["memory_bits"] == sum(memory["bits"] for memory in record["memories"])
    found = record["array"]
    assert found["multipliers"] == 12
    assert found["area_per_mac_um2"] == pytest.approx(found["area_um2"] / 12, abs=0.01)
    assert sum(element["instances"] for element in found["elements"]) == 12
    inside = sum(element["instances"] * element["area_um2"] for element in found["elements"])
    assert inside < found["area_um2"] < record["area_um2"]
    assert max(element["delay_ps"] for element in found["elements"]) <= found["delay_ps"] <= record["delay_ps"]
    page = CliRunner().invoke(command, [str(verilog), "--quick"]).stdout
    assert f"memory  {record['memory_bits']} bits, not in the area" in page
    assert "array   4 × 3, depth 1" in page and "dut.core.array" in page
    flat = json.loads(CliRunner().invoke(command, [str(verilog), "--quick", "--flat", "--json"]).stdout)
    assert flat["modules"] == [] and flat["memory_bits"] == record["memory_bits"]
    assert flat["area_um2"] == pytest.approx(record["area_um2"], rel=0.1)

    alone = ["--quick", "--flat", "--top", "dut.core.array", "--json"]
    dissolved = json.loads(CliRunner().invoke(command, [str(verilog), *alone]).stdout)
    assert dissolved["array"]["area_um2"] == dissolved["area_um2"]
    assert dissolved["array"]["area_per_mac_um2"] == pytest.approx(found["area_per_mac_um2"], rel=0.2)

    outcome = simulate(verilog.with_suffix(".json"), netlist=gates)
    assert outcome.passed and outcome.pairs == 11 * 5 * 4
    assert outcome.cycles == json.loads(verilog.with_suffix(".json").read_text())["cycles"]
    text = gates.read_text()
    broken = re.sub(r"(module sky130_fd_sc_hd__xor2_1\([^)]*\);\n  assign X = ).*;", r"\1A | B;", text)
    assert broken != text
    gates.write_text(broken)
    with pytest.raises(Refusal, match="35 of 70 beats after"):  # the queue's counters have such cells: sums get lost
        simulate(verilog.with_suffix(".json"), netlist=gates)
    gates.write_text("module other; endmodule\n")
    with pytest.raises(Refusal, match="no module dut"):
        simulate(verilog.with_suffix(".json"), netlist=gates)


def test_a_small_engine_in_gates(tmp_path):
    """The convolution engine's mapped netlist, memories as they were, on real images."""
    multiplier, network, cols, depth = SMALL["narrow"]
    plan = ConvPlan(network, ProductTable.of(multiplier), 9, cols, depth)
    verilog, manifest, _ = written(tmp_path, multiplier, plan)
    gates = tmp_path / "gates.v"
    run = CliRunner().invoke(command, [str(verilog), "--quick", "--json", "--netlist", str(gates)])
    assert run.exit_code == 0, run.stderr
    record = json.loads(run.stdout)
    declared = json.loads(manifest.read_text())["memory_bits"]
    queue = [memory["bits"] for memory in record["memories"] if memory["name"] == "storage"]
    assert record["memory_bits"] == sum(declared.values()) + sum(queue)
    outcome = simulate(manifest, netlist=gates, simulator=default_simulator())
    assert outcome.passed and outcome.pairs > 0
