"""Small networks for tests: layers one after another."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from amhw.network.layers import Convolution, Flatten, Layer, Linear, MaxPool
from amhw.network.network import Network
from amhw.network.quantised import Operands, QuantisedLayer, QuantisedNetwork
from amhw.network.requantisation import Requantisation


def convolution(
    name: str,
    weights: np.ndarray,
    bias: object,
    requantisation: Requantisation | None,
    operands: Operands = Operands(),  # noqa: B008 (frozen)
    padding: int = 0,
    stride: int = 1,
    rounding: int = 0,
) -> QuantisedLayer:
    """A convolution with these weight codes [out, in, height, width]."""
    outputs, _, height, width = weights.shape
    layer = Convolution(name, outputs, (height, width), (stride, stride), (padding, padding))
    return QuantisedLayer(layer, weights, np.asarray(bias), requantisation, operands, rounding)


def linear(
    name: str,
    weights: np.ndarray,
    bias: object,
    requantisation: Requantisation | None = None,
    operands: Operands = Operands(),  # noqa: B008 (frozen)
) -> QuantisedLayer:
    """A linear layer with these weight codes [out, in]; the last one where nothing is requantised."""
    layer = Linear(name, len(weights), relu=requantisation is not None)
    return QuantisedLayer(layer, weights, np.asarray(bias), requantisation, operands)


def chain(
    layers: Sequence[QuantisedLayer], input_shape: tuple[int, int, int], pools: Sequence[int] = (), name: str = "chain"
) -> QuantisedNetwork:
    """The network of these layers, with a max-pool of so many positions each way after each convolution."""
    structure: list[Layer] = []
    for index, layer in enumerate(layers):
        if layer.is_linear and (not index or not layers[index - 1].is_linear):
            structure.append(Flatten("flatten"))
        structure.append(layer.layer)
        pool = pools[index] if index < len(pools) else 1
        if pool > 1:
            structure.append(MaxPool(f"pool{index + 1}", (pool, pool), (pool, pool)))
    network = Network(name, input_shape, layers[-1].outputs if layers else 1, tuple(structure))
    return QuantisedNetwork(network, tuple(layers), name=name)


def with_layer(network: QuantisedNetwork, index: int, **members: object) -> QuantisedNetwork:
    """The network with members of one layer changed."""
    layers = list(network.layers)
    layers[index] = replace(layers[index], **members)  # type: ignore[arg-type]
    return replace(network, layers=tuple(layers))
