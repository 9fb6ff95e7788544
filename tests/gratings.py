"""A generated set of small colour images that a small network learns within seconds.

Class k is a grating of one of five orientations, k mod 5 times 36°, in one of two pairs of colours, with random phase,
period, contrast and noise: neither its mean colour nor any single pixel tells the class.

    python tests/gratings.py DATA.npz           writes 2,000 training and 1,000 test images
    python tests/gratings.py DATA.npz --hard    5,000 of each with so much jitter that nothing classifies all of them
"""

import argparse
from pathlib import Path

import numpy as np
from labelled_images import write_npz

from amhw.datasets import DataSet

CLASSES = 10
SIDE = 32

_COLOURS = np.array([[1.0, 0.2, -0.8], [-0.6, 1.0, 0.4]])
"""The direction, in red, green and blue, in which each pair's stripes differ."""


_HARD = {"jitter": 0.15, "noise": 48.0}


def gratings(count: int, seed: int, *, jitter: float = 0.02, noise: float = 8.0) -> DataSet:
    """`count` images uint8[count, 3, 32, 32] with their classes, the same ones for the same seed.

    Args:
        jitter: standard deviation of the orientation, in radians; from π/10 on an image is nearer to another class.
        noise: standard deviation of each pixel's noise, of 255.
    """
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(count) % CLASSES)
    y, x = np.mgrid[:SIDE, :SIDE]
    angle = np.pi * (labels % 5)[:, None, None] / 5 + random.normal(0, jitter, (count, 1, 1))
    period = random.uniform(6, 7, (count, 1, 1))
    phase = random.uniform(0, 2 * np.pi, (count, 1, 1))
    waves = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period + phase)
    contrast = random.uniform(60, 110, (count, 1, 1, 1))
    images = 128 + contrast * _COLOURS[labels // 5][:, :, None, None] * waves[:, None]
    images += random.normal(0, noise, images.shape)
    return DataSet("gratings", np.clip(np.rint(images), 0, 255).astype(np.uint8), labels.astype(np.uint8))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--hard", action="store_true")
    arguments = parser.parse_args()
    if arguments.hard:
        parts = gratings(5000, 0, **_HARD), gratings(5000, 1, **_HARD)
    else:
        parts = gratings(2000, 0), gratings(1000, 1)
    print(write_npz(arguments.out, *parts))
