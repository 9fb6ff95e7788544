"""Two networks in one engine: images are classified by the first, and again by the second where the first is in doubt.

The engine's program holds the operations of both. When the first network's logits are complete, the engine compares the
*margin*, the greatest logit less the second, with a threshold: where it is less, the image, which has been kept, goes
through the second network's operations, whose logits are the answer. One array multiplies for both: its elements keep
the union of their masks, and each operation says which part of it is there (`amhw.array.modes`).

Images run one at a time: there are no batches, in which some would have to wait for others' second turn.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from amhw.array.config import ArrayConfig
from amhw.array.interpreter import Interpreter
from amhw.array.operation import Operation
from amhw.array.records import Setup
from amhw.array.schedule import Schedule
from amhw.array.widths import Widths
from amhw.network.margins import margins
from amhw.network.network import Network
from amhw.network.quantised import QuantisedNetwork
from amhw.refusal import Refusal

MOST = 1 << 31
"""Thresholds are below this: margins of logits of 32 bits."""


@dataclass(frozen=True, eq=False)
class CascadeSchedule:
    """The operations of `first`, and after them those of `then`.

    Attributes:
        first, then: schedules on one array, of one image at a time.
        threshold: an image whose margin is less goes through both; in units of the first network's logits.

    Raises:
        Refusal: they do not fit each other, or the threshold is out of range.
    """

    first: Schedule
    then: Schedule
    threshold: int

    def __post_init__(self) -> None:
        check_alike(self.first.network.network, self.then.network.network)
        if not 0 <= self.threshold < MOST:
            raise Refusal(f"a threshold of {self.threshold}; wanted 0 (never ask the second network) to {MOST - 1}")
        if self.first.config != self.then.config:
            raise Refusal("the networks of a cascade need one configuration of the array")
        if self.config.batch != 1:
            raise Refusal(f"a batch of {self.config.batch}: a cascade's images run one at a time, --batch 1")

    @staticmethod
    def of(first: Schedule, then: Schedule, threshold: int) -> "CascadeSchedule":
        """With the image kept as it is, and copied, where the networks take it in two forms: rounded in two ways.

        Raises:
            Refusal: as for a cascade.
        """
        made = CascadeSchedule(first, then, threshold)
        forms = {(one.setup.pixel_shift, one.setup.pixel_rounding, one.setup.pixel_highest) for one in (first, then)}
        if len(forms) == 1:
            return made
        return CascadeSchedule(replace(first, image_as_is=True), replace(then, image_as_is=True), threshold)

    # What an engine is made from (`amhw.array.program.Program`)

    @property
    def config(self) -> ArrayConfig:
        return self.first.config

    @property
    def network(self) -> QuantisedNetwork:
        return self.first.network

    @property
    def widths(self) -> Widths:
        return self.first.widths

    @property
    def _both(self) -> tuple[Schedule, Schedule]:
        return self.first, self.then

    @cached_property
    def operations(self) -> tuple[Operation, ...]:
        """Those of the first network, the last of which decides; then those of the second."""
        first = [replace(one, fetch=replace(one.fetch, release=0)) for one in self.first.operations]
        last = first[-1]
        first[-1] = replace(last, fetch=replace(last.fetch, decides=1), finish=replace(last.finish, decides=1))
        words, biases = len(self.first.weight_words), len(self.first.bias_words)
        then = [
            one
            if one.fetch.element
            else replace(
                one,
                weights=replace(one.weights, first=one.weights.first + words),
                finish=replace(one.finish, bias=one.finish.bias + biases),
            )
            for one in self.then.operations
        ]
        return (*first, *then)

    @cached_property
    def setup(self) -> Setup:
        return replace(self.first.setup, threshold=self.threshold, slot=0)

    @cached_property
    def weight_words(self) -> NDArray[np.int64]:
        return np.concatenate([one.weight_words for one in self._both])

    @cached_property
    def bias_words(self) -> NDArray[np.int64]:
        return np.concatenate([one.bias_words for one in self._both])

    @property
    def bias_width(self) -> int:
        return max(one.bias_width for one in self._both)

    @property
    def words(self) -> int:
        return max(one.words for one in self._both)

    @property
    def terms(self) -> int:
        return max(one.terms for one in self._both)

    @property
    def batch(self) -> int:
        return 1

    @property
    def plain(self) -> bool:
        return all(one.plain for one in self._both)

    # What it computes

    def decided(self, logits: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Which images the first network's logits [N, classes] leave in doubt."""
        return margins(logits) < self.threshold

    def logits(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """The golden model: logits int32[N, classes] of uint8 images [N, C, H, W], and which went through both."""
        # It needs torch, which what only makes circuits does not wait for.
        from amhw.network.inference import Inference

        first, then = (Inference(one.network, one.tables) for one in self._both)
        found = first.logits(images)
        again = self.decided(found)
        if again.any():
            found[again] = then.logits(images[again])
        return found, again

    def clocks(self, again: float) -> float:
        """Clocks of an image on average, where a share `again` of them goes through both: a bound from below, as the
        comparison waits for the last logit."""
        return self.first.latency + again * self.then.latency


def check_alike(first: Network, then: Network) -> None:
    """
    Raises:
        Refusal: two networks do not answer the same question, or there is no margin in an answer.
    """
    for what, one, other in (
        ("images", list(first.input_shape), list(then.input_shape)),
        ("classes", first.classes, then.classes),
    ):
        if one != other:
            raise Refusal(
                f"{first.name} and {then.name} have other {what}: {one} and {other}; a cascade's networks answer the "
                "same question"
            )
    if first.classes < 2:
        raise Refusal(f"{first.name} has {first.classes} class; a margin is between two")


def interpreted(schedule: CascadeSchedule, images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """What the records compute: logits int64[N, classes], each image operation by operation."""
    machine = Interpreter(schedule)
    logits = []
    for image in images:
        machine.receive(image, 0)
        for one in schedule.operations:
            machine.run(one, 0, 0, 1)
            if one.finish.decides and not schedule.decided(machine.results(1))[0]:
                break
        logits.append(machine.results(1))
    return np.concatenate(logits)
