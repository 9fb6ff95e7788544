"""Data sets in a NumPy archive."""

import io
import zipfile

import numpy as np
import pytest
from labelled_images import random_set, write_npz

from amhw.datasets import data_source
from amhw.refusal import Refusal

IMAGES, LABELS = np.zeros((2, 8, 8), np.uint8), np.zeros(2, np.uint8)


def test_with_and_without_a_training_part(tmp_path):
    training, test = random_set(30, (3, 8, 6)), random_set(20, (3, 8, 6), seed=1)
    both = data_source(write_npz(tmp_path / "both.npz", training, test))
    assert (both.training.sha256, both.test.sha256) == (training.sha256, test.sha256)
    assert both.has_training and both.name == "both"
    alone = data_source(write_npz(tmp_path / "alone.npz", None, test))
    assert not alone.has_training and alone.test.sha256 == test.sha256
    with pytest.raises(Refusal, match=r"alone\.npz has no array train_images; it holds images, labels"):
        _ = alone.training


def test_grey_images_in_three_dimensions_and_labels_of_any_integer_type(tmp_path):
    test = random_set(20)
    for dtype in (np.int64, ">i4", np.uint16, np.int8):
        np.savez(tmp_path / "grey.npz", images=test.images[:, 0], labels=test.labels.astype(dtype))
        assert data_source(tmp_path / "grey.npz").test.sha256 == test.sha256


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "no arrays images and labels; it holds nothing"),
        ({"x_test": IMAGES, "y_test": LABELS}, "no arrays images and labels; it holds x_test, y_test"),
        ({"images": IMAGES}, "no array labels; it holds images"),
        ({"images": IMAGES / 255, "labels": LABELS}, r"float64\[2, 8, 8\]; wanted uint8"),
        ({"images": IMAGES[0], "labels": LABELS}, r"uint8\[8, 8\]; wanted"),
        ({"images": IMAGES[..., None], "labels": LABELS}, "channels last"),
        ({"images": np.zeros((2, 8, 8, 3), np.uint8), "labels": LABELS}, "channels last"),
        ({"images": IMAGES, "labels": LABELS / 1.0}, "wanted integers"),
        ({"images": IMAGES, "labels": LABELS[:, None]}, r"labels are uint8\[2, 1\]; wanted integers \[N\]"),
        ({"images": IMAGES, "labels": np.zeros(3, int)}, "labels of shape"),
        ({"images": IMAGES, "labels": np.array([0, 256])}, "labels are 0…256; wanted classes 0…255"),
        ({"images": IMAGES, "labels": np.array([-1, 1])}, "labels are -1…1; wanted classes 0…255"),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, "no images"),
        ({"images": np.array([object()]), "labels": LABELS}, "images cannot be read"),
    ],
)
def test_other_arrays_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "odd.npz", **arrays)
    with pytest.raises(Refusal, match=f"odd.*{message}") as refused:
        _ = data_source(tmp_path / "odd.npz").test
    assert "\n" not in str(refused.value)


def archive_with(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


def npy(shape, dtype=np.uint8):
    """The header alone of an array of this shape."""
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, header)
    return content.getvalue()


def test_terabytes_that_a_header_promises_are_refused_before_they_are_asked_for(tmp_path):
    path = archive_with(tmp_path / "huge.npz", images=npy((10**10, 28, 28)), labels=npy((10**10,)))
    with pytest.raises(Refusal, match=r"images has the shape \[10000000000, 28, 28\].*up to 4 GiB"):
        _ = data_source(path).test


@pytest.mark.parametrize(
    "content",
    [b"", b"no array", npy((2, 8, 8)), npy((2, 8, 8)) + bytes(100), npy((-2, 8, 8)), npy((2, 8, 8), "V0")],
    ids=["empty", "text", "header alone", "cut short", "negative", "no bytes"],
)
def test_a_damaged_array_is_refused_by_name(tmp_path, content):
    path = archive_with(tmp_path / "damaged.npz", images=content, labels=npy((2,)) + bytes(2))
    with pytest.raises(Refusal, match=r"damaged\.npz: images"):
        _ = data_source(path).test


def test_a_damaged_archive_is_refused_by_name(tmp_path):
    whole = write_npz(tmp_path / "whole.npz", None, random_set()).read_bytes()
    broken = bytearray(whole)
    broken[200] ^= 255  # in the middle of the pixels
    for content in (b"", b"PK\x03\x04", whole[:-100], whole[50:], bytes(broken)):
        (tmp_path / "broken.npz").write_bytes(content)
        with pytest.raises(Refusal, match=r"broken\.npz"):
            _ = data_source(tmp_path / "broken.npz").test
