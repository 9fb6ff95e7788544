"""Which multipliers are worth synthesising: predicted error against predicted cost.

The predicted error of a multiplier, with its weights remapped, is that of single products over a layer's activations
a and real-valued weights w (both in code units). With column d of the product table T,

    ε(d, w) = Var_a(s·T[a, d] − w·a) = s²·Var(T_d) − 2s·w·Cov(T_d, a) + w²·Var(a),

the mean error belonging into the bias; every weight takes its best column, and s the best of a grid. What the
activations lose, because the multiplier cannot tell some of their codes apart, no choice of weights can win
back: f = E[Var(a | what is read)]/Var(a). The rest is shared out among the taps by joint remapping
(`amhw.select.remap`), which leaves about the part κ = ½ of it. The score is

    √(Σ over layers of n·(f + κ·(E_w[min_d ε]/E_w[w²·Var(a)] − f))),    n: the layer's share of the multiplications.

It costs less than a millisecond and holds for any product table.

The search itself is NSGA-II (Deb, Pratap, Agarwal, Meyarivan, "A fast and elitist multiobjective genetic algorithm",
2002), from pymoo, on error, area and delay.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amhw.refusal import Refusal
from amhw.select.cost import CostModel
from amhw.select.space import Candidate, Space
from amhw.select.statistics import LayerStatistics
from amhw.table import code_values

_UNITS = np.geomspace(0.35, 2.0, 14)
_WEIGHTS = 64
_LEFT = 0.5


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


def predicted_error(multiplier: Candidate, demands: Iterable[Demand]) -> float:
    """The score above; 1 is as bad as no product at all."""
    used_a = sum(1 << i for i, row in enumerate(multiplier.rows) if row)
    used_b = int(np.bitwise_or.reduce(np.array(multiplier.rows)))
    codes_a = np.arange(1 << multiplier.width_a)
    rounding = (used_a & -used_a) >> 1
    classes, index = np.unique(np.minimum(codes_a + rounding, len(codes_a) - 1) & used_a, return_inverse=True)
    codes_b = np.unique(np.arange(1 << multiplier.width_b) & used_b)
    values_a = code_values(multiplier.width_a, multiplier.signed_a)
    values_b = code_values(multiplier.width_b, multiplier.signed_b)
    table = multiplier.golden(values_a[classes][:, None], values_b[codes_b][None, :]).astype(np.float64)
    total = 0.0
    for demand in demands:
        chance = np.bincount(index, demand.activations, minlength=len(classes))
        first = np.bincount(index, demand.activations * values_a, minlength=len(classes))
        mean = float(first.sum())
        variance = float(demand.activations @ (values_a - mean) ** 2)
        means = chance @ table
        spread = chance @ table**2 - means**2
        together = first @ table - mean * means
        costs = (
            _UNITS[:, None, None] ** 2 * spread[None, :, None]
            - 2 * _UNITS[:, None, None] * together[None, :, None] * demand.weights[None, None, :]
        )
        power = float((demand.weights**2).mean()) * variance
        alone = 1 + float(costs.min(axis=1).mean(axis=1).min()) / power
        seen = float((first**2 / np.maximum(chance, 1e-300)).sum()) - mean**2
        lost = 1 - seen / variance
        total += demand.share * (lost + _LEFT * max(0.0, alone - lost))
    return float(np.sqrt(max(total, 0.0)))


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
    population: int = 96,
    generations: int = 40,
    seed: int = 0,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> list[Scored]:
    """Every multiplier that the evolution met which no other met one beats in error, area and delay."""
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.problem import ElementwiseProblem
    from pymoo.operators.crossover.ux import UniformCrossover
    from pymoo.operators.mutation.bitflip import BitflipMutation
    from pymoo.optimize import minimize

    met: dict[str, Scored] = {}

    def score(multiplier: Candidate) -> Scored:
        if multiplier.name not in met:
            met[multiplier.name] = Scored(multiplier, predicted_error(multiplier, demands), *cost.predict(multiplier))
        return met[multiplier.name]

    class Choice(ElementwiseProblem):
        def __init__(self) -> None:
            super().__init__(n_var=space.size, n_obj=3, xl=0, xu=1, vtype=bool)

        def _evaluate(self, x: np.ndarray, out: dict[str, object], *args: object, **kwargs: object) -> None:
            try:
                found = score(space.multiplier(x.astype(bool)))
            except Refusal:  # nothing kept
                out["F"] = [2.0, 1e9, 1e9]
                return
            out["F"] = [found.error, found.area, found.delay]

    generator = np.random.default_rng(seed)
    points = [space.point(multiplier) for multiplier in seeds]
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
    for multiplier in seeds:
        score(multiplier)
    return front(list(met.values()))


def front(scored: list[Scored]) -> list[Scored]:
    """Those that no other beats or equals in all three figures, least error first."""
    figures = np.array([[s.error, s.area, s.delay] for s in scored])
    order = np.lexsort(figures.T[::-1])
    kept: list[int] = []
    for k in order:
        if not kept or not (figures[kept] <= figures[k] + 1e-12).all(axis=1).any():
            kept.append(int(k))
    return [scored[k] for k in kept]
