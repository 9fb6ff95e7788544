"""The campaign as tasks whose results are kept: every fault of some models in some memories, on some images.

A task is some outputs of a layer with one width of flips (1, 2 or 3 adjacent bits), or a layer's constants. A bit that
is stuck at a value is flipped or, if it has that value, unchanged: what stuck bits do is read off what flipped bits do.
"""

import base64
import functools
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from amhw.datasets import DataSet
from amhw.documents import Record
from amhw.faults.golden import CHUNK, Arithmetic, Golden
from amhw.faults.incremental import Words, counts
from amhw.faults.memories import Memory, memories
from amhw.faults.models import MODELS, FaultModel, model_named
from amhw.faults.outcome import IDENTICAL, STATUSES, Counts
from amhw.network.layers import Convolution
from amhw.network.quantised import QuantisedNetwork
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
    """What a task covers: `count` words of a memory from word `first` on, with flips of `bits` adjacent bits."""

    memory: str
    first: int
    count: int
    bits: int


@dataclass(frozen=True, eq=False)
class Campaign:
    """All faults of some models in some memories of a network, on some images.

    Attributes:
        network: whose words they are.
        tables: product tables, by layer; the others multiply exactly.
        images: which.
        models: names.
        parameters: as `amhw.faults.memories.memories` takes them; None for all.

    Raises:
        Refusal: a model or a parameter is unknown, or the network cannot be computed with these tables.
    """

    network: QuantisedNetwork
    tables: Mapping[str, ProductTable]
    images: Images
    models: tuple[str, ...] = ("flip",)
    parameters: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name in self.models:
            model_named(name)
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
        inputs = {
            "network": self.network.sha256,
            "tables": {layer: table.sha256 for layer, table in self.tables.items()},
            "images": [self.images.sha256, self.images.first, self.images.last],
        }
        arguments = packed(self.network), dict(self.tables), self.images
        return {
            part: COUNT.task(
                {**inputs, "memory": part.memory, "words": [part.first, part.count], "bits": part.bits},
                *(*arguments, part),
            )
            for part in parts
        }

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
        parts = sorted(
            (part for part in flips if part.memory == memory.name and part.bits == model.bits), key=lambda p: p.first
        )
        locations = model.locations(memory.width)
        found = np.concatenate([flips[part] for part in parts]).reshape(len(memory), locations, STATUSES)
        if model.stuck is None:
            return found
        has = (memory.patterns[:, None] >> np.arange(memory.width) & 1) == model.stuck
        unchanged = np.zeros(STATUSES, np.int64)
        unchanged[IDENTICAL] = len(self.images)
        return np.where(has[..., None], unchanged, found)


def faults_of(network: QuantisedNetwork, part: Part) -> int:
    """How many a task has."""
    [memory] = memories(network, [part.memory])
    return part.count * max(memory.width - part.bits + 1, 0)


def flipped(memory: Memory, words: np.ndarray, bits: int) -> Words:
    """All flips of so many adjacent bits in some words, word by word and from the lowest bit up."""
    model = next(model for model in MODELS.values() if model.bits == bits and model.stuck is None)
    values = memory.valued(model.faulty(memory.patterns[words], memory.width))
    return Words(np.repeat(words, values.shape[1]), values.reshape(-1))


def counted(
    network: QuantisedNetwork, tables: Mapping[str, ProductTable], images: Images, memory: Memory, faulty: Words
) -> Counts:
    """How many of the images have each status with each fault: int64[F, 5]."""
    arithmetic, parts = _goldens(network, tuple(sorted(tables.items())), images)
    return sum((counts(arithmetic, golden, memory, faulty) for golden in parts), np.zeros((1, STATUSES), np.int64))


def golden_run(network: QuantisedNetwork, tables: Mapping[str, ProductTable], images: Images) -> Sequence[Golden]:
    """What the network computes without a fault."""
    return _goldens(network, tuple(sorted(tables.items())), images)[1]


@functools.lru_cache(maxsize=1)
def _goldens(
    network: QuantisedNetwork, tables: tuple[tuple[str, ProductTable], ...], images: Images
) -> tuple[Arithmetic, Sequence[Golden]]:
    arithmetic = Arithmetic(network, dict(tables))
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
    faulty = flipped(memory, np.arange(part.first, part.first + part.count), part.bits)
    return Counted.of(counted(found_network, _same(tables), images, memory, faulty))


_TABLES: dict[str, ProductTable] = {}


def _same(tables: Mapping[str, ProductTable]) -> dict[str, ProductTable]:
    """The tables as values that this process has seen before, so that what was made of them is found again."""
    return {layer: _TABLES.setdefault(table.sha256, table) for layer, table in tables.items()}


GIVEN = ("amhw.stages.content", "amhw.multiplier", "amhw.datasets")
COUNT = Stage("faults", Counted, _count, given=GIVEN, tools=("numba",))
"""Networks, tables and images are inputs by their content."""
