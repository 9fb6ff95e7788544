"""IDX files, the packaged sets, and the download from servers on this machine."""

import gzip
import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from amhw.datasets import mnist as data
from amhw.datasets.mnist import DataSet, balanced, mnist_slice, mnist_test, read_idx, training_set, write_idx
from amhw.refusal import Refusal

# The module's functions named test_… are no tests.
read_test_set = data.test_set


def small_set(count=40, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.uint8) % 10
    return DataSet("small", rng.integers(0, 256, (count, 28, 28), dtype=np.uint8), labels)


def write_folder(folder, training, test, packed=True):
    folder.mkdir(exist_ok=True)
    for prefix, part in (("train", training), ("t10k", test)):
        for kind, array in (("images-idx3", part.images), ("labels-idx1", part.labels)):
            content = write_idx(array)
            name = f"{prefix}-{kind}-ubyte"
            if packed:
                (folder / f"{name}.gz").write_bytes(content)
            else:
                (folder / name).write_bytes(gzip.decompress(content))
    return folder


def test_the_packaged_test_set_is_the_canonical_one():
    test = mnist_test()
    # Published MD5 sums of the unpacked files t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte.
    for array, published in (
        (test.images, "2646ac647ad5339dbf082846283269ea"),
        (test.labels, "27ae3e4e09519cfbb04c329615203637"),
    ):
        file = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()
        assert hashlib.md5(file, usedforsecurity=False).hexdigest() == published


def test_the_packaged_slice_is_balanced_and_no_test_image():
    part = mnist_slice()
    assert np.bincount(part.labels).tolist() == [500] * 10
    test_images = {image.tobytes() for image in mnist_test().images}
    assert not any(image.tobytes() in test_images for image in part.images)


@pytest.mark.parametrize("packed", [True, False], ids=["gzip", "plain"])
def test_a_folder_gives_its_own_training_and_test_set(tmp_path, packed):
    training, test = small_set(40, 1), small_set(20, 2)
    folder = write_folder(tmp_path / "other", training, test, packed)
    assert training_set(folder).sha256 == training.sha256
    assert read_test_set(folder).sha256 == test.sha256
    assert data.calibration_set(folder).sha256 == balanced(training).sha256
    assert read_test_set(folder).name == "other test"


def test_the_balanced_slice_is_deterministic_and_as_large_as_the_smallest_class_allows():
    labels = np.repeat(np.arange(10, dtype=np.uint8), [5, 9, 9, 9, 9, 9, 9, 9, 9, 9])
    whole = DataSet(
        "uneven", np.arange(len(labels), dtype=np.uint8)[:, None, None] + np.zeros((1, 28, 28), np.uint8), labels
    )
    assert np.bincount(balanced(whole).labels).tolist() == [5] * 10
    assert np.bincount(balanced(whole, 3).labels).tolist() == [3] * 10
    assert balanced(whole, 3).sha256 == balanced(whole, 3).sha256 != balanced(whole, 3, seed=1).sha256
    order = np.random.RandomState(data.SLICE_SEED).permutation(len(labels))
    wanted = sorted(i for label in range(10) for i in [j for j in order if labels[j] == label][:3])
    assert balanced(whole, 3).images[:, 0, 0].tolist() == wanted
    with pytest.raises(Refusal, match="no image of some class"):
        balanced(whole.first(20))


def test_identity_is_the_content():
    one = small_set()
    assert one.sha256 == DataSet("renamed", one.images, one.labels).sha256
    for part in ("images", "labels"):
        changed = {"images": one.images.copy(), "labels": one.labels.copy()}
        changed[part].flat[3] ^= 1
        assert DataSet("small", **changed).sha256 != one.sha256


def test_the_first_images():
    one = small_set()
    np.testing.assert_array_equal(one.first(7).images, one.images[:7])
    assert one.first(40) is one
    for count in (0, 41):
        with pytest.raises(Refusal, match="ask for 1 to 40"):
            one.first(count)


