"""Netlists repaired for a clock: they compute the same, meet it where that can be, and are left alone where they do."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from amhw.commands.synth import command
from amhw.synth import AS_DESIGNED, Expected, Synthesiser, Technology, technologies
from amhw.synth.interconnect import Interconnect, interconnect
from amhw.synth.layout import laid_out
from amhw.synth.netlist import Gate, Netlist
from amhw.synth.placement import place
from amhw.synth.repair import _Work, repaired
from amhw.synth.timing import Arrivals, loads_of, timing
from amhw.synth.truth import check, planes, settled
from amhw.synth.wires import wires_of

WIDTH = 5
PRODUCTS = Expected(np.arange(1 << WIDTH)[:, None] * np.arange(1 << WIDTH))
MULTIPLIER = f"""module multiplier(input [{WIDTH - 1}:0] a, b, output [{2 * WIDTH - 1}:0] p);
  assign p = a * b;
endmodule
"""
REGISTERED = f"""module registered(input clk, input [{WIDTH - 1}:0] a, b, output reg [{2 * WIDTH - 1}:0] p);
  reg [{WIDTH - 1}:0] x, y;
  always @(posedge clk) begin
    x <= a; y <= b; p <= x * y;
  end
endmodule
"""
NO_WIRES = Interconnect({}, {}, {})


@pytest.fixture(scope="module", params=technologies())
def technology(request):
    return Technology.named(request.param)


def as_designed(technology, verilog, expected=None):
    with Synthesiser(technology, (AS_DESIGNED,), workers=1, netlists=True) as synthesiser:
        return synthesiser.submit(verilog, expected=expected).result().as_designed.gates


@pytest.fixture(scope="module")
def netlist(technology):
    return as_designed(technology, MULTIPLIER, PRODUCTS)


@pytest.mark.parametrize("share", [0.98, 0.95])
def test_a_clock_is_met_and_no_more(technology, netlist, share):
    before = timing(netlist, technology).delay_ps
    found = repaired(netlist, technology, NO_WIRES, share * before)
    after = timing(found, technology).delay_ps
    assert 0.8 * share * before < after <= share * before
    assert check(found, PRODUCTS) == 1 << 2 * WIDTH
    assert repaired(netlist, technology, NO_WIRES, share * before) == found


def test_what_meets_its_clock_is_left_alone(technology, netlist):
    assert repaired(netlist, technology, NO_WIRES, timing(netlist, technology).delay_ps + 0.01) is netlist


def test_a_clock_that_cannot_be_met_is_missed_by_something_faster_and_right(technology, netlist):
    found = repaired(netlist, technology, NO_WIRES, 1.0)
    before, after = (timing(each, technology).delay_ps for each in (netlist, found))
    assert 1.0 < after < 0.95 * before
    assert check(found, PRODUCTS) == 1 << 2 * WIDTH


def arrivals_agree(work, technology):
    """Arrivals and loads that were kept up to date through all changes are those of a timing from the beginning."""
    fresh = Arrivals(work.netlist(), technology, Interconnect({}, work._wires, work._arrivals.delays))
    for net, edges in fresh.edges.items():
        for kept, found in zip(work._arrivals.edges[net], edges, strict=True):
            assert (kept.arrival, kept.slew) == pytest.approx((found.arrival, found.slew), abs=1e-6)
    for net, loads in fresh.loads.items():
        assert work._arrivals.loads[net] == pytest.approx(loads, abs=1e-9)
    assert work.worst() == pytest.approx(
        timing(work.netlist(), technology, Interconnect({}, work._wires, work._arrivals.delays)).delay_ps, abs=0.01
    )


@pytest.mark.parametrize("registers", [False, True])
def test_arrivals_are_kept_up_to_date(technology, netlist, registers):
    some = as_designed(technology, REGISTERED) if registers else netlist
    facts = wires_of(technology.name)
    wires = interconnect(some, place(some, facts, (1,))[0], facts, technology.load)
    work = _Work(some, technology, wires, 1.0)
    changes = 0
    while work.improve():
        changes += 1
        if changes % 5 == 1:
            arrivals_agree(work, technology)
    assert changes > 5
    arrivals_agree(work, technology)


def test_no_change_overloads_what_was_not(technology, netlist):
    def overloads(some):
        loads = loads_of(some, technology.load)
        return {
            gate.name
            for gate in some.gates
            for output in gate.cell.outputs
            if 0 < output.max_capacitance < max(loads.get(gate.nets.get(output.name, -1), (0.0, 0.0)))
        }

    crowd = crowded(technology, 80)
    for some in (netlist, crowd):
        found = repaired(some, technology, NO_WIRES, 0.5 * timing(some, technology).delay_ps)
        assert found is not some
        assert overloads(found) <= overloads(some)


def test_registers_keep_what_they_sample(technology):
    netlist = as_designed(technology, REGISTERED)
    before = timing(netlist, technology).delay_ps
    found = repaired(netlist, technology, NO_WIRES, 0.96 * before)
    assert timing(found, technology).delay_ps <= 0.96 * before
    random = np.random.default_rng(1)
    held = [net for nets in netlist.inputs.values() for net in nets]
    held += [gate.nets[o.name] for gate in netlist.flip_flops for o in gate.cell.outputs if o.name in gate.nets]
    values = planes({net: random.integers(0, 2, 640).astype(np.uint8) for net in held})
    one, two = settled(netlist, dict(values)), settled(found, dict(values))
    for old, new in zip(netlist.flip_flops, found.flip_flops, strict=True):
        assert old.name == new.name and old.cell.flip_flop == new.cell.flip_flop
        for pin in old.cell.inputs:
            assert (one[old.nets[pin.name]] == two[new.nets[pin.name]]).all()


def test_the_late_signal_goes_to_the_fast_pin():
    """In sky130hd an adder's carry input is its fastest; four adders in a row have it at their slowest."""
    technology = Technology.named("sky130hd")
    adder = technology.cell("sky130_fd_sc_hd__fa_1")
    gates = tuple(
        Gate(f"adder{k}", adder, {"A": 100 + k, "B": 2 + k, "CIN": 20 + k, "COUT": 101 + k, "SUM": 40 + k})
        for k in range(4)
    )
    ports = {"c": (100,), "a": tuple(range(2, 6)), "b": tuple(range(20, 24))}
    netlist = Netlist("chain", ports, {"s": (*range(40, 44), 104)}, gates, (), {})
    before = timing(netlist, technology).delay_ps
    best = replace(
        netlist,
        gates=tuple(replace(g, nets={**g.nets, "A": g.nets["CIN"], "CIN": g.nets["A"]}) for g in gates),
    )
    clock = timing(best, technology).delay_ps + 1
    assert clock < 0.93 * before
    found = repaired(netlist, technology, NO_WIRES, clock)
    assert timing(found, technology).delay_ps <= clock
    assert sum(gate.nets["CIN"] == 100 + k for k, gate in enumerate(found.gates)) >= 3


