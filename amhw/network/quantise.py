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

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import torch

from amhw.network.inference import LayerSums, finish, im2col
from amhw.network.quantised import Operands, QuantisedLayer, QuantisedNetwork, Requantisation
from amhw.network.real import FloatLayer, FloatNetwork

CALIBRATION_IMAGES = 1000
"""Images used of those given, evenly spaced: more change the scales by less than the grid's step."""

_CALIBRATION_WINDOWS = 100_000
_CALIBRATION_VALUES = 200_000
_DAMPING = 0.01
_SWEEPS = 20

_CLIPPING = np.linspace(0.15, 1.0, 69)
"""Candidate clipping points as fractions of the largest magnitude."""


def quantise(
    network: FloatNetwork,
    images: np.ndarray,
    operands: Operands | Mapping[str, Operands] = MappingProxyType({}),
) -> QuantisedNetwork:
    """`network` in integers, calibrated on `images` (uint8[N, H, W], training images).

    `operands` holds for all layers, or maps layer names to theirs, others being `Operands()`: u8s8.

    Raises:
        Refusal: a layer's constants cannot be represented (see `QuantisedLayer`).
    """
    wanted = [
        operands if isinstance(operands, Operands) else operands.get(layer.name, Operands()) for layer in network.layers
    ]
    images = images[:: max(1, len(images) // CALIBRATION_IMAGES)]
    exact = torch.tensor(images[:, None]).float() / 255
    codes, scale = torch.from_numpy(wanted[0].codes_of(images)), wanted[0].pixel_scale
    layers: list[QuantisedLayer] = []
    for index, (layer, own) in enumerate(zip(network.layers, wanted, strict=True)):
        following = wanted[index + 1] if index + 1 < len(wanted) else None
        target = layer.sums(torch.relu(exact) if index else exact)
        quantised, out_scale = _quantise_layer(layer, own, following, codes, scale, target)
        layers.append(quantised)
        if out_scale is not None:
            codes, scale, exact = finish(quantised, LayerSums(quantised)(codes)), out_scale, target
    return QuantisedNetwork(tuple(layers), f"{network.name}, {'/'.join(dict.fromkeys(o.name for o in wanted))}")


def best_scale(values: np.ndarray, greatest: int) -> float:
    """The scale for codes 0…greatest with the least squared error over non-negative `values`."""
    some = values.ravel()[:: max(1, values.size // _CALIBRATION_VALUES)]

    def error(scale: float) -> float:
        return float(np.square(np.clip(np.rint(some / scale), 0, greatest) * scale - some).mean())

    return _least(error, float(values.max()) / greatest)


def _quantise_layer(
    layer: FloatLayer,
    operands: Operands,
    following: Operands | None,
    codes: torch.Tensor,
    scale: float,
    target: torch.Tensor,
) -> tuple[QuantisedLayer, float | None]:
    """The layer for inputs `codes` of `scale` each, and its outputs' scale; `target`: its ideal sums."""

    def made(weights: np.ndarray, bias: np.ndarray, constants: Requantisation | None) -> QuantisedLayer:
        return QuantisedLayer(layer.name, weights, bias, constants, operands, layer.geometry, 0, scale, weight_scale)

    nothing = np.zeros(len(layer.bias))
    weight_scale = 1.0
    windows = im2col(made(np.zeros(layer.weights.shape, np.int8), nothing, None), codes.numpy())
    weights, weight_scale = _quantise_weights(layer.weights, operands.weight_max, windows)

    unit = scale * weight_scale
    sums = _pooled(made(weights, nothing, None), codes)
    others = tuple(axis for axis in range(target.ndim) if axis != 1)
    bias = np.rint((target.numpy().astype(np.float64) / unit - sums).mean(axis=others))
    if following is None:
        return made(weights, bias, None), None
    activations = np.maximum(sums + (bias if sums.ndim == 2 else bias[:, None, None]), 0) * unit
    out_scale = best_scale(activations, following.activation_max)
    constants = Requantisation.of(unit / out_scale, following.activation_max)
    return made(weights, bias, constants), unit / (constants.multiplier * 2.0**-constants.shift)


def _quantise_weights(weights: np.ndarray, greatest: int, windows: np.ndarray) -> tuple[np.ndarray, float]:
    """Codes and their scale for inputs like `windows` [N, H', W', K]."""
    inputs = windows.reshape(-1, windows.shape[-1])
    inputs = inputs[:: max(1, len(inputs) // _CALIBRATION_WINDOWS)].astype(np.float32)
    covariance = np.cov(inputs, rowvar=False).astype(np.float64)
    # Inputs that hardly vary here would otherwise be free to take any weight.
    covariance += np.eye(len(covariance)) * (_DAMPING * np.trace(covariance) / len(covariance) + 1e-12)
    wanted = weights.reshape(len(weights), -1).astype(np.float64)

    def nearest(scale: float) -> np.ndarray:
        return np.clip(np.rint(wanted / scale), -greatest, greatest)

    def error(scale: float) -> float:
        delta = nearest(scale) * scale - wanted
        return float(np.sum((delta @ covariance) * delta))

    scale = _least(error, float(np.abs(wanted).max()) / greatest)
    codes = _descend(nearest(scale), wanted / scale, greatest, covariance)
    return codes.reshape(weights.shape), scale


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


def _pooled(layer: QuantisedLayer, codes: torch.Tensor) -> np.ndarray:
    sums = LayerSums(layer)(codes)
    if layer.geometry.pool > 1:
        sums = torch.nn.functional.max_pool2d(sums, layer.geometry.pool)
    return sums.numpy().astype(np.float64)


def _least(error: Callable[[float], float], largest: float) -> float:
    """The scale with the least error among fractions of `largest`; 1 where there is nothing to scale."""
    if largest <= 0:
        return 1.0
    return min((float(fraction) * largest for fraction in _CLIPPING), key=error)
