"""What a campaign found, in figures: by memory and bit, and of all.

With F faults and I images each, a group of faults has F·I *trials*, one an image classified with one fault in place.

    changed   trials whose class is another than without the fault, of all trials
    harm      trials that were right and are wrong, less those that were wrong and are right, of all trials: the mean
              loss of accuracy
    silent    trials with all logits unchanged, of all trials
    critical  faults that change the class of one image at least, of all faults
    worst     the greatest loss of accuracy that one fault makes
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import msgspec
import numpy as np

from amhw.documents import Count, Document, Share
from amhw.faults.outcome import IDENTICAL, RIGHT_TO_WRONG, SAME_CLASS, STATUSES, WRONG_TO_RIGHT, Counts

Bit = Annotated[int, msgspec.Meta(ge=0, lt=64)]
"""Which of a word's bits."""


@dataclass(frozen=True)
class Cell:
    """Faults of one model in one bit of one memory.

    Attributes:
        model, layer, kind: of fault, and of memory.
        bit: the lowest of the location's.
        faults: how many.
        identical, same_class, right_to_wrong, wrong_to_right, wrong_to_wrong: trials, see `amhw.faults.outcome`.
        critical: faults.
        worst: images, right less wrong.
    """

    model: str
    layer: str
    kind: str
    bit: Bit
    faults: Count
    identical: Count
    same_class: Count
    right_to_wrong: Count
    wrong_to_right: Count
    wrong_to_wrong: Count
    critical: Count
    worst: int

    @staticmethod
    def of(model: str, layer: str, kind: str, bit: int, counts: Counts) -> "Cell":
        """Of the counts of its faults: int64[F, 5]."""
        harm = counts[:, RIGHT_TO_WRONG] - counts[:, WRONG_TO_RIGHT]
        identical, same, right_to_wrong, wrong_to_right, wrong_to_wrong = (int(k) for k in counts.sum(axis=0))
        return Cell(
            *(model, layer, kind, bit, len(counts)),
            *(identical, same, right_to_wrong, wrong_to_right, wrong_to_wrong),
            critical=int(critical(counts).sum()),
            worst=int(harm.max(initial=0)),
        )

    @property
    def trials(self) -> Counts:
        """By status: int64[5]."""
        return np.array(
            [self.identical, self.same_class, self.right_to_wrong, self.wrong_to_right, self.wrong_to_wrong]
        )


def critical(counts: Counts) -> np.ndarray:
    """Whether each fault changes the class of an image: bool[F]."""
    changed: np.ndarray = counts[:, RIGHT_TO_WRONG:].sum(axis=1)
    return changed > 0


@dataclass(frozen=True)
class Figures:
    """Of a group of faults; the module's docstring has the definitions."""

    faults: Count
    changed: Share
    harm: float
    silent: Share
    critical: Share
    worst: float

    @staticmethod
    def of(cells: Iterable[Cell], images: int) -> "Figures":
        """Of some cells together."""
        cells = list(cells)
        faults = sum(cell.faults for cell in cells)
        trials = sum((cell.trials for cell in cells), np.zeros(STATUSES, np.int64)) / max(faults * images, 1)
        return Figures(
            faults,
            float(1 - trials[IDENTICAL] - trials[SAME_CLASS]) if faults else 0.0,
            float(trials[RIGHT_TO_WRONG] - trials[WRONG_TO_RIGHT]),
            float(trials[IDENTICAL]),
            sum(cell.critical for cell in cells) / max(faults, 1),
            max((cell.worst for cell in cells), default=0) / images,
        )


@dataclass(frozen=True)
class Subject:
    """What a campaign is of; one with another subject is another campaign.

    Attributes:
        network: its name.
        network_sha256: its file's.
        multipliers: of each layer whose products are not exact: name and the hash of the table.
        data: what the images are called, and their hash.
        images: first, and the one after the last.
    """

    network: str
    network_sha256: str
    multipliers: dict[str, tuple[str, str]]
    data: tuple[str, str]
    images: tuple[Count, Count]

    def __post_init__(self) -> None:
        if self.images[0] >= self.images[1]:
            raise ValueError(f"no images: {self.images[0]} to {self.images[1]}")


@dataclass(frozen=True)
class Begun(Document):
    """What `amhw faults` writes first, so that it goes on with the same campaign or refuses."""

    kind = "begun fault campaign"
    schema = 1
    called = "begun fault campaign"
    written_by = "amhw faults"

    subject: Subject


@dataclass(frozen=True)
class FaultRun(Document):
    """What `amhw faults` writes beside the tables.

    Attributes:
        subject: network, multipliers, images.
        correct: images that are classified correctly without a fault.
        cells: by model, memory and bit.
        totals: by model.
    """

    kind = "fault campaign"
    schema = 1
    called = "fault campaign"
    written_by = "amhw faults"

    subject: Subject
    correct: Count
    cells: tuple[Cell, ...]
    totals: dict[str, Figures]

    @property
    def images(self) -> int:
        """How many."""
        return self.subject.images[1] - self.subject.images[0]

    def figures(self, model: str, layer: str | None = None, kind: str | None = None, bit: int | None = None) -> Figures:
        """Of the cells of a model in a layer, of a kind, of a bit; None for any."""
        wanted = (
            cell
            for cell in self.cells
            if cell.model == model
            and layer in (None, cell.layer)
            and kind in (None, cell.kind)
            and bit in (None, cell.bit)
        )
        return Figures.of(wanted, self.images)
