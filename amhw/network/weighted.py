"""What networks with weights of any kind have in common: layers by name, an identity, and a file."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

import msgspec
import numpy as np

from amhw.files import read_whole, write_atomically
from amhw.network import archive
from amhw.network.network import Multiplying, Network
from amhw.refusal import Refusal


class WeightedLayer(Protocol):
    """A layer that multiplies, with its weights and its bias."""

    @property
    def layer(self) -> Multiplying: ...

    @property
    def name(self) -> str: ...

    @property
    def weights(self) -> np.ndarray: ...

    @property
    def bias(self) -> np.ndarray: ...


LayerT = TypeVar("LayerT", bound=WeightedLayer)


@dataclass(frozen=True, eq=False)
class WeightedNetwork(ABC, Generic[LayerT]):
    """A network with the weights of its layers.

    `sha256` identifies it; `save` and `load` are inverse; the same value gives the same bytes.

    Members:
        network: what follows what.
        layers: those that multiply, in the network's order.
        name: what it is, with how it was made.

    Raises:
        Refusal: the layers are not the network's, or weights have another shape than it wants.
    """

    KIND: ClassVar[str]
    """What its file says that it holds."""

    network: Network
    layers: tuple[LayerT, ...]
    name: str = "network"

    def __post_init__(self) -> None:
        if tuple(layer.layer for layer in self.layers) != self.network.multiplying:
            raise Refusal(
                f"layers {', '.join(layer.name for layer in self.layers)} are not those of {self.network.name}: "
                f"{', '.join(self.network.layer_names)}"
            )
        for layer in self.layers:
            shape = self.network.weight_shape(layer.layer)
            if layer.weights.shape != shape or layer.bias.shape != shape[:1]:
                raise Refusal(
                    f"{layer.name}: weights {list(layer.weights.shape)} and bias {list(layer.bias.shape)}; "
                    f"wanted {list(shape)} and {list(shape[:1])}"
                )

    def __getitem__(self, name: str) -> LayerT:
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise Refusal(f"no layer {name}; this network has {', '.join(self.layer_names)}")

    @property
    def layer_names(self) -> tuple[str, ...]:
        """The names of the layers that multiply."""
        return self.network.layer_names

    @property
    def convolutions(self) -> tuple[str, ...]:
        """The names of the convolutions."""
        return self.network.convolutions

    @abstractmethod
    def _constants(self) -> dict[str, Any]:
        """What its file's header has beside name and network, ready for JSON."""

    @classmethod
    @abstractmethod
    def _made(cls, network: Network, name: str, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        """The network of a file's header and arrays."""

    def to_bytes(self) -> bytes:
        """The file's content."""
        arrays = {}
        for layer in self.layers:
            arrays[f"{layer.name}.weights"] = layer.weights
            arrays[f"{layer.name}.bias"] = layer.bias
        header = {"name": self.name, "network": self.network.described(), **self._constants()}
        return archive.pack(self.KIND, header, arrays)

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def save(self, path: Path | str) -> Path:
        """Write the file (atomically).

        Raises:
            Refusal: the path cannot be written.
        """
        return write_atomically(path, self.to_bytes())

    @classmethod
    def of_bytes(cls, data: bytes, source: str) -> Self:
        """The inverse of `to_bytes`; `source` names the bytes in messages.

        Raises:
            Refusal: they are no file of this kind, or a damaged one.
        """
        header, arrays = archive.unpack(data, source, cls.KIND)
        try:
            return cls._made(Network.of(header["network"]), str(header["name"]), header, arrays)
        except Refusal as refusal:
            raise Refusal(f"{source}: {refusal}") from refusal
        except KeyError as error:
            raise Refusal(f"{source} is a damaged {cls.KIND} file: {error} is missing") from error
        except (msgspec.ValidationError, TypeError, ValueError) as error:
            raise Refusal(f"{source} is a damaged {cls.KIND} file: {error}") from error

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a file.

        Raises:
            Refusal: it is unreadable, or something else.
        """
        return cls.of_bytes(read_whole(path), str(path))
