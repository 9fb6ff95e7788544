"""Two networks in one engine: records and circuit against the golden model, which classifies twice where in doubt."""

import importlib
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from amaranth.sim import Simulator
from chains import chain, linear
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_networks import networks, with_roundings, with_weights

from amhw import Masked, Refusal
from amhw.array import files
from amhw.array.cascade import CascadeSchedule, interpreted
from amhw.array.cascade_engine import cascade_engine, default_name
from amhw.array.config import ArrayConfig
from amhw.array.engine.judge import Judge
from amhw.array.engine.requantise import biased_shape
from amhw.array.program import Sizes
from amhw.array.schedule import Schedule
from amhw.commands.array import command
from amhw.commands.energy import command as energy
from amhw.manifests import CascadeEngineManifest
from amhw.network.inference import Inference
from amhw.network.layers import Convolution, Flatten, Linear, MaxPool
from amhw.network.margins import margins
from amhw.network.models import lenet5
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
    config = ArrayConfig.joining([EXACT, CHEAP, OTHER], rows=6, cols=2, depth=6, window=(3, 2), batch=1, sums=300)
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
    return cascade((structure, replace(structure, name="another")), seed=3)


def test_cascades_of_one_array_have_names_of_their_own():
    schedule, _ = small()
    other = cascade((schedule.first.network.network, schedule.then.network.network), seed=4)[0]
    swapped = replace(schedule, first=schedule.then, then=schedule.first)
    others = [replace(each, threshold=schedule.threshold) for each in (schedule, other, swapped)]
    others.append(replace(schedule, threshold=schedule.threshold + 1))
    assert len({default_name(each) for each in others}) == 4
    assert all(default_name(each).startswith("cascade_6x2_d6_") for each in others)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 12])
@pytest.mark.parametrize("threshold", [None, 0, (1 << 31) - 1])
def test_the_bench_has_images_for_each_of_its_parts(count, threshold, monkeypatch):
    """Where the first network decides every image, and where none, too."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "sim"))
    bench = importlib.import_module("cascade_bench")
    schedule, _ = small()
    schedule = schedule if threshold is None else replace(schedule, threshold=threshold)
    images = bench._images(schedule, count, 1)
    assert len(images) == max(2, count)
    if threshold is None:
        assert schedule.logits(images)[1].sum() == len(images) // 2


def written(folder):
    schedule, _ = small()
    text, manifest = cascade_engine(schedule, "dut")
    for each, one in zip(manifest.networks, (schedule.first, schedule.then), strict=True):
        one.network.save(folder / each.network)
    return files.write(folder, text, manifest)[1]


def test_the_engine_decides_by_itself(tmp_path, monkeypatch):
    monkeypatch.setenv("AMHW_IMAGES", "12")
    schedule, images = small()
    assert schedule.first.image_as_is and schedule.config.gates
    _, again = schedule.logits(images)
    assert 0 < again.sum() < len(again)
    path = written(tmp_path)
    with regenerated(path) as same:
        assert same.read_bytes() == path.read_bytes()
        outcome = simulate(same, simulator=default_simulator("cascade-engine"))
    assert outcome.first_difference is None
    assert outcome.matched == outcome.pairs == (12 + 2) * (3 + 1)


MOST = (1 << biased_shape(Sizes((small()[0],))).width - 1) - 1
"""Of a logit of the little networks' engine."""


