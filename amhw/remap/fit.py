"""The network that goes with a multiplier: weight codes, biases, requantisation constants, input rounding.

Layer by layer, on the integers that the layers before really deliver for the training images:

* a layer with a product table gets its codes from `amhw.remap.reconstruction`, for a grid of units s;
* if the next layer has a table too, that one will be fitted to whatever arrives, so each output channel may keep
  its own unit and offset (a rectifier commutes with positive factors; Nagel et al., "Data-free quantization through
  weight equalization and bias correction", ICCV 2019). For each requantisation constant of a grid, each channel
  takes the unit and the bias with which a product of the next layer, of the code that arrives and of the best weight
  code, comes nearest to that of the teacher's rectified pre-activation and a real-valued weight; the best few
  constants are followed to the end;
* otherwise one unit serves all channels, the one with the least weighted error;
* a linear layer without a table gets the exact multiplier's codes that are best for what arrives, so that it takes up
  what the layers before it lost as far as that correlates with anything (`amhw.remap.reconstruction`);
* a convolution without a table keeps its weights. Biases take up what the mean lacks, and scales are calibrated again.

Of the networks that result, the one whose class probabilities are nearest to the teacher's (Kullback and Leibler's
divergence, on training images that include moved and distorted ones) is kept. Labels are never used, nor test images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch.nn import functional

from amhw.network.inference import Inference, LayerSums, averaged, finish, pooled
from amhw.network.layers import IMAGE, Add, AveragePool, Layer, MaxPool
from amhw.network.network import Network
from amhw.network.quantise import addition, code_range, rescaled
from amhw.network.quantised import PIXEL_SCALE, Join, MadeFor, Operands, QuantisedLayer, QuantisedNetwork
from amhw.network.real import FloatNetwork
from amhw.network.requantisation import Requantisation
from amhw.refusal import Refusal
from amhw.remap.product_error import product_error
from amhw.remap.reconstruction import Moments, Remapped, exact_codes, remap
from amhw.remap.teacher import LayerTargets, Teacher, logits_of
from amhw.remap.terms import Terms, half_step
from amhw.table import ProductTable, code_values

_SAMPLES = 12_000
_STRETCHES = np.geomspace(0.7, 2.2, 9)
_OFFSETS = (-0.2, -0.1, 0.0, 0.1, 0.2)
_TOLERATED = 2.0
_CLIPPED = 99.9
_QUANTILES = 16
_UNITS = np.geomspace(0.25, 2.0, 8)
_DECIMALS = 9
_LOST_DIGITS = 10
_UNITS_OF_CONVOLUTION = 14
_UNITS_OF_LINEAR = 7
_OUTPUTS_HEARD = 24
"""Outputs of a linear layer by which its requantisation constant is chosen."""


@dataclass(frozen=True, eq=False)
class Judge:
    """Training images and the teacher's logits for them: which of two networks is better.

    Attributes:
        images: uint8[N, C, H, W].
        logits: float32[N, classes], the teacher's.
    """

    images: np.ndarray
    logits: np.ndarray

    @staticmethod
    def of(network: FloatNetwork, images: np.ndarray) -> "Judge":
        return Judge(images, logits_of(network, images))

    def judged(self, network: QuantisedNetwork, tables: Mapping[str, ProductTable]) -> tuple[float, np.ndarray]:
        """Mean Kullback–Leibler divergence of the network's class probabilities from the teacher's, in nats, and the
        network's logits."""
        last = network.layers[-1]
        logits = Inference(network, tables).logits(self.images)
        wanted = torch.log_softmax(torch.tensor(self.logits, dtype=torch.float64), dim=1)
        real = torch.tensor(logits * last.unit, dtype=torch.float64)
        given = torch.log_softmax(real, dim=1)
        divergence = float(functional.kl_div(given, wanted, reduction="batchmean", log_target=True))
        return round(divergence, _DECIMALS), logits


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
    errors: Mapping[str, float]


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
        tables: by layer name.
        beam: how many requantisation constants are followed to the end, for each rounding of the image.

    Raises:
        Refusal: a table does not fit its layer, or the layer has groups, or any layer has absolute values.
    """
    check_activations(base)
    for name in tables:
        if base[name].groups > 1:
            raise Refusal(
                f"{name} has {base[name].groups} groups; weights are chosen for convolutions without, or amhw train "
                "fine-tunes"
            )
        LayerSums(base[name], tables[name])  # refuses what does not fit
    network = base.network
    operands = {layer.name: layer.operands for layer in base.layers}
    image = torch.tensor(teacher.images)
    paths = [_Path(network, operands, teacher, codes={IMAGE: image}, scales={IMAGE: PIXEL_SCALE})]
    for structure in network.layers:
        if structure.name not in base.layer_names:
            paths = [path.passed(structure) for path in paths]
            continue
        layer, targets, table = base[structure.name], teacher.layers[structure.name], tables.get(structure.name)
        if layer.is_linear and table is not None:
            paths = _most_promising(paths, layer, targets, beam)
        following = _follower(base, teacher, tables, structure.name)
        grown: list[_Path] = []
        for path in paths:
            if table is None:
                grown.append(_recalibrated(path, layer, targets))
            elif following is not None:
                for rounding in _roundings(path, layer, table):
                    grown += _freely(path, layer, table, rounding, targets, following, beam)
            else:
                for rounding in _roundings(path, layer, table):
                    grown.append(_shared(path, layer, table, rounding, targets))
        paths = grown
    name = f"{base.name}, for {', '.join(dict.fromkeys(table.name for table in tables.values()))}"
    fitted = []
    for path in paths:
        made = QuantisedNetwork(network, tuple(path.layers.values()), name, path.joins)
        divergence, logits = judge.judged(made, tables)
        fitted.append(Fitted(made, divergence, logits.argmax(axis=1), path.errors))
    return min(fitted, key=lambda found: found.divergence)


def check_activations(base: QuantisedNetwork) -> None:
    """
    Raises:
        Refusal: a layer has absolute values, with a table or without: its scale is calibrated for a ReLU.
    """
    for layer in base.layers:
        if layer.layer.absolute:
            raise Refusal(
                f"{layer.name} has absolute values; weights are chosen for layers with a ReLU, or amhw train fine-tunes"
            )


@dataclass(frozen=True, eq=False)
class _Path:
    """The layers made so far, and the codes that leave them for all images.

    Attributes:
        codes, scales: by the layer that they leave (or the image), and what one step of them is worth.
        errors: of the layers with a table.
    """

    network: Network
    operands: Mapping[str, Operands]
    teacher: Teacher
    layers: Mapping[str, QuantisedLayer] = field(default_factory=dict)
    joins: Mapping[str, Join] = field(default_factory=dict)
    codes: Mapping[str, torch.Tensor] = field(default_factory=dict)
    scales: Mapping[str, float] = field(default_factory=dict)
    errors: Mapping[str, float] = field(default_factory=dict)

    def entering(self, layer: QuantisedLayer) -> tuple[torch.Tensor, float]:
        """The codes that a layer multiplies, and their scale."""
        [source] = self.network.sources[layer.name]
        codes, scale = self.codes[source], self.scales[source]
        if layer.name in self.network.pixel_layers:
            return torch.from_numpy(layer.operands.codes_of(codes.numpy())), layer.operands.pixel_scale
        return codes, scale

    def taught(self, layer: QuantisedLayer) -> torch.Tensor:
        """The codes that enter a layer, of the images for which it has targets."""
        return self.entering(layer)[0][: len(self.teacher.layers[layer.name].sums)]

    def sums(
        self, layer: QuantisedLayer, table: ProductTable | None, codes: torch.Tensor | None = None
    ) -> torch.Tensor:
        """A layer's sums, after the max-pool that alone takes them; of the images for which it has targets."""
        codes = self.taught(layer) if codes is None else codes
        return pooled(LayerSums(layer, table)(codes), self.network.pool_of(layer.name))

    def limits(self, layer: QuantisedLayer) -> tuple[int, int] | None:
        """The least and the greatest code that should leave a layer; None for the last one."""
        if layer.name == self.network.layers[-1].name:
            return None
        return code_range(self.network, layer.name, self.operands)

    def with_layer(
        self, layer: QuantisedLayer, table: ProductTable | None, scale: float, error: float | None = None
    ) -> "_Path":
        """With one more layer, whose codes have this scale."""
        found = replace(
            self,
            layers={**self.layers, layer.name: layer},
            errors=self.errors if error is None else {**self.errors, layer.name: error},
        )
        if layer.requantisation is None:
            return found
        sums = self.sums(layer, table, self.entering(layer)[0])
        return found._leaving(self.network.leaving(layer.name), finish(layer, sums), scale)

    def passed(self, layer: Layer) -> "_Path":
        """With one more layer that does not multiply."""
        if layer.name in self.codes:
            return self  # a pool that was taken together with the layer before it
        sources = self.network.sources[layer.name]
        codes, scale = self.codes[sources[0]], self.scales[sources[0]]
        if isinstance(layer, MaxPool):
            return self._leaving(layer.name, pooled(codes, layer), scale)
        if isinstance(layer, Add):
            lowest, highest = code_range(self.network, layer.name, self.operands)
            other, other_scale = self.codes[sources[1]], self.scales[sources[1]]
            values = codes.numpy() * scale + other.numpy() * other_scale
            values = values if layer.ceiling is None else np.minimum(values, layer.ceiling)
            added = addition(scale, other_scale, values, lowest, highest)
            found = replace(self, joins={**self.joins, layer.name: added})
            leaving = torch.from_numpy(added(codes.numpy(), other.numpy()))
            return found._leaving(layer.name, leaving, added.output_scale(scale, other_scale))
        if isinstance(layer, AveragePool):
            lowest, highest = code_range(self.network, layer.name, self.operands)
            means = functional.avg_pool2d(codes.double(), layer.window, layer.stride).numpy() * scale
            constants, out_scale = rescaled(means, scale / (layer.window[0] * layer.window[1]), lowest, highest)
            found = replace(self, joins={**self.joins, layer.name: constants})
            return found._leaving(layer.name, averaged(codes, layer, constants), out_scale)
        return self._leaving(layer.name, codes.flatten(1), scale)

    def _leaving(self, name: str, codes: torch.Tensor, scale: float) -> "_Path":
        return replace(self, codes={**self.codes, name: codes}, scales={**self.scales, name: scale})


