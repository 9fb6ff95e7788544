"""Layers in the making, and the tensors between them: what `amhw.interchange.lowering` works with and leaves."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amhw.interchange.graph import Node
from amhw.network.layers import Layer, Shape
from amhw.network.real import FloatNetwork

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Steps:
    """What a quantised model says of a tensor: the real value of a step, and the code of 0 among lowest…highest."""

    scale: float
    zero: int
    lowest: int
    highest: int
    node: Node

    @property
    def alike(self) -> tuple[float, int]:
        """What is the same for those who round alike, whether their codes have a sign or not."""
        return self.scale, self.zero - self.lowest


@dataclass(frozen=True, eq=False)
class Codes:
    """Integers of a quantised model with the real value of one, one value or one for each output."""

    codes: NDArray[np.int64]
    scales: Array
    zeros: NDArray[np.int64]
    node: Node

    @property
    def values(self) -> Array:
        wanted = (-1, *[1] * (self.codes.ndim - 1)) if self.scales.size > 1 else ()
        values: Array = (self.codes - self.zeros.reshape(wanted)) * self.scales.reshape(wanted)
        return values


@dataclass(eq=False)
class Draft:
    """A layer in the making.

    Attributes:
        node: from which it is.
        taken: the values that enter it.
        weights, bias: of a layer that multiplies.
        codes: the integers that the weights were, if a quantised model said so and nothing has changed them.
        steps: into which a quantised model rounds what leaves it.
    """

    layer: Layer
    node: Node
    taken: tuple["Value", ...]
    weights: Array | None = None
    bias: Array | None = None
    codes: Codes | None = None
    steps: Steps | None = None


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor of the graph: what leaves a draft, or the image (None), times `scale` plus `shift`.

    Attributes:
        alone: nothing else takes it, nor anything between the draft and it.
        scale, shift: of the image, flattened or not, broadcast to `shape`; None where it is as it is.
        pads: zeros around it (top, left, bottom, right), for a convolution.
        step: the real value of one code, where a quantised model reads codes.
        steps: into which a quantised model rounds the image, of the image only.
    """

    draft: Draft | None
    shape: Shape
    alone: bool
    scale: Array | None = None
    shift: Array | None = None
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    step: float | None = None
    steps: Steps | None = None

    def behind(self, *kinds: type[Layer], alone: bool = False) -> "Value":
        """What it was before layers of these kinds; if `alone`, as far as nothing else takes what is in between."""
        value = self
        while value.draft is not None and isinstance(value.draft.layer, kinds) and (value.alone or not alone):
            [value] = value.draft.taken
        return value


@dataclass(frozen=True, eq=False)
class Lowered:
    """What came of a graph.

    Attributes:
        network: with real weights.
        drafts: of its layers, by name.
        image_steps: into which a quantised model rounds the image.
        notes: lines for the user, about what is not quite the same.
        inexact: why its integers cannot be those of a quantised model, as far as that is known here.
    """

    network: FloatNetwork
    drafts: Mapping[str, Draft]
    image_steps: Steps | None
    notes: tuple[str, ...]
    inexact: tuple[str, ...]
