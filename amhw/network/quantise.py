"""Post-training quantisation: a float network becomes a `QuantisedNetwork` for given operand widths.

Layer by layer, on the integers that the layers before really deliver for some training images:

* weights: one symmetric scale a layer, w ≈ scale·code. The clipping is the one, of a grid, with the least
  squared error of the layer's outputs, Σ_o δ_oᵀ C δ_o for weight errors δ_o and input covariance C (the mean
  goes into the bias). Then each code in turn moves to where this error is least given the others, until none
  moves: what rounding one weight loses, its neighbours make up for, which is what makes 2 to 4 bits usable;
* bias: the float bias plus, for each output, what the mean of the integer sums lacks of the float network's
  mean;
* activations: one scale a layer, its clipping the one with the least squared error of the values themselves.

The requantisation constants follow as scale_in·scale_weight/scale_out. (Nagel et al., "A white paper on
neural network quantization", 2021, describes these steps.)
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import prod
from types import MappingProxyType

import numpy as np
import torch
from torch.nn import functional

from amhw.network.inference import LayerSums, averaged, finish, im2col, of_group, pooled
from amhw.network.layers import IMAGE, Add, AveragePool, Convolution, Flatten, Linear, MaxPool
from amhw.network.module import activated
from amhw.network.network import Network
from amhw.network.quantised import PIXEL_SCALE, Join, Operands, QuantisedLayer, QuantisedNetwork
from amhw.network.real import FloatLayer, FloatNetwork, pixels
from amhw.network.requantisation import Addition, Requantisation
from amhw.refusal import Refusal

CALIBRATION_IMAGES = 1000
"""Images used of those given, evenly spaced: more change the scales by less than the grid's step."""

_CALIBRATION_WINDOWS = 100_000
_CALIBRATION_VALUES = 200_000
_CALIBRATION_MEMORY = 400_000_000
"""Numbers that all layers give for all calibration images: networks of more than 400,000 see fewer images."""

_MOST_CORRELATED = 4096
"""Inputs of an output whose covariances are looked at; of more, only the variances are."""

_DAMPING = 0.01
_SWEEPS = 20

_CLIPPING = np.linspace(0.15, 1.0, 69)
"""Candidate clipping points as fractions of the largest magnitude."""


