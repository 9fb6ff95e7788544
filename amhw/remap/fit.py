"""The network that goes with a multiplier: weight codes, biases, requantisation constants, input rounding.

Layer by layer, on the integers that the layers before really deliver for the training images:

* a layer with a product table gets its codes from `amhw.remap.reconstruction`, for a grid of units s;
* if the next layer has a table too, that one will be fitted to whatever arrives, so each output channel may keep
  its own unit and offset (a rectifier commutes with positive factors; Nagel et al., "Data-free quantization through
  weight equalization and bias correction", ICCV 2019). For each requantisation constant of a grid, each channel
  takes the unit and the bias with which a product of the next layer, of the code that arrives and of the best weight
  code, comes nearest to that of the teacher's rectified pre-activation and a real-valued weight;
* otherwise one unit serves all channels, the one with the least weighted error;
* pixels may be rounded or truncated before they are multiplied: unless that is settled in their own layer both are
  followed to the next layer with a table, and what leaves that one the lesser error is kept (or their own, where no
  other has a table); rounding must be worth its adder;
* a linear layer without a table gets the exact multiplier's codes that are best for what arrives, so that it takes up
  what the layers before it lost as far as that correlates with anything (`amhw.remap.reconstruction`), unless it has
  more than `WIDEST` inputs;
* a convolution without a table keeps its weights. Biases take up what the mean lacks, and scales are calibrated again.

How near a network's class probabilities are to the teacher's (Kullback and Leibler's divergence, on training images
that include moved and distorted ones) says how good it is. A few images decide it: between networks for one multiplier
whose layers err alike it is noise (docs/selection.md), and chooses nothing. Labels are never used, nor test images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from amhw.network.inference import Inference, LayerSums, averaged, finish, pooled
from amhw.network.layers import IMAGE, Add, AveragePool, Layer, MaxPool
from amhw.network.network import Network
from amhw.network.quantise import addition, code_range, rescaled
from amhw.network.quantised import PIXEL_SCALE, Join, MadeFor, Operands, QuantisedLayer, QuantisedNetwork
from amhw.network.real import FloatNetwork
from amhw.network.requantisation import Requantisation
from amhw.refusal import Refusal
from amhw.remap.channels import Channel, ExactFollower, Follower, Reading, TableFollower, best_reading
from amhw.remap.reconstruction import Moments, Remapped, exact_codes, moments_bytes, rectified, remap, shares
from amhw.remap.teacher import LayerTargets, Teacher, logits_of
from amhw.remap.terms import MAX_TERMS, Terms, half_step
from amhw.table import ProductTable, code_values

_T = TypeVar("_T")

_SAMPLES = 8_000
_SPREAD = 3
"""Samples come from images with so many times as many places, where there are so many."""
_STRETCHES = np.geomspace(0.7, 2.2, 9)
_OFFSETS = np.array([-0.2, -0.1, 0.0, 0.1, 0.2])
_TOLERATED = 2.0
_WORTH_AN_ADDER = 0.96
"""Rounded pixels must leave the next layer with a table no more than so much of its mean squared error. On MNIST's
digits and Fashion-MNIST's pictures that told apart where rounding lowers a network's divergence (docs/selection.md)."""
_HOPELESS = 1.15
"""Pixels are not followed rounded, or truncated, if that leaves their own layer so many times the squared error."""
_CLIPPED = 99.9
_DECIMALS = 9
_UNITS_OF_CONVOLUTION = 14
_UNITS_OF_LINEAR = 7
WIDEST = 4096
"""Inputs of a linear layer with exact products that gets weights for what arrives; its moments take 128 MiB, and five
times as much exists at a time. The same on every machine, as the network depends on it."""
LARGEST_MOMENTS = 4 * 2**30
"""Bytes."""
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
    roundings: Sequence[int] | None = None,
) -> Fitted:
    """`base` with weight codes, biases and constants made for `tables`.

    Args:
        base: gives names, geometry and operands, and the weights of the layers without a table.
        tables: by layer name.
        roundings: constants that may be added to pixels, at least one, in the order of their cost; by default 0, which
            takes no adder, and half of the lowest bit that the table reads.

    Raises:
        Refusal: a table does not fit its layer, or the layer has groups or too many inputs, or any layer has absolute
            values.
    """
    check_activations(base)
    for name, each in tables.items():
        check_layer(base, name, Terms.of(each).count)
        LayerSums(base[name], each)  # refuses what does not fit
    network = base.network
    operands = {layer.name: layer.operands for layer in base.layers}
    image = torch.tensor(teacher.images)
    paths = [_Path(network, operands, teacher, codes={IMAGE: image}, scales={IMAGE: PIXEL_SCALE})]
    for structure in network.layers:
        if structure.name not in base.layer_names:
            paths = [path.passed(structure) for path in paths]
            continue
        layer, targets, table = base[structure.name], teacher.layers[structure.name], tables.get(structure.name)
        if table is None:
            paths = [_recalibrated(path, layer, targets) for path in paths]
            continue
        pixels, half = structure.name in network.pixel_layers, half_step(table)
        # The image takes an adder to round; later layers are rounded by the requantisation before them.
        tried = dict.fromkeys([0, half] if roundings is None else roundings) if pixels else [half]
        ways = [_Way.of(path, layer, table, rounding, targets) for path in paths for rounding in tried]
        ways = _promising(ways) if pixels else [_worth_most(ways, [way.error for way in ways])]
        following = _follower(base, teacher, tables, structure.name)
        paths = [_shared(way) if following is None else _freely(way, following) for way in ways]
    name = f"{base.name}, for {', '.join(dict.fromkeys(table.name for table in tables.values()))}"
    path = _worth_most(paths, [sum(error**2 for error in path.errors.values()) for path in paths])
    made = QuantisedNetwork(network, tuple(path.layers.values()), name, path.joins)
    divergence, logits = judge.judged(made, tables)
    return Fitted(made, divergence, logits.argmax(axis=1), path.errors)


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


def check_layer(base: QuantisedNetwork, name: str, terms: int = MAX_TERMS) -> None:
    """
    Raises:
        Refusal: weights cannot be chosen for a layer, with tables of so many terms: it has groups, or the moments of
            its features take more than `LARGEST_MOMENTS`.
    """
    layer = base[name]
    if layer.groups > 1:
        raise Refusal(
            f"{layer.name} has {layer.groups} groups; weights are chosen for convolutions without, or amhw train "
            "fine-tunes"
        )
    needed = moments_bytes(layer, terms, base.network.pool_of(name) is not None)
    if needed > LARGEST_MOMENTS:
        raise Refusal(
            f"{layer.name} has {layer.matrix.shape[1]} inputs to each of {layer.outputs} outputs: the second moments "
            f"of {terms} terms of each would take {needed / 2**30:.1f} GiB, more than {LARGEST_MOMENTS / 2**30:g}; "
            "leave it out of --layers, or amhw train fine-tunes"
        )


def _takes_up(layer: QuantisedLayer) -> bool:
    """Whether a layer with exact products gets weights for what arrives."""
    return layer.is_linear and layer.matrix.shape[1] <= WIDEST


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
) -> Follower | None:
    """The layer that will be fitted to whatever leaves a layer, if there is one."""
    reader = _fitted_to(base, tables, name)
    if reader is None:
        return None
    _, highest = base.codes_of(name)
    weights = teacher.network[reader].weights
    by_channel = weights.reshape(len(weights), base[name].outputs, -1).swapaxes(0, 1).reshape(base[name].outputs, -1)
    if reader not in tables:
        return ExactFollower.of(highest + 1, by_channel)
    return TableFollower.of(tables[reader], highest + 1, by_channel)


def _fitted_to(base: QuantisedNetwork, tables: Mapping[str, ProductTable], name: str) -> str | None:
    """What alone takes the codes of layer `name`, if it has a table or is a linear layer that takes up what it can."""
    readers = base.network.readers(name)
    if len(readers) != 1 or readers[0] not in base.layer_names:
        return None
    return readers[0] if readers[0] in tables or _takes_up(base[readers[0]]) else None


@dataclass(frozen=True, eq=False)
class _Way:
    """A layer that is about to get codes for its table: those of each unit.

    Attributes:
        layer: with its input rounding and scale.
        variance: of the targets of all outputs.
    """

    path: _Path
    layer: QuantisedLayer
    table: ProductTable
    targets: LayerTargets
    found: Remapped
    variance: float

    @staticmethod
    def of(path: _Path, layer: QuantisedLayer, table: ProductTable, rounding: int, targets: LayerTargets) -> "_Way":
        layer = replace(layer, input_rounding=rounding, activation_scale=path.entering(layer)[1])
        terms = Terms.of(table)
        units = _UNITS_OF_LINEAR if layer.is_linear else _UNITS_OF_CONVOLUTION
        real = path.teacher.network[layer.name].weights if layer.is_linear else None
        moments = Moments.of(layer, terms, path.taught(layer).numpy(), targets, real)
        return _Way(path, layer, table, targets, remap(moments, terms, units), float(moments.target.sum()))

    @property
    def error(self) -> float:
        """All outputs' mean squared errors with the best unit of each."""
        return float(self.found.errors.min(axis=0).sum())


