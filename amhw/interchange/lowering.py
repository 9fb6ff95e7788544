"""A graph of ONNX's operators as a network of ours with real weights.

Node after node, each becomes a layer or goes into one that is there already: batch normalisation and other affine maps
into weights and bias of the layer before, ReLU and Clip into its `relu` and `ceiling`, dilation and uneven padding into
kernels with zeros. The result computes what the graph computes, in real numbers; what cannot is refused by the node's
name.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
from torch import nn

from amhw.interchange.arithmetic import (
    MOST_PADDING,
    broadcast,
    by_channel,
    dilated,
    evenly_padded,
    in_all,
    of_plain_images,
    pads_of,
    quantisation,
    shaped,
    unless_plain,
)
from amhw.interchange.drafts import Array, Codes, Draft, Lowered, Steps, Value
from amhw.interchange.given import FLOATS, Given, folded
from amhw.interchange.graph import Graph, Node
from amhw.network.layers import (
    IMAGE,
    Add,
    AveragePool,
    Convolution,
    Flatten,
    Layer,
    Linear,
    MaxPool,
    Pair,
    Rectifying,
    Shape,
)
from amhw.network.network import Multiplying, Network
from amhw.network.real import FloatLayer, FloatNetwork
from amhw.refusal import Refusal

_NEAR = 0.01
"""By how much scales differ that are meant to be one."""

_MOST_VALUES = 1 << 24
"""Of one layer and one image."""

_CODES = {0: np.uint8, 2: np.uint8, 3: np.int8}
"""What a QuantizeLinear without a zero point rounds to, by its output_dtype; 0 is none said."""

_INSTEAD = {
    "Sigmoid": "a ReLU",
    "HardSigmoid": "a ReLU",
    "HardSwish": "a ReLU",
    "Tanh": "a ReLU",
    "Elu": "a ReLU",
    "Gelu": "a ReLU",
    "LeakyRelu": "a ReLU",
    "PRelu": "a ReLU",
    "Selu": "a ReLU",
    "Softplus": "a ReLU",
    "Erf": "a ReLU",
    "Concat": "an addition of two branches",
    "ConvTranspose": "a convolution",
    "Transpose": "channels first, [N, C, H, W], from end to end",
    "QLinearConv": "a quantised model in QDQ form, with QuantizeLinear and DequantizeLinear",
    "ConvInteger": "a quantised model in QDQ form, with QuantizeLinear and DequantizeLinear",
    "MatMulInteger": "a quantised model in QDQ form, with QuantizeLinear and DequantizeLinear",
    "QLinearMatMul": "a quantised model in QDQ form, with QuantizeLinear and DequantizeLinear",
    "QLinearAdd": "a quantised model in QDQ form, with QuantizeLinear and DequantizeLinear",
    "LayerNormalization": "batch normalisation",
    "InstanceNormalization": "batch normalisation",
    "GroupNormalization": "batch normalisation",
    "LRN": "batch normalisation",
    "ArgMax": "an output before it, a number for each class",
}
"""What could be there instead of an operator that has no layer."""

_KNOWN = (
    "Conv, BatchNormalization, Relu, Clip, Abs, MaxPool, AveragePool, GlobalAveragePool, ReduceMean, Gemm, MatMul, "
    "Add, Flatten, Reshape, Identity and Dropout"
)


def lower(graph: Graph, mean: tuple[float, ...] = (0.0,), deviation: tuple[float, ...] = (1.0,)) -> Lowered:
    """The network of a graph whose image is (pixel / 255 − mean) / deviation, one number or one for each channel.

    Raises:
        Refusal: a node has no layer, or does not fit those before it; or the result is not a number for each class.
    """
    return _Lowering(graph, mean, deviation).lowered()


class _Lowering:
    def __init__(self, graph: Graph, mean: tuple[float, ...], deviation: tuple[float, ...]) -> None:
        self.graph = graph
        self.nodes = graph.used()
        self.uses = Counter(name for node in self.nodes if node.op != "Shape" for name in node.inputs)
        self.uses[graph.output] += 1
        self.constants: dict[str, Any] = dict(graph.constants)
        self.codes: dict[str, Codes] = {}
        self.drafts: list[Draft] = []
        self.image_steps: Steps | None = None
        self.notes: list[str] = []
        self.inexact: list[str] = []
        self.ended: Node | None = None
        scale = 1 / by_channel(deviation, graph.input_shape, "std")
        shift = -by_channel(mean, graph.input_shape, "mean") * scale
        image = Value(None, graph.input_shape, self.uses[graph.input] == 1, *unless_plain(scale, shift))
        self.values: dict[str, Value] = {graph.input: image}

    def lowered(self) -> Lowered:
        for node in self.nodes:
            if self.ended is not None:
                raise Refusal(f"{node} comes after {self.ended}; wanted the logits, without anything done to them")
            self._take(node)
        output = self.graph.output
        if output not in self.values or self.values[output].draft is None:
            raise Refusal(f"the output {output} is no function of the image; wanted a number for each class")
        last = self._classifier(self.values[output])
        logits = isinstance(last.layer, Linear) and not last.layer.relu and not last.layer.absolute
        if not logits or not isinstance(last.layer, Linear) or self.drafts[-1] is not last:
            shape = list(self.values[output].shape)
            what = " after a ReLU" if isinstance(last.layer, Rectifying) and last.layer.relu else ""
            raise Refusal(
                f"the output {output} has the shape {shape} and comes from {last.node}{what}; wanted a number for each "
                "class from a linear layer (Gemm, or MatMul and Add)"
            )
        self._check_signs()
        return self._named(last.layer.outputs)

    # Node after node

    def _take(self, node: Node) -> None:
        if node.op == "Shape" and node.inputs[0] in self.values:
            self.constants[node.outputs[0]] = np.array((1, *self.values[node.inputs[0]].shape), np.int64)
            return
        given = [name for name in node.inputs if name]
        if node.op == "DequantizeLinear" and given and given[0] in self.constants:
            self._dequantise(node)
            return
        if (known := folded(node, self.constants)) is not None:
            self.constants[node.outputs[0]] = known
            return
        lower = self._LOWERED.get(node.op)
        if lower is None:
            instead = _INSTEAD.get(node.op)
            raise Refusal(
                f"{node} has no layer here; " + (f"train with {instead}" if instead else f"known are {_KNOWN}")
            )
        if any(node.outputs[1:]) and (used := [name for name in node.outputs[1:] if self.uses[name]]):
            raise Refusal(f"{node} has a second output, {used[0]}, that is taken; wanted one output")
        computed = (position for position, name in enumerate(node.inputs) if name in self.values)
        first = self._value(node, next(computed, 0))
        if any(first.pads) and node.op != "Conv":
            raise Refusal(f"{node} takes what was padded before; wanted padding before convolutions only")
        made = lower(self, node, first, Given(node, self.constants))
        alone = self.uses[node.outputs[0]] == 1
        if made is first or made.draft is first.draft:
            alone = alone and first.alone  # the draft has other names, too
        self.values[node.outputs[0]] = replace(made, alone=alone)

    def _value(self, node: Node, position: int) -> Value:
        name = node.inputs[position] if position < len(node.inputs) else ""
        if name not in self.values:
            raise Refusal(f"{node}: input {position} is no function of the image")
        return self.values[name]

    def _constant(self, node: Node, position: int, what: str) -> Array:
        name = node.inputs[position] if position < len(node.inputs) else ""
        if name not in self.constants:
            raise Refusal(f"{node} has {what} that are computed; wanted constants")
        array = np.asarray(self.constants[name], np.float64)
        if not np.isfinite(array).all():
            raise Refusal(f"{node} has {what} that are not all finite numbers")
        return array

    def _added(self, layer: Layer, node: Node, *taken: Value, **members: Any) -> Value:
        shape = shaped(node, layer, *(value.shape for value in taken))
        if prod(shape) > _MOST_VALUES:
            raise Refusal(f"{node} gives {list(shape)} for an image; wanted at most {_MOST_VALUES} numbers")
        for value in taken:
            if value.scale is not None and not isinstance(layer, Multiplying):
                raise Refusal(
                    f"{node} takes an image that is not pixel / 255 but normalised; wanted a convolution or a linear "
                    "layer, into which that goes"
                )
        self.drafts.append(Draft(layer, node, taken, **members))
        return Value(self.drafts[-1], shape, True)

    # Layers that multiply

    def _conv(self, node: Node, x: Value, said: Given) -> Value:
        if len(x.shape) != 3:
            raise Refusal(f"{node} gets {list(x.shape)}; wanted [channels, height, width]")
        weights = self._constant(node, 1, "weights")
        bias = self._constant(node, 2, "biases") if len(node.inputs) > 2 else np.zeros(weights.shape[:1])
        codes = self.codes.get(node.inputs[1])
        if weights.ndim != 4 or bias.shape != weights.shape[:1]:
            raise Refusal(f"{node}: weights {list(weights.shape)}, bias {list(bias.shape)}; wanted a convolution in 2D")
        window = (weights.shape[2], weights.shape[3])
        if said.pair("kernel_shape", window) != window:
            raise Refusal(f"{node}: kernel_shape {said.pair('kernel_shape', window)} of weights {list(weights.shape)}")
        groups = said.whole("group", 1)
        if groups < 1 or weights.shape[0] % groups or weights.shape[1] * groups != x.shape[0]:
            raise Refusal(
                f"{node}: weights {list(weights.shape)} in {groups} groups, but {x.shape[0]} channels come in; wanted "
                f"[outputs, {x.shape[0]} / groups, height, width]"
            )
        if x.scale is not None:
            weights, bias = of_plain_images(node, x, weights, bias, groups)
            codes = None
        dilations = said.pair("dilations", (1, 1))
        stride = said.pair("strides", (1, 1))
        if min(*dilations, *stride, 1) < 1 or max(dilations) > MOST_PADDING:
            raise Refusal(f"{node}: strides {stride}, dilations {dilations}; wanted 1…{MOST_PADDING}")
        spread, steps = dilated(weights, dilations), stride
        pads = pads_of(node, said, x, (spread.shape[2], spread.shape[3]), steps)
        if any(pads) and x.shift is not None and x.shift.any():
            self.notes.append(
                f"{node} pads the normalised image with zeros, which are pixels of the mean; here padding is black, so "
                "that borders differ: fine-tune, or train with pixels in 0…1"
            )
        padding, spread = evenly_padded(spread, pads)
        if spread.shape != weights.shape and codes is not None:
            codes = replace(codes, codes=evenly_padded(dilated(codes.codes, dilations), pads)[1])
        layer = Convolution(
            self._name(node, "conv"),
            len(bias),
            (spread.shape[2], spread.shape[3]),
            steps,
            padding,
            False,
            groups=groups,
        )
        return self._added(
            layer,
            node,
            x,
            weights=spread,
            bias=bias,
            codes=codes,
        )

    def _gemm(self, node: Node, x: Value, said: Given) -> Value:
        matrix = self._constant(node, 1, "weights")
        if matrix.ndim != 2 or len(x.shape) != 1 or said.whole("transA", 0):
            raise Refusal(
                f"{node} multiplies [1, {', '.join(map(str, x.shape))}] and {list(matrix.shape)}; wanted a "
                "vector, after a Flatten, and a matrix"
            )
        turned = bool(said.whole("transB", 0))
        weights = matrix if turned else matrix.T
        if weights.shape[1] != x.shape[0]:
            raise Refusal(f"{node}: a matrix of {weights.shape[1]} inputs, but {x.shape[0]} come in")
        alpha, beta = said.number("alpha", 1.0), said.number("beta", 1.0)
        codes = self.codes.get(node.inputs[1])
        if codes is not None and not turned:
            codes = replace(codes, codes=codes.codes.T)
        bias = np.zeros(len(weights))
        if len(node.inputs) > 2:
            bias = beta * np.broadcast_to(
                broadcast(node, self._constant(node, 2, "biases"), len(weights)), len(weights)
            )
        weights = alpha * weights
        plain = alpha == beta == 1 and x.scale is None
        if x.scale is not None:
            weights, bias = of_plain_images(node, x, weights, bias)
        layer = Linear(self._name(node, "fc"), len(weights), False)
        return self._added(
            layer,
            node,
            x,
            weights=weights,
            bias=bias,
            codes=codes if plain else None,
        )

    # Affine maps

    def _batch_norm(self, node: Node, x: Value, said: Given) -> Value:
        if said.whole("training_mode", 0):
            raise Refusal(f"{node} is in training mode; export the model after eval()")
        scale, shift, mean, variance = (self._constant(node, k, "parameters") for k in range(1, 5))
        if {member.shape for member in (scale, shift, mean, variance)} != {x.shape[:1]}:
            raise Refusal(f"{node}: parameters of {scale.shape} for {x.shape[0]} channels")
        if variance.min() < 0:
            raise Refusal(f"{node} has a variance of {variance.min()}")
        gain = scale / np.sqrt(variance + said.number("epsilon", 1e-5))
        return self._affine(node, x, gain, shift - mean * gain)

    def _affine(self, node: Node, x: Value, scale: Array, shift: Array) -> Value:
        """x·scale + shift, each of one number or of one for each channel."""
        channels = x.shape[0]
        scale, shift = (np.array(np.broadcast_to(each, (channels,))) for each in (scale, shift))
        if (scale == 1).all() and not shift.any():
            return x
        draft = x.draft
        if draft is None or x.scale is not None:
            scale, shift = (each.reshape(channels, *[1] * (len(x.shape) - 1)) for each in (scale, shift))
            before = (np.ones(x.shape), np.zeros(x.shape)) if x.scale is None or x.shift is None else (x.scale, x.shift)
            changed = unless_plain(before[0] * scale, before[1] * scale + shift)
            return replace(x, scale=changed[0], shift=changed[1])
        layer = draft.layer
        if isinstance(layer, Multiplying) and x.alone and not (layer.relu or layer.absolute):
            self._unrounded(node, draft)
            assert draft.weights is not None and draft.bias is not None
            only_shift = bool((scale == 1).all())
            draft.weights = draft.weights * scale.reshape(-1, *[1] * (draft.weights.ndim - 1))
            draft.bias = draft.bias * scale + shift
            draft.codes = draft.codes if only_shift else None
            return x
        if len(x.shape) == 3:  # each channel for itself: a depthwise convolution of one tap
            made = Convolution(self._name(node, "scale"), channels, (1, 1), relu=False, groups=channels)
            return self._added(made, node, x, weights=scale.reshape(-1, 1, 1, 1), bias=shift)
        raise Refusal(
            f"{node} scales what leaves {draft.node}; wanted that right after a convolution or a linear layer"
        )

    def _arithmetic(self, node: Node, x: Value, said: Given) -> Value:
        """Add, Sub, Mul and Div of a tensor and constants; the first may be either."""
        at = 0 if node.inputs[0] in self.values else 1
        other = self._constant(node, 1 - at, "numbers")
        constant = broadcast(node, other, x.shape[0], len(x.shape))
        one, none = np.ones(1), np.zeros(1)
        if node.op == "Div" and not constant.all():
            raise Refusal(f"{node} divides by 0")
        match node.op, at:
            case "Add", _:
                scale, shift = one, constant
            case "Sub", 0:
                scale, shift = one, -constant
            case "Sub", _:
                scale, shift = -one, constant
            case "Mul", _:
                scale, shift = constant, none
            case "Div", 0:
                scale, shift = 1 / constant, none
            case _:
                raise Refusal(f"{node} divides by what the image gives; that has no layer here")
        return self._affine(node, x, scale, shift)

    def _add(self, node: Node, x: Value, said: Given) -> Value:
        names = [name for name in node.inputs if name]
        if len(names) != 2:
            raise Refusal(f"{node} adds {len(names)}; wanted two")
        if any(name in self.constants for name in names):
            return self._arithmetic(node, x, said)
        other = self._value(node, 1)
        for value in (x, other):
            if any(value.pads):
                raise Refusal(f"{node} takes what was padded before; wanted padding before convolutions only")
        name = self._name(node, "add")
        return self._added(Add(name, "", False), node, x, other)

    # What rectifies

    def _relu(self, node: Node, x: Value, said: Given) -> Value:
        return self._clipped(node, x, None)

    def _abs(self, node: Node, x: Value, said: Given) -> Value:
        """|x|, in the layer before: only flattening lets it through, a max-pool does not."""
        value = x.behind(Flatten, alone=True)
        if value.scale is None and self._positive(value):
            return x
        draft = value.draft
        layer = None if draft is None else draft.layer
        if draft is None or not isinstance(layer, Multiplying) or layer.relu or layer.absolute or not value.alone:
            raise Refusal(
                f"{node} has no place; wanted it right after a convolution or a linear layer, and alone there"
            )
        self._unrounded(node, draft)
        draft.layer = replace(layer, absolute=True)
        return x

    def _clip(self, node: Node, x: Value, said: Given) -> Value:
        low, high = said.number("min", -np.inf), said.number("max", np.inf)
        if low != 0 or not high > 0:
            raise Refusal(f"{node} cuts at {low} and {high}; wanted a ReLU or, between 0 and a ceiling, a ReLU6")
        return self._clipped(node, x, high if high < 1e30 else None)

    def _clipped(self, node: Node, x: Value, ceiling: float | None) -> Value:
        """min(max(x, 0), ceiling), in the layer before: max-pools and flattening let it through."""
        value = x.behind(MaxPool, Flatten, alone=True)
        draft = value.draft
        if draft is None:
            if ceiling is None and value.scale is None:
                return x
            raise Refusal(f"{node} rectifies an image that is normalised; wanted pixels, or a layer before it")
        layer = draft.layer
        absolute = isinstance(layer, Multiplying) and layer.absolute
        if absolute or not isinstance(layer, Rectifying) or not value.alone:
            if ceiling is None and self._positive(value):
                return x
            raise Refusal(
                f"{node} rectifies what leaves {draft.node}, which "
                + (
                    "others take as it is"
                    if isinstance(layer, Rectifying) and not value.alone
                    else "cannot be rectified"
                )
                + "; wanted it alone after a convolution, a linear layer or an addition"
            )
        self._unrounded(node, draft)
        known = [each for each in (ceiling, layer.ceiling) if each is not None]
        draft.layer = replace(layer, relu=True, ceiling=min(known, default=None))
        return x

    def _positive(self, value: Value) -> bool:
        """Whether it is never below 0."""
        draft = value.draft
        if draft is None:
            return True
        layer = draft.layer
        if (isinstance(layer, Rectifying) and layer.relu) or (isinstance(layer, Multiplying) and layer.absolute):
            return True
        return not isinstance(draft.layer, Multiplying) and all(map(self._positive, draft.taken))

    # What moves and summarises

    def _max_pool(self, node: Node, x: Value, said: Given) -> Value:
        window, stride, pads = self._window(node, x, said)
        if pads[:2] != pads[2:]:
            raise Refusal(f"{node} pads {list(pads)}; wanted as much on both sides")
        return self._added(MaxPool(self._name(node, "pool"), window, stride, (pads[0], pads[1])), node, x)

    def _average_pool(self, node: Node, x: Value, said: Given) -> Value:
        window, stride, pads = self._window(node, x, said)
        if any(pads):
            raise Refusal(f"{node} averages over padding; wanted an average-pool without padding")
        return self._added(AveragePool(self._name(node, "pool"), window, stride), node, x)

    def _window(self, node: Node, x: Value, said: Given) -> tuple[Pair, Pair, tuple[int, int, int, int]]:
        if len(x.shape) != 3:
            raise Refusal(f"{node} gets {list(x.shape)}; wanted [channels, height, width]")
        window = said.pair("kernel_shape", (0, 0))
        stride = said.pair("strides", (1, 1))
        if min(*window, *stride) < 1 or said.pair("dilations", (1, 1)) != (1, 1):
            raise Refusal(f"{node}: kernel_shape {window}, strides {stride}; wanted at least 1, and no dilations")
        pads = pads_of(node, said, x, window, stride)
        if said.whole("ceil_mode", 0):
            for side, size, step, around in zip(x.shape[1:], window, stride, in_all(pads), strict=True):
                if (side + around - size) % step:
                    raise Refusal(f"{node} has ceil_mode and windows over the edge of {list(x.shape)}; wanted floor")
        return window, stride, pads

    def _global(self, node: Node, x: Value, said: Given) -> Value:
        if len(x.shape) != 3:
            raise Refusal(f"{node} gets {list(x.shape)}; wanted [channels, height, width]")
        whole = (x.shape[1], x.shape[2])
        kind = AveragePool if node.op == "GlobalAveragePool" else MaxPool
        return self._added(kind(self._name(node, "pool"), whole, whole), node, x)

    def _reduce_mean(self, node: Node, x: Value, said: Given) -> Value:
        axes = sorted(axis % (len(x.shape) + 1) for axis in said.whole_numbers("axes"))
        if len(x.shape) != 3 or axes != [2, 3]:
            raise Refusal(f"{node} averages over axes {axes} of [1, {', '.join(map(str, x.shape))}]; wanted 2 and 3")
        whole = (x.shape[1], x.shape[2])
        averaged = self._added(AveragePool(self._name(node, "pool"), whole, whole), node, x)
        return averaged if said.whole("keepdims", 1) else self._flat(node, averaged)

    def _flatten(self, node: Node, x: Value, said: Given) -> Value:
        if said.whole("axis", 1) not in (1, -len(x.shape)):
            raise Refusal(f"{node} flattens from axis {said.whole('axis', 1)}; wanted 1, all but the images")
        return self._flat(node, x)

    def _reshape(self, node: Node, x: Value, said: Given) -> Value:
        before = (1, *x.shape)
        wanted = said.whole_numbers("shape")
        sizes = [before[k] if size == 0 and k < len(before) else size for k, size in enumerate(wanted)]
        if sizes.count(-1) == 1 and -prod(sizes) > 0 and prod(before) % -prod(sizes) == 0:
            sizes[sizes.index(-1)] = prod(before) // -prod(sizes)
        return self._reshaped(node, x, tuple(sizes))

    def _reshaped(self, node: Node, x: Value, sizes: Shape) -> Value:
        if sizes == (1, *x.shape):
            return x
        if sizes == (1, prod(x.shape)):
            return self._flat(node, x)
        raise Refusal(f"{node} makes {list(sizes)} of [1, {', '.join(map(str, x.shape))}]; wanted one row an image")

    def _squeeze(self, node: Node, x: Value, said: Given) -> Value:
        before = (1, *x.shape)
        axes = said.whole_numbers("axes") or [k for k, size in enumerate(before) if size == 1 and k]
        kept = [size for k, size in enumerate(before) if k not in {axis % len(before) for axis in axes}]
        return self._reshaped(node, x, tuple(kept))

    def _flat(self, node: Node, x: Value) -> Value:
        if len(x.shape) == 1:
            return x
        plain = self._added(Flatten(self._name(node, "flatten")), node, replace(x, scale=None, shift=None))
        if x.scale is None or x.shift is None:
            return plain
        return replace(plain, scale=x.scale.reshape(-1), shift=x.shift.reshape(-1))

    def _pad(self, node: Node, x: Value, said: Given) -> Value:
        pads = said.whole_numbers("pads")
        mode = said.text("mode", "constant")
        if mode != "constant" or said.number("value", 0.0) != 0 or len(x.shape) != 3 or len(pads) != 8:
            raise Refusal(f"{node} pads {pads} with {mode}; wanted zeros around [N, C, H, W]")
        if pads[0] or pads[1] or pads[4] or pads[5] or min(pads) < 0:
            raise Refusal(f"{node} pads {pads}; wanted zeros above, below and beside the image only")
        found = (pads[2], pads[3], pads[6], pads[7])
        return replace(x, pads=found)

    def _same(self, node: Node, x: Value, said: Given) -> Value:
        return x

    def _cast(self, node: Node, x: Value, said: Given) -> Value:
        if (number := said.whole("to", 0)) not in FLOATS:
            raise Refusal(f"{node} makes the type {number} of what the image gives; wanted a float, such as 1, FLOAT")
        return x

    def _dropout(self, node: Node, x: Value, said: Given) -> Value:
        if said.whole("training_mode", 0):
            raise Refusal(f"{node} is in training mode; export the model after eval()")
        return x

    def _softmax(self, node: Node, x: Value, said: Given) -> Value:
        if node.outputs[0] != self.graph.output:
            raise Refusal(f"{node} is not the end of the network; wanted a ReLU there")
        self.notes.append(f"{node} is left out: it changes no class")
        self.ended = node
        return x

    # What a quantised model says

    def _dequantise(self, node: Node) -> None:
        """Integers that are constants: weights and biases."""
        codes, scales, zeros = quantisation(node, self.constants, self.constants[node.inputs[0]])
        found = Codes(codes, scales, zeros, node)
        axis = int(node.attributes.get("axis", 1))
        if scales.size > 1 and (
            codes.ndim == 0 or codes.shape[axis % codes.ndim] != scales.size or node.attributes.get("block_size")
        ):
            raise Refusal(
                f"{node} has {scales.size} scales for {list(codes.shape)}; wanted one, or one for each output"
            )
        if scales.size > 1 and axis % codes.ndim:
            turned = replace(found, codes=np.moveaxis(codes, axis % codes.ndim, 0))
            self.constants[node.outputs[0]] = np.moveaxis(turned.values, 0, axis % codes.ndim)
        else:
            self.constants[node.outputs[0]] = found.values
        self.codes[node.outputs[0]] = found

    def _quantise(self, node: Node, x: Value, said: Given) -> Value:
        """Rounded to steps: what is below the lowest code is cut, which may be a ReLU."""
        kind: Any = np.uint8
        if len(node.inputs) > 2:
            kind = np.asarray(self.constants.get(node.inputs[2], np.uint8(0))).dtype.type
        elif (number := said.whole("output_dtype", 0)) in _CODES:
            kind = _CODES[number]
        else:
            raise Refusal(f"{node} rounds to the type {number}; wanted 2, UINT8, or 3, INT8")
        _, scales, zeros = quantisation(node, self.constants, np.zeros(1, kind))
        if scales.size != 1 or not np.issubdtype(kind, np.integer) or np.iinfo(kind).bits != 8:
            raise Refusal(
                f"{node} rounds to {np.dtype(kind).name} with {scales.size} scales; wanted 8 bits and one scale"
            )
        limits = np.iinfo(kind)
        steps = Steps(float(scales.ravel()[0]), int(zeros.ravel()[0]), int(limits.min), int(limits.max), node)
        value = x.behind(MaxPool, Flatten)
        draft = value.draft
        if draft is None:
            if self.image_steps is None:
                self.image_steps = steps
            elif self.image_steps.alike != steps.alike:
                self.inexact.append(f"{node} rounds the image a second time, to other steps")
            return replace(x, steps=steps)
        if draft.steps is not None:
            if draft.steps.alike != steps.alike:
                self.inexact.append(f"{node} rounds a second time what {draft.node} gives, to other steps")
            return x
        if not x.alone:
            self.inexact.append(f"{node} rounds what others take as it is")
        layer = draft.layer
        rectifies = steps.zero == steps.lowest and node.outputs[0] not in self._ends()
        if rectifies and isinstance(layer, Rectifying) and not self._positive(value) and x.alone and value.alone:
            draft.layer = replace(layer, relu=True)
        draft.steps = steps
        return x

    def _read(self, node: Node, x: Value, said: Given) -> Value:
        """Codes as real numbers, perhaps of a slightly other scale than they were rounded to."""
        steps = self._steps_of(x)
        if steps is None:
            raise Refusal(f"{node} takes what nothing has rounded; wanted a QuantizeLinear before it")
        _, scales, zeros = quantisation(node, self.constants, np.zeros(1, np.int64))
        ratio = float(scales[0]) / steps.scale
        if scales.size != 1 or int(zeros[0]) != steps.zero or not 0.5 < ratio < 2:
            raise Refusal(
                f"{node} reads codes as {scales[0]:.6g} from {zeros[0]}, but {steps.node} writes them as "
                f"{steps.scale:.6g} from {steps.zero}; wanted the same"
            )
        if abs(ratio - 1) > _NEAR:
            self.notes.append(f"{node} reads codes as {ratio:.4g} times what they were; the float network does not")
        return replace(x, step=float(scales[0]))

    def _steps_of(self, value: Value) -> Steps | None:
        value = value.behind(MaxPool, Flatten)
        return value.steps if value.draft is None else value.draft.steps

    def _unrounded(self, node: Node, draft: Draft) -> None:
        """Note that something is done to what a layer gives after it was rounded, which here is done before."""
        if draft.steps is not None:
            self.inexact.append(f"{draft.steps.node} rounds what {draft.node} gives before {node}")
            draft.steps = None

    def _ends(self) -> set[str]:
        """The tensors that become the output without being computed with."""
        ends = {self.graph.output}
        for node in reversed(self.nodes):
            if node.op in _LEAVING and ends & set(node.outputs):
                ends.add(node.inputs[0])
        return ends

    # The whole

    def _classifier(self, output: Value) -> Draft:
        """The layer that gives the output; a convolution of one position before a Flatten becomes a linear layer after
        it, and one of one tap goes to the other side of a global average."""
        draft = output.draft
        assert draft is not None
        if not isinstance(draft.layer, Flatten):
            return draft
        [before] = draft.taken
        pool = before.draft if before.draft is not None and isinstance(before.draft.layer, AveragePool) else None
        [inner] = pool.taken if pool is not None else [before]
        conv = inner.draft
        if conv is None or not isinstance(conv.layer, Convolution) or not (inner.alone and before.alone):
            return draft
        layer, [x] = conv.layer, conv.taken
        one_tap = layer.kernel == layer.stride == (1, 1) and layer.padding == (0, 0)
        fits = (pool is None and layer.padding == (0, 0) and x.shape[1:] == layer.kernel) or (
            pool is not None and one_tap and isinstance(pool.layer, AveragePool) and pool.layer.window == x.shape[1:]
        )
        if layer.relu or layer.absolute or layer.groups > 1 or not fits or conv.steps is not None:
            return draft
        assert conv.weights is not None
        if pool is not None:
            pool.taken = (x,)
        draft.taken = (x,) if pool is None else draft.taken
        weights = conv.weights.reshape(layer.outputs, -1)
        entering = Value(draft, (weights.shape[1],), True)
        linear = replace(conv, layer=Linear(layer.name, layer.outputs, False), weights=weights, taken=(entering,))
        self.drafts.remove(conv)
        self.drafts.append(linear)
        return linear

    def _check_signs(self) -> None:
        """An activation that is multiplied is not negative."""
        for draft in self.drafts:
            if not isinstance(draft.layer, Multiplying) or self._positive(draft.taken[0]):
                continue
            value = draft.taken[0]
            while value.draft is not None and not isinstance(value.draft.layer, Rectifying):
                value = value.draft.taken[0]
            assert value.draft is not None, "the image is positive"
            raise Refusal(
                f"{draft.node} multiplies what leaves {value.draft.node} without a ReLU, and codes that are multiplied "
                "are not negative; train with a ReLU or ReLU6 between them"
            )

    def _named(self, classes: int) -> Lowered:
        names = {id(draft): draft.layer.name for draft in self.drafts}

        def source(value: Value) -> str:
            return IMAGE if value.draft is None else names[id(value.draft)]

        layers: list[Layer] = []
        before = IMAGE
        for draft in self.drafts:
            first, *others = (source(value) for value in draft.taken)
            layer = replace(draft.layer, source=None if first == before else first)
            if isinstance(layer, Add):
                layer = replace(layer, other=others[0])
            draft.layer = layer
            layers.append(layer)
            before = layer.name
        network = Network(self.graph.name, self.graph.input_shape, classes, tuple(layers))
        weighted = []
        for draft in self.drafts:
            if isinstance(draft.layer, Multiplying):
                assert draft.weights is not None and draft.bias is not None
                made = FloatLayer(draft.layer, draft.weights, draft.bias)
                if not (np.isfinite(made.weights).all() and np.isfinite(made.bias).all()):
                    raise Refusal(f"{draft.node} has weights that are not all finite numbers")
                weighted.append(made)
        return Lowered(
            FloatNetwork(network, tuple(weighted), self.graph.name),
            {draft.layer.name: draft for draft in self.drafts},
            self.image_steps,
            tuple(dict.fromkeys(self.notes)),
            tuple(dict.fromkeys(self.inexact)),
        )

    def _name(self, node: Node, kind: str) -> str:
        """What a layer is called: as its weights are, or as the module of its node, or by its kind and a number."""
        taken = {draft.layer.name for draft in self.drafts} | {IMAGE}
        weights = node.inputs[1] if len(node.inputs) > 1 else ""
        for name in (weights.removesuffix(".weight") if weights.endswith(".weight") else "", _module_of(node)):
            short = name.replace(".", "_").strip("_")
            if short.isidentifier() and short.isascii() and short not in taken and not hasattr(_EMPTY_MODULE, short):
                return short
        number = 1
        while f"{kind}{number}" in taken:
            number += 1
        return f"{kind}{number}"

    _LOWERED: Mapping[str, Callable[["_Lowering", Node, Value, Given], Value]] = {
        "Conv": _conv,
        "Gemm": _gemm,
        "MatMul": _gemm,
        "BatchNormalization": _batch_norm,
        "Add": _add,
        "Sum": _add,
        "Sub": _arithmetic,
        "Mul": _arithmetic,
        "Div": _arithmetic,
        "Relu": _relu,
        "Abs": _abs,
        "Clip": _clip,
        "MaxPool": _max_pool,
        "AveragePool": _average_pool,
        "GlobalAveragePool": _global,
        "GlobalMaxPool": _global,
        "ReduceMean": _reduce_mean,
        "Flatten": _flatten,
        "Reshape": _reshape,
        "Squeeze": _squeeze,
        "Pad": _pad,
        "Identity": _same,
        "Cast": _cast,
        "Dropout": _dropout,
        "Softmax": _softmax,
        "LogSoftmax": _softmax,
        "QuantizeLinear": _quantise,
        "DequantizeLinear": _read,
    }


def _module_of(node: Node) -> str:
    """The module that a node's name says it is of: PyTorch's exporter calls them /layer1/layer1.0/conv1/Conv."""
    if "/" not in node.name:
        return node.name
    path = ""
    for part in node.name.strip("/").split("/")[:-1]:
        path = part if not path or part.startswith(f"{path}.") else f"{path}.{part}"
    return path


_LEAVING = ("QuantizeLinear", "DequantizeLinear", "Identity", "Softmax", "LogSoftmax")
"""What may follow the logits."""

_EMPTY_MODULE = nn.Module()
