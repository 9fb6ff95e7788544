"""Which multipliers are worth synthesising: predicted error against predicted cost.

The predicted error of a multiplier, with its weights remapped, is that of single products over a layer's activations
and real-valued weights (`amhw.remap.product_error`): f, what the activations lose because the multiplier cannot tell
some of their codes apart, and the rest r, which is shared out among the taps by joint remapping
(`amhw.remap.reconstruction`), which leaves a part of it. The score is

    √(Σ over layers of β·f + γ·r).

Before anything has been measured, β is the layer's share of the multiplications and γ = β/2. As soon as some networks
have been fitted (`amhw.remap.fit`) the weights are those with which β·f + γ·r comes nearest to their divergence from
the teacher on training images (`ErrorModel.fit`), so that nothing is set by hand for one network or data set.

It costs less than a millisecond and holds for any product table.

The search itself is NSGA-II (Deb, Pratap, Agarwal, Meyarivan, "A fast and elitist multiobjective genetic algorithm",
2002), from pymoo, on error, area and delay.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from amhw.pareto import nondominated
from amhw.remap.product_error import product_error
from amhw.select.cost import CostModel
from amhw.select.space import Candidate, Space
from amhw.select.statistics import LayerStatistics
from amhw.table import code_values

_UNITS = np.geomspace(0.35, 2.0, 14)
_WEIGHTS = 64
_LEFT = 0.5
_PRIOR = 0.3


@dataclass(frozen=True, eq=False)
class Demand:
    """What a layer asks of its multiplier.

    Attributes:
        activations: float64[2^wa], how often each code occurs.
        weights: float64[W], quantiles of the real-valued weights in units of a weight code.
        share: the layer's share of all multiplications.
    """

    activations: NDArray[np.float64]
    weights: NDArray[np.float64]
    share: float = 1.0

    @staticmethod
    def of(statistics: LayerStatistics, weights: np.ndarray, weight_scale: float, share: float = 1.0) -> "Demand":
        """The demand of a layer with these real-valued weights."""
        quantiles = np.quantile(weights / weight_scale, (np.arange(_WEIGHTS) + 0.5) / _WEIGHTS)
        return Demand(statistics.operands.probabilities_a, quantiles, share)


@dataclass(frozen=True, eq=False)
class ErrorModel:
    """What each layer's two kinds of error are worth.

    Attributes:
        weights: float64[layers, 2], β and γ above.
    """

    weights: NDArray[np.float64]

    @staticmethod
    def prior(demands: Iterable[Demand]) -> "ErrorModel":
        """The weights before anything has been measured: 1 is then as bad as no product at all."""
        return ErrorModel(np.array([[demand.share, _LEFT * demand.share] for demand in demands]))

    def fit(self, parts: NDArray[np.float64], divergences: NDArray[np.float64]) -> "ErrorModel":
        """The non-negative weights that are nearest to measured divergences, in proportion; drawn towards these ones.

        Args:
            parts: float64[N, layers, 2], `error_parts` of the measured multipliers.
            divergences: float64[N], positive.
        """
        scale = float(np.median(divergences / self.scores(parts) ** 2))
        start = scale * self.weights.ravel()
        rows = np.concatenate([parts.reshape(len(parts), -1) / divergences[:, None], _PRIOR * np.diag(1 / start)])
        wanted = np.concatenate([np.ones(len(parts)), np.full(start.size, _PRIOR)])
        return ErrorModel(nnls(rows, wanted)[0].reshape(self.weights.shape))

    def scores(self, parts: NDArray[np.float64]) -> NDArray[np.float64]:
        """The score of each of parts[..., layers, 2]."""
        return np.asarray(np.sqrt((parts * self.weights).sum(axis=(-2, -1))))


def predicted_error(multiplier: Candidate, demands: Sequence[Demand], model: ErrorModel | None = None) -> float:
    """The score above, by default with the weights that hold before anything has been measured."""
    model = ErrorModel.prior(demands) if model is None else model
    return float(model.scores(error_parts(multiplier, demands)))


def error_parts(multiplier: Candidate, demands: Sequence[Demand]) -> NDArray[np.float64]:
    """f and r of each layer, float64[layers, 2]."""
    used_a = sum(1 << i for i, row in enumerate(multiplier.rows) if row)
    used_b = int(np.bitwise_or.reduce(np.array(multiplier.rows)))
    codes_a = np.arange(1 << multiplier.width_a)
    rounding = (used_a & -used_a) >> 1
    greatest = (len(codes_a) >> multiplier.signed_a) - 1
    rounded = np.where(codes_a <= greatest, np.minimum(codes_a + rounding, greatest), codes_a)
    classes, index = np.unique(rounded & used_a, return_inverse=True)
    codes_b = np.unique(np.arange(1 << multiplier.width_b) & used_b)
    values_a = code_values(multiplier.width_a, multiplier.signed_a)
    values_b = code_values(multiplier.width_b, multiplier.signed_b)
    table = multiplier.golden(values_a[classes][:, None], values_b[codes_b][None, :]).astype(np.float64)
    parts = np.zeros((len(demands), 2))
    for layer, demand in enumerate(demands):
        chance = np.bincount(index, demand.activations, minlength=len(classes))
        first = np.bincount(index, demand.activations * values_a, minlength=len(classes))
        mean = float(first.sum())
        variance = float(demand.activations @ (values_a - mean) ** 2)
        parts[layer] = product_error(chance, first, variance, table, demand.weights, _UNITS)
    return parts


@dataclass(frozen=True)
class Scored:
    """A multiplier with its predicted error, area (µm²) and delay (ps)."""

    multiplier: Candidate
    error: float
    area: float
    delay: float


def search(
    space: Space,
    demands: tuple[Demand, ...],
    cost: CostModel,
    seeds: Iterable[Candidate],
    *,
    model: ErrorModel | None = None,
    population: int = 128,
    generations: int = 60,
    seed: int = 0,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> list[Scored]:
    """Every multiplier that the evolution met which no other met one beats in error, area and delay.

    It begins with those of `seeds` that no other of them beats, and with others that differ from these in a few places.
    Without `generations` it is the former that are found.
    """
    met: dict[str, Scored] = {}

    def score(multiplier: Candidate) -> Scored:
        if multiplier.name not in met:
            error = predicted_error(multiplier, demands, model)
            met[multiplier.name] = Scored(multiplier, error, *cost.predict(multiplier))
        return met[multiplier.name]

    best = front([score(multiplier) for multiplier in seeds])
    if not generations:
        return best

    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.problem import ElementwiseProblem
    from pymoo.operators.crossover.ux import UniformCrossover
    from pymoo.operators.mutation.bitflip import BitflipMutation
    from pymoo.optimize import minimize

    class Choice(ElementwiseProblem):
        def __init__(self) -> None:
            super().__init__(n_var=space.size, n_obj=3, xl=0, xu=1, vtype=bool)

        def _evaluate(self, x: np.ndarray, out: dict[str, object], *args: object, **kwargs: object) -> None:
            point = x.astype(bool)
            if not space.keeps_something(point):
                out["F"] = [2.0, 1e9, 1e9]
                return
            found = score(space.multiplier(point))
            out["F"] = [found.error, found.area, found.delay]

    generator = np.random.default_rng(seed)
    points = [space.point(each.multiplier) for each in best]
    start = [points[k] for k in generator.permutation(len(points))[:population]]
    while points and len(start) < population:
        point = points[int(generator.integers(len(points)))].copy()
        point ^= generator.random(space.size) < 2 / space.size
        start.append(point)
    done = [0]

    def after(algorithm: object) -> None:
        done[0] += 1
        report(done[0], generations)

    minimize(
        Choice(),
        NSGA2(
            pop_size=population,
            sampling=np.array(start),
            crossover=UniformCrossover(),
            mutation=BitflipMutation(prob=1.0, prob_var=1.5 / space.size),
            eliminate_duplicates=True,
        ),
        ("n_gen", generations),
        seed=seed,
        callback=after,
        verbose=False,
    )
    return front(list(met.values()))


def front(scored: list[Scored]) -> list[Scored]:
    """Those that no other dominates or equals in error, area and delay, least error first."""
    best = nondominated([(s.error, s.area, s.delay) for s in scored], distinct=True)
    return sorted((scored[k] for k in best), key=lambda s: (s.error, s.area, s.delay))
