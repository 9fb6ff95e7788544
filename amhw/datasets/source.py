"""Where data sets come from: the packaged MNIST, or a user's IDX files, `.npz` archive or folders of PNG files."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from amhw.datasets import folders, idx, mnist, npz
from amhw.datasets.dataset import DataSet, balanced
from amhw.refusal import Refusal

_WANTED = "wanted a folder of IDX or PNG files, or an .npz archive"


@dataclass(frozen=True)
class Identity:
    """What a data set is, wherever it lies: its name, and the SHA-256 of its training images (of its test images where
    it has no others). Two identities are the same data set if their hashes are equal; with test images alone nobody can
    know whose they are."""

    name: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.name} ({self.sha256[:12]})"


@dataclass(frozen=True)
class DataSource:
    """A data set with its parts, each read when it is first asked for.

    Attributes:
        path: a folder of IDX files or of PNG files, or an ``.npz``; None for the packaged MNIST.

    Raises:
        Refusal: there is nothing that can be read; later, a part is missing, damaged or foreign.
    """

    path: Path | None = None

    def __post_init__(self) -> None:
        if self.path is not None:
            self._format  # noqa: B018 (refuses what is no data set)

    @property
    def name(self) -> str:
        """What tables and messages call it."""
        if self.path is None:
            return mnist.NAME
        path = self.path.resolve()
        return path.stem if path.suffix == ".npz" else path.name

    @cached_property
    def test(self) -> DataSet:
        """The images to report on."""
        return mnist.mnist_test() if self.path is None else self._part("test")

    @cached_property
    def training(self) -> DataSet:
        """All training images; MNIST's are downloaded where they are not in the user's cache."""
        return mnist.mnist_training() if self.path is None else self._part("training")

    @cached_property
    def calibration(self) -> DataSet:
        """Training images to calibrate and select on: a `balanced` slice."""
        return mnist.mnist_slice() if self.path is None else balanced(self.training)

    @property
    def has_training(self) -> bool:
        """Whether there are training images."""
        return self.path is None or self._format.has_part(self.path, "training")

    @property
    def representative(self) -> DataSet:
        """Images by which operands are counted: training images, or the test images where there are no others."""
        return self.calibration if self.has_training else self.test

    @cached_property
    def identity(self) -> Identity:
        """By which a network remembers what it was trained on."""
        if self.path is None:
            return Identity(self.name, mnist.TRAINING_SHA256)
        part = self.training if self.has_training else self.test
        return Identity(self.name, part.sha256)

    def _part(self, part: str) -> DataSet:
        assert self.path is not None
        with _readable(self.path):
            return self._format.read_part(self.path, part, f"{self.name} {part}")

    @cached_property
    def _format(self) -> "_Format":
        assert self.path is not None
        with _readable(self.path):
            return _format_of(self.path)


class _Format(Protocol):
    """What each module of a format offers; a part is ``training`` or ``test``."""

    def has_part(self, path: Path, part: str, /) -> bool: ...

    def read_part(self, path: Path, part: str, name: str, /) -> DataSet: ...


def _format_of(path: Path) -> _Format:
    """The format of what lies at `path`.

    Raises:
        Refusal: none does.
    """
    if not path.exists():
        raise Refusal(f"{path} is not there; {_WANTED}")
    if path.is_file() and path.suffix == ".npz":
        if _has_parts(npz, path):
            return npz
        raise Refusal(
            f"{path} has no arrays images and labels; it holds {', '.join(npz.members(path)[:6]) or 'nothing'}"
        )
    if not path.is_dir():
        raise Refusal(f"{path} is no data set; {_WANTED}")
    formats: tuple[_Format, ...] = (idx, folders)
    for form in formats:
        if _has_parts(form, path):
            return form
    raise Refusal(
        f"{path} holds no data set: neither {idx.FILES['test'][0]} and the like nor a folder of PNG files a class"
        f"{idx.near_miss(path) or folders.near_miss(path)}"
    )


def _has_parts(form: _Format, path: Path) -> bool:
    return any(form.has_part(path, part) for part in idx.FILES)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Refusal(f"cannot read {error.filename or path}: {error.strerror or error}") from error


def data_source(path: Path | str | None = None) -> DataSource:
    """The data set at `path`; None for the packaged MNIST.

    Raises:
        Refusal: there is none.
    """
    return DataSource(None if path is None else Path(path))
