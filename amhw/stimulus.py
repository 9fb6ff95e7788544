"""The values at the inputs of a design, cycle by cycle: random bits, a file, or a layer's tiles on a systolic array.

A stimulus gives each input port a sequence: integers, or bits (uint8[clocks, width], least significant first) where a
port may be wider than an integer.
"""

import csv
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amhw.array.tiling import swap_interval, swap_time
from amhw.array.widths import Widths
from amhw.arrays import arrays_in
from amhw.datasets import DataSet
from amhw.files import decoded, read_whole
from amhw.network.inference import Inference, im2col
from amhw.network.quantised import QuantisedNetwork
from amhw.refusal import Refusal
from amhw.table import ProductTable

_MOST_BYTES = 1 << 28
"""Of a trace; more clocks would not be counted in an hour."""

SEED = 1

_EXACT: Mapping[str, ProductTable] = MappingProxyType({})

Ports = dict[str, NDArray[Any]]

Trace = dict[str, NDArray[np.int64]]
"""Codes of the operands ``a`` and ``b``, one pair after another."""

OPERATIONS = 1 << 14
"""Operand pairs in a trace, unless something else is asked for."""

TRACE_IMAGES = 20
"""Images whose operands a trace is taken from."""


@dataclass(frozen=True)
class Stimulus:
    """Sequences for the ports; the first `skip` cycles do not count, the others have `products` useful products."""

    ports: Ports
    skip: int = 0
    products: int = 0


def random_bits(widths: Mapping[str, int], clocks: int) -> Ports:
    """Independent, uniformly distributed bits; the same ones every time."""
    random = np.random.default_rng(SEED)
    return {name: random.integers(0, 2, (clocks, width), dtype=np.uint8) for name, width in widths.items()}


def read_trace(path: Path) -> Ports:
    """The sequences in a file: a NumPy archive with an array for each port, or a CSV with a column for each.

    Numbers in a CSV are decimal or, after 0x, hexadecimal, of any size; a signed port's may be negative.

    Raises:
        Refusal: unreadable, no such file, a value that is no integer, sequences of several lengths or of one name.
    """
    content = read_whole(path, _MOST_BYTES)
    ports = _archive(path, content) if content[:2] == b"PK" else _table(path, content)
    lengths = {name: len(values) for name, values in ports.items()}
    if len(set(lengths.values())) > 1:
        raise Refusal(f"{path}: sequences of several lengths: {', '.join(f'{n} {k}' for n, k in lengths.items())}")
    if min(lengths.values(), default=0) < 2:
        raise Refusal(f"{path} has fewer than two clocks")
    return ports


def _archive(path: Path, content: bytes) -> Ports:
    try:
        ports = arrays_in(content, _MOST_BYTES)
    except Refusal as refusal:
        raise Refusal(f"{path}: {refusal}; wanted an array for each port") from None
    for name, values in ports.items():
        if values.dtype.kind not in "iub" or values.ndim not in (1, 2):
            raise Refusal(
                f"{path}: {name} is no sequence of integers or of bits, but {values.dtype}{list(values.shape)}"
            )
    return {name: _integers(values) if values.ndim == 1 else values for name, values in ports.items()}


def _integers(values: NDArray[Any]) -> NDArray[Any]:
    fits = values.dtype.kind != "u" or not values.size or int(values.max()) <= np.iinfo(np.int64).max
    return values.astype(np.int64 if fits else object)


