"""What a multiplier can make of single products of a layer, its weights chosen for it.

With column d of the product table T, activations a (or what they should be, x) and a real-valued weight w,

    ε(d, w) = Var(s·T[a, d] − w·x) = s²·Var(T_d) − 2s·w·Cov(T_d, x) + w²·Var(x),

the mean error belonging into the bias; every weight takes its best column, and s the best of a grid. What the
activations lose, because the multiplier cannot tell some of their codes apart, no choice of weights can win back: f =
E[Var(x | what is read)]/Var(x). The rest is r = E_w[min_d ε]/E_w[w²·Var(x)] − f.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def product_error(
    chance: NDArray[Any],
    first: NDArray[Any],
    variance: float,
    table: NDArray[np.float64],
    weights: NDArray[np.float64],
    units: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """f and r, of one distribution of activations or of several; 0 where all weights are 0 or x is always the same.

    Args:
        chance: float64[…, G], probability of each group of codes that the table does not tell apart.
        first: float64[…, G], Σ x·P(x) over each group: its mean times its probability.
        variance: Var(x).
        table: float64[G, D], distinct columns.
        weights: float64[W], real-valued ones.
        units: float64[S] or float64[…, S], values of s to try.
    """
    power = float((weights**2).mean()) * variance
    if power == 0:  # nothing is wanted, and no product at all gives it
        return np.zeros(chance.shape[:-1]), np.zeros(chance.shape[:-1])
    mean = first.sum(axis=-1)
    means = chance @ table
    spread = chance @ table**2 - means**2
    together = first @ table - mean[..., None] * means
    quadratic = (units[..., None] ** 2 * spread[..., None, :])[..., None, :]
    linear = 2 * (units[..., None] * together[..., None, :])[..., None, :] * weights[:, None]
    costs = (quadratic - linear).min(axis=-1)  # […, S, W]
    alone = 1 + costs.mean(axis=-1).min(axis=-1) / power
    seen = (first**2 / np.maximum(chance, 1e-300)).sum(axis=-1) - mean**2
    lost = np.maximum(0.0, 1 - seen / variance)
    return lost, np.maximum(0.0, alone - lost)
