"""The emitted Verilog in other people's tools: lint, Yosys' checks, an AXI4-Stream bus model."""

import subprocess
import sys

import pytest
from test_conv import SMALL, written
from test_matmul import EXACT, MASKED

from amhw import ProductTable
from amhw.array import files
from amhw.array.designs import matrix_product
from amhw.array.plan import ConvPlan
from amhw.array.tiling import DATAFLOWS, Tiling
from amhw.simulation import default_simulator, run_bench, simulator_environment

STYLE = (
    "DECLFILENAME",  # several modules in a file, which is what one file is for
    "PROCASSINIT",  # registers with initial values, for FPGAs and simulators
    "UNUSEDSIGNAL",  # wires that Amaranth names and Yosys keeps; operand bits that a multiplier does not read
    "WIDTHEXPAND",  # Yosys writes a sum's operands at their own widths
    "WIDTHTRUNC",
    "CASEINCOMPLETE",  # tables give their default before the case, not in it
)

CHECKS = """
import sys
from pyosys import libyosys
design = libyosys.Design()
for command in (f"read_verilog {sys.argv[1]}", f"hierarchy -check -top {sys.argv[2]}", "proc", "flatten", "opt_clean",
                "check -assert", "select -assert-none t:$dlatch t:$adlatch t:$dlatchsr"):
    libyosys.run_pass(command, design)
"""


def engine(folder):
    multiplier, network, cols, depth = SMALL["more columns than channels"]
    return written(folder, multiplier, ConvPlan(network, ProductTable.of(multiplier), 9, cols, depth))


def product(dataflow):
    return lambda folder: files.write(folder, *matrix_product(MASKED, Tiling((5, 6, 7), 4, 3, 2, dataflow)))


DESIGNS = {"engine": engine, **{dataflow: product(dataflow) for dataflow in DATAFLOWS}}


@pytest.mark.parametrize("design", DESIGNS.values(), ids=DESIGNS)
def test_lint_and_checks(tmp_path, design):
    source, *_ = design(tmp_path)
    with simulator_environment():
        lint = subprocess.run(
            ["verilator", "--lint-only", "-Wall", *(f"-Wno-{kind}" for kind in STYLE), str(source)],
            capture_output=True,
            text=True,
        )
    assert lint.returncode == 0, lint.stderr
    assert not lint.stderr
    checked = subprocess.run([sys.executable, "-c", CHECKS, str(source), source.stem], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout[-2000:] + checked.stderr


def test_a_bus_model_that_is_not_ours(tmp_path):
    pytest.importorskip("cocotbext.axi")
    multiplier, network, cols, depth = SMALL["exact"]
    plan = ConvPlan(network, ProductTable.of(multiplier), 9, cols, depth)
    verilog, manifest, _ = written(tmp_path, multiplier, plan)
    (tmp_path / "run").mkdir()
    with simulator_environment():
        found = run_bench("axi_bench", "engine", verilog, manifest.resolve(), default_simulator(), 1, tmp_path / "run")
    assert found.matched == found.pairs > 0


def test_the_same_bytes_each_time(tmp_path):
    first, second = (matrix_product(EXACT, Tiling((3, 4, 5), 2, 2))[0] for _ in range(2))
    assert first == second
