"""The network that goes with a multiplier: weight codes, biases, requantisation constants, input rounding.

Layer by layer, on the integers that the layers before really deliver for the training images:

* a layer with a product table gets its codes from `amhw.select.remap`, for a grid of units s;
* if the next layer has a table too, that one will be fitted to whatever arrives, so each output channel may keep
  its own unit and offset (a rectifier commutes with positive factors; Nagel et al., "Data-free quantization through
  weight equalization and bias correction", ICCV 2019). For each requantisation constant of a grid, each channel
  takes the unit and the bias with which a product of the next layer, of the code that arrives and of the best weight
  code, comes nearest to that of the teacher's rectified pre-activation and a real-valued weight; the best few
  constants are followed to the end;
* otherwise one unit serves all channels, the one with the least weighted error;
* a layer without a table keeps its weights; its bias takes up what the mean lacks, its scale is calibrated again.

Of the networks that result, the one whose class probabilities are nearest to the teacher's (Kullback and Leibler's
divergence, on training images that include moved and distorted ones) is kept. Labels are never used, nor test images.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn import functional

from amhw.network.inference import Inference, LayerSums, finish
from amhw.network.quantise import best_scale
from amhw.network.quantised import MadeFor, QuantisedLayer, QuantisedNetwork, Requantisation
from amhw.network.real import FloatNetwork
from amhw.refusal import Refusal
from amhw.select.remap import Moments, Remapped, remap
from amhw.select.teacher import LayerTargets, Teacher
from amhw.select.terms import Terms, half_step
from amhw.table import ProductTable

_SAMPLES = 12_000
_STRETCHES = np.geomspace(0.7, 2.2, 9)
_OFFSETS = (-0.2, -0.1, 0.0, 0.1, 0.2)
_TOLERATED = 2.0
_CLIPPED = 99.9
_QUANTILES = 16
_UNITS = np.geomspace(0.25, 2.0, 8)


@dataclass(frozen=True, eq=False)
class Judge:
    """Training images and the teacher's logits for them: which of two networks is better.

    Attributes:
        images: uint8[N, H, W].
        logits: float32[N, classes], the teacher's.
    """

    images: np.ndarray
    logits: np.ndarray

    @staticmethod
    def of(network: FloatNetwork, images: np.ndarray) -> "Judge":
        return Judge(images, network.logits(images))

    def judged(self, network: QuantisedNetwork, tables: Mapping[str, ProductTable]) -> tuple[float, np.ndarray]:
        """Mean Kullback–Leibler divergence of the network's class probabilities from the teacher's, in nats, and the
        network's logits."""
        last = network.layers[-1]
        logits = Inference(network, tables).logits(self.images)
        wanted = torch.log_softmax(torch.tensor(self.logits, dtype=torch.float64), dim=1)
        real = torch.tensor(logits * (last.activation_scale * last.weight_scale), dtype=torch.float64)
        given = torch.log_softmax(real, dim=1)
        return float(functional.kl_div(given, wanted, reduction="batchmean", log_target=True)), logits


@dataclass(frozen=True, eq=False)
class Fitted:
    """A network for some tables and how far it is from the teacher.

    Attributes:
        predictions: int64[N], the class of each of the judge's images.
        errors: for each layer with a table, the root of the weighted mean squared error of its pre-activations,
            relative to their standard deviation.
    """

    network: QuantisedNetwork
    divergence: float
    predictions: np.ndarray
    errors: dict[str, float]