def quantise(
    network: FloatNetwork,
    images: np.ndarray,
    operands: Operands | Mapping[str, Operands] = MappingProxyType({}),
) -> QuantisedNetwork:
    """`network` in integers, calibrated on `images` (uint8[N, C, H, W], training images).

    `operands` holds for all layers, or maps layer names to theirs, others being `Operands()`: u8s8.

    Raises:
        Refusal: a layer's constants cannot be represented (see `QuantisedLayer`), or layers that take the same codes
        have
            different operands.
    """
    names = network.layer_names
    wanted = {name: operands if isinstance(operands, Operands) else operands.get(name, Operands()) for name in names}
    structure = network.network
    values = sum(map(prod, structure.shapes.values()))
    wanted_images = min(CALIBRATION_IMAGES, max(1, _CALIBRATION_MEMORY // values))
    images = images[:: max(1, len(images) // wanted_images)]
    state = _Calibration(structure, wanted, images)
    for layer in structure.layers:
        if layer.name in state.exact:
            continue  # a pool that was taken together with the layer before it
        match layer:
            case Convolution() | Linear():
                state.multiply(network[layer.name])
            case MaxPool() | AveragePool():
                state.pool(layer)
            case Add():
                state.add(layer)
            case Flatten():
                state.flatten(layer)
    layers = tuple(state.layers[name] for name in names)
    title = f"{network.name}, {'/'.join(dict.fromkeys(each.name for each in wanted.values()))}"
    return QuantisedNetwork(structure, layers, title, state.joins)


def code_range(network: Network, name: str, operands: Mapping[str, Operands]) -> tuple[int, int]:
    """The least and the greatest code that should leave a layer: what all that compute with them take.

    Where codes are only added they have 8 bits, with a sign if there is no ReLU or absolute value.

    Raises:
        Refusal: two layers that take them have different operands, or one multiplies what no ReLU has made positive.
    """
    taken = {reader: operands[reader].activation_max for reader in network.readers(name) if reader in operands}
    rectified = network.never_negative(name)
    if not taken:
        return (0, 255) if rectified else (-128, 127)
    if not rectified:
        raise Refusal(
            f"{name} feeds {next(iter(taken))} without a ReLU; a code that is multiplied as an activation is not "
            "negative"
        )
    if len(set(taken.values())) > 1:
        readers = ", ".join(f"{reader} {operands[reader].name}" for reader in taken)
        raise Refusal(f"layers that take the codes of {name} want different ones: {readers}")
    return 0, next(iter(taken.values()))


class _Calibration:
    """What the calibration images are in each layer: in real numbers, and in the integers made so far.

    Attributes:
        exact: real values that leave each layer.
        codes, scales: integers, and the real value of one step.
    """

    def __init__(self, network: Network, operands: Mapping[str, Operands], images: np.ndarray) -> None:
        self.network, self.operands = network, operands
        self.exact: dict[str, torch.Tensor] = {IMAGE: pixels(images)}
        self.codes: dict[str, torch.Tensor] = {IMAGE: torch.tensor(images)}
        self.scales: dict[str, float] = {IMAGE: PIXEL_SCALE}
        self.layers: dict[str, QuantisedLayer] = {}
        self.joins: dict[str, Join] = {}

    def multiply(self, layer: FloatLayer) -> None:
        """A layer that multiplies, with the max-pool that alone takes its output."""
        network, own = self.network, self.operands[layer.name]
        [source] = network.sources[layer.name]
        codes, scale = self.codes[source], self.scales[source]
        if layer.name in network.pixel_layers:
            codes, scale = torch.from_numpy(own.codes_of(codes.numpy())), own.pixel_scale
        pool = network.pool_of(layer.name)
        target = pooled(_sums(layer, self.exact[source]), pool)
        last = layer.name == network.layers[-1].name
        limits = None if last else code_range(network, layer.name, self.operands)
        made, out_scale = _quantise_layer(layer, pool, own, limits, codes, scale, target)
        self.layers[layer.name] = made
        name = network.leaving(layer.name)
        self.exact[layer.name] = self.exact[name] = activated(layer.layer, target)
        if out_scale is not None:
            self.codes[name], self.scales[name] = finish(made, pooled(LayerSums(made)(codes), pool)), out_scale

    def pool(self, layer: MaxPool | AveragePool) -> None:
        """A max-pool keeps codes and scale; an average-pool keeps the scale of the step, or rescales to the range that
        is wanted."""
        [source] = self.network.sources[layer.name]
        codes, scale = self.codes[source], self.scales[source]
        self.scales[layer.name] = scale
        if isinstance(layer, MaxPool):
            self.exact[layer.name] = pooled(self.exact[source], layer)
            self.codes[layer.name] = pooled(codes, layer)
            return
        self.exact[layer.name] = functional.avg_pool2d(self.exact[source], layer.window, layer.stride)
        lowest, highest = code_range(self.network, layer.name, self.operands)
        area = layer.window[0] * layer.window[1]
        constants, _ = rescaled(self.exact[layer.name].numpy(), scale / area, lowest, highest)
        self.joins[layer.name] = constants
        self.codes[layer.name] = averaged(codes, layer, constants)
        self.scales[layer.name] = scale / (area * constants.scale)

    def add(self, layer: Add) -> None:
        """An addition, its scale the one with the least squared error of the real sums."""
        first, second = self.network.sources[layer.name]
        exact = self.exact[first] + self.exact[second]
        self.exact[layer.name] = activated(layer, exact)
        lowest, highest = code_range(self.network, layer.name, self.operands)
        constants = addition(self.scales[first], self.scales[second], self.exact[layer.name].numpy(), lowest, highest)
        self.joins[layer.name] = constants
        self.codes[layer.name] = torch.from_numpy(constants(self.codes[first].numpy(), self.codes[second].numpy()))
        self.scales[layer.name] = constants.output_scale(self.scales[first], self.scales[second])

    def flatten(self, layer: Flatten) -> None:
        [source] = self.network.sources[layer.name]
        for values in (self.exact, self.codes):
            values[layer.name] = values[source].flatten(1)
        self.scales[layer.name] = self.scales[source]


def addition(first: float, second: float, values: np.ndarray, lowest: int, highest: int) -> Addition:
    """The constants that add codes of the scales `first` and `second` into codes lowest…highest, for sums like
    `values`."""
    scale = _scale(values, lowest, highest)
    return Addition.of((first / scale, second / scale), highest, lowest)


def best_scale(values: np.ndarray, greatest: int) -> float:
    """The scale for codes 0…greatest with the least squared error over non-negative `values`."""
    some = values.ravel()[:: max(1, values.size // _CALIBRATION_VALUES)]

    def error(scale: float) -> float:
        return float(np.square(np.clip(np.rint(some / scale), 0, greatest) * scale - some).mean())

    return _least(error, float(values.max()) / greatest)


def rescaled(
    values: np.ndarray, unit: float, lowest: int, highest: int, absolute: bool = False
) -> tuple[Requantisation, float]:
    """The requantisation of sums, one step of which is worth `unit`, into codes lowest…highest, for real sums like
    `values`; and the scale of the codes that it comes nearest to."""
    scale = _scale(np.abs(values) if absolute else values, lowest, highest)
    return Requantisation.of(unit / scale, highest, lowest, absolute), scale


def _scale(values: np.ndarray, lowest: int, highest: int) -> float:
    return best_scale(np.maximum(values, 0) if lowest == 0 else np.abs(values), highest)


def _sums(layer: FloatLayer, x: torch.Tensor) -> torch.Tensor:
    """Weighted sums plus bias, before the ReLU."""
    weights, bias = torch.tensor(layer.weights), torch.tensor(layer.bias)
    if isinstance(layer.layer, Linear):
        return functional.linear(x, weights, bias)
    return functional.conv2d(x, weights, bias, layer.layer.stride, layer.layer.padding, groups=layer.layer.groups)


def _quantise_layer(
    real: FloatLayer,
    pool: MaxPool | None,
    operands: Operands,
    limits: tuple[int, int] | None,
    codes: torch.Tensor,
    scale: float,
    target: torch.Tensor,
) -> tuple[QuantisedLayer, float | None]:
    """The layer for inputs `codes` of `scale` each, and its outputs' scale.

    Args:
        limits: of the codes that leave it; None for the last layer.
        target: its ideal sums, after the pool.
    """
    nothing = np.zeros(len(real.bias))

    def made(weights: np.ndarray, weight_scale: float) -> QuantisedLayer:
        return QuantisedLayer(real.layer, weights, nothing, None, operands, 0, scale, weight_scale)

    empty = made(np.zeros(real.weights.shape, np.int8), 1.0)
    windows = im2col(empty, codes.numpy())
    windows = windows.reshape(-1, windows.shape[-1])
    windows = windows[:: max(1, len(windows) // _CALIBRATION_WINDOWS)].astype(np.float32)
    seen = [of_group(empty, windows, group) for group in range(empty.groups)]
    weights, weight_scale = _quantise_weights(real.weights, operands.weight_max, seen)
    bare = made(weights, weight_scale)
    sums = pooled(LayerSums(bare)(codes), pool).numpy().astype(np.float64)
    others = tuple(axis for axis in range(target.ndim) if axis != 1)
    bias = np.rint((target.numpy().astype(np.float64) / bare.unit - sums).mean(axis=others))
    if limits is None:
        return replace(bare, bias=bias), None
    outputs = (sums + (bias if sums.ndim == 2 else bias[:, None, None])) * bare.unit
    outputs = np.minimum(outputs, real.layer.ceiling) if real.layer.ceiling is not None else outputs
    constants, _ = rescaled(outputs, bare.unit, *limits, real.layer.absolute)
    return replace(bare, bias=bias, requantisation=constants), bare.unit / constants.scale


def _quantise_weights(weights: np.ndarray, greatest: int, windows: Sequence[np.ndarray]) -> tuple[np.ndarray, float]:
    """Codes and their scale for inputs like `windows` [n, K], those of each group of outputs."""
    covariances = [_covariance(inputs) for inputs in windows]
    wanted = weights.reshape(len(weights), -1).astype(np.float64)

    def nearest(scale: float) -> np.ndarray:
        return np.clip(np.rint(wanted / scale), -greatest, greatest)

    def error(scale: float) -> float:
        delta = nearest(scale) * scale - wanted
        parts = zip(np.split(delta, len(windows)), covariances, strict=True)
        return float(sum(np.sum(_correlated(part, covariance) * part) for part, covariance in parts))

    scale = _least(error, float(np.abs(wanted).max()) / greatest)
    groups = zip(np.split(nearest(scale), len(windows)), np.split(wanted, len(windows)), covariances, strict=True)
    codes = [
        start if covariance.ndim == 1 else _descend(start, goal / scale, greatest, covariance)
        for start, goal, covariance in groups
    ]
    return np.concatenate(codes).reshape(weights.shape), scale


def _correlated(delta: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """δ C, of a covariance or of variances alone."""
    return delta * covariance if covariance.ndim == 1 else delta @ covariance


def _covariance(inputs: np.ndarray) -> np.ndarray:
    """Float64[K, K] of [n, K]; the variances float64[K] alone where there are too many."""
    if inputs.shape[1] > _MOST_CORRELATED:
        variances = inputs.var(axis=0, dtype=np.float64)
        return variances + (_DAMPING * variances.mean() + 1e-12)
    covariance = np.atleast_2d(np.cov(inputs, rowvar=False)).astype(np.float64)
    # Inputs that hardly vary here would otherwise be free to take any weight.
    covariance += np.eye(len(covariance)) * (_DAMPING * np.trace(covariance) / len(covariance) + 1e-12)
    return covariance


def _descend(codes: np.ndarray, wanted: np.ndarray, greatest: int, covariance: np.ndarray) -> np.ndarray:
    """Coordinate descent of δ C δᵀ over integer codes [out, K], δ = codes − wanted."""
    for _ in range(_SWEEPS):
        moved = False
        for k in range(codes.shape[1]):
            slope = (codes - wanted) @ covariance[:, k] / covariance[k, k]
            best = np.clip(np.rint(codes[:, k] - slope), -greatest, greatest)
            moved |= bool((best != codes[:, k]).any())
            codes[:, k] = best
        if not moved:
            break
    return codes


def _least(error: Callable[[float], float], largest: float) -> float:
    """The scale with the least error among fractions of `largest`; 1 where there is nothing to scale."""
    if largest <= 0:
        return 1.0
    return min((float(fraction) * largest for fraction in _CLIPPING), key=error)
