"""A convolution of few channels as one matrix product.

The k input rows that an output row sees lie one after the other in memory, so that an output row is a product of those
k·W numbers with a matrix that holds each kernel at each of its places: (k·W) × (W'·outputs). It has W/l times as many
multiplications as a convolution with kernels k × l, and on one channel takes a fifth of the time of the library's.
"""

from collections.abc import Callable

import numpy as np
import torch

from amhw.network.inference import MAX_TERMS, LayerSums, exact_arithmetic, number_format, positions
from amhw.network.quantised import QuantisedLayer
from amhw.table import Factors, ProductTable, code_values

Sums = Callable[[np.ndarray], np.ndarray]
"""Of codes [P, in, H, W] or [P, in]: floats [P, H', W', out], channels last, or [P, out]."""


def sums_of(layer: QuantisedLayer, table: ProductTable | None, side: tuple[int, int]) -> Sums:
    """The sums of a layer, without its bias, that takes maps of `side`."""
    general = LayerSums(layer, table)

    def channels_last(codes: np.ndarray) -> np.ndarray:
        found = general(torch.from_numpy(codes))
        return (found if layer.is_linear else found.permute(0, 2, 3, 1).contiguous()).numpy()

    if layer.is_linear or layer.weights.shape[1] > 1:
        return channels_last
    operands = layer.operands
    factors = (
        Factors(np.arange(1 << operands.activation_width)[None], code_values(operands.weight_width, True)[None])
        if table is None
        else table.factors(MAX_TERMS)
    )
    if factors is None or not len(factors.u):
        return channels_last
    return _by_rows(layer, factors, side) or channels_last


def _by_rows(layer: QuantisedLayer, factors: Factors, side: tuple[int, int]) -> Sums | None:
    """Of a layer with one input channel; None where no number format is exact."""
    u = factors.u[:, : layer.operands.activation_max + 1]
    v = factors.v[:, layer.weight_codes]  # [R, out, K]
    bound = int((np.abs(u).max(axis=1)[:, None, None] * np.abs(v)).sum(axis=(0, 2), dtype=object).max())
    dtype = number_format(bound)
    if dtype is None:
        return None
    terms, (tall, wide), (down, across) = len(u), layer.kernel, layer.stride
    rows, columns = (size + 2 * pad for size, pad in zip(side, layer.padding, strict=True))
    high, places = positions(rows, tall, down), positions(columns, wide, across)
    kernels = v.reshape(terms, layer.outputs, tall, wide)
    matrix = torch.zeros((tall, columns, terms, places, layer.outputs), dtype=dtype)
    for place in range(places):
        first = place * across
        matrix[:, first : first + wide, :, place] = torch.tensor(kernels.transpose(2, 3, 0, 1), dtype=dtype)
    matrix = matrix.view(tall * columns * terms, places * layer.outputs)
    values = torch.tensor(u.T.copy(), dtype=dtype)[
        np.minimum(np.arange(len(u.T)) + layer.input_rounding, layer.operands.activation_max)
    ]
    plain = terms == 1 and bool((values[:, 0] == torch.arange(len(values))).all())
    (above, left), (height, width) = layer.padding, side

    def sums(codes: np.ndarray) -> np.ndarray:
        maps = torch.zeros((len(codes), rows, columns, terms), dtype=dtype)
        inside = maps[:, above : above + height, left : left + width]
        given = torch.from_numpy(codes[:, 0])
        if plain:
            inside[..., 0] = given
        else:
            inside[:] = values[given.to(torch.int64)]
        line = columns * terms
        seen = maps.as_strided((len(codes), high, tall * line), (rows * line, down * line, 1))
        with exact_arithmetic():
            return (seen.reshape(-1, tall * line) @ matrix).view(len(codes), high, places, layer.outputs).numpy()

    return sums
