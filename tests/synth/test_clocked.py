"""Registers clock by clock, and what they and their clock cost."""

from dataclasses import replace

import numpy as np
import pytest

from amhw.refusal import Refusal
from amhw.synth import SEARCH, Synthesiser, Technology, technologies
from amhw.synth.clocked import clock_of, states
from amhw.synth.energy import energy
from amhw.synth.liberty import parse_library
from amhw.synth.netlist import Gate, Netlist
from amhw.synth.truth import planes, settled, unpacked


@pytest.fixture(scope="module", params=technologies())
def synthesiser(request):
    with Synthesiser(Technology.named(request.param), [SEARCH], workers=1, netlists=True) as synthesiser:
        yield synthesiser


def mapped(synthesiser, text, top=None):
    return synthesiser.submit(text, top).result().best_product.gates


def test_one_register_by_hand(synthesiser):
    technology = synthesiser.technology
    netlist = mapped(synthesiser, "module r(input clk, d, output reg q); always @(posedge clk) q <= d; endmodule")
    (gate,) = netlist.flip_flops
    found = energy(netlist, technology, {"d": np.array([0, 1, 1, 0, 1, 1])})  # d and, a clock later, q
    pins = {pin.name: pin for pin in (*gate.cell.inputs, *gate.cell.outputs)}
    output = max(pin.energy for pin in gate.cell.outputs if pin.name in gate.nets)  # an inverse output costs no more
    half = technology.library.voltage**2 / 2
    d, q = 3 / 5, 3 / 5
    assert found.data_fj == pytest.approx((d * pins["D"].capacitance + q * technology.load) * half)
    assert found.registers_fj == pytest.approx(d * pins["D"].energy + q * output)
    assert found.clock_fj == pytest.approx(2 * (pins["CLK"].capacitance * half + pins["CLK"].energy))
    assert found.settled_fj == pytest.approx(found.data_fj + found.registers_fj + found.clock_fj)
    assert found.settled_fj == pytest.approx(found.net_fj + found.internal_fj) == pytest.approx(found.timed_fj)
    assert found.clock_fj > 10 and found.registers_fj > 1
    assert found.record()["clock_fj"] == pytest.approx(found.clock_fj, abs=1e-4)
    # What comes first may be left out.
    assert energy(netlist, technology, {"d": np.array([0, 1, 1, 1, 1])}, skip=2).settled_fj == found.clock_fj


MACHINE = """
module machine(input clk, reset, clear, en, input [3:0] a, output reg [7:0] sum, output reg odd, output reg [1:0] was);
  always @(posedge clk) if (reset) sum <= 0; else if (en) sum <= sum + a;
  always @(posedge clk or posedge clear) if (clear) odd <= 0; else odd <= ^a ^ odd;
  always @(negedge reset or posedge clk) if (!reset) was <= 2'd3; else was <= was - en;
endmodule
"""


def test_states_are_those_of_the_verilog(synthesiser):
    netlist = mapped(synthesiser, MACHINE)
    random = np.random.default_rng(1)
    ports = {"reset": random.random(400) < 0.5, "clear": random.random(400) < 0.2, "en": random.random(400) < 0.6}
    ports = {name: flags.astype(np.uint8) for name, flags in ports.items()}
    ports["a"] = random.integers(0, 16, 400)
    assert clock_of(netlist) == "clk"
    bits = {
        net: (ports[name] >> k & 1).astype(np.uint8) for name in ports for k, net in enumerate(netlist.inputs[name])
    }
    # What is stored inverted, as a preset may be, has a gate before its port.
    values = settled(netlist, planes(bits | states(netlist, bits)))
    seen = {
        name: sum(unpacked(values[net], 400).astype(int) << k for k, net in enumerate(netlist.outputs[name]))
        for name in ("sum", "odd", "was")
    }
    total, odd, was = 0, 0, 0
    for clock in range(400):
        reset, clear, en, a = (int(ports[name][clock]) for name in ("reset", "clear", "en", "a"))
        odd, was = 0 if clear else odd, was if reset else 3
        assert (seen["sum"][clock], seen["odd"][clock], seen["was"][clock]) == (total, odd, was), clock
        total = 0 if reset else (total + a) % 256 if en else total
        odd = 0 if clear else odd ^ a.bit_count() & 1
        was = (was - en) % 4 if reset else 3
    assert energy(netlist, synthesiser.technology, ports).settled_fj > 0


PIPELINE = """
module pipeline(input clk, input [3:0] a, b, output reg [7:0] p);
  reg [3:0] x, y;
  always @(posedge clk) begin x <= a; y <= b; p <= x * y; end
endmodule
"""


def test_laws_of_a_pipelined_multiplier(synthesiser):
    technology, netlist = synthesiser.technology, mapped(synthesiser, PIPELINE)
    random = np.random.default_rng(2)
    a, b = random.integers(0, 16, (2, 2000))
    still = energy(netlist, technology, {"a": a * 0 + 5, "b": b * 0 + 3}, skip=3)
    assert still.settled_fj == still.timed_fj == still.clock_fj > 0
    one, both = (energy(netlist, technology, {"a": a, "b": each}) for each in (b * 0 + 3, b))
    assert one.clock_fj == both.clock_fj == still.clock_fj, "the clock does not care what is stored"
    assert 0 < one.registers_fj < both.registers_fj and 0 < one.data_fj < both.data_fj < both.timed_data_fj
    assert both.timed_registers_fj >= both.registers_fj
    wide = (a[:, None] >> np.arange(4) & 1).astype(np.uint8)
    assert energy(netlist, technology, {"a": wide, "b": b.astype(object)}) == both, "bits, and integers of any size"