def _promising(ways: Sequence[_Way]) -> list[_Way]:
    """Those whose error is not much larger than the least one."""
    least = min(way.error for way in ways)
    return [way for way in ways if way.error <= _HOPELESS * least]


def _worth_most(ways: Sequence[_T], errors: Sequence[float]) -> _T:
    """The first, those without an adder coming first, whose error times `_WORTH_AN_ADDER` is at most the least."""
    least = min(errors)
    return next(way for way, error in zip(ways, errors, strict=True) if _WORTH_AN_ADDER * error <= least)


def _relative(errors: NDArray[np.float64], variance: float) -> float:
    """The root of all outputs' mean squared errors relative to the targets' variance; 0 where nothing is wanted."""
    return float(np.sqrt(errors.sum() / variance)) if variance > 0 else 0.0


def _with_codes(layer: QuantisedLayer, table: ProductTable, codes: np.ndarray) -> QuantisedLayer:
    """`layer` with two's complement weight codes [out, K] for `table`, as many outputs as there are, and no bias."""
    width = layer.operands.weight_width
    values = np.where(codes >> (width - 1), codes - (1 << width), codes).astype(np.int8)
    return replace(
        layer,
        layer=replace(layer.layer, outputs=len(codes)),
        weights=values.reshape(-1, *layer.weights.shape[1:]),
        bias=np.zeros(len(codes)),
        made_for=MadeFor(table.name, table.sha256),
    )