def fit(
    base: QuantisedNetwork,
    tables: Mapping[str, ProductTable],
    teacher: Teacher,
    judge: Judge,
    *,
    beam: int = 2,
) -> Fitted:
    """`base` with weight codes, biases and constants made for `tables`.

    Args:
        base: gives names, geometry and operands, and the weights of the layers without a table.
        tables: by layer name, convolutions only.
        beam: how many requantisation constants are followed to the end, for each rounding of the image.

    Raises:
        Refusal: a table does not fit its layer, or the layer is no convolution.
    """
    for name in tables:
        if base[name].is_linear:
            known = ", ".join(base.convolutions)
            raise Refusal(f"{name} is fully connected; weights are chosen for convolutions: {known}")
        LayerSums(base[name], tables[name])  # refuses what does not fit
    first = base.layers[0]
    codes = torch.from_numpy(first.operands.codes_of(teacher.images))
    path = _Path((), codes, first.operands.pixel_scale, {})
    paths = [path]
    for index, layer in enumerate(base.layers):
        following = base.layers[index + 1] if index + 1 < len(base.layers) else None
        table = tables.get(layer.name)
        grown: list[_Path] = []
        for path in paths:
            if table is None:
                grown.append(_recalibrated(path, layer, teacher.layers[index], following))
            elif following is not None and following.name in tables:
                assert layer.requantisation is not None, "only the last layer has none, and it has no follower"
                codes_seen = layer.requantisation.maximum + 1
                real = teacher.network.layers[index + 1].weights
                follower = _Follower.of(tables[following.name], codes_seen, real)
                for rounding in _roundings(path, table):
                    grown += _freely(path, layer, table, rounding, teacher.layers[index], follower, beam)
            else:
                for rounding in _roundings(path, table):
                    grown.append(_shared(path, layer, table, rounding, teacher.layers[index], following))
        paths = grown
    name = f"{base.name}, for {', '.join(dict.fromkeys(table.name for table in tables.values()))}"
    fitted = []
    for path in paths:
        network = QuantisedNetwork(path.layers, name)
        divergence, logits = judge.judged(network, tables)
        fitted.append(Fitted(network, divergence, logits.argmax(axis=1), path.errors))
    return min(fitted, key=lambda found: found.divergence)


@dataclass(frozen=True, eq=False)
class _Path:
    """The layers made so far, the activation codes that leave them for all images, and their unit."""

    layers: tuple[QuantisedLayer, ...]
    codes: torch.Tensor
    scale: float
    errors: dict[str, float]

    def with_layer(
        self, layer: QuantisedLayer, table: ProductTable | None, scale: float, error: float | None = None
    ) -> "_Path":
        errors = self.errors if error is None else self.errors | {layer.name: error}
        if layer.requantisation is None:
            return _Path((*self.layers, layer), self.codes, scale, errors)
        codes = finish(layer, LayerSums(layer, table)(self.codes))
        return _Path((*self.layers, layer), codes, scale, errors)


def _roundings(path: _Path, table: ProductTable) -> tuple[int, ...]:
    """Input rounding constants to try.

    The image takes an adder to round, and truncating it may be as good; later layers are rounded by the requantisation
    before them.
    """
    return (half_step(table),) if path.layers else tuple(dict.fromkeys((0, half_step(table))))


def _remapped(path: _Path, layer: QuantisedLayer, table: ProductTable, targets: LayerTargets) -> tuple[Remapped, float]:
    """All units' codes, and the targets' total variance."""
    terms = Terms.of(table)
    moments = Moments.of(layer, terms, path.codes.numpy(), targets)
    return remap(moments, terms), float(moments.target.sum())


def _with_codes(layer: QuantisedLayer, table: ProductTable, codes: np.ndarray) -> QuantisedLayer:
    """`layer` with two's complement weight codes [out, K] for `table`, and no bias."""
    width = layer.operands.weight_width
    values = np.where(codes >> (width - 1), codes - (1 << width), codes).astype(np.int8)
    return replace(
        layer,
        weights=values.reshape(layer.weights.shape),
        bias=np.zeros(layer.outputs),
        made_for=MadeFor(table.name, table.sha256),
    )


def _pooled(layer: QuantisedLayer, table: ProductTable | None, codes: torch.Tensor) -> np.ndarray:
    sums = LayerSums(layer, table)(codes)
    if layer.geometry.pool > 1:
        sums = functional.max_pool2d(sums, layer.geometry.pool)
    return sums.numpy().astype(np.float64)


