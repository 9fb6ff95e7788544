"""Ways to survive flipped bits, as the campaign sees them: what is stored, what a flip of each stored bit is read as,
and how much harm is left.

| protection   | what is stored                       | what happens on a flip                              |
|--------------|--------------------------------------|-----------------------------------------------------|
| `clip`       | words, and a ceiling for each output | codes above the greatest in training come down to it|
| `triplicate` | the words of chosen outputs thrice   | the majority of three is read                       |
| `split`      | the words of chosen outputs twice    | both are computed; the lesser code goes on          |
| `parity`     | words with a parity bit              | the word is read as 0                               |
| `hamming`    | words with added check bits          | the word is corrected                               |
| `free-bits`  | check bits in bits that are not read | the word is corrected                               |

Weights and biases are protected, the constants of requantisations are not counted. Harm is the loss of accuracy added
up over the flips of all *stored* bits, check bits and copies included: as every stored bit is as likely to flip as any
other, it is proportional to the accuracy that is lost in a given time. A bit more is a bit more to be hit.

Clipping: Chen, Li and Pattabiraman, "A low-cost fault corrector for deep neural networks through range restriction",
DSN 2021. Splitting is after Ahmadilivani, Taheri, Raik, Daneshtalab and Jenihhin, "Enhancing fault resilience of QNNs
by selective neuron splitting", AICAS 2023: there too a critical neuron becomes two, and a light unit behind them
corrects; that the lesser code is taken is this implementation's choice.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from amhw.datasets import DataSet
from amhw.faults.codes import Code, Hamming, Parity, Plain, has_free_bits
from amhw.faults.golden import CHUNK, Arithmetic
from amhw.faults.incremental import Words
from amhw.faults.memories import Memory
from amhw.faults.outcome import RIGHT_TO_WRONG, WRONG_TO_RIGHT, Counts
from amhw.network.quantised import QuantisedNetwork
from amhw.refusal import Refusal
from amhw.table import ProductTable

PROTECTIONS = ("clip", "triplicate", "split", "parity", "hamming", "free-bits")

SELECTIVE = ("triplicate", "split")
"""Those of chosen outputs only."""


def check_protection(name: str, network: QuantisedNetwork, tables: Mapping[str, ProductTable]) -> None:
    """
    Raises:
        Refusal: there is no such protection, or it does not fit any of the network's multipliers.
    """
    if name not in PROTECTIONS:
        raise Refusal(f"no protection {name!r}; there are {', '.join(PROTECTIONS)}")
    if name == "free-bits":
        fitting = {layer for layer, table in tables.items() if has_free_bits(table)}
        if not fitting:
            exact = next((layer for layer in network.layer_names if layer not in tables), None)
            if exact is not None and not tables:
                raise Refusal(
                    f"free-bits: exact products read all weight bits of {exact}, none is free; wanted a multiplier "
                    "that reads fewer, such as those of amhw select, or --protect hamming"
                )
            Hamming.in_free_bits(next(iter(tables.values())))


def code_of(name: str, memory: Memory, tables: Mapping[str, ProductTable]) -> Code:
    """How a protection stores the words of a memory."""
    if name == "parity":
        return Parity(memory.width)
    if name == "hamming":
        return Hamming.added(memory.width)
    table = tables.get(memory.layer)
    if name == "free-bits" and memory.kind == "weights" and table is not None and has_free_bits(table):
        return Hamming.in_free_bits(table)
    return Plain(memory.width)


def flips(name: str, memory: Memory, words: np.ndarray, tables: Mapping[str, ProductTable]) -> Words:
    """Every flip of a stored bit of some words, as what is read then: word by word, from the lowest bit up."""
    code = code_of(name, memory, tables)
    stored = code.written(memory.patterns[words])[:, None] ^ 1 << np.arange(code.stored)
    read = memory.valued(code.read(stored))
    return Words(np.repeat(words, code.stored), read.reshape(-1), lesser=name == "split")


def ceilings(network: QuantisedNetwork, tables: Mapping[str, ProductTable], training: DataSet) -> dict[str, np.ndarray]:
    """The greatest code of each output of each layer that requantises, on training images: int64[out]."""
    arithmetic = Arithmetic(network, tables)
    found: dict[str, np.ndarray] = {}
    for start in range(0, len(training), CHUNK):
        golden = arithmetic.golden(training.taken(slice(start, start + CHUNK), training.name))
        for layer in network.layers:
            if layer.requantisation is None:
                continue
            codes = golden.codes[network.network.leaving(layer.name)].astype(np.int64)
            best = codes.max(axis=(0, *range(2, codes.ndim)))
            found[layer.name] = np.maximum(found[layer.name], best) if layer.name in found else best
    return found


@dataclass(frozen=True)
class Left:
    """What a protection leaves of the harm, and what it stores.

    Attributes:
        stored: bits.
        harm: the sum over all stored bits of the share of images lost with that bit flipped.
        repeated: multiplications that are done again, of all.
    """

    stored: int
    harm: float
    repeated: float = 0.0


def harm(counts: Counts) -> np.ndarray:
    """Images that are lost, fault by fault: int64[F]."""
    found: np.ndarray = counts[..., RIGHT_TO_WRONG] - counts[..., WRONG_TO_RIGHT]
    return found


@dataclass(frozen=True, eq=False)
class Accounts:
    """Harm by output: lost images added up over the flips of a layer's words that belong to each output.

    Attributes:
        images: how many each fault was tried on.
        plain: by layer, float64[out], without protection.
        bits: by layer, stored bits of an output's words without protection.
        multiplications: by layer, of an output in one image.
    """

    images: int
    plain: Mapping[str, np.ndarray]
    bits: Mapping[str, int]
    multiplications: Mapping[str, int]

    @property
    def total(self) -> Left:
        """Without protection."""
        stored = sum(len(each) * self.bits[layer] for layer, each in self.plain.items())
        return Left(stored, sum(float(each.sum()) for each in self.plain.values()) / self.images)

    def chosen(self, share: float) -> list[tuple[str, int]]:
        """The outputs with most harm for their bits, until their bits are `share` of all."""
        order = sorted(
            (
                (each[unit] / self.bits[layer], layer, unit)
                for layer, each in self.plain.items()
                for unit in range(len(each))
            ),
            key=lambda found: -found[0],
        )
        room, found = share * self.total.stored, []
        for gain, layer, unit in order:
            if gain > 0 and self.bits[layer] <= room:
                room -= self.bits[layer]
                found.append((layer, unit))
        return found

    def triplicated(self, outputs: list[tuple[str, int]]) -> Left:
        """With the words of some outputs stored and read thrice: no single flip of theirs does harm."""
        left = self.total
        saved = sum(self.plain[layer][unit] for layer, unit in outputs) / self.images
        more = sum(self.bits[layer] for layer, _ in outputs)
        return Left(left.stored + 2 * more, left.harm - saved)

    def split(self, outputs: list[tuple[str, int]], lesser: Mapping[str, np.ndarray]) -> Left:
        """With some outputs stored and computed twice; `lesser` is as `plain`, of flips in one of the copies."""
        left = self.total
        change = sum(2 * lesser[layer][unit] - self.plain[layer][unit] for layer, unit in outputs) / self.images
        more = sum(self.bits[layer] for layer, _ in outputs)
        again = sum(self.multiplications[layer] for layer, _ in outputs)
        every = sum(self.multiplications[layer] * len(each) for layer, each in self.plain.items())
        return Left(left.stored + more, left.harm + change, again / every)
