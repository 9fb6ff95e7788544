"""A data set as folders of PNG files, one folder a class: FOLDER/train/CLASS/*.png and FOLDER/test/CLASS/*.png.

Without `train` and `test`, FOLDER/CLASS/*.png are the test images and there are no training images. Classes are
numbered in the order of their folders' names (numbers by value), training and test together. The first image of each
class comes first, then the second of each, so that some of a data set are of all classes. Hidden files and folders
(`.DS_Store`, `._1.png`) do not count.
"""

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from amhw.datasets.dataset import LARGEST, DataSet
from amhw.files import read_whole
from amhw.refusal import Refusal

PARTS = {"training": "train", "test": "test"}
"""What the folders of the parts are called."""

_CLASSES = 256
_CHANNELS = {"1": 1, "L": 1, "P": 3, "RGB": 3}
"""Of Pillow's modes: black and white, grey, a palette of colours, colours."""

_BIT_DEPTH = 24
"""Where a PNG file says how many bits a sample has; Pillow would drop half of 16 without a word."""


def has_part(folder: Path, part: str) -> bool:
    """Whether there are class folders of this part."""
    return bool(_classes(_root(folder, part)))


def read_part(folder: Path, part: str, name: str) -> DataSet:
    """The images of a part, as many channels as the files have.

    Raises:
        Refusal: there are none, files differ in size or kind, or a class folder holds something else than PNG files.
    """
    known = sorted({path.name for each in PARTS for path in _classes(_root(folder, each))}, key=_order)
    if len(known) > _CLASSES:
        raise Refusal(f"{folder} has {len(known)} classes; up to {_CLASSES} are possible")
    files = sorted(
        (place, known.index(path.name), file)
        for path in _classes(_root(folder, part))
        for place, file in enumerate(_files(path))
    )
    if not files:
        raise Refusal(f"{folder} has no PNG files of its {part} images; wanted {PARTS[part]}/CLASS/*.png")
    _, _, first = files[0]
    shape = _shape(_opened(first))
    if len(files) * prod(shape) > LARGEST:
        raise Refusal(f"{folder} promises {len(files)} images {list(shape)}; up to {LARGEST >> 30} GiB are read")
    images = np.empty((len(files), *shape), np.uint8)
    for index, (_, _, file) in enumerate(files):
        picture = _opened(file)
        if _shape(picture) != shape:
            shapes = " and ".join("×".join(map(str, each)) for each in (shape, _shape(picture)))
            raise Refusal(f"{file} differs from {first}: channels, height and width are {shapes}")
        images[index] = _pixels(picture, file)
    return DataSet(name, images, np.array([label for _, label, _ in files], np.uint8))


def picture(file: Path) -> np.ndarray:
    """A PNG file as uint8[C, H, W]; 8-bit grey or colour.

    Raises:
        Refusal: it is something else.
    """
    opened = _opened(file)
    return _pixels(opened, file)


def near_miss(folder: Path) -> str:
    """A folder inside that holds class folders, for a refusal; or nothing."""
    for path in _folders(folder):
        if _classes(path):
            return f"; {path} holds class folders: give that, or call it train or test"
    return ""


def _root(folder: Path, part: str) -> Path:
    split = any((folder / name).is_dir() for name in PARTS.values())
    if split:
        return folder / PARTS[part]
    return folder if part == "test" else folder / PARTS["training"]


def _folders(root: Path) -> list[Path]:
    """In the order of classes, so that a data set does not depend on that of the file system."""
    found = [path for path in _visible(root) if path.is_dir()] if root.is_dir() else []
    return sorted(found, key=lambda path: _order(path.name))


def _classes(root: Path) -> list[Path]:
    return [path for path in _folders(root) if any(map(_is_png, _visible(path)))]


def _files(path: Path) -> list[Path]:
    """The PNG files of a class.

    Raises:
        Refusal: there is something else, which would silently be no image of the class.
    """
    found = sorted(_visible(path))
    for file in found:
        if not _is_png(file):
            raise Refusal(f"{file} is no PNG file; wanted nothing else in the folder of a class")
    return found


def _visible(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if not path.name.startswith("."))


def _is_png(path: Path) -> bool:
    return path.suffix.lower() == ".png" and path.is_file()


def _order(name: str) -> tuple[int, int, str]:
    return (0, int(name), name) if name.isdecimal() else (1, 0, name)


def _opened(file: Path) -> Any:
    """A picture of 8-bit grey or colour, of which nothing but the header has been decoded."""
    from PIL import Image

    content = read_whole(file)
    with _damage_refused(file), warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning):
        picture = Image.open(io.BytesIO(content), formats=["PNG"])
    if content[_BIT_DEPTH] > 8:
        raise Refusal(f"{file} has {content[_BIT_DEPTH]} bits a sample; wanted 8-bit grey or colour")
    if picture.mode not in _CHANNELS or "transparency" in picture.info:
        raise Refusal(f"{file} is transparent ({picture.mode}); wanted 8-bit grey or colour")
    return picture


def _shape(picture: Any) -> tuple[int, int, int]:
    """Channels, height and width."""
    return _CHANNELS[picture.mode], picture.height, picture.width


def _pixels(picture: Any, file: Path) -> np.ndarray:
    """uint8[C, H, W]."""
    with _damage_refused(file):
        pixels = np.asarray(picture.convert("L" if _CHANNELS[picture.mode] == 1 else "RGB"))
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


@contextmanager
def _damage_refused(file: Path) -> Iterator[None]:
    from PIL import Image

    try:
        yield
    except (*_DAMAGE, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Refusal(f"{file} is no PNG file, or a damaged one: {error}") from None


_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, OverflowError, struct.error, zlib.error)
"""What Pillow raises for wrong bytes."""
