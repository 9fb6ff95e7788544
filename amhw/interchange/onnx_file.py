"""An ONNX file as a `Graph`.

Reading runs nothing that a file holds. Weights beside the file are read from its own folder only, and every size that
the file states is compared with what is there before it is believed.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from amhw.extras import optional
from amhw.files import read_whole
from amhw.interchange.graph import Graph, Node
from amhw.refusal import Refusal

OPSETS = (7, 25)
"""The versions of ONNX's operators that are read: what these operators mean has not changed between them."""

_LARGEST_FILE = 1 << 30
_MOST_NODES = 20_000
_MOST_NUMBERS = 1 << 28

_DOMAINS = ("", "ai.onnx")
_QUANTISING = ("QuantizeLinear", "DequantizeLinear")


def read_onnx(path: Path, shape: tuple[int, int, int]) -> Graph:
    """The graph of a file, for images of `shape`, (C, H, W).

    Raises:
        Refusal: it is unreadable, damaged, too large or too new, wants files that are not there, has other inputs and
            outputs than an image and a result, or a node that is none of ONNX's own; or the package onnx is missing.
    """
    onnx = optional("onnx", "onnx", f"reading {path}")
    try:
        size = path.stat().st_size
    except OSError as error:
        raise Refusal(f"cannot read {path}: {error.strerror}") from None
    if size > _LARGEST_FILE:
        raise Refusal(f"{path} has {size} bytes; wanted at most {_LARGEST_FILE}")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(read_whole(path))
    except Exception as error:
        if type(error).__name__ != "DecodeError":
            raise
        raise Refusal(f"{path} is no ONNX file, or a damaged one: it cannot be decoded") from None
    try:
        return _Reader(onnx, model, path).graph(shape)
    except Refusal as refusal:
        raise Refusal(f"{path}: {refusal}") from None