HEAD = "module m(input clk, clk2, d, en, input [1:0] at, output reg q, output "
REFUSED = {
    "several clocks: clk, clk2": "reg r); always @(posedge clk) q <= d; always @(posedge clk2) r <= d; endmodule",
    "gated, divided or inverted": "reg r); always @(posedge clk) q <= d; always @(negedge clk) r <= q; endmodule",
    "by w, not by an input": "r); (* keep *) wire w = clk & en; always @(posedge w) q <= d; assign r = q; endmodule",
    "clk as data": "y); always @(posedge clk) q <= d; assign y = clk ^ d; endmodule",
    "uses its clock clk": "reg r); always @(posedge clk) begin q <= clk; r <= d; end endmodule",
    r"clocked by a gate \(at q\), not by": "y); always @(negedge clk) q <= d; assign y = d; endmodule",
    "memories .store": "reg [7:0] w); reg [7:0] store [0:3]; "
    "always @(posedge clk) begin if (en) store[at] <= {8{d}}; w <= store[~at]; q <= ^w; end endmodule",
    "one bit of the port at": "y); always @(posedge at[0]) q <= d; assign y = d; endmodule",
}


@pytest.mark.parametrize("says", REFUSED)
def test_registers_that_cannot_be_counted(synthesiser, says):
    netlist = mapped(synthesiser, HEAD + REFUSED[says])
    with pytest.raises(Refusal, match=says) as refusal:
        energy(netlist, synthesiser.technology, {"d": np.zeros(4, dtype=np.int64)})
    assert "\n" not in str(refusal.value)


def test_one_edge_only():
    cell = Technology.named("sky130hd").cell("sky130_fd_sc_hd__dfxtp_1")
    assert cell.flip_flop is not None
    falling = replace(cell, flip_flop=replace(cell.flip_flop, clocked_on="!CLK"))
    gates = Gate("f", cell, {"CLK": 2, "D": 3, "Q": 4}), Gate("g", falling, {"CLK": 2, "D": 4, "Q": 5})
    ports = {"c": (2,), "d": (3,)}, {"q": (5,)}
    for flip_flops in (gates[:1], gates[1:]):
        assert clock_of(Netlist("m", *ports, (), flip_flops, {})) == "c"
    with pytest.raises(Refusal, match="both edges of c"):
        clock_of(Netlist("m", *ports, (), gates, {}))


def test_a_reset_from_registers_is_refused(synthesiser):
    text = "module m(input clk, d, output reg q, r); always @(posedge clk) q <= d; "
    netlist = mapped(synthesiser, text + "always @(posedge clk or posedge q) if (q) r <= 0; else r <= d; endmodule")
    with pytest.raises(Refusal, match="asynchronous reset of r comes from registers"):
        energy(netlist, synthesiser.technology, {"d": np.zeros(4, dtype=np.int64)})


LIBERTY = """
library (small) {
  time_unit : "1ns"; capacitive_load_unit (1, pf); nom_voltage : 1.0;
  cell (dff) {
    area : 1;
    ff (IQ, IQN) { clocked_on : "CK"; next_state : "D"; clear : "!R"; }
    pin (CK) { direction : input; capacitance : 0.001;
      internal_power () { when : "R&D&Q"; rise_power (scalar) { values ("0.002"); } fall_power (scalar) { values ("0.004"); } }
      internal_power () { when : "R&!D&!Q"; rise_power (scalar) { values ("0.004"); } fall_power (scalar) { values ("0.006"); } }
      internal_power () { when : "R&(D^Q)"; rise_power (scalar) { values ("0"); } fall_power (scalar) { values ("0.009"); } }
      internal_power () { when : "!R"; rise_power (scalar) { values ("0.5"); } fall_power (scalar) { values ("0.5"); } }
    }
    pin (D) { direction : input; capacitance : 0.001; }
    pin (R) { direction : input; capacitance : 0.001; }
    pin (Q) { direction : output; function : "IQ";
      internal_power () { related_pin : "CK"; rise_power (scalar) { values ("0.010"); } fall_power (scalar) { values ("0.012"); } }
      internal_power () { related_pin : "R"; rise_power (scalar) { values ("0.7"); } fall_power (scalar) { values ("0.7"); } }
    }
  }
}
"""  # noqa: E501


def test_what_a_flip_flop_costs_is_told_apart_by_what_it_stores():
    cell = parse_library(LIBERTY, "small.lib").cells["dff"]
    pins = {pin.name: pin for pin in (*cell.inputs, *cell.outputs)}
    assert pins["CK"].is_clock, "it clocks, whether or not the file calls it a clock"
    assert pins["CK"].energy == pytest.approx((2 + 4 + 4 + 6) / 4), "nothing new is stored, no reset"
    # 11 at the output; the clock's two edges cost 0 + 9 then and not 3 + 5.
    assert pins["Q"].energy == pytest.approx(11 + 9 - 8)
