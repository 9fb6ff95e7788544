"""A data set in one NumPy archive: `images`, `labels` and, if it has any, `train_images`, `train_labels`."""

import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from amhw.datasets.dataset import DataSet
from amhw.refusal import Refusal

_PREFIX = {"training": "train_", "test": ""}
_LARGEST = 4 << 30
"""Bytes that an array may have: a small file can promise any number of them."""

_DAMAGE = (ValueError, OSError, EOFError, RuntimeError, KeyError, NotImplementedError, zipfile.BadZipFile, zlib.error)


def has_part(path: Path, part: str) -> bool:
    """Whether the archive has images of this part.

    Raises:
        Refusal: it is no archive.
    """
    return f"{_PREFIX[part]}images" in _members(path)


def read_part(path: Path, part: str, name: str) -> DataSet:
    """The images of a part: uint8, [N, H, W] or [N, C, H, W]; labels of any integer type, 0…255.

    Raises:
        Refusal: an array is missing, or of another type or shape.
    """
    images, labels = (_array(path, f"{_PREFIX[part]}{what}") for what in ("images", "labels"))
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise Refusal(
            f"{path}: images are {images.dtype}{list(images.shape)}; wanted uint8 [N, H, W] or [N, channels, H, W]"
        )
    if images.ndim == 4 and images.shape[3] in (1, 3) and images.shape[1] not in (1, 3):
        raise Refusal(
            f"{path}: images of shape {list(images.shape)} have their channels last; wanted [N, channels, H, W]: "
            "images.transpose(0, 3, 1, 2)"
        )
    if (
        labels.ndim != 1
        or labels.dtype.kind not in "iu"
        or (labels.size and not 0 <= labels.min() <= labels.max() < 256)
    ):
        raise Refusal(f"{path}: labels are {labels.dtype}{list(labels.shape)}; wanted one class, 0…255, an image")
    return DataSet(name, images if images.ndim == 4 else images[:, None], labels.astype(np.uint8))


def _members(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except _DAMAGE as error:
        raise Refusal(f"{path} is no .npz archive of images and labels: {error}") from None


def _array(path: Path, name: str) -> np.ndarray:
    members = _members(path)
    if name not in members:
        raise Refusal(f"{path} has no array {name}; it holds {', '.join(members[:6]) or 'nothing'}")
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
            shape, dtype = _header(file)
            if int(np.prod(shape, dtype=object)) * max(dtype.itemsize, 1) > _LARGEST:
                raise Refusal(f"{path}: {name} has the shape {list(shape)}: more than {_LARGEST >> 30} GiB")
        with np.load(path, allow_pickle=False) as content:
            return np.asarray(content[name])
    except Refusal:
        raise
    except _DAMAGE as error:
        raise Refusal(f"{path}: {name} cannot be read: {error}") from None


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype
