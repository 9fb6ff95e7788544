"""What the arrays compute, in NumPy on product tables: no circuit is looked at here.

Matrix product:   C[m, n] = Σ_k T[A[m, k], B[k, n]]
Convolution layer: the equation of `amhw.network.quantised`, evaluated tap by tap with integers only.
"""

import numpy as np
from numpy.typing import NDArray

from amhw.network.quantised import QuantisedLayer, QuantisedNetwork
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


def convolution(layer: QuantisedLayer, table: ProductTable, codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pooled, requantised codes uint8[N, out, H', W'] of a layer's input codes [N, in, H, W]."""
    assert layer.requantisation is not None and not layer.is_linear
    limit, kernel, pad, pool = layer.operands.activation_max, layer.kernel, layer.geometry.padding, layer.geometry.pool
    rounded = np.minimum(codes.astype(np.int64) + layer.input_rounding, limit)
    padded = np.pad(rounded, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    height, width = (side - kernel + 1 for side in padded.shape[2:])
    sums = np.zeros((len(codes), height, width, layer.outputs), dtype=np.int64)
    for k in range(layer.matrix.shape[1]):
        channel, y, x = k // kernel**2, k // kernel % kernel, k % kernel
        products = table.products[:, layer.weight_codes[:, k]]
        sums += products[padded[:, channel, y : y + height, x : x + width]]
    blocks = sums[:, : height // pool * pool, : width // pool * pool].reshape(
        len(codes), height // pool, pool, width // pool, pool, layer.outputs
    )
    pooled = blocks.max(axis=(2, 4)) + layer.bias
    return layer.requantisation(pooled).transpose(0, 3, 1, 2)


def convolutions(network: QuantisedNetwork, table: ProductTable, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What leaves the last convolution layer for uint8 images [N, H, W], `table` in every convolution."""
    codes = network.layers[0].operands.codes_of(images)
    for name in network.convolutions:
        codes = convolution(network[name], table, codes)
    return codes
