"""Where data sets come from: the packaged MNIST, or a user's IDX files, `.npz` archive or folders of PNG files."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType

from amhw.datasets import folders, idx, mnist, npz
from amhw.datasets.dataset import DataSet, balanced
from amhw.refusal import Refusal


@dataclass(frozen=True)
class Identity:
    """What a data set is, wherever it lies: its name, and the SHA-256 of its training images (of its test images where
    it has no others). Two identities are the same data set if their hashes are equal."""

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
        return self.path is None or bool(self._format.has_part(self.path, "training"))

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
        found: DataSet = self._format.read_part(self.path, part, f"{self.name} {part}")
        return found

    @cached_property
    def _format(self) -> ModuleType:
        path = self.path
        assert path is not None
        if path.is_file() and path.suffix == ".npz":
            return npz
        if path.is_dir():
            for form in (idx, folders):
                if any(form.has_part(path, part) for part in ("training", "test")):
                    return form
            raise Refusal(
                f"{path} holds no data set: neither {idx.FILES['test'][0]} and the like nor a folder of PNG files a "
                f"class{idx.near_miss(path)}"
            )
        if not path.exists():
            raise Refusal(f"{path} is not there; wanted a folder of IDX or PNG files, or an .npz archive")
        raise Refusal(f"{path} is no data set; wanted a folder of IDX or PNG files, or an .npz archive")


def data_source(path: Path | str | None = None) -> DataSource:
    """The data set at `path`; None for the packaged MNIST.

    Raises:
        Refusal: there is none.
    """
    return DataSource(None if path is None else Path(path))
