"""Quantised models as ONNX Runtime's own tool makes them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static


class _Images(CalibrationDataReader):
    def __init__(self, name: str, images: np.ndarray) -> None:
        self.batches: Iterator[np.ndarray] = iter(np.split(images, len(images) // 10))
        self.name = name

    def get_next(self) -> Mapping[str, np.ndarray] | None:
        batch = next(self.batches, None)
        return None if batch is None else {self.name: batch}


def statically(model: Path, out: Path, name: str, images: np.ndarray, **options: Any) -> Path:
    """`model` in QDQ form, calibrated on float32 `images`: uint8 activations, int8 weights without zero points."""
    extra = {"WeightSymmetric": True, "ActivationSymmetric": False} | options.pop("extra", {})
    quantize_static(
        model,
        out,
        _Images(name, images),
        quant_format=QuantFormat.QDQ,
        activation_type=options.pop("activation_type", QuantType.QUInt8),
        weight_type=QuantType.QInt8,
        extra_options=extra,
        **options,
    )
    return out
