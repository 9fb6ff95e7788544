"""The campaign as tasks whose results are kept: every fault of some models in some memories, on some images.

A task is some outputs of a layer with one width of flips (1, 2 or 3 adjacent bits), or a layer's constants. A bit that
is stuck at a value is flipped or, if it has that value, unchanged: what stuck bits do is read off what flipped bits do.
"""

import base64
import functools
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from amhw.datasets import DataSet, data_source
from amhw.documents import Record
from amhw.faults.golden import CHUNK, Arithmetic, Golden
from amhw.faults.incremental import Words, counts
from amhw.faults.memories import Memory, memories
from amhw.faults.models import MODELS, FaultModel, model_named
from amhw.faults.outcome import IDENTICAL, STATUSES, Counts
from amhw.faults.protection import ceilings, check_protection, code_of, flips
from amhw.network.layers import Convolution
from amhw.network.quantised import QuantisedNetwork
from amhw.refusal import Refusal
from amhw.results import Task
from amhw.stages.content import images_at, packed, unpacked
from amhw.stages.keys import Stage
from amhw.table import ProductTable

KEPT = 1 << 30
"""Bytes of golden values that a process keeps; where there are more, it computes them again for each task."""

_NEURONS = 16
"""Of a linear layer in one task."""


@dataclass(frozen=True)
class Images:
    """Test images `first` to `last` − 1 of the data set at a path; None is the packaged MNIST."""

    path: str | None
    sha256: str
    first: int
    last: int

    @staticmethod
    def of(path: str | None, test: DataSet, chosen: str = "all") -> "Images":
        """Those of the test images that `DataSet.part` chooses."""
        part = test.part(chosen)
        return Images(path, test.sha256, part.start, part.stop)

    def __len__(self) -> int:
        return self.last - self.first

    @property
    def data(self) -> DataSet:
        """The images themselves."""
        whole = images_at(self.path, self.sha256)
        return whole.taken(slice(self.first, self.last), f"{whole.name}[{self.first}:{self.last}]")


@dataclass(frozen=True)
class Counted(Record):
    """How many images have each status, fault by fault.

    Attributes:
        faults: how many there are.
        packed: int32[faults, 5], compressed, as Base64.
    """

    faults: int
    packed: str

    @staticmethod
    def of(found: Counts) -> "Counted":
        return Counted(len(found), base64.b64encode(zlib.compress(found.astype("<i4").tobytes(), 6)).decode())

    @property
    def counts(self) -> Counts:
        numbers = np.frombuffer(zlib.decompress(base64.b64decode(self.packed)), "<i4")
        return numbers.reshape(self.faults, STATUSES).astype(np.int64)


@dataclass(frozen=True)
class Part:
    """What a task covers: `count` words of a memory from word `first` on, with flips of `bits` adjacent bits, or with a
    flip of each bit that a protection stores."""

    memory: str
    first: int
    count: int
    bits: int = 1
    protection: str = ""


@dataclass(frozen=True, eq=False)
class Campaign:
    """All faults of some models in some memories of a network, on some images.

    Attributes:
        network: whose words they are.
        tables: product tables, by layer; the others multiply exactly.
        images: which.
        models: names.
        parameters: as `amhw.faults.memories.memories` takes them; None for all.
        protections: what is counted beside the models: `amhw.faults.protection`.

    Raises:
        Refusal: a model or a parameter is unknown, or the network cannot be computed with these tables.
    """

    network: QuantisedNetwork
    tables: Mapping[str, ProductTable]
    images: Images
    models: tuple[str, ...] = ("flip",)
    parameters: tuple[str, ...] | None = None
    protections: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in self.models:
            model_named(name)
        for name in self.protections:
            check_protection(name, self.network, self.tables)
        if absolute := [name for name in self.network.layer_names if self.network.network.is_absolute(name)]:
            raise Refusal(f"{absolute[0]} has absolute values; fault campaigns follow codes through ReLUs only")
        self.memories  # noqa: B018 (refuses unknown parameters)
        Arithmetic(self.network, self.tables)
        self.network.network.check_images(self.images.data)

    @cached_property
    def memories(self) -> tuple[Memory, ...]:
        return memories(self.network, self.parameters)

    @property
    def faults(self) -> int:
        """How many there are."""
        return sum(
            len(memory) * MODELS[model].locations(memory.width) for memory in self.memories for model in self.models
        )

    @cached_property
    def tasks(self) -> dict[Part, Task[Counted]]:
        """The largest first."""
        widths = sorted({MODELS[name].bits for name in self.models})
        parts = [part for memory in self.memories for bits in widths for part in self._parts(memory, bits)]
        # Corrected words are the words, and what leaves a flip without protection is counted with the models.
        counted_apart = [name for name in self.protections if name in ("clip", "split", "parity")]
        parts += [
            replace(part, protection=name)
            for name in counted_apart
            for memory in self.memories
            if memory.kind in ("weights", "bias")
            for part in self._parts(memory, 1)
        ]
        arguments = packed(self.network), dict(self.tables), self.images
        return {
            part: COUNT.task(
                {**self.inputs, **vars(part), **(self._training if part.protection == "clip" else {})},
                *(*arguments, part),
            )
            for part in parts
        }

    @property
    def inputs(self) -> dict[str, Any]:
        """What every task depends on."""
        return {
            "network": self.network.sha256,
            "tables": {layer: table.sha256 for layer, table in self.tables.items()},
            "images": [self.images.sha256, self.images.first, self.images.last],
        }

    @cached_property
    def _training(self) -> dict[str, str]:
        """What clipping depends on beside."""
        return {"training": data_source(self.images.path).calibration.sha256}

    def protected(self, flips: Mapping[Part, Counts], memory: Memory, protection: str) -> Counts:
        """How many images have each status with a flip of each bit that a protection stores: int64[words, bits, 5]."""
        parts = _in_order(flips, memory.name, 1, protection)
        return np.concatenate([flips[part] for part in parts]).reshape(len(memory), -1, STATUSES)

    def _parts(self, memory: Memory, bits: int) -> Iterator[Part]:
        if memory.kind in ("multiplier", "shift"):
            yield Part(memory.name, 0, len(memory), bits)
            return
        layer = self.network[memory.layer]
        each = len(memory) // layer.outputs
        units = 1 if isinstance(layer.layer, Convolution) and memory.kind == "weights" else _NEURONS
        for first in range(0, layer.outputs, units):
            yield Part(memory.name, first * each, min(units, layer.outputs - first) * each, bits)

    def counts(self, flips: Mapping[Part, Counts], memory: Memory, model: FaultModel) -> Counts:
        """How many images have each status: int64[words, locations, 5], from what the tasks of flips gave."""
        parts = _in_order(flips, memory.name, model.bits, "")
        locations = model.locations(memory.width)
        found = np.concatenate([flips[part] for part in parts]).reshape(len(memory), locations, STATUSES)
        if model.stuck is None:
            return found
        has = (memory.patterns[:, None] >> np.arange(memory.width) & 1) == model.stuck
        unchanged = np.zeros(STATUSES, np.int64)
        unchanged[IDENTICAL] = len(self.images)
        return np.where(has[..., None], unchanged, found)


