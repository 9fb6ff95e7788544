"""The floating-point network: LeNet-5 and, in general, any sequence of convolutions, ReLUs, max-pools and
linear layers.

LeNet-5 as used here (LeCun et al., "Gradient-based learning applied to document recognition", 1998, with
ReLU and max-pooling): conv1 6@5×5 padding 2 → ReLU → 2×2 max-pool → conv2 16@5×5 → ReLU → 2×2 max-pool → fc1
120 → fc2 84 → fc3 10. The input is the pixel / 255, not standardised, so that zero padding is background.
"""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from amhw.files import read_whole, write_atomically
from amhw.network import archive
from amhw.network.quantised import Geometry
from amhw.refusal import Refusal

_KIND = "float network"


@dataclass(frozen=True, eq=False)
class FloatLayer:
    """A convolution (weights float32[out, in, k, k]) or linear layer (float32[out, in]) with pooling."""

    name: str
    weights: np.ndarray = field(repr=False)
    bias: np.ndarray = field(repr=False)
    geometry: Geometry = field(default_factory=Geometry)

    def __post_init__(self) -> None:
        for member in ("weights", "bias"):
            copy = np.array(getattr(self, member), dtype=np.float32, order="C")
            copy.flags.writeable = False
            object.__setattr__(self, member, copy)

    def sums(self, x: torch.Tensor) -> torch.Tensor:
        """Weighted sums plus bias of inputs [N, in, H, W] or [N, …], pooled, before the ReLU."""
        weights, bias = torch.tensor(self.weights), torch.tensor(self.bias)
        if self.weights.ndim == 2:
            return functional.linear(x.flatten(1), weights, bias)
        y = functional.conv2d(x, weights, bias, self.geometry.stride, self.geometry.padding)
        return functional.max_pool2d(y, self.geometry.pool) if self.geometry.pool > 1 else y

    def module(self) -> nn.Module:
        """The torch layer, without pooling."""
        module: nn.Conv2d | nn.Linear
        if self.weights.ndim == 2:
            module = nn.Linear(self.weights.shape[1], len(self.weights))
        else:
            out, channels, height, width = self.weights.shape
            module = nn.Conv2d(channels, out, (height, width), self.geometry.stride, self.geometry.padding)
        module.load_state_dict({"weight": torch.tensor(self.weights), "bias": torch.tensor(self.bias)})
        return module


