"""Cosimulation of emitted files, and the proof that a broken one is caught."""

import hashlib
import json
import shutil

import pytest
from click.testing import CliRunner

from amhw import Masked, Refusal
from amhw.commands.sim import command
from amhw.simulation import SIMULATORS, simulate
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


@installed
def test_a_broken_verilog_is_caught(tmp_path, simulator):
    source, manifest = Design(EIGHT).write(tmp_path, "broken")
    text = source.read_text()
    broken = text.replace("pp_6_6 & pp_7_5", "pp_6_6 | pp_7_5")
    assert broken != text
    source.write_text(broken)
    fields = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(fields | {"verilog_sha256": hashlib.sha256(broken.encode()).hexdigest()}))
    result = CliRunner().invoke(command, [str(manifest), "--simulator", simulator, "--json"])
    assert result.exit_code == 1
    outcome = json.loads(result.stdout)
    assert 0 < outcome["matched"] < outcome["pairs"] == 65536
    first = outcome["first_difference"]
    assert first["expected"] == EIGHT.golden(first["a"], first["b"])
    assert first["found"] != first["expected"]


@installed
def test_unknown_bits_do_not_match(tmp_path, simulator):
    if simulator == "verilator":
        pytest.skip("Verilator has two-valued signals")
    source, manifest = Design(Masked.exact(2, 2)).write(tmp_path)
    text = source.read_text().replace("assign pp_1_1 = a[1] & b[1];", "assign pp_1_1 = 1'bx;")
    source.write_text(text)
    fields = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(fields | {"verilog_sha256": hashlib.sha256(text.encode()).hexdigest()}))
    assert simulate(manifest, simulator=simulator).matched < 16


def test_verilog_that_no_simulator_accepts(tmp_path):
    source, manifest = Design(EIGHT).write(tmp_path)
    source.write_text("module oops(")
    fields = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(fields | {"verilog_sha256": hashlib.sha256(source.read_bytes()).hexdigest()}))
    result = CliRunner().invoke(command, [str(manifest)])
    assert result.exit_code == 2
    assert "did not run" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


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
