"""Tables in other simulators' layouts, each read back the way its reader indexes it."""

import json
import re

import numpy as np
import pytest
from click.testing import CliRunner

from amhw import Masked, ProductTable, Refusal
from amhw.cli import main
from amhw.exports import LAYOUTS
from amhw.exports.layouts import content
from amhw.families import Drum
from amhw.imports import read_table

LOPSIDED = Masked(rows=(0, 0, 0, 0, 0, 0xC0, 0xFF, 0xFE), width_a=8, width_b=8, signed_b=True)
UNSIGNED = Masked(rows=(0, 0, 0, 0, 0, 0xC0, 0xFF, 0xFE), width_a=8, width_b=8)
"""Not symmetric, so that a swap of the operands shows."""


def written(tmp_path, table: ProductTable, layout: str, order: str | None):
    path = tmp_path / f"t{LAYOUTS[layout].suffix}"
    path.write_bytes(content(table, layout, order=order, name="t"))
    return path


def pairs(table: ProductTable, count: int = 200):
    """Operand values and the product of each pair."""
    random = np.random.default_rng(0)
    for a, b in random.integers(0, 256, (count, 2)).tolist():
        yield int(table.values_a[a]), int(table.values_b[b]), int(table.products[a, b])


def c_array(text: str) -> tuple[str, list[list[int]]]:
    """Element type and contents as a C compiler would see them."""
    kind = re.search(r"const (\w+) \w+\[256\]\[256\]", text)[1]
    rows = re.findall(r"^\{(.*?)\},?$", text, flags=re.MULTILINE)
    return kind, [[int(cell) for cell in row.split(",")] for row in rows]


def test_npy_and_torchapprox_are_indexed_by_codes(tmp_path):
    """TorchApprox: y = lut[x][w], axes in the order 0 … 127, −128 … −1 of unsigned codes; int32."""
    table = ProductTable.of(LOPSIDED)
    for layout in ("npy", "torchapprox"):
        lut = np.load(written(tmp_path, table, layout, None))
        assert lut.shape == (256, 256) and lut.dtype == np.int32
        for x, w, y in pairs(table):
            assert lut[x % 256][w % 256] == y


def test_tfapprox_is_indexed_by_input_then_filter(tmp_path):
    """TFApprox: uint16 at (input << 8) | filter."""
    table = ProductTable.of(UNSIGNED)
    data = written(tmp_path, table, "tfapprox", None).read_bytes()
    assert len(data) == 131072
    for x, w, y in pairs(table):
        at = 2 * (x << 8 | w)
        assert int.from_bytes(data[at : at + 2], "little") == y


def test_adapt_looks_up_linear_layers_and_convolutions_differently(tmp_path):
    """lut[(uint8_t)activation][(uint8_t)weight] in linear layers, [weight][activation] in convolutions; int16."""
    table = ProductTable.of(LOPSIDED)
    with pytest.raises(Refusal, match="--out-order ab for linear layers or ba for convolutions"):
        content(table, "adapt", name="t")
    for order in ("ab", "ba"):
        text = written(tmp_path, table, "adapt", order).read_text()
        kind, lut = c_array(text)
        assert kind == "int16_t" and " lut[256][256]" in text
        for x, w, y in pairs(table):
            assert (lut[x % 256][w % 256] if order == "ab" else lut[w % 256][x % 256]) == y
    symmetric = ProductTable.of(Masked.exact(8, 8, signed_a=True, signed_b=True))
    assert b"lut" in content(symmetric, "adapt", name="t")


def test_c_array_and_csv(tmp_path):
    table = ProductTable.of(LOPSIDED)
    kind, lut = c_array(written(tmp_path, table, "c", None).read_text())
    assert kind == "int32_t"
    lines = written(tmp_path, table, "csv", None).read_text().splitlines()
    assert lines[0] == "a,b,p" and len(lines) == 65537
    listed = {tuple(map(int, line.split(",")[:2])): int(line.split(",")[2]) for line in lines[1:]}
    for a, b, p in pairs(table):
        assert lut[a % 256][b % 256] == p
        assert listed[a, b] == p


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("order", ["ab", "ba", None])
def test_every_layout_reads_back(tmp_path, layout, order):
    table = ProductTable.of(UNSIGNED if layout == "tfapprox" else LOPSIDED)
    if (layout == "csv" and order) or (layout == "adapt" and order is None):
        with pytest.raises(Refusal):
            content(table, layout, order=order, name="t")
        return
    path = written(tmp_path, table, layout, order)
    signed = "none" if layout == "tfapprox" else "b"
    stated = None if layout == "csv" else order or "ab"
    shape = "256x256" if layout == "tfapprox" else None
    assert read_table(path, signed=signed, order=stated, shape=shape).sha256 == table.sha256


def test_a_c_array_has_a_name_that_c_allows():
    text = content(ProductTable.of(Masked.exact(2, 2)), "c", name="8 bits */ of-anyone").decode()
    assert "const int32_t _8_bits____of_anyone_table[4][4]" in text
    assert text.count("*/") == 1


@pytest.mark.parametrize(
    ("multiplier", "layout", "words"),
    [
        (LOPSIDED, "tfapprox", "unsigned operands"),
        (Masked.exact(8, 8), "adapt", "int16"),
        (Masked.exact(4, 8), "tfapprox", "8 × 8"),
        (Masked.exact(4, 4), "torchapprox", "8 × 8"),
        (Masked.exact(4, 4), "adapt", "8 × 8"),
    ],
)
def test_what_a_layout_cannot_hold_is_refused(multiplier, layout, words):
    with pytest.raises(Refusal, match=words):
        content(ProductTable.of(multiplier), layout, order="ab", name="t")


def test_command(tmp_path):
    result = CliRunner().invoke(
        main, ["export", "mul_u8u8_drum_4", "--format", "tfapprox", "--out", str(tmp_path), "--json"]
    )
    assert result.exit_code == 0
    record = json.loads(result.stdout)
    table = ProductTable.of(Drum(bits=4, width_a=8, width_b=8))
    assert record["table_sha256"] == table.sha256
    assert read_table(record["file"], signed="none", order="ab", shape="256x256").sha256 == table.sha256


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["mul_u8s8_pp_full", "--format", "tfapprox"], "unsigned operands"),
        (["mul_u8s8_pp_full", "--format", "matlab"], "matlab"),
        (["mul_u8s8_pp_full"], "--format"),
        (["mul_u8s8_pp_full", "--format", "csv", "--out-order", "ba"], "leave out --out-order"),
        (["nobody", "--format", "npy"], "no multiplier's name"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["export", *arguments])
    assert result.exit_code == 2
    assert words in result.stderr and len(result.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())
