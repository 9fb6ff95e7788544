"""Matrix products through the emitted Verilog, against NumPy on product tables."""

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amhw import Masked, ProductTable, Refusal, parse
from amhw.array import files, golden
from amhw.array.designs import matrix_product
from amhw.array.tiling import DATAFLOWS, Tiling
from amhw.commands.array import command
from amhw.simulation import simulate

EXACT = Masked.exact(8, 8, signed_b=True)
MASKED = parse("mul_u8s8_pp_0_0_0_0_0_0_f0_f0")
NOT_MASKED = parse("mul_u8s8_sm_or_3ffe_full")


def simulated(folder, multiplier, tiling, simulator=None):
    _, manifest, _ = files.write(folder, *matrix_product(multiplier, tiling))
    return simulate(manifest, simulator=simulator)


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize(
    ("multiplier", "shape", "rows", "cols", "depth"),
    [
        (EXACT, (7, 11, 9), 5, 4, 1),
        (MASKED, (6, 30, 5), 10, 3, 5),
        (NOT_MASKED, (9, 7, 3), 3, 3, 3),
        (MASKED, (1, 1, 1), 1, 1, 1),
        (Masked.exact(4, 5), (30, 13, 3), 3, 2, 1),
        (parse("mul_u8s8_sm_drum_4"), (5, 9, 4), 4, 3, 2),
        (Masked.exact(9, 6, signed_a=True, signed_b=True), (3, 6, 4), 2, 4, 2),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_sums_and_clocks(tmp_path, multiplier, shape, rows, cols, depth, dataflow):
    tiling = Tiling(shape, rows, cols, depth, dataflow)
    outcome = simulated(tmp_path, multiplier, tiling)
    assert outcome.first_difference is None
    assert outcome.matched == outcome.pairs == 11 * shape[0] * shape[2]
    assert outcome.cycles == tiling.cycles


def test_operands_are_encoded_at_the_edges():
    """Encoders are as many as rows and columns, and none is in an element."""
    multiplier = parse("mul_u8s8_sm_drum_4")
    for dataflow, encoders in zip(DATAFLOWS, (4 + 3, 4 * 2 + 3 * 2), strict=True):
        depth = 1 if dataflow == DATAFLOWS[0] else 2
        text, manifest = matrix_product(multiplier, Tiling((5, 9, 4), 4, 3, depth, dataflow), "dut")
        assert len(re.findall(r"^module \\?dut\.core\.array\.encode_\w+", text, re.MULTILINE)) == encoders
        for element in manifest.elements:
            body = re.search(rf"^module {element}\(.*?^endmodule", text, re.MULTILINE | re.DOTALL)[0]
            assert "segments" in body and not re.search(r"\bk_[ab]\b", body)


def test_verilator_agrees(tmp_path):
    outcome = simulated(tmp_path, MASKED, Tiling((12, 9, 5), 3, 4), "verilator")
    assert outcome.passed


@settings(max_examples=4, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    shape=st.tuples(st.integers(1, 14), st.integers(1, 14), st.integers(1, 9)),
    lanes=st.integers(1, 4),
    depth=st.integers(1, 3),
    cols=st.integers(1, 5),
    dataflow=st.sampled_from(DATAFLOWS),
    multiplier=st.sampled_from([EXACT, MASKED, NOT_MASKED]),
)
def test_random_shapes(tmp_path_factory, shape, lanes, depth, cols, dataflow, multiplier):
    tiling = Tiling(shape, lanes * depth, cols, depth, dataflow)
    outcome = simulated(tmp_path_factory.mktemp("matmul"), multiplier, tiling)
    assert outcome.passed
    assert outcome.cycles == tiling.cycles


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_a_broken_array_is_caught(tmp_path, dataflow):
    source, manifest, _ = files.write(tmp_path, *matrix_product(MASKED, Tiling((6, 7, 3), 3, 2, 1, dataflow)))
    text = source.read_text()
    # One skew register of the last row is skipped.
    skew = "skew_2" if dataflow == DATAFLOWS[0] else "skew_a_2"
    broken = re.sub(rf"^    {skew}_1 <= .*;$", f"    {skew}_1 <= 0;", text, flags=re.MULTILINE)
    assert broken != text
    source.write_text(broken)
    fields = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(fields | {"verilog_sha256": hashlib.sha256(broken.encode()).hexdigest()}))
    outcome = simulate(manifest)
    assert 0 < outcome.matched < outcome.pairs
    assert outcome.first_difference["expected"] != outcome.first_difference["found"]


@given(st.data())
def test_golden_product_is_a_plain_loop(data):
    multiplier = data.draw(st.sampled_from([EXACT, MASKED, NOT_MASKED]))
    m, k, n = (data.draw(st.integers(1, 4)) for _ in range(3))
    a = np.array(data.draw(st.lists(st.integers(*multiplier.range_a), min_size=m * k, max_size=m * k))).reshape(m, k)
    b = np.array(data.draw(st.lists(st.integers(*multiplier.range_b), min_size=k * n, max_size=k * n))).reshape(k, n)
    product = golden.matmul(ProductTable.of(multiplier), a, b)
    for i in range(m):
        for j in range(n):
            assert product[i, j] == sum(multiplier.golden(a[i, t], b[t, j]).item() for t in range(k))


def test_files(tmp_path):
    arguments = f"--multiplier {EXACT.name} --rows 2 --cols 2 --matmul 4,5,6 --name unit --json --out {tmp_path}"
    result = CliRunner().invoke(command, arguments.split())
    assert result.exit_code == 0, result.stderr
    manifest = json.loads(result.stdout)
    assert manifest.items() >= json.loads((tmp_path / "unit.json").read_text()).items()
    assert Path(manifest["verilog"]) == tmp_path / "unit.v"
    assert manifest["ports"]["m_axis_c_tdata"] == {"direction": "output", "width": 64}
    header = re.search(r"^module unit\((.*)\);", (tmp_path / "unit.v").read_text(), re.MULTILINE)
    assert header[1].split(", ") == list(manifest["ports"])
    assert "toplevel: unit" in (tmp_path / "unit.core").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--matmul 4,5", "M,K,N"),
        ("--matmul 4,5,x", "M,K,N"),
        ("--matmul 0,5,5", "0, 5, 5"),
        ("--matmul 4,5,6 --rows 0", "0 × 16"),
        ("--matmul 4,5,6 --rows 25 --depth 4", "25 rows are no multiple of the depth 4"),
        ("--matmul 4,5,6 --name 3x", "3x"),
    ],
)
def test_refusals(tmp_path, arguments, words):
    result = CliRunner().invoke(command, ["--multiplier", EXACT.name, "--out", str(tmp_path), *arguments.split()])
    assert result.exit_code == 2
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_sums_that_could_overflow_are_refused():
    wide = Masked.exact(12, 12, signed_b=True)
    with pytest.raises(Refusal, match=r"300 products .* sums have 32 bits"):
        matrix_product(wide, Tiling((1, 300, 1), 2, 2))
