"""The stage *fine-tune*: a fitted network trained further through its multipliers."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch

from amhw.network.quantised import QuantisedNetwork
from amhw.nn import TrainingRecipe, fine_tune
from amhw.nn.finetune import Diverged
from amhw.results import Task
from amhw.stages.content import packed, unpacked
from amhw.stages.fitting import GIVEN, FittedNetwork, inputs_of
from amhw.stages.keys import Stage
from amhw.stages.problem import Hashes, Problem, unchanged
from amhw.table import ProductTable

SCHEDULE = TrainingRecipe(epochs=24)
"""The training images of a problem are a slice of the whole set: more passes than `amhw train` makes."""


def fine_tuning(
    problem: Problem, network: QuantisedNetwork, tables: Mapping[str, ProductTable], recipe: TrainingRecipe = SCHEDULE
) -> Task[FittedNetwork]:
    """Train `network` on the problem's training images through the product tables, the float network teaching."""
    inputs = {**inputs_of(problem, tables), "network": network.sha256, "recipe": vars(recipe)}
    return FINE_TUNE.task(inputs, problem, problem.loaded.hashes, packed(network), dict(tables), recipe)


def _fine_tune(
    problem: Problem, hashes: Hashes, network: str, tables: dict[str, ProductTable], recipe: TrainingRecipe
) -> FittedNetwork:
    loaded = unchanged(problem, hashes)
    with _one_thread():
        try:
            tuned = fine_tune(unpacked(network), tables, loaded.training, recipe, teacher=loaded.network)
        except Diverged:
            # Remapping may leave scales from which no training starts: an AND gate's network has weights of thousands.
            tuned = fine_tune(loaded.network, tables, loaded.training, recipe)
    divergence, logits = loaded.judge.judged(tuned, tables)
    loss = loaded.training_loss(logits.argmax(axis=1))
    return FittedNetwork(packed(tuned), divergence, loss.mean, loss.standard_error, {})


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums of floats in one order, whoever's worker this is: with other threads the weights come out different."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


FINE_TUNE = Stage("fine-tune", FittedNetwork, _fine_tune, given=GIVEN)
