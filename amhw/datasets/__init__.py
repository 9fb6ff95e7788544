"""Labelled images: the packaged MNIST, and anybody's own."""

from amhw.datasets.mnist import DataSet, calibration_set, mnist_slice, mnist_test, test_set, training_set

__all__ = ["DataSet", "calibration_set", "mnist_slice", "mnist_test", "test_set", "training_set"]