GOOD = gzip.decompress(write_idx(np.zeros((2, 28, 28), np.uint8)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it begins nowhere"),
        (b"P5 28 28 255", "is no IDX file"),
        (b"\0\0\x0d" + GOOD[3:], "is no IDX file"),  # floats
        (gzip.decompress(write_idx(np.zeros(5, np.uint8))), "in 3 dimensions"),
        (GOOD[:9], "the header alone has 16"),
        (GOOD[:-1], r"truncated: 1583 bytes, wanted 1584 for 2 × 28 × 28"),
        (GOOD + b"\0", "longer than its header says"),
        (gzip.compress(GOOD, mtime=0)[:-9], "gzip file is truncated or damaged"),
        (b"\x1f\x8b" + b"rubbish" * 9, "gzip file is truncated or damaged"),
    ],
)
def test_a_truncated_or_foreign_idx_file_is_refused_by_name(tmp_path, content, message):
    file = tmp_path / "train-images-idx3-ubyte"
    file.write_bytes(content)
    with pytest.raises(Refusal, match=message) as refused:
        read_idx(file, 3)
    assert "train-images-idx3-ubyte" in str(refused.value)


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(Refusal, match=r"neither t10k-images-idx3-ubyte nor t10k-images-idx3-ubyte\.gz"):
        read_test_set(tmp_path)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 32, 32), np.uint8), np.zeros(2, np.uint8), r"wanted \(N, 28, 28\)"),
        (np.zeros((2, 28, 28), np.uint8), np.zeros(3, np.uint8), "for 2 images"),
        (np.zeros((2, 28, 28), np.uint8), np.array([1, 10], np.uint8), "label 10"),
        (np.zeros((0, 28, 28), np.uint8), np.zeros(0, np.uint8), "no images"),
    ],
)
def test_images_and_labels_that_do_not_fit_are_refused(images, labels, message):
    with pytest.raises(Refusal, match=message):
        DataSet("odd", images, labels)


# The download


@pytest.fixture
def serve():
    """serve(folder) gives the address of a server of that folder, and the list of paths asked for."""
    servers = []

    def start(folder):
        asked = []

        class Handler(SimpleHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_GET(self):
                asked.append(self.path)
                super().do_GET()

        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}/", asked

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A training set whose checksums the module expects, as a mirror has it."""
    training = small_set(30, 5)
    folder = write_folder(tmp_path / "mirror", training, training)
    checksums = {
        name: hashlib.sha256(gzip.decompress((folder / f"{name}.gz").read_bytes())).hexdigest()
        for name in data.CHECKSUMS
    }
    monkeypatch.setattr(data, "CHECKSUMS", checksums)
    return training, folder


def test_the_training_set_is_downloaded_once(tmp_path, published, serve, capfd):
    training, folder = published
    mirror, asked = serve(folder)
    assert training_set(None, tmp_path / "cache", [mirror]).sha256 == training.sha256
    assert sorted(asked) == ["/train-images-idx3-ubyte.gz", "/train-labels-idx1-ubyte.gz"]
    assert training_set(None, tmp_path / "cache", [mirror]).sha256 == training.sha256
    assert len(asked) == 2
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == sorted(data.CHECKSUMS)
    out, err = capfd.readouterr()
    assert out == ""
    assert "downloading train-images-idx3-ubyte.gz" in err


def test_a_damaged_cache_is_fetched_again(tmp_path, published, serve):
    training, folder = published
    mirror, asked = serve(folder)
    training_set(None, tmp_path / "cache", [mirror])
    (tmp_path / "cache" / "train-labels-idx1-ubyte").write_bytes(b"damaged")
    assert training_set(None, tmp_path / "cache", [mirror]).sha256 == training.sha256
    assert len(asked) == 3


@pytest.mark.parametrize("fault", ["absent", "other content", "no gzip", "cut short", "no server"])
def test_the_next_mirror_is_tried(tmp_path, published, serve, fault):
    training, folder = published
    bad = tmp_path / "bad"
    bad.mkdir()
    good_file = (folder / "train-images-idx3-ubyte.gz").read_bytes()
    content = {
        "other content": write_idx(small_set(30, 6).images),
        "no gzip": b"<html>moved</html>",
        "cut short": good_file[: len(good_file) // 2],
    }.get(fault)
    if content is not None:
        (bad / "train-images-idx3-ubyte.gz").write_bytes(content)
    first, first_asked = serve(bad)
    if fault == "no server":
        first = "http://127.0.0.1:9/"
    second, second_asked = serve(folder)
    assert training_set(None, tmp_path / "cache", [first, second]).sha256 == training.sha256
    assert "/train-images-idx3-ubyte.gz" in second_asked
    assert fault == "no server" or "/train-images-idx3-ubyte.gz" in first_asked


def test_a_checksum_that_matches_nowhere_is_refused_and_leaves_nothing(tmp_path, published, serve):
    _, folder = published
    (folder / "train-images-idx3-ubyte.gz").write_bytes(write_idx(small_set(30, 6).images))
    mirror, _ = serve(folder)
    with pytest.raises(Refusal, match=r"train-images-idx3-ubyte.gz: SHA-256 does not match.*--data-dir"):
        training_set(None, tmp_path / "cache", [mirror])
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_unwritable_cache_is_refused(tmp_path, published, serve):
    _, folder = published
    mirror, _ = serve(folder)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Refusal, match="file"):
        training_set(None, tmp_path / "file" / "cache", [mirror])
