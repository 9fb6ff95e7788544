"""Codes and circuits of protections against each other, and what the campaign says that they leave."""

from itertools import combinations

import numpy as np
import pytest

from amhw import Masked, ProductTable, Refusal, parse
from amhw.datasets import DataSet, mnist_test
from amhw.faults import brute, protection
from amhw.faults.circuits import HammingReader, LesserOf, ParityReader, Requantiser, Voter
from amhw.faults.codes import Hamming, Parity, check_bits
from amhw.faults.golden import Arithmetic
from amhw.faults.incremental import counts
from amhw.faults.memories import Fault, memories
from amhw.faults.outcome import IDENTICAL, counted, statuses
from amhw.network.models import lenet5
from amhw.network.requantisation import Requantisation
from amhw.synth import SEARCH, Synthesiser, Technology
from amhw.synth.truth import evaluate, unpacked
from amhw.verilog import emit

MASK = ProductTable.of(parse("mul_u8s8_pp_0_0_0_0_0_c0_e0_e0"))
"""Reads the highest three bits of a weight."""

FREE = Hamming.in_free_bits(MASK)


@pytest.mark.parametrize("code", [Hamming.added(3), Hamming.added(8), FREE], ids=["3", "8", "free bits"])
def test_a_hamming_code_corrects_every_single_flip(code):
    words = np.arange(1 << code.width)
    kept = sum(1 << place for place in code.data)
    stored = code.written(words)
    for flip in (0, *(1 << k for k in range(code.stored))):
        assert np.array_equal(code.read(stored ^ flip), words & kept)


@pytest.mark.parametrize("data", [1, 4, 8, 11])
def test_stored_words_differ_in_three_bits(data):
    """The definition of a code that corrects one error, without its decoder; and no code has fewer check bits."""
    code = Hamming.added(data)
    some = code.written(np.random.default_rng(0).choice(1 << data, min(1 << data, 64), replace=False))
    assert min(int(a ^ b).bit_count() for a, b in combinations(some.tolist(), 2)) >= 3
    fewer = check_bits(data) - 1
    assert (1 << data) * (1 + data + fewer) > 1 << data + fewer, "Hamming's bound"


def test_free_bits_take_no_memory_and_leave_the_products():
    words = np.arange(256)
    assert FREE.stored == 8
    read = FREE.read(FREE.written(words))
    assert np.array_equal(MASK.products[:, read], MASK.products[:, words])
    stored = FREE.written(words)
    for bit in range(8):
        assert np.array_equal(MASK.products[:, FREE.read(stored ^ 1 << bit)], MASK.products)


def test_five_bits_of_eight_leave_no_room():
    table = ProductTable.of(parse("mul_u8s8_pp_0_0_0_0_0_f8_f8_f8"))
    with pytest.raises(Refusal, match="reads 5 of 8 weight bits: a code for these takes 4 more, and 3 are free"):
        Hamming.in_free_bits(table)


def test_parity_by_counting_ones():
    code = Parity(8)
    for pattern in range(512):
        wanted = pattern & 255 if pattern.bit_count() % 2 == 0 else 0
        assert code.read(np.array([pattern])).item() == wanted


# Circuits


@pytest.fixture(scope="module")
def synthesiser():
    with Synthesiser(Technology.named("sky130hd"), (SEARCH,), workers=1, netlists=True) as found:
        yield found


def outputs(synthesiser, component, name, inputs):
    """What the mapped netlist of a component gives: every output as codes, for input codes."""
    netlist = synthesiser.submit(emit(component, name), name, prove=True).result().mappings[0].gates
    size = len(next(iter(inputs.values())))
    values = evaluate(netlist, inputs)
    return {
        port: sum(unpacked(values[net], size).astype(np.int64) << k for k, net in enumerate(nets))
        for port, nets in netlist.outputs.items()
    }


@pytest.mark.parametrize("code", [FREE, Hamming.added(8)], ids=["free bits", "added"])
def test_hamming_readers(synthesiser, code):
    stored = np.arange(1 << code.stored)
    found = outputs(synthesiser, HammingReader(code), "reader", {"stored": stored})
    assert np.array_equal(found["word"], code.read(stored))
    known = {int(word) for word in code.written(np.arange(1 << code.width))}
    kept = sum(1 << place for place in (*code.data, *code.check))
    assert np.array_equal(found["error"], [int(word) & kept not in known for word in stored])


def test_parity_reader(synthesiser):
    stored = np.arange(512)
    found = outputs(synthesiser, ParityReader(8), "reader", {"stored": stored})
    assert np.array_equal(found["word"], Parity(8).read(stored))
    assert np.array_equal(found["error"], [int(word).bit_count() % 2 for word in stored])


def test_voter_and_lesser_of_two(synthesiser):
    a, b, c = (each.reshape(-1) for each in np.meshgrid(*[np.arange(16)] * 3))
    found = outputs(synthesiser, Voter(4), "voter", {"first": a, "second": b, "third": c})
    majority = sum(((a >> k & 1) + (b >> k & 1) + (c >> k & 1) >= 2).astype(int) << k for k in range(4))
    assert np.array_equal(found["word"], majority)
    assert np.array_equal(found["error"], ~((a == b) & (b == c)))
    a, b = (each.reshape(-1) for each in np.meshgrid(np.arange(256), np.arange(256)))
    found = outputs(synthesiser, LesserOf(8), "lesser", {"first": a, "second": b})
    assert np.array_equal(found["code"], np.minimum(a, b))
    assert np.array_equal(found["error"], a != b)


