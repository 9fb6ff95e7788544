"""Which differences between two designs mean something.

ABC is not monotone: dropping a partial product has made a circuit larger. How far apart two equally good recipes
come out on one design says how far a figure may be off by luck; over the designs of a study that gives the band
within which a difference is no win.
"""

from collections.abc import Iterable

import numpy as np

_QUANTILE = 0.9


def noise_band(noises: Iterable[float]) -> float:
    """The relative difference in area, or in delay, that recipes alone make over a study's designs.

    The 0.9 quantile of `amhw.synth.SynthesisResult.noise` over the designs; 0 without designs.

    >>> noise_band(0.01 * k for k in range(11))
    0.09
    """
    found = list(noises)
    return round(float(np.quantile(found, _QUANTILE)), 5) if found else 0.0


def wins(figure: float, rival: float, band: float) -> bool:
    """Whether `figure` is smaller than `rival` by more than the noise band.

    >>> wins(97.0, 100.0, 0.02), wins(99.0, 100.0, 0.02)
    (True, False)
    """
    return figure < rival / (1 + band)