def _freely(way: _Way, follower: Follower) -> _Path:
    """The layer with each channel's own unit, for the best requantisation constant."""
    layer, found = way.layer, way.found
    # A linear layer has many outputs, and one sample an image to choose by: each takes its nearest unit.
    most = 1.0 if layer.is_linear else _TOLERATED
    # With exact products the next layer's biases make up for an offset.
    offsets = np.zeros(1) if layer.is_linear or isinstance(follower, ExactFollower) else _OFFSETS
    within = found.errors <= most * found.errors.min(axis=0)  # [units, out]
    ceiling = np.inf if layer.layer.ceiling is None else layer.layer.ceiling
    channels = _channels(way, within)
    nearest = found.errors.argmin(axis=0)
    reached = [
        np.percentile(channel.sums[int(unit)], _CLIPPED) for channel, unit in zip(channels, nearest, strict=True)
    ]
    usual = float(np.mean(np.minimum(reached, ceiling / found.units[nearest])))
    factors = follower.greatest * _STRETCHES / max(usual, 1.0)

    def readings(outputs: Sequence[int], factors: NDArray[np.float64]) -> list[Reading]:
        return [best_reading(channels[o], found.units, factors, follower, o, offsets, ceiling) for o in outputs]

    every = range(layer.outputs)
    heard = every[:: max(1, layer.outputs // _OUTPUTS_HEARD)] if layer.is_linear else every
    by_factor = readings(heard, factors)
    lost = np.sum([reading.lost for reading in by_factor], axis=0)
    best = int(lost.argmin())
    factor = float(factors[best])
    chosen = [reading.at(best) for reading in by_factor]
    if len(heard) < layer.outputs:
        chosen = [reading.at(0) for reading in readings(every, factors[best : best + 1])]
    units = [unit for unit, _ in chosen]
    codes = np.stack([found.codes[unit, o] for o, unit in enumerate(units)])
    nominal = float(np.median(found.units[units]))
    made = replace(
        _with_codes(layer, way.table, codes),
        bias=np.rint([bias for _, bias in chosen]),
        weight_scale=nominal / layer.activation_scale,
        requantisation=Requantisation.of(factor, follower.greatest),
    )
    error = _relative(found.errors[units, np.arange(layer.outputs)], way.variance)
    return way.path.with_layer(made, way.table, nominal / factor, error)


def _channels(way: _Way, within: NDArray[np.bool_]) -> list[Channel]:
    """What each output should be and what it is in the units that are tried for it, bool[units, out], at `_SAMPLES`
    places."""
    path, layer, targets = way.path, way.layer, way.targets
    tried = np.argwhere(within.T)  # (output, unit)
    images, each = len(targets.sums), targets.sums[0, 0].size
    apart = max(1, images * each // (_SPREAD * _SAMPLES))
    wanted = targets.sums[::apart]
    # The codes of all outputs in all of their units are those of one layer.
    made = _with_codes(layer, way.table, way.found.codes[tried[:, 1], tried[:, 0]])
    sums = path.sums(made, way.table, path.taught(layer)[::apart]).numpy().reshape(len(wanted), len(made.bias), each)
    size = len(wanted) * each
    image, place = np.divmod(np.random.default_rng(0).choice(size, min(_SAMPLES, size), replace=False), each)
    real = wanted.reshape(len(wanted), layer.outputs, each)[image, :, place]
    taken = sums[image, :, place].astype(np.float64)
    sums_of: list[dict[int, NDArray[np.float64]]] = [{} for _ in range(layer.outputs)]
    for column, (o, unit) in enumerate(tried.tolist()):
        sums_of[o][unit] = taken[:, column]
    return [Channel(real[:, o], sums_of[o]) for o in range(layer.outputs)]


def _shared(way: _Way) -> _Path:
    """The layer with one unit for all outputs."""
    found = way.found
    index = int(found.errors.sum(axis=1).argmin())
    made = _with_codes(way.layer, way.table, found.codes[index])
    error = _relative(found.errors[index], way.variance)
    return _finished(way.path, made, way.table, way.targets, float(found.units[index]), error)


def _recalibrated(path: _Path, layer: QuantisedLayer, targets: LayerTargets) -> _Path:
    """The layer with exact products: a convolution with its own weights, a linear layer with those that are best for
    what arrives; with new bias and scale."""
    scale = path.entering(layer)[1]
    layer = replace(layer, activation_scale=scale, bias=np.zeros(layer.outputs))
    means = None
    if _takes_up(layer):
        terms, codes = _exact_terms(layer), path.taught(layer).numpy()
        moments = Moments.of(layer, terms, codes, targets, path.teacher.network[layer.name].weights)
        if layer.layer.relu:
            moments, means = rectified(moments, layer, terms, codes, targets)
        weights, unit = exact_codes(moments, layer.operands.weight_max)
        layer = replace(layer, weights=weights, weight_scale=unit / scale)
    return _finished(path, layer, None, targets, scale * layer.weight_scale, None, means)


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
    means: NDArray[np.float64] | None = None,
) -> _Path:
    """The layer with the bias that gives live outputs the teacher's mean, or all of a linear layer's outputs these
    weighted means, and the best scale of its outputs."""
    sums = path.sums(layer, table).numpy().astype(np.float64)
    if means is None:
        live = targets.sums > 0 if layer.layer.relu else np.ones_like(targets.sums, dtype=bool)
        axes = tuple(axis for axis in range(sums.ndim) if axis != 1)
        lacking = np.where(live, targets.sums / unit - sums, 0).sum(axis=axes) / np.maximum(live.sum(axis=axes), 1)
    else:
        lacking = means / unit - shares(targets) @ sums
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
