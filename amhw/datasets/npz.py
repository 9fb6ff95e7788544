"""A data set in one NumPy archive: `images`, `labels` and, if it has any, `train_images`, `train_labels`."""

import warnings
import zipfile
from math import prod
from pathlib import Path
from typing import IO

import numpy as np

from amhw.datasets.dataset import LARGEST, DataSet, channels_first
from amhw.files import DAMAGED_ARCHIVE
from amhw.refusal import Refusal

_PREFIX = {"training": "train_", "test": ""}


def has_part(path: Path, part: str) -> bool:
    """Whether the archive has images of this part.

    Raises:
        Refusal: it is no archive.
    """
    return f"{_PREFIX[part]}images" in members(path)


def read_part(path: Path, part: str, name: str) -> DataSet:
    """The images of a part: uint8, [N, H, W] or [N, C, H, W]; labels [N] of any integer type, 0…255.

    Raises:
        Refusal: an array is missing, damaged, or of another type or shape.
    """
    images, labels = (_array(path, f"{_PREFIX[part]}{what}") for what in ("images", "labels"))
    pixels = channels_first(images, path)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise Refusal(f"{path}: labels are {labels.dtype}{list(labels.shape)}; wanted integers [N], one an image")
    if labels.size and not 0 <= labels.min() <= labels.max() <= 255:
        raise Refusal(f"{path}: labels are {labels.min()}…{labels.max()}; wanted classes 0…255")
    return DataSet(name, pixels, labels.astype(np.uint8))


def members(path: Path) -> tuple[str, ...]:
    """The names of the arrays.

    Raises:
        Refusal: it is no archive.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return tuple(name.removesuffix(".npy") for name in archive.namelist())
    except DAMAGED_ARCHIVE as error:
        raise Refusal(f"{path} is no .npz archive of images and labels: {error}") from None


def _array(path: Path, name: str) -> np.ndarray:
    if name not in (found := members(path)):
        raise Refusal(f"{path} has no array {name}; it holds {', '.join(found[:6]) or 'nothing'}")
    try:
        # NumPy warns of archives that Python 2 wrote, and reads them all the same.
        with warnings.catch_warnings(action="ignore", category=UserWarning), zipfile.ZipFile(path) as archive:
            with archive.open(f"{name}.npy") as file:
                shape, dtype = _header(file)
            size = prod(shape) * max(dtype.itemsize, 1)
            if size <= LARGEST:
                with archive.open(f"{name}.npy") as file:
                    return np.lib.format.read_array(file, allow_pickle=False)
    except DAMAGED_ARCHIVE as error:
        raise Refusal(f"{path}: {name} cannot be read: {error}") from None
    raise Refusal(f"{path}: {name} has the shape {list(shape)}, {size} bytes; up to {LARGEST >> 30} GiB are read")


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype
