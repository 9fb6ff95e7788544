"""Arbitrary tables against the loop of public CPU simulators: python scripts/bench_gather.py

The baseline is what such a simulator compiles: operands kept as floats, a triple loop over positions, outputs and
taps, one look-up in a 256 × 256 int32 table for each product. It is written here anew, as a yardstick; it is not any
project's code. Both compute the sums of both convolution layers for the same images, on one core, and must agree in
every bit.
"""

import ctypes
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from bench import arbitrary

from amhw.datasets import mnist_test
from amhw.network.inference import CHUNK, Inference, LayerSums, im2col
from amhw.network.models.lenet5 import network

IMAGES = 1000
ROUNDS = 3

LOOP = r"""
#include <cstdint>
extern "C" void sums(const float *a, const float *w, const int32_t *table, float *y,
                     long positions, long outputs, long taps) {
  for (long n = 0; n < positions; n++)
    for (long o = 0; o < outputs; o++) {
      float total = 0;
      for (long k = 0; k < taps; k++)
        total += table[(int(a[n * taps + k]) & 255) * 256 + (int(w[o * taps + k]) & 255)];
      y[n * outputs + o] = total;
    }
}
"""


def compiled(folder: Path) -> ctypes.CDLL:
    source, library = folder / "loop.cpp", folder / "loop.so"
    source.write_text(LOOP)
    subprocess.run(["g++", "-O3", "-march=native", "-shared", "-fPIC", "-o", library, source], check=True)
    return ctypes.CDLL(str(library))


def main() -> None:
    torch.set_num_threads(1)
    net, table = network(), arbitrary()
    codes = Inference(net).inputs(mnist_test().first(IMAGES).images)
    pointer = np.ctypeslib.ndpointer(flags="C_CONTIGUOUS")
    ours_total = loop_total = 0.0
    with tempfile.TemporaryDirectory() as folder:
        loop = compiled(Path(folder)).sums
        loop.argtypes = [pointer, pointer, pointer, pointer, ctypes.c_long, ctypes.c_long, ctypes.c_long]
        for name in net.convolutions:
            layer = net[name]
            windows = im2col(layer, codes[name])
            flat = np.ascontiguousarray(windows.reshape(-1, windows.shape[-1]), dtype=np.float32)
            weights = np.ascontiguousarray(layer.matrix, dtype=np.float32)
            found = np.empty((len(flat), layer.outputs), dtype=np.float32)
            ours, inputs = LayerSums(layer, table), torch.from_numpy(codes[name])
            times: dict[str, float] = {"ours": np.inf, "loop": np.inf}
            for _ in range(ROUNDS):
                start = time.perf_counter()
                sums = torch.cat([ours(chunk) for chunk in inputs.split(CHUNK)])
                times["ours"] = min(times["ours"], time.perf_counter() - start)
                start = time.perf_counter()
                loop(flat, weights, table.products, found, len(flat), layer.outputs, flat.shape[1])
                times["loop"] = min(times["loop"], time.perf_counter() - start)
            expected = found.reshape(*windows.shape[:3], layer.outputs).transpose(0, 3, 1, 2)
            assert (sums.numpy() == expected).all(), f"{name}: the two do not agree"
            ours_total, loop_total = ours_total + times["ours"], loop_total + times["loop"]
    print(f"sums of both convolutions, {IMAGES} images, an arbitrary table, one core")
    print(f"{'compiled look-up loop (baseline, im2col not counted)':56} {loop_total:6.2f} s")
    print(f"{'gather kernel (im2col counted)':56} {ours_total:6.2f} s   {loop_total / ours_total:.1f} × faster")


if __name__ == "__main__":
    main()
