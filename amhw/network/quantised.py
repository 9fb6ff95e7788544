"""The quantised network: a sequence of integer layers as one frozen value and one file.

For each layer, with activation codes x, weight codes w and integer arithmetic throughout:

    x'  = min(x + r, x_max)         r = `input_rounding`, for real activations only: padding stays 0
    acc = Σ T(x', w)                T = x'·w, or any product table (`amhw.table.ProductTable`)
    acc = max over the pool×pool window of acc
    y   = clamp(⌊((acc + bias)·m + 2^(s−1)) / 2^s⌋, 0, y_max)

The last line is the requantisation, written once in `Requantisation`: round half up of (acc + bias)·m/2^s, in
hardware one multiplication, one addition and one arithmetic shift right. Its clamp at 0 is the ReLU, and
y_max is the greatest code of the next layer's activations. Because it never decreases (m > 0), pooling before
it gives the same codes as pooling after it. The last layer has none: its acc + bias are the logits.

An activation code is not negative: it has n bits in an unsigned operand of n bits, n − 1 in a signed one;
x_max = 2^bits − 1. The pixel p of an image enters as x = min((p + ⌊2^(7−bits)⌋) >> (8−bits), x_max): p itself
for 8 bits. Weight codes are two's complement.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from amhw.files import read_whole, write_atomically
from amhw.network import archive
from amhw.refusal import Refusal
from amhw.table import ProductTable

NARROWEST, WIDEST = 2, 8
"""Operand widths a layer may have."""

MAX_REQUANTISATION_MULTIPLIER = 2**16 - 1
MAX_REQUANTISATION_SHIFT = 40
_ACCUMULATOR_LIMIT = 2**31


@dataclass(frozen=True)
class Operands:
    """What a layer's multiplier receives: `activation_width` and `weight_width` bits; weights are always
    signed.

    >>> Operands().name, Operands(activation_signed=True).name, Operands(4, 3).name
    ('u8s8', 's8s8', 'u4s3')
    >>> Operands(8, 8, True).activation_max
    127

    Raises:
        Refusal: a width is out of range.
    """

    activation_width: int = 8
    weight_width: int = 8
    activation_signed: bool = False

    def __post_init__(self) -> None:
        for what, width in (("activations", self.activation_width), ("weights", self.weight_width)):
            if not NARROWEST <= width <= WIDEST:
                raise Refusal(f"{width}-bit {what}: a layer's operands have {NARROWEST} to {WIDEST} bits")

    @property
    def name(self) -> str:
        return f"{'s' if self.activation_signed else 'u'}{self.activation_width}s{self.weight_width}"

    @property
    def activation_bits(self) -> int:
        """Bits of an activation code without its sign, which is always 0."""
        return self.activation_width - self.activation_signed

    @property
    def activation_max(self) -> int:
        return 2**self.activation_bits - 1

    @property
    def weight_max(self) -> int:
        return 2 ** (self.weight_width - 1) - 1

    @property
    def pixel_scale(self) -> float:
        """The real value, with white = 1, of one step of the codes that `codes_of` gives."""
        return 2.0 ** (8 - self.activation_bits) / 255

    def codes_of(self, images: np.ndarray) -> np.ndarray:
        """Activation codes uint8[N, 1, H, W] of uint8 images [N, H, W]."""
        shift = 8 - self.activation_bits
        codes = (images.astype(np.uint16) + ((1 << shift) >> 1)) >> shift
        return np.minimum(codes, self.activation_max).astype(np.uint8)[:, None]


@dataclass(frozen=True)
class Geometry:
    """Zero `padding` on each side and `stride` of a convolution, then a `pool`×`pool` max-pool."""

    padding: int = 0
    stride: int = 1
    pool: int = 1

    def __post_init__(self) -> None:
        if self.padding < 0 or self.stride < 1 or self.pool < 1:
            raise Refusal(f"{self}: padding is at least 0, stride and pool are at least 1")

    def output_side(self, side: int, kernel: int) -> int:
        """Side of the pooled output for an input of `side`."""
        return ((side + 2 * self.padding - kernel) // self.stride + 1) // self.pool


@dataclass(frozen=True)
class Requantisation:
    """y = clamp(⌊(v·multiplier + 2^(shift−1)) / 2^shift⌋, 0, maximum) for v = acc + bias.

    >>> half = Requantisation(multiplier=1, shift=1, maximum=255)
    >>> half(np.array([-3, -1, 0, 1, 2, 3, 600])).tolist()  # ties go up
    [0, 0, 0, 1, 1, 2, 255]

    Raises:
        Refusal: a constant is out of range.
    """

    multiplier: int
    shift: int
    maximum: int

    def __post_init__(self) -> None:
        if not 1 <= self.multiplier <= MAX_REQUANTISATION_MULTIPLIER:
            raise Refusal(f"requantisation multiplier {self.multiplier}; wanted 1…{MAX_REQUANTISATION_MULTIPLIER}")
        if not 1 <= self.shift <= MAX_REQUANTISATION_SHIFT:
            raise Refusal(f"requantisation shift {self.shift}; wanted 1…{MAX_REQUANTISATION_SHIFT}")
        if not 1 <= self.maximum <= 255:
            raise Refusal(f"requantisation maximum {self.maximum}; wanted 1…255")

    def __call__(self, value: np.ndarray) -> np.ndarray:
        """Codes (uint8) of int32 values."""
        wide = (value.astype(np.int64) * self.multiplier + (1 << (self.shift - 1))) >> self.shift
        return np.clip(wide, 0, self.maximum).astype(np.uint8)

    @staticmethod
    def of(scale: float, maximum: int) -> "Requantisation":
        """The constants nearest to y = scale·v, with as many bits in the multiplier as fit in 16.

        Raises:
            Refusal: the scale is not representable.
        """
        if not 0 < scale < MAX_REQUANTISATION_MULTIPLIER / 2:
            raise Refusal(f"requantisation scale {scale}: wanted a positive one below 2^15")
        shift = 15 - int(np.floor(np.log2(scale)))
        if round(scale * 2.0**shift) > MAX_REQUANTISATION_MULTIPLIER:
            shift -= 1
        shift = min(shift, MAX_REQUANTISATION_SHIFT)
        return Requantisation(round(scale * 2.0**shift), shift, maximum)


@dataclass(frozen=True)
class MadeFor:
    """The multiplier that a layer's codes and constants were chosen for: its name and its table's SHA-256."""

    name: str
    table_sha256: str


@dataclass(frozen=True, eq=False)
class QuantisedLayer:
    """One convolution or fully-connected layer in integers; the module's docstring has the equation.

    Members:
        weights: codes, int8[out, in, k, k] of a convolution, int8[out, in] of a fully-connected layer.
        bias: int32[out], in units of the accumulator.
        requantisation: of the layer's outputs; None in the last layer.
        input_rounding: added to every real activation code, saturating at `operands.activation_max`.
        activation_scale, weight_scale: the real value of one code step; no integer result depends on them.
        made_for: the multiplier that the layer was made for, where it was made for another than the exact one.

    Raises:
        Refusal: a shape, code or constant is out of range, or the accumulator could leave 32 bits.
    """

    name: str
    weights: np.ndarray = field(repr=False)
    bias: np.ndarray = field(repr=False)
    requantisation: Requantisation | None
    operands: Operands = Operands()
    geometry: Geometry = Geometry()
    input_rounding: int = 0
    activation_scale: float = 1.0
    weight_scale: float = 1.0
    made_for: MadeFor | None = None

    def __post_init__(self) -> None:
        weights, bias, operands = np.asarray(self.weights), np.asarray(self.bias), self.operands
        if weights.ndim not in (2, 4) or (weights.ndim == 4 and weights.shape[2] != weights.shape[3]):
            raise Refusal(f"{self.name}: weights of shape {weights.shape}; wanted [out, in] or [out, in, k, k]")
        if bias.shape != weights.shape[:1]:
            raise Refusal(f"{self.name}: bias of shape {bias.shape} for {weights.shape[0]} outputs")
        lowest, highest = -(2 ** (operands.weight_width - 1)), operands.weight_max
        if weights.size == 0 or weights.min() < lowest or weights.max() > highest:
            raise Refusal(f"{self.name}: weight codes outside {lowest}…{highest} ({operands.weight_width} bits)")
        if not 0 <= self.input_rounding <= operands.activation_max:
            raise Refusal(f"{self.name}: input rounding {self.input_rounding}; wanted 0…{operands.activation_max}")
        if np.abs(bias.astype(np.int64)).max() >= _ACCUMULATOR_LIMIT // 2:
            raise Refusal(f"{self.name}: a bias beyond ±2^30 leaves no room in a 32-bit accumulator")
        if self.is_linear and self.geometry != Geometry():
            raise Refusal(f"{self.name}: a fully-connected layer has no padding, stride or pooling")
        for member, array, dtype in (("weights", weights, np.int8), ("bias", bias, np.int32)):
            copy = np.array(array, dtype=dtype, order="C")
            copy.flags.writeable = False
            object.__setattr__(self, member, copy)

    @property
    def is_linear(self) -> bool:
        return self.weights.ndim == 2

    @property
    def outputs(self) -> int:
        return int(self.weights.shape[0])

    @property
    def kernel(self) -> int:
        """Side of the convolution's window; 1 for a fully-connected layer."""
        return 1 if self.is_linear else int(self.weights.shape[2])

    @property
    def matrix(self) -> np.ndarray:
        """Weight codes as int8[out, K], K running over (input channel, row, column) as in im2col."""
        return self.weights.reshape(self.outputs, -1)

    @property
    def weight_codes(self) -> np.ndarray:
        """Two's-complement codes uint8[out, K]: the column indices into a product table."""
        return (self.matrix.astype(np.int16) & (2**self.operands.weight_width - 1)).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class QuantisedNetwork:
    """A tuple of layers, the first fed with images, each other with the codes of the one before.

    `sha256` identifies it; `save` and `load` are inverse; the same value gives the same bytes.

    Raises:
        Refusal: the layers do not follow one another.
    """

    layers: tuple[QuantisedLayer, ...]
    name: str = "network"

    def __post_init__(self) -> None:
        if not self.layers:
            raise Refusal("a network needs at least one layer")
        if len({layer.name for layer in self.layers}) != len(self.layers):
            raise Refusal(f"layer names must differ: {', '.join(layer.name for layer in self.layers)}")
        for layer, following in zip(self.layers, self.layers[1:], strict=False):
            if layer.requantisation is None:
                raise Refusal(f"{layer.name} has no requantisation; only the last layer goes without")
            if layer.requantisation.maximum != following.operands.activation_max:
                raise Refusal(
                    f"{layer.name} gives codes up to {layer.requantisation.maximum}, "
                    f"{following.name} takes codes up to {following.operands.activation_max}"
                )
        if self.layers[-1].requantisation is not None:
            raise Refusal(f"{self.layers[-1].name} is the last layer: its sums are the logits, not requantised")

    def __getitem__(self, name: str) -> QuantisedLayer:
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise Refusal(f"no layer {name}; this network has {', '.join(self.layer_names)}")

    @property
    def layer_names(self) -> tuple[str, ...]:
        return tuple(layer.name for layer in self.layers)

    @property
    def convolutions(self) -> tuple[str, ...]:
        """Names of the convolution layers."""
        return tuple(layer.name for layer in self.layers if not layer.is_linear)

    def check_tables(self, tables: Mapping[str, ProductTable]) -> None:
        """Refuse product tables, by layer name, other than those that layers were made for.

        Raises:
            Refusal: names both multipliers and their tables' hashes.
        """
        for layer in self.layers:
            made, given = layer.made_for, tables.get(layer.name)
            if made is not None and (given is None or given.sha256 != made.table_sha256):
                instead = "exact products" if given is None else f"{given.name} (table {given.sha256[:12]})"
                raise Refusal(
                    f"{layer.name} of {self.name} was made for {made.name} (table {made.table_sha256[:12]}), "
                    f"not for {instead}"
                )

    def to_bytes(self) -> bytes:
        """The network file's content."""
        header = {"kind": _KIND, "name": self.name, "layers": [_described(layer) for layer in self.layers]}
        arrays = {}
        for layer in self.layers:
            arrays[f"{layer.name}.weights"] = layer.weights
            arrays[f"{layer.name}.bias"] = layer.bias
        return archive.pack(header, arrays)

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def save(self, path: Path | str) -> Path:
        """Write the network file (atomically).

        Raises:
            Refusal: the path cannot be written.
        """
        return write_atomically(path, self.to_bytes())

    @staticmethod
    def load(path: Path | str) -> "QuantisedNetwork":
        """Read a network file.

        Raises:
            Refusal: the file is unreadable or no quantised network.
        """
        header, arrays = archive.unpack(read_whole(path), str(path), _KIND)
        try:
            layers = tuple(_layer(description, arrays) for description in header["layers"])
            return QuantisedNetwork(layers, header["name"])
        except Refusal as refusal:
            raise Refusal(f"{path}: {refusal}") from refusal
        except (KeyError, TypeError) as error:
            raise Refusal(f"{path} is a damaged {_KIND} file: {error} is missing or unknown") from error


_KIND = "quantised network"


def _described(layer: QuantisedLayer) -> dict[str, Any]:
    return {
        "name": layer.name,
        "operands": vars(layer.operands),
        "geometry": vars(layer.geometry),
        "requantisation": None if layer.requantisation is None else vars(layer.requantisation),
        "input_rounding": layer.input_rounding,
        "activation_scale": layer.activation_scale,
        "weight_scale": layer.weight_scale,
        # Left out where there is none, so that networks for exact products have the bytes they always had.
        **({} if layer.made_for is None else {"made_for": vars(layer.made_for)}),
    }


def _layer(description: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> QuantisedLayer:
    name, requantisation = description["name"], description["requantisation"]
    return QuantisedLayer(
        name,
        arrays[f"{name}.weights"],
        arrays[f"{name}.bias"],
        None if requantisation is None else Requantisation(**requantisation),
        Operands(**description["operands"]),
        Geometry(**description["geometry"]),
        description["input_rounding"],
        description["activation_scale"],
        description["weight_scale"],
        MadeFor(**description["made_for"]) if "made_for" in description else None,
    )
