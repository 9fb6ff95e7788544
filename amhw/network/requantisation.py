"""From sums to codes: the only place where integers are scaled and rounded. Everything else that does so, torch layers
and gateware, is tested against these functions over every code.

    requantisation  y = clamp(⌊(v·m + 2^(s−1)) / 2^s⌋, minimum, maximum), v or |v|
    addition        y = clamp(⌊(x·m_x + z·m_z + 2^(s−1)) / 2^s⌋, minimum, maximum)

⌊(… + 2^(s−1)) / 2^s⌋ rounds half up; in hardware it is one multiplication (of each term), one addition and one
arithmetic shift right. A minimum of 0 is the ReLU; |v| is the absolute value in its place.
"""

from dataclasses import dataclass

import numpy as np

from amhw.refusal import Refusal

MAX_MULTIPLIER = 2**16 - 1
MAX_SHIFT = 40


@dataclass(frozen=True)
class Requantisation:
    """y = clamp(⌊(v·multiplier + 2^(shift−1)) / 2^shift⌋, minimum, maximum): of v = acc + bias of a layer, or of the
    sum of an average-pool's window.

    >>> half = Requantisation(multiplier=1, shift=1, maximum=255)
    >>> half(np.array([-3, -1, 0, 1, 2, 3, 600])).tolist()  # ties go up
    [0, 0, 0, 1, 1, 2, 255]
    >>> Requantisation(1, 1, 255, absolute=True)(np.array([-3, -1, 0, 1])).tolist()
    [2, 1, 0, 1]

    Attributes:
        absolute: |v| is scaled.

    Raises:
        Refusal: a constant is out of range.
    """

    multiplier: int
    shift: int
    maximum: int
    minimum: int = 0
    absolute: bool = False

    def __post_init__(self) -> None:
        _check((self.multiplier,), self.shift, self.minimum, self.maximum)
        if self.absolute and self.minimum:
            raise Refusal(f"requantisation of absolute values with the minimum {self.minimum}; wanted 0")

    def __call__(self, value: np.ndarray) -> np.ndarray:
        """Codes, uint8 or, where they may be negative, int8, of integers of any type below 2^46 in magnitude."""
        wide = value.astype(np.int64)
        if self.absolute:
            np.abs(wide, out=wide)
        wide *= self.multiplier
        return _rounded(wide, self.shift, self.minimum, self.maximum)

    @property
    def scale(self) -> float:
        """multiplier / 2^shift."""
        return self.multiplier * 2.0**-self.shift

    @staticmethod
    def of(scale: float, maximum: int, minimum: int = 0, absolute: bool = False) -> "Requantisation":
        """The constants nearest to y = scale·v, with as many bits in the multiplier as fit in 16.

        Raises:
            Refusal: the scale is not representable.
        """
        shift = _shift(scale)
        return Requantisation(round(scale * 2.0**shift), shift, maximum, minimum, absolute)


@dataclass(frozen=True)
class Addition:
    """y = clamp(⌊(x·multipliers[0] + z·multipliers[1] + 2^(shift−1)) / 2^shift⌋, minimum, maximum).

    >>> mean = Addition((1, 1), 1, 255)
    >>> mean(np.array([1, 200]), np.array([2, 100])).tolist()
    [2, 150]

    Raises:
        Refusal: a constant is out of range.
    """

    multipliers: tuple[int, int]
    shift: int
    maximum: int
    minimum: int = 0

    def __post_init__(self) -> None:
        _check(self.multipliers, self.shift, self.minimum, self.maximum)

    def __call__(self, x: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Codes of two arrays of codes, uint8 or, where they may be negative, int8."""
        wide = x.astype(np.int64) * self.multipliers[0]
        wide += z.astype(np.int64) * self.multipliers[1]
        return _rounded(wide, self.shift, self.minimum, self.maximum)

    @property
    def scales(self) -> tuple[float, float]:
        """multipliers / 2^shift."""
        x, z = self.multipliers
        return x * 2.0**-self.shift, z * 2.0**-self.shift

    def output_scale(self, first: float, second: float) -> float:
        """The real value of one step of y, where those of x and z are worth `first` and `second`.

        That of the term with the greater multiplier, which has more bits.
        """
        return max(zip(self.multipliers, (first / self.scales[0], second / self.scales[1]), strict=True))[1]

    @staticmethod
    def of(scales: tuple[float, float], maximum: int, minimum: int = 0) -> "Addition":
        """The constants nearest to y = scales[0]·x + scales[1]·z, the greater multiplier with as many bits as fit in
        16.

        Raises:
            Refusal: the greater scale is not representable.
        """
        shift = _shift(max(scales))
        x, z = (max(1, round(scale * 2.0**shift)) for scale in scales)
        return Addition((x, z), shift, maximum, minimum)


def _rounded(scaled: np.ndarray, shift: int, minimum: int, maximum: int) -> np.ndarray:
    """Half up, clamped; `scaled` (int64) is overwritten."""
    scaled += 1 << (shift - 1)
    scaled >>= shift
    np.clip(scaled, minimum, maximum, out=scaled)
    return scaled.astype(np.int8 if minimum < 0 else np.uint8)


def _check(multipliers: tuple[int, ...], shift: int, minimum: int, maximum: int) -> None:
    for multiplier in multipliers:
        if not 1 <= multiplier <= MAX_MULTIPLIER:
            raise Refusal(f"requantisation multiplier {multiplier}; wanted 1…{MAX_MULTIPLIER}")
    if not 1 <= shift <= MAX_SHIFT:
        raise Refusal(f"requantisation shift {shift}; wanted 1…{MAX_SHIFT}")
    if not -128 <= minimum <= 0:
        raise Refusal(f"requantisation minimum {minimum}; wanted -128…0")
    greatest = 127 if minimum else 255
    if not 1 <= maximum <= greatest:
        raise Refusal(f"requantisation maximum {maximum}; wanted 1…{greatest}")


def _shift(scale: float) -> int:
    """The shift with which a multiplier for `scale` has most bits."""
    if not 0 < scale < MAX_MULTIPLIER / 2:
        raise Refusal(f"requantisation scale {scale}: wanted a positive one below 2^15")
    shift = 15 - int(np.floor(np.log2(scale)))
    if round(scale * 2.0**shift) > MAX_MULTIPLIER:
        shift -= 1
    return min(shift, MAX_SHIFT)