class _Reader:
    def __init__(self, onnx: Any, model: Any, path: Path) -> None:
        self.onnx, self.model, self.path = onnx, model, path
        self.constants: dict[str, np.ndarray] = {}
        self.numbers = 0

    def graph(self, shape: tuple[int, int, int]) -> Graph:
        graph = self.model.graph
        self._check_text()
        if not graph.node:
            raise Refusal("no ONNX file, or a damaged one: it has no nodes")
        if len(graph.node) > _MOST_NODES:
            raise Refusal(f"{len(graph.node)} nodes; wanted at most {_MOST_NODES}")
        self._check_opset()
        if graph.sparse_initializer:
            raise Refusal("sparse initialisers; wanted dense ones")
        for tensor in graph.initializer:
            self.constants[tensor.name] = self._array(tensor, f"initialiser {tensor.name}")
        nodes = [made for index, node in enumerate(graph.node) if (made := self._node(index, node)) is not None]
        inputs = [value for value in graph.input if value.name not in self.constants]
        if len(inputs) != 1:
            names = ", ".join(value.name for value in inputs) or "none"
            raise Refusal(f"{len(inputs)} inputs ({names}); wanted one, the image")
        if len(graph.output) != 1:
            names = ", ".join(value.name for value in graph.output) or "none"
            raise Refusal(f"{len(graph.output)} outputs ({names}); wanted one, a number for each class")
        self._check_input(inputs[0], shape)
        self._check_order(nodes, self.constants, inputs[0].name, graph.output[0].name)
        name = graph.name if graph.name.isprintable() and graph.name.strip() else ""
        return Graph(
            name if name not in ("", "main_graph", "torch_jit", "torch-jit-export") else self.path.stem,
            inputs[0].name,
            shape,
            graph.output[0].name,
            tuple(nodes),
            self.constants,
        )

    def _check_text(self) -> None:
        """Names whose bytes are no text come as bytes."""
        graph = self.model.graph
        names = [graph.name, *(entry.domain for entry in self.model.opset_import)]
        for node in graph.node:
            names += [node.name, node.op_type, node.domain, *node.input, *node.output]
            names += [attribute.name for attribute in node.attribute]
        for tensor in graph.initializer:
            names += [tensor.name, *(part for entry in tensor.external_data for part in (entry.key, entry.value))]
        for value in [*graph.input, *graph.output]:
            names += [value.name, *(size.dim_param for size in value.type.tensor_type.shape.dim)]
        if any(isinstance(name, bytes) for name in names):
            raise Refusal("no ONNX file, or a damaged one: a name in it is no text")

    def _check_opset(self) -> None:
        versions = [entry.version for entry in self.model.opset_import if entry.domain in _DOMAINS]
        if len(versions) != 1:
            raise Refusal("no ONNX file, or a damaged one: it does not say which opset its nodes are of")
        lowest, highest = OPSETS
        if versions[0] > highest:
            raise Refusal(
                f"opset {versions[0]} is newer than {highest}, the newest that is read; export it as {highest}"
            )
        if versions[0] < lowest:
            raise Refusal(f"opset {versions[0]} is older than {lowest}, the oldest that is read; export it again")

    def _check_input(self, value: Any, shape: tuple[int, int, int]) -> None:
        dims = [
            d.dim_value if d.HasField("dim_value") else d.dim_param or "?" for d in value.type.tensor_type.shape.dim
        ]
        said = f"the input {value.name} is [{', '.join(map(str, dims))}]"
        if len(dims) != 4:
            raise Refusal(f"{said}; wanted images [N, channels, height, width]")
        if any(isinstance(size, str) for size in dims[1:]):
            raise Refusal(
                f"{said}, of no fixed size; export it for [N, {', '.join(map(str, shape))}], as the images are"
            )
        if isinstance(dims[0], int) and dims[0] != 1:
            raise Refusal(f"{said}: {dims[0]} images at a time; export it for one, or for any number N")
        if tuple(dims[1:]) != shape:
            raise Refusal(f"{said}, but the images are {list(shape)}: [channels, height, width]")
        kind = value.type.tensor_type.elem_type
        if kind != self.onnx.TensorProto.FLOAT:
            name = (
                self.onnx.TensorProto.DataType.Name(kind) if kind in self.onnx.TensorProto.DataType.values() else kind
            )
            raise Refusal(f"the input {value.name} is {name}; wanted FLOAT")

    @staticmethod
    def _check_order(nodes: Iterable[Node], constants: Iterable[str], image: str, output: str) -> None:
        """What the file's author should have kept to: everything is made once, before it is taken."""
        made = {image, "", *constants}
        for node in nodes:
            for name in node.inputs:
                if name not in made:
                    raise Refusal(f"{node} takes {name!r}, which nothing before it makes")
            for name in node.outputs:
                if name and name in made:
                    raise Refusal(f"{node} makes {name!r} for a second time")
            made |= set(node.outputs) | {""}
        if output not in made:
            raise Refusal(f"the output {output} is made by no node")

    def _node(self, index: int, node: Any) -> Node | None:
        """The node in our words; None for a constant, which is kept as such."""
        name = node.name if node.name and node.name.isprintable() else f"node {index}"
        said = f"{name} ({node.op_type})"
        if node.domain not in _DOMAINS and not (node.domain == "com.microsoft" and node.op_type in _QUANTISING):
            raise Refusal(f"{said} is of the domain {node.domain}; wanted ONNX's own operators")
        attributes = {}
        for attribute in node.attribute:
            attributes[attribute.name] = self._attribute(attribute, said)
        inputs = list(node.input)
        if node.op_type == "Constant":
            given = [
                attributes[kind]
                for kind in ("value", "value_float", "value_int", "value_floats", "value_ints")
                if kind in attributes
            ]
            if len(given) != 1 or len(node.output) != 1:
                raise Refusal(f"{said} holds no numbers")
            self.constants[node.output[0]] = np.asarray(given[0])
            return None
        while inputs and not inputs[-1]:
            inputs.pop()
        return Node(node.op_type, name, tuple(inputs), tuple(node.output), attributes)

    def _attribute(self, attribute: Any, said: str) -> Any:
        kinds = self.onnx.AttributeProto
        if attribute.type == kinds.TENSOR:
            return self._array(attribute.t, said)
        if attribute.type in (kinds.GRAPH, kinds.GRAPHS, kinds.SPARSE_TENSOR, kinds.SPARSE_TENSORS):
            raise Refusal(f"{said} holds graphs or sparse tensors; wanted a network without branches")
        return self.onnx.helper.get_attribute_value(attribute)

    def _array(self, tensor: Any, said: str) -> np.ndarray:
        """The numbers of a tensor, inside the file or in its folder."""
        kinds = self.onnx.TensorProto
        if any(size < 0 for size in tensor.dims):
            raise Refusal(f"{said} has the shape {list(tensor.dims)}")
        count = 1
        for size in tensor.dims:
            count *= size
        self.numbers += count
        if self.numbers > _MOST_NUMBERS:
            raise Refusal(f"{said} has the shape {list(tensor.dims)}: wanted at most {_MOST_NUMBERS} numbers in all")
        try:
            kind = np.dtype(self.onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type))
        except (KeyError, TypeError, ValueError):
            raise Refusal(f"{said} is of the type {tensor.data_type}; wanted numbers") from None
        if kind.hasobject:
            raise Refusal(f"{said} holds text; wanted numbers")
        if tensor.data_location == kinds.EXTERNAL:
            tensor.raw_data = self._beside(tensor, said, count * kind.itemsize)
            tensor.data_location = kinds.DEFAULT
            del tensor.external_data[:]
        try:
            array = self.onnx.numpy_helper.to_array(tensor)
        except Exception as error:  # whatever the package makes of bytes that do not fit the shape
            raise Refusal(f"{said} is damaged: {str(error).splitlines()[0]}") from None
        if array.dtype.name.startswith(("float", "bfloat")):
            array = array.astype(np.float32)
        return np.asarray(array)

    def _beside(self, tensor: Any, said: str, wanted: int) -> bytes:
        """The bytes of a tensor in a file of its own."""
        where = {entry.key: entry.value for entry in tensor.external_data}
        location = where.get("location", "")
        folder = self.path.resolve().parent
        file = (folder / location).resolve()
        if not location or Path(location).is_absolute() or not file.is_relative_to(folder):
            raise Refusal(f"{said} is in {location!r}, outside the folder of the ONNX file; wanted a file beside it")
        if not file.is_file():
            raise Refusal(f"{said} is in {location}, which is not there; put that file beside the ONNX file")
        try:
            start, length = int(where.get("offset", 0)), int(where.get("length", wanted))
        except ValueError:
            raise Refusal(f"{said}: offset and length in {location} are no numbers") from None
        if length != wanted or start < 0 or start + length > file.stat().st_size:
            raise Refusal(
                f"{said} wants {wanted} bytes of {location} and is said to be {length} from byte {start}, where the "
                f"file has {file.stat().st_size}"
            )
        try:
            with file.open("rb") as opened:
                opened.seek(start)
                return opened.read(length)
        except OSError as error:
            raise Refusal(f"{said}: cannot read {file}: {error.strerror}") from None
