"""Error figures of a product table.

The field's names are used loosely, so each is defined here, once. With e = p − a·b the error of a product
and E the mean over all pairs of operand codes, weighted by their probabilities (equal ones, if none are
given):

    ME    mean error                E[e]                      positive: products are too large
    MAE   mean absolute error       E[|e|]                    also called MED, mean error distance
    WCE   worst-case error          max |e|                   over the pairs that occur
    MSE   mean squared error        E[e²]
    variance                        E[e²] − E[e]²
    EP    error probability         P(e ≠ 0)
    MRED  mean relative error distance   E[|e|/|a·b| given a·b ≠ 0]
    WCRE  worst-case relative error      max |e|/|a·b| over pairs with a·b ≠ 0

Where the exact product is zero the relative error has no meaning. Such pairs are left out of MRED and WCRE, and the
rest are averaged among themselves: so do EvoApproxLib (whose MRE this is) and the publications on logarithmic
multipliers; the tests reproduce figures of both. What happens at zero is a figure of its own:

    zero  mean absolute error given a·b = 0                   0 for multipliers that obey 0·x = 0
"""

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from amhw.operands import OperandDistribution
from amhw.refusal import Refusal
from amhw.table import ProductTable


@dataclass(frozen=True)
class Errors:
    """The error figures of a product table; the module's docstring defines each.

    Attributes:
        me, mae, wce, mse, variance: in units of the product (squared for the last two).
        ep, mred, wcre: fractions, not per cent. nan if no pair with a non-zero product occurs.
        zero: mean |e| where the exact product is zero; 0 if no such pair occurs.

    >>> from amhw import Masked
    >>> errors = Errors.of(ProductTable.of(Masked.columns(8, 8, 8)))
    >>> errors.mae, errors.wce, round(errors.mred, 4)
    (448.25, 1793, 0.0978)
    """

    me: float
    mae: float
    wce: int
    mse: float
    variance: float
    ep: float
    mred: float
    wcre: float
    zero: float

    @classmethod
    def of(cls, table: ProductTable, operands: OperandDistribution | None = None) -> Self:
        """The figures of a table.

        Args:
            table: the products.
            operands: how often each pair of codes occurs; without it all pairs count equally.

        Raises:
            Refusal: the distribution is for other widths.
        """
        errors = table.errors
        if operands is None:
            weights = None
        elif operands.joint.shape != errors.shape:
            raise Refusal(
                f"operand probabilities for {operands.width_a} × {operands.width_b} bits; "
                f"the table is {table.width_a} × {table.width_b}"
            )
        else:
            weights = operands.joint
        occurs = np.ones(errors.shape, dtype=bool) if weights is None else weights > 0
        distance = np.abs(errors)
        exact = np.abs(table.values_a[:, None] * table.values_b[None, :])
        relative = distance / np.maximum(exact, 1)
        me = _mean(errors, weights, occurs)
        mse = _mean(np.square(errors.astype(np.float64)), weights, occurs)
        related = occurs & (exact > 0)
        return cls(
            me=me,
            mae=_mean(distance, weights, occurs),
            wce=int(distance[occurs].max()),
            mse=mse,
            variance=_mean(np.square(errors - me), weights, occurs),
            ep=_mean(distance > 0, weights, occurs),
            mred=_mean(relative, weights, related) if related.any() else float("nan"),
            wcre=float(relative[related].max()) if related.any() else float("nan"),
            zero=_mean(distance, weights, occurs & (exact == 0)),
        )

    def record(self) -> dict[str, Any]:
        """The figures by name, ready for JSON (a figure that does not exist is None)."""
        return {name: None if value != value else value for name, value in asdict(self).items()}


def _mean(values: NDArray[Any], weights: NDArray[np.float64] | None, chosen: NDArray[np.bool_]) -> float:
    """The mean over the chosen pairs, 0 where there are none."""
    if not chosen.any():
        return 0.0
    if weights is None:
        # A sum of integers is exact; only the division rounds.
        return float(values[chosen].sum() / chosen.sum())
    return float((values * weights)[chosen].sum() / weights[chosen].sum())
