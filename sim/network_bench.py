"""Simulator side: images through an emitted engine for whole networks, compared with NumPy on the product table.

Images of all 0 and all 255 and others, handwritten digits where they fit, back to back at full speed; more with random
stalls on both sides; an image broken off by its sender; a reset in the middle of an image; and, through the config
stream, weights at both extremes.

AMHW_IMAGES says how many images at most; there are never fewer than 2.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from answers import IMAGE, RESULTS, Answers
from streams import Streams

from amhw.array.designs import scheduled
from amhw.array.program import Sizes
from amhw.array.writes import writes
from amhw.datasets import mnist_test
from amhw.manifests import NetworkEngineManifest
from amhw.network.inference import Inference
from amhw.network.quantised import QuantisedNetwork


@cocotb.test()
async def results_match(dut: Any) -> None:
    """Every logit and every class is the golden model's."""
    path = Path(os.environ["AMHW_MANIFEST"])
    manifest = NetworkEngineManifest.read(path)
    network = QuantisedNetwork.load(path.with_name(manifest.network))
    assert network.sha256 == manifest.network_sha256, "the network file is not the manifest's"
    schedule = scheduled(manifest, network)
    seed = int(os.environ["AMHW_SEED"])
    images = _images(manifest, int(os.environ.get("AMHW_IMAGES", "20")), seed)
    calm, stalled = images[: len(images) // 2], images[len(images) // 2 :]
    shape = manifest.input_shape
    extremes = np.stack([np.full(shape, value, np.uint8) for value in (0, 255)])
    streams = Streams(dut, [IMAGE, "s_axis_config"], [RESULTS], seed)
    answers = Answers(streams, manifest.classes, 12 * (schedule.latency + 3 * int(np.prod(shape))))

    async def through(what: str, given: np.ndarray, using: QuantisedNetwork = network) -> None:
        await answers.through(what, given, Inference(using, schedule.tables).logits(given))

    await streams.reset()
    await through("extreme images", extremes)
    started = streams.cycle
    await through("back to back", calm)
    clocks = streams.cycle - started
    streams.stalls = 0.5
    await through("stalls", stalled)

    streams.stalls = 0.1
    streams.send(IMAGE, images[0].ravel()[: images[0].size // 3].tolist())  # its tlast comes too early
    await through("after a broken-off image", images[:1])
    streams.send(IMAGE, images[0].ravel().tolist())
    for _ in range(images[0].size + schedule.image_clocks // 2):
        await streams.step()
    await streams.reset(1)
    await through("after a reset", images[1:2])

    streams.stalls = 0.0
    sizes = Sizes((schedule,))
    for name, weight in (("highest", network.layers[0].operands.weight_max), ("lowest", None)):
        lowest = -network.layers[0].operands.weight_max - 1
        other = _constant(network, lowest if weight is None else weight)
        streams.send("s_axis_config", map(int, writes(sizes, manifest.memory_map, scheduled(manifest, other))))
        while streams.waiting["s_axis_config"]:
            await streams.step()
        await streams.step()
        await streams.reset()
        await through(f"{name} weights", np.concatenate([images[:1], extremes[1:]]), other)
    answers.report(clocks // len(calm))


def _images(manifest: NetworkEngineManifest, count: int, seed: int) -> np.ndarray:
    """Handwritten digits where they have the right shape, else noise; 2 at least, for two parts of the bench."""
    count = max(2, count)
    digits = mnist_test().images
    if digits.shape[1:] == manifest.input_shape:
        return digits[:count]
    return np.random.default_rng(seed).integers(0, 256, (count, *manifest.input_shape), dtype=np.uint8)


def _constant(network: QuantisedNetwork, weight: int) -> QuantisedNetwork:
    """The network with one weight everywhere, as large as it may be or as its sums allow."""
    layers = tuple(replace(layer, weights=np.full_like(layer.weights, weight)) for layer in network.layers)
    return replace(network, layers=layers, name="constant")