def crowded(technology, crowd):
    """An input that drives a chain of six inverters and a crowd of them; and the chain's second net another crowd."""
    inverter = min(technology.library.with_truth(1, 0b01), key=lambda cell: cell.area)
    into, out = inverter.inputs[0].name, inverter.outputs[0].name
    gates = [Gate(f"chain{k}", inverter, {into: 2 + k, out: 3 + k}) for k in range(6)]
    gates += [Gate(f"first{k}", inverter, {into: 2, out: 100 + k}) for k in range(crowd)]
    gates += [Gate(f"second{k}", inverter, {into: 4, out: 200 + k}) for k in range(crowd)]
    ports = {"p": (8,), "q": tuple(range(100, 100 + crowd)), "r": tuple(range(200, 200 + crowd))}
    return Netlist("crowd", {"a": (2,)}, ports, tuple(sorted(gates, key=lambda g: g.nets[into])), (), {})


def test_readers_off_the_path_get_a_buffer(technology):
    netlist = crowded(technology, 24)
    found = repaired(netlist, technology, NO_WIRES, 0.5 * timing(netlist, technology).delay_ps)
    buffers = [gate for gate in found.gates if gate.cell.truth == 0b10]
    assert {2, 4} <= {net for gate in buffers for net in gate.nets.values()}  # also of what comes from outside
    assert timing(found, technology).delay_ps < 0.8 * timing(netlist, technology).delay_ps
    order = {gate.name: k for k, gate in enumerate(found.gates)}
    driver = {gate.nets[o.name]: gate.name for gate in found.gates for o in gate.cell.outputs}
    for gate in found.gates:
        before = {driver.get(gate.nets[pin.name], gate.name) for pin in gate.cell.inputs} - {gate.name}
        assert all(order[name] < order[gate.name] for name in before)
    placed = laid_out(netlist, technology, seeds=(1,), clock_ps=0.5 * timing(netlist, technology).delay_ps)
    assert placed.unrepaired_ps is not None and placed.delay_ps < placed.unrepaired_ps


def test_a_layout_says_its_clock_and_how_far_it_is_from_it(technology, netlist):
    plain = laid_out(netlist, technology, seeds=(1,))
    assert plain.slack_ps is None and plain.unrepaired_ps is None
    clock = round(0.96 * plain.delay_ps, 1)
    found = laid_out(netlist, technology, seeds=(1,), clock_ps=clock)
    assert found.slack_ps == pytest.approx(clock - found.delay_ps) and found.slack_ps >= 0
    assert found.unrepaired_ps == plain.delay_ps
    assert check(found.netlist, PRODUCTS) == 1 << 2 * WIDTH
    easy = laid_out(netlist, technology, seeds=(1,), clock_ps=2 * plain.delay_ps)
    assert easy.netlist is plain.netlist and easy.unrepaired_ps is None and easy.slack_ps > 0


def test_the_command_repairs(tmp_path):
    path = tmp_path / "m.v"
    path.write_text(MULTIPLIER)
    plain = json.loads(CliRunner().invoke(command, [str(path), "--quick", "--place", "--json"]).stdout)["placed"]
    clock = 0.96 * plain["as designed"]["delay_ps"]
    run = CliRunner().invoke(command, [str(path), "--quick", "--place", "--period", f"{clock:.1f}"])
    assert run.exit_code == 0 and f"clock {clock:.1f} ps met by " in run.stdout, run.output
    alone = CliRunner().invoke(command, [str(path), "--period", "1000"])
    assert alone.exit_code == 2 and "goes with --place" in alone.stderr
    for nonsense in ("0", "-5", "nan", "inf"):
        none = CliRunner().invoke(command, [str(path), "--place", "--period", nonsense])
        assert none.exit_code == 2 and "--period" in none.stderr and none.stderr.count("\n") == 1, none.stderr
