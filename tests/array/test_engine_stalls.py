"""Whole small engines, proved for dark and bright pixels, all stalls on both sides and all images that are broken off.

A solver looks for `wrong`, in all that can happen in a number of clocks. The harness keeps the pixels that were taken,
says by itself what their logits are, and wants them once and in order, soon after the image is whole and the receiver
is ready.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyosys
import pytest
from amaranth.hdl import Array, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from chains import chain, convolution, linear

from amhw import Masked
from amhw.array import files
from amhw.array.config import ArrayConfig
from amhw.array.engine import Engine
from amhw.array.program import Sizes
from amhw.array.schedule import Schedule
from amhw.network.quantised import Operands
from amhw.network.requantisation import Requantisation

PIXELS, CLASSES = 2, 2
SHAPE = (1, 1, PIXELS)
EXACT = Masked.exact(2, 2, signed_b=True)
OPERANDS = Operands(2, 2)
BRIGHT = 100
"""A pixel, or 0."""

LEAVING = 2
"""Clocks from an image's last logit to the word that leaves, at most."""

KEPT = 8
"""Images that the harness remembers: two that wait, a batch that is computed and one that is answered."""


def alone():
    """One layer behind an image of two pixels of two bits, on 2 × 1 elements."""
    layers = [linear("a", np.array([[1, -2], [1, 1]]), [3, -1], None, OPERANDS)]
    return Schedule(chain(layers, SHAPE, name="alone"), ArrayConfig(EXACT, 2, 1, batch=1))


def batched(batch):
    """A convolution an image, and a linear layer for so many images at a time."""
    layers = [
        convolution("a", np.array([[[[1, -2]]]]), [3], Requantisation(1, 1, 3), OPERANDS),
        linear("b", np.array([[1], [-2]]), [-1, 1], None, OPERANDS),
    ]
    return Schedule(chain(layers, SHAPE, name="batched"), ArrayConfig(EXACT, 2, 1, batch=batch))


def dot(weights, codes, bias):
    """Σ weight·code + bias."""
    return sum((int(w) * code for w, code in zip(weights.ravel(), codes, strict=True)), Const(int(bias)))


class Stalled(wiring.Component):
    """Any pixels at any times, and a receiver that is ready at any times.

    Args:
        patience: clocks that the engine may take to an answer, the receiver ready and the sender silent.
        fault: what is wrong with the engine: it is ``deaf`` and does not hear that an image's class was taken, or
            ``heedless`` of an image that is broken off.
    """

    valid: In(1)
    bright: In(1)
    last: In(1)
    ready: In(1)
    wrong: Out(1)

    def __init__(self, schedule, patience, fault=None):
        self.schedule, self.patience, self.fault = schedule, patience, fault
        self.engine = Engine(Sizes((schedule,)), fixed=True)
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        schedule = self.schedule
        m.submodules.engine = engine = self.engine
        results = engine.results
        deaf = Const(self.fault == "deaf") & results.payload.last
        m.d.comb += [
            engine.image.valid.eq(self.valid),
            engine.image.payload.data.eq(Mux(self.bright, BRIGHT, 0)),
            engine.image.payload.last.eq(self.last & Const(self.fault != "heedless")),
            results.ready.eq(self.ready & ~deaf),
        ]

        # What was taken, an image after another.
        taken = self.valid & engine.image.ready
        place = Signal(range(PIXELS))
        whole = Signal(4)
        pixels = [Array(Signal(2, name=f"pixel_{k}_{p}") for k in range(KEPT)) for p in range(PIXELS)]
        ends = taken & (place == PIXELS - 1)
        with m.If(taken):
            m.d.sync += place.eq(Mux(ends | self.last, 0, place + 1))
            for p in range(PIXELS):
                with m.If(place == p):
                    m.d.sync += pixels[p][whole[:3]].eq(Mux(self.bright, (BRIGHT + 32) >> 6, 0))
        m.d.sync += whole.eq(whole + ends)

        # What is wanted: the logits of the oldest image without an answer, then its class.
        beat = Signal(range(CLASSES + 1))
        answered = Signal(4)
        *hidden, last = schedule.network.layers
        codes = [pixels[p][answered[:3]] for p in range(PIXELS)]
        for layer in hidden:
            total = Signal(range(-32, 32))
            values = layer.requantisation(np.roll(np.arange(-32, 32), 32))
            between = Signal(2)
            m.d.comb += total.eq(dot(layer.weights, codes, layer.bias[0]))
            m.d.comb += between.eq(Array(map(int, values))[total.as_unsigned()])
            codes = [between]
        logits = [Signal(range(-32, 32), name=f"logit_{k}") for k in range(CLASSES)]
        m.d.comb += [logit.eq(dot(last.weights[k], codes, last.bias[k])) for k, logit in enumerate(logits)]
        wanted = Signal(range(-32, 32))
        m.d.comb += wanted.eq(Array([*logits, logits[1] > logits[0]])[beat])

        moved = results.valid & self.ready
        held = Signal.like(results.payload.as_value())
        offered = Signal()
        silent = Signal(range(self.patience + 2))
        with m.If(moved):
            m.d.sync += beat.eq(Mux(results.payload.last, 0, beat + 1))
        m.d.sync += [
            answered.eq(answered + (moved & results.payload.last)),
            offered.eq(results.valid & ~self.ready),
            held.eq(results.payload.as_value()),
        ]
        # A batch waits for the rest of an image of which some pixels have come.
        waits = Const(schedule.batch > 1) & (place != 0)
        with m.If(moved | self.valid | (answered == whole) | waits):
            m.d.sync += silent.eq(0)
        with m.Elif(self.ready & (silent <= self.patience)):
            m.d.sync += silent.eq(silent + 1)
        m.d.comb += self.wrong.eq(
            (results.valid & (answered == whole))
            | (results.valid & (results.payload.data.as_signed() != wanted))
            | (results.valid & (results.payload.last != (beat == CLASSES)))
            | (offered & ~(results.valid & (held == results.payload.as_value())))
            | (silent > self.patience)
        )
        return m


