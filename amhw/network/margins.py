"""By how much a network's answer won: what a cascade decides by."""

import numpy as np
from numpy.typing import NDArray


def margins(logits: NDArray[np.integer]) -> NDArray[np.int64]:
    """The greatest logit less the second of [N, classes].

    >>> margins(np.array([[5, 9, 2], [4, 4, 1]])).tolist()
    [4, 0]
    """
    ordered = np.sort(logits.astype(np.int64), axis=1)
    return np.asarray(ordered[:, -1] - ordered[:, -2])
