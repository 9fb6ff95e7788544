"""What the network should compute on some training images: the targets of every choice.

The teacher is the floating-point network (or an integer one taken at its real values). No label is used: what is
wanted of an approximate layer is the teacher's pre-activation at the same place.

Floats are added in 64 bits and what comes out is rounded to a grid that is far coarser than what the order of additions
changes, so that the targets are the same bits on any machine and with any number of threads.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.nn import functional

from amhw.network.layers import IMAGE, Convolution
from amhw.network.module import activated
from amhw.network.real import FloatNetwork, pixels

_PROJECTIONS = 4
_BATCH = 250
_LARGEST_WEIGHT = 20.0
_FLOOR = 0.5

_DECIMALS = 5
"""Of targets; a logit that is moved by so little changes nothing."""


@dataclass(frozen=True, eq=False)
class LayerTargets:
    """One layer of the teacher on all images.

    Attributes:
        sums: float32[N, out, H', W'] or [N, out], pre-activations, after the max-pool that alone takes them.
        winners: int64[N, out, H'·W'], which position of the unpooled output each pooled one comes from; None where no
            max-pool takes them.
        weights: float32[N, out, H'·W'], or float32[N] of a linear layer, how much an error of each (pooled)
            pre-activation matters, mean 1 + `_FLOOR`; None where it is not used.
        inputs: float32[N, in], what enters a linear layer; None for a convolution.
    """

    sums: np.ndarray
    winners: np.ndarray | None = None
    weights: np.ndarray | None = None
    inputs: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Teacher:
    """The targets of every layer that multiplies, for `images` (uint8[N, C, H, W], training images).

    A convolution's are those of the first images only, as many as `Teacher.of` was told: it sees many windows in each.

    The weight of a pre-activation z is (∂/∂z of the logits)², averaged over random combinations of the logits (a
    Hutchinson estimate of the diagonal of JᵀJ), so that errors count where they reach the decision: at the winners
    of the pooling, or at all places where there is none, and in live neurons. A share of `_FLOOR` stays on each,
    because a dead neuron must stay dead.
    """

    network: FloatNetwork
    images: np.ndarray = field(repr=False)
    layers: Mapping[str, LayerTargets] = field(repr=False)

    @staticmethod
    def of(network: FloatNetwork, images: np.ndarray, convolved: int | None = None, seed: int = 0) -> "Teacher":
        """Run the network forwards, and on the first `convolved` images (default: all) backwards."""
        generator = torch.Generator().manual_seed(seed)
        first = images[:convolved]
        parts = [_batch(network, some, generator) for some in _batches(first)]
        every = parts + [_batch(network, some, None) for some in _batches(images[len(first) :])]
        layers = {}
        doubts = _doubts(np.concatenate([part[network.network.layers[-1].name][0] for part in every]))
        for name in network.layer_names:
            if name not in network.convolutions:
                sums, inputs = (np.concatenate([part[name][k] for part in every]) for k in (0, 1))
                layers[name] = LayerTargets(sums, inputs=inputs, weights=doubts)
                continue
            sums = np.concatenate([part[name][0] for part in parts])
            squares = np.concatenate([part[name][1] for part in parts])
            pooled = network.network.pool_of(name) is not None
            winners = np.concatenate([part[name][2] for part in parts]) if pooled else None
            squares = np.minimum(squares, _LARGEST_WEIGHT * squares.mean())
            layers[name] = LayerTargets(sums, winners, steady(squares / max(squares.mean(), 1e-30) + _FLOOR))
        return Teacher(network, images, layers)


def _doubts(logits: np.ndarray) -> np.ndarray:
    """How much an error of each image's logits matters, mean 1 + `_FLOOR`: the trace of the Fisher information,
    1 − Σp², limited like that of a convolution's pre-activations."""
    p = torch.softmax(torch.tensor(logits, dtype=torch.float64), dim=1).numpy()
    doubt = 1 - (p**2).sum(axis=1)
    doubt = np.minimum(doubt, _LARGEST_WEIGHT * doubt.mean())
    return steady(doubt / max(doubt.mean(), 1e-30) + _FLOOR)


def steady(values: np.ndarray) -> np.ndarray:
    """float32 values without the digits that depend on the order of additions."""
    return np.asarray(np.round(values.astype(np.float64), _DECIMALS).astype(np.float32))


def logits_of(network: FloatNetwork, images: np.ndarray) -> np.ndarray:
    """A teacher's logits float32[N, classes] for uint8[N, C, H, W], the same on any machine."""
    module = network.module().double().eval()
    with torch.no_grad():
        parts = [module(pixels(some).double()).numpy() for some in _batches(images)]
    return steady(np.concatenate(parts))


def _batches(images: np.ndarray) -> list[np.ndarray]:
    return [images[start : start + _BATCH] for start in range(0, len(images), _BATCH)]


def _batch(
    network: FloatNetwork, images: np.ndarray, generator: torch.Generator | None
) -> dict[str, tuple[np.ndarray, ...]]:
    """Of each linear layer, for some images: sums and what enters it; of a convolution, unless there is no generator,
    pooled sums, squared sensitivities and, if it has a pool, winners."""
    structure, module = network.network, network.module().double().requires_grad_(False)
    values: dict[str, torch.Tensor] = {IMAGE: pixels(images).double()}
    entering: dict[str, np.ndarray] = {}
    pre_activations: dict[str, torch.Tensor] = {}
    winners: dict[str, torch.Tensor] = {}
    convolutions: list[str] = []
    for layer in structure.layers:
        if layer.name in values:
            continue  # a pool that was taken together with the layer before it
        inputs = [values[name] for name in structure.sources[layer.name]]
        leaving = layer.name
        z = module.get_submodule(layer.name)(*inputs)
        if layer.name in structure.layer_names:
            pool = structure.pool_of(layer.name)
            if isinstance(layer, Convolution):
                convolutions.append(layer.name)
                if pool is not None:  # positions are those before padding
                    z, positions = functional.max_pool2d(z, pool.window, pool.stride, pool.padding, return_indices=True)
                    winners[layer.name] = positions.flatten(2)
            else:
                entering[layer.name] = steady(inputs[0].detach().numpy())
            leaving = structure.leaving(layer.name)
            if generator is not None:
                if not z.requires_grad:
                    z.requires_grad_()
                z.retain_grad()
            pre_activations[layer.name] = z
        values[leaving] = values[layer.name] = activated(layer, z)
    found: dict[str, tuple[np.ndarray, ...]] = {
        name: (steady(pre_activations[name].detach().numpy()), codes) for name, codes in entering.items()
    }
    if generator is None:
        return found
    x = values[structure.layers[-1].name]
    squares: dict[str, torch.Tensor] = {}
    for projection in range(_PROJECTIONS):
        direction = torch.randn(x.shape, generator=generator).double()
        for z in pre_activations.values():
            z.grad = None
        direction -= direction.mean(dim=1, keepdim=True)
        (x * direction).sum().backward(retain_graph=projection < _PROJECTIONS - 1)
        for name in convolutions:
            gradient = pre_activations[name].grad
            assert gradient is not None, "every layer reaches the logits"
            squares[name] = gradient**2 if name not in squares else squares[name] + gradient**2
    for name in convolutions:
        found[name] = steady(pre_activations[name].detach().numpy()), squares[name].flatten(2).numpy()
        if name in winners:
            found[name] += (winners[name].numpy(),)
    return found
