"""MNIST and data sets of the same shape: IDX files, the packaged sets, the full training set on demand.

The package carries the 10,000 test images and a class-balanced slice of 5,000 training images, so that
reporting, calibration and selection work offline. The rule of the slice is `balanced`: the training indices
in the order of ``numpy.random.RandomState(2026).permutation(60000)`` (a stream NumPy has frozen), of which
the first 500 of each class are taken and put back into ascending order.

IDX is the big-endian format of the original files: two zero bytes, the element type (0x08, unsigned byte),
the number of dimensions, each dimension as a 32-bit number, then the elements. LeCun, Cortes and Burges,
"The MNIST database of handwritten digits", 1998.
"""

import gzip
import hashlib
import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from amhw.files import read_whole
from amhw.refusal import Refusal

SIDE = 28
CLASSES = 10
SLICE_SEED = 2026
SLICE_PER_CLASS = 500

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
_FILES = {
    "training": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


@dataclass(frozen=True, eq=False)
class DataSet:
    """Labelled grey-scale images: `images` uint8[N, 28, 28], `labels` uint8[N] in 0…9, both read-only.

    Raises:
        Refusal: the shapes do not fit each other or a label is no class.
    """

    name: str
    images: np.ndarray = field(repr=False)
    labels: np.ndarray = field(repr=False)

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim != 3 or self.images.shape[1:] != (SIDE, SIDE):
            raise Refusal(
                f"{self.name}: images have shape {self.images.shape} of {self.images.dtype}; "
                f"wanted (N, {SIDE}, {SIDE}) of uint8"
            )
        if self.labels.dtype != np.uint8 or self.labels.shape != (len(self.images),):
            raise Refusal(
                f"{self.name}: labels of shape {self.labels.shape} for {len(self.images)} images; wanted one each"
            )
        if len(self.images) == 0:
            raise Refusal(f"{self.name}: no images; wanted at least one")
        if self.labels.max() >= CLASSES:
            raise Refusal(f"{self.name}: label {self.labels.max()}; wanted 0…{CLASSES - 1}")
        for part in ("images", "labels"):
            array = np.ascontiguousarray(getattr(self, part)).view()
            array.flags.writeable = False
            object.__setattr__(self, part, array)

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    def sha256(self) -> str:
        """Identity of the content (not the name): SHA-256 over the count, the pixels and the labels."""
        digest = hashlib.sha256(len(self).to_bytes(8, "big"))
        digest.update(self.images.data)
        digest.update(self.labels.data)
        return digest.hexdigest()

    def first(self, count: int) -> "DataSet":
        """The first `count` images.

        Raises:
            Refusal: there are not so many.
        """
        if not 1 <= count <= len(self):
            raise Refusal(f"{self.name} has {len(self)} images: ask for 1 to {len(self)}, not {count}")
        if count == len(self):
            return self
        return DataSet(f"{self.name}[:{count}]", self.images[:count], self.labels[:count])


def balanced(data: DataSet, per_class: int = SLICE_PER_CLASS, seed: int = SLICE_SEED) -> DataSet:
    """The slice with `per_class` images of each class (fewer if the smallest class has fewer), by the
    module's rule.

    Raises:
        Refusal: a class has no image.
    """
    smallest = int(np.bincount(data.labels, minlength=CLASSES).min())
    if smallest == 0:
        raise Refusal(f"{data.name} has no image of some class; wanted all {CLASSES}")
    order = np.random.RandomState(seed).permutation(len(data))
    labels = data.labels[order]
    members = [order[labels == label][: min(per_class, smallest)] for label in range(CLASSES)]
    indices = np.sort(np.concatenate(members))
    return DataSet(f"{data.name} slice", data.images[indices], data.labels[indices])


@cache
def mnist_test() -> DataSet:
    """The 10,000 MNIST test images (packaged). For reporting only: never select or calibrate on them."""
    return _read_set(_PACKAGED, "test", "MNIST test")


@cache
def mnist_slice() -> DataSet:
    """5,000 MNIST training images, 500 of each class (packaged): for calibration and selection offline."""
    return _read_set(_PACKAGED, "training", "MNIST training slice")


def test_set(data_dir: Path | str | None = None) -> DataSet:
    """The images to report on: those of `data_dir`, else the packaged MNIST test set.

    Raises:
        Refusal: a file is missing, truncated or foreign.
    """
    return mnist_test() if data_dir is None else _read_set(Path(data_dir), "test")


def calibration_set(data_dir: Path | str | None = None) -> DataSet:
    """Training images to calibrate and select on: a `balanced` slice of `data_dir`'s, else the packaged one.

    Raises:
        Refusal: a file is missing, truncated or foreign.
    """
    return mnist_slice() if data_dir is None else balanced(training_set(data_dir))


def training_set(
    data_dir: Path | str | None = None,
    cache_dir: Path | str | None = None,
    mirrors: Sequence[str] = MIRRORS,
) -> DataSet:
    """The full training set: that of `data_dir` if given, else MNIST's from the user's cache, else
    downloaded.

    The download shows a progress bar on standard error, is checked by SHA-256 and appears in the cache
    whole or not at all; mirrors are tried in order.

    Raises:
        Refusal: a file of `data_dir` is missing, truncated or foreign; or no mirror has the right content.
    """
    if data_dir is not None:
        return _read_set(Path(data_dir), "training")
    import pooch

    folder = Path(cache_dir) if cache_dir is not None else Path(pooch.os_cache("amhw")) / "mnist"
    for file in _FILES["training"]:
        _fetch(file, folder, mirrors)
    return _read_set(folder, "training", "MNIST training")


def read_idx(path: Path | str, dimensions: int) -> np.ndarray:
    """The uint8 array in an IDX file, plain or gzip (recognised by content).

    Raises:
        Refusal: the file is missing, damaged, truncated, longer than it says, or holds something else.
    """
    data = read_whole(path)
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (EOFError, OSError, zlib.error) as error:
            raise Refusal(f"{path}: the gzip file is truncated or damaged ({error}); fetch it again") from error
    header = 4 + 4 * dimensions
    if data[:4] != bytes([0, 0, 8, dimensions]):
        raise Refusal(
            f"{path} is no IDX file of unsigned bytes in {dimensions} dimensions: "
            f"it begins {data[:4].hex(' ') or 'nowhere (it is empty)'}, wanted 00 00 08 {dimensions:02x}"
        )
    if len(data) < header:
        raise Refusal(f"{path} is truncated: {len(data)} bytes, the header alone has {header}")
    shape = tuple(int(size) for size in np.frombuffer(data, ">u4", dimensions, 4))
    wanted = header + int(np.prod(shape, dtype=object))
    if len(data) != wanted:
        what = "truncated" if len(data) < wanted else "longer than its header says"
        raise Refusal(
            f"{path} is {what}: {len(data)} bytes, wanted {wanted} for {' × '.join(map(str, shape))} elements"
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def write_idx(array: np.ndarray) -> bytes:
    """`array` (uint8) as a gzip-compressed IDX file, the same bytes every time."""
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return gzip.compress(header + array.astype(np.uint8).tobytes(), 9, mtime=0)


def _read_set(folder: Path, part: str, name: str | None = None) -> DataSet:
    images, labels = (_find(folder, file) for file in _FILES[part])
    return DataSet(name or f"{folder.resolve().name} {part}", read_idx(images, 3), read_idx(labels, 1))


def _find(folder: Path, file: str) -> Path:
    for candidate in (folder / file, folder / f"{file}.gz"):
        if candidate.is_file():
            return candidate
    raise Refusal(f"{folder} has neither {file} nor {file}.gz; wanted the four IDX files of MNIST's names")


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
        f"could not download {file}.gz ({'; '.join(failures)}); "
        "give a folder with the four IDX files as --data-dir instead"
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
