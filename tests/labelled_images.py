"""Small random data sets, and the files that hold them."""

import gzip
from pathlib import Path

import numpy as np

from amhw.datasets import DataSet
from amhw.datasets.idx import write_idx


def random_set(
    count: int = 40,
    shape: tuple[int, int, int] = (1, 28, 28),
    classes: int = 10,
    seed: int = 0,
    name: str = "small",
) -> DataSet:
    """Noise of this shape, labelled 0, 1, … in turn."""
    images = np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)
    return DataSet(name, images, (np.arange(count) % classes).astype(np.uint8))


def write_idx_folder(
    folder: Path,
    training: DataSet | None = None,
    test: DataSet | None = None,
    *,
    packed: bool = True,
    dotted: bool = False,
) -> Path:
    """The IDX files of the parts that are given; grey images in three dimensions, others in four."""
    folder.mkdir(exist_ok=True)
    for prefix, part in (("train", training), ("t10k", test)):
        if part is None:
            continue
        images = part.images[:, 0] if part.shape[0] == 1 else part.images
        for kind, array in (("images-idx3", images), ("labels-idx1", part.labels)):
            name = f"{prefix}-{kind}-ubyte"
            if dotted:
                name = name.replace("-idx", ".idx")
            content = write_idx(array)
            (folder / (f"{name}.gz" if packed else name)).write_bytes(content if packed else gzip.decompress(content))
    return folder


def write_npz(path: Path, training: DataSet | None = None, test: DataSet | None = None) -> Path:
    """The archive of the parts that are given."""
    arrays: dict[str, np.ndarray] = {}
    for prefix, part in (("train_", training), ("", test)):
        if part is not None:
            arrays |= {f"{prefix}images": part.images, f"{prefix}labels": part.labels}
    np.savez_compressed(path, allow_pickle=False, **arrays)
    return path
