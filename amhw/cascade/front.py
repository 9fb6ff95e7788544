"""Which cascades are worth looking at: all pairs of networks, all thresholds, by energy and loss on judging images."""

from collections.abc import Sequence

import numpy as np

from amhw.cascade.answers import Answers
from amhw.cascade.threshold import Cascade, Curve
from amhw.pareto import nondominated


def front(answers: Sequence[Answers], energies: Sequence[float], exact: int, plain: int = 0) -> list[Cascade]:
    """The cascades that no other dominates in energy and loss, cheapest first.

    A loss below zero counts as zero: that an approximate network is better than the exact one is luck. A single network
    is a cascade whose threshold is 0.

    Args:
        answers: each network's, on the same images.
        energies: each network's for one image.
        exact: index of the network that losses are measured against.
        plain: of the first so many images the loss counts for itself, too, as in `Curve.of`.
    """
    found = [Cascade(alone, alone, 0) for alone in range(len(answers))]
    costs = [
        (energies[alone], max(0.0, Curve.of(answers[exact], one, one, plain).at(0)))
        for alone, one in enumerate(answers)
    ]
    for cheap, one in enumerate(answers):
        for better, other in enumerate(answers):
            if energies[better] <= energies[cheap]:
                continue
            curve = Curve.of(answers[exact], one, other, plain)
            losses = np.maximum(curve.losses, 0)
            # Losses fall along the curve and energies rise: of equal losses the first is the cheapest.
            for index in np.unique(losses, return_index=True)[1]:
                if threshold := int(curve.thresholds[index]):
                    found.append(Cascade(cheap, better, threshold))
                    energy = energies[cheap] + float(curve.shares[index]) * energies[better]
                    costs.append((energy, float(losses[index])))
    chosen = nondominated(costs, distinct=True)
    return [found[index] for index in sorted(chosen, key=lambda index: costs[index])]
