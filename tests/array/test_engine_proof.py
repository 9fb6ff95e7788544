"""Both ends of a small engine, proved for all stalls, values and broken-off images of a bounded number of clocks.

Yosys' SAT solver looks for clocks in which `wrong` is high; a harness beside the unit says what would have been right.
"""

import subprocess
import sys

import numpy as np
import pytest
from amaranth.hdl import Array, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from chains import chain, linear

from amhw import Masked
from amhw.array.config import ArrayConfig
from amhw.array.engine.images import Receiver
from amhw.array.engine.results import Results
from amhw.array.program import Sizes
from amhw.array.schedule import Schedule
from amhw.network.quantised import Operands
from amhw.network.requantisation import Requantisation
from amhw.verilog import emit

PROOF = """
import sys
from pyosys import libyosys
design = libyosys.Design()
for command in (f"read_verilog {sys.argv[1]}", "hierarchy -check -top harness", "proc", "flatten", "memory_map",
                "opt -full", f"sat -verify -prove wrong 0 -seq {sys.argv[2]} -set rst 0 -timeout 200"):
    libyosys.run_pass(command, design)
"""

OPERANDS = Operands(2, 2)
SIDE = 2
CLASSES = 2


def tiny():
    """Two layers behind an image of 2 × 2 pixels, on one element."""
    ones = np.ones((CLASSES, CLASSES), int)
    layers = [
        linear("a", np.ones((CLASSES, SIDE * SIDE), int), [0, 0], Requantisation.of(0.5, 3), OPERANDS),
        linear("b", ones, [1, -1], None, OPERANDS),
    ]
    network = chain(layers, (1, SIDE, SIDE), name="tiny")
    return Schedule(network, ArrayConfig(Masked.exact(2, 2, signed_b=True), 2, 2, batch=1))


class Incoming(wiring.Component):
    """Any pixels at any times, any `allow`, and releases of images that are there.

    Args:
        forgetful: a harness that takes whatever follows the second image for wrong.
    """

    valid: In(1)
    data: In(8)
    last: In(1)
    allow: In(1)
    release: In(1)
    wrong: Out(1)

    def __init__(self, forgetful=False):
        self.forgetful = forgetful
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        schedule = tiny()
        m.submodules.unit = unit = Receiver(Sizes((schedule,)))
        whole, released = Signal(8), Signal(8)
        count = Signal(range(SIDE * SIDE + 1))
        taken = Signal()
        there = Signal(8)
        m.d.comb += [
            unit.image.valid.eq(self.valid),
            unit.image.payload.data.eq(self.data),
            unit.image.payload.last.eq(self.last),
            unit.allow.eq(self.allow),
            unit.release.eq(self.release & (there != 0)),
            there.eq(whole - released),
            taken.eq(self.valid & self.allow & (there != 2)),
        ]
        ends = taken & (count == SIDE * SIDE - 1)
        with m.If(taken):
            m.d.sync += count.eq(count + 1)
            with m.If(self.last | ends):
                m.d.sync += count.eq(0)
        m.d.sync += [whole.eq(whole + ends), released.eq(released + unit.release)]
        height, width = schedule.config.window
        row, column = (count >> 1)[0], count[0]
        bank = row * width + column if height > 1 else column
        place = unit.bank_y * width + unit.bank_x
        address = Mux(whole[0], schedule.setup.image, 0) + (0 if height > 1 else row)
        code = Signal(4)
        m.d.comb += code.eq((self.data + 32) >> 6)
        m.d.comb += self.wrong.eq(
            (unit.image.ready != (self.allow & (there != 2)))
            | (unit.write != taken)
            | (unit.images != there)
            | (unit.partial != (count != 0))
            | (taken & ((place != bank) | (unit.to != address) | (unit.code != Mux(code > 3, 3, code))))
            | (Const(self.forgetful) & (whole == 2))
        )
        return m


class Outgoing(wiring.Component):
    """Any logits, and a receiver that is ready at any times.

    Args:
        stealing: an engine that does not hear that its last word was taken.
    """

    logit: In(6)
    ready: In(1)
    wrong: Out(1)

    def __init__(self, stealing=False):
        self.stealing = stealing
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        schedule = tiny()
        sizes = Sizes((schedule,))
        m.submodules.unit = unit = Results(sizes)
        lanes, words = schedule.config.requantisers, schedule.setup.words
        total = lanes * words
        kept = [Signal(8, name=f"kept_{k}") for k in range(max(total, CLASSES))]
        clock = Signal(range(words + 2))
        value = Signal(8)
        m.d.comb += value.eq(self.logit.as_signed())
        with m.If(clock <= words):
            m.d.sync += clock.eq(clock + 1)
        m.d.comb += [unit.claim.eq(clock == 0), unit.write.eq(clock < words), unit.to.eq(clock), unit.images.eq(1)]
        m.d.comb += unit.whole.eq(clock == words - 1)
        for lane in range(lanes):
            # Lanes differ: the second one's logit is that of the first, plus one, or minus where it would not fit.
            own = value.as_signed() + lane
            m.d.comb += unit.sums[lane].eq(own)
            for word in range(words):
                with m.If(clock == word):
                    m.d.sync += kept[word * lanes + lane].eq(own)
        m.d.comb += unit.results.ready.eq(self.ready & ~(Const(self.stealing) & unit.results.payload.last))
        beats = Signal(8)
        idle = Signal(8)
        moved = unit.results.valid & self.ready
        greater = kept[1].as_signed() > kept[0].as_signed()
        wanted = Signal(8)
        m.d.comb += wanted.eq(Array([*kept[:CLASSES], greater])[beats])
        held, offered = Signal(8), Signal()
        m.d.sync += [
            beats.eq(beats + moved),
            offered.eq(unit.results.valid & ~self.ready),
            held.eq(unit.results.payload.data),
            idle.eq(idle + (self.ready & ~unit.results.valid & (beats != CLASSES + 1) & (clock > words))),
        ]
        m.d.comb += self.wrong.eq(
            (moved & ((unit.results.payload.data[:8] != wanted) | (beats > CLASSES)))
            | (moved & (unit.results.payload.last != (beats == CLASSES)))
            | (offered & (~unit.results.valid | (held != unit.results.payload.data[:8])))
            | (idle > 8)
        )
        return m


def proved(folder, harness, clocks):
    (folder / "harness.v").write_text(emit(harness, "harness"))
    return subprocess.run(
        [sys.executable, "-c", PROOF, str(folder / "harness.v"), str(clocks)], capture_output=True, text=True
    )


@pytest.mark.parametrize(("harness", "clocks"), [(Incoming, 14), (Outgoing, 16)])
def test_for_all_stalls(tmp_path, harness, clocks):
    found = proved(tmp_path, harness(), clocks)
    assert found.returncode == 0, found.stdout[-3000:] + found.stderr[-500:]
    assert "SAT proof finished - no model found: SUCCESS!" in found.stdout


@pytest.mark.parametrize("harness", [Incoming(forgetful=True), Outgoing(stealing=True)], ids=["image", "word"])
def test_what_is_wrong_is_found(tmp_path, harness):
    """The number of clocks is enough for two whole images, and for all words of one."""
    assert proved(tmp_path, harness, 16).returncode != 0
