"""What protections leave, added up by hand from brute force on a network small enough for all of it."""

import numpy as np
import pytest
from chains import chain, convolution, linear

from amhw import ProductTable, parse
from amhw.datasets import mnist_test
from amhw.faults import brute
from amhw.faults.campaign import Campaign, Images
from amhw.faults.codes import Parity
from amhw.faults.memories import Fault, memories
from amhw.faults.models import MODELS
from amhw.faults.protected import Protections, accounts, picture, row, table
from amhw.network.requantisation import Requantisation

MASK = ProductTable.of(parse("mul_u8s8_pp_0_0_0_e0_e0_e0_e0_e0"))


def small():
    random = np.random.default_rng(11)
    first = random.integers(-90, 90, (2, 1, 7, 7))
    last = random.integers(-90, 90, (10, 32))
    layers = [
        convolution("c", first, [300, -200], Requantisation.of(1 / 300, 255), stride=7),
        linear("f", last, random.integers(-300, 300, 10)),
    ]
    return chain(layers, (1, 28, 28), name="small")


@pytest.fixture(scope="module")
def done():
    """A campaign with all protections, and the counts of its tasks."""
    images = Images(None, mnist_test().sha256, 200, 206)
    names = ("clip", "triplicate", "split", "parity", "hamming", "free-bits")
    campaign = Campaign(small(), {"c": MASK}, images, ("flip",), None, names)
    return campaign, {part: task.function(*task.arguments).counts for part, task in campaign.tasks.items()}


def lost(faults):
    """Images lost, by brute force."""
    network, data = small(), mnist_test().taken(slice(200, 206), "six")
    anew = brute.FaultyNetwork(network, {"c": MASK})
    golden = anew.logits(data.images)
    total = 0
    for fault in faults:
        counts = brute.counts(anew, fault, data.images, data.labels, golden)
        total += counts[2] - counts[3]
    return int(total)


def test_without_protection(done):
    campaign, flips = done
    words = [m for m in memories(small()) if m.kind in ("weights", "bias")]
    faults = [
        Fault(m.layer, m.kind, w, b, "flip", int(values[w, b]))
        for m in words
        for values in [m.faulty(MODELS["flip"])]
        for w in range(len(m))
        for b in range(m.width)
    ]
    plain = row(campaign, flips, "", 0.1, None)
    assert plain.harm == pytest.approx(lost(faults) / 6, abs=1e-5)
    assert plain.stored == len(faults) == (98 + 320) * 8 + 12 * 32
    assert (plain.left, plain.weights_left) == (1, 1)


def test_parity(done):
    campaign, flips = done
    found = row(campaign, flips, "parity", 0.1, None)
    words = [m for m in memories(small()) if m.kind in ("weights", "bias")]
    once = {m.name: [Fault(m.layer, m.kind, w, 0, "parity", 0) for w in range(len(m))] for m in words}
    wanted = sum(Parity(m.width).stored * lost(once[m.name]) for m in words)
    assert found.harm == pytest.approx(wanted / 6, abs=1e-5)
    assert found.stored == (98 + 320) * 9 + 12 * 33


def test_corrected_words_do_no_harm(done):
    campaign, flips = done
    found = row(campaign, flips, "hamming", 0.1, None)
    assert (found.harm, found.left, found.corrected) == (0, 0, 1)
    assert found.stored == (98 + 320) * 12 + 12 * 38
    free = row(campaign, flips, "free-bits", 0.1, None)
    assert free.corrected == 1, "every flip in the weights whose multiplier leaves room"
    assert free.stored == (98 + 320) * 8 + 12 * 32, "no more memory"
    assert free.weights_left < 1


def test_copies_of_the_most_harmful_outputs(done):
    campaign, flips = done
    plain = accounts(campaign, flips)
    chosen = plain.chosen(0.3)
    assert sum(plain.bits[layer] for layer, _ in chosen) <= 0.3 * plain.total.stored
    worst = max(
        (each[k] / plain.bits[layer], layer, k) for layer, each in plain.plain.items() for k in range(len(each))
    )
    assert chosen[0] == worst[1:]
    thrice, twice = (row(campaign, flips, name, 0.3, None) for name in ("triplicate", "split"))
    rest = sum(each[k] for layer, each in plain.plain.items() for k in range(len(each)) if (layer, k) not in chosen)
    assert thrice.harm == pytest.approx(rest / 6, abs=1e-5)
    assert thrice.stored - plain.total.stored == 2 * (twice.stored - plain.total.stored)
    lesser = accounts(campaign, flips, "split").plain
    again = sum(2 * lesser[layer][k] for layer, k in chosen)
    assert twice.harm == pytest.approx((rest + again) / 6, abs=1e-5)
    assert thrice.repeated == 0 < twice.repeated < 1


def test_table_and_picture(done):
    campaign, flips = done
    rows = tuple(row(campaign, flips, name, 0.1, None) for name in ("", *campaign.protections))
    from amhw.faults.files import subject_of

    found = Protections(subject_of(campaign), rows)
    assert Protections.from_json(found.to_json()) == found
    assert len(table(found).splitlines()) == 8
    assert picture(found).count("<svg") == 1
