"""A network in floating point: its layers' real weights and biases.

The pixels enter as pixel / 255, not standardised, so that zero padding is black.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import nn

from amhw.files import read_whole
from amhw.network import archive
from amhw.network.layers import Convolution, Flatten, Layer, Linear, MaxPool
from amhw.network.module import NetworkModule
from amhw.network.network import Multiplying, Network
from amhw.network.quantised import QuantisedNetwork
from amhw.network.weighted import WeightedNetwork
from amhw.refusal import Refusal
from amhw.table import ProductTable


@dataclass(frozen=True, eq=False)
class FloatLayer:
    """Weights float32[out, in / groups, height, width] of a convolution or float32[out, in] of a linear layer, bias
    float32[out]."""

    layer: Multiplying
    weights: np.ndarray = field(repr=False)
    bias: np.ndarray = field(repr=False)

    def __post_init__(self) -> None:
        for member in ("weights", "bias"):
            copy = np.array(getattr(self, member), dtype=np.float32, order="C")
            copy.flags.writeable = False
            object.__setattr__(self, member, copy)

    @property
    def name(self) -> str:
        return self.layer.name


@dataclass(frozen=True, eq=False)
class FloatNetwork(WeightedNetwork[FloatLayer]):
    """A network with real weights; saved and identified like a quantised one."""

    KIND = "float network"

    def logits(self, images: np.ndarray, batch: int = 500) -> np.ndarray:
        """Logits float32[N, classes] of uint8 images [N, C, H, W]."""
        module = self.module().eval()
        parts = []
        with torch.no_grad():
            for start in range(0, len(images), batch):
                parts.append(module(pixels(images[start : start + batch])).numpy())
        return np.concatenate(parts)

    def _constants(self) -> dict[str, Any]:
        return {}

    @classmethod
    def _made(cls, network: Network, name: str, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        layers = tuple(
            FloatLayer(layer, arrays[f"{layer.name}.weights"], arrays[f"{layer.name}.bias"])
            for layer in network.multiplying
        )
        return cls(network, layers, name)

    def module(self) -> NetworkModule:
        """The torch model with these weights, its modules called as the layers are."""
        module = NetworkModule(self.network)
        module.load_state_dict(
            {
                f"{layer.name}.{member}": torch.tensor(array)
                for layer in self.layers
                for member, array in (("weight", layer.weights), ("bias", layer.bias))
            }
        )
        return module

    @staticmethod
    def of(model: nn.Module, input_shape: tuple[int, int, int] | None = None, name: str = "network") -> "FloatNetwork":
        """The value of a `NetworkModule`, or of an `nn.Sequential` of Conv2d, Linear, ReLU, MaxPool2d and Flatten.

        Layers of an `nn.Sequential` are named conv1, conv2, … and fc1, fc2, … in order; `input_shape` says what it
        takes.

        Raises:
            Refusal: a module is of another kind, or set up in a way that the integer layers do not have; or there is no
                `input_shape` where it is needed.
        """
        if isinstance(model, NetworkModule):
            modules = dict(model.named_children())
            return FloatNetwork(
                model.network,
                tuple(_of_parameters(layer, modules[layer.name]) for layer in model.network.multiplying),
                name,
            )
        if not isinstance(model, nn.Sequential):
            raise Refusal(f"cannot take a {type(model).__name__}; wanted an nn.Sequential of layers")
        if input_shape is None:
            raise Refusal("say what the model takes: input_shape=(channels, height, width)")
        return _of_sequential(model, input_shape, name)


def load_network(path: Path | str) -> FloatNetwork | QuantisedNetwork:
    """The network in a file, whichever of the two kinds it holds.

    Raises:
        Refusal: the file is unreadable or holds no network.
    """
    data = read_whole(path)
    if archive.kind_of(data) == FloatNetwork.KIND:
        return FloatNetwork.of_bytes(data, str(path))
    return QuantisedNetwork.of_bytes(data, str(path))


def real_valued(network: QuantisedNetwork, tables: Mapping[str, ProductTable] | None = None) -> FloatNetwork:
    """The real weights and biases that the codes of `network` stand for.

    A weight code stands for its own value, times the scale; in a layer with a product table T for the value β that its
    products come nearest to, T[a, w] ≈ a·β(w): β(w) = Σ_a T[a, w]·a / Σ_a a².
    """
    layers = []
    for layer in network.layers:
        values = layer.weights.astype(np.float64)
        if tables is not None and layer.name in tables:
            table = tables[layer.name]
            a = table.values_a.astype(np.float64)
            values = (a @ table.products / (a @ a))[layer.weight_codes].reshape(layer.weights.shape)
        layers.append(FloatLayer(layer.layer, values * layer.weight_scale, layer.bias * layer.unit))
    return FloatNetwork(network.network, tuple(layers), network.name)


def pixels(images: np.ndarray) -> torch.Tensor:
    """float32[N, C, H, W] in 0…1 of uint8 images."""
    return torch.tensor(np.asarray(images)).float() / 255


def _of_sequential(model: nn.Sequential, input_shape: tuple[int, int, int], name: str) -> FloatNetwork:
    layers: list[Layer] = []
    modules: list[nn.Module] = []
    counts = {"conv": 0, "fc": 0, "pool": 0, "flatten": 0}

    def named(kind: str) -> str:
        counts[kind] += 1
        return f"{kind}{counts[kind]}"

    parts = list(model)
    for index, module in enumerate(parts):
        rectified = isinstance(_next(parts, index), nn.ReLU)
        match module:
            case nn.Conv2d():
                layers.append(_convolution(module, named("conv"), rectified))
                modules.append(module)
            case nn.Linear():
                layers.append(Linear(named("fc"), module.out_features, rectified))
                modules.append(module)
            case nn.MaxPool2d() if layers and module.padding == 0 and module.dilation == 1 and not module.ceil_mode:
                layers.append(MaxPool(named("pool"), _two(module.kernel_size), _two(module.stride)))
            case nn.Flatten():
                layers.append(Flatten(named("flatten")))
            case nn.ReLU() | nn.Dropout() | nn.Identity():
                pass
            case _:
                raise Refusal(
                    f"cannot take {module}: wanted Conv2d, Linear, ReLU, Flatten, Dropout or, after Conv2d, a "
                    "MaxPool2d without padding"
                )
    shapeless = [layer for layer in layers if isinstance(layer, Multiplying)]
    for layer in shapeless[:-1]:
        if not layer.relu:
            raise Refusal(f"{layer.name} feeds the next layer without a ReLU; every layer but the last wants one")
    network = Network(name, input_shape, shapeless[-1].outputs if shapeless else 1, tuple(layers))
    found = tuple(_of_parameters(layer, module) for layer, module in zip(network.multiplying, modules, strict=True))
    return FloatNetwork(network, found, name)


def _next(parts: list[nn.Module], index: int) -> nn.Module | None:
    """The first module after this one that is neither pooling nor without effect, through which a ReLU can be moved."""
    passed = (nn.MaxPool2d, nn.Flatten, nn.Dropout, nn.Identity)
    return next((part for part in parts[index + 1 :] if not isinstance(part, passed)), None)


def _convolution(module: nn.Conv2d, name: str, relu: bool) -> Convolution:
    if set(module.dilation) != {1} or module.padding_mode != "zeros" or isinstance(module.padding, str):
        raise Refusal(f"{name}: wanted a convolution with zero padding and no dilation, not {module}")
    return Convolution(
        name,
        module.out_channels,
        _two(module.kernel_size),
        _two(module.stride),
        _two(module.padding),
        relu,
        groups=module.groups,
    )


def _two(sizes: int | tuple[int, ...]) -> tuple[int, int]:
    return (sizes, sizes) if isinstance(sizes, int) else (int(sizes[0]), int(sizes[-1]))


def _of_parameters(layer: Multiplying, module: nn.Module) -> FloatLayer:
    assert isinstance(module, nn.Conv2d | nn.Linear)
    weights = module.weight.detach().cpu().numpy()
    bias = np.zeros(len(weights)) if module.bias is None else module.bias.detach().cpu().numpy()
    return FloatLayer(layer, weights, bias)
