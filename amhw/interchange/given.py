"""What a node says beside its tensors: sizes, axes and limits, each of the kind that is wanted or refused by name."""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from amhw.interchange.graph import Node
from amhw.network.layers import Pair
from amhw.refusal import Refusal

_MOST_FOLDED = 1 << 24

FLOATS: Mapping[int, Any] = {1: np.float32, 10: np.float16, 11: np.float64, 16: np.float32}
"""ONNX's numbers of the types FLOAT, FLOAT16, DOUBLE and BFLOAT16; numpy has none for the last."""

_INTEGERS: Mapping[int, Any] = {
    2: np.uint8,
    3: np.int8,
    4: np.uint16,
    5: np.int16,
    6: np.int32,
    7: np.int64,
    12: np.uint32,
    13: np.uint64,
}

_AS_INPUTS: Mapping[str, tuple[str, ...]] = {
    "Clip": ("min", "max"),
    "Squeeze": ("axes",),
    "Unsqueeze": ("axes",),
    "ReduceMean": ("axes",),
    "Reshape": ("shape",),
    "Pad": ("pads", "value", "pad_axes"),
    "Dropout": ("ratio", "training_mode"),
    "Slice": ("starts", "ends", "axes", "steps"),
}
"""Inputs after the first that say how, in later versions of ONNX; in earlier ones, attributes of these names."""


class Given:
    """The attributes of a node, and those of its inputs that are attributes in all but their place.

    Raises:
        Refusal: one of those is computed; later, from each method, what is there is of another kind.
    """

    def __init__(self, node: Node, constants: Mapping[str, Any]) -> None:
        self.node = node
        self._said = dict(node.attributes)
        for member, name in zip(_AS_INPUTS.get(node.op, ()), node.inputs[1:], strict=False):
            if name and name not in constants:
                raise Refusal(f"{node} takes its {member} from what is computed; wanted a constant, a fixed shape")
            if name:
                self._said[member] = constants[name]

    def _of(self, name: str, usual: Any) -> Any:
        value = self._said.get(name)
        return usual if value is None else value

    def _refuse(self, name: str) -> Refusal:
        return Refusal(f"{self.node} has {name} {self._said.get(name)!r:.80}; wanted numbers")

    def number(self, name: str, usual: float) -> float:
        try:
            return float(np.asarray(self._of(name, usual)).reshape(()))
        except (TypeError, ValueError):
            raise self._refuse(name) from None

    def whole(self, name: str, usual: int) -> int:
        try:
            return int(np.asarray(self._of(name, usual)).reshape(()))
        except (TypeError, ValueError, OverflowError):
            raise self._refuse(name) from None

    def whole_numbers(self, name: str) -> list[int]:
        try:
            return [int(each) for each in np.asarray(self._of(name, ())).reshape(-1)]
        except (TypeError, ValueError, OverflowError):
            raise self._refuse(name) from None

    def pair(self, name: str, usual: Pair) -> Pair:
        """Of height and width.

        Raises:
            Refusal: there are more or fewer: it is for one dimension, or three.
        """
        found = self.whole_numbers(name) or list(usual)
        if len(found) != 2:
            raise Refusal(f"{self.node} has {name} {found}; wanted two numbers, for height and width")
        return found[0], found[1]

    def text(self, name: str, usual: str) -> str:
        value = self._of(name, usual)
        return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _sliced(arrays: Sequence[np.ndarray], said: Given) -> np.ndarray:
    [array] = arrays
    starts, ends = said.whole_numbers("starts"), said.whole_numbers("ends")
    axes = said.whole_numbers("axes") or list(range(len(starts)))
    steps = said.whole_numbers("steps") or [1] * len(starts)
    parts = [slice(None)] * array.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        parts[axis] = slice(start, end, step)
    return array[tuple(parts)]


def _elementwise(operation: Callable[[Any, Any], Any]) -> Callable[[Sequence[np.ndarray], Given], np.ndarray]:
    def folded(arrays: Sequence[np.ndarray], said: Given) -> np.ndarray:
        first, second = arrays
        if prod(np.broadcast_shapes(first.shape, second.shape)) > _MOST_FOLDED:
            raise ValueError(f"{list(first.shape)} and {list(second.shape)} make too many numbers")
        return np.asarray(operation(first, second))

    return folded


def _divided(first: Any, second: Any) -> Any:
    if not np.all(second):
        raise ValueError("a division by 0")
    return first // second if np.issubdtype(np.asarray(first).dtype, np.integer) else first / second


def _cast(arrays: Sequence[np.ndarray], said: Given) -> np.ndarray:
    [array], number = arrays, said.whole("to", 0)
    if number not in FLOATS and number not in _INTEGERS:
        raise ValueError(f"a cast to the type {number}; wanted floats or integers")
    if number in _INTEGERS and not np.isfinite(array).all():
        raise ValueError("a cast to integers of what is not finite")
    with np.errstate(over="ignore", invalid="ignore"):
        return array.astype({**FLOATS, **_INTEGERS}[number])


_FOLDED: Mapping[str, Callable[[Sequence[np.ndarray], Given], np.ndarray]] = {
    "Identity": lambda arrays, said: arrays[0],
    "Cast": _cast,
    "Gather": lambda arrays, said: np.take(arrays[0], arrays[1], axis=said.whole("axis", 0)),
    "Unsqueeze": lambda arrays, said: np.expand_dims(arrays[0], tuple(said.whole_numbers("axes"))),
    "Squeeze": lambda arrays, said: np.squeeze(arrays[0], tuple(said.whole_numbers("axes")) or None),
    "Concat": lambda arrays, said: np.concatenate(arrays, said.whole("axis", 0)),
    "Slice": _sliced,
    "Reshape": lambda arrays, said: arrays[0].reshape(said.whole_numbers("shape")),
    "Transpose": lambda arrays, said: arrays[0].transpose(said.whole_numbers("perm") or None),
    "Add": _elementwise(np.add),
    "Sub": _elementwise(np.subtract),
    "Mul": _elementwise(np.multiply),
    "Div": _elementwise(_divided),
}


def folded(node: Node, constants: Mapping[str, Any]) -> np.ndarray | None:
    """What a node makes of constants alone, which is how exporters write down shapes; None where it takes more, or is
    of another kind.

    Raises:
        Refusal: it does not fit its constants.
    """
    given = [name for name in node.inputs if name]
    if node.op not in _FOLDED or not given or not all(name in constants for name in given):
        return None
    taken = given[:1] if node.op in _AS_INPUTS else given
    try:
        return np.asarray(_FOLDED[node.op]([np.asarray(constants[name]) for name in taken], Given(node, constants)))
    except (ValueError, IndexError, TypeError, OverflowError) as error:
        if isinstance(error, Refusal):
            raise
        raise Refusal(f"{node} does not fit its constants: {str(error).splitlines()[0]}") from None
