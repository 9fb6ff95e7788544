"""What a network loses against exact products, and how sure that is."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

_QUANTILE = 1.96
"""97.5 % of a normal distribution lie below so many standard deviations: the limits of a 95 % interval."""


@dataclass(frozen=True)
class Loss:
    """Accuracy lost against exact products on the same images, as a share, with its 95 % interval.

    Both networks see the same images, so the interval is that of the mean of paired differences (each −1, 0 or 1),
    Wald's: mean ± 1.96·√(variance/n).
    """

    mean: float
    half_width: float

    @property
    def standard_error(self) -> float:
        """Of the mean."""
        return self.half_width / _QUANTILE

    @staticmethod
    def between(exact: NDArray[np.bool_], approximate: NDArray[np.bool_]) -> "Loss":
        """Of two vectors of hits.

        >>> Loss.between(np.array([True, True, False, True]), np.array([True, False, False, True])).mean
        0.25
        """
        difference = exact.astype(np.float64) - approximate
        return Loss(float(difference.mean()), _QUANTILE * sqrt(float(difference.var()) / len(difference)))
