"""Small networks of all kinds of layers, as a strategy for hypothesis."""

from dataclasses import replace
from typing import Any

import torch
from hypothesis import strategies as st

from amhw.network.layers import (
    IMAGE,
    Add,
    AveragePool,
    Convolution,
    Flatten,
    Layer,
    Linear,
    MaxPool,
)
from amhw.network.module import NetworkModule
from amhw.network.network import Network
from amhw.network.real import FloatNetwork

CLASSES = 3


@st.composite
def networks(draw: st.DrawFn, most: int = 6) -> Network:
    """A network of convolutions with rectangular kernels, strides and paddings, pools, additions and linear layers.

    Outputs that nothing takes yet are the `loose` ends; additions join two of one shape, and at last what remains is
    brought to one shape and added.
    """
    shapes: dict[str, tuple[int, int, int]] = {
        IMAGE: (draw(st.integers(1, 3)), draw(st.integers(3, 9)), draw(st.integers(3, 9)))
    }
    layers: list[Layer] = []
    loose = [IMAGE]

    def append(kind: type[Layer], *arguments: Any, source: str) -> str:
        name = f"{kind.__name__.lower()}{len(layers)}"
        layer = kind(name, *arguments, source=source)
        taken = [source, *layer.others]
        channels, height, width = (*layer.output(*(shapes[each] for each in taken)), 1, 1)[:3]
        shapes[name] = channels, height, width
        layers.append(layer)
        loose[:] = [each for each in loose if each not in taken] + [name]
        return name

    def side(most: int) -> int:
        return draw(st.integers(1, min(most, 4)))

    def pair(source: str, least: int = 1) -> tuple[int, ...]:
        return tuple(max(least, side(each)) for each in shapes[source][1:])

    def convolution(source: str) -> None:
        steps, padding = (draw(st.tuples(st.integers(low, 2), st.integers(low, 2))) for low in (1, 0))
        append(Convolution, draw(st.integers(2, 4)), pair(source), steps, padding, source=source)

    def pool(kind: type[Layer], source: str) -> None:
        append(kind, pair(source), draw(st.tuples(st.integers(1, 3), st.integers(1, 3))), source=source)

    for _ in range(draw(st.integers(0, most))):
        source = draw(st.sampled_from(list(shapes)))
        match draw(st.sampled_from(["convolution", "max", "average", "add"])):
            case "convolution":
                convolution(source)
            case "max":
                pool(MaxPool, source)
            case "average":
                pool(AveragePool, source)
            case "add":
                others = [name for name in shapes if shapes[name] == shapes[source]]
                append(Add, draw(st.sampled_from(others)), source=source)
    while len(loose) > 1:
        first, second = (append(Convolution, 2, shapes[name][1:], source=name) for name in loose[:2])
        append(Add, second, source=first)
    append(Flatten, source=loose[0])
    if draw(st.booleans()):
        append(Linear, 4, source=loose[0])
    append(Linear, CLASSES, source=loose[0])
    last = replace(layers[-1], relu=False)  # type: ignore[call-arg]
    network = Network("random", shapes[IMAGE], CLASSES, (*layers[:-1], last))
    return rectified(network, draw)


def rectified(network: Network, draw: st.DrawFn) -> Network:
    """With a ReLU where codes are multiplied, and anywhere else by chance."""
    multiplied: set[str] = set()

    def backwards(name: str) -> None:
        multiplied.add(name)
        if name != IMAGE and isinstance(network[name], MaxPool | AveragePool | Flatten):
            backwards(network.sources[name][0])

    for layer in network.multiplying:
        backwards(network.sources[layer.name][0])
    layers = [
        replace(layer, relu=layer.name in multiplied or draw(st.booleans()))
        if isinstance(layer, Convolution | Linear | Add) and layer is not network.layers[-1]
        else layer
        for layer in network.layers
    ]
    return replace(network, layers=tuple(layers))


def with_weights(network: Network, seed: int) -> FloatNetwork:
    """Torch's initial weights, with biases that make channels differ."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = NetworkModule(network)
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                if name.endswith("bias"):
                    parameter.normal_(0, 0.1)
    return FloatNetwork.of(module)