def _freely(
    path: _Path,
    layer: QuantisedLayer,
    table: ProductTable,
    rounding: int,
    targets: LayerTargets,
    follower: "_Follower",
    beam: int,
) -> list[_Path]:
    """The layer with each channel's own unit, for the `beam` best requantisation constants."""
    layer = replace(layer, input_rounding=rounding, activation_scale=path.scale)
    found, variance = _remapped(path, layer, table, targets)
    tolerated = (found.errors <= _TOLERATED * found.errors.min(axis=0)).any(axis=1)
    sums = {
        int(unit): _pooled(_with_codes(layer, table, found.codes[unit]), table, path.codes)
        for unit in np.flatnonzero(tolerated)
    }
    nearest = found.errors.argmin(axis=0)
    usual = float(np.mean([np.percentile(sums[int(unit)][:, o], _CLIPPED) for o, unit in enumerate(nearest)]))
    greatest = follower.greatest
    generator = np.random.default_rng(0)
    size = targets.sums[:, 0].size
    chosen = generator.choice(size, min(_SAMPLES, size), replace=False)
    samples = [
        (targets.sums[:, o].ravel()[chosen], {unit: part[:, o].ravel()[chosen] for unit, part in sums.items()})
        for o in range(layer.outputs)
    ]
    choices: list[tuple[float, float, list[tuple[float, int, float]]]] = []
    for stretch in _STRETCHES:
        factor = greatest * stretch / max(usual, 1.0)
        channels = [
            _best_channel(wanted, given, found.units, found.errors[:, o], factor, follower, o)
            for o, (wanted, given) in enumerate(samples)
        ]
        choices.append((sum(lost for lost, _, _ in channels), factor, channels))
    choices.sort(key=lambda choice: choice[0])
    paths = []
    for _, factor, channels in choices[:beam]:
        units = [unit for _, unit, _ in channels]
        codes = np.stack([found.codes[unit, o] for o, unit in enumerate(units)])
        nominal = float(np.median(found.units[units]))
        made = replace(
            _with_codes(layer, table, codes),
            bias=np.rint([bias for _, _, bias in channels]),
            weight_scale=nominal / path.scale,
            requantisation=Requantisation.of(factor, greatest),
        )
        error = float(np.sqrt(found.errors[units, np.arange(layer.outputs)].sum() / variance))
        paths.append(path.with_layer(made, table, nominal / factor, error))
    return paths


def _best_channel(
    target: np.ndarray,
    sums: Mapping[int, np.ndarray],
    units: np.ndarray,
    errors: np.ndarray,
    factor: float,
    follower: "_Follower",
    channel: int,
) -> tuple[float, int, float]:
    """(what the follower must lose, unit's index, bias) of the best unit and bias for a channel."""
    rectified = np.maximum(target, 0)
    live = target > 0
    step = follower.greatest / max(1, follower.levels - 1) / factor
    best = (np.inf, int(errors.argmin()), 0.0)
    for index in np.flatnonzero(errors <= _TOLERATED * errors.min()).tolist():
        shift = float((target / units[index] - sums[index])[live].mean()) if live.any() else -float(sums[index].max())
        for offset in _OFFSETS:
            bias = shift + offset * step
            codes = np.clip((sums[index] + bias) * factor + 0.5, 0, follower.greatest).astype(np.int64)
            lost = follower.lost(channel, codes, rectified)
            if lost < best[0]:
                best = (lost, index, bias)
    return best


