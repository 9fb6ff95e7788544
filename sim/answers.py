"""Simulator side: images through an engine for whole networks, and its results beside those of a golden model."""

import json
import os
from pathlib import Path

import numpy as np
from streams import Streams

IMAGE, RESULTS = "s_axis_image", "m_axis_results"


class Answers:
    """What was sent through an engine and what came back.

    Args:
        streams: of the engine.
        classes: logits of an image, after which its class comes.
        limit: clocks in which an image's results must be there.
    """

    def __init__(self, streams: Streams, classes: int, limit: int) -> None:
        self._streams, self._per_image, self._limit = streams, classes + 1, limit
        self._compared: list[tuple[str, np.ndarray, np.ndarray]] = []

    async def through(self, what: str, images: np.ndarray, logits: np.ndarray) -> None:
        """Send images, and keep their results beside the `logits` that are wanted."""
        received = self._streams.received[RESULTS]
        before, beats = len(received), len(images) * self._per_image
        for image in images:
            self._streams.send(IMAGE, image.ravel().tolist())
        await self._streams.run(RESULTS, before + beats, self._limit * len(images))
        found = received[before:]
        ends = [k for k, (_, _, last) in enumerate(found) if last]
        assert ends == list(range(self._per_image - 1, beats, self._per_image)), "tlast ends each image"
        words = np.array([word for _, word, _ in found], np.uint32).astype(np.int32)
        wanted = np.concatenate([logits, logits.argmax(axis=1)[:, None]], axis=1)
        self._compared.append((what, wanted, words.reshape(len(images), self._per_image)))

    def report(self, cycles: int) -> None:
        """Write the outcome where it is waited for, and fail if anything differs."""
        first = None
        for what, wanted, found in self._compared:
            for image, beat in np.argwhere(wanted != found)[:1]:
                difference = {"part": what, "image": int(image), "beat": int(beat)}
                first = first or difference | {"expected": int(wanted[image, beat]), "found": int(found[image, beat])}
        outcome = {
            "pairs": sum(wanted.size for _, wanted, _ in self._compared),
            "matched": sum(int((wanted == found).sum()) for _, wanted, found in self._compared),
            "first_difference": first,
            "cycles": cycles,
        }
        Path(os.environ["AMHW_OUTCOME"]).write_text(json.dumps(outcome), encoding="utf-8")
        assert first is None, first
