"""Accuracy from a product table without classifying an image.

The error e of products is described, for each output of each layer that the multiplier serves, by three numbers: how
much it amplifies the exact sum (its gain), its mean, and the variance of the rest. All are weighted by how often
operands meet when the exact network sees some training images, and cost three small matrix products. First-order
propagation through the network's own Jacobian J then gives what happens to the logits of each of these images:

    shift     Σ over layers, outputs and positions of J·(mean + gain·exact sum)
    variance  Σ of J²·variance

and with it, as if shifted margins to the other classes were normal, the expected share of images that stay correct.
A regression of the accuracy's logit is fitted on multipliers that were simulated and serves those that were not. It
sees that share (on a probit scale) and, of each layer, the logarithms of the margins' shift and deviation and the mean
shift: errors of the first layer have been through more of the network's ReLUs than first order knows of. It is kernel
ridge regression, a plane with what a Gaussian kernel finds beside it: with a quadratic polynomial in the same features
the cross-validated deviation is larger (docs/training.md).

Propagating a mean error to the output is the idea of the architectural mean error (De la Parra, Guntoro and Kumar,
"Improving approximate neural networks for perception tasks through specialized optimization", 2020); independence of
errors is an assumption, which the regression has to repair.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from amhw.datasets import DataSet
from amhw.network.inference import Inference, check_operands, im2col
from amhw.network.quantised import QuantisedLayer, QuantisedNetwork
from amhw.network.real import pixels, real_valued
from amhw.refusal import Refusal
from amhw.table import ProductTable, code_values


@dataclass(frozen=True, eq=False)
class _Layer:
    """One layer's operands and sensitivities; M margins are those of every image to every other class.

    Attributes:
        activations: float32[2·C, codes]: probabilities of activation codes in each input channel, times 1 and times a.
        counts: float32[out, C·weight codes], how often each weight code occurs; never in channels of other groups.
        weight_values: float32[weight codes].
        exact: float32[C, weight codes], mean exact products.
        shifts: float32[M, 2·out], Σ J and Σ J·sum over positions.
        squares: float32[M, out], Σ J².
        mean, variance: float32[out], of the exact sums, as if taps were independent.
    """

    activations: NDArray[np.float32]
    counts: NDArray[np.float32]
    weight_values: NDArray[np.float32]
    exact: NDArray[np.float32]
    shifts: NDArray[np.float32]
    squares: NDArray[np.float32]
    mean: NDArray[np.float32]
    variance: NDArray[np.float32]

    def error(self, errors: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Shift and variance of the margins, float32[M] each, for `errors` [codes, weight codes] of products."""
        channels = len(self.activations) // 2
        moments = self.activations @ errors
        plain, by_a = moments[:channels], moments[channels:]
        squared = self.activations[:channels] @ np.square(errors)
        covariance = by_a * self.weight_values - plain * self.exact
        terms = np.stack([plain.ravel(), covariance.ravel(), (squared - np.square(plain)).ravel()], axis=1)
        mean, covariance, variance = (self.counts @ terms).T
        gain = covariance / self.variance
        rest = np.maximum(variance - gain * covariance, 0)
        return self.shifts @ np.concatenate([mean - gain * self.mean, gain]), self.squares @ rest


