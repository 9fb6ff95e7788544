"""A network from elsewhere as a list of operators, called as ONNX calls them, and the arrays that they take.

Whoever reads a file or a torch module says it in these words: ONNX's, of any version that is read. Weights are
constants.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Node:
    """One operator.

    Attributes:
        op: its kind, in ONNX's word.
        name: what its author calls it, or its place in the list.
        inputs: names of tensors; an empty one was left out.
        outputs: the same.
    """

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.name} ({self.op})"


@dataclass(frozen=True, eq=False)
class Graph:
    """Operators in the order in which they are computed, from one image to one vector.

    Attributes:
        name: of the network.
        input: the tensor that is the image, [1, C, H, W] of `input_shape`.
        output: the tensor that is the result.
        constants: by tensor name.
    """

    name: str
    input: str
    input_shape: tuple[int, int, int]
    output: str
    nodes: tuple[Node, ...]
    constants: Mapping[str, np.ndarray]

    def used(self) -> tuple[Node, ...]:
        """The nodes without which the output would not be there."""
        wanted, found = {self.output}, []
        for node in reversed(self.nodes):
            if wanted & set(node.outputs):
                wanted |= set(node.inputs)
                found.append(node)
        return tuple(reversed(found))
