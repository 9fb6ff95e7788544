"""What became of an image under a fault, and how many images of each kind there are.

| status           | logits    | class, against the fault-free network's and the label     |
|------------------|-----------|-----------------------------------------------------------|
| `IDENTICAL`      | unchanged | unchanged                                                 |
| `SAME_CLASS`     | changed   | unchanged                                                 |
| `RIGHT_TO_WRONG` | changed   | was the label's, is another                               |
| `WRONG_TO_RIGHT` | changed   | was another, is the label's                               |
| `WRONG_TO_WRONG` | changed   | was another than the label's, is yet another              |

The class is that of the greatest logit, the first of equals.
"""

import numpy as np
from numpy.typing import NDArray

IDENTICAL, SAME_CLASS, RIGHT_TO_WRONG, WRONG_TO_RIGHT, WRONG_TO_WRONG = range(5)

STATUSES = 5

Counts = NDArray[np.int64]
"""[…, `STATUSES`]: how many images of each status."""


def statuses(logits: np.ndarray, golden: np.ndarray, labels: np.ndarray) -> NDArray[np.uint8]:
    """The status of each image: uint8[N] of logits [N, classes] with and without the fault."""
    now, before = logits.argmax(axis=1), golden.argmax(axis=1)
    found = np.full(len(labels), WRONG_TO_WRONG, np.uint8)
    found[before == labels] = RIGHT_TO_WRONG
    found[(before != labels) & (now == labels)] = WRONG_TO_RIGHT
    found[now == before] = SAME_CLASS
    found[(logits == golden).all(axis=1)] = IDENTICAL
    return found


def counted(found: NDArray[np.uint8]) -> Counts:
    """How many of each: int64[`STATUSES`]."""
    return np.bincount(found, minlength=STATUSES).astype(np.int64)
