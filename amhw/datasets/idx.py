"""IDX, the format of the original MNIST files.

Big-endian: two zero bytes, the element type (0x08, unsigned byte), the number of dimensions, each dimension as a 32-bit
number, then the elements. LeCun, Cortes and Burges, "The MNIST database of handwritten digits", 1998.
"""

import difflib
import gzip
import zlib
from math import prod
from pathlib import Path
from typing import IO

import numpy as np

from amhw.datasets.dataset import LARGEST, DataSet, channels_first
from amhw.refusal import Refusal

FILES = {
    "training": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
"""Images and labels of each part; half of the public copies write a dot for the second hyphen (`images.idx3-ubyte`)."""

_ALL = (*FILES["training"], *FILES["test"])
_GZIP = b"\x1f\x8b"
_AT_ONCE = 1 << 20


def read_part(folder: Path, part: str, name: str) -> DataSet:
    """The images of a folder's training or test files.

    Raises:
        Refusal: a file is missing, truncated or foreign.
    """
    images, labels = (_found(folder, file) for file in FILES[part])
    return DataSet(name, channels_first(read_idx(images, (3, 4)), images), read_idx(labels, (1,)))


def has_part(folder: Path, part: str) -> bool:
    """Whether a file of this part is in the folder."""
    return any(_candidate(folder, file) for file in FILES[part])


def read_idx(path: Path | str, dimensions: tuple[int, ...]) -> np.ndarray:
    """The uint8 array in an IDX file of one of so many dimensions, plain or gzip (recognised by content).

    No more is read, or unpacked, than the header promises.

    Raises:
        Refusal: the file is missing, damaged, truncated, longer than it says, or holds something else.
    """
    try:
        with Path(path).open("rb") as file:
            packed = file.read(2) == _GZIP
            file.seek(0)
            if not packed:
                return _array(file, path, dimensions)
            with gzip.open(file) as unpacked:
                return _array(unpacked, path, dimensions)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise Refusal(f"{path}: the gzip file is truncated or damaged ({error}); fetch it again") from error
    except OSError as error:
        raise Refusal(f"cannot read {path}: {error.strerror or error}") from error


def write_idx(array: np.ndarray) -> bytes:
    """`array` (uint8) as a gzip-compressed IDX file, the same bytes every time."""
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return gzip.compress(header + array.astype(np.uint8).tobytes(), 9, mtime=0)


def near_miss(folder: Path, files: tuple[str, ...] = _ALL) -> str:
    """A file of the folder that is almost called as one of `files`, for a refusal; or nothing."""
    known = {name for file in _ALL for name in _spellings(file)}
    for name in sorted({path.name for path in folder.iterdir()} - known):
        if close := difflib.get_close_matches(name.removesuffix(".gz").lower(), files, 1, 0.8):
            return f"; {name} is there: call it {close[0]}{'.gz' if name.endswith('.gz') else ''}"
    return ""


def _array(file: IO[bytes] | gzip.GzipFile, path: Path | str, dimensions: tuple[int, ...]) -> np.ndarray:
    start = file.read(4)
    if len(start) < 4 or start[:3] != bytes([0, 0, 8]) or start[3] not in dimensions:
        raise Refusal(
            f"{path} is no IDX file of unsigned bytes in {' or '.join(map(str, dimensions))} dimensions: "
            f"it begins {start.hex(' ') or 'nowhere (it is empty)'}, wanted 00 00 08 {dimensions[0]:02x}"
        )
    sizes = file.read(4 * start[3])
    header = 4 + 4 * start[3]
    if 4 + len(sizes) < header:
        raise Refusal(f"{path} is truncated: {4 + len(sizes)} bytes, the header alone has {header}")
    shape = tuple(int(size) for size in np.frombuffer(sizes, ">u4"))
    wanted = prod(shape)
    described = f"{header + wanted} for {' × '.join(map(str, shape))} elements"
    if wanted > LARGEST:
        raise Refusal(f"{path} promises {described}; up to {LARGEST >> 30} GiB are read")
    data = bytearray()
    while len(data) <= wanted and (part := file.read(min(_AT_ONCE, wanted + 1 - len(data)))):
        data += part
    if len(data) < wanted:
        raise Refusal(f"{path} is truncated: {header + len(data)} bytes, wanted {described}")
    if len(data) > wanted:
        raise Refusal(f"{path} is longer than its header says: wanted {described}")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _spellings(file: str) -> tuple[str, ...]:
    dotted = file.replace("-idx", ".idx")
    return (file, f"{file}.gz", dotted, f"{dotted}.gz")


def _candidate(folder: Path, file: str) -> Path | None:
    return next((folder / name for name in _spellings(file) if (folder / name).is_file()), None)


def _found(folder: Path, file: str) -> Path:
    if (found := _candidate(folder, file)) is not None:
        return found
    raise Refusal(f"{folder} has neither {file} nor {file}.gz{near_miss(folder, (file,))}")
