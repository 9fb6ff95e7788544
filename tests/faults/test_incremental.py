"""Computing only what a fault changes is the same, to the last image, as classifying every image anew."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import networks, with_weights

from amhw import Masked, ProductTable, Refusal, parse
from amhw.datasets import DataSet, mnist_test
from amhw.faults import brute, changes, downstream, incremental, kernels
from amhw.faults.golden import Arithmetic
from amhw.faults.incremental import Words, counts
from amhw.faults.memories import Fault, faults, memories
from amhw.faults.models import MODELS
from amhw.faults.outcome import counted, statuses
from amhw.network import reference
from amhw.network.inference import Inference
from amhw.network.models import lenet5
from amhw.network.quantise import quantise
from amhw.network.quantised import Operands
from amhw.network.requantisation import Requantisation

PUBLISHED = mnist_test().taken(slice(200, 250), "200:250")

EXACT = Operands()
TABLES = {
    "exact": {},
    "masked": dict.fromkeys(("conv1", "conv2", "fc1"), ProductTable.of(parse("mul_u8s8_pp_0_0_0_e0_e0_e0_e0_e0"))),
    "not separable": dict.fromkeys(("conv2", "fc2", "fc3"), ProductTable.of(parse("mul_u8s8_sm_or_3ffe_full"))),
}


def some_faults(network, random, each, models=tuple(MODELS)):
    """A few of every memory and model, as (memory, faults)."""
    for memory in memories(network):
        for model in map(MODELS.get, models):
            values = memory.faulty(model)
            if values.size:
                chosen = random.choice(values.size, min(each, values.size), replace=False)
                words, bits = np.unravel_index(chosen, values.shape)
                yield (
                    memory,
                    [
                        Fault(memory.layer, memory.kind, int(w), int(b), model.name, int(values[w, b]))
                        for w, b in zip(words, bits, strict=True)
                    ],
                )


def differences(network, tables, data, random, each, models=tuple(MODELS)):
    """How many faults were compared, and those that the two campaigns count differently."""
    arithmetic = Arithmetic(network, tables)
    golden = arithmetic.golden(data)
    anew = brute.FaultyNetwork(network, tables)
    logits = anew.logits(data.images)
    assert np.array_equal(golden.logits, logits)
    compared, different = 0, []
    for memory, some in some_faults(network, random, each, models):
        words = Words(np.array([f.word for f in some]), np.array([f.value for f in some]))
        found = counts(arithmetic, golden, memory, words)
        for fault, mine in zip(some, found, strict=True):
            wanted = brute.counts(anew, fault, data.images, data.labels, logits)
            compared += 1
            if not np.array_equal(mine, wanted):
                different.append((fault, mine, wanted))
    return compared, different


@pytest.mark.parametrize(("tables", "each"), list(zip(TABLES.values(), (8, 4, 1), strict=True)), ids=TABLES)
def test_lenet(tables, each):
    """scripts/check_faults.py compares thousands."""
    data = PUBLISHED.taken(slice(5), "five")
    compared, different = differences(lenet5.network(), tables, data, np.random.default_rng(1), each)
    assert compared > 60 * each and not different


@settings(max_examples=8, deadline=None)
@given(
    network=networks(absolute=False),
    seed=st.integers(0, 99),
    operands=st.sampled_from((EXACT, Operands(8, 8, True), Operands(6, 5))),
    masked=st.booleans(),
)
def test_networks_of_all_layers(network, seed, operands, masked):
    """Residual ones, strides, every pool, signed codes."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (6, *network.input_shape), dtype=np.uint8)
    made = quantise(with_weights(network, seed), images, operands)
    table = Masked.columns(
        2, operands.activation_width, operands.weight_width, signed_a=operands.activation_signed, signed_b=True
    )
    tables = dict.fromkeys(network.layer_names[::2], ProductTable.of(table)) if masked else {}
    data = DataSet("random", images, random.integers(0, network.classes, 6, dtype=np.uint8))
    _, different = differences(made, tables, data, random, 2)
    assert not different


def test_brute_force_is_inference_with_another_weight():
    """A third answer, from code that knows no faults: plain loops over a network file with one weight changed."""
    network, data = lenet5.network(), PUBLISHED.taken(slice(4), "four")
    golden, anew = Inference(network).logits(data.images), brute.FaultyNetwork(network, {})
    [memory] = memories(network, ["conv2.weights"])
    for fault in list(faults(memory, MODELS["flip"]))[5:19200:4800]:
        weights = network["conv2"].weights.copy()
        weights.reshape(-1)[fault.word] = fault.value
        layers = tuple(_with(layer, weights) if layer.name == "conv2" else layer for layer in network.layers)
        changed = type(network)(network.network, layers, "changed")
        wanted = reference.outputs(changed, {}, data.images)["fc3"]
        found = anew.having(fault).logits(data.images)
        assert np.array_equal(found, wanted)
        assert np.array_equal(
            brute.counts(anew, fault, data.images, data.labels, golden),
            counted(statuses(wanted, golden, data.labels)),
        )


def _with(layer, weights):
    return replace(layer, weights=weights)


