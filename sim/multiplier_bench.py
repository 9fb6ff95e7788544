"""Simulator side: drive an emitted multiplier with operand pairs and compare every product with the golden model.

Runs inside the simulator's Python. The host side (`amhw.sim`) says in the environment which manifest to read,
where to leave the outcome and which seed to use. Ports are found by name; simulators show them as unsigned, so
the product's code is compared.
"""

import json
import os
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import Timer

from amhw.manifests import MultiplierManifest
from amhw.multiplier import Multiplier, parse

EXHAUSTIVE = 1 << 20
"""Up to this many operand pairs, all of them are tried."""

RANDOM = 1 << 17
"""Beyond it, so many random pairs, and every pair of corner values."""

CHUNK = 1 << 14


def corners(low: int, high: int) -> list[int]:
    """The ends of a range, the values around zero, and every power of two with its neighbours."""
    values = {low, low + 1, high - 1, high, -1, 0, 1}
    for k in range(high.bit_length()):
        values |= {1 << k, (1 << k) - 1, -(1 << k), 1 - (1 << k)}
    return sorted(value for value in values if low <= value <= high)


def operand_pairs(multiplier: Multiplier, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The operand values to try, in arrays of at most CHUNK pairs."""
    (low_a, high_a), (low_b, high_b) = multiplier.range_a, multiplier.range_b
    if multiplier.width_a + multiplier.width_b <= EXHAUSTIVE.bit_length() - 1:
        side = high_b - low_b + 1
        for start in range(0, (high_a - low_a + 1) * side, CHUNK):
            index = np.arange(start, min(start + CHUNK, (high_a - low_a + 1) * side))
            yield low_a + index // side, low_b + index % side
        return
    pairs = np.array(list(product(corners(low_a, high_a), corners(low_b, high_b))), dtype=np.int64)
    yield pairs[:, 0], pairs[:, 1]
    random = np.random.default_rng(seed)
    for _ in range(RANDOM // CHUNK):
        yield (
            random.integers(low_a, high_a, CHUNK, endpoint=True),
            random.integers(low_b, high_b, CHUNK, endpoint=True),
        )


@cocotb.test()
async def products_match(dut: Any) -> None:
    """Every product of the circuit is the golden model's."""
    manifest = MultiplierManifest.read(os.environ["AMHW_MANIFEST"])
    multiplier = parse(manifest.multiplier)
    port_a, port_b, port_p = dut.a, dut.b, dut.p
    mask_a, mask_b = (1 << multiplier.width_a) - 1, (1 << multiplier.width_b) - 1
    bits_p = multiplier.width_a + multiplier.width_b
    step = Timer(1, "ns")
    tried = matched = 0
    first = held = None
    for a, b in operand_pairs(multiplier, int(os.environ["AMHW_SEED"])):
        expected = multiplier.golden(a, b)
        for x, y, p in zip(a.tolist(), b.tolist(), expected.tolist(), strict=True):
            # A quarter of the time is saved by not writing what stays, and by comparing bits as text: one that is
            # unknown is then no 0 either.
            if x != held:
                port_a.value = x & mask_a
                held = x
            port_b.value = y & mask_b
            await step
            seen = port_p.value
            if str(seen) == f"{p % (1 << bits_p):0{bits_p}b}":
                matched += 1
            elif first is None:
                first = {"a": x, "b": y, "expected": p, "found": _signed(seen, multiplier)}
        tried += len(a)
    outcome = {"pairs": tried, "matched": matched, "first_difference": first}
    Path(os.environ["AMHW_OUTCOME"]).write_text(json.dumps(outcome), encoding="utf-8")
    assert first is None, f"{tried - matched} of {tried} products differ, first {first}"


def _signed(seen: Any, multiplier: Multiplier) -> int | str:
    """The product as people read it, or its bits where some are unknown."""
    if not seen.is_resolvable:
        return str(seen)
    value = int(seen)
    bits = multiplier.width_a + multiplier.width_b
    return value - (1 << bits) if multiplier.shape_p.signed and value >> (bits - 1) else value
