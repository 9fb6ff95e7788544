"""Whatever lies at a path: one data set by its content, or a refusal."""

import gzip
import io
import zipfile
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_images import random_set, write_idx_folder, write_npz
from PIL import Image

from amhw.datasets import DataSet, balanced, data_source, mnist_slice, mnist_test
from amhw.datasets.idx import write_idx
from amhw.datasets.mnist import TRAINING_SHA256
from amhw.refusal import Refusal


def test_the_packaged_mnist_is_the_default():
    source = data_source()
    assert (source.name, source.test, source.calibration) == ("MNIST", mnist_test(), mnist_slice())
    assert (source.identity.name, source.identity.sha256) == ("MNIST", TRAINING_SHA256)
    assert source.has_training and source.representative is mnist_slice()


def test_the_same_content_elsewhere_is_the_same_data_set(tmp_path):
    training, test = random_set(40, seed=1), random_set(20, seed=2)
    first = data_source(write_idx_folder(tmp_path / "first", training, test)).identity
    others = [
        write_idx_folder(tmp_path / "second", training, random_set(10, seed=3), packed=False, dotted=True),
        write_npz(tmp_path / "third.npz", training, test),
    ]
    for path, name in zip(others, ("second", "third"), strict=True):
        identity = data_source(path).identity
        assert (identity.name, identity.sha256) == (name, first.sha256)
    assert str(first) == f"first ({training.sha256[:12]})"
    other = data_source(write_idx_folder(tmp_path / "other", random_set(40, seed=4), test)).identity
    assert other.sha256 != first.sha256


def test_what_has_no_training_images_is_identified_by_its_test_images(tmp_path):
    test = random_set(20)
    source = data_source(write_idx_folder(tmp_path / "test only", None, test))
    assert source.identity.sha256 == test.sha256
    assert source.representative is source.test


def test_training_images_are_representative_where_there_are_any(tmp_path):
    training = random_set(40, seed=1)
    source = data_source(write_idx_folder(tmp_path / "both", training, random_set(20)))
    assert source.representative.sha256 == source.calibration.sha256 == balanced(training).sha256


def test_the_name_is_that_of_the_folder_or_file(tmp_path, monkeypatch):
    folder = write_idx_folder(tmp_path / "letters", None, random_set())
    assert data_source(f"{folder}/").name == "letters"
    monkeypatch.chdir(folder)
    assert data_source(".").name == "letters"
    assert data_source(write_npz(tmp_path / "signs.of.life.npz", None, random_set())).name == "signs.of.life"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "nowhere is not there; wanted a folder of IDX or PNG files, or an .npz archive"),
        ("nowhere.npz", "nowhere.npz is not there"),
        ("text.txt", "text.txt is no data set; wanted a folder"),
        ("empty", "empty holds no data set: neither t10k-images-idx3-ubyte and the like nor a folder of PNG"),
        ("x" * 3000, "cannot read .*: File name too long"),
    ],
)
def test_what_is_no_data_set_is_refused_by_name(tmp_path, name, message):
    (tmp_path / "text.txt").write_text("0,1,2")
    (tmp_path / "empty").mkdir()
    with pytest.raises(Refusal, match=message):
        data_source(tmp_path / name)


def test_what_may_not_be_read_is_refused(tmp_path, monkeypatch):
    """The tests may run as a user whom nothing is forbidden."""
    folder = write_idx_folder(tmp_path / "secret", None, random_set())

    def forbidden(self, *arguments):
        raise PermissionError(13, "Permission denied", str(self))

    source = data_source(folder)
    for method in ("iterdir", "open"):
        monkeypatch.setattr(type(folder), method, forbidden)
    with pytest.raises(Refusal, match=r"cannot read .*secret.*: Permission denied"):
        _ = source.test
    with pytest.raises(Refusal, match=r"cannot read .*: Permission denied"):
        data_source(tmp_path)


# Files that are almost right


def archived(member):
    """An archive whose array of images is in these bytes."""
    content = io.BytesIO()
    labels = io.BytesIO()
    np.save(labels, np.zeros(4, np.uint8))
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("images.npy", member)
        archive.writestr("labels.npy", labels.getvalue())
    return content.getvalue()


def saved(write, *arguments):
    content = io.BytesIO()
    write(content, *arguments)
    return content.getvalue()


IMAGES = random_set(4, (1, 3, 3), 2).images
ARCHIVE = saved(partial(np.savez, images=IMAGES, labels=np.zeros(4, np.uint8)))
COMPRESSED = saved(partial(np.savez_compressed, images=IMAGES, labels=np.zeros(4, np.uint8)))
IDX = gzip.decompress(write_idx(IMAGES[:, 0]))
LABELS = write_idx(np.zeros(4, np.uint8))
PICTURE = saved(lambda file: Image.fromarray(IMAGES[0, 0]).save(file, "PNG"))


def same(content):
    return content


ALMOST = {
    "idx": ("t10k-images-idx3-ubyte", IDX, same),
    "labels": ("t10k-labels-idx1-ubyte", gzip.decompress(LABELS), same),
    "gzip": ("t10k-images-idx3-ubyte", gzip.compress(IDX, mtime=0), same),
    "idx in gzip": ("t10k-images-idx3-ubyte", IDX, gzip.compress),
    "npz": ("data.npz", ARCHIVE, same),
    "npz, compressed": ("data.npz", COMPRESSED, same),
    "array in npz": ("data.npz", saved(np.save, IMAGES), archived),
    "png": ("0/a.png", PICTURE, same),
}
"""Where a valid content lies; and what is done to it after it has been changed."""

changes = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(0, 1000), st.integers(0, 255)),
        st.tuples(st.just("cut"), st.integers(0, 1000), st.just(0)),
        st.tuples(st.just("insert"), st.integers(0, 1000), st.one_of(st.binary(max_size=9), st.text("0123456789,()'"))),
        st.tuples(st.just("remove"), st.integers(0, 1000), st.integers(1, 9)),
    ),
    min_size=1,
    max_size=4,
)


def changed(content, steps):
    data = bytearray(content)
    for kind, where, what in steps:
        at = where % (len(data) + 1)
        if kind == "set" and data:
            data[at % len(data)] = what
        elif kind == "cut":
            del data[at:]
        elif kind == "insert":
            data[at:at] = what.encode() if isinstance(what, str) else what
        elif kind == "remove":
            del data[at : at + what]
    return bytes(data)


@pytest.mark.parametrize("kind", ALMOST)
def test_a_file_that_was_changed_gives_a_data_set_or_a_refusal(tmp_path_factory, kind):
    name, content, wrapped = ALMOST[kind]
    root = tmp_path_factory.mktemp("almost")
    (root / "t10k-images-idx3-ubyte").write_bytes(IDX)
    (root / "t10k-labels-idx1-ubyte").write_bytes(LABELS)
    if kind == "png":
        root = root / "pictures"
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    path = file if file.suffix == ".npz" else root

    @settings(max_examples=100, deadline=5000)
    @given(steps=changes)
    def holds(steps):
        file.write_bytes(wrapped(changed(content, steps)))
        try:
            found = data_source(path).test
        except Refusal as refusal:
            assert "\n" not in str(refusal)
        else:
            assert isinstance(found, DataSet) and found.images.nbytes < 10_000

    file.write_bytes(wrapped(content))
    assert isinstance(data_source(path).test, DataSet)
    holds()
