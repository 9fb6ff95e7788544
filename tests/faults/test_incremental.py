"""Computing only what a fault changes is the same, to the last image, as classifying every image anew."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import networks, with_weights

from amhw import Masked, ProductTable, Refusal, parse
from amhw.datasets import DataSet, mnist_test
from amhw.faults import brute, downstream, incremental, kernels
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

PUBLISHED = mnist_test().taken(slice(200, 250), "200:250")

EXACT = Operands()
TABLES = {
    "exact": {},
    "masked": dict.fromkeys(("conv1", "conv2", "fc1"), ProductTable.of(parse("mul_u8s8_pp_0_0_0_e0_e0_e0_e0_e0"))),
    "not separable": dict.fromkeys(("conv2", "fc2", "fc3"), ProductTable.of(parse("mul_u8s8_sm_or_3ffe_full"))),
}


def some_faults(network, random, each):
    """A few of every memory and model, as (memory, faults)."""
    for memory in memories(network):
        for model in MODELS.values():
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


def differences(network, tables, data, random, each):
    """How many faults were compared, and those that the two campaigns count differently."""
    arithmetic = Arithmetic(network, tables)
    golden = arithmetic.golden(data)
    anew = brute.FaultyNetwork(network, tables)
    logits = anew.logits(data.images)
    assert np.array_equal(golden.logits, logits)
    compared, different = 0, []
    for memory, some in some_faults(network, random, each):
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
    network=networks(),
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


BROKEN = {
    "a channel's rounding": (
        kernels,
        "channel_codes",
        lambda real: lambda *a: real(*a[:9], (*a[9][:1], 0.0, *a[9][2:]), *a[10:]),
    ),
    "a neuron's bias": (kernels, "neuron_codes", lambda real: lambda *a: real(*a[:4], 0 * a[4], *a[5:])),
    "what follows": (
        downstream.Downstream,
        "statuses",
        lambda real: lambda self, i, c: np.minimum(real(self, i, c), 1),
    ),
    "one logit": (
        kernels,
        "logit_counts",
        lambda real: lambda *a: real(*a[:5], a[5] + 10**6 * (np.arange(10) == 3), *a[6:]),
    ),
    "a constant": (incremental, "_unscaled", lambda real: lambda *a: real(*a) + 300),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_a_broken_rule_is_caught(monkeypatch, rule):
    place, name, broken = BROKEN[rule]
    monkeypatch.setattr(place, name, broken(getattr(place, name)))
    _, different = differences(lenet5.network(), {}, PUBLISHED.taken(slice(30), "30"), np.random.default_rng(2), 2)
    assert different


def test_a_sum_that_a_faulty_weight_could_take_out_of_its_range_is_refused():
    products = np.zeros((256, 256), np.int64)
    products[1:, 128] = 2**26
    table = ProductTable(products, signed_b=True, name="wild")
    with pytest.raises(Refusal, match="sums of fc1 could reach"):
        Arithmetic(lenet5.network(), {"fc1": table})
