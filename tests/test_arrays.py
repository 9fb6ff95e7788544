"""NumPy files are judged by their headers."""

import io
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amhw.arrays import array_in, arrays_in
from amhw.refusal import Refusal


def npy(shape, dtype="<f4"):
    """A header and no numbers."""
    file = io.BytesIO()
    np.lib.format.write_array_header_2_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file.getvalue()


def npz(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


def saved(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_what_was_saved_is_read():
    array = np.arange(12).reshape(3, 4)
    assert (array_in(saved(array), 12) == array).all()
    read = arrays_in(npz(a=saved(array), b=saved(array.T.astype(float))), 24)
    assert (read["a"] == array).all() and (read["b"] == array.T).all()


def test_a_header_of_4_tib_is_refused_from_the_header():
    with pytest.raises(Refusal, match="1099511627776 numbers; at most 16777216"):
        array_in(npy((1 << 20, 1 << 20)), 1 << 24)


def test_an_archive_is_refused_before_it_is_unpacked():
    """Zeros compress a thousand to one: 64 million numbers here, as 3 billion would, in a small file."""
    content = npz(a=saved(np.zeros(1 << 23, dtype=np.uint8)), b=npy((1 << 26,), "|u1") + bytes(1 << 26))
    assert len(content) < 1 << 17
    tracemalloc.start()
    with pytest.raises(Refusal, match="the array b has the shape"):
        arrays_in(content, 1 << 24)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no NumPy array"),
        (b"hello", "no NumPy array"),
        (npy((4, 4))[:-20], "no NumPy array"),
        (npy((4, 4)), "no NumPy array"),
        (npy((-4, -4)), "no NumPy array"),
        (npy((2,), "|O"), "not numbers"),
        (npy((2,), "<U4"), "not numbers"),
        (npz(a=npy((2,))), "an archive of several arrays"),
    ],
)
def test_no_array(content, words):
    with pytest.raises(Refusal, match=words):
        array_in(content, 1 << 24)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no archive of NumPy arrays"),
        (b"PK", "no archive of NumPy arrays"),
        (b"PK\x03\x04hello", "no archive of NumPy arrays"),
        (npz(a=npy((4, 4))), "no archive of NumPy arrays"),
        (npz(a=b"hello"), "a is no array"),
    ],
)
def test_no_archive(content, words):
    with pytest.raises(Refusal, match=words):
        arrays_in(content, 1 << 24)


@given(st.data())
def test_damaged_files_are_refused_or_read(data):
    content = bytearray(data.draw(st.sampled_from([saved(np.eye(4)), npz(a=saved(np.eye(4)), b=saved(np.eye(2)))])))
    for place, byte in data.draw(
        st.dictionaries(st.integers(0, len(content) - 1), st.integers(0, 255), max_size=4)
    ).items():
        content[place] = byte
    for read in (array_in, arrays_in):
        try:
            read(bytes(content), 64)
        except Refusal as refusal:
            assert "\n" not in str(refusal)
