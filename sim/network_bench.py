"""Simulator side: images through an emitted engine for whole networks, compared with NumPy on the product table.

Images of all 0 and all 255 and others, handwritten digits where they fit, back to back at full speed; more with random
stalls on both sides; an image broken off by its sender; a reset in the middle of an image; and, through the config
stream, weights at both extremes.

AMHW_IMAGES says how many images at most; there are never fewer than 2.
"""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
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
    streams = Streams(dut, ["s_axis_image", "s_axis_config"], ["m_axis_results"], seed)
    limit = 12 * (schedule.latency + 3 * int(np.prod(shape)))
    per_image = manifest.classes + 1
    checked: list[tuple[str, np.ndarray, np.ndarray]] = []

    async def through(what: str, given: np.ndarray, using: QuantisedNetwork = network) -> list[int]:
        """Send images and keep their results for comparison; the clock of each image's class."""
        before = len(streams.received["m_axis_results"])
        for image in given:
            streams.send("s_axis_image", image.ravel().tolist())
        await streams.run("m_axis_results", before + len(given) * per_image, limit * len(given))
        beats = streams.received["m_axis_results"][before:]
        ends = [k for k, (_, _, last) in enumerate(beats) if last]
        assert ends == list(range(per_image - 1, len(given) * per_image, per_image)), "tlast ends each image"
        words = np.array([word for _, word, _ in beats], np.uint32).astype(np.int32)
        logits = Inference(using, schedule.tables).logits(given)
        wanted = np.concatenate([logits, logits.argmax(axis=1)[:, None]], axis=1)
        checked.append((what, wanted, words.reshape(len(given), per_image)))
        return [beats[k][0] for k in ends]

    await streams.reset()
    await through("extreme images", extremes)
    started = streams.cycle
    await through("back to back", calm)
    clocks = streams.cycle - started
    streams.stalls = 0.5
    await through("stalls", stalled)

    streams.stalls = 0.1
    streams.send("s_axis_image", images[0].ravel()[: images[0].size // 3].tolist())  # its tlast comes too early
    await through("after a broken-off image", images[:1])
    streams.send("s_axis_image", images[0].ravel().tolist())
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
