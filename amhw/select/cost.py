"""What a multiplier will cost, before it is synthesised: a regression on the shape of its bit heap.

The features are counted, not simulated: AND gates, OR gates, bits that the tree has to remove, negative bits, the
length of the carry-propagate adder, the height of the heap. Area and delay are fitted to synthesised designs by
non-negative least squares on relative errors, so that more of anything never makes a design cheaper.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from amhw.families.or_compressed import OrCompressed
from amhw.select.space import Candidate


def features(multiplier: Candidate) -> NDArray[np.float64]:
    """Counts: constant, AND gates, two-input OR gates, bits to remove, negative bits, adder columns, log₂ of them,
    log₂ of the height, log₂ of the widest OR."""
    width = multiplier.width_a + multiplier.width_b
    heights = np.zeros(width, dtype=np.int64)
    ands = ors = negatives = widest = 0
    or_columns = multiplier.or_columns if isinstance(multiplier, OrCompressed) else ()
    for k in range(width - 1):
        sides = [0, 0]
        for i, row in enumerate(multiplier.rows):
            j = k - i
            if 0 <= j < multiplier.width_b and row >> j & 1:
                signs = (multiplier.signed_a and i == multiplier.width_a - 1) + (
                    multiplier.signed_b and j == multiplier.width_b - 1
                )
                sides[signs == 1] += 1
        ands += sum(sides)
        if k in or_columns:
            ors += sum(max(0, side - 1) for side in sides)
            widest = max(widest, *sides)
            sides = [min(side, 1) for side in sides]
        negatives += sides[1]
        heights[k] = sum(sides)
    several = np.flatnonzero(heights > 1)
    adder = width - int(several[0]) if len(several) else 0
    # Above the topmost bit the adder only copies its sign.
    top = int(np.flatnonzero(heights)[-1]) + 2 if heights.any() else 0
    adder = max(0, min(adder, top - int(several[0]))) if len(several) else 0
    return np.array(
        [
            1,
            ands,
            ors,
            np.maximum(heights - 1, 0).sum(),
            # A single negative bit at the top is the product's sign.
            negatives if len(several) or negatives > 1 else 0,
            adder,
            np.log2(adder + 1),
            np.log2(max(1, heights.max())),
            np.log2(max(1, widest)),
        ],
        dtype=np.float64,
    )


def carries(multiplier: Candidate) -> bool:
    """Whether some column holds more than one bit, so that there is something to add."""
    return bool(features(multiplier)[3] > 0)


@dataclass(frozen=True, eq=False)
class CostModel:
    """Predicted area (µm²) and delay (ps) of one netlist of a design, that with the least area × delay.

    Attributes:
        area, delay: coefficients of `features`.
        error_area, error_delay: median relative error over the designs that it was fitted to.
    """

    area: NDArray[np.float64]
    delay: NDArray[np.float64]
    error_area: float
    error_delay: float

    @staticmethod
    def fit(multipliers: Sequence[Candidate], areas: Sequence[float], delays: Sequence[float]) -> "CostModel":
        """The model of some synthesised designs."""
        matrix = np.array([features(multiplier) for multiplier in multipliers])
        found = []
        for figures in (np.asarray(areas, dtype=np.float64), np.asarray(delays, dtype=np.float64)):
            coefficients, _ = nnls(matrix / figures[:, None], np.ones(len(figures)))
            error = float(np.median(np.abs(matrix @ coefficients / figures - 1)))
            found.append((coefficients, error))
        return CostModel(found[0][0], found[1][0], found[0][1], found[1][1])

    def predict(self, multiplier: Candidate) -> tuple[float, float]:
        """Area and delay."""
        counts = features(multiplier)
        return float(counts @ self.area), float(counts @ self.delay)
