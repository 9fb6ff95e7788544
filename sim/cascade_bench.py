"""Simulator side: images through an emitted engine of two networks, compared with NumPy on the product tables.

The images are handwritten digits where they fit, else noise: back to back at full speed, with random stalls on both
sides, and after a reset in the middle of one. Half of them go through both networks, as far as there are as many: they
are chosen by the golden model, in random order.

AMHW_IMAGES says how many images at most; there are never fewer than 2.
"""

import os
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from answers import IMAGE, RESULTS, Answers
from streams import Streams

from amhw.array.cascade import CascadeSchedule
from amhw.array.cascade_engine import cascade_of
from amhw.datasets import mnist_test
from amhw.manifests import CascadeEngineManifest
from amhw.network.quantised import QuantisedNetwork


@cocotb.test()
async def answers_match(dut: Any) -> None:
    """Every logit and every class is that of the network that the golden model asks."""
    path = Path(os.environ["AMHW_MANIFEST"])
    manifest = CascadeEngineManifest.read(path)
    networks = [QuantisedNetwork.load(path.with_name(each.network)) for each in manifest.networks]
    for each, network in zip(manifest.networks, networks, strict=True):
        assert network.sha256 == each.sha256, "a network file is not the manifest's"
    cascade = cascade_of(manifest, networks)
    seed = int(os.environ["AMHW_SEED"])
    images = _images(cascade, int(os.environ.get("AMHW_IMAGES", "20")), seed)
    calm, stalled = images[: len(images) // 2], images[len(images) // 2 :]
    streams = Streams(dut, [IMAGE, "s_axis_config"], [RESULTS], seed)
    limit = 12 * (cascade.first.latency + cascade.then.latency + 3 * images[0].size)
    answers = Answers(streams, manifest.classes, limit)

    async def through(what: str, given: np.ndarray) -> None:
        await answers.through(what, given, cascade.logits(given)[0])

    await streams.reset()
    started = streams.cycle
    await through("back to back", calm)
    clocks = streams.cycle - started
    streams.stalls = 0.5
    await through("stalls", stalled)
    streams.stalls = 0.1
    streams.send(IMAGE, images[0].ravel().tolist())
    for _ in range(images[0].size + cascade.first.latency):
        await streams.step()
    await streams.reset(1)
    await through("after a reset", images[:2])
    answers.report(clocks // len(calm))


def _images(cascade: CascadeSchedule, count: int, seed: int) -> np.ndarray:
    """As many as are asked for, half of them in doubt where there are so many among a thousand; 2 at least, for
    two parts of the bench."""
    count = max(2, count)
    random = np.random.default_rng(seed)
    digits = mnist_test().images[:1000]
    shape = cascade.network.network.input_shape
    some = digits if digits.shape[1:] == shape else random.integers(0, 256, (200, *shape), dtype=np.uint8)
    _, again = cascade.logits(some)
    doubted, half = np.flatnonzero(again), count // 2
    return some[random.permutation(np.concatenate([doubted[:half], np.flatnonzero(~again), doubted[half:]])[:count])]