@dataclass(frozen=True, eq=False)
class _Follower:
    """What the next multiplier can make of the activation codes that it gets.

    Attributes:
        table: float64[codes, D], its distinct columns, for each code with the rounding added.
        weights: float64[channels, W], quantiles of the next layer's real-valued weights.
        levels: how many codes it tells apart.
    """

    table: np.ndarray
    weights: np.ndarray
    levels: int

    @staticmethod
    def of(table: ProductTable, codes: int, weights: np.ndarray) -> "_Follower":
        rounded = np.minimum(np.arange(codes) + half_step(table), len(table.products) - 1)
        columns = np.unique(table.products[rounded], axis=1).astype(np.float64)
        by_channel = weights.swapaxes(0, 1).reshape(weights.shape[1], -1)
        quantiles = np.quantile(by_channel, (np.arange(_QUANTILES) + 0.5) / _QUANTILES, axis=1).T
        return _Follower(columns, quantiles, len(np.unique(columns, axis=0)))

    @property
    def greatest(self) -> int:
        return len(self.table) - 1

    def lost(self, channel: int, codes: np.ndarray, wanted: np.ndarray) -> float:
        """Mean squared error of one product of the next layer, of a code and a weight chosen for it, against that of
        the wanted activation and a real-valued weight; half of what codes can express but weights cannot is shared
        out among other taps. As `amhw.select.search` predicts it, but for activations with errors of their own."""
        chance = np.bincount(codes, minlength=len(self.table)) / len(codes)
        first = np.bincount(codes, wanted, minlength=len(self.table)) / len(codes)
        mean, variance = float(wanted.mean()), float(wanted.var())
        if variance == 0:
            return 0.0
        means = chance @ self.table
        spread = chance @ self.table**2 - means**2
        together = first @ self.table - mean * means
        weights = self.weights[channel]
        largest = np.abs(weights).max() * np.sqrt(variance / max(float(spread.max()), 1e-30))
        units = (largest * _UNITS)[:, None, None]
        errors = units**2 * spread - 2 * units * weights[:, None] * together
        power = float((weights**2).mean())
        alone = power * variance + float(errors.min(axis=2).mean(axis=1).min())
        seen = float((first**2 / np.maximum(chance, 1e-300)).sum()) - mean**2
        unseen = power * max(0.0, variance - seen)
        return unseen + 0.5 * max(0.0, alone - unseen)


def _shared(
    path: _Path,
    layer: QuantisedLayer,
    table: ProductTable,
    rounding: int,
    targets: LayerTargets,
    following: QuantisedLayer | None,
) -> _Path:
    """The layer with one unit for all outputs."""
    layer = replace(layer, input_rounding=rounding, activation_scale=path.scale)
    found, variance = _remapped(path, layer, table, targets)
    index = int(found.errors.sum(axis=1).argmin())
    made = _with_codes(layer, table, found.codes[index])
    error = float(np.sqrt(found.errors[index].sum() / variance))
    return _finished(path, made, table, targets, float(found.units[index]), following, error)


def _recalibrated(path: _Path, layer: QuantisedLayer, targets: LayerTargets, following: QuantisedLayer | None) -> _Path:
    """The layer with its own weights, new bias and scale."""
    layer = replace(layer, activation_scale=path.scale, bias=np.zeros(layer.outputs))
    return _finished(path, layer, None, targets, path.scale * layer.weight_scale, following, None)


def _finished(
    path: _Path,
    layer: QuantisedLayer,
    table: ProductTable | None,
    targets: LayerTargets,
    unit: float,
    following: QuantisedLayer | None,
    error: float | None,
) -> _Path:
    """The layer with the bias that gives live outputs the teacher's mean, and the best scale of its outputs."""
    sums = _pooled(layer, table, path.codes)
    live = np.ones_like(targets.sums, dtype=bool) if following is None else targets.sums > 0
    axes = tuple(axis for axis in range(sums.ndim) if axis != 1)
    lacking = np.where(live, targets.sums / unit - sums, 0).sum(axis=axes) / np.maximum(live.sum(axis=axes), 1)
    bias = np.rint(lacking)
    layer = replace(layer, bias=bias, weight_scale=unit / path.scale)
    if following is None:
        return path.with_layer(layer, table, unit, error)
    activations = np.maximum(sums + bias.reshape(-1, *[1] * (sums.ndim - 2)), 0) * unit
    scale = best_scale(activations.astype(np.float32), following.operands.activation_max)
    constants = Requantisation.of(unit / scale, following.operands.activation_max)
    return path.with_layer(replace(layer, requantisation=constants), table, scale, error)
