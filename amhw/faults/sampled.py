"""A sampled campaign as tasks, and what it says of all faults."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from amhw.documents import Document
from amhw.faults.campaign import GIVEN, Campaign, Counted, Images, counted, same_tables
from amhw.faults.incremental import Words
from amhw.faults.memories import memories
from amhw.faults.models import MODELS
from amhw.faults.outcome import Counts
from amhw.faults.sampling import Estimate, Stratum, drawn, estimate, sample_size, strata, stratum_estimate
from amhw.faults.summary import Subject, critical
from amhw.results import Task
from amhw.stages.content import packed, unpacked
from amhw.stages.keys import Stage
from amhw.table import ProductTable


@dataclass(frozen=True)
class Sampled(Document):
    """What `amhw faults --margin` writes: shares of critical faults, those that change the class of an image.

    Attributes:
        subject: what the campaign is of.
        model: of faults.
        margin, confidence, seed: as asked for.
        whole: of all faults.
        strata: one a bit and memory, with its interval.
    """

    kind = "sampled fault campaign"
    schema = 1
    called = "sampled fault campaign"
    written_by = "amhw faults --margin"

    subject: Subject
    model: str
    margin: float
    confidence: float
    seed: int
    whole: Estimate
    strata: tuple[tuple[Stratum, Estimate], ...]


def sample(campaign: Campaign, margin: float, confidence: float, seed: int) -> dict[Stratum, np.ndarray]:
    """Words of each stratum of a campaign's first model.

    Raises:
        Refusal: margin or confidence is none.
    """
    parts = strata(campaign.memories, MODELS[campaign.models[0]])
    size = sample_size(sum(part.faults for part in parts), margin, confidence)
    return drawn(parts, size, np.random.default_rng(seed))


def tasks(campaign: Campaign, words: Mapping[Stratum, np.ndarray]) -> dict[Stratum, Task[Counted]]:
    """One a stratum."""
    model = campaign.models[0]
    arguments = packed(campaign.network), dict(campaign.tables), campaign.images, model
    return {
        part: SAMPLE.task(
            {**campaign.inputs, "model": model, "memory": part.memory, "bit": part.bit, "words": chosen.tolist()},
            *(*arguments, part, chosen),
        )
        for part, chosen in words.items()
    }


def said(
    campaign: Campaign, found: Mapping[Stratum, Counts], margin: float, confidence: float, seed: int, subject: Subject
) -> Sampled:
    """What the tasks' counts say of all faults."""
    seen = {part: (int(critical(counts).sum()), len(counts)) for part, counts in found.items()}
    each = tuple((part, stratum_estimate(hits, tried, part.faults, confidence)) for part, (hits, tried) in seen.items())
    return Sampled(subject, campaign.models[0], margin, confidence, seed, estimate(seen, confidence), each)


def _sampled(
    network: str, tables: dict[str, ProductTable], images: Images, model: str, part: Stratum, words: np.ndarray
) -> Counted:
    quantised = unpacked(network)
    [memory] = memories(quantised, [part.memory])
    values = memory.faulty(MODELS[model])[words, part.bit]
    return Counted.of(counted(quantised, same_tables(tables), images, memory, Words(words, values)))


SAMPLE = Stage("faults-sampled", Counted, _sampled, given=GIVEN, tools=("numba",))
"""Networks, tables and images are inputs by their content."""
