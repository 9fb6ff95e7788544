"""Traces as files: what is read, and that nothing damaged or ambiguous is read as something else."""

import io
import zipfile

import numpy as np
import pytest

from amhw.refusal import Refusal
from amhw.stimulus import check_fits, read_trace


def test_a_byte_order_mark_and_blank_lines_are_not_values(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xef\xbb\xbfx,y\r\n1,-2\r\n\r\n0x10,4\r\n\r\n  \r\n")
    assert {name: values.tolist() for name, values in read_trace(path).items()} == {"x": [1, 16], "y": [-2, 4]}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b,a\n1,2,3\n4,5,6\n", "several columns are called a"),
        ("a,b\n1," + "2" * 200_000 + "\n3,4\n", "field larger than field limit"),
        ("a,b\n1,2\n,\n3,4\n", "line 3: invalid literal"),
        ("a\n1\n\n\n", "fewer than two clocks"),
    ],
    ids=["twice", "a huge field", "values missing", "only blank lines after the first"],
)
def test_a_bad_table_is_refused(tmp_path, text, says):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(Refusal, match=says):
        read_trace(path)


def npy(values):
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ([("notes.txt", b"hello")], "notes.txt is no array"),
        ([("x.npy", b"no array at all")], "x is no array"),
        ([("x.npy", npy(np.arange(3))), ("x", npy(np.arange(4)))], "several arrays are called x"),
    ],
    ids=["another file", "no array inside", "twice"],
)
def test_an_archive_of_other_things_is_refused(tmp_path, members, says):
    path = tmp_path / "t.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    with pytest.raises(Refusal, match=says):
        read_trace(path)


def test_a_damaged_archive_is_refused(tmp_path):
    """Whichever byte is wrong: a refusal, or (in what no reader looks at) the same numbers."""
    x = np.random.default_rng(1).integers(0, 9, 40)
    path = tmp_path / "t.npz"
    np.savez_compressed(path, x=x)
    whole, refused = path.read_bytes(), 0
    for position in range(2, len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x55]) + whole[position + 1 :])
        try:
            found = read_trace(path)
        except Refusal:
            refused += 1
        else:
            assert [values.tolist() for values in found.values()] == [x.tolist()], position
    assert refused > len(whole) // 2


def test_large_unsigned_numbers_stay_positive(tmp_path):
    path = tmp_path / "t.npz"
    np.savez(path, x=np.array([0, 2**64 - 1, 2**63], dtype=np.uint64), y=np.array([1, 2, 3], dtype=np.uint64))
    found = read_trace(path)
    assert [int(value) for value in found["x"]] == [0, 2**64 - 1, 2**63]
    assert found["y"].dtype == np.int64
    check_fits(found, {"x": 64, "y": 2}, "t.npz")
    with pytest.raises(Refusal, match="do not fit"):
        check_fits(found, {"x": 63, "y": 2}, "t.npz")
