"""Labelled images as a value: what fits, what identifies them, and slices of them."""

import numpy as np
import pytest
from labelled_images import random_set

from amhw.datasets import DataSet, balanced
from amhw.datasets.dataset import SLICE_SEED, channels_first
from amhw.network.models.lenet5 import float_network
from amhw.refusal import Refusal


def test_shape_and_classes_are_those_of_the_arrays():
    colour = random_set(12, (3, 5, 4), classes=7)
    assert (colour.shape, colour.classes, len(colour)) == ((3, 5, 4), 7, 12)


def test_identity_is_the_content():
    one = random_set()
    assert one.sha256 == DataSet("renamed", one.images.copy(), one.labels).sha256
    for part in ("images", "labels"):
        changed = {"images": one.images.copy(), "labels": one.labels.copy()}
        changed[part].flat[3] ^= 1
        assert DataSet("small", **changed).sha256 != one.sha256
    assert one.first(39).sha256 != one.sha256


def test_identity_does_not_depend_on_how_the_array_lies_in_memory():
    one = random_set()
    turned = np.asfortranarray(one.images)
    assert not turned.flags.c_contiguous
    assert DataSet("turned", turned, one.labels).sha256 == one.sha256


def test_images_cannot_be_written():
    one = random_set()
    for array in (one.images, one.labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_the_first_images():
    one = random_set()
    np.testing.assert_array_equal(one.first(7).images, one.images[:7])
    assert one.first(40) is one
    for count in (0, 41):
        with pytest.raises(Refusal, match="small has 40 images: ask for 1 to 40"):
            one.first(count)


def test_some_images_evenly_spaced():
    one = random_set(40)
    np.testing.assert_array_equal(one.spread(8), one.images[::5])
    np.testing.assert_array_equal(one.spread(100), one.images)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 28, 28), np.uint8), np.zeros(2, np.uint8), r"wanted \(N, channels, height, width\) of uint8"),
        (np.zeros((2, 1, 28, 28)), np.zeros(2, np.uint8), r"of float64; wanted .* of uint8"),
        (np.zeros((2, 1, 28, 28), np.uint8), np.zeros(3, np.uint8), "for 2 images; wanted one each"),
        (np.zeros((2, 1, 28, 28), np.uint8), np.zeros((2, 1), np.uint8), "for 2 images; wanted one each"),
        (np.zeros((2, 1, 28, 28), np.uint8), np.zeros(2), "for 2 images; wanted one each"),
        (np.zeros((0, 1, 28, 28), np.uint8), np.zeros(0, np.uint8), "no images"),
        (np.zeros((2, 1, 0, 28), np.uint8), np.zeros(2, np.uint8), "no images"),
    ],
)
def test_images_and_labels_that_do_not_fit_are_refused(images, labels, message):
    with pytest.raises(Refusal, match=f"odd: .*{message}"):
        DataSet("odd", images, labels)


@pytest.mark.parametrize(
    "layout",
    [
        lambda images: images,
        lambda images: images[:, 0][:, None],
        lambda images: images[:, 0][:, None][np.arange(4)],
        lambda images: images.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2),
        np.asfortranarray,
    ],
)
def test_figures_do_not_depend_on_how_images_lie_in_memory(layout):
    images = np.random.default_rng(0).integers(0, 256, (4, 1, 28, 28), dtype=np.uint8)
    data = DataSet("digits", layout(images), np.zeros(4, np.uint8))
    assert data.images.strides == (784, 784, 28, 1)
    assert np.array_equal(float_network().logits(data.images), float_network().logits(images))


def test_grey_images_get_their_channel():
    images = np.zeros((2, 5, 4), np.uint8)
    assert channels_first(images, "here").shape == (2, 1, 5, 4)
    assert channels_first(images.reshape(2, 1, 5, 4), "here").shape == (2, 1, 5, 4)
    # What is narrow is not channels last where no picture has so few rows or columns.
    for shape in ((2, 3, 8, 1), (2, 2, 17, 3), (2, 128, 2, 1)):
        assert channels_first(np.zeros(shape, np.uint8), "here").shape == shape


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_last_are_refused_with_what_to_do(channels):
    images = np.zeros((2, 8, 8, channels), np.uint8)
    with pytest.raises(Refusal, match=r"here: .* channels last; .*transpose\(0, 3, 1, 2\)"):
        channels_first(images, "here")
    assert channels_first(images.transpose(0, 3, 1, 2), "here").shape == (2, channels, 8, 8)


@pytest.mark.parametrize("images", [np.zeros((2, 8)), np.zeros((2, 8), np.uint8), np.zeros((2, 8, 8))])
def test_other_arrays_are_no_images(images):
    with pytest.raises(Refusal, match=rf"here: images are {images.dtype}.*wanted uint8 \[N, height, width\]"):
        channels_first(images, "here")


def test_the_balanced_slice_is_deterministic_and_as_large_as_the_smallest_class_allows():
    labels = np.repeat(np.arange(10, dtype=np.uint8), [5, 9, 9, 9, 9, 9, 9, 9, 9, 9])
    images = np.arange(len(labels), dtype=np.uint8)[:, None, None, None] + np.zeros((1, 1, 4, 4), np.uint8)
    whole = DataSet("uneven", images, labels)
    assert np.bincount(balanced(whole).labels).tolist() == [5] * 10
    assert np.bincount(balanced(whole, 3).labels).tolist() == [3] * 10
    assert balanced(whole, 3).sha256 == balanced(whole, 3).sha256 != balanced(whole, 3, seed=1).sha256
    order = np.random.RandomState(SLICE_SEED).permutation(len(labels))
    wanted = sorted(i for label in range(10) for i in [j for j in order if labels[j] == label][:3])
    assert balanced(whole, 3).images[:, 0, 0, 0].tolist() == wanted
    assert balanced(whole).name == "uneven slice"


def test_a_balanced_slice_needs_every_class():
    with pytest.raises(Refusal, match="gaps has no image of class 2; wanted all of 0…4"):
        balanced(DataSet("gaps", np.zeros((4, 1, 2, 2), np.uint8), np.array([0, 1, 3, 4], np.uint8)))