def test_clipping_requantiser(synthesiser):
    constants, width = Requantisation(37, 9, 255), 16
    random = np.random.default_rng(3)
    sums = np.concatenate([[-(2**15), -1, 0, 2**15 - 1], random.integers(-(2**15), 2**15, 20_000)])
    ceilings = random.integers(0, 256, len(sums))
    inputs = {"sum": sums & 0xFFFF, "ceiling": ceilings}
    found = outputs(synthesiser, Requantiser(constants, width, clips=True), "clips", inputs)
    assert np.array_equal(found["code"], np.minimum(constants(sums), ceilings))
    plain = outputs(synthesiser, Requantiser(constants, width, clips=False), "plain", {"sum": sums & 0xFFFF})
    assert np.array_equal(plain["code"], constants(sums))


# In the campaign


IMAGES = mnist_test().taken(slice(200, 215), "some")


def test_clipped_campaign_is_the_clipped_network():
    network, random = lenet5.network(), np.random.default_rng(4)
    training = DataSet("few", IMAGES.images[:10], IMAGES.labels[:10])
    limits = protection.ceilings(network, {}, training)
    assert all((limits[name] < 255).any() for name in ("conv1", "conv2", "fc1", "fc2"))
    arithmetic = Arithmetic(network, {}, limits)
    golden, anew = arithmetic.golden(IMAGES), brute.FaultyNetwork(network, {}, limits)
    logits = anew.logits(IMAGES.images)
    assert np.array_equal(golden.logits, logits)
    for memory in memories(network, ["weights", "bias"]):
        chosen = np.sort(random.choice(len(memory), min(len(memory), 2), replace=False))
        faulty = protection.flips("clip", memory, chosen, {}).at(slice(None, None, 7))
        for word, value, found in zip(
            faulty.words, faulty.values, counts(arithmetic, golden, memory, faulty), strict=True
        ):
            fault = Fault(memory.layer, memory.kind, int(word), 0, "flip", int(value))
            assert np.array_equal(found, brute.counts(anew, fault, IMAGES.images, IMAGES.labels, logits))


def test_the_lesser_of_two_copies_by_classifying_anew():
    """Both copies of the output are computed in full, with and without the fault, and the lesser is taken."""
    network, random = lenet5.network(), np.random.default_rng(5)
    arithmetic = Arithmetic(network, {})
    golden = arithmetic.golden(IMAGES)
    for layer, kind in (
        ("conv1", "weights"),
        ("conv2", "bias"),
        ("fc1", "weights"),
        ("fc2", "bias"),
        ("fc3", "weights"),
    ):
        [memory] = memories(network, [f"{layer}.{kind}"])
        words = random.choice(len(memory), 2, replace=False)
        faulty = protection.flips("split", memory, np.sort(words), {}).at(slice(None, None, 7))
        for word, value, found in zip(
            faulty.words, faulty.values, counts(arithmetic, golden, memory, faulty), strict=True
        ):
            fault = Fault(layer, kind, int(word), 0, "flip", int(value))
            logits = _lesser(network, fault, IMAGES.images)
            assert np.array_equal(found, counted(statuses(logits, golden.logits, IMAGES.labels)))


def _lesser(network, fault, images):
    """Logits where the faulty layer's output is the lesser of those of two networks."""
    from amhw.network import inference

    copies = [brute.FaultyNetwork(network, {}), brute.FaultyNetwork(network, {}).having(fault)]
    values = []
    for copy in copies:
        seen = {}
        original = copy._requantised
        copy._requantised = lambda name, constants, sums, seen=seen, real=original: seen.setdefault(
            name, real(name, constants, sums)
        )
        logits = copy.logits(images)
        values.append((seen, logits))
    assert len(images) <= inference.CHUNK, "one part"
    if fault.layer == network.layers[-1].name:
        return np.minimum(values[0][1], values[1][1])
    forced = np.minimum(values[0][0][fault.layer], values[1][0][fault.layer])
    last = brute.FaultyNetwork(network, {})
    real = last._requantised
    last._requantised = lambda name, constants, sums: forced if name == fault.layer else real(name, constants, sums)
    return last.logits(images)


def test_corrected_words_are_silent():
    network = lenet5.network()
    tables = {"conv2": MASK}
    arithmetic = Arithmetic(network, tables)
    golden = arithmetic.golden(IMAGES)
    [memory] = memories(network, ["conv2.weights"])
    for name in ("hamming", "free-bits"):
        faulty = protection.flips(name, memory, np.arange(200), tables)
        assert len(faulty) == 200 * (12 if name == "hamming" else 8)
        assert (counts(arithmetic, golden, memory, faulty)[:, IDENTICAL] == len(IMAGES)).all()


@pytest.mark.parametrize(
    ("name", "tables", "words"),
    [
        ("raid", {}, "no protection 'raid'; there are clip, triplicate, split, parity, hamming, free-bits"),
        ("free-bits", {}, "exact products read all weight bits of conv1"),
        ("free-bits", {"conv1": ProductTable.of(Masked.exact(8, 8, signed_b=True))}, "reads 8 of 8 weight bits"),
    ],
)
def test_what_does_not_fit_is_refused(name, tables, words):
    with pytest.raises(Refusal, match=words):
        protection.check_protection(name, lenet5.network(), tables)
