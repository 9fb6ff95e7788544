"""A network as a torch model."""

import torch
from torch import nn

from amhw.network.layers import IMAGE, Add, AveragePool, Convolution, Flatten, Layer, Linear, MaxPool, Rectifying
from amhw.network.network import Network
from amhw.refusal import Refusal


class Sum(nn.Module):
    """What an `Add` computes."""

    def forward(self, x: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return x + other


class NetworkModule(nn.Module):
    """Computes logits [N, classes] of pixels [N, C, H, W]; one child a layer, called as the layer is.

    Weights are torch's initial ones (seed with `torch.manual_seed`), drawn in the order of the layers.

    Raises:
        Refusal: a layer is called as something that every torch module has.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        for layer in network.layers:
            if hasattr(self, layer.name):
                raise Refusal(f"a layer cannot be called {layer.name}: PyTorch's modules have something of that name")
            self.add_module(layer.name, _module(layer, network))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        network = self.network
        values = {IMAGE: x}
        left = {name: len(consumers) for name, consumers in network.consumers.items()}
        for layer in network.layers:
            inputs = [values[name] for name in network.sources[layer.name]]
            part = self.get_submodule(layer.name)
            # A part that gives codes ends at its greatest one and not at a ceiling: a learnt scale may have moved it.
            gives_codes = getattr(part, "output", None) is not None
            values[layer.name] = activated(layer, part(*inputs), ceiling=not gives_codes)
            for name in network.sources[layer.name]:
                left[name] -= 1
                if not left[name]:
                    del values[name]
        return values[network.layers[-1].name]


def activated(layer: Layer, x: torch.Tensor, *, ceiling: bool = True) -> torch.Tensor:
    """What leaves a layer that computes x: max(x, 0) with a ReLU, under its ceiling; |x| with an absolute value; else
    x."""
    if isinstance(layer, Rectifying) and layer.relu:
        return torch.relu(x) if layer.ceiling is None or not ceiling else x.clamp(0, layer.ceiling)
    return x.abs() if isinstance(layer, Convolution | Linear) and layer.absolute else x


def _module(layer: Layer, network: Network) -> nn.Module:
    taken = network.shapes[network.sources[layer.name][0]]
    match layer:
        case Convolution():
            return nn.Conv2d(taken[0], layer.outputs, layer.kernel, layer.stride, layer.padding, groups=layer.groups)
        case Linear():
            return nn.Linear(taken[0], layer.outputs)
        case MaxPool():
            return nn.MaxPool2d(layer.window, layer.stride, layer.padding)
        case AveragePool():
            return nn.AvgPool2d(layer.window, layer.stride)
        case Add():
            return Sum()
        case Flatten():
            return nn.Flatten()
    raise AssertionError(f"no module for {layer}")
