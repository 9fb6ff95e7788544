"""Two networks in one engine: records and circuit against the golden model, which classifies twice where it is told to."""

from dataclasses import replace

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_networks import networks, with_roundings, with_weights

from amhw import Masked
from amhw.array import files
from amhw.array.cascade import CascadeSchedule, interpreted, margins
from amhw.array.cascade_engine import cascade_engine
from amhw.array.config import ArrayConfig
from amhw.array.schedule import Schedule
from amhw.network.inference import Inference
from amhw.network.layers import Convolution, Flatten, Linear, MaxPool
from amhw.network.network import Network
from amhw.network.quantise import quantise
from amhw.network.quantised import Operands
from amhw.regenerated import regenerated
from amhw.simulation import default_simulator, simulate

NARROW = Operands(4, 3)
CHEAP = Masked(rows=(0, 4, 6, 6), width_a=4, width_b=3, signed_b=True)
OTHER = Masked(rows=(7, 3, 5, 0), width_a=4, width_b=3, signed_b=True)
EXACT = Masked.exact(4, 3, signed_b=True)


def cascade(structures, roundings=(True, False), seed=0, share=0.5):
    """Of two structures with a mask each, whose threshold sends this share of some noise through both; the noise."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (40, *structures[0].input_shape), dtype=np.uint8)
    config = ArrayConfig.joining([EXACT, CHEAP, OTHER], rows=6, cols=4, window=(3, 2), batch=1, sums=300)
    schedules = []
    for k, (structure, rounded) in enumerate(zip(structures, roundings, strict=True)):
        made = quantise(with_weights(structure, seed + k), images, NARROW)
        made = with_roundings(made, random if rounded else None)
        masks = (CHEAP, OTHER) if k == 0 else (EXACT, OTHER)
        schedules.append(Schedule(made, config, {name: masks[i % 2] for i, name in enumerate(made.layer_names)}))
    first = schedules[0]
    found = margins(Inference(first.network, first.tables).logits(images))
    return CascadeSchedule.of(*schedules, int(np.quantile(found, share)) + 1), images


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(network=networks(most=3), seed=st.integers(0, 99), same=st.booleans())
def test_records_are_the_golden_model(network, seed, same):
    schedule, images = cascade((network, network), (not same, False), seed)
    wanted, again = schedule.logits(images[:6])
    np.testing.assert_array_equal(interpreted(schedule, images[:6]), wanted)
    never, always = (replace(schedule, threshold=threshold) for threshold in (0, (1 << 31) - 1))
    assert not never.logits(images)[1].any() and always.logits(images)[1].all()
    assert again.dtype == bool


def small():
    """Two little networks of one shape, the first with a rounding of the image that the second does not have."""
    layers = (Convolution("c", 3, (3, 2)), MaxPool("p", (2, 2), (2, 2)), Flatten("f"), Linear("l", 3, relu=False))
    structure = Network("small", (1, 6, 5), 3, layers)
    return cascade((structure, replace(structure, name="another")))


def written(folder):
    schedule, _ = small()
    text, manifest = cascade_engine(schedule, "dut")
    for each, one in zip(manifest.networks, (schedule.first, schedule.then), strict=True):
        one.network.save(folder / each.network)
    return files.write(folder, text, manifest)[1]


def test_the_engine_decides_by_itself(tmp_path, monkeypatch):
    monkeypatch.setenv("AMHW_IMAGES", "12")
    _, again = small()[0].logits(small()[1])
    assert 0 < again.sum() < len(again)
    path = written(tmp_path)
    with regenerated(path) as same:
        assert same.read_bytes() == path.read_bytes()
        outcome = simulate(same, simulator=default_simulator("cascade-engine"))
    assert outcome.first_difference is None
    assert outcome.matched == outcome.pairs == (12 + 2) * (3 + 1)
