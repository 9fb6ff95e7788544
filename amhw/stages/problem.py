"""What networks are fitted to: a network, its data, and what judges a candidate.

Everything here is of training images; the test images are for the report and for nothing else.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import sqrt

import numpy as np
import torch
from numpy.typing import NDArray

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

_TIMES, _BESIDE = 3, 0.005
"""A network that takes moved images errs on them at most `_TIMES` times as often as on plain ones, plus `_BESIDE` of
all. What `amhw train` makes errs on 0 % of plain and 0.3 % of moved ones (LeNet-5 on MNIST), 8.7 and 11.1 % (on
Fashion-MNIST), 4.3 and 9.4 % (ResNet-8); what was trained without movements on 1.9 and 11.4 %, or 0 and 7 % (residual
networks on MNIST)."""

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
        first = images[self._places == 0]
        if not self._wide:
            return Teacher.of(self.network, first)
        distorted = min(_MORE[1], len(images))
        copies = images[np.arange(distorted) * len(images) // distorted]
        more = np.concatenate([first, images[self._teaching_more], moved(copies, _SEED - 1)])
        return Teacher.of(self.network, more, len(first))

    @cached_property
    def judging(self) -> DataSet:
        """Training images that were not the teacher's, and moved and distorted ones, harder than the test set; for a
        network that was not trained to take these (`takes_movement`) there are more of the plain ones."""
        plain, hard = self.plain_judges, self._moved_judges
        images = np.concatenate([self.training.images[plain], hard.images])
        return DataSet(hard.name, images, np.concatenate([self.training.labels[plain], hard.labels]))

    @property
    def plain_judges(self) -> NDArray[np.int64]:
        """The training images, by number, that judge as they are: the first ones in `judging`."""
        return np.concatenate([self._first_judges, self._judging_more])

    @cached_property
    def takes_movement(self) -> bool:
        """Whether the network with exact products classifies moved images about as well as plain ones, as far as these
        can tell: two standard errors are allowed for."""
        plain, hard = ~self._first_hits, ~self._moved_hits
        if not len(plain):
            return True
        error = sqrt(hard.var() / len(hard) + _TIMES**2 * plain.var() / len(plain))
        return bool(hard.mean() <= _TIMES * plain.mean() + _BESIDE + 2 * error)

    @cached_property
    def judge(self) -> Judge:
        """The teacher's word on the judging images."""
        return Judge.of(self.network, self.judging.images)

    @cached_property
    def exact_hits(self) -> np.ndarray:
        """Which of the judging images the base network classifies correctly, bool[N]."""
        return np.concatenate([self._first_hits, self._hits(self._judging_more), self._moved_hits])

    def training_loss(self, predictions: np.ndarray) -> Loss:
        """What of the judging images is lost against exact products when these classes are predicted.

        A network that was not trained to take moved images errs on them so often that luck decides: an approximate one
        is right where the exact one is wrong about as often as the other way round, and seems to lose little. And a
        network that knows its training images by heart loses little of the plain ones. So the loss is then the greater
        of those of the plain ones and of all.
        """
        hits = predictions == self.judging.labels
        every = Loss.between(self.exact_hits, hits)
        if self.takes_movement:
            return every
        plain = slice(len(self.plain_judges))
        return max(every, Loss.between(self.exact_hits[plain], hits[plain]), key=lambda loss: loss.mean)

    @property
    def _places(self) -> NDArray[np.int64]:
        """Of each training image its place in a period: the first teaches, the second judges."""
        count = len(self.training.images)
        return np.arange(count) % max(2, count // _TEACHING)

    @property
    def _others(self) -> NDArray[np.int64]:
        """Training images of neither kind."""
        return np.flatnonzero(self._places > 1)

    @property
    def _wide(self) -> bool:
        """Whether a linear layer has more inputs than the teaching images can tell about."""
        widest = max(layer.matrix.shape[1] for layer in self.base.layers if layer.is_linear)
        return bool(widest * _IMAGES_AN_INPUT > np.count_nonzero(self._places == 0))

    @cached_property
    def _teaching_more(self) -> NDArray[np.int64]:
        """Those of the others that teach wide linear layers: of a network that does not take moved images every second
        one at most, as the rest judges it."""
        if not self._wide:
            return np.arange(0)
        return _thinned(self._others if self.takes_movement else self._others[::2], _MORE[0])

    def _hits(self, which: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these training images the network with exact products classifies correctly."""
        if not len(which):
            return np.zeros(0, dtype=np.bool_)
        return Inference(self.base).correct(self.training.taken(which, self.training.name))

    @property
    def _first_judges(self) -> NDArray[np.int64]:
        return np.flatnonzero(self._places == 1)

    @cached_property
    def _first_hits(self) -> NDArray[np.bool_]:
        return self._hits(self._first_judges)

    @cached_property
    def _judging_more(self) -> NDArray[np.int64]:
        """Those of the others that judge, too, where the network does not take moved images."""
        if self.takes_movement:
            return np.arange(0)
        others = np.setdiff1d(self._others, self._teaching_more)
        count = min(_MOVED, len(others))
        return others[np.arange(count) * len(others) // max(1, count)]

    @cached_property
    def _moved_judges(self) -> DataSet:
        some = self.training.taken(_thinned(np.arange(len(self.training)), _MOVED), self.training.name)
        return DataSet(f"{some.name}, moved", moved(some.images, _SEED), some.labels)

    @cached_property
    def _moved_hits(self) -> NDArray[np.bool_]:
        return Inference(self.base).correct(self._moved_judges)


def _thinned(some: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """At most so many of them: every n-th, from the first on."""
    return some[:: max(1, len(some) // most)][:most]


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
