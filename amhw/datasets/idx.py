"""IDX, the format of the original MNIST files.

Big-endian: two zero bytes, the element type (0x08, unsigned byte), the number of dimensions, each dimension as a 32-bit
number, then the elements. LeCun, Cortes and Burges, "The MNIST database of handwritten digits", 1998.
"""

import difflib
import gzip
import zlib
from pathlib import Path

import numpy as np

from amhw.datasets.dataset import DataSet
from amhw.files import read_whole
from amhw.refusal import Refusal

FILES = {
    "training": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
"""Images and labels of each part; half of the public copies write a dot for the second hyphen (`images.idx3-ubyte`)."""


def read_part(folder: Path, part: str, name: str) -> DataSet:
    """The images of a folder's training or test files.

    Raises:
        Refusal: a file is missing, truncated or foreign.
    """
    images, labels = (_found(folder, file) for file in FILES[part])
    pixels = read_idx(images, (3, 4))
    return DataSet(name, pixels if pixels.ndim == 4 else pixels[:, None], read_idx(labels, (1,)))


def has_part(folder: Path, part: str) -> bool:
    """Whether a file of this part is in the folder."""
    return any(_candidate(folder, file) for file in FILES[part])


def read_idx(path: Path | str, dimensions: tuple[int, ...]) -> np.ndarray:
    """The uint8 array in an IDX file of one of so many dimensions, plain or gzip (recognised by content).

    Raises:
        Refusal: the file is missing, damaged, truncated, longer than it says, or holds something else.
    """
    data = read_whole(path)
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (EOFError, OSError, zlib.error) as error:
            raise Refusal(f"{path}: the gzip file is truncated or damaged ({error}); fetch it again") from error
    if data[:3] != bytes([0, 0, 8]) or len(data) < 4 or data[3] not in dimensions:
        raise Refusal(
            f"{path} is no IDX file of unsigned bytes in {' or '.join(map(str, dimensions))} dimensions: "
            f"it begins {data[:4].hex(' ') or 'nowhere (it is empty)'}, wanted 00 00 08 {dimensions[0]:02x}"
        )
    header = 4 + 4 * data[3]
    if len(data) < header:
        raise Refusal(f"{path} is truncated: {len(data)} bytes, the header alone has {header}")
    shape = tuple(int(size) for size in np.frombuffer(data, ">u4", data[3], 4))
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


def near_miss(folder: Path) -> str:
    """A file of the folder that is almost called as one that is missing, for a refusal; or nothing."""
    wanted = [file for files in FILES.values() for file in files]
    for file in sorted(folder.iterdir()):
        if close := difflib.get_close_matches(file.name.removesuffix(".gz"), wanted, 1, 0.8):
            return f"; {file.name} is there: call it {close[0]}"
    return ""


def _candidate(folder: Path, file: str) -> Path | None:
    dotted = file.replace("-idx", ".idx")
    for name in (file, f"{file}.gz", dotted, f"{dotted}.gz"):
        if (folder / name).is_file():
            return folder / name
    return None


def _found(folder: Path, file: str) -> Path:
    if (found := _candidate(folder, file)) is not None:
        return found
    raise Refusal(f"{folder} has neither {file} nor {file}.gz{near_miss(folder)}")
