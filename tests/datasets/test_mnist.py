"""The packaged MNIST, and the download of the full training set from servers on this machine."""

import gzip
import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from labelled_images import random_set, write_idx_folder

from amhw.datasets import mnist, mnist_slice, mnist_test
from amhw.datasets.idx import write_idx
from amhw.datasets.mnist import mnist_training
from amhw.refusal import Refusal


def test_the_packaged_test_set_is_the_canonical_one():
    test = mnist_test()
    # Published MD5 sums of the unpacked files t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte.
    for array, published in (
        (test.images[:, 0], "2646ac647ad5339dbf082846283269ea"),
        (test.labels, "27ae3e4e09519cfbb04c329615203637"),
    ):
        file = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()
        assert hashlib.md5(file, usedforsecurity=False).hexdigest() == published


def test_the_packaged_slice_is_balanced_and_no_test_image():
    part = mnist_slice()
    assert part.shape == (1, 28, 28)
    assert np.bincount(part.labels).tolist() == [500] * 10
    test_images = {image.tobytes() for image in mnist_test().images}
    assert not any(image.tobytes() in test_images for image in part.images)


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
    training = random_set(30, seed=5)
    folder = write_idx_folder(tmp_path / "mirror", training, training)
    checksums = {
        name: hashlib.sha256(gzip.decompress((folder / f"{name}.gz").read_bytes())).hexdigest()
        for name in mnist.CHECKSUMS
    }
    monkeypatch.setattr(mnist, "CHECKSUMS", checksums)
    return training, folder


def test_the_training_set_is_downloaded_once(tmp_path, published, serve, capfd):
    training, folder = published
    mirror, asked = serve(folder)
    assert mnist_training(tmp_path / "cache", [mirror]).sha256 == training.sha256
    assert sorted(asked) == ["/train-images-idx3-ubyte.gz", "/train-labels-idx1-ubyte.gz"]
    assert mnist_training(tmp_path / "cache", [mirror]).sha256 == training.sha256
    assert len(asked) == 2
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == sorted(mnist.CHECKSUMS)
    out, err = capfd.readouterr()
    assert out == ""
    assert "downloading train-images-idx3-ubyte.gz" in err


def test_a_damaged_cache_is_fetched_again(tmp_path, published, serve):
    training, folder = published
    mirror, asked = serve(folder)
    mnist_training(tmp_path / "cache", [mirror])
    (tmp_path / "cache" / "train-labels-idx1-ubyte").write_bytes(b"damaged")
    assert mnist_training(tmp_path / "cache", [mirror]).sha256 == training.sha256
    assert len(asked) == 3


@pytest.mark.parametrize("fault", ["absent", "other content", "no gzip", "cut short", "no server"])
def test_the_next_mirror_is_tried(tmp_path, published, serve, fault):
    training, folder = published
    bad = tmp_path / "bad"
    bad.mkdir()
    good_file = (folder / "train-images-idx3-ubyte.gz").read_bytes()
    content = {
        "other content": write_idx(random_set(30, seed=6).images[:, 0]),
        "no gzip": b"<html>moved</html>",
        "cut short": good_file[: len(good_file) // 2],
    }.get(fault)
    if content is not None:
        (bad / "train-images-idx3-ubyte.gz").write_bytes(content)
    first, first_asked = serve(bad)
    if fault == "no server":
        first = "http://127.0.0.1:9/"
    second, second_asked = serve(folder)
    assert mnist_training(tmp_path / "cache", [first, second]).sha256 == training.sha256
    assert "/train-images-idx3-ubyte.gz" in second_asked
    assert fault == "no server" or "/train-images-idx3-ubyte.gz" in first_asked


def test_a_checksum_that_matches_nowhere_is_refused_and_leaves_nothing(tmp_path, published, serve):
    _, folder = published
    (folder / "train-images-idx3-ubyte.gz").write_bytes(write_idx(random_set(30, seed=6).images[:, 0]))
    mirror, _ = serve(folder)
    with pytest.raises(Refusal, match=r"train-images-idx3-ubyte.gz: SHA-256 does not match.*--data"):
        mnist_training(tmp_path / "cache", [mirror])
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_unwritable_cache_is_refused(tmp_path, published, serve):
    _, folder = published
    mirror, _ = serve(folder)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Refusal, match="file"):
        mnist_training(tmp_path / "file" / "cache", [mirror])
