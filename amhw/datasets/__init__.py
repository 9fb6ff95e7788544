"""Labelled images: the packaged MNIST, and anybody's own.

`data_source(path)` finds out what lies there (IDX files, an ``.npz`` archive, folders of PNG files) and reads its parts
when they are asked for; a `DataSet` is one part: images uint8[N, C, H, W] and their labels.
"""

from amhw.datasets.dataset import DataSet, balanced
from amhw.datasets.mnist import mnist_slice, mnist_test
from amhw.datasets.source import DataSource, Identity, data_source

__all__ = ["DataSet", "DataSource", "Identity", "balanced", "data_source", "mnist_slice", "mnist_test"]
