"""How far ONNX Runtime and our integers agree, image by image.

    python scripts/onnx_agreement.py NET.npz [DATA]

Of a quantised network: its logits in QDQ form against `amhw.network.inference`. Of the float one beside it,
NET-float.npz: logits as they are; then quantised by ONNX Runtime's own tool (uint8, int8 weights without zero points,
one scale a layer), read back, and compared in the steps of 8 bits to which that tool rounds logits. On all test images.
"""

import tempfile
from pathlib import Path

import click
import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from amhw.datasets import data_source
from amhw.interchange.imported import read_network
from amhw.interchange.onnx_out import IMAGES, write_onnx
from amhw.network.inference import Inference
from amhw.network.quantised import QuantisedNetwork
from amhw.network.real import FloatNetwork

CALIBRATION = 500


def run(path: Path, pixels: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    # Without it sums of 8-bit products saturate at 16 bits on processors with AVX2 that have no VNNI.
    options.add_session_config_entry("session.x64quantprecision", "1")
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {IMAGES: part})[0] for part in np.split(pixels, 10)])


class Reader(CalibrationDataReader):
    def __init__(self, pixels: np.ndarray) -> None:
        self.parts = iter(np.split(pixels, 10))

    def get_next(self) -> dict[str, np.ndarray] | None:
        part = next(self.parts, None)
        return None if part is None else {IMAGES: part}


def told(what: str, same: np.ndarray, ours: np.ndarray, theirs: np.ndarray) -> None:
    print(
        f"{what}: {100 * same.mean():.3f} % of logits equal, {100 * same.all(axis=1).mean():.2f} % of images in all of "
        f"them, {100 * (ours.argmax(axis=1) == theirs.argmax(axis=1)).mean():.2f} % of classes"
    )


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path), required=False)
def main(file: Path, data: Path | None) -> None:
    source = data_source(data)
    images = source.test.images
    test, training = ((each / np.float32(255)).astype(np.float32) for each in (images, source.representative.images))
    integers = QuantisedNetwork.load(file)
    real = FloatNetwork.load(file.with_name(f"{file.stem}-float{file.suffix}"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        theirs = run(write_onnx(real, path / "float.onnx"), test)
        print(f"float: logits differ by up to {np.abs(theirs - real.logits(images)).max():.1e}")
        theirs = run(write_onnx(integers, path / "qdq.onnx"), test) / integers.layers[-1].unit
        ours = Inference(integers).logits(images)
        told("exported", np.abs(theirs - ours) < 0.4 + 1e-5 * np.abs(ours), ours, theirs)
        quantize_static(
            path / "float.onnx",
            path / "quantised.onnx",
            Reader(training[:CALIBRATION]),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"WeightSymmetric": True},
        )
        found = read_network(str(path / "quantised.onnx"), real.network.input_shape)
        if found.integers is None:
            print(f"ONNX Runtime's: {found.notes[0].partition(': ')[2]}")
            return
        graph = onnx.load(path / "quantised.onnx").graph
        constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
        last = next(node for node in reversed(graph.node) if node.op_type == "QuantizeLinear")
        scale, zero = (float(constants[name]) for name in last.input[1:])
        ours = Inference(found.integers).logits(images)
        rounded = np.clip(np.rint(ours * (found.integers.layers[-1].unit / scale)) + zero, 0, 255) - zero
        theirs = run(path / "quantised.onnx", test)
        told("ONNX Runtime's", np.abs(rounded * scale - theirs) < scale / 2, rounded, theirs)


if __name__ == "__main__":
    main()