def _in_order(parts: Iterable[Part], memory: str, bits: int, protection: str) -> list[Part]:
    found = (part for part in parts if (part.memory, part.bits, part.protection) == (memory, bits, protection))
    return sorted(found, key=lambda part: part.first)


def faults_of(campaign: Campaign, part: Part) -> int:
    """How many a task has."""
    [memory] = memories(campaign.network, [part.memory])
    if part.protection:
        return part.count * code_of(part.protection, memory, campaign.tables).stored
    return part.count * max(memory.width - part.bits + 1, 0)


def flipped(memory: Memory, words: np.ndarray, bits: int) -> Words:
    """All flips of so many adjacent bits in some words, word by word and from the lowest bit up."""
    model = next(model for model in MODELS.values() if model.bits == bits and model.stuck is None)
    values = memory.valued(model.faulty(memory.patterns[words], memory.width))
    return Words(np.repeat(words, values.shape[1]), values.reshape(-1))


def counted(
    network: QuantisedNetwork,
    tables: Mapping[str, ProductTable],
    images: Images,
    memory: Memory,
    faulty: Words,
    *,
    clipped: bool = False,
) -> Counts:
    """How many of the images have each status with each fault: int64[F, 5]; `clipped` to what training showed."""
    arithmetic, parts = _goldens(network, tuple(sorted(tables.items())), images, clipped)
    return sum((counts(arithmetic, golden, memory, faulty) for golden in parts), np.zeros((1, STATUSES), np.int64))


def golden_run(
    network: QuantisedNetwork, tables: Mapping[str, ProductTable], images: Images, *, clipped: bool = False
) -> Sequence[Golden]:
    """What the network computes without a fault; `clipped` to what training showed."""
    return _goldens(network, tuple(sorted(tables.items())), images, clipped)[1]


@functools.lru_cache(maxsize=1)
def _goldens(
    network: QuantisedNetwork, tables: tuple[tuple[str, ProductTable], ...], images: Images, clipped: bool = False
) -> tuple[Arithmetic, Sequence[Golden]]:
    training = data_source(images.path).calibration if clipped else None
    limits = None if training is None else ceilings(network, dict(tables), training)
    arithmetic = Arithmetic(network, dict(tables), limits)
    return arithmetic, _Goldens(arithmetic, images.data)


class _Goldens(Sequence[Golden]):
    """The golden values of a data set, part by part; kept while they are few enough."""

    def __init__(self, arithmetic: Arithmetic, data: DataSet) -> None:
        self._arithmetic, self._data = arithmetic, data
        self._kept: dict[int, Golden] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return -(-len(self._data) // CHUNK)

    def __getitem__(self, k):  # type: ignore[no-untyped-def]
        if k in self._kept:
            return self._kept[k]
        if not 0 <= k < len(self):
            raise IndexError(k)
        golden = self._arithmetic.golden(self._data.taken(slice(k * CHUNK, (k + 1) * CHUNK), self._data.name))
        self._bytes += golden.bytes
        if self._bytes <= KEPT:
            self._kept[k] = golden
        return golden


def _count(network: str, tables: dict[str, ProductTable], images: Images, part: Part) -> Counted:
    found_network = unpacked(network)
    [memory] = memories(found_network, [part.memory])
    words = np.arange(part.first, part.first + part.count)
    faulty = flips(part.protection, memory, words, tables) if part.protection else flipped(memory, words, part.bits)
    clipped = part.protection == "clip"
    return Counted.of(counted(found_network, same_tables(tables), images, memory, faulty, clipped=clipped))


_TABLES: dict[str, ProductTable] = {}


def same_tables(tables: Mapping[str, ProductTable]) -> dict[str, ProductTable]:
    """The tables as values that this process has seen before, so that what was made of them is found again."""
    return {layer: _TABLES.setdefault(table.sha256, table) for layer, table in tables.items()}


GIVEN = ("amhw.stages.content", "amhw.multiplier", "amhw.datasets")
COUNT = Stage("faults", Counted, _count, given=GIVEN, tools=("numba",))
"""Networks, tables and images are inputs by their content."""
