"""What lowering computes with a node's numbers: weights of plain images, kernels with zeros, padding, quantisation."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amhw.interchange.drafts import Array, Value
from amhw.interchange.given import Given
from amhw.interchange.graph import Node
from amhw.network.layers import Layer, Pair, Shape
from amhw.refusal import Refusal

MOST_PADDING = 64


def shaped(node: Node, layer: Layer, *shapes: Shape) -> Shape:
    """What leaves a layer; what it refuses, in the node's name."""
    try:
        return layer.output(*shapes)
    except Refusal as refusal:
        raise Refusal(f"{node}: {refusal}") from None


def by_channel(numbers: tuple[float, ...], shape: Shape, what: str) -> Array:
    """Float64[C, H, W] of one number or of one for each channel."""
    if len(numbers) not in (1, shape[0]) or not np.isfinite(numbers).all() or (what == "std" and min(numbers) <= 0):
        kind = "positive" if what == "std" else "finite"
        said = ",".join(f"{each:g}" for each in numbers)
        raise Refusal(f"--{what} {said}; wanted 1 or {shape[0]} {kind} numbers")
    found: Array = np.broadcast_to(np.array(numbers, np.float64).reshape(-1, 1, 1), shape)
    return found


def unless_plain(scale: Array, shift: Array) -> tuple[Array | None, Array | None]:
    return (None, None) if (scale == 1).all() and not shift.any() else (scale, shift)


def of_plain_images(node: Node, x: Value, weights: Array, bias: Array, groups: int = 1) -> tuple[Array, Array]:
    """Weights and bias that give the same sums of an image that is not normalised."""
    assert x.scale is not None and x.shift is not None
    if len(x.shape) == 1:
        return weights * x.scale, bias + weights @ x.shift
    if not all((member == member[:, :1, :1]).all() for member in (x.scale, x.shift)):
        raise Refusal(f"{node} takes an image that was normalised otherwise at each place; wanted by channel")
    members = len(weights) // groups
    scale, shift = (np.repeat(each[:, 0, 0].reshape(groups, -1), members, axis=0) for each in (x.scale, x.shift))
    return weights * scale[:, :, None, None], bias + (weights.sum(axis=(2, 3)) * shift).sum(axis=1)


def broadcast(node: Node, constant: Array, channels: int, dimensions: int = 1) -> Array:
    """One number, or one for each channel, of a constant that is broadcast over [N, channels, …]."""
    if constant.size == 1:
        return constant.reshape(1)
    wanted = (channels, *[1] * (dimensions - 1))
    sides = constant.shape[1:] if constant.ndim == dimensions + 1 and constant.shape[0] == 1 else constant.shape
    if sides != wanted:
        raise Refusal(f"{node} has a constant {list(constant.shape)}; wanted one number, or one for each of {channels}")
    return constant.reshape(channels)


def pads_of(node: Node, said: Given, x: Value, window: Pair, stride: Pair) -> tuple[int, int, int, int]:
    """Zeros above, to the left, below and to the right."""
    mode = said.text("auto_pad", "NOTSET")
    pads = said.whole_numbers("pads") or [0, 0, 0, 0]
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        sides = [side + around for side, around in zip(x.shape[1:], in_all(x.pads), strict=True)]
        total = [
            max((-(-side // step) - 1) * step + size - side, 0)
            for side, size, step in zip(sides, window, stride, strict=True)
        ]
        first = [(each + (mode == "SAME_LOWER")) // 2 for each in total]
        pads = [*first, *(each - before for each, before in zip(total, first, strict=True))]
    elif mode == "VALID":
        pads = [0, 0, 0, 0]
    elif mode != "NOTSET":
        raise Refusal(f"{node} has auto_pad {mode}; wanted NOTSET, VALID, SAME_UPPER or SAME_LOWER")
    if len(pads) != 4 or min(pads) < 0 or max(pads) > MOST_PADDING:
        raise Refusal(f"{node} pads {pads}; wanted four numbers in 0…{MOST_PADDING}: above, left, below, right")
    top, left, below, right = (own + around for own, around in zip(pads, x.pads, strict=True))
    return top, left, below, right


def in_all(pads: tuple[int, int, int, int]) -> Pair:
    return pads[0] + pads[2], pads[1] + pads[3]


def dilated(weights: NDArray[Any], dilations: Pair) -> NDArray[Any]:
    """Kernels with zeros between their taps."""
    (height, width), (down, across) = weights.shape[2:], dilations
    if dilations == (1, 1):
        return weights
    spread = np.zeros((*weights.shape[:2], (height - 1) * down + 1, (width - 1) * across + 1), weights.dtype)
    spread[:, :, ::down, ::across] = weights
    return spread


def evenly_padded(weights: NDArray[Any], pads: tuple[int, int, int, int]) -> tuple[Pair, NDArray[Any]]:
    """The padding on each side, and kernels with zeros where one side had less."""
    top, left, below, right = pads
    down, across = max(top, below), max(left, right)
    around = ((0, 0), (0, 0), (down - top, down - below), (across - left, across - right))
    return (down, across), np.pad(weights, around)


def quantisation(
    node: Node, constants: Mapping[str, Any], codes: NDArray[Any]
) -> tuple[NDArray[np.int64], Array, NDArray[np.int64]]:
    """Codes, scales and zero points of QuantizeLinear or DequantizeLinear."""
    for name in node.inputs[1:3]:
        if name and name not in constants:
            raise Refusal(f"{node} has scales that are computed; wanted constants (static quantisation)")
    if len(node.inputs) < 2:
        raise Refusal(f"{node} has no scale")
    scales = np.asarray(constants[node.inputs[1]], np.float64).reshape(-1)
    zeros = np.zeros(scales.size, np.int64)
    if len(node.inputs) > 2 and node.inputs[2]:
        zeros = np.asarray(constants[node.inputs[2]]).astype(np.int64).reshape(-1)
    if not (np.isfinite(scales).all() and (scales > 0).all() and zeros.size == scales.size and scales.size):
        raise Refusal(f"{node} has scales or zero points that are none; wanted positive scales, a zero point for each")
    if not np.issubdtype(codes.dtype, np.integer):
        raise Refusal(f"{node} takes {codes.dtype.name}; wanted integers")
    return codes.astype(np.int64), scales, zeros
