"""A data set as folders of PNG files, one folder a class: FOLDER/train/CLASS/*.png and FOLDER/test/CLASS/*.png.

Without `train` and `test`, FOLDER/CLASS/*.png are the test images and there are no training images. Classes are
numbered in the order of their folders' names (numbers by value), training and test together.
"""

from pathlib import Path

import numpy as np

from amhw.datasets.dataset import DataSet
from amhw.refusal import Refusal

_PARTS = {"training": "train", "test": "test"}
_GREY, _COLOUR = ("1", "L"), ("RGB", "P")


def has_part(folder: Path, part: str) -> bool:
    """Whether there are class folders of this part."""
    return bool(_classes(_root(folder, part)))


def read_part(folder: Path, part: str, name: str) -> DataSet:
    """The images of a part, as many channels as the files have.

    Raises:
        Refusal: there are none, files differ in size or kind, or one is no PNG file.
    """
    known = sorted({path.name for each in _PARTS for path in _classes(_root(folder, each))}, key=_order)
    if len(known) > 256:
        raise Refusal(f"{folder} has {len(known)} classes; up to 256 are possible")
    images: list[np.ndarray] = []
    labels: list[int] = []
    for path in _classes(_root(folder, part)):
        for file in sorted(path.glob("*.png")):
            image = _image(file)
            if images and image.shape != images[0].shape:
                shapes = " and ".join("×".join(map(str, each.shape)) for each in (images[0], image))
                raise Refusal(f"{file} differs from the images before: channels, height and width are {shapes}")
            images.append(image)
            labels.append(known.index(path.name))
    if not images:
        raise Refusal(f"{folder} has no PNG files of its {part} images; wanted {_PARTS[part]}/CLASS/*.png")
    return DataSet(name, np.stack(images), np.array(labels, np.uint8))


def _root(folder: Path, part: str) -> Path:
    split = any((folder / name).is_dir() for name in _PARTS.values())
    if split:
        return folder / _PARTS[part]
    return folder if part == "test" else folder / _PARTS["training"]


def _classes(root: Path) -> list[Path]:
    return [path for path in root.iterdir() if path.is_dir() and any(path.glob("*.png"))] if root.is_dir() else []


def _order(name: str) -> tuple[int, int, str]:
    return (0, int(name), name) if name.isdecimal() else (1, 0, name)


def _image(file: Path) -> np.ndarray:
    """uint8[C, H, W]."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file, formats=["PNG"]) as picture:
            if picture.mode not in (*_GREY, *_COLOUR):
                raise Refusal(f"{file} is {picture.mode}; wanted 8-bit grey or colour without transparency")
            pixels = np.asarray(picture.convert("L" if picture.mode in _GREY else "RGB"))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        if isinstance(error, Refusal):
            raise
        raise Refusal(f"{file} is no PNG file, or a damaged one: {error}") from None
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