@pytest.mark.parametrize(
    ("given", "threshold"),
    [
        ([[5, 9, 2], [4, 4, 1], [4, 4, 2], [0, 7, 3]], 4),
        ([[-MOST - 1, MOST, 0], [-7, -9, -9], [-9, -9, -7]], 2),
        ([[1, 2, 4], [4, 2, 1], [2, 4, 1]], 1),
    ],
)
def test_the_judge_lets_out_what_is_sure(given, threshold):
    """Whatever is asked again is followed by 10, 20, 30 and class 2, of the second network."""
    second = [10, 20, 30, 2]
    unit = Judge(Sizes((replace(small()[0], threshold=threshold),)))
    images = [[*logits, int(np.argmax(logits))] for logits in given]
    doubts = [sorted(logits)[-1] - sorted(logits)[-2] < threshold for logits in given]
    verdicts, out = [], []

    async def send(context):
        for image, doubt in zip(images, doubts, strict=True):
            for words in (image, second) if doubt else (image,):
                for k, word in enumerate(words):
                    context.set(unit.given.payload, {"data": word, "last": k == len(words) - 1})
                    context.set(unit.given.valid, 1)
                    while not context.get(unit.given.ready):
                        await context.tick()
                    await context.tick()
        context.set(unit.given.valid, 0)

    async def take(context):
        context.set(unit.results.ready, 1)
        while len(out) < 4 * len(images):
            if context.get(unit.results.valid):
                out.append((context.get(unit.results.payload.data), context.get(unit.results.payload.last)))
            await context.tick()

    async def listen(context):
        async for _, _, judged, again in context.tick().sample(unit.judged, unit.again):
            if judged:
                verdicts.append(bool(again))

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(send)
    simulator.add_testbench(take)
    simulator.add_testbench(listen, background=True)
    simulator.run()
    wanted = [word for image, doubt in zip(images, doubts, strict=True) for word in (second if doubt else image)]
    assert verdicts == doubts
    assert out == [(word, k % 4 == 3) for k, word in enumerate(wanted)]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda one: replace(one, threshold=-1), "a threshold of -1; wanted 0 (never ask the second network) to"),
        (lambda one: replace(one, threshold=1 << 31), "a threshold of 2147483648"),
        (
            lambda one: CascadeSchedule(one.first, Schedule(mnist(), ArrayConfig(FULL)), 1),
            "have other images: [1, 6, 5]",
        ),
        (lambda one: CascadeSchedule(Schedule(mnist(), ArrayConfig(FULL)), two_classes(), 1), "have other classes: 10"),
        (
            lambda one: CascadeSchedule(*[Schedule(mnist(), ArrayConfig(FULL))] * 2, 1),
            "a batch of 32: a cascade's images run one at a time, --batch 1",
        ),
        (
            lambda one: CascadeSchedule(*(Schedule(mnist(), ArrayConfig(FULL, batch=n)) for n in (1, 2)), 1),
            "need one configuration of the array",
        ),
    ],
)
def test_what_is_no_cascade_is_refused(make, words):
    with pytest.raises(Refusal, match=re.escape(words)):
        make(small()[0])


FULL = Masked.exact(8, 8, signed_b=True)


def mnist():
    return lenet5.network()


def two_classes():
    layer = linear("fc", np.ones((2, 784), np.int8), np.zeros(2, np.int32))
    return Schedule(chain([layer], (1, 28, 28)), ArrayConfig(FULL))


def test_the_command(tmp_path):
    networks = [one.network for one in (small()[0].first, small()[0].then)]
    first, then = (network.save(tmp_path / f"{k}.npz") for k, network in enumerate(networks))
    array = ["--rows", "6", "--cols", "2", "--window", "3,2", "--name", "dut", "--out", str(tmp_path / "out")]

    def run(*arguments):
        return CliRunner().invoke(command, [*map(str, arguments), *array])

    for arguments, words in (
        ((first, "--then", then), "--then wants the --threshold"),
        ((first, "--whole", "--threshold", 5), "--threshold is for --then"),
        ((first, "--then", then, "--threshold", 5, "--batch", 2), "leave out --batch"),
        (("mul_u4s3_pp_full", "--then", then, "--threshold", 5), "--then is for two networks"),
        ((first, "--then", "exact", "--threshold", 5), "have other images"),
        ((first, "--then", then, "--threshold", -5), "a threshold of -5"),
    ):
        result = run(*arguments)
        assert (result.exit_code, result.stdout) == (2, "") and words in result.stderr, result.output
        assert not (tmp_path / "out").exists()
    result = run(first, "--then", then, "--threshold", 5, "--json")
    assert result.exit_code == 0, result.stderr
    manifest = CascadeEngineManifest.read(json.loads(result.stdout)["manifest"])
    assert manifest.threshold == 5
    assert manifest.title == "small and another on a 6 x 2 weight-stationary systolic array"
    counted = CliRunner().invoke(energy, [json.loads(result.stdout)["verilog"]])
    assert counted.exit_code == 2 and "is an engine of two networks" in counted.stderr, counted.output
