"""What a quantised network computes, tap by tap and with NumPy's integers only: slow, and plain enough to be read.

Neither the fast kernels of `amhw.network.inference` nor any circuit shares code with it but the rounding
(`amhw.network.requantisation`); both are tested against it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amhw.network.layers import IMAGE, Add, AveragePool, Flatten, MaxPool, Pair
from amhw.network.quantised import QuantisedLayer, QuantisedNetwork
from amhw.network.requantisation import Addition, Requantisation
from amhw.table import ProductTable, code_values

Integers = NDArray[np.int64]
Codes = NDArray[Any]
"""Of any integer type."""


def outputs(
    network: QuantisedNetwork, tables: Mapping[str, ProductTable], images: NDArray[np.uint8], until: str | None = None
) -> dict[str, Codes]:
    """What leaves each layer, up to layer `until`: codes [N, C, H, W] or [N, …]; the last one's are the logits.

    Args:
        tables: by layer name; other layers multiply exactly.
        images: uint8[N, C, H, W].
    """
    structure = network.network
    values: dict[str, Codes] = {IMAGE: images}
    for layer in structure.layers:
        sources = structure.sources[layer.name]
        x = values[sources[0]]
        if layer.name in network.layer_names:
            own = network[layer.name]
            codes = own.operands.codes_of(x) if layer.name in structure.pixel_layers else x
            sums = layer_sums(own, tables.get(layer.name), codes) + _by_channel(own.bias, codes.ndim)
            values[layer.name] = sums if own.requantisation is None else own.requantisation(sums)
        elif isinstance(layer, MaxPool):
            down, across = layer.padding
            least = np.iinfo(x.dtype).min
            around = np.pad(x, ((0, 0), (0, 0), (down, down), (across, across)), constant_values=least)
            values[layer.name] = np.stack(list(_taps(around, layer.window, layer.stride))).max(axis=0)
        elif isinstance(layer, AveragePool):
            constants = network.joins[layer.name]
            assert isinstance(constants, Requantisation)
            values[layer.name] = constants(
                np.stack(list(_taps(x, layer.window, layer.stride))).astype(np.int64).sum(axis=0)
            )
        elif isinstance(layer, Add):
            constants = network.joins[layer.name]
            assert isinstance(constants, Addition)
            values[layer.name] = constants(x, values[sources[1]])
        else:
            assert isinstance(layer, Flatten)
            values[layer.name] = x.reshape(len(x), -1)
        if layer.name == until:
            break
    del values[IMAGE]
    return values


def layer_sums(layer: QuantisedLayer, table: ProductTable | None, codes: Codes) -> Integers:
    """The sums of products of a layer, without the bias: int64[N, out, H', W'] or [N, out]."""
    rounded = np.minimum(codes.astype(np.int64) + layer.input_rounding, layer.operands.activation_max)
    products = _products(layer) if table is None else table.products.astype(np.int64)
    if layer.is_linear:
        sums = np.zeros((len(codes), layer.outputs), np.int64)
        for k, weights in enumerate(layer.weight_codes.T):
            sums += products[rounded[:, k]][:, weights]
        return sums
    kernels = layer.weight_codes.reshape(layer.outputs, -1, *layer.kernel)
    down, across = layer.padding
    padded = np.pad(rounded, ((0, 0), (0, 0), (down, down), (across, across)))
    parts = list(_taps(padded, layer.kernel, layer.stride))
    total = np.zeros((len(codes), *parts[0].shape[2:], layer.outputs), np.int64)
    members = layer.outputs // layer.groups
    for tap, part in enumerate(parts):
        y, x = divmod(tap, layer.kernel[1])
        for channel in range(part.shape[1]):
            group, own = divmod(channel, kernels.shape[1])
            outputs = slice(group * members, (group + 1) * members)
            total[..., outputs] += products[part[:, channel]][..., kernels[outputs, own, y, x]]
    return np.moveaxis(total, -1, 1)


def _taps(x: Codes, window: Pair, stride: Pair) -> Iterator[Codes]:
    """What each position of a window sees, row by row: [N, C, H', W'] each."""
    height, width = ((side - size) // step + 1 for side, size, step in zip(x.shape[2:], window, stride, strict=True))
    for y in range(window[0]):
        for column in range(window[1]):
            yield x[:, :, y : y + height * stride[0] : stride[0], column : column + width * stride[1] : stride[1]][
                :, :, :height, :width
            ]


def _products(layer: QuantisedLayer) -> Integers:
    """The exact product of every pair of codes."""
    a = code_values(layer.operands.activation_width, layer.operands.activation_signed)
    return a[:, None] * code_values(layer.operands.weight_width, signed=True)


def _by_channel(bias: NDArray[np.int32], dimensions: int) -> Integers:
    return bias.astype(np.int64).reshape(-1, *[1] * (dimensions - 2))
