"""Cosimulation of emitted files, and the proof that a broken one is caught."""

import hashlib
import json
import shutil

import pytest
from click.testing import CliRunner

from amhw import Masked, Refusal
from amhw.commands.sim import command
from amhw.simulation import SIMULATORS, simulate
from amhw.stages.simulation import simulation
from amhw.verilog import Design

EIGHT = Masked.from_text("0,0,0,0,0,c0,e0,e0", 8, 8, signed_b=True)

installed = pytest.mark.parametrize(
    "simulator",
    [
        pytest.param(
            name,
            marks=pytest.mark.skipif(
                name == "icarus" and shutil.which("iverilog") is None, reason="Icarus (iverilog) is not on PATH"
            ),
        )
        for name in SIMULATORS
    ],
)


@installed
def test_every_product_matches(tmp_path, simulator):
    _, manifest = Design(EIGHT).write(tmp_path)
    result = CliRunner().invoke(command, [str(manifest), "--simulator", simulator])
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "65536/65536 products match\n"


def test_signed_operands_and_other_structures(tmp_path):
    masked = Masked.from_text("3,6,1c,3f", 4, 6, signed_a=True, signed_b=True)
    outcome = simulate(Design(masked, "wallace", "kogge-stone").write(tmp_path)[1])
    assert (outcome.matched, outcome.pairs) == (1024, 1024)


def test_wide_multipliers_are_sampled_with_their_corners(tmp_path):
    outcome = simulate(Design(Masked.exact(16, 16, signed_a=True)).write(tmp_path)[1])
    assert outcome.passed
    assert outcome.pairs > 1 << 17


def with_other_verilog(folder, design, change, name=None):
    """A manifest beside Verilog that was changed, with the hash of the changed text."""
    source, manifest = design.write(folder, name)
    text = source.read_text()
    changed = change(text)
    assert changed != text
    source.write_text(changed)
    fields = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(fields | {"verilog_sha256": hashlib.sha256(changed.encode()).hexdigest()}))
    return manifest


@installed
def test_a_broken_verilog_is_caught(tmp_path, simulator):
    manifest = with_other_verilog(
        tmp_path, Design(EIGHT), lambda text: text.replace("pp_6_6 & pp_7_5", "pp_6_6 | pp_7_5"), "broken"
    )
    outcome = simulate(manifest, simulator=simulator)
    assert 0 < outcome.matched < outcome.pairs == 65536 and not outcome.passed
    first = outcome.first_difference
    assert first["expected"] == EIGHT.golden(first["a"], first["b"])
    assert first["found"] != first["expected"]


RUNS_COMMANDS = {
    "a program": '$system("touch {out}");',
    "a file that is written": '$fdisplay($fopen("{out}"), "x");',
    "C": '$c("system(\\"touch {out}\\");");',
    "waves": '$dumpfile("{out}"); $dumpvars;',
}


@pytest.mark.parametrize("name", RUNS_COMMANDS)
def test_other_verilog_than_the_manifest_names_is_not_run(tmp_path, name):
    """Whatever the manifest says its hash is."""
    made = tmp_path / "out"
    line = f"initial begin {RUNS_COMMANDS[name].format(out=made)} end\nendmodule"
    manifest = with_other_verilog(tmp_path, Design(EIGHT), lambda text: text.replace("endmodule", line))
    result = CliRunner().invoke(command, [str(manifest)])
    assert result.exit_code == 2
    assert f"{Design(EIGHT).name}.v is not what amhw gen writes" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1 and not made.exists()


@pytest.mark.parametrize("name", RUNS_COMMANDS)
def test_a_netlist_runs_nothing_either(tmp_path, name):
    design, made, gates = Design(Masked.exact(2, 2)), tmp_path / "out", tmp_path / "gates.v"
    manifest = design.write(tmp_path)[1]
    line = f"initial begin {RUNS_COMMANDS[name].format(out=made)} end\nendmodule"
    gates.write_text(design.verilog().replace("endmodule", line))
    result = CliRunner().invoke(command, [str(manifest), "--netlist", str(gates)])
    assert not made.exists()
    assert "16/16 products match" in result.stdout or (result.exit_code == 2 and "Yosys rejects" in result.stderr)


def test_a_netlist_is_compared_with_the_products(tmp_path):
    design, gates = Design(Masked.exact(2, 2)), tmp_path / "gates.v"
    manifest = design.write(tmp_path)[1]
    gates.write_text(f"module {design.name}(input [1:0] a, b, output [3:0] p); assign p = a * b - (a == 3); endmodule")
    result = CliRunner().invoke(command, [str(manifest), "--netlist", str(gates)])
    assert result.exit_code == 1
    assert result.stdout.splitlines() == ["12/16 products match", "first difference: a=3 b=0 gives 15, expected 0"]


def test_a_foreign_results_store_brings_no_verilog_into_a_simulator(tmp_path):
    design = Design(Masked.exact(2, 2))
    text = design.verilog().replace("endmodule", f'initial $fdisplay($fopen("{tmp_path / "out"}"), "x");\nendmodule')
    task = simulation(design, text)
    with pytest.raises(Refusal, match="is not its own"):
        task.function(*task.arguments)
    assert not (tmp_path / "out").exists()


@installed
def test_unknown_bits_do_not_match(tmp_path, simulator):
    if simulator == "verilator":
        pytest.skip("Verilator has two-valued signals")
    manifest = with_other_verilog(
        tmp_path,
        Design(Masked.exact(2, 2)),
        lambda text: text.replace("assign pp_1_1 = a[1] & b[1];", "assign pp_1_1 = 1'bx;"),
    )
    assert simulate(manifest, simulator=simulator).matched < 16


def test_verilog_that_no_simulator_accepts(tmp_path):
    manifest = with_other_verilog(tmp_path, Design(EIGHT), lambda text: "module oops(")
    with pytest.raises(Refusal, match="did not run"):
        simulate(manifest)


def test_a_missing_compiler_is_named(tmp_path, monkeypatch):
    _, manifest = Design(Masked.exact(2, 2)).write(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(Refusal, match=r"g\+\+ is not on PATH"):
        simulate(manifest, simulator="verilator")
    with pytest.raises(Refusal, match="iverilog is not on PATH"):
        simulate(manifest, simulator="icarus")


@pytest.mark.parametrize("content", [None, "{}", '{"kind": "toaster", "name": "x", "verilog_sha256": ""}'])
def test_bad_manifests(tmp_path, content):
    manifest = tmp_path / "x.json"
    if content is not None:
        manifest.write_text(content)
    result = CliRunner().invoke(command, [str(manifest)])
    assert result.exit_code == 2
    assert len(result.stderr.strip().splitlines()) == 1