@dataclass(frozen=True, eq=False)
class FloatNetwork:
    """A tuple of layers with ReLU between them; saved and identified like a quantised network."""

    layers: tuple[FloatLayer, ...]
    name: str = "network"

    @property
    def layer_names(self) -> tuple[str, ...]:
        return tuple(layer.name for layer in self.layers)

    @property
    def convolutions(self) -> tuple[str, ...]:
        """Names of the convolution layers."""
        return tuple(layer.name for layer in self.layers if layer.weights.ndim == 4)

    def logits(self, images: np.ndarray, batch: int = 500) -> np.ndarray:
        """Logits float32[N, classes] of uint8 images [N, H, W]."""
        parts = []
        with torch.no_grad():
            for start in range(0, len(images), batch):
                x = torch.tensor(images[start : start + batch, None]).float() / 255
                for index, layer in enumerate(self.layers):
                    x = layer.sums(torch.relu(x) if index else x)
                parts.append(x.numpy())
        return np.concatenate(parts)

    def to_bytes(self) -> bytes:
        """The file's content."""
        layers = [{"name": layer.name, "geometry": vars(layer.geometry)} for layer in self.layers]
        arrays = {}
        for layer in self.layers:
            arrays[f"{layer.name}.weights"] = layer.weights
            arrays[f"{layer.name}.bias"] = layer.bias
        return archive.pack({"kind": _KIND, "name": self.name, "layers": layers}, arrays)

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def save(self, path: Path | str) -> Path:
        """Write the file (atomically).

        Raises:
            Refusal: the path cannot be written.
        """
        return write_atomically(path, self.to_bytes())

    @staticmethod
    def load(path: Path | str) -> "FloatNetwork":
        """Read a float network.

        Raises:
            Refusal: the file is unreadable or something else.
        """
        header, arrays = archive.unpack(read_whole(path), str(path), _KIND)
        try:
            layers = tuple(
                FloatLayer(
                    layer["name"],
                    arrays[f"{layer['name']}.weights"],
                    arrays[f"{layer['name']}.bias"],
                    Geometry(**layer["geometry"]),
                )
                for layer in header["layers"]
            )
            return FloatNetwork(layers, header["name"])
        except (KeyError, TypeError) as error:
            raise Refusal(f"{path} is a damaged {_KIND} file: {error} is missing or unknown") from error

    def model(self) -> nn.Sequential:
        """The torch model that `of` takes; its layers have their names."""
        modules: dict[str, nn.Module] = {}
        for index, layer in enumerate(self.layers):
            if index:
                modules[f"relu{index}"] = nn.ReLU()
                if layer.weights.ndim == 2 and self.layers[index - 1].weights.ndim == 4:
                    modules["flatten"] = nn.Flatten()
            modules[layer.name] = layer.module()
            if layer.geometry.pool > 1:
                modules[f"pool{index + 1}"] = nn.MaxPool2d(layer.geometry.pool)
        return nn.Sequential(OrderedDict(modules))

    @staticmethod
    def of(model: nn.Sequential, name: str = "network") -> "FloatNetwork":
        """The value of a torch model made of Conv2d, Linear, ReLU, MaxPool2d and Flatten.

        Layers are named conv1, conv2, … and fc1, fc2, … in order.

        Raises:
            Refusal: a module is of another kind, or set up in a way that the integer layers do not have.
        """
        layers: list[FloatLayer] = []
        counts = {"conv": 0, "fc": 0}
        rectified = True
        for module in model:
            if isinstance(module, nn.Conv2d | nn.Linear):
                if not rectified:
                    raise Refusal(
                        f"{layers[-1].name} feeds {module} without a ReLU; every layer but the last wants one"
                    )
                rectified = False
            match module:
                case nn.Conv2d():
                    layers.append(_convolution(module, _next("conv", counts)))
                case nn.Linear():
                    layers.append(_of_parameters(module, _next("fc", counts), Geometry()))
                case nn.MaxPool2d() if layers and module.kernel_size == module.stride and module.padding == 0:
                    last = layers[-1]
                    pool = int(np.max(module.kernel_size))
                    geometry = Geometry(last.geometry.padding, last.geometry.stride, last.geometry.pool * pool)
                    layers[-1] = FloatLayer(last.name, last.weights, last.bias, geometry)
                case nn.ReLU():
                    rectified = True
                case nn.Flatten():
                    pass
                case _:
                    raise Refusal(
                        f"cannot take {module}: wanted Conv2d, Linear, ReLU, Flatten or, after Conv2d, "
                        "a MaxPool2d whose stride is its window"
                    )
        return FloatNetwork(tuple(layers), name)


def lenet5() -> nn.Sequential:
    """LeNet-5 with torch's initial weights (seed with `torch.manual_seed`)."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )


def _next(kind: str, counts: dict[str, int]) -> str:
    counts[kind] += 1
    return f"{kind}{counts[kind]}"


def _convolution(module: nn.Conv2d, name: str) -> FloatLayer:
    square = {len(set(pair)) for pair in (module.kernel_size, module.stride, module.padding)} == {1}
    if not square or module.groups != 1 or set(module.dilation) != {1} or module.padding_mode != "zeros":
        raise Refusal(f"{name}: wanted a square convolution with zero padding, one group and no dilation, not {module}")
    return _of_parameters(module, name, Geometry(int(module.padding[0]), int(module.stride[0])))


def _of_parameters(module: nn.Conv2d | nn.Linear, name: str, geometry: Geometry) -> FloatLayer:
    weights = module.weight.detach().numpy()
    bias = np.zeros(len(weights)) if module.bias is None else module.bias.detach().numpy()
    return FloatLayer(name, weights, bias, geometry)