GRAPH = """
import sys
from pyosys import libyosys
design = libyosys.Design()
for command in ("read_verilog harness.v", "hierarchy -check -top harness", "proc", "flatten", "memory_map",
                "opt -full -noff", "techmap", "opt -full -noff", "setundef -zero -undriven -init", "aigmap",
                "opt_clean", "write_aiger -zinit harness.aig"):
    libyosys.run_pass(command, design)
"""
"""Registers that nothing sets are 0 at the start; that no unknown of theirs leaves is for simulators to show."""


def solved(folder, harness, clocks):
    """What ABC says of so many clocks from the start, `rst` low."""
    text, _ = files.verilog(harness, harness.engine.array.elements, "harness")
    (folder / "harness.v").write_text(text)
    subprocess.run([sys.executable, "-c", GRAPH], cwd=folder, check=True, capture_output=True, timeout=120)
    commands = f"read_aiger harness.aig; strash; scorr; bmc3 -F {clocks}"
    abc = Path(pyosys.__file__).with_name("yosys-abc")
    found = subprocess.run([abc, "-q", commands], cwd=folder, check=True, capture_output=True, text=True, timeout=600)
    return found.stdout


@pytest.mark.parametrize(("schedule", "clocks"), [(alone(), 40), (batched(2), 50)], ids=["alone", "batch"])
def test_no_word_is_lost_or_doubled(tmp_path, schedule, clocks):
    """Two images one after the other in the first engine; one, and most of a batch of two, in the second one."""
    found = solved(tmp_path, Stalled(schedule, schedule.latency + LEAVING), clocks)
    assert f"No output asserted in {clocks} frames" in found, found


@pytest.mark.parametrize("fault", ["deaf", "heedless"])
def test_what_is_wrong_is_found(tmp_path, fault):
    schedule = alone()
    found = solved(tmp_path, Stalled(schedule, schedule.latency + LEAVING, fault), 40)
    assert "was asserted in frame" in found, found


def test_the_clocks_are_enough_for_two_answers(tmp_path):
    """An engine that is taken for too slow by one clock is found out: what is proved is not that nothing happens."""
    schedule = alone()
    found = solved(tmp_path, Stalled(schedule, schedule.latency + LEAVING - 1), 40)
    assert "was asserted in frame" in found, found