def test_a_shift_of_zero_and_a_bias_beyond_the_checks():
    assert brute.rounded(np.array([-3, 7, 300]), 0, 0, 255).tolist() == [0, 7, 255]
    assert brute.rounded(np.array([2**47, -(2**47)]), 63, -128, 127).tolist() == [0, 0]
    network = lenet5.network()
    [memory] = memories(network, ["fc3.bias"])
    fault = Fault("fc3", "bias", 4, 31, "flip", int(memory.faulty(MODELS["flip"])[4, 31]))
    found = brute.FaultyNetwork(network, {}).having(fault).logits(PUBLISHED.images)
    assert (np.abs(found[:, 4]) > 2**31 - 2**20).all(), "33 bits hold it"


def test_faults_that_nothing_reads_are_silent():
    network = lenet5.network()
    arithmetic = Arithmetic(network, TABLES["masked"])
    golden = arithmetic.golden(PUBLISHED)
    [memory] = memories(network, ["conv2.weights"])
    values, chosen = memory.faulty(MODELS["flip"]), np.arange(0, 2400, 12)
    found = counts(arithmetic, golden, memory, Words(np.repeat(chosen, 8), values[chosen].reshape(-1)))
    read = found.reshape(-1, 8, 5)[:, :, 1:].any(axis=(0, 2))
    assert read.tolist() == [False] * 5 + [True] * 3, "the mask reads three bits of eight"


def replaced(place, change):
    """A function of which one argument is another, or less of it is."""
    return lambda real: lambda *given: real(*given[:place], change(given[place]), *given[place + 1 :])


BROKEN = {
    "a channel's rounding": (kernels, "channel_changes", replaced(12, lambda c: (c[0], 0.0, *c[2:]))),
    "a channel's interval": (kernels, "channel_changes", replaced(8, lambda lows: lows - 40)),
    "a neuron's bias": (kernels, "neuron_changes", replaced(6, lambda shifts: 0 * shifts)),
    "what a convolution adds": (kernels, "convolution_changes", replaced(6, lambda runs: runs[..., ::-1].copy())),
    "what a linear layer adds": (kernels, "linear_changes", replaced(6, lambda rows: 2 * rows)),
    "the last layer": (kernels, "last_statuses", replaced(8, lambda bias: bias + 10**7 * (np.arange(10) == 3))),
    "one logit": (kernels, "logit_counts", replaced(8, lambda moved: 0 * moved)),
    "a constant": (incremental, "_unscaled", lambda real: lambda *given: tuple(x + 300 for x in real(*given))),
    "all that follows": (
        downstream.Downstream,
        "statuses",
        lambda real: lambda self, images, codes: np.minimum(real(self, images, codes), 1),
    ),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_a_broken_rule_is_caught(monkeypatch, rule):
    place, name, broken = BROKEN[rule]
    monkeypatch.setattr(place, name, broken(getattr(place, name)))
    _, different = differences(
        lenet5.network(), {}, PUBLISHED.taken(slice(12), "12"), np.random.default_rng(2), 5, ["flip"]
    )
    assert different


@settings(max_examples=30, deadline=None)
@given(
    multiplier=st.integers(1, 2**16 - 1),
    shift=st.integers(1, 40),
    minimum=st.sampled_from((-128, 0)),
    ceiling=st.integers(1, 127),
    bias=st.integers(-(2**20), 2**20),
    seed=st.integers(0, 99),
)
def test_a_sum_within_its_range_keeps_its_code_and_the_next_ones_do_not(
    multiplier, shift, minimum, ceiling, bias, seed
):
    rounding = Requantisation(multiplier, shift, 127, minimum)

    def code(sums):
        return np.minimum(rounding(sums + bias), ceiling)

    sums = np.random.default_rng(seed).integers(-(2**24), 2**24, 50)
    codes = code(sums)
    lows, highs = changes.ranges(codes, rounding, np.array(ceiling), np.array(bias))
    assert ((lows <= sums) & (sums <= highs)).all()
    for ends, step in ((lows, -1), (highs, 1)):
        inside = np.isfinite(ends) & (np.abs(ends) < 2**45 / multiplier)
        at = ends[inside].astype(np.int64)
        assert (code(at) == codes[inside]).all() and (code(at + step) != codes[inside]).all()
    assert (codes[np.isinf(lows)] == minimum).all() and (codes[np.isinf(highs)] >= min(ceiling, 127)).all()


def test_faults_that_change_the_same_codes_are_followed_once(monkeypatch):
    network = lenet5.network()
    arithmetic = Arithmetic(network, {})
    golden = arithmetic.golden(PUBLISHED.taken(slice(20), "20"))
    [memory] = memories(network, ["conv2.weights"])
    followed = []

    def statuses(changes):
        followed.append(len(changes))
        return real(changes)

    real = downstream.statuses_behind(arithmetic, golden, "conv2", 5)
    monkeypatch.setattr(incremental, "statuses_behind", lambda *given: statuses)
    values, words = memory.faulty(MODELS["flip"]), np.arange(750, 900)
    found = counts(arithmetic, golden, memory, Words(np.repeat(words, 8), values[words].reshape(-1)))
    trials = found[:, 1:].sum()
    assert 0 < sum(followed) < 0.8 * trials


def test_a_sum_that_a_faulty_weight_could_take_out_of_its_range_is_refused():
    products = np.zeros((256, 256), np.int64)
    products[1:, 128] = 2**26
    table = ProductTable(products, signed_b=True, name="wild")
    with pytest.raises(Refusal, match="sums of fc1 could reach"):
        Arithmetic(lenet5.network(), {"fc1": table})
