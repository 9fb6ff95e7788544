"""Exact integer inference with any product table in any layer, at the speed of library kernels.

The sums Σ_k T[x_k, w_k] of `amhw.network.quantised`'s equation are evaluated in one of two ways, neither of
which rounds:

* separable: T[a, b] = Σ_r u_r[a]·v_r[b] (`ProductTable.factors`) makes the layer an ordinary convolution
  with R times the input channels, (c, r) holding u_r of the activation code and v_r of the weight code;
* gather: row (k, a) of a matrix holds T[a, w_k] for all outputs at once, so that an output position is the sum
  of K of its rows, which is what `torch.nn.functional.embedding_bag` computes.

Both add integers in floating point, in an order that the library chooses. That is exact if no partial sum
can leave the range in which every integer is representable: for each output Σ_k Σ_r max|u_r|·|v_r[w_k]| (or
Σ_k max_a|T[a, w_k]|) is computed from the actual weights and must not exceed 2^24 in float32, else float64 is
used. Convolution algorithms that transform their input (Winograd, FFT) round, and are kept out.

A padded position enters the multiplier as the code 0, like an idle cell of an array.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import reduce
from types import MappingProxyType

import numpy as np
import torch
from torch.nn import functional

from amhw.datasets import DataSet
from amhw.network.layers import IMAGE, Add, AveragePool, Convolution, Flatten, Layer, Linear, MaxPool
from amhw.network.quantised import QuantisedLayer, QuantisedNetwork
from amhw.network.requantisation import Addition, Requantisation
from amhw.refusal import Refusal
from amhw.table import Factors, ProductTable, code_values

CHUNK = 250
"""Images evaluated at a time: tens of megabytes, and few enough parallel regions for a busy machine."""

MAX_TERMS = 8
"""Above this many separable terms gathering is faster on LeNet-5's convolutions (scripts/bench.py)."""

UNSIGNED_WEIGHTS = (
    "{name} takes an unsigned operand b, but weights are signed: wanted a multiplier whose operand b is two's "
    "complement; an unsigned core needs a sign-magnitude wrapper (of a file: --sign-magnitude b)"
)

_LANES = 16
"""Floats that a processor adds at once."""

_GATHERED = 100
"""Images whose indices exist at a time: they are written over the last ones, because fresh memory for a whole chunk's
takes longer to get than to fill."""

_FLOAT32_INTEGERS = 2**24
_FLOAT64_INTEGERS = 2**53
_INT32 = 2**31


class LayerSums:
    """The sums of one layer, before the bias, with `table` as its multiplier (None: exact).

    Raises:
        Refusal: the table takes other operands than the layer has, or a sum could leave 32 bits.
    """

    def __init__(self, layer: QuantisedLayer, table: ProductTable | None = None) -> None:
        self.layer = layer
        if table is not None:
            check_operands(layer, table)
        _check_accumulator(layer, table)
        factors = _exact_factors(layer) if table is None else table.factors(MAX_TERMS)
        plan = None if factors is None else _separable(layer, factors)
        if plan is None:
            assert table is not None, "exact products have factors of any width"
            plan = _gathering(layer, table)
        self._sums = plan

    def __call__(self, codes: torch.Tensor) -> torch.Tensor:
        """Integer-valued floats [N, out, H', W'] or [N, out] of uint8 codes [N, in, H, W] or [N, in]."""
        layer = self.layer
        if layer.is_linear:
            codes = codes.flatten(1)
        return self._sums(_at_the_multiplier(layer, codes))


Sums = Callable[[torch.Tensor], torch.Tensor]
"""The sums of a layer before the bias, of its input codes, as `LayerSums` gives them."""


