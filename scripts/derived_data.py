"""A second data set in IDX files, made from any other: the digits on uneven grey ground, some darker than it.

    python scripts/derived_data.py DATA_DIR OUT

Its statistics differ from MNIST's where selection looks: pixels are rarely 0 or 255, ground and stroke overlap, and
padding with zeros is visible at the border. Every image is moved a little, blended with a smooth random texture at
random contrast, and every other one has its polarity inverted. The same seed gives the same files.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from amhw.datasets import DataSet, data_source
from amhw.datasets.idx import write_idx
from amhw.files import write_atomically
from amhw.network.training import augmented

_BATCH = 1000


def on_uneven_ground(images: np.ndarray, seed: int) -> np.ndarray:
    """uint8[N, 1, 28, 28] of the same."""
    made = []
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for start in range(0, len(images), _BATCH):
            stroke = augmented(torch.tensor(images[start : start + _BATCH]).float() / 255).clamp(0, 1)
            count = len(stroke)
            coarse = torch.rand(count, 1, 5, 5)
            ground = functional.interpolate(coarse, size=28, mode="bicubic", align_corners=True).clamp(0, 1)
            ground = 0.25 + 0.35 * ground
            contrast = (0.35 + 0.25 * torch.rand(count, 1, 1, 1)) * torch.where(torch.rand(count, 1, 1, 1) < 0.5, -1, 1)
            noisy = ground + contrast * stroke + 0.03 * torch.randn(stroke.shape)
            made.append((255 * noisy.clamp(0, 1)).round().to(torch.uint8).numpy())
    return np.concatenate(made)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="images with labels, as amhw takes them with --data")
    parser.add_argument("out", type=Path, help="folder for the new ones")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    parts: tuple[tuple[str, DataSet, int], ...] = (
        ("train", data_source(arguments.data).training, 1),
        ("t10k", data_source(arguments.data).test, 2),
    )
    for prefix, data, seed in parts:
        images = on_uneven_ground(data.images, seed)
        write_atomically(arguments.out / f"{prefix}-images-idx3-ubyte.gz", write_idx(images[:, 0]))
        write_atomically(arguments.out / f"{prefix}-labels-idx1-ubyte.gz", write_idx(data.labels))


if __name__ == "__main__":
    main()
