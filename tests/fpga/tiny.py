"""A network that is placed and routed in seconds."""

import numpy as np
from chains import chain, linear

from amhw import parse
from amhw.array.config import ArrayConfig
from amhw.array.schedule import Schedule
from amhw.network.quantised import QuantisedNetwork
from amhw.network.requantisation import Requantisation

MASKED = parse("mul_u8s8_pp_0_0_0_0_0_0_f0_f0")
BAUD = 10_000_000
"""Five clocks a bit at 50 MHz: simulations are short."""


def network() -> QuantisedNetwork:
    """Four pixels, three hidden neurons, two classes."""
    random = np.random.default_rng(0)
    hidden = linear("hidden", random.integers(-128, 128, (3, 4)), [100, -200, 300], Requantisation.of(0.02, 255))
    return chain([hidden, linear("logits", random.integers(-128, 128, (2, 3)), [1, -2])], (1, 2, 2), name="tiny")


def schedule(batch: int = 1) -> Schedule:
    """It, with a mask in all layers, on 4 × 2 elements."""
    return Schedule(network(), ArrayConfig(MASKED, 4, 2, batch=batch))


def images(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 1, 2, 2), dtype=np.uint8)