class Predictor:
    """Predicts the accuracy of `network` with a multiplier in the layers `names`, from images of `data`.

    >>> from amhw import parse
    >>> from amhw.datasets import mnist_slice
    >>> from amhw.network.models.lenet5 import network
    >>> predictor = Predictor(network(), ("conv1", "conv2"), mnist_slice().first(40))
    >>> exact, coarse = (ProductTable.of(parse(f"mul_u8s8_pp_{rows}")) for rows in ("full", "0_0_0_0_0_0_c0_c0"))
    >>> bool(predictor.survivors(exact) > predictor.survivors(coarse))
    True

    Raises:
        Refusal: a layer is unknown, there is none, or two have operands of two kinds; later, a table has others.
    """

    def __init__(self, network: QuantisedNetwork, names: Sequence[str], data: DataSet) -> None:
        self.names = tuple(names)
        if not self.names:
            raise Refusal(f"no layers; wanted one or more of {', '.join(network.layer_names)}")
        self._first = network[self.names[0]]
        codes = Inference(network).inputs(data.images)
        logits, sums, gradients = _jacobian(network, names, data)
        labels = data.labels.astype(np.int64)
        others = np.array([[k for k in range(logits.shape[1]) if k != label] for label in labels])
        rows = np.arange(len(labels))
        right = logits[rows, labels] >= logits.max(axis=1)
        self._offset = float(right.mean())
        # Images that are wrong without any error tell nothing about errors.
        keep = np.flatnonzero(right)
        self._margins = (logits[rows, labels][:, None] - np.take_along_axis(logits, others, axis=1))[keep]
        operands = self._first.operands
        a = code_values(operands.activation_width, operands.activation_signed)
        self._exact = (a[:, None] * code_values(operands.weight_width, True)).astype(np.float32)
        self._layers = []
        for name in names:
            if network[name].operands != operands:
                raise Refusal(
                    f"{name} takes {network[name].operands.name} and {names[0]} {operands.name}: one table, one kind"
                )
            j = gradients[name]  # [N, classes, out, positions]
            j = (j[rows, labels][:, None] - np.take_along_axis(j, others[:, :, None, None], axis=1))[keep]
            self._layers.append(_layer(network[name], codes[name], sums[name][keep], j))

    def survivors(self, table: ProductTable) -> float:
        """The share of images that stay correct if margins were normal, 0…1, before any regression."""
        return self._share(self._margin_errors(table))

    def features(self, table: ProductTable) -> NDArray[np.float64]:
        """What the regression sees, float64[1 + 3·layers]: the survivors on a probit scale; then of each layer the
        logarithms of the margins' shift (root mean square) and deviation, and the mean shift."""
        errors = self._margin_errors(table)
        found = [NormalDist().inv_cdf(min(max(self._share(errors), 0.005), 1 - 1e-5))]
        for shift, variance in errors:
            size, deviation = (
                np.log10(np.sqrt(square) + _SMALLEST) for square in (shift @ shift / len(shift), variance.mean())
            )
            found += [float(size), float(deviation), float(shift.mean())]
        return np.array(found)

    def fit(self, tables: Sequence[ProductTable], accuracies: Sequence[float]) -> "AccuracyModel":
        """The regression through multipliers of known accuracy.

        Raises:
            Refusal: there are too few of them, or an accuracy is not in 0…1.
        """
        if len(tables) < _FEWEST or len(tables) != len(accuracies):
            raise Refusal(f"{len(tables)} tables and {len(accuracies)} accuracies; wanted {_FEWEST} or more of each")
        y = np.asarray(accuracies, dtype=np.float64)
        wrong = y[~((y >= 0) & (y <= 1))]  # nan is neither
        if wrong.size:
            raise Refusal(f"an accuracy of {wrong[0]}; wanted 0…1")
        x = np.array([self.features(table) for table in tables])
        centre, spread = x.mean(axis=0), x.std(axis=0) + 1e-9
        x = (x - centre) / spread
        best = min(float(y.max()) + _HEADROOM, 1.0 + _HEADROOM)
        y = np.maximum(y, 1e-3)
        logits = np.log(y / (best - y))
        middle = float(logits.mean())
        weights = np.asarray(np.linalg.solve(_kernel(x, x) + _RIDGE * np.eye(len(x)), logits - middle), np.float64)
        return AccuracyModel(self, centre, spread, x, weights, middle, best)

    def _margin_errors(self, table: ProductTable) -> list[tuple[NDArray[Any], NDArray[Any]]]:
        """Shift and variance of every margin, float32[M] each, from each layer."""
        check_operands(self._first, table)
        errors = table.products.astype(np.float32) - self._exact
        return [layer.error(errors) for layer in self._layers]

    def _share(self, errors: list[tuple[NDArray[Any], NDArray[Any]]]) -> float:
        shift, variance = (np.sum(part, axis=0) for part in zip(*errors, strict=True))
        z = (self._margins.ravel() + shift) / np.sqrt(_CORRELATION * variance + 1)
        return self._offset * float(_normal(z.reshape(self._margins.shape).min(axis=1)).mean())


@dataclass(frozen=True, eq=False)
class AccuracyModel:
    """Accuracy from a table: its logit is middle + Σ weight_i·k(features, fitted_i), with `best` in place of 1.

    Attributes:
        centre, spread: float64[features], by which features are standardised.
        fitted: float64[multipliers, features], standardised.
        weights: float64[multipliers].
    """

    predictor: Predictor
    centre: NDArray[np.float64]
    spread: NDArray[np.float64]
    fitted: NDArray[np.float64]
    weights: NDArray[np.float64]
    middle: float
    best: float

    def predict(self, table: ProductTable) -> float:
        """The accuracy to expect, 0…1."""
        x = (self.predictor.features(table) - self.centre) / self.spread
        logit = self.middle + float(_kernel(x[None], self.fitted)[0] @ self.weights)
        return min(self.best / (1 + float(np.exp(-logit))), self.best - _HEADROOM)


