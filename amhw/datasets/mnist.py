"""MNIST: what the package carries of it, and the full training set on demand.

The package carries the 10,000 test images and a class-balanced slice of 5,000 training images (`balanced`), so that
reporting, calibration and selection work offline.
"""

import gzip
import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from amhw.datasets import idx
from amhw.datasets.dataset import DataSet
from amhw.refusal import Refusal

NAME = "MNIST"

TRAINING_SHA256 = "a5dcce67828e2a9c23c8b240180592eeaef3c03dd9341fa542eb1202c3cc4c1b"
"""`DataSet.sha256` of the full training set, of which the packaged slice is a part."""

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
"""Where the full training set is downloaded from, first to last."""

CHECKSUMS: Mapping[str, str] = MappingProxyType(
    {
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    }
)
"""SHA-256 of the unpacked files: a mirror may compress them as it likes, the content is what counts."""

_PACKAGED = Path(__file__).parent / "packaged"


@cache
def mnist_test() -> DataSet:
    """The 10,000 MNIST test images (packaged). For reporting only: never select or calibrate on them."""
    return idx.read_part(_PACKAGED, "test", f"{NAME} test")


@cache
def mnist_slice() -> DataSet:
    """5,000 MNIST training images, 500 of each class (packaged): for calibration and selection offline."""
    return idx.read_part(_PACKAGED, "training", f"{NAME} training slice")


def mnist_training(cache_dir: Path | str | None = None, mirrors: Sequence[str] = MIRRORS) -> DataSet:
    """The full training set from the user's cache, else downloaded.

    The download shows a progress bar on standard error, is checked by SHA-256 and appears in the cache
    whole or not at all; mirrors are tried in order.

    Raises:
        Refusal: no mirror has the right content.
    """
    import pooch

    folder = Path(cache_dir) if cache_dir is not None else Path(pooch.os_cache("amhw")) / "mnist"
    for file in idx.FILES["training"]:
        _fetch(file, folder, mirrors)
    return idx.read_part(folder, "training", f"{NAME} training")


def _fetch(file: str, folder: Path, mirrors: Sequence[str]) -> None:
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")
    failures = []
    for mirror in mirrors:
        url = f"{mirror.rstrip('/')}/{file}.gz"
        try:
            pooch.retrieve(url, f"sha256:{CHECKSUMS[file]}", fname=file, path=folder, downloader=_download_and_unpack)
            return
        except requests.RequestException as error:
            failures.append(f"{url}: {_brief(error)}")
        except ValueError:  # pooch's way to say so
            failures.append(f"{url}: SHA-256 does not match")
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            failures.append(f"{url}: no gzip file ({error})")
        except OSError as error:
            raise Refusal(f"cannot write {folder / file}: {error.strerror or error}") from error
    raise Refusal(
        f"could not download {file}.gz ({'; '.join(failures)}); give a folder with the four IDX files as "
        "--data, or take the packaged 5,000 images with --slice"
    )


def _brief(error: Exception) -> str:
    response = getattr(error, "response", None)
    return f"HTTP status {response.status_code}" if response is not None else type(error).__name__


def _download_and_unpack(url: str, output: str, pooch_: Any) -> None:
    """A pooch downloader that stores the unpacked file, so that pooch's checksum is the content's."""
    import pooch

    packed = Path(f"{output}.gz")
    try:
        with _progress(Path(url).name) as bar:
            pooch.HTTPDownloader(progressbar=bar, timeout=30)(url, str(packed), pooch_)
        with gzip.open(packed) as source, Path(output).open("wb") as target:
            shutil.copyfileobj(source, target)
    finally:
        packed.unlink(missing_ok=True)


@contextmanager
def _progress(file: str) -> Iterator["_Bar"]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield _Bar(progress, progress.add_task(f"downloading {file}", total=None))


class _Bar:
    """The four members that pooch asks of a progress bar, drawn by rich."""

    def __init__(self, progress: Any, task: Any) -> None:
        self._progress, self._task = progress, task
        self._total: float = 0

    @property
    def total(self) -> float:
        return self._total

    @total.setter
    def total(self, total: float) -> None:
        self._total = total
        self._progress.update(self._task, total=total)

    def update(self, count: float) -> None:
        self._progress.advance(self._task, count)

    def reset(self) -> None:
        self._progress.reset(self._task, total=self._total)

    def close(self) -> None:
        self._progress.refresh()
