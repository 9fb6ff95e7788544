"""What to write to an engine's configuration port, so that it runs another network that fits."""

from collections.abc import Iterator, Mapping

import numpy as np
from amaranth.hdl import Shape
from numpy.typing import NDArray

from amhw.array.program import BUS_BITS, Program, Sizes
from amhw.manifests import MemoryPlace
from amhw.refusal import Refusal


def writes(sizes: Sizes, memory_map: Mapping[str, MemoryPlace], schedule: Program) -> NDArray[np.uint64]:
    """64-bit words, data in bits 0…31 and address in bits 32…63; a reset must follow.

    Args:
        sizes: of the engine.
        memory_map: of its manifest.
        schedule: of the network.

    Raises:
        Refusal: the schedule does not fit the engine; with the numbers that collide.
    """
    for what, needed, there in (
        ("words of activations in a bank", schedule.words, sizes.words),
        ("words of weights", len(schedule.weight_words), sizes.weight_words),
        ("words of biases", len(schedule.bias_words), sizes.bias_words),
        ("bits of a bias", schedule.bias_width, sizes.bias_width),
        ("products in a sum", schedule.terms, sizes.terms),
        ("words of results", schedule.batch * schedule.setup.words, sizes.results),
        ("images in a batch", schedule.batch, sizes.batch),
        ("positions with partial sums", Sizes((schedule,)).places, sizes.places),
    ):
        if needed > there:
            raise Refusal(f"{schedule.network.name} needs {needed} {what}; this engine has {there}")
    (low, high), (least, most) = _bounds(Sizes((schedule,)).scaled), _bounds(sizes.scaled)
    if low < least or high > most:
        raise Refusal(
            f"{schedule.network.name} has different codes for sums of {low}…{high}; this engine only for {least}…{most}"
        )
    if sizes.plain and not schedule.plain:
        raise Refusal(
            f"{schedule.network.name} pools, adds or copies codes by themselves; this engine stores only the bits "
            "that the multiplier reads"
        )
    contents: dict[str, list[list[int]]] = {
        "weights": schedule.weight_words.reshape(len(schedule.weight_words), -1).tolist(),
        "biases": schedule.bias_words.tolist(),
        "setup": [_lanes(sizes.setup.word(schedule.setup), memory_map.get("setup"))],
    }
    for kind in ("fetch", "weights", "finish"):
        place = memory_map.get(f"{kind} program")
        contents[f"{kind} program"] = [_lanes(word, place) for word in sizes.program(kind, schedule)]
    found = [pair for name, place in memory_map.items() for pair in _addressed(place, contents[name])]
    return np.array(found, np.uint64)


def _bounds(shape: Shape) -> tuple[int, int]:
    """The least and the greatest integer of a shape."""
    return (-(1 << shape.width - 1) if shape.signed else 0), (1 << shape.width - shape.signed) - 1


def _lanes(word: int, place: MemoryPlace | None) -> list[int]:
    lanes = 0 if place is None else place.lanes
    return [word >> BUS_BITS * lane & ((1 << BUS_BITS) - 1) for lane in range(lanes)]


def _addressed(place: MemoryPlace, words: list[list[int]]) -> Iterator[int]:
    for index, word in enumerate(words):
        for lane, value in enumerate(word):
            yield place.base + index * place.stride + lane << BUS_BITS | value & ((1 << BUS_BITS) - 1)
