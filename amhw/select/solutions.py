"""Solutions: multipliers with the networks made for them, their costs, and what of them is worth looking at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from amhw.families.masked import Masked
from amhw.families.or_compressed import OrCompressed
from amhw.multiplier import Multiplier, parse
from amhw.pareto import nondominated
from amhw.stages.fitting import FittedNetwork
from amhw.stages.loss import Loss
from amhw.stages.synthesis import Implementation, balanced, smallest

Choice = tuple[tuple[str, str], ...]
"""Which multiplier each layer has: (layer, name)."""


@dataclass(frozen=True)
class Baseline:
    """The best exact multipliers of the flow: the smallest and the fastest netlist over all trees, adders and some
    recipes that restructure, as all of a selection's figures are."""

    smallest: Implementation
    fastest: Implementation

    def area_ratio(self, netlist: "Implementation | SharedCost") -> float:
        return netlist.area_um2 / self.smallest.area_um2

    def delay_ratio(self, netlist: "Implementation | SharedCost") -> float:
        return netlist.delay_ps / self.fastest.delay_ps


@dataclass(frozen=True)
class SharedCost:
    """What the multiplier costs that can be each layer's: one netlist's area and delay, and its energy for an image's
    multiplications in all its layers, ÷ that of the exact multiplier that takes the least."""

    area_um2: float
    delay_ps: float
    energy_ratio: float


@dataclass(frozen=True, eq=False)
class Solution:
    """A multiplier (or one for each layer) with its network and all its figures.

    Attributes:
        multipliers: of every layer that it serves.
        implementations: of all its layers' multipliers together (`joined`), none dominated by another in area and
            delay, and `own` where there is one; the smallest first.
        predicted: the search's score before anything was measured, lower is better.
        fitted: the network, and how good it is by training images.
        fine_tuned: whether the network was trained after its weights had been remapped.
        accuracy, loss: on the test images; None before they are asked for.
        energies: of an image's multiplications in all its layers, ÷ that of the exact multiplier that takes the least;
            of those implementations of which it has been counted.
        own: where layers have different multipliers, the implementation in which each has its own netlist with the
            least area × delay. Others may be smaller or faster together; it takes little energy.
        shared: where layers have different multipliers, and one can be each of them and has been looked at.
    """

    multipliers: Choice
    implementations: tuple[Implementation, ...]
    predicted: float
    fitted: FittedNetwork
    fine_tuned: bool = False
    accuracy: float | None = None
    loss: Loss | None = None
    energies: Mapping[Implementation, float] = field(default_factory=dict)
    own: Implementation | None = None
    shared: SharedCost | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The different multipliers' names."""
        return tuple(dict.fromkeys(name for _, name in self.multipliers))

    @property
    def name(self) -> str:
        """One name, or layer=name for each layer."""
        names = self.names
        return names[0] if len(names) == 1 else ",".join(f"{layer}={name}" for layer, name in self.multipliers)

    @property
    def kept(self) -> int:
        """Partial products kept (the most over layers)."""
        return max(kept_by(parse(name)) for name in self.names)

    @property
    def reduced_precision(self) -> bool:
        """Whether every layer's multiplier is a plain reduced precision."""
        return all(is_reduced_precision(parse(name)) for name in self.names)

    @property
    def divergence(self) -> float:
        """Of the network from the teacher, on training images."""
        return self.fitted.divergence

    @property
    def training_loss(self) -> float:
        """The share of the judging images that the network loses, see `FittedNetwork`."""
        return self.fitted.training_loss

    @property
    def within_its_error(self) -> bool:
        """Whether the judging images cannot tell its loss from none: it is no more than its standard error."""
        return self.training_loss <= self.fitted.training_standard_error

    @property
    def smallest(self) -> Implementation:
        """The implementation with the least area."""
        return self.implementations[0]

    @property
    def balanced(self) -> Implementation:
        """The implementation with the least area × delay, or in which each layer's has it."""
        return balanced(self.implementations) if self.own is None else self.own

    def energy_ratio(self, implementation: Implementation) -> float | None:
        """Of an implementation, where it has been counted."""
        return self.energies.get(implementation)