class Inference:
    """`network` with a product table in place of the exact product in each layer that `tables` names.

    In the layers that `sums` names another arithmetic takes the place of both product and addition.

    Raises:
        Refusal: a name is no layer's, or its table does not fit (see `LayerSums`), or a layer was made for another.
    """

    def __init__(
        self,
        network: QuantisedNetwork,
        tables: Mapping[str, ProductTable] = MappingProxyType({}),
        sums: Mapping[str, Sums] = MappingProxyType({}),
    ) -> None:
        self.network = network
        network.network.check_layers([*tables, *sums])
        network.check_tables(tables)
        self._sums: dict[str, Sums] = {
            layer.name: sums[layer.name] if layer.name in sums else LayerSums(layer, tables.get(layer.name))
            for layer in network.layers
        }

    def logits(self, images: np.ndarray) -> np.ndarray:
        """int32[N, classes] of uint8 images [N, C, H, W]."""
        last = self.network.network.layers[-1].name
        return self.outputs(images, (last,))[last]

    def predictions(self, images: np.ndarray) -> np.ndarray:
        """The class with the greatest logit, the first of equals; int64[N]."""
        return self.logits(images).argmax(axis=1)

    def correct(self, data: DataSet, report: Callable[[int], None] = lambda images: None) -> np.ndarray:
        """Which images of `data` are classified correctly, bool[N]; `report` hears each chunk's size.

        Raises:
            Refusal: the images have another shape than the network takes.
        """
        self.network.network.check_images(data)
        hits = []
        for start in range(0, len(data), CHUNK):
            part = slice(start, start + CHUNK)
            hits.append(self.predictions(data.images[part]) == data.labels[part])
            report(len(hits[-1]))
        return np.concatenate(hits)

    def outputs(self, images: np.ndarray, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
        """What leaves each layer (or those asked for): codes [N, C, H, W] or [N, …], the int32 logits of the last
        one."""
        wanted = {layer.name for layer in self.network.network.layers} if names is None else set(names)
        parts: dict[str, list[np.ndarray]] = {name: [] for name in wanted}
        for start in range(0, len(images), CHUNK):
            for name, codes in self._run(images[start : start + CHUNK], wanted).items():
                parts[name].append(codes.numpy())
        return {name: np.ascontiguousarray(np.concatenate(parts[name])) for name in wanted}

    def inputs(self, images: np.ndarray, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
        """What enters each layer that multiplies (or those asked for): codes uint8[N, in, H, W] or [N, in], before
        `input_rounding` is added.

        Raises:
            Refusal: there is no such layer.
        """
        network = self.network.network
        names = network.layer_names if names is None else tuple(names)
        network.check_layers(names)
        sources = {name: network.sources[name][0] for name in names}
        values = {IMAGE: images, **self.outputs(images, set(sources.values()) - {IMAGE})}
        return {
            name: self.network[name].operands.codes_of(values[source])
            if name in network.pixel_layers
            else values[source]
            for name, source in sources.items()
        }

    def _run(self, images: np.ndarray, wanted: set[str]) -> dict[str, torch.Tensor]:
        """What leaves the `wanted` layers; other outputs are forgotten as soon as all that take them have."""
        network = self.network.network
        values = {IMAGE: torch.tensor(images)}
        left = {name: len(consumers) for name, consumers in network.consumers.items()}
        for layer in network.layers:
            sources = network.sources[layer.name]
            if layer.name not in values:
                self._compute(layer, [values[name] for name in sources], values, wanted)
            for name in sources:
                left[name] -= 1
                if not left[name] and name not in wanted:
                    values.pop(name, None)
        return {name: values[name] for name in wanted}

    def _compute(
        self,
        layer: Layer,
        inputs: Sequence[torch.Tensor],
        values: dict[str, torch.Tensor],
        wanted: set[str],
    ) -> None:
        """Add to `values` what leaves `layer`; where a max-pool alone takes it, only what leaves that."""
        network = self.network
        codes = inputs[0]
        match layer:
            case Convolution() | Linear():
                own = network[layer.name]
                if layer.name in network.network.pixel_layers:
                    codes = torch.from_numpy(own.operands.codes_of(codes.numpy()))
                pool = None if layer.name in wanted else network.network.pool_of(layer.name)
                sums = pooled(self._sums[layer.name](codes), pool)
                values[layer.name if pool is None else pool.name] = finish(own, sums)
            case MaxPool():
                values[layer.name] = pooled(codes, layer)
            case AveragePool():
                constants = network.joins[layer.name]
                assert isinstance(constants, Requantisation)
                values[layer.name] = averaged(codes, layer, constants)
            case Add():
                constants = network.joins[layer.name]
                assert isinstance(constants, Addition)
                first, second = (each.numpy() for each in inputs)
                values[layer.name] = torch.from_numpy(constants(first, second))
            case Flatten():
                values[layer.name] = codes.flatten(1)


def finish(layer: QuantisedLayer, sums: torch.Tensor) -> torch.Tensor:
    """Add the bias to a layer's sums and requantise them: codes; or int32 logits after the last layer."""
    bias = layer.bias.astype(np.int64)
    values = sums.numpy().astype(np.int64)
    values += bias.reshape(-1, *[1] * (sums.ndim - 2))
    if layer.requantisation is None:
        return torch.from_numpy(values.astype(np.int32))
    return torch.from_numpy(layer.requantisation(values))


def pooled(values: torch.Tensor, pool: MaxPool | None) -> torch.Tensor:
    """The greatest of each window; `values` themselves where there is no pool."""
    if pool is None:
        return values
    if pool.window == pool.stride and pool.padding == (0, 0):
        return _tiled(values, pool.window)
    if not values.is_floating_point():  # torch pools small images of bytes only
        return functional.max_pool2d(values.float(), pool.window, pool.stride, pool.padding).to(values.dtype)
    return functional.max_pool2d(values, pool.window, pool.stride, pool.padding)


def _tiled(values: torch.Tensor, window: tuple[int, int]) -> torch.Tensor:
    """The greatest of each window, windows beside each other: element by element, several times as fast as torch's own
    pooling."""
    high, wide = window
    rows, columns = values.shape[-2] // high * high, values.shape[-1] // wide * wide
    values = reduce(torch.maximum, [values[..., k:rows:high, :] for k in range(high)])
    return reduce(torch.maximum, [values[..., k:columns:wide] for k in range(wide)])


def averaged(codes: torch.Tensor, pool: AveragePool, constants: Requantisation) -> torch.Tensor:
    """The requantised sum of each window of codes."""
    sums = functional.avg_pool2d(codes.to(torch.float64), pool.window, pool.stride, divisor_override=1)
    return torch.from_numpy(constants(sums.numpy()))


def im2col(layer: QuantisedLayer, codes: np.ndarray) -> np.ndarray:
    """The codes that meet each weight at each output position: uint8[N, H', W', K] of codes [N, in, H, W].

    K runs over (input channel, row, column), of a layer of one group as in `QuantisedLayer.matrix`; of several, one
    group after the other (`of_group` takes them apart). `input_rounding` has been added and padding is 0. A linear
    layer has one position. (Chellapilla, Puri and Simard, "High
    performance convolutional neural networks for document processing", 2006.)
    """
    tensor = torch.from_numpy(np.array(codes, dtype=np.uint8))
    if layer.is_linear:
        return _at_the_multiplier(layer, tensor.flatten(1)).numpy()[:, None, None, :]
    windows = _windows(layer, _at_the_multiplier(layer, tensor))
    return windows.flatten(3).numpy()


def of_group(layer: QuantisedLayer, windows: np.ndarray, group: int) -> np.ndarray:
    """What the outputs of one group see, […, K / groups] of `im2col`'s windows […, K]: a view."""
    taps = windows.shape[-1] // layer.groups
    return windows[..., group * taps : (group + 1) * taps]


def of_positions(layer: QuantisedLayer, sums: np.ndarray) -> torch.Tensor:
    """The inverse arrangement of `im2col`: what leaves a layer, floats [N, out, H', W'] or [N, out], of sums for each
    position [N, H', W', out]."""
    arranged = sums.transpose(0, 3, 1, 2).astype(np.float64)
    return torch.from_numpy(np.ascontiguousarray(arranged[:, :, 0, 0] if layer.is_linear else arranged))


def check_operands(layer: QuantisedLayer, table: ProductTable) -> None:
    """
    Raises:
        Refusal: the table takes other operands than the layer has.
    """
    if not table.signed_b:
        raise Refusal(UNSIGNED_WEIGHTS.format(name=table.name))
    layer.check_operands(table)


def _check_accumulator(layer: QuantisedLayer, table: ProductTable | None) -> None:
    largest = layer.operands.activation_max
    if table is None:
        used = largest * np.abs(layer.matrix.astype(np.int64))
    else:
        used = np.abs(table.products[: largest + 1].astype(np.int64)).max(axis=0)[layer.weight_codes]
    worst = int((used.sum(axis=1) + np.abs(layer.bias.astype(np.int64))).max())
    if worst >= _INT32:
        products = "exact products" if table is None else table.name
        raise Refusal(f"sums of {layer.name} can reach {worst} with {products}; accumulators have 32 bits")


def _exact_factors(layer: QuantisedLayer) -> Factors:
    operands = layer.operands
    return Factors(
        code_values(operands.activation_width, operands.activation_signed)[None],
        code_values(operands.weight_width, signed=True)[None],
    )


def _at_the_multiplier(layer: QuantisedLayer, codes: torch.Tensor) -> torch.Tensor:
    """Codes with the rounding constant added, then padded with zeros."""
    if layer.input_rounding:
        limit = layer.operands.activation_max
        codes = codes.clamp(max=limit - layer.input_rounding) + layer.input_rounding
    if any(layer.padding):
        down, across = layer.padding
        codes = functional.pad(codes, [across, across, down, down])
    return codes


def _windows(layer: QuantisedLayer, padded: torch.Tensor) -> torch.Tensor:
    """A view [N, H', W', in, k, l] of padded codes [N, in, H, W]."""
    (height, width), (down, across) = layer.kernel, layer.stride
    return padded.unfold(2, height, down).unfold(3, width, across).permute(0, 2, 3, 1, 4, 5)


def number_format(bound: int) -> torch.dtype | None:
    """The fastest format in which sums up to ±bound are exact in any order."""
    if bound <= _FLOAT32_INTEGERS:
        return torch.float32
    return torch.float64 if bound <= _FLOAT64_INTEGERS else None


def _separable(layer: QuantisedLayer, factors: Factors) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """The layer as one convolution over `terms` times the channels; None where no format is exact."""
    u = factors.u[:, : layer.operands.activation_max + 1]
    v = factors.v[:, layer.weight_codes]  # [R, out, K]
    if not v.any():
        u, v = u[:0], v[:0]
    bound = int((np.abs(u).max(axis=1, initial=0)[:, None, None] * np.abs(v)).sum(axis=(0, 2), dtype=object).max())
    dtype = number_format(bound)
    if dtype is None:
        return None
    terms = len(u)
    if terms == 0:
        u, v, terms = np.zeros((1, u.shape[1]), np.int64), np.zeros((1, *layer.matrix.shape), np.int64), 1
    lookup = torch.tensor(u.T.copy(), dtype=dtype).numpy()  # [codes, R]
    identity = terms == 1 and bool((u[0] == np.arange(u.shape[1])).all())

    def mapped(codes: torch.Tensor) -> torch.Tensor:
        """Codes […] to the terms' values […, R]."""
        if identity:
            return codes.to(dtype)[..., None]
        # Several times as fast as torch's embedding.
        index = codes.contiguous().numpy().astype(np.intp)
        return torch.from_numpy(np.take(lookup, index, axis=0, mode="clip"))

    if layer.is_linear:
        matrix = torch.tensor(v.transpose(2, 0, 1).reshape(-1, layer.outputs), dtype=dtype)  # (k, r) × out

        def linear(codes: torch.Tensor) -> torch.Tensor:
            with exact_arithmetic():
                return mapped(codes).flatten(1) @ matrix

        return linear

    window, channels, stride, groups = layer.kernel, layer.weights.shape[1], layer.stride, layer.groups
    kernels = v.reshape(terms, layer.outputs, channels, *window).transpose(1, 2, 0, 3, 4)  # out, c, r, y, x
    weight = torch.tensor(kernels.reshape(layer.outputs, channels * terms, *window).copy(), dtype=dtype)

    def convolution(codes: torch.Tensor) -> torch.Tensor:
        n, _, height, width = codes.shape
        planes = mapped(codes.permute(0, 2, 3, 1)).reshape(-1).view(n, height, width, -1)
        return convolved(planes.permute(0, 3, 1, 2), weight, stride, groups=groups)

    return convolution


def _gathering(layer: QuantisedLayer, table: ProductTable) -> Callable[[torch.Tensor], torch.Tensor]:
    """The layer as sums of table rows."""
    products = table.products[: layer.operands.activation_max + 1]
    weight_codes = torch.tensor(layer.weight_codes.reshape(layer.weights.shape), dtype=torch.int64)
    bound = int(np.abs(products.astype(np.int64)).max(axis=0)[layer.weight_codes].sum(axis=1).max())
    dtype = number_format(bound)
    assert dtype is not None, "32-bit accumulators have been checked"
    entries, window, stride = torch.tensor(products, dtype=dtype), layer.kernel, layer.stride
    matrices: dict[int, list[torch.Tensor]] = {}
    members = layer.outputs // layer.groups

    def sums(codes: torch.Tensor) -> torch.Tensor:
        together = 1
        if not layer.is_linear:
            together = neighbours(members, positions(codes.shape[3], window[1], stride[1]))
        if together not in matrices:
            groups = weight_codes.split(members)
            matrices[together] = [table_rows(entries, group, together, stride[1]) for group in groups]
        parts = codes.to(torch.int32).chunk(layer.groups, dim=1)
        found = [
            gathered(part, matrix, window, stride, together)
            for part, matrix in zip(parts, matrices[together], strict=True)
        ]
        return found[0] if len(found) == 1 else torch.cat(found, dim=1)

    return sums


def neighbours(outputs: int, width: int) -> int:
    """How many positions beside each other are computed as one, with so many times the outputs.

    However few the outputs are, a processor adds 16 floats at once, and neighbours have most of their taps in common.
    So there are as many as fit; a row of `width` positions must be a whole number of times as long.

    >>> neighbours(6, 28), neighbours(16, 10), neighbours(3, 9)
    (2, 1, 3)
    """
    # Never the whole row at once: torch's convolution of one channel is wrong where its output is one position wide.
    return max(q for q in range(1, max(1, _LANES // outputs) + 1) if width % q == 0 and (q == 1 or q < width))


def positions(side: int, kernel: int, stride: int) -> int:
    """How many windows of `kernel` fit into `side`, padding included, `stride` apart."""
    return (side - kernel) // stride + 1


def _beside(kernels: torch.Tensor, together: int, stride: int) -> torch.Tensor:
    """[together, …, l + (together − 1)·stride]: the kernels […, l] of so many positions, each in its place, else 0."""
    width = kernels.shape[-1]
    wide = kernels.new_zeros((together, *kernels.shape[:-1], width + (together - 1) * stride))
    for q in range(together):
        wide[q, ..., q * stride : q * stride + width] = kernels
    return wide


def convolved(
    planes: torch.Tensor,
    kernels: torch.Tensor,
    stride: tuple[int, int],
    bias: torch.Tensor | None = None,
    groups: int = 1,
) -> torch.Tensor:
    """`torch.nn.functional.conv2d` on a CPU of integers whose sums are exact in their format, in any order."""
    out, width = len(kernels), kernels.shape[3]
    together = 1
    if groups == 1 and planes.stride(1) == 1:  # only then are neighbours' outputs beside each other in memory, too
        together = neighbours(out, positions(planes.shape[3], width, stride[1]))
    if together > 1:
        kernels = _beside(kernels, together, stride[1]).flatten(0, 1)
        bias = None if bias is None else bias.repeat(together)
    if kernels.shape[2:] == (3, 3):
        # A column of zeros more: for windows of 3 × 3 oneDNN has a Winograd algorithm, which rounds.
        planes, kernels = functional.pad(planes, [0, 1]), functional.pad(kernels, [0, 1])
    if planes.shape[1] == 1 and positions(planes.shape[3], kernels.shape[3], together * stride[1]) == 1:
        # The one channel may have any stride, and with some torch gives wrong sums where they are one position wide.
        planes = planes.squeeze(1).unsqueeze(1)
    with exact_arithmetic():
        sums = functional.conv2d(planes, kernels, bias, (stride[0], together * stride[1]), groups=groups)
    if together == 1:
        return sums
    n, _, high, runs = sums.shape
    return sums.permute(0, 2, 3, 1).reshape(n, high, runs * together, out).permute(0, 3, 1, 2)


def table_rows(
    products: torch.Tensor,
    weight_codes: torch.Tensor,
    together: int = 1,
    stride: int = 1,
    bias: torch.Tensor | None = None,
) -> torch.Tensor:
    """The matrix that `gathered` takes: row (tap, a) holds the products of code a with that tap's weight of every
    output; of as many positions beside each other, `stride` apart, as are taken `together`.

    Args:
        products: [codes, weight codes].
        weight_codes: [out, in, k, l], or [out, in].
        bias: [out], added to every sum: it is in the rows of the first tap.
    """
    if weight_codes.ndim == 2:
        weight_codes = weight_codes[..., None, None]
    out, channels, height, width = weight_codes.shape
    by_tap = weight_codes.permute(3, 2, 1, 0)  # l, k, in, out: the order in which `gathered` walks a window
    rows = products.index_select(1, by_tap.flatten()).view(len(products), width, height * channels, out)
    wide = rows.new_zeros((width + (together - 1) * stride, height * channels, len(products), together, out))
    for q in range(together):
        wide[q * stride : q * stride + width, :, :, q] = rows.permute(1, 2, 0, 3)
    if bias is not None:
        wide[0, 0] += bias
    return wide.view(-1, together * out)


def gathered(
    codes: torch.Tensor,
    matrix: torch.Tensor,
    kernel: tuple[int, int] = (1, 1),
    stride: tuple[int, int] = (1, 1),
    together: int = 1,
) -> torch.Tensor:
    """Sums of `table_rows`: [N, out, H', W'] of int32 codes [N, in, H, W] with this kernel, [N, out] of [N, in]."""
    width = kernel[1] + (together - 1) * stride[1]
    taps = kernel[0] * width * codes.shape[1]
    offsets = torch.arange(taps, dtype=torch.int32, device=codes.device) * (len(matrix) // taps)
    if codes.ndim == 2:
        return functional.embedding_bag(codes + offsets, matrix, mode="sum")
    # With the k rows of a window beside each other at every pixel, windows overlap in memory and each is one run of
    # numbers: adding the offsets, for which every window must be written out, takes half the time.
    beside = codes.unfold(2, kernel[0], stride[0]).permute(0, 2, 3, 4, 1).contiguous()  # [N, H', W, k, in]
    windows = beside.flatten(3).unfold(2, width, together * stride[1]).transpose(3, 4)  # [N, H', W'/together, l, k·in]
    n, high, groups, *window = windows.shape
    at_once = _GATHERED if codes.device.type == "cpu" else max(n, 1)
    buffer = torch.empty((min(n, at_once), high, groups, *window), dtype=torch.int32, device=codes.device)
    sums = []
    for part in windows.split(at_once):
        indices = buffer[: len(part)]
        torch.add(part, offsets.view(window), out=indices)
        sums.append(functional.embedding_bag(indices.view(-1, taps), matrix, mode="sum"))
    return torch.cat(sums).view(n, high, groups * together, -1).permute(0, 3, 1, 2)


@contextmanager
def exact_arithmetic() -> Iterator[None]:
    """Only library algorithms that multiply and add float32 as they are, for windows other than 3 × 3.

    NNPACK convolves through FFT and Winograd transforms; oneDNN has a Winograd algorithm for 3 × 3 windows only, and
    may be told elsewhere in the process to round to bfloat16.
    """
    nnpack, mkldnn = torch.backends.nnpack, torch.backends.mkldnn
    # Not mkldnn.flags(): it also writes a GPU setting, with a warning where there is no such GPU.
    enabled, _, _, precision = mkldnn.set_flags(None, None, None, "ieee")
    try:
        with nnpack.flags(enabled=False):
            yield
    finally:
        mkldnn.set_flags(enabled, None, None, precision)