_CORRELATION = 4.0
"""Errors at neighbouring positions are of the same sign more often than not: their sum varies more than independent
ones would. Anything from 1 to 16 serves as well."""
_SMALLEST = 0.3
"""Shifts and deviations of a margin below this, of margins that are 27 on average, are all the same."""
_HEADROOM = 0.003
_RIDGE = 1e-2
_REACH = 4.0
"""Standard deviations of the features over which the Gaussian kernel reaches."""
_FEWEST = 20


def _kernel(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64[m, n] of standardised features [m, F] and [n, F]. The linear part goes on where nothing was fitted."""
    squares = np.square(x[:, None] - y[None]).sum(axis=2)
    return np.asarray(np.exp(squares / (-2 * _REACH**2)) + x @ y.T / x.shape[1], np.float64)


def _normal(z: NDArray[np.float32]) -> NDArray[Any]:
    """The normal distribution function."""
    return np.asarray(torch.special.ndtr(torch.from_numpy(z)).numpy())


def _jacobian(
    network: QuantisedNetwork, names: Sequence[str], data: DataSet
) -> tuple[NDArray[Any], dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """Logits [N, classes]; exact sums [N, out, positions] and derivatives of the logits by them [N, classes, out,
    positions] of each layer, in units of its accumulator."""
    model = real_valued(network).module()
    modules = dict(model.named_modules())
    seen: dict[str, torch.Tensor] = {}
    network.network.check_layers(names)
    for name in names:
        modules[name].register_forward_hook(lambda module, given, output, name=name: seen.__setitem__(name, output))
    logits = model(pixels(data.images))
    derivatives = [
        torch.autograd.grad(logits[:, k].sum(), list(seen.values()), retain_graph=True)
        for k in range(network.network.classes)
    ]
    gradients, sums = {}, {}
    for index, (name, output) in enumerate(seen.items()):
        layer = network[name]
        unit = layer.unit
        gradients[name] = torch.stack([d[index] for d in derivatives], dim=1).flatten(3).numpy() * np.float32(unit)
        bias = torch.tensor(layer.bias)[:, None, None] if output.ndim == 4 else torch.tensor(layer.bias)
        sums[name] = (output.detach() / unit - bias).flatten(2).numpy()
    return logits.detach().numpy(), sums, gradients


def _layer(layer: QuantisedLayer, codes: np.ndarray, sums: np.ndarray, j: np.ndarray) -> _Layer:
    levels, kinds = 1 << layer.operands.activation_width, 1 << layer.operands.weight_width
    windows = im2col(layer, codes)
    members = layer.weights.shape[1]
    channels = members * layer.groups
    windows = windows.reshape(-1, channels, windows.shape[-1] // channels)
    p = np.stack([np.bincount(windows[:, c].ravel(), minlength=levels) for c in range(channels)]) / windows[:, 0].size
    a = np.arange(levels)
    weights = layer.weight_codes.reshape(layer.outputs, members, -1)
    counts = np.zeros((layer.outputs, channels, kinds))
    for index, output in enumerate(weights):
        first = index // (layer.outputs // layer.groups) * members
        counts[index, first : first + members] = [np.bincount(taps, minlength=kinds) for taps in output]
    counts = counts.reshape(layer.outputs, -1)
    w = code_values(layer.operands.weight_width, True)
    mean_a, square_a = p @ a, p @ (a * a)
    flat = j.reshape(-1, *j.shape[2:])
    by_sum = (j * sums[:, None]).sum(axis=3).reshape(-1, layer.outputs)
    return _Layer(
        *(
            np.ascontiguousarray(array, dtype=np.float32)
            for array in (
                np.concatenate([p, p * a]),
                counts,
                w,
                mean_a[:, None] * w,
                np.concatenate([flat.sum(axis=2), by_sum], axis=1),
                np.square(flat).sum(axis=2),
                counts @ (mean_a[:, None] * w).ravel(),
                counts @ ((square_a - mean_a**2)[:, None] * (w * w)).ravel() + 1e-9,
            )
        )
    )
