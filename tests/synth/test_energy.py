"""Energy from switching: by hand, and laws."""

import numpy as np
import pytest

from amhw.synth import SEARCH, Synthesiser, Technology, technologies
from amhw.synth.energy import energy
from amhw.synth.netlist import Gate, Netlist

A, ONE_MORE, Y = 2, 3, 4


@pytest.fixture(scope="module", params=technologies())
def technology(request):
    return Technology.named(request.param)


def inverter(technology):
    return technology.library.smallest(1, 0b01)


def pins(cell):
    return cell.inputs[0].name, cell.outputs[0].name


def test_one_inverter_by_hand(technology):
    cell = inverter(technology)
    i, o = pins(cell)
    netlist = Netlist("m", {"a": (A,)}, {"y": (Y,)}, (Gate("g", cell, {i: A, o: Y}),), (), {})
    found = energy(netlist, technology, {"a": np.array([0, 1, 1, 0, 1])})  # switches in 3 of 4 operations
    volts = technology.library.voltage
    nets = (cell.inputs[0].capacitance + technology.load) * volts**2 / 2 * 0.75
    internal = (cell.inputs[0].energy + cell.outputs[0].energy) * 0.75
    assert (found.operations, found.toggles, found.timed_toggles) == (4, 1.5, 1.5)
    assert found.net_fj == pytest.approx(nets)
    assert found.internal_fj == pytest.approx(internal)
    assert found.settled_fj == pytest.approx(nets + internal) == pytest.approx(found.timed_fj)
    assert 1 < found.net_fj < 100 and found.internal_fj > 0


def test_a_hazard_is_seen_only_with_delays(technology):
    """y = a xor not(not a) is always 0, but a's change arrives twice."""
    invert, xor = inverter(technology), technology.library.smallest(2, 0b0110)
    i, o = pins(invert)
    left, right = (pin.name for pin in xor.inputs)
    gates = (
        Gate("g", invert, {i: A, o: 5}),
        Gate("h", invert, {i: 5, o: 6}),
        Gate("x", xor, {left: A, right: 6, xor.outputs[0].name: Y}),
    )
    netlist = Netlist("m", {"a": (A,)}, {"y": (Y,)}, gates, (), {})
    found = energy(netlist, technology, {"a": np.arange(101) % 2})
    assert found.toggles == 3  # a and the inverters' outputs
    assert found.timed_toggles == 5  # and y, up and down


MULTIPLIER = "module m(input [5:0] a, b, output [11:0] p); assign p = a * b; endmodule"


@pytest.fixture(scope="module")
def multiplier(technology):
    with Synthesiser(technology, [SEARCH], workers=1, netlists=True) as synthesiser:
        return synthesiser.submit(MULTIPLIER).result().best_area.gates


def test_laws(multiplier, technology):
    random = np.random.default_rng(3)
    a, b = random.integers(0, 64, (2, 3001))
    still = energy(multiplier, technology, {"a": a * 0 + 21, "b": b * 0 + 42})
    assert still.settled_fj == still.timed_fj == 0 and still.leakage_fj > 0
    both = energy(multiplier, technology, {"a": a, "b": b})
    one = energy(multiplier, technology, {"a": a, "b": b * 0 + 42})
    assert one.settled_fj < both.settled_fj < both.timed_fj
    # Whatever hazards a net has, it ends where it settles: the difference is a whole number of pairs.
    assert round((both.timed_toggles - both.toggles) * both.operations) % 2 == 0
    # The order in which the operations come matters, how often they come does not.
    twice = energy(multiplier, technology, {"a": np.r_[a, a[::-1]], "b": np.r_[b, b[::-1]]})
    assert twice.settled_fj * twice.operations == pytest.approx(2 * both.settled_fj * both.operations)


def test_toggles_equal_a_count_pair_by_pair(multiplier, technology):
    """The product's bits, whose switching anyone can count."""
    random = np.random.default_rng(4)
    a, b = random.integers(0, 64, (2, 200))
    from amhw.synth.truth import evaluate, unpacked

    values = evaluate(multiplier, {"a": a, "b": b})
    for k, net in enumerate(multiplier.outputs["p"]):
        assert unpacked(values[net], 200).tolist() == (a * b >> k & 1).tolist()


def test_needs_operands_for_every_input(multiplier, technology):
    for operands in (
        {"a": np.arange(5)},
        {"a": np.arange(5), "b": np.arange(4)},
        {"a": np.arange(1), "b": np.arange(1)},
    ):
        with pytest.raises(ValueError, match="sequences of one length"):
            energy(multiplier, technology, operands)
