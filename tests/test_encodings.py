"""Files with a byte-order mark, names outside of ASCII, terminals and folders that programs dislike."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from amhw.families import Masked
from amhw.imports import Imported
from amhw.stimulus import read_trace
from amhw.study.peers import read_peers
from amhw.study.plan import Plan
from amhw.table import ProductTable
from amhw.verilog import Design

MARK = b"\xef\xbb\xbf"
EXACT = ProductTable(np.arange(4)[:, None] * np.arange(4)[None, :])


def test_every_reader_skips_a_byte_order_mark(tmp_path):
    """Verilog, tables and Liberty files are in tests of their own."""
    (tmp_path / "peers.csv").write_bytes(MARK + b"name,area_um2,delay_ps,accuracy\nx,1,2,0.5\n")
    assert read_peers(tmp_path / "peers.csv")[0].name == "x"
    (tmp_path / "trace.csv").write_bytes(MARK + b"a,b\n1,2\n3,4\n")
    assert read_trace(tmp_path / "trace.csv")["a"].tolist() == [1, 3]
    (tmp_path / "mask").write_bytes(MARK + b"0,0,0,f\n")
    assert Masked.from_text(f"@{tmp_path / 'mask'}", 4, 4) == Masked.from_text("0,0,0,f", 4, 4)
    study = b'title = "x"\ntechnologies = ["sky130hd"]\n[[designs]]\nnames = ["mul_u8s8_pp_full"]\n'
    for mark in (b"", MARK):
        (tmp_path / "study.toml").write_bytes(mark + study)
        Plan.read(tmp_path / "study.toml")
    manifest = Imported("m", EXACT).write(tmp_path)
    manifest.write_bytes(MARK + manifest.read_bytes())
    assert Imported.load(manifest).table.sha256 == EXACT.sha256


def calls_without_encoding(path: Path):
    """Where a module reads or writes text and leaves it to the machine how."""
    for call in (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)):
        said = {keyword.arg for keyword in call.keywords}
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        file = {"read_text": 0, "write_text": 1}.get(name) == len(call.args)
        program = name in ("run", "Popen", "check_output") and "text" in said
        if (file or program) and "encoding" not in said:
            yield f"{path.name} line {call.lineno}: {name}"


@pytest.mark.parametrize("folder", ["amhw", "sim"])
def test_every_text_says_its_encoding(folder):
    modules = (Path(__file__).parent.parent / folder).rglob("*.py")
    assert [found for path in modules for found in calls_without_encoding(path)] == []


def run(*arguments, **environment):
    """A command in a process of its own, which alone sees these variables."""
    return subprocess.run(
        [sys.executable, "-c", "from amhw.cli import main; main()", *map(str, arguments)],
        capture_output=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)} | environment,
    )


def test_a_terminal_that_knows_few_letters_gets_question_marks(tmp_path):
    source = tmp_path / "größe.v"
    source.write_text("// ½ µm\nmodule m(input [1:0] a, b, output [3:0] p); assign p = a * b; endmodule\n", "utf-8")
    few = {"PYTHONUTF8": "0", "PYTHONIOENCODING": "latin-1", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}
    shown = run("errors", source, **few)
    assert shown.returncode == 0, shown.stderr
    refused = run("errors", tmp_path / "größer.v", **few)
    assert refused.returncode == 2 and b"Traceback" not in refused.stderr and refused.stderr.count(b"\n") == 1
    imported = run("import", source, "--out", tmp_path, **few)
    assert imported.returncode == 0 and b"table eed508c7dda3f2a8?" in imported.stdout, imported.stderr


@pytest.mark.parametrize("name", ["a b", 'c"d', "e'f;g", "h$i(j)", "é"])
def test_tools_run_whatever_the_folder_of_temporary_files_is_called(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    verilog, manifest = Design.parse("mul_u2u2_pp_full").write(tmp_path)
    synthesised = run("synth", verilog, "--quick", "--json", TMPDIR=str(folder))
    assert synthesised.returncode == 0, synthesised.stderr
    assert json.loads(synthesised.stdout)["verified"].endswith("products")
    imported = run("errors", verilog, "--json", TMPDIR=str(folder))
    assert imported.returncode == 0 and json.loads(imported.stdout)["mae"] == 0
    if name == "a b":
        simulated = run("sim", manifest, TMPDIR=str(folder))
        assert simulated.returncode == 0, simulated.stderr
    assert not list(folder.iterdir())
