"""Labelled images as one value, whatever they show and however large they are."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from amhw.refusal import Refusal

SLICE_SEED = 2026
SLICE_PER_CLASS = 500

_PICTURE = 5
"""Rows and columns that a picture has at least."""

LARGEST = 4 << 30
"""Bytes that the images of a file or folder may have: a small file can promise any number of them."""


@dataclass(frozen=True, eq=False)
class DataSet:
    """Labelled images: `images` uint8[N, C, H, W], `labels` uint8[N], classes 0, 1, …; both read-only.

    Raises:
        Refusal: the shapes do not fit each other.
    """

    name: str
    images: np.ndarray = field(repr=False)
    labels: np.ndarray = field(repr=False)

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim != 4:
            raise Refusal(
                f"{self.name}: images have shape {self.images.shape} of {self.images.dtype}; "
                "wanted (N, channels, height, width) of uint8"
            )
        if self.labels.dtype != np.uint8 or self.labels.shape != (len(self.images),):
            raise Refusal(
                f"{self.name}: labels of shape {self.labels.shape} for {len(self.images)} images; wanted one each"
            )
        if self.images.size == 0:
            raise Refusal(f"{self.name}: no images; wanted at least one")
        for part in ("images", "labels"):
            given = np.ascontiguousarray(getattr(self, part))
            # NumPy leaves the stride of a single channel to chance, and torch takes another convolution, which rounds
            # differently, where it looks like channels last: so the same images always get the same strides.
            array = given.reshape(-1).reshape(given.shape)
            array.flags.writeable = False
            object.__setattr__(self, part, array)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    @property
    def classes(self) -> int:
        """How many classes the labels speak of: the greatest label and one."""
        return int(self.labels.max()) + 1

    @cached_property
    def sha256(self) -> str:
        """Identity of the content (not the name): SHA-256 over the count, the pixels and the labels."""
        digest = hashlib.sha256(len(self).to_bytes(8, "big"))
        digest.update(self.images.data)
        digest.update(self.labels.data)
        return digest.hexdigest()

    def taken(self, indices: np.ndarray | slice, name: str) -> "DataSet":
        """The images at `indices`, called `name`."""
        return DataSet(name, self.images[indices], self.labels[indices])

    def first(self, count: int) -> "DataSet":
        """The first `count` images.

        Raises:
            Refusal: there are not so many.
        """
        if not 1 <= count <= len(self):
            raise Refusal(f"{self.name} has {len(self)} images: ask for 1 to {len(self)}, not {count}")
        return self if count == len(self) else self.taken(slice(count), f"{self.name}[:{count}]")

    def part(self, chosen: str) -> range:
        """Which images a text chooses: `all`, `N` for the first N, or `FIRST:END` as in `200:250` for 200 to 249.

        Raises:
            Refusal: it says something else, or chooses none, or some that are not there.
        """
        if chosen == "all":
            return range(len(self))
        first, colon, end = chosen.partition(":")
        if not all(number.isdecimal() for number in ((first, end) if colon else (first,))):
            raise Refusal(f"images {chosen!r}; wanted all, a number N for the first N, or FIRST:END as in 200:250")
        if not colon:
            return range(len(self.first(int(first))))
        found = range(int(first), int(end))
        if not found or found.stop > len(self):
            raise Refusal(f"{self.name} has the images 0:{len(self)}: ask for some of them, not {chosen}")
        return found

    def spread(self, count: int) -> np.ndarray:
        """About `count` of the images, evenly spaced, in order: uint8[n, C, H, W]."""
        return self.images[:: max(1, len(self) // count)]


def channels_first(images: np.ndarray, source: object) -> np.ndarray:
    """Images [N, H, W] or [N, C, H, W] as [N, C, H, W]; `source` names them in messages.

    Raises:
        Refusal: they are no unsigned bytes, have another number of dimensions, or their channels last.
    """
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise Refusal(
            f"{source}: images are {images.dtype}{list(images.shape)}; "
            "wanted uint8 [N, height, width] or [N, channels, height, width]"
        )
    if images.ndim == 3:
        return images[:, None]
    _, first, second, last = images.shape
    # One or three columns, and as many channels and rows as pictures have rows and columns.
    if last in (1, 3) and min(first, second) >= _PICTURE:
        raise Refusal(
            f"{source}: images of shape {list(images.shape)} have their channels last; "
            "wanted [N, channels, height, width]: images.transpose(0, 3, 1, 2)"
        )
    return images


def balanced(data: DataSet, per_class: int = SLICE_PER_CLASS, seed: int = SLICE_SEED) -> DataSet:
    """The slice with `per_class` images of each class (fewer if the smallest class has fewer).

    The rule: the indices in the order of ``numpy.random.RandomState(seed).permutation(N)`` (a stream that NumPy has
    frozen), of which the first of each class are taken and put back into ascending order.

    Raises:
        Refusal: a class has no image.
    """
    counts = np.bincount(data.labels)
    if not counts.all():
        raise Refusal(f"{data.name} has no image of class {int(counts.argmin())}; wanted all of 0…{len(counts) - 1}")
    order = np.random.RandomState(seed).permutation(len(data))
    labels = data.labels[order]
    members = [order[labels == label][: min(per_class, int(counts.min()))] for label in range(len(counts))]
    return data.taken(np.sort(np.concatenate(members)), f"{data.name} slice")
