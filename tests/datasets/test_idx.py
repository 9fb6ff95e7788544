"""IDX files: names, shapes, and what is refused by the header before it is unpacked."""

import gzip

import numpy as np
import pytest
from labelled_images import random_set, write_idx_folder

from amhw.datasets import data_source
from amhw.datasets.dataset import LARGEST
from amhw.datasets.idx import FILES, read_idx, write_idx
from amhw.refusal import Refusal


def header(*shape):
    return bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()


@pytest.mark.parametrize("packed", [True, False], ids=["gzip", "plain"])
@pytest.mark.parametrize("dotted", [False, True], ids=["hyphens", "dots"])
@pytest.mark.parametrize("shape", [(1, 28, 28), (1, 5, 9), (3, 8, 6)], ids=str)
def test_a_folder_gives_its_own_training_and_test_set(tmp_path, packed, dotted, shape):
    training, test = random_set(40, shape, seed=1), random_set(20, shape, seed=2)
    source = data_source(write_idx_folder(tmp_path / "other", training, test, packed=packed, dotted=dotted))
    assert (source.training.sha256, source.test.sha256) == (training.sha256, test.sha256)
    assert source.training.shape == source.test.shape == shape
    assert (source.training.name, source.test.name) == ("other training", "other test")


def test_the_format_is_the_published_one():
    """Byte by byte, as the MNIST page described it."""
    array = np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)
    assert gzip.decompress(write_idx(array)) == bytes(
        [0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6]
    )
    assert write_idx(array) == write_idx(array)


GOOD = header(2, 28, 28) + bytes(2 * 28 * 28)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it begins nowhere"),
        (b"\0\0", "it begins 00 00, wanted 00 00 08 03"),
        (b"P5 28 28 255", "is no IDX file"),
        (b"\0\0\x0d" + GOOD[3:], "is no IDX file"),  # floats
        (header(5) + bytes(5), "in 3 or 4 dimensions"),
        (GOOD[:9], "truncated: 9 bytes, the header alone has 16"),
        (GOOD[:-1], r"truncated: 1583 bytes, wanted 1584 for 2 × 28 × 28"),
        (GOOD + b"\0", "longer than its header says: wanted 1584"),
        (header(2**32 - 1, 28, 28), "promises 3367254359296 for 4294967295 × 28 × 28 elements; up to 4 GiB"),
        (gzip.compress(GOOD, mtime=0)[:-9], "gzip file is truncated or damaged"),
        (gzip.compress(GOOD, mtime=0) + b"rubbish", "gzip file is truncated or damaged"),
        (gzip.compress(GOOD[:-1], mtime=0), "truncated: 1583 bytes"),
        (gzip.compress(GOOD + b"\0", mtime=0), "longer than its header says"),
        (b"\x1f\x8b" + b"rubbish" * 9, "gzip file is truncated or damaged"),
        (b"\x1f\x8b", "gzip file is truncated or damaged"),
    ],
)
def test_a_truncated_or_foreign_file_is_refused_by_name(tmp_path, content, message):
    file = tmp_path / "train-images-idx3-ubyte"
    file.write_bytes(content)
    with pytest.raises(Refusal, match=message) as refused:
        read_idx(file, (3, 4))
    assert "train-images-idx3-ubyte" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_small_file_that_unpacks_to_gigabytes_is_left_packed(tmp_path, monkeypatch):
    """Of 4 GiB of zeros behind a header for two images, little more than the two images are ever unpacked."""
    block = gzip.compress(bytes(1 << 26), 9, mtime=0)
    file = tmp_path / "train-images-idx3-ubyte.gz"
    file.write_bytes(gzip.compress(header(2, 28, 28), mtime=0) + 64 * block)
    assert file.stat().st_size < 8 << 20
    unpacked = []
    read = gzip.GzipFile.read
    monkeypatch.setattr(
        gzip.GzipFile, "read", lambda file, size=-1: unpacked.append(len(data := read(file, size))) or data
    )
    with pytest.raises(Refusal, match="longer than its header says"):
        read_idx(file, (3,))
    assert 0 < sum(unpacked) < 2000


def test_what_a_header_promises_has_a_limit(tmp_path):
    file = tmp_path / "images"
    file.write_bytes(gzip.compress(header(LARGEST // 4 + 1, 2, 2), mtime=0))
    with pytest.raises(Refusal, match=f"promises {LARGEST + 20} "):
        read_idx(file, (3,))
    file.write_bytes(gzip.compress(header(LARGEST // 4, 2, 2), mtime=0))
    with pytest.raises(Refusal, match="truncated: 16 bytes"):
        read_idx(file, (3,))


@pytest.mark.parametrize("missing", [*FILES["training"], *FILES["test"]])
def test_a_missing_file_is_refused_by_name(tmp_path, missing):
    source = data_source(write_idx_folder(tmp_path / "some", random_set(), random_set(seed=1)))
    (tmp_path / "some" / f"{missing}.gz").unlink()
    with pytest.raises(Refusal, match=rf"some has neither {missing} nor {missing}\.gz$"):
        _ = (source.training, source.test)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("t10k-images-idx3.ubyte", "t10k-images-idx3-ubyte"),
        ("t10k_images_idx3_ubyte.gz", "t10k-images-idx3-ubyte.gz"),
        ("T10K-images-idx3-ubyte", "t10k-images-idx3-ubyte"),
        ("t10k-image-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz"),
    ],
)
def test_a_file_that_is_almost_called_so_is_named(tmp_path, wrong, right):
    folder = write_idx_folder(tmp_path / "near", random_set(), random_set(seed=1), packed=wrong.endswith(".gz"))
    (folder / right).rename(folder / wrong)
    with pytest.raises(Refusal, match=rf"; {wrong} is there: call it {right}$"):
        _ = data_source(folder).test
    # Nor is there anything else by which to know the folder.
    for file in folder.iterdir():
        if file.name != wrong:
            file.unlink()
    with pytest.raises(Refusal, match=rf"near holds no data set.*; {wrong} is there: call it {right}$"):
        data_source(folder)


def test_four_dimensions_have_their_channels_first(tmp_path):
    folder = write_idx_folder(tmp_path / "colour", random_set(6, (3, 8, 8)))
    (folder / "train-images-idx3-ubyte.gz").write_bytes(write_idx(np.zeros((6, 8, 8, 3), np.uint8)))
    with pytest.raises(Refusal, match=r"train-images-idx3-ubyte.gz: .*channels last"):
        _ = data_source(folder).training


def test_labels_and_images_of_different_numbers_are_refused(tmp_path):
    folder = write_idx_folder(tmp_path / "odd", random_set(6))
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(write_idx(np.zeros(7, np.uint8)))
    with pytest.raises(Refusal, match=r"odd training: labels of shape \(7,\) for 6 images"):
        _ = data_source(folder).training
