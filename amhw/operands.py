"""How often each operand occurs: what turns error figures over all operands into figures for a network."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from amhw.arrays import arrays_in
from amhw.files import read_whole
from amhw.refusal import Refusal

_LARGEST_BITS = 24


@dataclass(frozen=True, eq=False)
class OperandDistribution:
    """Probabilities of operand codes (two's complement codes where an operand is signed).

    Attributes:
        joint: read-only float64[2^width_a, 2^width_b] that sums to 1; ``joint[a, b]`` is the probability that
            codes a and b meet in one multiplication.

    >>> d = OperandDistribution.of_histograms([3, 1, 0, 0], [1, 1])
    >>> d.joint[0].tolist(), d.probabilities_a.tolist(), d.probabilities_b.tolist()
    ([0.375, 0.375], [0.75, 0.25, 0.0, 0.0], [0.5, 0.5])

    Raises:
        Refusal: the probabilities are no table with power-of-two sides, are negative or not finite, or do not
            sum to 1.
    """

    joint: NDArray[np.float64]

    def __post_init__(self) -> None:
        joint = np.array(self.joint, dtype=np.float64, order="C")
        if joint.ndim != 2 or any(side < 2 or side & (side - 1) for side in joint.shape):
            raise Refusal(f"operand probabilities need 2^m × 2^n entries; these have the shape {joint.shape}")
        if not np.isfinite(joint).all() or joint.min() < 0:
            raise Refusal("operand probabilities must be finite and not negative")
        if abs(joint.sum() - 1) > 1e-6:
            raise Refusal(f"operand probabilities sum to {joint.sum():g}; they must sum to 1 (or give counts)")
        joint.setflags(write=False)
        object.__setattr__(self, "joint", joint)

    @classmethod
    def uniform(cls, width_a: int, width_b: int) -> Self:
        """Every pair of codes equally often.

        Raises:
            Refusal: there are too many pairs for a table.
        """
        if not (width_a >= 1 and width_b >= 1 and width_a + width_b <= _LARGEST_BITS):
            raise Refusal(
                f"{width_a} × {width_b} bits; a table of probabilities takes {_LARGEST_BITS} bits in all at most"
            )
        shape = (1 << width_a, 1 << width_b)
        return cls(np.full(shape, 1 / (shape[0] * shape[1])))

    @classmethod
    def of_histograms(cls, counts_a: ArrayLike, counts_b: ArrayLike) -> Self:
        """Independent operands.

        Args:
            counts_a: how often each code of a occurs, [2^width_a]; any positive scale.
            counts_b: the same for b, [2^width_b].
        """
        return cls(_normalised(counts_a, "a")[:, None] * _normalised(counts_b, "b")[None, :])

    @classmethod
    def of_pairs(cls, counts: ArrayLike) -> Self:
        """Operands counted together: counts[2^width_a, 2^width_b], any positive scale."""
        return cls(_normalised(counts, "the pair"))

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """The distribution in an .npz file: arrays ``a`` and ``b``, or one array ``joint``; counts or probabilities.

        Raises:
            Refusal: the file holds neither.
        """
        try:
            arrays = arrays_in(read_whole(path, 16 << _LARGEST_BITS), 1 << _LARGEST_BITS)
        except Refusal as refusal:
            raise Refusal(f"{path} is no .npz file of operand counts: {refusal}") from None
        try:
            if set(arrays) == {"joint"}:
                return cls.of_pairs(arrays["joint"])
            if set(arrays) == {"a", "b"}:
                return cls.of_histograms(arrays["a"], arrays["b"])
        except (Refusal, ValueError) as error:
            raise Refusal(f"{path}: {error}") from None
        raise Refusal(f"{path} holds {', '.join(arrays) or 'nothing'}; give arrays a and b, or one array joint")

    @property
    def probabilities_a(self) -> NDArray[np.float64]:
        """Probability of each code of a, [2^width_a]."""
        return self.joint.sum(axis=1)

    @property
    def probabilities_b(self) -> NDArray[np.float64]:
        """Probability of each code of b, [2^width_b]."""
        return self.joint.sum(axis=0)

    @property
    def width_a(self) -> int:
        """Bits of operand a."""
        return self.joint.shape[0].bit_length() - 1

    @property
    def width_b(self) -> int:
        """Bits of operand b."""
        return self.joint.shape[1].bit_length() - 1


def _normalised(counts: ArrayLike, what: str) -> NDArray[Any]:
    array = np.asarray(counts, dtype=np.float64)
    if not array.size or not np.isfinite(array).all() or array.min() < 0 or array.sum() == 0:
        raise Refusal(f"the histogram of {what} must hold finite counts that are not negative, and one above 0")
    return array / array.sum()