def _check_distinct(path: Path, names: Sequence[str], what: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Refusal(f"{path}: several {what} are called {', '.join(twice)}")


def _table(path: Path, content: bytes) -> Ports:
    try:
        rows = list(csv.reader(decoded(content).splitlines()))
    except csv.Error as error:
        raise Refusal(f"{path} is no trace: {error}") from error
    names = [name.strip() for name in rows[0]] if rows else []
    if not names or not all(name.isidentifier() for name in names):
        raise Refusal(f"{path} is no trace: its first line should name ports, such as a,b")
    _check_distinct(path, names, "columns")
    values: list[list[int]] = []
    for number, row in enumerate(rows[1:], start=2):
        if len(row) < 2 and not "".join(row).strip():
            continue  # a blank line
        if len(row) != len(names):
            raise Refusal(f"{path}, line {number}: {len(row)} values for the {len(names)} ports {', '.join(names)}")
        try:
            values.append([int(value.strip(), 0) for value in row])
        except ValueError as error:
            raise Refusal(f"{path}, line {number}: {error}") from None
    return {name: np.array([row[k] for row in values], dtype=object) for k, name in enumerate(names)}


def check_fits(ports: Ports, widths: Mapping[str, int], source: str) -> None:
    """
    Raises:
        Refusal: `source` has a port that is not among `widths`, or a value that has no room in one.
    """
    unknown = sorted(set(ports) - set(widths))
    if unknown:
        raise Refusal(f"{source} has values for {', '.join(unknown[:4])}; the inputs are {', '.join(widths)}")
    for name, values in ports.items():
        width = widths[name]
        if values.ndim == 2:
            if values.shape[1] != width or values.min() < 0 or values.max() > 1:
                raise Refusal(f"{source}: {name} has {width} bits; bits of the shape {list(values.shape)} do not fit")
        elif int(values.min()) < -(1 << width >> 1) or int(values.max()) >= 1 << width:
            raise Refusal(f"{source}: {name} has {width} bits; {values.min()} … {values.max()} do not fit")


def operand_streams(
    network: QuantisedNetwork,
    layer: str,
    data: DataSet,
    images: int,
    random: np.random.Generator,
    tables: Mapping[str, ProductTable] = _EXACT,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """What `layer` multiplies on so many images of `data`, drawn at random.

    Args:
        tables: by layer, as for `amhw.network.inference.Inference`: what enters a layer depends on earlier ones.

    Returns:
        Activations' codes [images, positions, taps] and weights' codes [outputs, taps]. A fully-connected layer has
        one position an image; images then take the place of positions.
    """
    chosen = network[layer]
    chosen.check_one_group("a stream of operands")
    network.network.check_images(data)
    images = min(images, len(data))
    drawn = data.images[random.choice(len(data), images, replace=False)]
    windows = im2col(chosen, Inference(network, tables).inputs(drawn, (layer,))[layer])
    streams = windows.reshape(images, -1, windows.shape[-1])
    weights = chosen.weight_codes.reshape(chosen.outputs, -1).astype(np.int64)
    return (streams.transpose(1, 0, 2) if chosen.is_linear else streams), weights


def uniform_trace(width_a: int, width_b: int, length: int = OPERATIONS) -> Trace:
    """Independent, uniformly distributed operand codes; the same ones every time."""
    random = np.random.default_rng(SEED)
    return {"a": random.integers(0, 1 << width_a, length), "b": random.integers(0, 1 << width_b, length)}


def layer_trace(
    network: QuantisedNetwork,
    layer: str,
    data: DataSet,
    length: int = OPERATIONS,
    tables: Mapping[str, ProductTable] = _EXACT,
) -> Trace:
    """Consecutive operand codes of multipliers in a weight-stationary array that computes `layer` on images of `data`.

    A multiplier keeps one weight while the activations of all output positions of an image stream past, row by row;
    then comes another weight of the layer and another image, both drawn at random. `tables` are as in
    `operand_streams`.
    """
    random = np.random.default_rng(SEED)
    streams, weights = operand_streams(network, layer, data, TRACE_IMAGES, random, tables)
    a, b, have = [], [], 0
    while have < length:
        tap = random.integers(streams.shape[-1])
        stream = streams[random.integers(len(streams)), :, tap].astype(np.int64)
        a.append(stream)
        b.append(np.full(stream.size, weights[random.integers(len(weights)), tap]))
        have += stream.size
    return {"a": np.concatenate(a)[:length], "b": np.concatenate(b)[:length]}


def tiles(
    activations: NDArray[Any],
    weights: NDArray[Any],
    widths: Widths,
    shape: tuple[int, int, int],
    clocks: int,
) -> Stimulus:
    """The ports of a weight-stationary `amhw.array.mesh.SystolicArray` that computes a layer, tile after tile.

    For each image, group of outputs and group of taps there is a tile: its weights stay in the array while the
    activations of all positions stream through, and the next tile's weights are preloaded meanwhile.

    Args:
        activations, weights: codes [images, positions, taps] and [outputs, taps].
        widths: of the array's product table.
        shape: rows, columns and depth of the array.
        clocks: cycles that count; the array is filled before them.
    """
    rows, cols, depth = shape
    lanes = rows // depth
    images, positions, taps = activations.shape
    interval = max(positions, swap_interval(lanes, cols))
    skip = lanes + rows + cols
    length = skip + clocks + 1
    a = np.zeros((length, rows), dtype=np.int64)
    w = np.zeros((length, cols, depth), dtype=np.int64)
    swap, w_load = (np.zeros((length, 1), dtype=np.uint8) for _ in range(2))
    useful = np.zeros(length, dtype=np.int64)
    each = itertools.product(range(images), range(0, len(weights), cols), range(0, taps, rows))
    loading = 0
    for index, (image, output, tap) in enumerate(itertools.cycle(each)):
        start = lanes + index * interval
        tile = np.zeros((rows, cols), dtype=np.int64)
        given = weights[output : output + cols, tap : tap + rows].T
        tile[: given.shape[0], : given.shape[1]] = given
        room = min(lanes, max(0, length - loading))
        w[loading : loading + room] = tile.reshape(lanes, depth, cols).transpose(0, 2, 1)[:room]
        w_load[loading : loading + room] = 1
        if start >= length:
            break
        swap[start] = 1
        stream = activations[image, : length - start, tap : tap + rows]
        a[start : start + len(stream), : stream.shape[1]] = stream
        useful[start : start + len(stream)] = given.size
        loading = start + swap_time(lanes, cols) + 1
    ports = {
        "a": _packed(a, widths.bits_a),
        "swap": swap,
        "w": _packed(w.reshape(length, -1), widths.bits_b),
        "w_load": w_load,
    }
    return Stimulus(ports, skip, int(useful[skip + 1 :].sum()))


def _packed(codes: NDArray[np.int64], bits: tuple[int, ...]) -> NDArray[np.uint8]:
    """Of codes [clocks, lanes] only those bits, side by side."""
    return (codes[:, :, None] >> np.array(bits) & 1).astype(np.uint8).reshape(len(codes), -1)
