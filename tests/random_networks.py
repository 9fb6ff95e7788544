"""Small networks of all kinds of layers, as a strategy for hypothesis."""

from dataclasses import replace

import numpy as np
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
    Shape,
)
from amhw.network.module import NetworkModule
from amhw.network.network import Network
from amhw.network.quantised import QuantisedNetwork
from amhw.network.real import FloatNetwork

CLASSES = 3


@st.composite
def networks(draw: st.DrawFn, most: int = 6, absolute: bool = True, engine: bool = True) -> Network:
    """A network of convolutions with rectangular kernels, strides and paddings, pools, additions and linear layers.

    Absolute values stand in place of some ReLUs where that is wanted. Without `engine` it may also have what no engine
    of ours runs: groups and padded max-pools; and ceilings.
    """
    builder = _Builder(draw, absolute, engine)
    for _ in range(draw(st.integers(0, most))):
        builder.grow()
    return builder.finished()


class _Builder:
    """Layers so far, and the `loose` ends: outputs that nothing takes yet."""

    def __init__(self, draw: st.DrawFn, absolute: bool, engine: bool) -> None:
        self.draw, self.absolute, self.engine = draw, absolute, engine
        side = st.integers(3, 9)
        self.shapes: dict[str, Shape] = {IMAGE: (draw(st.integers(1, 3)), draw(side), draw(side))}
        self.layers: list[Layer] = []
        self.loose = [IMAGE]

    def append(self, layer: Layer) -> str:
        """Add a layer that says what it takes."""
        assert layer.source is not None
        taken = [layer.source, *layer.others]
        self.shapes[layer.name] = layer.output(*(self.shapes[name] for name in taken))
        self.layers.append(layer)
        self.loose = [name for name in self.loose if name not in taken] + [layer.name]
        return layer.name

    def grow(self) -> None:
        """One more layer of any kind, behind any output that is there."""
        source = self.draw(st.sampled_from(list(self.shapes)))
        down, across = (self.draw(st.integers(1, min(side, 4))) for side in self.shapes[source][1:])
        kind = self.draw(st.sampled_from([Convolution, MaxPool, AveragePool, Add]))
        name = f"{kind.__name__.lower()}{len(self.layers)}"
        if kind is Add:
            alike = [other for other in self.shapes if self.shapes[other] == self.shapes[source]]
            self.append(Add(name, self.draw(st.sampled_from(alike)), source=source))
        elif kind is Convolution:
            strides, paddings = st.integers(1, 2), st.integers(0, 2)
            stride, padding = (self.draw(st.tuples(each, each)) for each in (strides, paddings))
            # PyTorch's own convolution of one channel is wrong for some strides, which would be its floating-point
            # module's fault here: two at least.
            outputs, groups = self.draw(st.integers(2, 4)), 1
            if not self.engine:
                groups = self.draw(st.sampled_from(list({1, self.shapes[source][0]})))
                outputs *= groups
            made = Convolution(name, outputs, (down, across), stride, padding, groups=groups, source=source)
            self.append(made)
        else:
            stride = self.draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
            pool = kind(name, (down, across), stride, source=source)
            if isinstance(pool, MaxPool) and not self.engine:
                padding = self.draw(st.tuples(st.integers(0, down // 2), st.integers(0, across // 2)))
                pool = replace(pool, padding=padding)
            self.append(pool)

    def finished(self) -> Network:
        """With what remains brought to one shape and added, and linear layers behind it."""
        while len(self.loose) > 1:
            ends = [
                self.append(Convolution(f"end{len(self.layers)}", 2, (height, width), source=name))
                for name in self.loose[:2]
                for _, height, width in [self.shapes[name]]
            ]
            self.append(Add(f"sum{len(self.layers)}", ends[1], source=ends[0]))
        self.append(Flatten("flatten", source=self.loose[0]))
        if self.draw(st.booleans()):
            self.append(Linear("hidden", 4, source=self.loose[0]))
        self.append(Linear("logits", CLASSES, relu=False, source=self.loose[0]))
        channels, height, width = self.shapes[IMAGE]
        network = Network("random", (channels, height, width), CLASSES, tuple(self.layers))
        return self.rectified(network)

    def rectified(self, network: Network) -> Network:
        """With a ReLU where codes are multiplied, and anywhere else by chance."""
        multiplied: set[str] = set()

        def backwards(name: str) -> None:
            multiplied.add(name)
            if name != IMAGE and isinstance(network[name], MaxPool | AveragePool | Flatten):
                backwards(network.sources[name][0])

        for layer in network.multiplying:
            backwards(network.sources[layer.name][0])
        layers = [
            replace(layer, relu=layer.name in multiplied or self.draw(st.booleans()))
            if isinstance(layer, Convolution | Linear | Add) and layer is not network.layers[-1]
            else layer
            for layer in network.layers
        ]
        if not self.engine:
            layers = [
                replace(layer, ceiling=self.draw(st.sampled_from([None, 0.25, 6.0])))
                if isinstance(layer, Convolution | Linear | Add) and layer.relu
                else layer
                for layer in layers
            ]
        return replace(network, layers=tuple(map(self.with_an_absolute_value, layers)))

    def with_an_absolute_value(self, layer: Layer) -> Layer:
        """In place of its ReLU, by chance."""
        if not self.absolute or not isinstance(layer, Convolution | Linear) or not layer.relu:
            return layer
        absolute = self.draw(st.booleans())
        ceiling = None if absolute else layer.ceiling
        return replace(layer, relu=not absolute, absolute=absolute, ceiling=ceiling)


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


def with_roundings(network: QuantisedNetwork, random: np.random.Generator | None) -> QuantisedNetwork:
    """The network with an input rounding in every layer, small ones and none; as it is where `random` is None."""
    if random is None:
        return network
    layers = tuple(
        replace(layer, input_rounding=int(random.choice([0, 1, layer.operands.activation_max // 8])))
        for layer in network.layers
    )
    return replace(network, layers=layers)
