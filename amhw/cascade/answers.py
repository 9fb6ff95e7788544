"""What a network answers: the class of each image, and the margin by which it won.

Cascades are judged on many moved and distorted copies of the training images. Only an image in a hundred decides
about a threshold, and the best of many pairs is chosen: on a few thousand images that would mostly be luck.
"""

import base64
import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amhw.datasets import DataSet
from amhw.documents import Record
from amhw.network.inference import Inference
from amhw.network.margins import margins
from amhw.network.quantised import QuantisedNetwork
from amhw.results import Task
from amhw.stages.content import images_at, packed, unpacked
from amhw.stages.keys import Stage
from amhw.stages.problem import Hashes, Loaded, Problem, moved, unchanged
from amhw.table import ProductTable

_JUDGING = 20_000
"""Images that cascades are judged on, about: 0.01 points are two of them."""

_COPIES = 8
"""Of a training image at most: more say little more."""

_SEED = 2027
"""Of the first copies' movements; not that of the images by which networks are chosen."""


@functools.lru_cache(maxsize=2)
def judging(loaded: Loaded) -> DataSet:
    """Moved and distorted training images, each training image about equally often; before them the images themselves
    where the network does not take movements (`amhw.stages.problem.Loaded.takes_movement`)."""
    some = _some(loaded)
    copies = min(max(1, _JUDGING // len(some)), _COPIES)
    images = [moved(some.images, _SEED + copy) for copy in range(copies)]
    if not loaded.takes_movement:
        images.insert(0, some.images)
    return DataSet(f"{some.name}, moved", np.concatenate(images), np.tile(some.labels, len(images)))


def plain_judges(loaded: Loaded) -> int:
    """So many of them, the first, are images as they were."""
    return 0 if loaded.takes_movement else len(_some(loaded))


def _some(loaded: Loaded) -> DataSet:
    training = loaded.training
    return training.taken(slice(None, None, max(1, len(training) // _JUDGING)), training.name)


@dataclass(frozen=True, eq=False)
class Answers:
    """A network's word on some images, in their order.

    Attributes:
        hits: bool[N], whether each is classified correctly.
        margins: int64[N], the greatest logit less the second, in units of the network's logits; 0 is a tie.
    """

    hits: NDArray[np.bool_]
    margins: NDArray[np.int64]

    @staticmethod
    def of(logits: NDArray[np.integer], labels: NDArray[np.integer]) -> "Answers":
        """Of logits [N, classes]; the class is that of the greatest, the first of equals.

        >>> found = Answers.of(np.array([[5, 9, 2], [4, 4, 1]]), np.array([1, 1]))
        >>> found.hits.tolist(), found.margins.tolist()
        ([True, False], [4, 0])
        """
        return Answers(logits.argmax(axis=1) == labels, margins(logits))


@dataclass(frozen=True)
class StoredAnswers(Record):
    """`Answers` on judging images (`judging`) and on test images, as Base64."""

    judged: tuple[str, str]
    test: tuple[str, str]

    @property
    def answers(self) -> tuple[Answers, Answers]:
        """On judging and on test images."""
        return _read(self.judged), _read(self.test)


def answering(problem: Problem, network: QuantisedNetwork, tables: Mapping[str, ProductTable]) -> Task[StoredAnswers]:
    """Classify the judging and the test images of a problem with a network that has product tables in some layers."""
    loaded = problem.loaded
    inputs = {
        "network": network.sha256,
        "tables": {layer: table.sha256 for layer, table in tables.items()},
        "judging": judging(loaded).sha256,
        "test": loaded.test.sha256,
    }
    return ANSWER.task(inputs, problem, loaded.hashes, loaded.test.sha256, packed(network), dict(tables))


def _answer(
    problem: Problem, hashes: Hashes, test: str, network: str, tables: dict[str, ProductTable]
) -> StoredAnswers:
    inference = Inference(unpacked(network), tables)

    def stored(data: DataSet) -> tuple[str, str]:
        found = Answers.of(inference.logits(data.images), data.labels)
        return _written(found.hits), _written(found.margins)

    return StoredAnswers(stored(judging(unchanged(problem, hashes))), stored(images_at(problem.data_dir, test)))


def _written(array: NDArray[np.generic]) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def _read(texts: tuple[str, str]) -> Answers:
    hits, margins = map(base64.b64decode, texts)
    return Answers(np.frombuffer(hits, np.bool_), np.frombuffer(margins, np.int64))


ANSWER = Stage(
    "answer",
    StoredAnswers,
    _answer,
    given=("amhw.stages.content", "amhw.multiplier", "amhw.datasets", "amhw.network.models"),
)
