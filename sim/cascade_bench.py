"""Simulator side: images through an emitted engine of two networks, compared with NumPy on the product tables.

The images are handwritten digits where they fit, else noise: back to back at full speed, with random stalls on both
sides, and after a reset in the middle of one. Half of them go through both networks, as far as there are as many: they
are chosen by the golden model, in random order.

AMHW_IMAGES says how many images at most; there are never fewer than 2.
"""

import json
import os
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
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
    streams = Streams(dut, ["s_axis_image", "s_axis_config"], ["m_axis_results"], seed)
    limit = 12 * (cascade.first.latency + cascade.then.latency + 3 * images[0].size)
    per_image = manifest.classes + 1
    checked: list[tuple[str, np.ndarray, np.ndarray]] = []

    async def through(what: str, given: np.ndarray) -> None:
        """Send images and keep their results for comparison."""
        before = len(streams.received["m_axis_results"])
        for image in given:
            streams.send("s_axis_image", image.ravel().tolist())
        await streams.run("m_axis_results", before + len(given) * per_image, limit * len(given))
        beats = streams.received["m_axis_results"][before:]
        ends = [k for k, (_, _, last) in enumerate(beats) if last]
        assert ends == list(range(per_image - 1, len(given) * per_image, per_image)), "tlast ends each image"
        words = np.array([word for _, word, _ in beats], np.uint32).astype(np.int32)
        logits, _ = cascade.logits(given)
        wanted = np.concatenate([logits, logits.argmax(axis=1)[:, None]], axis=1)
        checked.append((what, wanted, words.reshape(len(given), per_image)))

    await streams.reset()
    started = streams.cycle
    await through("back to back", calm)
    clocks = streams.cycle - started
    streams.stalls = 0.5
    await through("stalls", stalled)
    streams.stalls = 0.1
    streams.send("s_axis_image", images[0].ravel().tolist())
    for _ in range(images[0].size + cascade.first.latency):
        await streams.step()
    await streams.reset(1)
    await through("after a reset", images[:2])

    pairs = sum(wanted.size for _, wanted, _ in checked)
    matched = sum(int((wanted == found).sum()) for _, wanted, found in checked)
    first = None
    for what, wanted, found in checked:
        for image, beat in np.argwhere(wanted != found)[:1]:
            difference = {"part": what, "image": int(image), "beat": int(beat)}
            first = first or difference | {"expected": int(wanted[image, beat]), "found": int(found[image, beat])}
    outcome = {"pairs": pairs, "matched": matched, "first_difference": first, "cycles": clocks // len(calm)}
    Path(os.environ["AMHW_OUTCOME"]).write_text(json.dumps(outcome), encoding="utf-8")
    assert first is None, first


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
