"""Numbers without a shape: read only where one reading is left."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from evoapprox import SIGNED, UNSIGNED, table_of

from amhw import Refusal
from amhw.cli import main
from amhw.imports import read_table

FIELD = Path(__file__).parent.parent / "data" / "field"

CODES = np.arange(256)


@pytest.mark.parametrize(
    ("file", "dtype", "shape"),
    [
        ("u8_4x4.bin", "uint8", "16x16"),
        ("i64_4x4.bin", "int64", "16x16"),
        ("f32_4x4.bin", "float32", "16x16"),
        ("u16_8x4.bin", "uint16", "256x16"),
    ],
)
def test_each_element_type_is_read_where_it_is_stated(file, dtype, shape):
    rows, columns = map(int, shape.split("x"))
    exact = CODES[:rows, None] * CODES[None, :columns]
    for stated in ({"dtype": dtype}, {"dtype": dtype, "shape": shape}):
        assert (read_table(FIELD / file, signed="none", order="ab", **stated).products == exact).all()
    with pytest.raises(Refusal, match="can be read in") as refusal:
        read_table(FIELD / file, signed="none", order="ab")
    assert f"say which: --dtype {dtype} --shape {shape} (MAE 0), " in str(refusal.value)


def test_a_table_of_128_by_128_bytes_is_not_taken_for_one_of_words(tmp_path):
    codes = np.arange(128)
    products = codes[:, None] * codes[None, :] >> 7
    products.astype(np.uint8).tofile(tmp_path / "t.bin")
    with pytest.raises(Refusal, match="16384 bytes can be read in"):
        read_table(tmp_path / "t.bin", signed="none", order="ab")
    read = read_table(tmp_path / "t.bin", signed="none", order="ab", dtype="uint8", shape="128x128")
    assert (read.products == products).all()


@pytest.mark.parametrize("row", SIGNED + UNSIGNED, ids=lambda row: row["name"])
def test_a_shape_proves_words_of_16_bits(tmp_path, row):
    """128 KiB of 256 × 256 numbers are two bytes each, whatever they are."""
    signed = "both" if row["signedness"] == "signed" else "none"
    table_of(row).products.astype("<i2" if signed == "both" else "<u2").tofile(tmp_path / "t.bin")
    read = read_table(tmp_path / "t.bin", signed=signed, order="ab", shape="256x256")
    assert read.sha256 == row["table_sha256"]


def test_big_endian_numbers_and_a_shape_that_is_no_square(tmp_path):
    exact = CODES[:, None] * CODES[None, :8]
    exact.T.astype(">i4").tofile(tmp_path / "t.bin")
    read = read_table(tmp_path / "t.bin", signed="none", order="ba", dtype=">i4", shape="8x256")
    assert (read.products == exact).all()


def test_numbers_in_a_row_get_the_shape_that_fits_or_is_stated(tmp_path):
    exact = CODES[:, None] * CODES[None, :16]
    np.save(tmp_path / "flat.npy", exact.ravel())
    np.savetxt(tmp_path / "flat.csv", exact.ravel(), fmt="%d")
    numbers = ", ".join(map(str, exact.ravel()))
    (tmp_path / "flat.h").write_text(f"const int lut[4096] = {{{numbers}}};")
    for file in tmp_path.iterdir():
        for shape in ("256x16", None):
            assert (read_table(file, signed="none", order="ab", shape=shape).products == exact).all()
    np.save(tmp_path / "none.npy", np.zeros(4096, dtype=int))
    with pytest.raises(Refusal, match="4096 numbers in a row can be read in 11 ways"):
        read_table(tmp_path / "none.npy", signed="none", order="ab")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shape": "16x17"}, "powers of two"),
        ({"shape": "-2x2"}, "powers of two"),
        ({"shape": "8192x8192"}, "powers of two"),
        ({"shape": "256x256"}, "1024 bytes are no table of 256x256"),
        ({"dtype": "apple"}, "no element type"),
        ({"dtype": "complex64"}, "no element type"),
        ({"dtype": "float64"}, "1024 bytes are no table of float64"),
    ],
)
def test_what_is_stated_must_fit(options, words):
    with pytest.raises(Refusal, match=words):
        read_table(FIELD / "f32_4x4.bin", signed="none", order="ab", **options)


def test_element_types_are_for_raw_numbers(tmp_path):
    np.save(tmp_path / "t.npy", np.zeros((4, 4), dtype=int))
    with pytest.raises(Refusal, match="--dtype is for raw numbers"):
        read_table(tmp_path / "t.npy", signed="none", dtype="int8")
    with pytest.raises(Refusal, match=r"have the shape \(4, 4\); --shape says \(2, 8\)"):
        read_table(tmp_path / "t.npy", signed="none", shape="2x8")


def test_whole_floating_point_numbers_are_integers_and_others_are_not(tmp_path):
    np.save(tmp_path / "whole.npy", np.outer(np.arange(4.0), np.arange(4.0)))
    assert read_table(tmp_path / "whole.npy", signed="none").products[3, 3] == 9
    np.save(tmp_path / "half.npy", np.full((4, 4), 0.5))
    with pytest.raises(Refusal, match="holds integers"):
        read_table(tmp_path / "half.npy", signed="none")


@pytest.mark.parametrize("command", [["import"], ["errors"], ["export", "--format", "npy"]])
def test_commands_state_type_and_shape(command, tmp_path):
    out = [] if command[0] == "errors" else ["--out", str(tmp_path)]
    said = [str(FIELD / "u16_8x4.bin"), "--signed", "none", "--order", "ab", *out, "--json"]
    refused = CliRunner().invoke(main, [*command, *said])
    assert refused.exit_code == 2 and "--dtype uint16 --shape 256x16 (MAE 0)" in refused.stderr
    read = CliRunner().invoke(main, [*command, *said, "--dtype", "uint16", "--shape", "256x16"])
    assert read.exit_code == 0, read.stderr
    exact = read_table(FIELD / "u16_8x4.bin", signed="none", order="ab", dtype="uint16")
    assert json.loads(read.stdout)["table_sha256"] == exact.sha256
