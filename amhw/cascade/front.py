"""Which cascades are worth looking at: all pairs of networks, all thresholds, by energy and loss on judging images."""

from collections.abc import Sequence

import numpy as np

from amhw.cascade.answers import Answers
from amhw.cascade.threshold import Cascade, Curve
from amhw.pareto import nondominated


def front(answers: Sequence[Answers], energies: Sequence[float], exact: int) -> list[Cascade]:
    """The cascades that no other dominates in energy and loss, cheapest first.

    A loss below zero counts as zero: that an approximate network is better than the exact one is luck. A single network
    is a cascade whose threshold is 0.

    Args:
        answers: each network's, on the same images.
        energies: each network's for one image.
        exact: index of the network that losses are measured against.
    """
    found = [Cascade(alone, alone, 0) for alone in range(len(answers))]
    costs = [(energies[alone], _loss(answers[exact], answers[alone])) for alone in range(len(answers))]
    for cheap, one in enumerate(answers):
        for better, other in enumerate(answers):
            if energies[better] <= energies[cheap]:
                continue
            curve = Curve.of(answers[exact], one, other)
            losses = np.maximum(curve.losses, 0)
            # Losses fall along the curve and energies rise: of equal losses the first is the cheapest.
            for index in np.unique(losses, return_index=True)[1]:
                if threshold := int(curve.thresholds[index]):
                    found.append(Cascade(cheap, better, threshold))
                    energy = energies[cheap] + float(curve.shares[index]) * energies[better]
                    costs.append((energy, float(losses[index])))
    chosen = nondominated(costs, distinct=True)
    return [found[index] for index in sorted(chosen, key=lambda index: costs[index])]


def _loss(exact: Answers, other: Answers) -> float:
    return max(0.0, float((exact.hits.astype(np.float64) - other.hits).mean()))
