"""A network as an ONNX file that others can run: with real weights, or quantised in QDQ form.

In QDQ form every layer's integers are real numbers between a DequantizeLinear and a QuantizeLinear: a layer's sums are
those of its codes, and the factor m / 2^s of its requantisation is that of the scales around it. What differs from
integers is the runtime's rounding: of the factor to float32, and of ties, which go to the even code there and up here.
"""

from pathlib import Path
from typing import Any

import numpy as np

from amhw.extras import optional
from amhw.files import write_atomically
from amhw.network.layers import IMAGE, Add, AveragePool, Convolution, Flatten, Layer, Linear, MaxPool, Rectifying
from amhw.network.quantised import PIXEL_SCALE, QuantisedLayer, QuantisedNetwork
from amhw.network.real import FloatNetwork
from amhw.network.requantisation import Addition, Requantisation
from amhw.refusal import Refusal

OPSET = 19
"""The oldest that the onnx package itself can evaluate."""

IMAGES = "image"
LOGITS = "logits"


def onnx_bytes(network: FloatNetwork | QuantisedNetwork) -> bytes:
    """The file's content: an input `image`, float32[N, C, H, W] of pixel / 255, and an output `logits`, float32[N,
    classes].

    Raises:
        Refusal: a layer was made for another multiplier than the exact one, which ONNX has not; or the package onnx is
            missing.
    """
    onnx = optional("onnx", "onnx", "--format onnx")
    if isinstance(network, QuantisedNetwork):
        for layer in network.layers:
            if layer.made_for is not None:
                raise Refusal(
                    f"{layer.name} was made for {layer.made_for.name}; ONNX has exact products only: export a network "
                    "before a multiplier is chosen"
                )
            if layer.input_rounding:
                raise Refusal(
                    f"{layer.name} adds {layer.input_rounding} to its activations; QDQ form has no such thing"
                )
        builder: _Builder = _Quantised(onnx, network)
    else:
        builder = _Real(onnx, network)
    content: bytes = builder.model().SerializeToString(deterministic=True)
    return content


def write_onnx(network: FloatNetwork | QuantisedNetwork, path: Path) -> Path:
    """Write `onnx_bytes`.

    Raises:
        Refusal: as those, or the path cannot be written.
    """
    return write_atomically(path, onnx_bytes(network))


class _Builder:
    """Nodes and constants so far; a layer's nodes are called as it is."""

    def __init__(self, onnx: Any, network: FloatNetwork | QuantisedNetwork) -> None:
        self.onnx, self.given, self.network = onnx, network, network.network
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def model(self) -> Any:
        for layer in self.network.layers:
            self.layer(layer)
        helper, kinds = self.onnx.helper, self.onnx.TensorProto
        graph = helper.make_graph(
            self.nodes,
            self.network.name,
            [helper.make_tensor_value_info(IMAGES, kinds.FLOAT, ["N", *self.network.input_shape])],
            [helper.make_tensor_value_info(LOGITS, kinds.FLOAT, ["N", self.network.classes])],
            list(self.constants.values()),
        )
        made = helper.make_model(graph, producer_name="amhw", opset_imports=[helper.make_opsetid("", OPSET)])
        made.ir_version = 9  # of this opset: the newest that older runtimes read
        return made

    def node(self, op: str, inputs: list[str], output: str, name: str = "", **attributes: Any) -> str:
        self.nodes.append(self.onnx.helper.make_node(op, inputs, [output], name or output, **attributes))
        return output

    def constant(self, name: str, array: Any, dtype: type) -> str:
        self.constants[name] = self.onnx.numpy_helper.from_array(np.asarray(array, dtype), name)
        return name

    def out(self, layer: Layer) -> str:
        """What a layer's tensor is called, before anything is done to it."""
        return LOGITS if layer is self.network.layers[-1] else layer.name

    def computed(self, layer: Layer, inputs: list[str]) -> str:
        """The nodes of a layer on real numbers, and its ReLU."""
        absolute = isinstance(layer, Convolution | Linear) and layer.absolute
        if not absolute and not (isinstance(layer, Rectifying) and layer.relu):
            return self.node(_operator(layer), inputs, self.out(layer), layer.name, **_attributes(layer))
        sums = self.node(_operator(layer), inputs, f"{layer.name}.sums", layer.name, **_attributes(layer))
        assert isinstance(layer, Rectifying), "it has an activation"
        return self.rectified(layer, sums, absolute=absolute)

    def rectified(self, layer: Rectifying, sums: str, *, absolute: bool) -> str:
        if absolute:
            return self.node("Abs", [sums], layer.name, f"{layer.name}.abs")
        if layer.ceiling is None or not self.clips(layer):
            return self.node("Relu", [sums], layer.name, f"{layer.name}.relu")
        limits = [
            self.constant("zero", 0, np.float32),
            self.constant(f"{layer.name}.ceiling", layer.ceiling, np.float32),
        ]
        return self.node("Clip", [sums, *limits], layer.name, f"{layer.name}.clip")

    def clips(self, layer: Rectifying) -> bool:
        """Whether a ceiling has to be there."""
        return True

    def layer(self, layer: Layer) -> None:
        raise NotImplementedError


