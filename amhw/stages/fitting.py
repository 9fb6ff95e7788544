"""The stage *fit*: the network that goes with some multipliers, its weights remapped."""

from collections.abc import Mapping
from dataclasses import dataclass

from amhw.documents import Record
from amhw.remap.fit import fit
from amhw.results import Task
from amhw.stages.content import packed
from amhw.stages.keys import Stage
from amhw.stages.problem import Hashes, Problem, unchanged
from amhw.table import ProductTable


@dataclass(frozen=True)
class FittedNetwork(Record):
    """A network made for some multipliers and how good it is, by training images.

    Attributes:
        network: see `amhw.stages.content.unpacked`.
        divergence: from the teacher, see `amhw.remap.fit.Judge`.
        training_loss: the share of the judging images that are lost against exact products, as
            `amhw.stages.problem.Loaded.training_loss` counts it.
        training_standard_error: that share's standard error.
        errors: relative error of each layer's pre-activations; empty where they were not measured.
    """

    network: str
    divergence: float
    training_loss: float
    training_standard_error: float
    errors: dict[str, float]


def fitting(problem: Problem, tables: Mapping[str, ProductTable]) -> Task[FittedNetwork]:
    """Fit a problem's network to product tables, by layer."""
    return FIT.task(inputs_of(problem, tables), problem, problem.loaded.hashes, dict(tables))


def inputs_of(problem: Problem, tables: Mapping[str, ProductTable]) -> dict[str, object]:
    """What a fitted network depends on beside the way that it is made."""
    return {**vars(problem.loaded.hashes), "tables": {layer: table.sha256 for layer, table in tables.items()}}


def _fit(problem: Problem, hashes: Hashes, tables: dict[str, ProductTable]) -> FittedNetwork:
    loaded = unchanged(problem, hashes)
    found = fit(loaded.base, tables, loaded.teacher, loaded.judge)
    loss = loaded.training_loss(found.predictions)
    return FittedNetwork(packed(found.network), found.divergence, loss.mean, loss.standard_error, dict(found.errors))


GIVEN = ("amhw.stages.content", "amhw.multiplier", "amhw.datasets", "amhw.network.models")
"""What gives networks, tables and images, whose content is among the inputs."""

FIT = Stage("fit", FittedNetwork, _fit, given=GIVEN)