def pareto_front(solutions: Sequence[Solution]) -> list[Solution]:
    """The solutions with an implementation that no other solution's dominates in divergence, area and delay; the
    smallest first."""
    rows = [(solution, implementation) for solution in solutions for implementation in solution.implementations]
    costs = [(solution.divergence, each.area_um2, each.delay_ps) for solution, each in rows]
    best = {id(rows[k][0]) for k in nondominated(np.reshape(costs, (-1, 3)))}
    return sorted((s for s in solutions if id(s) in best), key=lambda s: s.smallest.area_um2)


def near_front(solutions: Sequence[Solution], near: float) -> list[Solution]:
    """The solutions with an implementation that no other solution's beats by a factor 1 + `near` in area and delay,
    no worse in divergence and loss: what the front may consist of when area and delay are known better."""
    rows = [(solution, implementation) for solution in solutions for implementation in solution.implementations]
    quality = np.reshape([(solution.divergence, solution.training_loss) for solution, _ in rows], (-1, 2))
    cost = np.reshape([(each.area_um2, each.delay_ps) for _, each in rows], (-1, 2))
    no_worse = (quality[:, None] <= quality).all(axis=2)  # [by, of]
    smaller = ((1 + near) * cost[:, None] < cost).all(axis=2)
    best = {id(rows[k][0]) for k in np.flatnonzero(~(no_worse & smaller).any(axis=0))}
    return [solution for solution in solutions if id(solution) in best]


def best_of(implementations: Sequence[Implementation]) -> list[Implementation]:
    """Those that no other dominates or equals in area and delay, the smallest first."""
    costs = np.reshape([(each.area_um2, each.delay_ps) for each in implementations], (-1, 2))
    return sorted((implementations[k] for k in nondominated(costs, distinct=True)), key=lambda i: i.area_um2)


def side_by_side(netlists: Sequence[Sequence[Implementation]], shares: Sequence[float]) -> tuple[Implementation, ...]:
    """The implementations by an array for each layer (`joined`) that no other dominates in area and delay, the smallest
    first: within each delay that one of the netlists has, every layer takes its smallest.

    Args:
        netlists: those of each layer's multiplier.
    """
    found = []
    for limit in sorted({each.delay_ps for some in netlists for each in some}):
        within = [[each for each in some if each.delay_ps <= limit] for some in netlists]
        if all(within):
            found.append(joined([smallest(some) for some in within], shares))
    return tuple(best_of(found))


def joined(netlists: Sequence[Implementation], shares: Sequence[float]) -> Implementation:
    """An array of each layer's netlist, as large as the layer's share of the multiplications: area is the mean weighted
    with the shares, delay the greatest."""
    area = sum(each.area_um2 * share for each, share in zip(netlists, shares, strict=True))
    designs, recipes = "+".join(i.design for i in netlists), "+".join(i.recipe for i in netlists)
    return Implementation(designs, recipes, area, max(each.delay_ps for each in netlists))


def kept_by(multiplier: Multiplier) -> int:
    """How many partial products a multiplier keeps."""
    assert isinstance(multiplier, Masked | OrCompressed)
    return multiplier.kept


def is_reduced_precision(multiplier: Multiplier) -> bool:
    """Whether a mask is a plain reduced precision: equal rows of the top bits of b for the top bits of a."""
    if not isinstance(multiplier, Masked):
        return False
    rows = [row for row in multiplier.rows if row]
    first = multiplier.width_a - len(rows)
    full = 1 << multiplier.width_b
    return not any(multiplier.rows[:first]) and len(set(rows)) == 1 and (full - rows[0]) & (full - rows[0] - 1) == 0
