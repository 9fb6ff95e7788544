"""What the arrays compute, in NumPy on product tables: no circuit is looked at here.

Matrix product:   C[m, n] = Σ_k T[A[m, k], B[k, n]]
Convolutions:     the equation of `amhw.network.quantised`, by `amhw.network.reference`: tap by tap, integers only.
"""

import numpy as np
from numpy.typing import NDArray

from amhw.network import reference
from amhw.network.quantised import QuantisedNetwork
from amhw.table import ProductTable


def matmul(table: ProductTable, a: NDArray[np.integer], b: NDArray[np.integer]) -> NDArray[np.int64]:
    """int64[M, N]: the product of values a[M, K] and b[K, N] with `table` in place of multiplication.

    >>> from amhw import Masked
    >>> table = ProductTable.of(Masked.exact(4, 4, signed_b=True))
    >>> matmul(table, np.array([[1, 15]]), np.array([[-8], [7]])).tolist()
    [[97]]
    """
    codes_a = np.asarray(a) & ((1 << table.width_a) - 1)
    codes_b = np.asarray(b) & ((1 << table.width_b) - 1)
    total = np.zeros((codes_a.shape[0], codes_b.shape[1]), dtype=np.int64)
    for k in range(codes_a.shape[1]):
        total += table.products[codes_a[:, k][:, None], codes_b[k][None, :]]
    return total


def convolutions(network: QuantisedNetwork, table: ProductTable, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What leaves the last convolution layer, pooled, for uint8 images [N, C, H, W]; `table` in every convolution."""
    names = network.convolutions
    last = network.network.leaving(names[-1])
    return reference.outputs(network, dict.fromkeys(names, table), images, last)[last].astype(np.uint8)
