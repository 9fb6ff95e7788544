"""How the sums of one output should become activation codes: what the layer that takes them can make of those.

A channel is requantised as code = ⌊(sum + bias)·factor + ½⌋, limited to 0…greatest. For each factor that is tried it
takes the unit of its weights and the bias with which the next layer's products come nearest to the teacher's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from amhw.remap.product_error import product_error
from amhw.remap.terms import half_step
from amhw.table import ProductTable

_QUANTILES = 16
_UNITS = np.geomspace(0.25, 2.0, 8)


class Follower(Protocol):
    """The layer that takes a channel's codes.

    Members:
        greatest: code.
        levels: how many codes it tells apart.
        starts: int64[G], the first code of each run of codes that it does not tell apart; the first one is 0.
    """

    @property
    def greatest(self) -> int: ...

    @property
    def levels(self) -> int: ...

    @property
    def starts(self) -> NDArray[np.int64]: ...

    def lost(
        self, channel: int, chance: NDArray[np.float64], first: NDArray[np.float64], variance: float
    ) -> NDArray[np.float64]:
        """Mean squared error of one product, of the code that arrives and the best weight for it, against that of the
        wanted activation and a real-valued weight.

        Args:
            chance: float64[…, G], probability of each run.
            first: float64[…, G], the wanted activation's mean over each run times its probability.
            variance: of the wanted activation, positive.
        """
        ...


@dataclass(frozen=True, eq=False)
class TableFollower:
    """A layer with a product table.

    Attributes:
        table: float64[groups, D], the distinct columns, for each group of codes with the same products.
        starts: see `Follower`.
        groups: int64[G], the group of each run.
        weights: float64[channels, W], quantiles of the layer's real-valued weights.
        greatest: code.
    """

    table: NDArray[np.float64]
    starts: NDArray[np.int64]
    groups: NDArray[np.int64]
    weights: NDArray[np.float64]
    greatest: int

    @staticmethod
    def of(table: ProductTable, codes: int, weights: NDArray[np.floating]) -> "TableFollower":
        """Of a layer that takes so many codes, its input rounding added, with real-valued weights [channels, …]."""
        rounded = np.minimum(np.arange(codes) + half_step(table), codes - 1)
        columns = np.unique(table.products[rounded], axis=1)
        rows, group = np.unique(columns, axis=0, return_inverse=True)
        group = group.reshape(-1)
        starts = np.flatnonzero(np.diff(group, prepend=-1))
        quantiles = np.quantile(weights, (np.arange(_QUANTILES) + 0.5) / _QUANTILES, axis=1).T
        return TableFollower(rows.astype(np.float64), starts, group[starts], quantiles.astype(np.float64), codes - 1)

    @property
    def levels(self) -> int:
        return len(self.table)

    def lost(
        self, channel: int, chance: NDArray[np.float64], first: NDArray[np.float64], variance: float
    ) -> NDArray[np.float64]:
        """As `product_error`; half of what codes can express but weights cannot is shared out among other taps."""
        member = np.eye(self.levels)[self.groups]
        chance, first = chance @ member, first @ member
        spread = (chance @ self.table**2 - (chance @ self.table) ** 2).max(axis=-1)
        weights = self.weights[channel]
        largest = np.abs(weights).max() * np.sqrt(variance / np.maximum(spread, 1e-30))
        unseen, rest = product_error(chance, first, variance, self.table, weights, largest[..., None] * _UNITS)
        return float((weights**2).mean()) * variance * (unseen + 0.5 * rest)


@dataclass(frozen=True, eq=False)
class ExactFollower:
    """A layer with exact products and real-valued weights: what it cannot use of the codes is what is no linear
    function of them.

    Attributes:
        greatest: code.
        weights: float64[channels], the mean square of each channel's real-valued weights.
    """

    greatest: int
    weights: NDArray[np.float64]

    @staticmethod
    def of(codes: int, weights: NDArray[np.floating]) -> "ExactFollower":
        """As `TableFollower.of`."""
        return ExactFollower(codes - 1, (weights.astype(np.float64) ** 2).mean(axis=1))

    @property
    def levels(self) -> int:
        return self.greatest + 1

    @property
    def starts(self) -> NDArray[np.int64]:
        return np.arange(self.levels)

    def lost(
        self, channel: int, chance: NDArray[np.float64], first: NDArray[np.float64], variance: float
    ) -> NDArray[np.float64]:
        codes = np.arange(self.levels, dtype=np.float64)
        mean = chance @ codes
        spread, together = chance @ codes**2 - mean**2, first @ codes - mean * first.sum(axis=-1)
        used = np.divide(together**2, spread, out=np.zeros_like(spread), where=spread > 1e-9)
        return float(self.weights[channel]) * np.maximum(0.0, variance - used)


@dataclass(frozen=True, eq=False)
class Channel:
    """One output at some places of the training images.

    Attributes:
        wanted: float[S], the teacher's pre-activations.
        sums: float64[S] for each unit that is tried, by its number.
    """

    wanted: NDArray[np.floating]
    sums: Mapping[int, NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Reading:
    """The best unit and bias of a channel for each of some factors.

    Attributes:
        lost: float64[F], what the follower must lose.
        unit: int64[F], its number.
        bias: float64[F].
    """

    lost: NDArray[np.float64]
    unit: NDArray[np.int64]
    bias: NDArray[np.float64]

    def at(self, factor: int) -> tuple[int, float]:
        """Unit and bias for the factor with this number."""
        return int(self.unit[factor]), float(self.bias[factor])


def best_reading(
    channel: Channel,
    units: NDArray[np.float64],
    factors: NDArray[np.float64],
    follower: Follower,
    number: int,
    offsets: Sequence[float] | NDArray[np.float64],
    ceiling: float,
) -> Reading:
    """For each factor the best of a channel's units and biases.

    Args:
        units: what one step of a sum is worth in each unit.
        number: the channel's, in the follower.
        offsets: biases to try, in steps that the follower tells apart, from the one that gives live sums the right
            mean.
        ceiling: of the wanted activation.
    """
    wanted = np.clip(channel.wanted, 0, ceiling).astype(np.float64)
    live, variance, size = channel.wanted > 0, float(wanted.var()), len(wanted)
    step = follower.greatest / max(1, follower.levels - 1) / factors
    lost, bias = np.full(len(factors), np.inf), np.zeros(len(factors))
    unit = np.full(len(factors), next(iter(channel.sums)), np.int64)
    for k, sums in channel.sums.items():
        shift = float((channel.wanted / units[k] - sums)[live].mean()) if live.any() else -float(sums.max())
        biases = shift + np.asarray(offsets)[:, None] * step  # [offsets, factors]
        found = np.zeros_like(biases)
        if variance > 0:
            order = np.argsort(sums, kind="stable")  # sums are integers, and many are equal
            edges = (follower.starts[1:] - 0.5) / factors[:, None] - biases[..., None]
            below = np.searchsorted(sums[order], edges)
            ends = np.pad(below, [(0, 0), (0, 0), (1, 1)])
            ends[..., -1] = size
            total = np.concatenate([[0.0], np.cumsum(wanted[order])])
            chance, first = np.diff(ends, axis=-1) / size, np.diff(total[ends], axis=-1) / size
            found = follower.lost(number, chance, first, variance)
        best = found.argmin(axis=0)
        least = np.take_along_axis(found, best[None], axis=0)[0]
        better = least < lost
        lost[better], unit[better] = least[better], k
        bias[better] = np.take_along_axis(biases, best[None], axis=0)[0][better]
    return Reading(lost, unit, bias)
