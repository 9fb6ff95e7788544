"""What networks are fitted to: a network, its data, and what judges a candidate.

Everything here is of training images; the test images are for the report and for nothing else.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from amhw.datasets import DataSet, DataSource, data_source
from amhw.files import state_of
from amhw.network.inference import Inference
from amhw.network.models.lenet5 import float_network
from amhw.network.models.lenet5 import network as shipped_network
from amhw.network.quantise import quantise
from amhw.network.quantised import QuantisedNetwork
from amhw.network.real import FloatNetwork, load_network, pixels, real_valued
from amhw.network.training import augmented
from amhw.refusal import Refusal
from amhw.remap.fit import Judge
from amhw.remap.teacher import Teacher
from amhw.stages.content import check_unchanged
from amhw.stages.loss import Loss

_TEACHING = 1000
"""Images by which weights are reconstructed. Each has 25 windows of LeNet-5's second convolution, so that there are
twelve windows, as remapping wants, for each of two thousand features."""

_MORE = (3000, 2000)
"""More images, other plain ones and moved and distorted ones, by which the weights of linear layers are reconstructed
that have more inputs than the teaching ones give `_IMAGES_AN_INPUT` for: they see one window in an image."""

_IMAGES_AN_INPUT = 12
"""As remapping wants of windows for each feature; exact products have one feature an input."""

_MOVED = 3000
"""Moved and distorted images that judge networks beside some `_TEACHING` plain ones. They are harder than the test
images, and good networks differ on them by more."""

_SEED = 2026
"""Of the movements and distortions of the judging images; those that teach have the one before."""


@dataclass(frozen=True)
class Problem:
    """A network and its data, by file: what workers need to load the same things.

    Attributes:
        network: a float or a quantised network file; None for the shipped one.
        data_dir: the path of its data set; None for the packaged MNIST.
    """

    network: str | None = None
    data_dir: str | None = None

    @property
    def loaded(self) -> "Loaded":
        """What the files hold, read once a process.

        Raises:
            Refusal: a file is missing, damaged or foreign, or the network was made for a multiplier.
        """
        return _loaded(self, *(None if path is None else state_of(path) for path in (self.network, self.data_dir)))


@dataclass(frozen=True)
class Hashes:
    """What a fitted network depends on beside its multipliers: teacher, network with exact products, images."""

    teacher: str
    base: str
    training: str


@dataclass(frozen=True, eq=False)
class Loaded:
    """The networks and images of a problem.

    Attributes:
        network: in floating point, the teacher.
        base: quantised, for exact products: what losses are measured against.
        data: where images come from.
    """

    network: FloatNetwork
    base: QuantisedNetwork
    data: DataSource

    @property
    def training(self) -> DataSet:
        """Images for every choice."""
        return self.data.calibration

    @property
    def test(self) -> DataSet:
        """Images for the report, and for nothing else."""
        return self.data.test

    @cached_property
    def hashes(self) -> Hashes:
        """The hash of each of them."""
        return Hashes(self.network.sha256, self.base.sha256, self.training.sha256)

    @cached_property
    def teacher(self) -> Teacher:
        """Targets for some of the training images, evenly spaced; wide linear layers have them for more. None is among
        the plain judging ones."""
        images = self.training.images
        step = max(2, len(images) // _TEACHING)
        first = images[::step]
        widest = max(layer.matrix.shape[1] for layer in self.base.layers if layer.is_linear)
        if widest * _IMAGES_AN_INPUT <= len(first):
            return Teacher.of(self.network, first)
        plain, most = _MORE
        distorted = min(most, len(images))
        others = images[np.arange(len(images)) % step > 1]
        others = others[:: max(1, len(others) // plain)][:plain] if len(others) else others
        copies = images[np.arange(distorted) * len(images) // distorted]
        more = np.concatenate([first, others, moved(copies, _SEED - 1)])
        return Teacher.of(self.network, more, len(first))

    @cached_property
    def judging(self) -> DataSet:
        """Training images that were not the teacher's, and moved and distorted ones, harder than the test set."""
        images, labels = self.training.images, self.training.labels
        other = slice(1, None, max(2, len(images) // _TEACHING))
        some = np.arange(len(images))[:: max(1, len(images) // _MOVED)][:_MOVED]
        return DataSet(
            f"{self.training.name}, moved",
            np.concatenate([images[other], moved(images[some], _SEED)]),
            np.concatenate([labels[other], labels[some]]),
        )

    @cached_property
    def judge(self) -> Judge:
        """The teacher's word on the judging images."""
        return Judge.of(self.network, self.judging.images)

    @cached_property
    def exact_hits(self) -> np.ndarray:
        """Which of the judging images the base network classifies correctly, bool[N]."""
        return Inference(self.base).correct(self.judging)

    def training_loss(self, predictions: np.ndarray) -> Loss:
        """What of the judging images is lost against exact products when these classes are predicted."""
        return Loss.between(self.exact_hits, predictions == self.judging.labels)


def moved(images: np.ndarray, seed: int) -> np.ndarray:
    """Each image moved and distorted as in training; the same ones for the same seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        found = augmented(pixels(images))
    return (found.clamp(0, 1) * 255).round().to(torch.uint8).numpy()


@functools.cache
def unchanged(problem: Problem, hashes: Hashes) -> Loaded:
    """What a problem's files hold, for a worker.

    Raises:
        Refusal: something in them has another hash than when the task was made.
    """
    loaded = _read(problem)
    for what, found in vars(loaded.hashes).items():
        check_unchanged(f"the {what} of {problem.network or 'the shipped network'}", found, getattr(hashes, what))
    return loaded


@functools.lru_cache(maxsize=8)
def _loaded(problem: Problem, *states: Sequence[int] | None) -> Loaded:
    return _read(problem)


def _read(problem: Problem) -> Loaded:
    if problem.network is None:
        if problem.data_dir is None:
            return Loaded(float_network(), shipped_network(), data_source())
        raise Refusal("--data needs a network that was trained on it: give its file as --network")
    data = data_source(problem.data_dir)
    network = load_network(problem.network)
    network.network.check_images(data.calibration)
    if isinstance(network, FloatNetwork):
        return Loaded(network, quantise(network, data.calibration.images), data)
    made = next((layer for layer in network.layers if layer.made_for is not None), None)
    if made is not None and made.made_for is not None:
        raise Refusal(
            f"{problem.network} was made for {made.made_for.name} in {made.name}; "
            "give the network that it was made from"
        )
    return Loaded(real_valued(network), network, data)
