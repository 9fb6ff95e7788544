"""Simulator side: images through an emitted convolution engine, compared with NumPy on the product table.

Images of all 0 and all 255 and handwritten digits, back to back at full speed; more with random stalls on both sides;
an image broken off by its sender; a reset in the middle of an image; and, through the config stream, weights and
biases at both extremes.

AMHW_IMAGES says how many digits at most, never fewer than 4: the cycles for an image are counted between those at full
speed, half of them.
"""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from streams import Streams

from amhw.array.golden import convolutions
from amhw.array.plan import ConvPlan
from amhw.datasets import mnist_test
from amhw.manifests import EngineManifest, MemoryPlace
from amhw.multiplier import parse
from amhw.network.quantised import QuantisedNetwork
from amhw.table import ProductTable


def of_side(images: np.ndarray, side: int) -> np.ndarray:
    """The middle of square images, or images amid zeros: [N, C, side, side]."""
    around = max(0, side - images.shape[2])
    images = np.pad(images, [(0, 0), (0, 0), *[(around // 2, around - around // 2)] * 2])
    margin = (images.shape[2] - side) // 2
    return images[:, :, margin : margin + side, margin : margin + side]


@cocotb.test()
async def codes_match(dut: Any) -> None:
    """Every code is the golden model's."""
    path = Path(os.environ["AMHW_MANIFEST"])
    manifest = EngineManifest.read(path)
    network = QuantisedNetwork.load(path.with_name(manifest.network))
    assert network.sha256 == manifest.network_sha256, "the network file is not the manifest's"
    table = ProductTable.of(parse(manifest.multiplier))
    seed = int(os.environ["AMHW_SEED"])
    side = manifest.image_side
    plan = ConvPlan(network, table, manifest.rows, manifest.cols, manifest.depth)
    last = plan.layers[-1]
    per_image = last.outputs * last.pooled**2
    digits = of_side(mnist_test().images[: max(4, int(os.environ.get("AMHW_IMAGES", "20")))], side)
    calm, stalled = digits[: len(digits) // 2], digits[len(digits) // 2 :]
    extremes = np.stack([np.full((1, side, side), value, np.uint8) for value in (0, 255)])
    streams = Streams(dut, ["s_axis_image", "s_axis_config"], ["m_axis_codes"], seed)
    limit = 12 * (plan.cycles_per_image + 3 * side**2)
    checked: list[tuple[str, np.ndarray, np.ndarray]] = []

    async def through(what: str, images: np.ndarray, using: QuantisedNetwork = network) -> list[int]:
        """Send images and keep their codes for comparison; the cycle of each image's last code."""
        before = len(streams.received["m_axis_codes"])
        for image in images:
            streams.send("s_axis_image", image.ravel().tolist())
        await streams.run("m_axis_codes", before + len(images) * per_image, limit * len(images))
        beats = streams.received["m_axis_codes"][before:]
        ends = [k for k, (_, _, last) in enumerate(beats) if last]
        assert ends == list(range(per_image - 1, len(images) * per_image, per_image)), "tlast ends each image"
        found = np.array([code for _, code, _ in beats]).reshape(len(images), last.outputs, last.pooled, last.pooled)
        checked.append((what, convolutions(using, table, images), found))
        return [beats[k][0] for k in ends]

    await streams.reset()
    await through("extreme images", extremes)
    ends = await through("back to back", calm)
    streams.stalls = 0.5
    await through("stalls", stalled)

    streams.stalls = 0.1
    streams.send("s_axis_image", digits[0].ravel()[: side**2 // 3].tolist())  # its tlast comes too early
    await through("after a broken-off image", digits[:1])
    streams.send("s_axis_image", digits[0].ravel().tolist())
    for _ in range(side**2 + plan.cycles_per_image // 2):
        await streams.step()
    await streams.reset(1)
    await through("after a reset", digits[1:2])

    streams.stalls = 0.0
    for name, weight, bias in (
        ("highest", _top(table.width_b), 1 << (plan.bias_width - 2)),
        ("lowest", None, -(1 << 6)),
    ):
        weight = -_top(table.width_b) - 1 if weight is None else weight
        other = _constant(network, weight, bias)
        await _rewrite(streams, manifest.memory_map, ConvPlan(other, table, plan.rows, plan.cols, plan.depth))
        await through(f"{name} weights", np.concatenate([digits[:1], extremes[1:]]), other)

    pairs = matched = 0
    first = None
    for what, expected, found in checked:
        equal = expected == found
        pairs += equal.size
        matched += int(equal.sum())
        if first is None and not equal.all():
            image, channel, row, column = (int(k) for k in np.argwhere(~equal)[0])
            place = {"part": what, "image": image, "channel": channel, "row": row, "column": column}
            here = image, channel, row, column
            first = place | {"expected": int(expected[here]), "found": int(found[here])}
    outcome = {
        "pairs": pairs,
        "matched": matched,
        "first_difference": first,
        "cycles": int(np.diff(ends)[-1]),
    }
    Path(os.environ["AMHW_OUTCOME"]).write_text(json.dumps(outcome), encoding="utf-8")
    assert first is None, first


def _top(width: int) -> int:
    return (1 << (width - 1)) - 1


def _constant(network: QuantisedNetwork, weight: int, bias: int) -> QuantisedNetwork:
    """The network with one weight and one bias everywhere in its convolutions."""
    layers = (
        layer
        if layer.is_linear
        else replace(layer, weights=np.full_like(layer.weights, weight), bias=np.full_like(layer.bias, bias))
        for layer in network.layers
    )
    return replace(network, layers=tuple(layers), name="constant")


async def _rewrite(streams: Streams, memory_map: dict[str, MemoryPlace], plan: ConvPlan) -> None:
    """Write all weights and biases, then a reset so that none of the old are in the array."""
    contents = {
        "weights": plan.weight_words.reshape(len(plan.weight_words), -1),
        "biases": plan.bias_words,
    }
    for name, words in contents.items():
        place = memory_map[name]
        assert words.shape == (place.words, place.lanes)
        streams.send(
            "s_axis_config",
            (
                place.base + k * place.stride + lane << 32 | int(value) & 0xFFFFFFFF
                for k, word in enumerate(words)
                for lane, value in enumerate(word)
            ),
        )
    while streams.waiting["s_axis_config"]:
        await streams.step()
    await streams.step()
    await streams.reset()
