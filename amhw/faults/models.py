"""What can happen to a stored word, as values.

A model says which locations a word of w bits has and what each makes of the word. The bits of a location are
adjacent; its number is that of the lowest:

    flip, flip-2, flip-3      the 1, 2 or 3 bits from b up are inverted          b = 0 … w − 1, w − 2, w − 3
    stuck-at-0, stuck-at-1    bit b reads 0, or 1, whatever was written          b = 0 … w − 1
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amhw.refusal import Refusal

Patterns = NDArray[np.int64]
"""Words as bit patterns: not negative."""


@dataclass(frozen=True)
class FaultModel:
    """One way in which words fail.

    Attributes:
        name: how it is asked for.
        bits: how many adjacent ones a location has.
        stuck: the value that the bit reads, or None where bits are inverted.
    """

    name: str
    bits: int = 1
    stuck: int | None = None

    def locations(self, width: int) -> int:
        """How many a word of `width` bits has.

        >>> [model.locations(8) for model in MODELS.values()]
        [8, 8, 8, 7, 6]
        """
        return max(width - self.bits + 1, 0)

    def masks(self, width: int) -> Patterns:
        """The bits of each location."""
        return ((1 << self.bits) - 1) << np.arange(self.locations(width), dtype=np.int64)

    def faulty(self, words: Patterns, width: int) -> Patterns:
        """What each location makes of each word: […, locations] of patterns […].

        >>> MODELS["flip-2"].faulty(np.array([0b101]), 3).tolist()
        [[6, 3]]
        >>> MODELS["stuck-at-1"].faulty(np.array([0b101]), 3).tolist()
        [[5, 7, 5]]
        """
        masks = self.masks(width)
        if self.stuck is None:
            return words[..., None] ^ masks
        return words[..., None] | masks if self.stuck else words[..., None] & ~masks


MODELS = {
    model.name: model
    for model in (
        FaultModel("flip"),
        FaultModel("stuck-at-0", stuck=0),
        FaultModel("stuck-at-1", stuck=1),
        FaultModel("flip-2", bits=2),
        FaultModel("flip-3", bits=3),
    )
}
"""All of them, by name."""


def model_named(name: str) -> FaultModel:
    """
    Raises:
        Refusal: there is none of that name.
    """
    if name not in MODELS:
        raise Refusal(f"no fault model {name!r}; there are {', '.join(MODELS)}")
    return MODELS[name]
