"""Simulator side: matrix products through an emitted array, compared with NumPy on the product table.

Products of extreme and of random operands, back to back at full speed; again with random stalls on every stream;
then a reset in the middle of a product and one more.
"""

import json
import os
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from streams import Streams, beat_to_lanes, lanes_to_beat

from amhw.array.golden import matmul
from amhw.array.tiling import Tiling
from amhw.array.widths import SUM_BITS
from amhw.manifests import MatrixProductManifest
from amhw.multiplier import parse
from amhw.table import ProductTable


@cocotb.test()
async def sums_match(dut: Any) -> None:
    """Every sum is the golden model's."""
    manifest = MatrixProductManifest.read(os.environ["AMHW_MANIFEST"])
    multiplier = parse(manifest.multiplier)
    unit = Tiling(manifest.shape, manifest.rows, manifest.cols, manifest.depth, manifest.dataflow)
    table = ProductTable.of(multiplier)
    rows, inner, cols = unit.shape
    random = np.random.default_rng(int(os.environ["AMHW_SEED"]))
    streams = Streams(dut, ["s_axis_a", "s_axis_b"], ["m_axis_c"], int(os.environ["AMHW_SEED"]))
    bytes_a, bytes_b = -(-multiplier.width_a // 8) * 8, -(-multiplier.width_b // 8) * 8
    expected = []

    def submit(a: np.ndarray, b: np.ndarray) -> None:
        beats_a, beats_b = unit.tiles_of(a, b)
        streams.send("s_axis_a", (lanes_to_beat(beat, bytes_a) for beat in beats_a))
        streams.send("s_axis_b", (lanes_to_beat(beat, bytes_b) for beat in beats_b))
        expected.append(matmul(table, a, b))

    def a_random_product() -> tuple[np.ndarray, np.ndarray]:
        return (
            random.integers(*multiplier.range_a, (rows, inner), endpoint=True),
            random.integers(*multiplier.range_b, (inner, cols), endpoint=True),
        )

    per_product = unit.beats
    limit = 40 * (unit.cycles + 400)
    await streams.reset()
    for a in multiplier.range_a:
        for b in multiplier.range_b:
            submit(np.full((rows, inner), a), np.full((inner, cols), b))
    for _ in range(3):
        submit(*a_random_product())
    await streams.run("m_axis_c", len(expected) * per_product, limit)
    ends = [cycle for cycle, _, last in streams.received["m_axis_c"] if last]
    streams.stalls = 0.4
    for _ in range(3):
        submit(*a_random_product())
    await streams.run("m_axis_c", len(expected) * per_product, limit)

    # A reset in the middle of a product: what is left of it never comes, and the next one is right.
    submit(*a_random_product())
    await streams.run("m_axis_c", (len(expected) - 1) * per_product + per_product // 2, limit)
    await streams.reset()
    expected.pop()
    kept = streams.received["m_axis_c"][: len(expected) * per_product]
    streams.received["m_axis_c"] = kept
    streams.stalls = 0.2
    submit(*a_random_product())
    await streams.run("m_axis_c", len(expected) * per_product, limit)
    for _ in range(4 * unit.cols + 50):
        await streams.step()

    pairs = matched = 0
    first = None
    beats = streams.received["m_axis_c"]
    for index, product in enumerate(expected):
        part = beats[index * per_product : (index + 1) * per_product]
        found = unit.product_of(np.array([beat_to_lanes(beat, SUM_BITS, unit.cols) for _, beat, _ in part]))
        pairs += product.size
        equal = found == product
        matched += int(equal.sum())
        if first is None and not equal.all():
            m, n = (int(k) for k in np.argwhere(~equal)[0])
            first = {"product": index, "row": m, "column": n, "expected": int(product[m, n]), "found": int(found[m, n])}
    lasts = [last for _, _, last in beats]
    outcome = {
        "pairs": pairs,
        "matched": matched,
        "first_difference": first,
        "cycles": max(np.diff(ends).tolist()),
    }
    Path(os.environ["AMHW_OUTCOME"]).write_text(json.dumps(outcome), encoding="utf-8")
    assert first is None, first
    assert lasts == ([False] * (per_product - 1) + [True]) * len(expected), "tlast marks the end of each product"