class _Real(_Builder):
    def layer(self, layer: Layer) -> None:
        inputs = [IMAGES if source == IMAGE else source for source in self.network.sources[layer.name]]
        if isinstance(layer, Convolution | Linear):
            own = self.given[layer.name]
            inputs.append(self.constant(f"{layer.name}.weight", own.weights, np.float32))
            inputs.append(self.constant(f"{layer.name}.bias", own.bias, np.float32))
        self.computed(layer, inputs)


class _Quantised(_Builder):
    """Every tensor between layers is codes, called NAME.codes; `scales` are the real values of a step."""

    def __init__(self, onnx: Any, network: QuantisedNetwork) -> None:
        super().__init__(onnx, network)
        self.integers = network
        self.scales: dict[str, float] = {IMAGE: PIXEL_SCALE}

    def layer(self, layer: Layer) -> None:
        sources = self.network.sources[layer.name]
        match layer:
            case Convolution() | Linear():
                self.multiplied(layer, self.integers[layer.name], sources[0])
            case Flatten():
                codes = self.codes(sources[0])
                self.node("Flatten", [codes], f"{layer.name}.codes", layer.name)
                self.scales[layer.name] = self.scales[sources[0]]
            case MaxPool():
                entering = self.real(layer, sources[0], self.scales[sources[0]])
                self.rounded(layer, self.computed(layer, [entering]), self.scales[sources[0]], *self.limits(sources[0]))
            case AveragePool():
                constants = self.integers.joins[layer.name]
                assert isinstance(constants, Requantisation)
                scale = self.scales[sources[0]]
                entering = self.real(layer, sources[0], scale)
                scale /= layer.window[0] * layer.window[1] * constants.scale
                self.rounded(layer, self.computed(layer, [entering]), scale, constants.minimum, constants.maximum)
            case Add():
                join = self.integers.joins[layer.name]
                assert isinstance(join, Addition)
                scale = join.output_scale(*(self.scales[source] for source in sources))
                terms = [
                    self.real(layer, source, scale * factor, f"{layer.name}.{which}")
                    for source, factor, which in zip(sources, join.scales, ("first", "second"), strict=True)
                ]
                self.scales[layer.name] = scale
                self.rounded(layer, self.computed(layer, terms), scale, join.minimum, join.maximum)

    def multiplied(self, layer: Convolution | Linear, own: QuantisedLayer, source: str) -> None:
        entering, scale = self.entering(layer, own, source)
        unit = scale * own.weight_scale
        requantisation = own.requantisation
        if requantisation is not None:
            self.scales[layer.name] = unit / requantisation.scale
        inputs = [
            entering,
            self.dequantised(f"{layer.name}.weight", own.weights, np.int8, own.weight_scale),
            self.dequantised(f"{layer.name}.bias", own.bias, np.int32, unit),
        ]
        real = self.computed(layer, inputs)
        if requantisation is not None:
            self.rounded(layer, real, self.scales[layer.name], requantisation.minimum, requantisation.maximum)

    def entering(self, layer: Layer, own: QuantisedLayer, source: str) -> tuple[str, float]:
        """The real numbers that enter a layer which multiplies, and the value of a step."""
        if layer.name not in self.network.pixel_layers or own.operands.activation_bits == 8:
            return self.real(layer, source, self.scales[source]), self.scales[source]
        if source != IMAGE:
            raise Refusal(f"{layer.name} takes pooled pixels of {own.operands.activation_bits} bits; wanted 8 bits")
        # A quarter of a pixel more sends pixels in the middle between two codes up, as here.
        nudge = self.constant("quarter", PIXEL_SCALE / 4, np.float32)
        moved = self.node("Add", [IMAGES, nudge], f"{layer.name}.pixels")
        scale, greatest = own.operands.pixel_scale, own.operands.activation_max
        codes = self.quantised(moved, f"{layer.name}.image", scale, 0, greatest)
        return self.read(codes, f"{layer.name}.entering", scale, (0, greatest)), scale

    # Codes and real numbers

    def limits(self, name: str) -> tuple[int, int]:
        """The least and the greatest code that leaves a layer, or the image."""
        writer = self.network.writer(name)
        return (0, 255) if writer == IMAGE else self.integers.codes_of(writer)

    def codes(self, name: str) -> str:
        if name == IMAGE and f"{IMAGES}.codes" not in {output for node in self.nodes for output in node.output}:
            self.quantised(IMAGES, f"{IMAGES}.codes", PIXEL_SCALE, 0, 255)
        return f"{IMAGES}.codes" if name == IMAGE else f"{name}.codes"

    def real(self, layer: Layer, source: str, scale: float, name: str = "") -> str:
        """What a layer takes, each with its own DequantizeLinear."""
        return self.read(self.codes(source), name or f"{layer.name}.entering", scale, self.limits(source))

    def read(self, codes: str, name: str, scale: float, limits: tuple[int, int]) -> str:
        inputs = [codes, self.constant(f"{name}.scale", scale, np.float32), self.zero(*limits)]
        return self.node("DequantizeLinear", inputs, name)

    def rounded(self, layer: Layer, real: str, scale: float, lowest: int, highest: int) -> None:
        self.scales[layer.name] = scale
        self.quantised(real, f"{layer.name}.codes", scale, lowest, highest)

    def quantised(self, real: str, name: str, scale: float, lowest: int, highest: int) -> str:
        if (lowest, highest) not in ((0, 255), (0, 127), (-128, 127)):
            limits = [
                self.constant(f"{name}.{end}", code * scale, np.float32)
                for end, code in (("lowest", lowest), ("highest", highest))
            ]
            real = self.node("Clip", [real, *limits], f"{name}.clipped")
        inputs = [real, self.constant(f"{name}.scale", scale, np.float32), self.zero(lowest, highest)]
        return self.node("QuantizeLinear", inputs, name)

    def zero(self, lowest: int, highest: int) -> str:
        """The zero point, which says of which type codes are too: after a ReLU, int8 holds those of 7 bits."""
        signed = lowest < 0 or highest <= 127
        return self.constant("zero.int8", 0, np.int8) if signed else self.constant("zero.uint8", 0, np.uint8)

    def dequantised(self, name: str, codes: np.ndarray, dtype: type, scale: float) -> str:
        inputs = [
            self.constant(f"{name}", codes, dtype),
            self.constant(f"{name}.scale", scale, np.float32),
            # Its own: ONNX Runtime rewrites it with the weights (int8 to uint8), and fails where others share it.
            self.constant(f"{name}.zero", 0, dtype),
        ]
        return self.node("DequantizeLinear", inputs, f"{name}.real")

    def clips(self, layer: Rectifying) -> bool:
        """A learnt scale may have moved the greatest code above the ceiling."""
        assert layer.ceiling is not None
        _, highest = self.limits(layer.name)
        return highest * self.scales[layer.name] <= layer.ceiling * 1.0001


def _operator(layer: Layer) -> str:
    kinds: dict[type[Layer], str] = {
        Convolution: "Conv",
        Linear: "Gemm",
        MaxPool: "MaxPool",
        AveragePool: "AveragePool",
        Add: "Add",
        Flatten: "Flatten",
    }
    return kinds[type(layer)]


def _attributes(layer: Layer) -> dict[str, Any]:
    match layer:
        case Convolution():
            return {
                "kernel_shape": layer.kernel,
                "strides": layer.stride,
                "pads": layer.padding * 2,
                "group": layer.groups,
            }
        case Linear():
            return {"transB": 1}
        case MaxPool():
            return {"kernel_shape": layer.window, "strides": layer.stride, "pads": layer.padding * 2}
        case AveragePool():
            return {"kernel_shape": layer.window, "strides": layer.stride}
    return {}