def _follower(
    base: QuantisedNetwork, teacher: Teacher, tables: Mapping[str, ProductTable], name: str
) -> "_Follower | _ExactFollower | None":
    """What alone takes the codes of a layer, if that is a layer with a table, or a linear one: it will be fitted to
    whatever arrives."""
    readers = base.network.readers(name)
    if len(readers) != 1 or readers[0] not in base.layer_names:
        return None
    if readers[0] not in tables and not base[readers[0]].is_linear:
        return None
    _, highest = base.codes_of(name)
    if readers[0] not in tables:
        weights = teacher.network[readers[0]].weights
        weights = weights.reshape(len(weights), base[name].outputs, -1)
        return _ExactFollower(highest, (weights.astype(np.float64) ** 2).mean(axis=(0, 2)))
    return _Follower.of(tables[readers[0]], highest + 1, teacher.network[readers[0]].weights, base[name].outputs)


def _roundings(path: _Path, layer: QuantisedLayer, table: ProductTable) -> tuple[int, ...]:
    """Input rounding constants to try.

    The image takes an adder to round, and truncating it may be as good; later layers are rounded by the requantisation
    before them.
    """
    pixels = layer.name in path.network.pixel_layers
    return tuple(dict.fromkeys((0, half_step(table)))) if pixels else (half_step(table),)


