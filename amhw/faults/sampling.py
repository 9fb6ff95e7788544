"""Campaigns on a sample, for networks whose faults are too many: how many faults, which, and what they say of all.

The share p of faults with some property (here: that change the class of an image) among N faults is estimated from n
drawn without replacement, to ± e with the confidence that the quantile z belongs to (Leveugle, Calvez, Maistri and
Vanhauwaert, "Statistical fault injection: quantified error and confidence", DATE 2009):

    n = N / (1 + e²·(N − 1) / (z²·p·(1 − p))),      p = 1/2 where nothing is known of it

Strata are the bits of each memory, as what a fault does depends on these above all. Each gets its share of the sample,
and at least `LEAST` faults. The estimate of the whole is the mean of the strata's, weighted by their numbers of faults,
and its half-width z·√(Σ W²·(1 − n/N)·s²/n) has the finite-population correction 1 − n/N in each stratum, with s² from
one success and one failure more than were seen: a stratum of which nothing is seen to fail is not thereby known to be
without failures (Agresti and Coull, "Approximate is better than 'exact' for interval estimation of binomial
proportions", 1998). A stratum's own interval is Wilson's (1927) with n replaced by n·(N − 1)/(N − n).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, inf, sqrt
from statistics import NormalDist

import numpy as np

from amhw.faults.memories import Memory
from amhw.faults.models import FaultModel
from amhw.refusal import Refusal

LEAST = 4
"""Faults of a stratum, as far as it has so many."""


@dataclass(frozen=True)
class Stratum:
    """The faults of a model in one bit of a memory's words: as many as it has words."""

    memory: str
    bit: int
    faults: int


def sample_size(faults: int, margin: float, confidence: float) -> int:
    """How many of so many faults give a share to ± margin.

    >>> sample_size(499_400, 0.01, 0.95), sample_size(499_400, 0.01, 0.99), sample_size(100, 0.01, 0.95)
    (9423, 16055, 99)

    Raises:
        Refusal: margin or confidence is not between 0 and 1.
    """
    for name, value in (("margin", margin), ("confidence", confidence)):
        if not 0 < value < 1:
            raise Refusal(f"--{name} {value:g}; wanted a number between 0 and 1, such as 0.01 and 0.95")
    return ceil(faults / (1 + margin**2 * (faults - 1) / (quantile(confidence) ** 2 / 4)))


def quantile(confidence: float) -> float:
    """z with P(|Z| ≤ z) = confidence, Z standard normal."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


def strata(memories: Sequence[Memory], model: FaultModel) -> tuple[Stratum, ...]:
    """All strata of some memories."""
    return tuple(
        Stratum(memory.name, bit, len(memory)) for memory in memories for bit in range(model.locations(memory.width))
    )


def drawn(parts: Sequence[Stratum], size: int, random: np.random.Generator) -> dict[Stratum, np.ndarray]:
    """Which words of each stratum, ascending: about `size` in all, drawn without replacement."""
    total = sum(part.faults for part in parts)
    return {
        part: np.sort(
            random.choice(part.faults, min(part.faults, max(LEAST, round(size * part.faults / total))), replace=False)
        )
        for part in parts
    }


@dataclass(frozen=True)
class Estimate:
    """A share with its interval at some confidence: of `faults`, `drawn` were tried."""

    share: float
    low: float
    high: float
    drawn: int
    faults: int


def stratum_estimate(hits: int, tried: int, faults: int, confidence: float) -> Estimate:
    """Of one stratum, from `hits` of `tried`.

    >>> stratum_estimate(3, 8, 8, 0.95)
    Estimate(share=0.375, low=0.375, high=0.375, drawn=8, faults=8)
    """
    share = hits / tried
    n = tried * (faults - 1) / (faults - tried) if faults > tried else inf
    z2 = quantile(confidence) ** 2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = sqrt(z2) / (1 + z2 / n) * sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    # The ends lie on the share where it is 0 or 1, but for rounding.
    low, high = min(share, max(0.0, middle - half)), max(share, min(1.0, middle + half))
    return Estimate(share, low, high, tried, faults)


def estimate(seen: Mapping[Stratum, tuple[int, int]], confidence: float) -> Estimate:
    """Of all strata together, from hits and tries in each."""
    total = sum(part.faults for part in seen)
    share = variance = 0.0
    for part, (hits, tried) in seen.items():
        weight, p = part.faults / total, (hits + 1) / (tried + 2)
        share += weight * hits / tried
        variance += weight**2 * (1 - tried / part.faults) * p * (1 - p) / tried
    half = quantile(confidence) * sqrt(variance)
    tries = sum(tried for _, tried in seen.values())
    return Estimate(share, max(0.0, share - half), min(1.0, share + half), tries, total)
