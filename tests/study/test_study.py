"""The study command on real stages: what it writes, that it resumes, that it survives interruption."""

import csv
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import fields

import pytest
from chains import with_layer
from click.testing import CliRunner
from ctrl_c import listening
from rich.console import Console

from amhw import ProductTable, parse
from amhw.commands.energy import command as energy
from amhw.commands.study import _table as table_of
from amhw.commands.study import command
from amhw.network.models import lenet5
from amhw.network.quantised import MadeFor
from amhw.simulation import default_simulator
from amhw.study.plan import Plan
from amhw.study.plot import accuracy_against_cost
from amhw.study.record import Row

SMALL = ["--multiplier", "mul_u3s4_pp_full", "--multiplier", "mul_u3s4_pp_0_c_e__wallace__ripple", "--workers", "2"]


def stages(folder) -> list[tuple[str, str]]:
    with sqlite3.connect(folder / "results.sqlite") as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'result'").fetchall():
            return []  # just being made
        return connection.execute("SELECT stage, finished FROM result ORDER BY key").fetchall()


def test_every_stage_of_every_design_and_nothing_twice(tmp_path):
    arguments = [*SMALL, "--energy", "conv2", "--out", str(tmp_path)]
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0, result.stderr
    with (tmp_path / "sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["mul_u3s4_pp_full", "mul_u3s4_pp_0_c_e__wallace__ripple"]
    for row in rows:
        assert row["products"] == "128/128"
        assert row["images"] == "10000"
        assert row["failure"] == ""
    exact, masked = rows
    assert float(masked["area_um2"]) < float(exact["area_um2"])
    assert float(exact["area_ratio"]) >= 1
    assert float(masked["accuracy"]) < float(exact["accuracy"])
    assert exact["exact_accuracy"] == masked["exact_accuracy"] == exact["accuracy"]
    assert float(masked["energy_settled_fj"]) <= float(masked["energy_fj"]) < float(exact["energy_fj"])
    assert float(masked["energy_ratio"]) < 1 <= float(exact["energy_ratio"])
    alone = CliRunner().invoke(energy, [masked["name"], "--layers", "conv2", "--json"])
    assert float(masked["energy_fj"]) == json.loads(alone.stdout)["operands"]["MNIST conv2"]["timed_fj"]
    assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")

    before = stages(tmp_path)
    again = CliRunner().invoke(command, arguments)
    assert again.exit_code == 0
    assert stages(tmp_path) == before
    assert again.stdout == result.stdout
    for file in ("sweep.csv", "sweep.json", "sweep.png"):
        assert str(tmp_path / file) in again.stdout.splitlines()[-3:]
    as_json = CliRunner().invoke(command, [*arguments, "--json"])
    printed, written = json.loads(as_json.stdout), json.loads((tmp_path / "sweep.json").read_text())
    assert printed.pop("files") == [str(tmp_path / f"sweep.{ending}") for ending in ("csv", "json", "png")]
    assert printed == written
    assert {"icarus", "verilator"} & written["provenance"].keys() == {default_simulator()}


def test_interrupted_it_keeps_what_is_finished(tmp_path):
    arguments = [sys.executable, "-m", "amhw.study", "--out", str(tmp_path), *SMALL, "--simulator", "verilator"]
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, preexec_fn=listening
    ) as process:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not ((tmp_path / "results.sqlite").exists() and stages(tmp_path)):
            time.sleep(0.2)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in errors
    assert b"interrupted" in errors
    assert stages(tmp_path)


def row(name: str, **other: object) -> Row:
    """A row of a study, every figure of it known."""
    texts = {field.name: "" for field in fields(Row)}
    known = {"kept": 24, "products": "65536/65536", "area_um2": 1556.0, "area_ratio": 1.106, "delay_ps": 1517.0}
    known |= {"delay_ratio": 1.0, "energy_fj": 2835.0, "accuracy": 0.9959, "tech": "sky130hd", "data": "MNIST"}
    known |= {"area_noise": None, "delay_noise": None, "network_name": "LeNet-5"}
    return Row(**(texts | known | {"name": name} | other))


@pytest.mark.parametrize("width", [56, 60, 78, 79, 120])
def test_names_in_the_table_are_whole_in_every_terminal(width):
    names = ["pp_full", "pp_f0_f8_fc_fe_ff_ff_ff_ff"]  # the longest of the demonstration
    console = Console(width=width, file=io.StringIO())
    console.print(table_of([row(f"mul_u8s8_{name}") for name in names], console.width))
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    for number, name in enumerate(names, 1):
        [line] = [line for line in lines if name in line]
        if width >= 79:
            assert line.split()[:2] == [name, "24"]
        else:
            assert line.split() == [str(number), name]
            assert any(line.split()[:2] == [str(number), "24"] for line in lines)
    assert any("65536 products of each" in line for line in lines)
    assert any("10⁻¹⁵ J" in line for line in lines)


def test_products_that_are_not_all_simulated_have_a_column():
    console = Console(width=100, file=io.StringIO())
    console.print(table_of([row("mul_u8s8_pp_full"), row("mul_u8s8_other", products="")], console.width))
    text = console.file.getvalue()
    assert "proved" in text and "imported" in text and "of each" not in text


