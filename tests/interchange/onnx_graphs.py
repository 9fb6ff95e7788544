"""Small ONNX models, written down node by node, and what ONNX Runtime makes of them."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

SHAPE = (2, 9, 8)


class Model:
    """Nodes so far; `then` adds one after the last."""

    def __init__(self, shape: tuple[Any, ...] = SHAPE, opset: int = 17, seed: int = 0) -> None:
        self.shape, self.opset = shape, opset
        self.random = np.random.default_rng(seed)
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.last = "image"

    def constant(self, array: Any, dtype: type = np.float32, name: str = "") -> str:
        name = name or f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array, dtype), name))
        return name

    def weights(self, *shape: int, low: float = -0.5, high: float = 0.5) -> str:
        return self.constant(self.random.uniform(low, high, shape))

    def then(self, op: str, *others: str, source: str = "", name: str = "", outputs: int = 1, **attributes: Any) -> str:
        """Add a node that takes `source`, else the last output, and `others`."""
        made = [f"t{len(self.nodes)}", *(f"t{len(self.nodes)}_{k}" for k in range(1, outputs))]
        self.nodes.append(helper.make_node(op, [source or self.last, *others], made, name, **attributes))
        self.last = made[0]
        return self.last

    def conv(
        self, inputs: int, outputs: int, size: int = 3, groups: int = 1, source: str = "", **attributes: Any
    ) -> str:
        weights = self.weights(outputs, inputs // groups, size, size)
        return self.then("Conv", weights, self.weights(outputs), source=source, group=groups, **attributes)

    def batch_norm(self, channels: int) -> str:
        moments = [self.weights(channels, low=0.5, high=1.5), self.weights(channels), self.weights(channels)]
        return self.then("BatchNormalization", *moments, self.weights(channels, low=0.5, high=2))

    def linear(self, inputs: int, outputs: int = 3) -> str:
        return self.then("Gemm", self.weights(outputs, inputs), self.weights(outputs), transB=1)

    def made(self, outputs: int = 1) -> Any:
        graph = helper.make_graph(
            self.nodes,
            "small",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", *self.shape])],
            [helper.make_tensor_value_info(self.last, TensorProto.FLOAT, None)][:outputs],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)])
        model.ir_version = 8
        return model

    def save(self, path: Path) -> Path:
        onnx.save(self.made(), path)
        return path


def run(path: Path, images: np.ndarray) -> np.ndarray:
    """What ONNX Runtime makes of uint8 images, as pixels in 0…1."""
    options = onnxruntime.SessionOptions()
    # Without it sums of 8-bit products saturate at 16 bits on processors with AVX2 that have no VNNI.
    options.add_session_config_entry("session.x64quantprecision", "1")
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    [entering] = session.get_inputs()
    found: np.ndarray = session.run(None, {entering.name: (images / np.float32(255)).astype(np.float32)})[0]
    return found
