"""The command believes no netlist of ours without the products that its manifest stands for."""

import hashlib
import json

from click.testing import CliRunner

from amhw.commands.synth import command
from amhw.families import Masked
from amhw.neighbour import NOTHING, Known, known_of
from amhw.verilog import Design

DESIGN = Design(Masked.from_text("0,c,e,f", 4, 4, signed_b=True))


def run(*arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def written(folder, text=None):
    """The Verilog's path; with `text`, that is the Verilog, and the manifest knows its hash."""
    verilog, manifest = DESIGN.write(folder)
    if text is not None:
        verilog.write_text(text)
        described = json.loads(manifest.read_text())
        described["verilog_sha256"] = hashlib.sha256(text.encode()).hexdigest()
        manifest.write_text(json.dumps(described))
    return verilog


def test_products_are_checked_when_a_manifest_is_there(tmp_path):
    verilog = written(tmp_path)
    record = json.loads(run(verilog, "--quick", "--json").stdout)
    assert record["verified"] == "256 products"
    assert "checked: every netlist, 256 products" in run(verilog, "--quick").stdout
    verilog.with_suffix(".json").unlink()
    assert json.loads(run(verilog, "--quick", "--json").stdout)["verified"] == ""
    proved = json.loads(run(verilog, "--quick", "--prove", "--json").stdout)["verified"]
    assert proved == "proved equivalent to the Verilog"


def test_verilog_that_computes_something_else_is_an_error(tmp_path):
    wrong = f"module {DESIGN.name}(input [3:0] a, b, output [7:0] p); assign p = a * b; endmodule"
    result = run(written(tmp_path, wrong), "--quick")
    assert result.exit_code != 0 and result.stdout == ""
    assert "recipe balanced: the netlist of" in result.stderr and "expected" in result.stderr


def test_an_edited_file_does_not_fit_its_manifest(tmp_path):
    verilog = written(tmp_path)
    verilog.write_text(verilog.read_text() + "\n")
    result = run(verilog)
    assert result.exit_code == 2 and "is not the file that" in result.stderr


def test_a_json_file_that_is_no_manifest_is_none_of_its_business(tmp_path):
    """People type amhw synth X.v --json > X.json: the shell empties the file before, and fills it afterwards."""
    verilog = written(tmp_path)
    record = run(verilog, "--quick", "--json").stdout
    manifest = verilog.with_suffix(".json")
    for content in ("", record, record[:-20], "[]", "{}", '{"kind": "toaster"}', "notes"):
        manifest.write_text(content)
        assert known_of(verilog) == NOTHING, content
        manifest.unlink()
    manifest.mkdir()
    assert known_of(verilog) == NOTHING
    manifest.rmdir()
    manifest.write_text("")
    assert json.loads(run(verilog, "--quick", "--json").stdout)["area_um2"] == json.loads(record)["area_um2"]


def test_a_manifest_that_is_damaged_or_of_another_version_is_refused(tmp_path):
    verilog = written(tmp_path)
    manifest = verilog.with_suffix(".json")
    text = manifest.read_text()
    fields = json.loads(text)
    for content, words in (
        (text[:-20], "no JSON object"),
        (json.dumps(fields | {"schema": 0}), "another version"),
        (json.dumps({key: value for key, value in fields.items() if key != "schema"}), "another version"),
        (json.dumps(fields | {"design": 3}), "`design`"),
        (json.dumps(fields | {"design": "nosuch"}), "'nosuch'"),
        (json.dumps(fields | {"name": "../x"}), "`name`"),
        (json.dumps(fields | {"name": "another"}), "cannot read"),
        (json.dumps({key: value for key, value in fields.items() if key != "ports"}), "`ports`"),
    ):
        manifest.write_text(content)
        result = run(verilog)
        assert result.exit_code == 2 and words in result.stderr, content
        assert len(result.stderr.strip().splitlines()) == 1


def test_too_many_products_are_proved(tmp_path):
    verilog, _ = Design(Masked.columns(23, 13, 13)).write(tmp_path)
    assert known_of(verilog) == Known(provable=True)
    assert json.loads(run(verilog, "--quick", "--json").stdout)["verified"].startswith("proved")


def test_includes_are_found_beside_the_file(tmp_path):
    (tmp_path / "width.vh").write_text("`define WIDTH 3\n")
    path = tmp_path / "m.v"
    path.write_text('`include "width.vh"\nmodule m(input [`WIDTH:0] a, output y); assign y = &a; endmodule\n')
    result = run(path, "--quick", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["cells"] >= 1


def test_an_array_is_proved_registers_and_all(tmp_path):
    from amhw.commands.array import command as array

    shape = ["--rows", "2", "--cols", "1", "--matmul", "2,2,1", "--out", str(tmp_path)]
    made = CliRunner().invoke(array, ["--multiplier", "mul_u8s8_pp_0_0_0_0_0_0_c0_c0", *shape])
    assert made.exit_code == 0, made.stderr
    (verilog,) = tmp_path.glob("*.v")
    record = json.loads(run(verilog, "--quick", "--json").stdout)
    assert record["verified"] == "proved equivalent to the Verilog"
    assert record["path"]["setup_ps"] != 0
