"""Which neurons matter: guessed from gradients, and what the exhaustive campaign says.

The vulnerability of an output (a neuron of a linear layer, a channel of a convolution) is the loss that flips of its
stored bits are expected to add, to first order: for each of its words, the mean size of the change that the flip of a
bit makes to it, times the mean of |∂L/∂w| over training images, where L is the cross-entropy of the real-valued
network:

    V = Σ_words E min(|Δw|, R) · E|∂L/∂w|

R is what an output can do with a change: higher bits of a bias are beyond the clamp of the codes, and all alike.
No fault is injected. It is in the sense of the neuron vulnerability factor of Ahmadilivani, Taheri, Raik, Daneshtalab
and Jenihhin, "DeepVigor: vulnerability value ranges and factors for DNNs' reliability assessment", ETS 2023, which is
found from gradients too.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from amhw.datasets import DataSet
from amhw.faults.memories import memories
from amhw.faults.models import MODELS
from amhw.network.inference import Inference
from amhw.network.quantised import QuantisedNetwork
from amhw.network.real import pixels, real_valued
from amhw.table import ProductTable

BATCH = 50
"""Images whose gradients are averaged before their size is taken."""


def vulnerability(
    network: QuantisedNetwork, tables: Mapping[str, ProductTable], data: DataSet
) -> dict[str, np.ndarray]:
    """V of every output of every layer that multiplies: float64[out]."""
    module = real_valued(network, tables).module().double()
    size: dict[str, torch.Tensor] = {}
    labels = torch.from_numpy(data.labels.astype(np.int64))
    for start in range(0, len(data), BATCH):
        part = slice(start, start + BATCH)
        module.zero_grad()
        functional.cross_entropy(module(pixels(data.images[part]).double()), labels[part]).backward()
        for name, parameter in module.named_parameters():
            assert parameter.grad is not None
            size[name] = size.get(name, torch.zeros_like(parameter)) + parameter.grad.abs()
    logits = float(np.abs(Inference(network, tables).logits(data.images)).max())
    found: dict[str, np.ndarray] = {}
    for memory in memories(network, ["weights", "bias"]):
        layer = network[memory.layer]
        change = np.abs(memory.faulty(MODELS["flip"]) - memory.values[:, None])
        if memory.kind == "bias":
            change = np.minimum(change, span(network, memory.layer, logits))
        change = change.mean(axis=1)
        unit = layer.weight_scale if memory.kind == "weights" else layer.unit
        gradient = size[f"{memory.layer}.{'weight' if memory.kind == 'weights' else 'bias'}"].numpy().reshape(-1)
        value = (change * unit * gradient).reshape(layer.outputs, -1).sum(axis=1)
        found[memory.layer] = found.get(memory.layer, np.zeros(layer.outputs)) + value
    return found


def span(network: QuantisedNetwork, name: str, logits: float) -> float:
    """R of a layer in units of its accumulator: the sums of all codes; the greatest of the `logits` in the last one."""
    requantisation = network[name].requantisation
    return logits if requantisation is None else requantisation.maximum / requantisation.scale


@dataclass(frozen=True)
class Agreement:
    """How well a ranking meets the truth.

    Attributes:
        correlation: Spearman's, of ranks.
        covered: by share of the outputs taken, the share of all harm that these have.
        best: the same of the best ranking there is, the truth's own.
    """

    correlation: float
    covered: dict[float, float]
    best: dict[float, float]


def agreement(guess: np.ndarray, truth: np.ndarray, shares: tuple[float, ...] = (0.05, 0.1, 0.2, 0.5)) -> Agreement:
    """Of a guess about some outputs with the harm that they have.

    >>> agreement(np.array([3.0, 2.0, 1.0, 0.0]), np.array([5.0, 0.0, 3.0, 2.0]), (0.25, 0.5)).covered
    {0.25: 0.5, 0.5: 0.5}
    """
    ranks = [_ranks(each) for each in (guess, truth)]
    correlation = float(np.corrcoef(ranks)[0, 1])

    def covered(order: np.ndarray) -> dict[float, float]:
        total = max(truth.sum(), np.finfo(float).tiny)
        return {share: float(truth[order[: max(1, round(share * len(truth)))]].sum() / total) for share in shares}

    return Agreement(correlation, covered(np.argsort(-guess)), covered(np.argsort(-truth)))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Equal values share the mean of their ranks."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    found: np.ndarray = (ends - (counts - 1) / 2)[place]
    return found
