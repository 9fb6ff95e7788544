"""What the network should compute on some training images: the targets of every choice.

The teacher is the floating-point network (or an integer one taken at its real values). No label is used: what is
wanted of an approximate layer is the teacher's pre-activation at the same place.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.nn import functional

from amhw.network.layers import IMAGE, Convolution
from amhw.network.real import FloatNetwork, pixels

_PROJECTIONS = 4
_BATCH = 250
_LARGEST_WEIGHT = 20.0
_FLOOR = 0.5


@dataclass(frozen=True, eq=False)
class LayerTargets:
    """One layer of the teacher on all images.

    Attributes:
        sums: float32[N, out, H', W'] or [N, out], pre-activations, after the max-pool that alone takes them.
        winners: int64[N, out, H'·W'], which position of the unpooled output each pooled one comes from; None for a
            linear layer.
        weights: float32[N, out, H'·W'], how much an error of each pooled pre-activation matters, mean 1; None where
            it is not used.
    """

    sums: np.ndarray
    winners: np.ndarray | None = None
    weights: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Teacher:
    """The targets of every layer that multiplies, for `images` (uint8[N, C, H, W], training images).

    The weight of a pre-activation z is (∂/∂z of the logits)², averaged over random combinations of the logits (a
    Hutchinson estimate of the diagonal of JᵀJ), so that errors count where they reach the decision: at the winners
    of the pooling and in live neurons. A share of `_FLOOR` stays on every winner, because a dead neuron must stay dead.
    """

    network: FloatNetwork
    images: np.ndarray = field(repr=False)
    layers: Mapping[str, LayerTargets] = field(repr=False)

    @staticmethod
    def of(network: FloatNetwork, images: np.ndarray, seed: int = 0) -> "Teacher":
        """Run the network forwards and backwards on `images`."""
        generator = torch.Generator().manual_seed(seed)
        parts = [_batch(network, images[start : start + _BATCH], generator) for start in range(0, len(images), _BATCH)]
        layers = {}
        for name in network.layer_names:
            sums = np.concatenate([part[name][0] for part in parts])
            if name not in network.convolutions:
                layers[name] = LayerTargets(sums)
                continue
            winners = np.concatenate([part[name][1] for part in parts])
            squares = np.concatenate([part[name][2] for part in parts])
            squares = np.minimum(squares, _LARGEST_WEIGHT * squares.mean())
            layers[name] = LayerTargets(sums, winners, squares / max(squares.mean(), 1e-30) + _FLOOR)
        return Teacher(network, images, layers)


def _batch(network: FloatNetwork, images: np.ndarray, generator: torch.Generator) -> dict[str, tuple[np.ndarray, ...]]:
    """Pooled sums, winners and squared sensitivities of each layer that multiplies, for some images."""
    structure, module = network.network, network.module().requires_grad_(False)
    values: dict[str, torch.Tensor] = {IMAGE: pixels(images)}
    pre_activations: dict[str, torch.Tensor] = {}
    winners: dict[str, torch.Tensor] = {}
    for layer in structure.layers:
        if layer.name in values:
            continue  # a pool that was taken together with the layer before it
        inputs = [values[name] for name in structure.sources[layer.name]]
        leaving = layer.name
        z = module.get_submodule(layer.name)(*inputs)
        if layer.name in structure.layer_names:
            pool = structure.pool_of(layer.name)
            if isinstance(layer, Convolution):
                # A convolution without pooling is its own winner everywhere.
                window, stride = ((1, 1), (1, 1)) if pool is None else (pool.window, pool.stride)
                z, positions = functional.max_pool2d(z, window, stride, return_indices=True)
                winners[layer.name] = positions.flatten(2)
            leaving = structure.leaving(layer.name)
            if not z.requires_grad:
                z.requires_grad_()
            z.retain_grad()
            pre_activations[layer.name] = z
        values[leaving] = values[layer.name] = torch.relu(z) if getattr(layer, "relu", False) else z
    x = values[structure.layers[-1].name]
    squares: dict[str, torch.Tensor] = {}
    for projection in range(_PROJECTIONS):
        direction = torch.randn(x.shape, generator=generator)
        for z in pre_activations.values():
            z.grad = None
        direction -= direction.mean(dim=1, keepdim=True)
        (x * direction).sum().backward(retain_graph=projection < _PROJECTIONS - 1)
        for name in winners:
            gradient = pre_activations[name].grad
            assert gradient is not None, "every layer reaches the logits"
            squares[name] = gradient**2 if name not in squares else squares[name] + gradient**2
    return {
        name: (
            (z.detach().numpy(), winners[name].numpy(), squares[name].flatten(2).numpy())
            if name in winners
            else (z.detach().numpy(),)
        )
        for name, z in pre_activations.items()
    }
