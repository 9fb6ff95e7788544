"""The stage *score*: which test images a network classifies correctly with product tables in some of its layers."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amhw.datasets import DataSet
from amhw.documents import Count, Record
from amhw.network.inference import Inference
from amhw.network.quantised import QuantisedNetwork
from amhw.results import Task
from amhw.stages.content import images_at, packed, unpacked
from amhw.stages.keys import Stage
from amhw.table import ProductTable


@dataclass(frozen=True)
class Score(Record):
    """Which images are classified correctly.

    Attributes:
        images: how many there are.
        bits: a bit for each, eight a byte, as Base64.
    """

    images: Count
    bits: str

    @staticmethod
    def of(hits: NDArray[np.bool_]) -> "Score":
        """Of a vector of hits.

        >>> Score.of(np.array([True, False, True])).accuracy
        0.6666666666666666
        """
        return Score(len(hits), base64.b64encode(np.packbits(hits).tobytes()).decode())

    @property
    def hits(self) -> NDArray[np.bool_]:
        """Whether each image is classified correctly."""
        packed_bits = np.frombuffer(base64.b64decode(self.bits), np.uint8)
        return np.unpackbits(packed_bits, count=self.images).astype(bool)

    @property
    def correct(self) -> int:
        """How many are."""
        return int(self.hits.sum())

    @property
    def accuracy(self) -> float:
        """Their share."""
        return self.correct / self.images


def scoring(
    network: QuantisedNetwork, tables: Mapping[str, ProductTable], path: str | None, images: DataSet
) -> Task[Score]:
    """Classify the test images of a data set.

    Args:
        tables: by layer; the others multiply exactly.
        path: of the data set; None for the packaged MNIST.
        images: its test images.
    """
    inputs = {
        "network": network.sha256,
        "tables": {layer: table.sha256 for layer, table in tables.items()},
        "images": images.sha256,
    }
    return SCORE.task(inputs, packed(network), dict(tables), path, images.sha256)


def _score(network: str, tables: dict[str, ProductTable], path: str | None, images: str) -> Score:
    return Score.of(Inference(unpacked(network), tables).correct(images_at(path, images)))


# A network, a table and a set of images are inputs by their content, however they were made.
GIVEN = ("amhw.stages.content", "amhw.multiplier", "amhw.datasets")
SCORE = Stage("score", Score, _score, given=GIVEN)
