"""The gen command as a user runs it."""

import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from amhw.cli import main
from amhw.commands.gen import command


def gen(*arguments: str):
    return CliRunner().invoke(command, arguments)


def test_writes_verilog_and_manifest(tmp_path):
    result = gen("--width", "8", "--pp-mask", "0,0,0,0,0,c0,e0,e0", "--signed", "b", "--out", str(tmp_path), "--json")
    assert result.exit_code == 0
    printed = json.loads(result.stdout)
    assert printed == {
        "name": "mul_u8s8_pp_0_0_0_0_0_c0_e0_e0",
        "verilog": str(tmp_path / "mul_u8s8_pp_0_0_0_0_0_c0_e0_e0.v"),
        "manifest": str(tmp_path / "mul_u8s8_pp_0_0_0_0_0_c0_e0_e0.json"),
    }
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".v"]


def test_a_name_says_it_all(tmp_path):
    name = "mul_u8s8_pp_0_0_0_0_0_c0_e0_e0__wallace__ripple"
    assert gen("--multiplier", name, "--out", str(tmp_path)).exit_code == 0
    assert (tmp_path / f"{name}.v").is_file()


def test_show_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = gen("--width", "4", "--pp-mask", "columns>=4", "--show")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "a_3     o  o  o  ."
    assert not list(tmp_path.iterdir())
    as_json = gen("--width", "4", "--pp-mask", "columns>=4", "--show", "--json")
    assert json.loads(as_json.stdout)["diagram"] == result.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--width"),
        (["--width", "1"], "2 to 32"),
        (["--width", "40"], "2 to 32"),
        (["--width", "x"], "integer"),
        (["--width", "8", "--width-a", "4"], "not both"),
        (["--width", "8", "--pp-mask", "1,2"], "2 rows"),
        (["--width", "8", "--pp-mask", "0x0"], "no partial product"),
        (["--width", "8", "--signed", "maybe"], "none"),
        (["--width", "8", "--tree", "oak"], "dadda"),
        (["--multiplier", "nosuch"], "mul_u8s8"),
        (["--multiplier", "mul_u8u8_pp_full", "--width", "8"], "leave out --width"),
        (["--width", "8", "--name", "module"], "cannot name"),
        (["--width", "8", "--out", "/proc/nowhere"], "/proc/nowhere"),
        (["--nosuch"], "--nosuch"),
    ],
)
def test_bad_input_is_one_line_and_status_2(arguments, words):
    result = gen(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1
    assert result.stderr.startswith("amhw: error: ")
    assert words in result.stderr


def test_unwritable_folder(tmp_path):
    if os.geteuid() == 0:
        blocked = tmp_path / "file"
        blocked.write_text("a file where a folder should be")
        folder = blocked / "out"
    else:
        tmp_path.chmod(0o500)
        folder = tmp_path / "out"
    result = gen("--width", "4", "--out", str(folder))
    assert result.exit_code == 2
    assert str(folder) in result.stderr


def test_runs_as_a_module(tmp_path):
    process = subprocess.run(
        [sys.executable, "-m", "amhw.gen", "--width", "4", "--pp-mask", "columns>=3", "--out", str(tmp_path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert process.stdout.splitlines()[0].endswith(".v")


def test_overview_lists_every_command():
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    for name in ("gen", "sim", "synth", "accuracy", "train", "study"):
        assert f"\n  {name}" in result.stdout