def test_bad_input(tmp_path):
    for arguments, words in (
        (["--multiplier", "nosuch"], "mul_u8s8"),
        (["--tech", "nosuch"], "sky130hd"),
        (["--multiplier", "mul_u8u8_pp_full"], "signed"),
        (["--workers", "0"], "workers"),
        (["--layers", "conv9"], "conv9"),
        (["study.toml", "--tech", "sg13g2", "--layers", "conv1"], "leave out --tech, --layers: study.toml says"),
        (["--dask", "tcp://127.0.0.1:1", "--workers", "2"], "leave out --workers: "),
    ):
        result = CliRunner().invoke(command, [*arguments, "--out", str(tmp_path)])
        assert result.exit_code == 2, arguments
        assert words in result.stderr
        assert len(result.stderr.strip().splitlines()) == 1, result.stderr


STUDY = """
title = "Two technologies"
technologies = ["sky130hd", "sg13g2"]
[[designs]]
group = "masks"
names = ["mul_u3s4_pp_full", "mul_u3s4_pp_0_c_e"]
"""


def test_a_study_file(tmp_path):
    file = tmp_path / "study.toml"
    file.write_text(STUDY)
    result = CliRunner().invoke(command, [str(file), "--out", str(tmp_path / "out"), "--workers", "2"])
    assert result.exit_code == 0, result.stderr
    with (tmp_path / "out" / "sweep.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert [(row["tech"], row["group"], row["kept"]) for row in rows] == [
        ("sky130hd", "masks", "12"),
        ("sky130hd", "masks", "5"),
        ("sg13g2", "masks", "12"),
        ("sg13g2", "masks", "5"),
    ]
    assert rows[0]["area_um2"] != rows[2]["area_um2"]


def test_bad_study_files(tmp_path):
    file = tmp_path / "study.toml"
    for text, words in (
        ("", "no designs"),
        ("x = [", "no TOML"),
        ("x = " + "[" * 100_000, "nested too deeply"),
        ("[array]\nrows = " + "9" * 6000, "no TOML"),
        (STUDY + "[array]\nrows = " + "9" * 600, "rows"),
        (STUDY.replace('"Two technologies"', "5"), "wanted a text, found a whole number - at `title`"),
        (STUDY.replace('["mul_u3s4_pp_full", "mul_u3s4_pp_0_c_e"]', '["mul_u3s4_pp_full", 5]'), "designs[0].names[1]"),
        (STUDY.replace('["mul_u3s4_pp_full", "mul_u3s4_pp_0_c_e"]', "[]"), "designs[0].names"),
        (STUDY.replace('group = "masks"', f'group = "{"x" * 1000}"'), "designs[0].group"),
        ("simulator = 'nosuch'" + STUDY, "verilator, icarus"),
        ("layers = ['conv1', 'conv1']" + STUDY, "two layers called conv1"),
        (STUDY + "colour = 'red'", "colour"),
        ("speed = 3\n" + STUDY, "speed"),
        (STUDY.replace("u3s4_pp_full", "nosuch"), "mul_u8s8"),
        (STUDY.replace('["sky130hd", "sg13g2"]', '"sky130hd"'), "technologies"),
        (STUDY + "[[data]]\nname = 'x'", "folder"),
        (STUDY + "[[data]]\nfolder = 'nowhere'", "nowhere"),
        (STUDY + "[[data]]\nfolder = 'a/x'\n[[data]]\nfolder = 'b/x'", "two data sets called x"),
        (STUDY.replace('"sg13g2"]', '"a/sg13g2.lib.gz", "sg13g2"]'), "two technologies called sg13g2"),
        (STUDY + "network = 'nowhere.npz'", "nowhere.npz"),
        ("network = 'nowhere.npz'" + STUDY, "nowhere.npz"),
        ("energy = true" + STUDY, "text"),
        ("energy = 'conv9'" + STUDY, "conv9"),
        (STUDY + "[[peers]]\ngroup = 'published'", "file"),
        (STUDY + "[[peers]]\nfile = 'nowhere.csv'", "nowhere.csv"),
        (STUDY + "[[peers]]\nfile = 'study.toml'\ntech = 'nosuch'", "sky130hd, sg13g2"),
        (STUDY + "[[array]]", "`array`"),
        (STUDY + "[array]\nrows = 'many'", "whole number"),
        (STUDY + "[array]\nrows = 24", "25 taps"),
        (STUDY + "[array]\nsynthesis = 'study.toml'", "amhw synth"),
    ):
        file.write_text(text)
        result = CliRunner().invoke(command, [str(file), "--out", str(tmp_path / "out")])
        assert result.exit_code == 2, text
        assert words in result.stderr
        assert len(result.stderr.strip().splitlines()) == 1


def test_the_demo_falls_from_exact_to_six_partial_products():
    plan = Plan.of_names([], technologies=("sg13g2",))
    kept = [planned.design.multiplier.kept for planned in plan.designs]
    assert kept == sorted(kept, reverse=True)
    assert (kept[0], kept[-1], len(kept)) == (64, 6, 12)
    assert (plan.technologies, plan.energy) == (("sg13g2",), "conv2")


def test_a_picture_of_nothing_is_still_a_picture():
    assert accuracy_against_cost([]).startswith(b"\x89PNG")


def test_a_network_that_was_made_for_one_multiplier_is_refused_before_the_work(tmp_path):
    """Exact products would be wrong in it, and so would any other's."""
    file, name = tmp_path / "made.npz", "mul_u8s8_pp_0_0_0_0_0_0_f0_f0"
    table = ProductTable.of(parse(name))
    with_layer(lenet5.network(), 0, made_for=MadeFor(name, table.sha256)).save(file)
    for multiplier in ("mul_u8s8_pp_full", name):
        arguments = ["--multiplier", multiplier, "--network", str(file), "--out", str(tmp_path / "out")]
        result = CliRunner().invoke(command, arguments)
        assert result.exit_code == 2 and f"made for {name}" in result.stderr, result.output
        assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
