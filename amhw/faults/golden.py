"""What a network computes without a fault, kept for a part of the images: what every fault is compared with, and all
that it does not change."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from amhw.datasets import DataSet
from amhw.network.inference import LayerSums, averaged, finish, pooled
from amhw.network.layers import IMAGE, Add, AveragePool, Convolution, Flatten, Linear, MaxPool
from amhw.network.quantised import QuantisedLayer, QuantisedNetwork
from amhw.network.requantisation import Addition, Requantisation
from amhw.refusal import Refusal
from amhw.table import ProductTable, code_values

CHUNK = 512
"""Images of a part."""


@dataclass(frozen=True, eq=False)
class Golden:
    """Everything that leaves the layers for some images.

    Attributes:
        codes: what leaves each layer, and the image; after `Network.pool_of` only what leaves the pool.
        seen: what the multipliers of each layer see: rounded, padded codes uint8[N, in, H, W] or [N, in].
        sums: of each layer that multiplies, before pool and bias: floats [N, out, H, W] or [N, out].
        logits: int64[N, classes].
        labels: int64[N].
        steps: what `amhw.faults.changes` makes of it, by layer.
    """

    codes: Mapping[str, np.ndarray] = field(repr=False)
    seen: Mapping[str, np.ndarray] = field(repr=False)
    sums: Mapping[str, np.ndarray] = field(repr=False)
    logits: np.ndarray = field(repr=False)
    labels: np.ndarray = field(repr=False)
    steps: dict[str, Any] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def classes(self) -> np.ndarray:
        """The class of each image: int64[N]."""
        found: np.ndarray = self.logits.argmax(axis=1)
        return found

    @property
    def bytes(self) -> int:
        """How many it takes."""
        return sum(array.nbytes for held in (self.codes, self.seen, self.sums) for array in held.values())


class Arithmetic:
    """A network with product tables, ready to be computed in parts.

    Raises:
        Refusal: a table does not fit its layer, or a sum with a faulty weight could leave 32 bits.
    """

    def __init__(
        self,
        network: QuantisedNetwork,
        tables: Mapping[str, ProductTable],
        ceilings: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """`ceilings`: what clips the codes of layers that multiply, by name: int64[out]."""
        network.network.check_plain("a fault campaign")
        network.network.check_layers(tables)
        network.check_tables(tables)
        self.network, self.tables = network, dict(tables)
        self.sums = {layer.name: LayerSums(layer, tables.get(layer.name)) for layer in network.layers}
        for layer in network.layers:
            _check_faulty_sums(layer, self.products(layer.name))
        self._ceilings = dict(ceilings or {})
        self.steps: dict[str, Any] = {}
        """What `amhw.faults.changes` makes of the layers, by name."""

    def ceilings(self, layer: QuantisedLayer) -> np.ndarray:
        """The greatest code of each output: float64[out]."""
        assert layer.requantisation is not None, "logits have no ceiling"
        found = np.full(layer.outputs, float(layer.requantisation.maximum))
        return np.minimum(found, self._ceilings[layer.name]) if layer.name in self._ceilings else found

    def clipped(self, layer: QuantisedLayer, codes: np.ndarray) -> np.ndarray:
        """Codes [N, out, …] of a layer, none above its output's ceiling."""
        if layer.name not in self._ceilings:
            return codes
        ceilings = self.ceilings(layer).astype(codes.dtype)
        return np.minimum(codes, ceilings.reshape(-1, *[1] * (codes.ndim - 2)))

    def products(self, name: str) -> np.ndarray:
        """The products of every code that enters a layer with every weight code: int64[codes, weight codes]."""
        operands = self.network[name].operands
        if name in self.tables:
            return self.tables[name].products[: operands.activation_max + 1].astype(np.int64)
        exact: np.ndarray = np.arange(operands.activation_max + 1)[:, None] * code_values(operands.weight_width, True)
        return exact

    def golden(self, data: DataSet) -> Golden:
        """What it computes for all images of `data`."""
        structure = self.network.network
        codes: dict[str, np.ndarray] = {IMAGE: data.images.copy()}  # torch takes what may be written
        seen: dict[str, np.ndarray] = {}
        sums: dict[str, np.ndarray] = {}
        for layer in structure.layers:
            if layer.name in codes:
                continue
            x, *others = (codes[name] for name in structure.sources[layer.name])
            match layer:
                case Convolution() | Linear():
                    own = self.network[layer.name]
                    if layer.name in structure.pixel_layers:
                        x = own.operands.codes_of(x)
                    found = self.sums[layer.name](torch.from_numpy(x))
                    seen[layer.name] = at_the_multiplier(own, x)
                    sums[layer.name] = found.contiguous().numpy()
                    if own.requantisation is not None:
                        pool = structure.pool_of(layer.name)
                        name = layer.name if pool is None else pool.name
                        codes[name] = self.clipped(own, finish(own, pooled(found, pool)).numpy())
                case _:
                    codes[layer.name] = self.joined(layer, x, *others)
        last = self.network.layers[-1]
        logits = sums[last.name].astype(np.int64) + last.bias
        return Golden(codes, seen, sums, logits, data.labels.astype(np.int64))

    def joined(self, layer: object, x: np.ndarray, *others: np.ndarray) -> np.ndarray:
        """What leaves a layer that does not multiply."""
        match layer:
            case MaxPool():
                return pooled(torch.from_numpy(x), layer).numpy()
            case AveragePool():
                constants = self.network.joins[layer.name]
                assert isinstance(constants, Requantisation)
                return averaged(torch.from_numpy(x), layer, constants).numpy()
            case Add():
                join = self.network.joins[layer.name]
                assert isinstance(join, Addition)
                return join(x, others[0])
            case Flatten():
                return x.reshape(len(x), -1)
        raise AssertionError(f"{layer} multiplies")


def at_the_multiplier(layer: QuantisedLayer, codes: np.ndarray) -> np.ndarray:
    """Codes with the rounding constant added, then padded with zeros: uint8."""
    limit = layer.operands.activation_max
    rounded = np.minimum(codes.astype(np.int16) + layer.input_rounding, limit).astype(np.uint8)
    down, across = layer.padding
    return functional.pad(torch.from_numpy(rounded), [across, across, down, down]).numpy() if down + across else rounded


def _check_faulty_sums(layer: QuantisedLayer, products: np.ndarray) -> None:
    worst = int(np.abs(products).max()) * layer.matrix.shape[1]
    if worst >= 2**31:
        raise Refusal(
            f"sums of {layer.name} could reach {worst} with faulty weights; wanted a multiplier and a layer whose "
            "sums stay in 32 bits whatever the weights"
        )