def _remapped(path: _Path, layer: QuantisedLayer, table: ProductTable, targets: LayerTargets) -> tuple[Remapped, float]:
    """All units' codes, and the targets' total variance."""
    terms = Terms.of(table)
    units = _UNITS_OF_LINEAR if layer.is_linear else _UNITS_OF_CONVOLUTION
    real = path.teacher.network[layer.name].weights if layer.is_linear else None
    moments = Moments.of(layer, terms, path.taught(layer).numpy(), targets, real)
    return remap(moments, terms, units), float(moments.target.sum())


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


def _freely(
    path: _Path,
    layer: QuantisedLayer,
    table: ProductTable,
    rounding: int,
    targets: LayerTargets,
    follower: "_Follower | _ExactFollower",
    beam: int,
) -> list[_Path]:
    """The layer with each channel's own unit, for the `beam` best requantisation constants."""
    _, scale = path.entering(layer)
    layer = replace(layer, input_rounding=rounding, activation_scale=scale)
    found, variance = _remapped(path, layer, table, targets)
    # A linear layer has many outputs, and one sample an image to choose by: each takes its nearest unit.
    most = 1.0 if layer.is_linear else _TOLERATED
    # With exact products the next layer's biases make up for an offset.
    offsets = (0.0,) if layer.is_linear or isinstance(follower, _ExactFollower) else _OFFSETS
    tolerated = (found.errors <= most * found.errors.min(axis=0)).any(axis=1)
    sums = {
        int(unit): path.sums(_with_codes(layer, table, found.codes[unit]), table).numpy().astype(np.float64)
        for unit in np.flatnonzero(tolerated)
    }
    nearest = found.errors.argmin(axis=0)
    ceiling = np.inf if layer.layer.ceiling is None else layer.layer.ceiling
    usual = float(
        np.mean(
            [
                min(np.percentile(sums[int(unit)][:, o], _CLIPPED), ceiling / found.units[unit])
                for o, unit in enumerate(nearest)
            ]
        )
    )
    greatest = follower.greatest
    generator = np.random.default_rng(0)
    size = targets.sums[:, 0].size
    chosen = generator.choice(size, min(_SAMPLES, size), replace=False)
    samples = [
        (targets.sums[:, o].ravel()[chosen], {unit: part[:, o].ravel()[chosen] for unit, part in sums.items()})
        for o in range(layer.outputs)
    ]

    def channels_of(factor: float, outputs: Sequence[int]) -> list[tuple[float, int, float]]:
        return [
            _best_channel(*samples[o], found.units, found.errors[:, o], factor, follower, o, most, offsets, ceiling)
            for o in outputs
        ]

    every = range(layer.outputs)
    heard = every[:: max(1, layer.outputs // _OUTPUTS_HEARD)] if layer.is_linear else every
    choices: list[tuple[float, float, list[tuple[float, int, float]]]] = []
    for stretch in _STRETCHES:
        factor = greatest * stretch / max(usual, 1.0)
        channels = channels_of(factor, heard)
        choices.append((sum(lost for lost, _, _ in channels), factor, channels))
    choices.sort(key=lambda choice: choice[0])
    paths = []
    for _, factor, channels in choices[:beam]:
        if len(channels) < layer.outputs:
            channels = channels_of(factor, every)
        units = [unit for _, unit, _ in channels]
        codes = np.stack([found.codes[unit, o] for o, unit in enumerate(units)])
        nominal = float(np.median(found.units[units]))
        made = replace(
            _with_codes(layer, table, codes),
            bias=np.rint([bias for _, _, bias in channels]),
            weight_scale=nominal / scale,
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
    follower: "_Follower | _ExactFollower",
    channel: int,
    most: float,
    offsets: Sequence[float],
    ceiling: float,
) -> tuple[float, int, float]:
    """(what the follower must lose, unit's index, bias) of the best unit and bias for a channel."""
    rectified = np.clip(target, 0, ceiling).astype(np.float64)
    live = target > 0
    step = follower.greatest / max(1, follower.levels - 1) / factor
    best = (np.inf, int(errors.argmin()), 0.0)
    for index in np.flatnonzero(errors <= most * errors.min()).tolist():
        shift = float((target / units[index] - sums[index])[live].mean()) if live.any() else -float(sums[index].max())
        for offset in offsets:
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
    def of(table: ProductTable, codes: int, weights: np.ndarray, channels: int) -> "_Follower":
        """Of a layer that takes so many channels, each at one tap or several, with real-valued weights [out, …]."""
        rounded = np.minimum(np.arange(codes) + half_step(table), len(table.products) - 1)
        columns = np.unique(table.products[rounded], axis=1).astype(np.float64)
        by_channel = weights.reshape(len(weights), channels, -1).swapaxes(0, 1).reshape(channels, -1)
        quantiles = np.quantile(by_channel, (np.arange(_QUANTILES) + 0.5) / _QUANTILES, axis=1).T
        return _Follower(columns, quantiles, len(np.unique(columns, axis=0)))

    @property
    def greatest(self) -> int:
        return len(self.table) - 1

    def lost(self, channel: int, codes: np.ndarray, wanted: np.ndarray) -> float:
        """Mean squared error of one product of the next layer, of a code and a weight chosen for it, against that of
        the wanted activation and a real-valued weight (`product_error`); half of what codes can express but weights
        cannot is shared out among other taps."""
        variance = float(wanted.var())
        if variance == 0:
            return 0.0
        chance = np.bincount(codes, minlength=len(self.table)) / len(codes)
        first = np.bincount(codes, wanted, minlength=len(self.table)) / len(codes)
        spread = chance @ self.table**2 - (chance @ self.table) ** 2
        weights = self.weights[channel]
        largest = np.abs(weights).max() * np.sqrt(variance / max(float(spread.max()), 1e-30))
        unseen, rest = product_error(chance, first, variance, self.table, weights, largest * _UNITS)
        return float((weights**2).mean()) * variance * (unseen + 0.5 * rest)


@dataclass(frozen=True, eq=False)
class _ExactFollower:
    """A next layer with exact products and real-valued weights: what it cannot use of the codes is what is no linear
    function of them.

    Attributes:
        greatest: code.
        weights: float64[channels], the mean square of each channel's real-valued weights.
    """

    greatest: int
    weights: np.ndarray

    @property
    def levels(self) -> int:
        return self.greatest + 1

    def lost(self, channel: int, codes: np.ndarray, wanted: np.ndarray) -> float:
        """Mean squared error of a product with the best real-valued weight, as for `_Follower`."""
        real, size = codes.astype(np.float64), len(codes)
        mean, other = real.sum() / size, wanted.sum() / size
        variance, spread = float(wanted @ wanted) / size - other**2, float(real @ real) / size - mean**2
        left = variance if spread <= 0 else variance - (float(real @ wanted) / size - mean * other) ** 2 / spread
        return float(self.weights[channel]) * max(0.0, left)


def _shared(path: _Path, layer: QuantisedLayer, table: ProductTable, rounding: int, targets: LayerTargets) -> _Path:
    """The layer with one unit for all outputs."""
    layer = replace(layer, input_rounding=rounding, activation_scale=path.entering(layer)[1])
    found, variance = _remapped(path, layer, table, targets)
    index = int(found.errors.sum(axis=1).argmin())
    made = _with_codes(layer, table, found.codes[index])
    error = float(np.sqrt(found.errors[index].sum() / variance))
    return _finished(path, made, table, targets, float(found.units[index]), error)


def _recalibrated(path: _Path, layer: QuantisedLayer, targets: LayerTargets) -> _Path:
    """The layer with exact products: a convolution with its own weights, a linear layer with those that are best for
    what arrives; with new bias and scale."""
    scale = path.entering(layer)[1]
    layer = replace(layer, activation_scale=scale, bias=np.zeros(layer.outputs))
    if layer.is_linear:
        weights, unit = exact_codes(_exact_moments(path, layer, targets), layer.operands.weight_max)
        layer = replace(layer, weights=weights, weight_scale=unit / scale)
    return _finished(path, layer, None, targets, scale * layer.weight_scale, None)


def _most_promising(paths: Sequence[_Path], layer: QuantisedLayer, targets: LayerTargets, count: int) -> list[_Path]:
    """The `count` paths of whose codes a linear layer could make most with exact products; its table takes long."""
    if len(paths) <= count:
        return list(paths)
    left = []
    for path in paths:
        moments = _exact_moments(path, layer, targets)
        left.append(float(moments.target.sum() - (moments.cross * moments.solution).sum()))
    return [paths[k] for k in np.argsort(left, kind="stable")[:count]]


def _exact_moments(path: _Path, layer: QuantisedLayer, targets: LayerTargets) -> Moments:
    real = path.teacher.network[layer.name].weights
    return Moments.of(layer, _exact_terms(layer), path.taught(layer).numpy(), targets, real)


def _exact_terms(layer: QuantisedLayer) -> Terms:
    """Exact products as one term: an activation code's value times a weight's."""
    operands = layer.operands
    u = code_values(operands.activation_width, operands.activation_signed).astype(np.float32)[:, None]
    v = code_values(operands.weight_width, True).astype(np.float64)[:, None]
    return Terms(u, v, np.arange(len(v)), True)


def _finished(
    path: _Path,
    layer: QuantisedLayer,
    table: ProductTable | None,
    targets: LayerTargets,
    unit: float,
    error: float | None,
) -> _Path:
    """The layer with the bias that gives live outputs the teacher's mean, and the best scale of its outputs."""
    sums = path.sums(layer, table).numpy().astype(np.float64)
    live = targets.sums > 0 if layer.layer.relu else np.ones_like(targets.sums, dtype=bool)
    axes = tuple(axis for axis in range(sums.ndim) if axis != 1)
    lacking = np.where(live, targets.sums / unit - sums, 0).sum(axis=axes) / np.maximum(live.sum(axis=axes), 1)
    bias = np.rint(lacking)
    layer = replace(layer, bias=bias, weight_scale=unit / path.entering(layer)[1])
    limits = path.limits(layer)
    if limits is None:
        return path.with_layer(layer, table, unit, error)
    outputs = ((sums + bias.reshape(-1, *[1] * (sums.ndim - 2))) * unit).astype(np.float32)
    if layer.layer.ceiling is not None:
        outputs = np.minimum(outputs, layer.layer.ceiling)
    constants, scale = rescaled(outputs, unit, *limits)
    return path.with_layer(replace(layer, requantisation=constants), table, scale, error)
