"""Below which margin a cheap network's answer is not trusted, and what that costs and saves."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amhw.cascade.answers import Answers


@dataclass(frozen=True)
class Cascade:
    """A cheap network, a better one, and when the better one is asked.

    Attributes:
        cheap, better: indices of networks.
        threshold: an image whose margin in the cheap network is less is classified again by the better one; 0 asks it
            never.
    """

    cheap: int
    better: int
    threshold: int

    def again(self, cheap: Answers) -> NDArray[np.bool_]:
        """Which images are classified again."""
        return cheap.margins < self.threshold

    def hits(self, cheap: Answers, better: Answers) -> NDArray[np.bool_]:
        """Which images the cascade classifies correctly."""
        return np.where(self.again(cheap), better.hits, cheap.hits)


@dataclass(frozen=True, eq=False)
class Curve:
    """What every threshold of a pair of networks gives on the same images, least first.

    Attributes:
        thresholds: int64[K]; the first asks the better network never, the last always.
        shares: of images that are classified again.
        losses: the share of images that are lost against exact products, with this threshold or the worst of the
            greater ones: the threshold of a demand is one from which on the demand stays met, so that it does not
            hang on one image.
    """

    thresholds: NDArray[np.int64]
    shares: NDArray[np.float64]
    losses: NDArray[np.float64]

    @staticmethod
    def of(exact: Answers, cheap: Answers, better: Answers, plain: int = 0) -> "Curve":
        """Of three networks' answers on the same images.

        Args:
            plain: of the first so many images, as they were before movements that the networks do not take, the loss
                counts for itself where it is greater (as in `amhw.stages.problem.Loaded.training_loss`).

        >>> margins = np.array([3, 1, 2])
        >>> right, wrong = np.array([True, True, True]), np.array([True, False, True])
        >>> found = Curve.of(*(Answers(hits, margins) for hits in (right, wrong, right)))
        >>> found.thresholds.tolist(), found.shares.round(2).tolist(), found.losses.round(2).tolist()
        ([0, 2, 3, 4], [0.0, 0.33, 0.67, 1.0], [0.33, 0.0, 0.0, 0.0])
        """
        margins, first = np.unique(cheap.margins, return_inverse=True)
        count = len(cheap.margins)
        members = np.bincount(first, minlength=len(margins))
        gains = better.hits.astype(np.float64) - cheap.hits

        def lost(images: slice) -> NDArray[np.float64]:
            gained = np.bincount(first[images], gains[images], minlength=len(margins))
            right = cheap.hits[images].sum() + np.concatenate([[0], np.cumsum(gained)])
            return np.asarray((exact.hits[images].sum() - right) / len(first[images]))

        losses = np.maximum(lost(slice(None)), lost(slice(plain))) if plain else lost(slice(None))
        return Curve(
            np.concatenate([[0], margins + 1]),
            np.concatenate([[0], np.cumsum(members)]) / count,
            np.maximum.accumulate(losses[::-1])[::-1],
        )

    def at(self, threshold: int) -> float:
        """The loss with a threshold."""
        return float(self.losses[int((self.thresholds <= threshold).sum()) - 1])
