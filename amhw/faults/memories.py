"""Where faults are: the words that a network keeps, memory by memory.

| memory       | words                                   | bits each                        |
|--------------|-----------------------------------------|----------------------------------|
| `weights`    | one a weight                            | as many as the layer's weights   |
| `bias`       | one an output                           | 32                               |
| `multiplier` | one a layer, two in an addition         | 16                               |
| `shift`      | one a layer                             | 6                                |

Weights and biases are two's complement. The last two are the constants of a layer that requantises, an average-pool or
an addition (`amhw.network.requantisation`). The ends of a clamp are wires and have no words.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from math import prod

import numpy as np

from amhw.faults.models import FaultModel, Patterns
from amhw.network.quantised import QuantisedNetwork
from amhw.network.requantisation import MAX_MULTIPLIER, MAX_SHIFT, Addition, Requantisation
from amhw.refusal import Refusal

KINDS = ("weights", "bias", "multiplier", "shift")

BIAS_BITS = 32
MULTIPLIER_BITS = MAX_MULTIPLIER.bit_length()
SHIFT_BITS = MAX_SHIFT.bit_length()


@dataclass(frozen=True, eq=False)
class Memory:
    """The words of one kind in one layer.

    Attributes:
        layer: its name.
        kind: one of `KINDS`.
        width: bits of a word.
        signed: whether words are two's complement.
        shape: of the parameters that they are, as in the network file.
        values: int64[words], in the order of the shape.
    """

    layer: str
    kind: str
    width: int
    signed: bool
    shape: tuple[int, ...]
    values: np.ndarray = field(repr=False)

    @property
    def name(self) -> str:
        """Such as `conv1.weights`."""
        return f"{self.layer}.{self.kind}"

    def __len__(self) -> int:
        return len(self.values)

    @property
    def bits(self) -> int:
        """In all words."""
        return len(self) * self.width

    @cached_property
    def patterns(self) -> Patterns:
        """The words as they are stored: int64[words], not negative."""
        found: Patterns = self.values & ((1 << self.width) - 1)
        return found

    def valued(self, patterns: Patterns) -> np.ndarray:
        """What patterns of any shape mean: int64."""
        return np.where(patterns >> (self.width - 1) & int(self.signed), patterns - (1 << self.width), patterns)

    def faulty(self, model: FaultModel) -> np.ndarray:
        """The value that each fault makes: int64[words, locations]."""
        return self.valued(model.faulty(self.patterns, self.width))

    def index(self, word: int) -> tuple[int, ...]:
        """A word's place in the shape."""
        return tuple(int(k) for k in np.unravel_index(word, self.shape))


@dataclass(frozen=True)
class Fault:
    """One fault: which word of which memory reads which value instead of its own.

    Attributes:
        layer, kind: of the memory.
        word: in the order of the memory's shape.
        bit: the lowest of the location's.
        model: its name.
        value: what the word reads.
    """

    layer: str
    kind: str
    word: int
    bit: int
    model: str
    value: int


def memories(network: QuantisedNetwork, parameters: Iterable[str] | None = None) -> tuple[Memory, ...]:
    """A network's memories, in the order of its layers.

    Args:
        parameters: layers (`conv1`), kinds (`bias`) or memories (`conv1.bias`); None for all.

    Raises:
        Refusal: one is none of these.
    """
    found = tuple(_memories(network))
    if parameters is None:
        return found
    wanted = tuple(parameters)
    for name in wanted:
        if not any(name in (memory.layer, memory.kind, memory.name) for memory in found):
            known = dict.fromkeys(memory.layer for memory in found)
            raise Refusal(
                f"no parameters {name!r}; {network.name} has the layers {', '.join(known)}, each with some of "
                f"{', '.join(KINDS)}: name a layer, one of these, or both as in {found[0].name}"
            )
    return tuple(memory for memory in found if any(name in (memory.layer, memory.kind, memory.name) for name in wanted))


def faults(memory: Memory, model: FaultModel) -> Iterator[Fault]:
    """All of a memory's, word by word and bit by bit."""
    for word, values in enumerate(memory.faulty(model).tolist()):
        for bit, value in enumerate(values):
            yield Fault(memory.layer, memory.kind, word, bit, model.name, value)


def _memories(network: QuantisedNetwork) -> Iterator[Memory]:
    for layer in network.network.layers:
        name = layer.name
        if name in network.layer_names:
            own = network[name]
            yield _memory(name, "weights", own.operands.weight_width, own.weights)
            yield _memory(name, "bias", BIAS_BITS, own.bias)
            constants: Requantisation | Addition | None = own.requantisation
        else:
            constants = network.joins.get(name)
        if constants is not None:
            one = isinstance(constants, Requantisation)
            multipliers = [constants.multiplier] if isinstance(constants, Requantisation) else constants.multipliers
            yield _memory(name, "multiplier", MULTIPLIER_BITS, np.array(multipliers), signed=False, plain=one)
            yield _memory(name, "shift", SHIFT_BITS, np.array([constants.shift]), signed=False, plain=True)


def _memory(layer: str, kind: str, width: int, values: np.ndarray, signed: bool = True, plain: bool = False) -> Memory:
    shape = () if plain else values.shape
    assert prod(shape) == values.size
    return Memory(layer, kind, width, signed, shape, values.astype(np.int64).reshape(-1))
