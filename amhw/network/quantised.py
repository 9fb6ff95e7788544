"""The quantised network: layers of integers as one frozen value and one file.

For each layer that multiplies, with activation codes x, weight codes w and integer arithmetic throughout:

    x'  = min(x + r, x_max)         r = `input_rounding`, for real activations only: padding stays 0
    acc = Σ T(x', w)                T = x'·w, or any product table (`amhw.table.ProductTable`)
    y   = `Requantisation` of acc + bias, or acc + bias itself: the last layer's are the logits

The clamp of the requantisation at 0 is the ReLU, and y_max is the greatest code of the next layer's activations.
Because it never decreases, a max-pool gives the same before it as after it; not so where |acc + bias| is requantised.
An average-pool requantises the sum of its window, an addition scales and rounds both of its inputs (`Addition`).

A code that is multiplied is not negative: it has n bits in an unsigned operand of n bits, n − 1 in a signed one;
x_max = 2^bits − 1. The pixel p of an image enters as x = min((p + ⌊2^(7−bits)⌋) >> (8−bits), x_max): p itself
for 8 bits; pools and additions of pixels take them as they are. Weight codes are two's complement. Codes that are only
added or averaged, without a ReLU, may be negative.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import msgspec
import numpy as np

from amhw.network.layers import IMAGE, Add, AveragePool, Convolution, Pair
from amhw.network.network import Multiplying, Network
from amhw.network.requantisation import Addition, Requantisation
from amhw.network.weighted import WeightedNetwork
from amhw.refusal import Refusal
from amhw.table import ProductTable

PIXEL_SCALE = 1 / 255
"""The real value of one step of a pixel: white is 1."""

NARROWEST, WIDEST = 2, 8
"""Operand widths a layer may have."""

_ACCUMULATOR_LIMIT = 2**31

Join = Requantisation | Addition
"""The integer constants of an average-pool, or of an addition."""


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
        return 2.0 ** (8 - self.activation_bits) * PIXEL_SCALE

    def codes_of(self, images: np.ndarray) -> np.ndarray:
        """Activation codes of pixels: uint8[N, C, H, W] of the same."""
        shift = 8 - self.activation_bits
        codes = (images.astype(np.uint16) + ((1 << shift) >> 1)) >> shift
        return np.minimum(codes, self.activation_max).astype(np.uint8)


@dataclass(frozen=True)
class MadeFor:
    """The multiplier that a layer's codes and constants were chosen for: its name and its table's SHA-256."""

    name: str
    table_sha256: str


@dataclass(frozen=True, eq=False)
class QuantisedLayer:
    """One convolution or linear layer in integers; the module's docstring has the equation.

    Members:
        layer: which it is, and its shape.
        weights: codes, int8[out, in / groups, height, width] of a convolution, int8[out, in] of a linear layer.
        bias: int32[out], in units of the accumulator.
        requantisation: of the layer's outputs; None in the last layer.
        input_rounding: added to every real activation code, saturating at `operands.activation_max`.
        activation_scale, weight_scale: the real value of one code step; no integer result depends on them.
        made_for: the multiplier that the layer was made for, where it was made for another than the exact one.

    Raises:
        Refusal: a shape, code or constant is out of range, or the accumulator could leave 32 bits.
    """

    layer: Multiplying
    weights: np.ndarray = field(repr=False)
    bias: np.ndarray = field(repr=False)
    requantisation: Requantisation | None
    operands: Operands = Operands()
    input_rounding: int = 0
    activation_scale: float = 1.0
    weight_scale: float = 1.0
    made_for: MadeFor | None = None

    def __post_init__(self) -> None:
        weights, bias, operands = np.asarray(self.weights), np.asarray(self.bias), self.operands
        wanted = "[out, in, height, width]" if isinstance(self.layer, Convolution) else "[out, in]"
        window = weights.shape[2:] if isinstance(self.layer, Convolution) else ()
        if weights.ndim != wanted.count(",") + 1 or window not in ((), self._window):
            raise Refusal(f"{self.name}: weights of shape {weights.shape}; wanted {wanted}")
        if bias.shape != weights.shape[:1] or len(bias) != self.layer.outputs:
            raise Refusal(f"{self.name}: bias of shape {bias.shape} for {self.layer.outputs} outputs")
        lowest, highest = -(2 ** (operands.weight_width - 1)), operands.weight_max
        if weights.size == 0 or weights.min() < lowest or weights.max() > highest:
            raise Refusal(f"{self.name}: weight codes outside {lowest}…{highest} ({operands.weight_width} bits)")
        if not 0 <= self.input_rounding <= operands.activation_max:
            raise Refusal(f"{self.name}: input rounding {self.input_rounding}; wanted 0…{operands.activation_max}")
        if np.abs(bias.astype(np.int64)).max() >= _ACCUMULATOR_LIMIT // 2:
            raise Refusal(f"{self.name}: a bias beyond ±2^30 leaves no room in a 32-bit accumulator")
        for what in ("activation_scale", "weight_scale"):
            if not 0 < getattr(self, what) < np.inf:
                raise Refusal(f"{self.name}: {what.replace('_', ' ')} {getattr(self, what)}; wanted a positive number")
        constants, absolute = self.requantisation, self.layer.absolute
        if constants is not None and (constants.minimum == 0) != (self.layer.relu or absolute):
            raise Refusal(f"{self.name}: codes from {constants.minimum}, but ReLU is {self.layer.relu}")
        if constants is not None and constants.absolute != absolute:
            raise Refusal(f"{self.name}: absolute sums are {constants.absolute}, but absolute values are {absolute}")
        for member, array, dtype in (("weights", weights, np.int8), ("bias", bias, np.int32)):
            copy = np.array(array, dtype=dtype, order="C")
            copy.flags.writeable = False
            object.__setattr__(self, member, copy)

    def check_operands(self, table: ProductTable) -> None:
        """
        Raises:
            Refusal: the table takes other operands than the layer has.
        """
        wanted = self.operands
        found = (table.width_a, table.width_b, table.signed_a, table.signed_b)
        if found != (wanted.activation_width, wanted.weight_width, wanted.activation_signed, True):
            raise Refusal(
                f"{table.name} multiplies {table.operands}, but {self.name} of this network wants {wanted.name}"
            )

    def check_one_group(self, who: str) -> None:
        """Refuse, for somebody who cannot, to compute a convolution in groups.

        Raises:
            Refusal: it is one.
        """
        if self.groups > 1:
            raise Refusal(f"{self.name} has {self.groups} groups; {who} takes convolutions of one group")

    @property
    def name(self) -> str:
        return self.layer.name

    @property
    def is_linear(self) -> bool:
        return not isinstance(self.layer, Convolution)

    @property
    def outputs(self) -> int:
        return self.layer.outputs

    @property
    def _window(self) -> Pair:
        return self.layer.kernel if isinstance(self.layer, Convolution) else (1, 1)

    @property
    def kernel(self) -> Pair:
        """Height and width of the convolution's window; 1 × 1 of a linear layer."""
        return self._window

    @property
    def stride(self) -> Pair:
        return self.layer.stride if isinstance(self.layer, Convolution) else (1, 1)

    @property
    def padding(self) -> Pair:
        """Zeros above and below, and to the left and right."""
        return self.layer.padding if isinstance(self.layer, Convolution) else (0, 0)

    @property
    def groups(self) -> int:
        """Into how many groups inputs and outputs fall; 1 of a linear layer."""
        return self.layer.groups if isinstance(self.layer, Convolution) else 1

    @property
    def unit(self) -> float:
        """The real value of one step of the accumulator."""
        return self.activation_scale * self.weight_scale

    @property
    def matrix(self) -> np.ndarray:
        """Weight codes as int8[out, K], K running over (input channel of its group, row, column) as in im2col."""
        return self.weights.reshape(self.outputs, -1)

    @property
    def weight_codes(self) -> np.ndarray:
        """Two's-complement codes uint8[out, K]: the column indices into a product table."""
        return (self.matrix.astype(np.int16) & (2**self.operands.weight_width - 1)).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class QuantisedNetwork(WeightedNetwork[QuantisedLayer]):
    """A network with the integers of its layers.

    Members:
        joins: constants of its average-pools and additions, by name.

    Raises:
        Refusal: the layers do not fit the network, or codes do not fit the layer that takes them.
    """

    KIND = "quantised network"

    joins: Mapping[str, Join] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        joining = {one.name: one for one in self.network.layers if isinstance(one, Add | AveragePool)}
        if set(joining) != set(self.joins):
            raise Refusal(f"constants for {', '.join(self.joins) or 'nothing'}; wanted {', '.join(joining) or 'none'}")
        for name, join in self.joins.items():
            if isinstance(joining[name], Add) != isinstance(join, Addition):
                raise Refusal(f"{name}: constants of another kind of layer ({type(join).__name__})")
            if (join.minimum == 0) != self.network.never_negative(name):
                what = "may be" if join.minimum == 0 else "is never"
                raise Refusal(f"{name}: codes from {join.minimum}, but what leaves it {what} negative")
        for layer in self.layers:
            if (layer.requantisation is None) != (layer.name == self.network.layers[-1].name):
                raise Refusal(
                    f"{layer.name} has no requantisation; only the last layer goes without"
                    if layer.requantisation is None
                    else f"{layer.name} is the last layer: its sums are the logits, not requantised"
                )
        for layer in self.layers:
            writer = self.network.writer(self.network.sources[layer.name][0])
            if writer == IMAGE:
                continue
            lowest, highest = self.codes_of(writer)
            if lowest < 0 or highest != layer.operands.activation_max:
                raise Refusal(
                    f"{writer} gives codes {lowest}…{highest}, {layer.name} takes 0…{layer.operands.activation_max}"
                )

    def codes_of(self, name: str) -> tuple[int, int]:
        """The least and the greatest code that leaves a layer which requantises."""
        constants = self.joins[name] if name in self.joins else self[name].requantisation
        assert constants is not None, "the last layer gives logits"
        return constants.minimum, constants.maximum

    @cached_property
    def code_scales(self) -> Mapping[str, float]:
        """The real value of one step of the codes that leave each layer but the last, and of the image."""
        found: dict[str, float] = {IMAGE: PIXEL_SCALE}
        for layer in self.network.layers[:-1]:
            source, *others = self.network.sources[layer.name]
            if layer.name in self.layer_names:
                own = self[layer.name]
                assert own.requantisation is not None, "only the last layer has none"
                found[layer.name] = own.unit / own.requantisation.scale
            elif isinstance(join := self.joins.get(layer.name), Addition):
                found[layer.name] = join.output_scale(found[source], found[others[0]])
            elif isinstance(join, Requantisation):
                assert isinstance(layer, AveragePool)
                found[layer.name] = found[source] / (layer.window[0] * layer.window[1] * join.scale)
            else:
                found[layer.name] = found[source]
        return found

    def check_tables(self, tables: Mapping[str, ProductTable]) -> None:
        """Refuse product tables, by layer name, other than those that layers were made for.

        Raises:
            Refusal: names both multipliers and their tables' hashes.
        """
        for layer in self.layers:
            self.check_table(layer, tables.get(layer.name))

    def check_table(self, layer: QuantisedLayer, given: ProductTable | None) -> None:
        """`check_tables` of one layer; None is exact products."""
        made = layer.made_for
        if made is not None and (given is None or given.sha256 != made.table_sha256):
            instead = "exact products" if given is None else f"{given.name} (table {given.sha256[:12]})"
            raise Refusal(
                f"{layer.name} of {self.name} was made for {made.name} (table {made.table_sha256[:12]}), "
                f"not for {instead}"
            )

    def _constants(self) -> dict[str, Any]:
        return {
            "layers": {layer.name: _described(layer) for layer in self.layers},
            "pools": {name: _said(join) for name, join in self.joins.items() if isinstance(join, Requantisation)},
            "additions": {name: vars(join) for name, join in self.joins.items() if isinstance(join, Addition)},
        }

    @classmethod
    def _made(cls, network: Network, name: str, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        given = msgspec.convert(header, _Header)
        layers = tuple(_layer(layer, given.layers[layer.name], arrays) for layer in network.multiplying)
        return cls(network, layers, name, {**given.pools, **given.additions})


@dataclass(frozen=True)
class _Constants:
    """A layer in a file, but for its arrays."""

    operands: Operands
    requantisation: Requantisation | None
    input_rounding: int
    activation_scale: float
    weight_scale: float
    made_for: MadeFor | None


@dataclass(frozen=True)
class _Header:
    layers: dict[str, _Constants]
    pools: dict[str, Requantisation]
    additions: dict[str, Addition]


def _described(layer: QuantisedLayer) -> dict[str, Any]:
    return {
        "operands": vars(layer.operands),
        "requantisation": None if layer.requantisation is None else _said(layer.requantisation),
        "input_rounding": layer.input_rounding,
        "activation_scale": layer.activation_scale,
        "weight_scale": layer.weight_scale,
        "made_for": None if layer.made_for is None else vars(layer.made_for),
    }


def _said(constants: Requantisation) -> dict[str, Any]:
    """Without absolute values nothing is said of them, as before there were any."""
    return {name: value for name, value in vars(constants).items() if (name, value) != ("absolute", False)}


def _layer(layer: Multiplying, given: _Constants, arrays: Mapping[str, np.ndarray]) -> QuantisedLayer:
    return QuantisedLayer(
        layer,
        arrays[f"{layer.name}.weights"],
        arrays[f"{layer.name}.bias"],
        given.requantisation,
        given.operands,
        given.input_rounding,
        given.activation_scale,
        given.weight_scale,
        given.made_for,
    )
