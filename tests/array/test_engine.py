"""The engine for whole networks: small ones of every kind in a simulator, and another one through the same engine."""

import re
from dataclasses import replace

import numpy as np
import pytest
from chains import chain, convolution, linear, with_layer
from random_networks import with_weights
from test_schedule import EXACT, small

from amhw import Masked, Refusal
from amhw.array import files
from amhw.array.config import ArrayConfig
from amhw.array.designs import network_engine
from amhw.array.program import Sizes
from amhw.array.schedule import Schedule
from amhw.array.writes import writes
from amhw.network.layers import Add, AveragePool, Convolution, Flatten, Linear, MaxPool
from amhw.network.network import Network
from amhw.network.quantise import quantise
from amhw.network.quantised import Operands
from amhw.network.requantisation import Requantisation
from amhw.simulation import default_simulator, simulate

IMAGES = 2


def written(folder, schedule, others=()):
    text, manifest = network_engine(schedule, "engine", others)
    schedule.network.save(folder / manifest.network)
    return files.write(folder, text, manifest)


def joined():
    """Two channels in, strides, a way around, pools of their own, additions of signed codes, an absolute value."""
    structure = Network(
        "joined",
        (2, 6, 6),
        3,
        (
            Convolution("first", 2, (3, 3), (1, 2), (1, 1), relu=False),
            Convolution("around", 2, (1, 2), (1, 2), source="image", relu=False),
            Add("sum", "first", relu=False),
            MaxPool("greatest", (2, 1), (1, 1), source="sum"),
            AveragePool("mean", (2, 1), (1, 1), source="sum"),
            Add("both", "greatest"),
            Flatten("flat"),
            Linear("hidden", 5, relu=False, absolute=True),
            Linear("logits", 3, relu=False),
        ),
    )
    images = np.random.default_rng(0).integers(0, 256, (20, 2, 6, 6), dtype=np.uint8)
    return quantise(with_weights(structure, 5), images, Operands())


def split():
    """A kernel of several windows, pooled sums, of which absolute values are taken, and a rounding, on narrow
    operands."""
    random = np.random.default_rng(5)
    operands = Operands(4, 3)
    layers = [
        convolution("c", random.integers(-4, 4, (3, 1, 3, 3)), [5, -9, 2], Requantisation.of(0.2, 15), operands, 1),
        convolution(
            "d", random.integers(-4, 4, (4, 3, 2, 2)), np.zeros(4), Requantisation.of(0.1, 15), operands, rounding=2
        ),
        linear("f", random.integers(-4, 4, (3, 16)), [1, -7, 3], None, operands),
    ]
    layers[1] = replace(
        layers[1],
        layer=replace(layers[1].layer, relu=False, absolute=True),
        requantisation=Requantisation.of(0.1, 15, absolute=True),
    )
    return chain(layers, (1, 7, 7), (1, 3), "split")


def masked(rows):
    return Masked(rows=rows, width_a=4, width_b=3, signed_b=True)


CASES = {
    "joins": (joined(), {"multiplier": EXACT, "rows": 4, "cols": 2, "batch": 2}, {}),
    "batches, and a multiplier for each layer": (
        split(),
        {"multiplier": masked((7, 7, 7, 6)), "rows": 4, "cols": 2, "depth": 2, "batch": 4},
        {"c": masked((0, 4, 6, 6)), "d": masked((7, 3, 5, 0)), "f": masked((6, 7, 3, 2))},
    ),
}
"""A network, its array, and what layers have instead of the array's multiplier."""


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_small_networks(tmp_path, monkeypatch, case):
    monkeypatch.setenv("AMHW_IMAGES", str(IMAGES))
    network, shape, layers = case
    schedule = Schedule(network, ArrayConfig(**shape, masks=tuple(layers.values())), layers)
    outcome = simulate(written(tmp_path, schedule)[1], simulator=default_simulator())
    assert outcome.first_difference is None
    assert outcome.matched == outcome.pairs == (2 + IMAGES + 2 + 4) * (network.network.classes + 1)


def test_what_does_not_fit_an_engine_is_refused():
    config = ArrayConfig(EXACT, 9, 2)
    engine, other = Schedule(small(), config), Schedule(small(outputs=9, name="greater"), config)
    sizes = Sizes((engine,))
    needed, there = other.words, engine.words
    with pytest.raises(
        Refusal, match=re.escape(f"greater needs {needed} words of activations in a bank; this engine has {there}")
    ):
        writes(sizes, {}, other)
    finer = with_layer(small(name="finer"), 0, requantisation=Requantisation.of(0.002, 255))
    with pytest.raises(Refusal, match=r"finer has different codes for sums of 0…131071; this engine only for 0…8191"):
        writes(sizes, {}, Schedule(finer, config))
    joins = Schedule(joined(), ArrayConfig(EXACT, 9, 2))
    with pytest.raises(Refusal, match=r"needs \d+ words of weights"):
        writes(sizes, {}, joins)


def test_refused_names():
    with pytest.raises(Refusal, match="9engine"):
        network_engine(Schedule(small(), ArrayConfig(EXACT, 9, 2)), "9engine")
