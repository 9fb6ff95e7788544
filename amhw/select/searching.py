"""The search as a stage: what it found is stored, so that a selection that is asked again does not search again."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amhw.documents import Record
from amhw.results import Results
from amhw.select.cost import CostModel
from amhw.select.search import Demand, ErrorModel, Scored, search
from amhw.select.space import Candidate, Space, candidate_named
from amhw.stages.keys import Stage


@dataclass(frozen=True)
class Searched(Record):
    """What a search found: name, predicted error, area (µm²) and delay (ps) of each multiplier."""

    found: tuple[tuple[str, float, float, float], ...]


def searched(
    results: Results,
    space: Space,
    demands: tuple[Demand, ...],
    cost: CostModel,
    starts: Sequence[Candidate],
    model: ErrorModel,
    seed: int,
    report: Callable[[int, int], None],
    generations: int,
) -> list[Scored]:
    """`amhw.select.search.search`, or what it found before; it works in this process, which reports how far it is."""
    task = _SEARCH.task(
        {
            "space": vars(space.operands),
            "demands": [[_digest(each.activations), _digest(each.weights), each.share] for each in demands],
            "cost": [_digest(cost.area), _digest(cost.delay)],
            "starts": [multiplier.name for multiplier in starts],
            "model": _digest(model.weights),
            "seed": seed if generations else None,
            "generations": generations,
        }
    )
    record = results.get(task)
    if record is None:
        record = _search(space, demands, cost, starts, model, seed, report, generations)
        results.put(task, record)
    return [Scored(candidate_named(name), *figures) for name, *figures in record.found]


def _search(
    space: Space,
    demands: tuple[Demand, ...],
    cost: CostModel,
    starts: Sequence[Candidate],
    model: ErrorModel,
    seed: int,
    report: Callable[[int, int], None],
    generations: int,
) -> Searched:
    found = search(space, demands, cost, starts, model=model, seed=seed, report=report, generations=generations)
    return Searched(tuple((each.multiplier.name, each.error, each.area, each.delay) for each in found))


_SEARCH = Stage("search", Searched, _search)


def _digest(array: NDArray[np.float64]) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()
