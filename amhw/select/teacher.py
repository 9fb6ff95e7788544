"""What the network should compute on some training images: the targets of every choice.

The teacher is the floating-point network (or an integer one taken at its real values). No label is used: what is
wanted of an approximate layer is the teacher's pre-activation at the same place.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch.nn import functional

from amhw.network.quantised import QuantisedNetwork
from amhw.network.real import FloatLayer, FloatNetwork

_PROJECTIONS = 4
_BATCH = 250
_LARGEST_WEIGHT = 20.0
_FLOOR = 0.5


@dataclass(frozen=True, eq=False)
class LayerTargets:
    """One layer of the teacher on all images.

    Attributes:
        sums: float32[N, out, H', W'] or [N, out], pooled pre-activations.
        winners: int64[N, out, H'·W'], which position of the unpooled output each pooled one comes from; None for a
            fully-connected layer.
        weights: float32[N, out, H'·W'], how much an error of each pooled pre-activation matters, mean 1; None where
            it is not used.
    """

    sums: np.ndarray
    winners: np.ndarray | None = None
    weights: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Teacher:
    """The targets of every layer for `images` (uint8[N, H, W], training images).

    The weight of a pre-activation z is (∂/∂z of the logits)², averaged over random combinations of the logits (a
    Hutchinson estimate of the diagonal of JᵀJ), so that errors count where they reach the decision: at the winners
    of the pooling and in live neurons. A share of `_FLOOR` stays on every winner, because a dead neuron must stay dead.
    """

    network: FloatNetwork
    images: np.ndarray = field(repr=False)
    layers: tuple[LayerTargets, ...] = field(repr=False)

    @staticmethod
    def of(network: FloatNetwork, images: np.ndarray, seed: int = 0) -> "Teacher":
        """Run the network forwards and backwards on `images`."""
        generator = torch.Generator().manual_seed(seed)
        parts = [_batch(network, images[start : start + _BATCH], generator) for start in range(0, len(images), _BATCH)]
        layers = []
        for index, layer in enumerate(network.layers):
            sums = np.concatenate([part[index][0] for part in parts])
            if layer.weights.ndim != 4:
                layers.append(LayerTargets(sums))
                continue
            winners = np.concatenate([part[index][1] for part in parts])
            squares = np.concatenate([part[index][2] for part in parts])
            squares = np.minimum(squares, _LARGEST_WEIGHT * squares.mean())
            layers.append(LayerTargets(sums, winners, squares / max(squares.mean(), 1e-30) + _FLOOR))
        return Teacher(network, images, tuple(layers))


def real_valued(network: QuantisedNetwork) -> FloatNetwork:
    """The floating-point network that an integer one approximates: its codes times their scales.

    The scale of each layer's activations follows from the requantisation before it; the first is the pixels'.
    """
    layers = []
    scale = network.layers[0].operands.pixel_scale
    for layer in network.layers:
        unit = scale * layer.weight_scale
        layers.append(FloatLayer(layer.name, layer.weights * layer.weight_scale, layer.bias * unit, layer.geometry))
        if layer.requantisation is not None:
            scale = unit / (layer.requantisation.multiplier * 2.0**-layer.requantisation.shift)
    return FloatNetwork(tuple(layers), network.name)


def _batch(network: FloatNetwork, images: np.ndarray, generator: torch.Generator) -> list[tuple[np.ndarray, ...]]:
    """Pooled sums, winners and squared sensitivities of each layer for some images."""
    x = torch.tensor(images[:, None]).float() / 255
    pooled: list[torch.Tensor] = []
    winners: list[torch.Tensor | None] = []
    for index, layer in enumerate(network.layers):
        entering = torch.relu(x) if index else x
        if layer.weights.ndim == 4:
            y = functional.conv2d(
                entering,
                torch.tensor(layer.weights),
                torch.tensor(layer.bias),
                layer.geometry.stride,
                layer.geometry.padding,
            )
            # A convolution without pooling is its own winner everywhere.
            x, positions = functional.max_pool2d(y, layer.geometry.pool, return_indices=True)
            winners.append(positions.flatten(2))
            if not x.requires_grad:
                x.requires_grad_()
            x.retain_grad()
        else:
            x = layer.sums(entering)
            winners.append(None)
        pooled.append(x)
    squares: list[torch.Tensor | None] = [None] * len(pooled)
    for projection in range(_PROJECTIONS):
        direction = torch.randn(x.shape, generator=generator)
        for z in pooled:
            z.grad = None
        direction -= direction.mean(dim=1, keepdim=True)
        (x * direction).sum().backward(retain_graph=projection < _PROJECTIONS - 1)
        for index, z in enumerate(pooled):
            if winners[index] is not None and z.grad is not None:
                square = squares[index]
                squares[index] = z.grad**2 if square is None else square + z.grad**2
    found = []
    for sums, winner, square in zip(pooled, winners, squares, strict=True):
        arrays = [sums.detach().numpy()]
        if winner is not None and square is not None:
            arrays += [winner.numpy(), square.flatten(2).numpy()]
        found.append(tuple(arrays))
    return found
