"""A mapped netlist with its wires: placed for several seeds, sized for its loads, timed.

    placement → wires → cells sized and nets buffered for them → placed again nearby, wires and timing

What is too slow for a clock, if one is given, is repaired then (`amhw.synth.repair`) and placed once more.

The figures are those of the placement whose delay is the median over the seeds; how far the seeds are apart is what
a placement's luck is worth.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from amhw.synth.interconnect import Interconnect, interconnect
from amhw.synth.netlist import Netlist
from amhw.synth.placement import UTILISATION, Placement, place, place_again
from amhw.synth.repair import repaired
from amhw.synth.sizing import sized
from amhw.synth.technology import Technology
from amhw.synth.timing import Timing, timing
from amhw.synth.wires import Wires, wires_of

_ROUNDS = 4
"""Of sizing at most; a net with sixteen times the load that a gate may drive is split by then."""

_REPAIRS = 3
"""At most: wires move a little when repaired cells are placed."""


@dataclass(frozen=True)
class Layout:
    """A placed netlist and its figures.

    Attributes:
        netlist: as placed, with cells sized and nets buffered for its wires.
        placement, wires, timing: of the median seed.
        delays: of all seeds, ps.
        clock_ps: what it was repaired for, or None.
        unrepaired_ps: what its delay was before; None where nothing was repaired.
    """

    netlist: Netlist = field(repr=False)
    placement: Placement
    wires: Interconnect
    timing: Timing
    delays: tuple[float, ...]
    clock_ps: float | None = None
    unrepaired_ps: float | None = None

    @property
    def delay_ps(self) -> float:
        """The median over the seeds."""
        return self.timing.delay_ps

    @property
    def spread(self) -> float:
        """How far the slowest seed is above the fastest, relative to the fastest."""
        return max(self.delays) / min(self.delays) - 1 if min(self.delays, default=0.0) > 0 else 0.0

    @property
    def slack_ps(self) -> float | None:
        """How much earlier than its clock it is; negative where it misses it."""
        return None if self.clock_ps is None else round(self.clock_ps - self.delay_ps, 2)

    @property
    def area_um2(self) -> float:
        """Of the cells."""
        return math.fsum(gate.cell.area for gate in self.netlist.instances)

    def record(self) -> dict[str, Any]:
        """The figures in plain types, for JSON."""
        return {
            "area_um2": round(self.area_um2, 4),
            "core_um2": round(self.placement.area_um2, 4),
            "utilisation": UTILISATION,
            "delay_ps": self.delay_ps,
            "delays_ps": list(self.delays),
            "wire_um": round(self.wires.length_um, 2),
            "seed": self.placement.seed,
            "clock_ps": self.clock_ps,
            "slack_ps": self.slack_ps,
            "unrepaired_ps": self.unrepaired_ps,
        }


def laid_out(
    netlist: Netlist,
    technology: Technology,
    seeds: Sequence[int] | None = None,
    timer: Callable[[Netlist, Technology, Interconnect], Timing] = timing,
    clock_ps: float | None = None,
) -> Layout:
    """Place `netlist`, size it for its wires, repair it for a clock if there is one, and let `timer` time it.

    `seeds` are those of the placements, by default as many as `placement.place` makes.

    Raises:
        Refusal: Coloquinte is not installed, nothing is known of the technology's wires, or there are memories.
        SynthesisError: Coloquinte failed.
    """
    facts = wires_of(technology.name)
    placements = place(netlist, facts, seeds)
    first = interconnect(netlist, placements[0], facts, technology.load)
    for _ in range(_ROUNDS):
        again = sized(netlist, technology, first)
        if again is netlist:
            break
        placements = place_again(again, facts, netlist, placements)
        netlist = again
        first = interconnect(netlist, placements[0], facts, technology.load)
    layout = _timed(netlist, placements, facts, technology, timer, clock_ps, first)
    return layout if clock_ps is None else _repaired(layout, placements, facts, technology, timer, clock_ps)


def _timed(
    netlist: Netlist,
    placements: Sequence[Placement],
    facts: Wires,
    technology: Technology,
    timer: Callable[[Netlist, Technology, Interconnect], Timing],
    clock_ps: float | None,
    first: Interconnect | None = None,
) -> Layout:
    """The placement of the median delay; `first` are the wires of the first where they are known."""
    start = first or interconnect(netlist, placements[0], facts, technology.load)
    every = [start, *(interconnect(netlist, each, facts, technology.load) for each in placements[1:])]
    found = [timer(netlist, technology, wires) for wires in every]
    delays = tuple(each.delay_ps for each in found)
    middle = sorted(range(len(found)), key=lambda k: (delays[k], k))[(len(found) - 1) // 2]
    return Layout(netlist, placements[middle], every[middle], found[middle], delays, clock_ps)


def _repaired(
    layout: Layout,
    placements: Sequence[Placement],
    facts: Wires,
    technology: Technology,
    timer: Callable[[Netlist, Technology, Interconnect], Timing],
    clock_ps: float,
) -> Layout:
    """`layout` repaired for the wires of its median placement, and placed again, until it meets its clock."""
    best = now = layout
    for _ in range(_REPAIRS):
        if now.delay_ps <= clock_ps:
            break
        netlist = repaired(now.netlist, technology, now.wires, clock_ps)
        if netlist is now.netlist:
            break
        placements = place_again(netlist, facts, now.netlist, placements)
        now = _timed(netlist, placements, facts, technology, timer, clock_ps)
        best = min(best, now, key=lambda each: each.delay_ps)
    return best if best is layout else replace(best, unrepaired_ps=layout.delay_ps)
