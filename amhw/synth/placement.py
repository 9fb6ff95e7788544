"""Where a netlist's cells stand: rows of cells, placed by Coloquinte.

A cell is as wide as its area divided by the height of a row. The core is a square, so large that the cells fill
`UTILISATION` of it; ports stand around its edge at even distances, clockwise from its lower left corner, inputs
first, in the order of the netlist and from the least significant bit. A pin is taken to be in the middle of its
cell. Coloquinte (G. Gouvine) minimises the sum of the nets' half perimeters; equal netlists and seeds give equal
placements, and so do equal ones to begin from.
"""

import json
import math
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amhw.extras import optional
from amhw.refusal import Refusal
from amhw.synth.failure import SynthesisError
from amhw.synth.netlist import ONE, ZERO, Netlist
from amhw.synth.process import LONGEST_S, why
from amhw.synth.wires import Wires
from amhw.workers import available_cores

UTILISATION = 0.6
"""The share of the core that cells fill; the rest is for wires."""

SEEDS = (1, 2, 3)
"""The placements that a figure is the median of."""

_PLACER = Path(__file__).with_name("placer.py")
_UNIT = 0.01
"""Of Coloquinte's coordinates, µm."""

_LARGE = 10_000
"""From so many cells on, where a placement takes seconds, each has a process of its own."""

_HUGE = 100_000
"""From so many cells on, where a placement takes minutes, one has to do."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Placement:
    """A core `width` × `height` µm with the middle of each gate, in the order of `Netlist.instances`, and of each port.

    `ports` has the bits' names (`p[3]`); `row_height` is in µm.
    """

    width: float
    height: float
    row_height: float
    gates: tuple[Point, ...] = field(repr=False)
    ports: Mapping[str, Point] = field(repr=False, hash=False)
    seed: int

    @property
    def area_um2(self) -> float:
        """Of the core."""
        return self.width * self.height


def place(netlist: Netlist, wires: Wires, seeds: Sequence[int] | None = None) -> list[Placement]:
    """Place the cells of `netlist`, once for each seed; by default for `SEEDS`, a very large one for the first alone.

    Raises:
        Refusal: Coloquinte is not installed, or the netlist has memories, which have no size here.
        SynthesisError: Coloquinte failed.
    """
    seeds = seeds or (SEEDS if len(netlist.instances) < _HUGE else SEEDS[:1])
    return _placed(netlist, wires, seeds, [None] * len(seeds))


def place_again(netlist: Netlist, wires: Wires, before: Netlist, placements: Sequence[Placement]) -> list[Placement]:
    """Place `netlist`, which is `before` with cells sized and nets buffered, near where `placements` has its cells.

    A buffer begins in the middle of the gates that it drives, of which there is one or more. Only what overlaps is
    moved and neighbours are exchanged, as a flow does after it has sized a placed design: of 240,000 cells that takes a
    tenth of the time.

    Raises:
        SynthesisError: Coloquinte failed.
    """
    starts = [_where(netlist, before, placement) for placement in placements]
    return _placed(netlist, wires, [placement.seed for placement in placements], starts)


def _placed(
    netlist: Netlist, wires: Wires, seeds: Sequence[int], starts: Sequence[Sequence[Point] | None]
) -> list[Placement]:
    """Place the cells of `netlist`, for each seed from where they stand in `starts` if they do.

    Raises:
        Refusal: Coloquinte is not installed, or the netlist has memories, which have no size here.
        SynthesisError: Coloquinte failed.
    """
    optional("coloquinte", "place", "--place")
    if netlist.memories:
        raise Refusal(
            f"memories ({netlist.memories[0].name}) have no size here and cannot be placed; leave out --place"
        )
    gates = netlist.instances
    row = round(wires.row_height / _UNIT)
    widths = [math.ceil(gate.cell.area / wires.row_height / _UNIT - 1e-6) for gate in gates]
    area = sum(widths) * row / UTILISATION
    rows = max(1, round(math.sqrt(area) / row))
    width = max(math.ceil(area / rows / row), *widths, row)
    size = width * _UNIT, rows * row * _UNIT
    ports = {name: _on_edge(at, *size) for name, at in _evenly([name for name, _ in port_bits(netlist)])}
    question = {
        "width": width,
        "height": rows * row,
        "row": row,
        "cells": widths,
        "ports": [(round(x / _UNIT), round(y / _UNIT)) for x, y in ports.values()],
        "nets": _nets(netlist),
        "seeds": [*seeds],
        "starts": [None if start is None else _corners(start, widths, row) for start in starts],
    }
    places = _answered(question) if gates else [[] for _ in seeds]
    return [
        Placement(
            *size,
            wires.row_height,
            tuple(
                ((x + half / 2) * _UNIT, (y + row / 2) * _UNIT) for (x, y), half in zip(corners, widths, strict=True)
            ),
            ports,
            seed,
        )
        for corners, seed in zip(places, seeds, strict=True)
    ]


def _where(netlist: Netlist, before: Netlist, placement: Placement) -> list[Point]:
    """Where the gates of `netlist` stand, µm: those of `before` as placed."""
    stood = {gate.name: point for gate, point in zip(before.instances, placement.gates, strict=True)}
    for gate in reversed(netlist.gates):  # readers first: a buffer may drive another
        if gate.name not in stood:
            driven = {gate.nets[output.name] for output in gate.cell.outputs}
            x, y = zip(*(stood[reader.name] for net in driven for reader, _ in netlist.sinks[net]), strict=True)
            stood[gate.name] = math.fsum(x) / len(x), math.fsum(y) / len(y)
    return [stood[gate.name] for gate in netlist.instances]


def _corners(middles: Sequence[Point], widths: Sequence[int], row: int) -> list[tuple[int, int]]:
    """The lower left corners of cells with these middles, in Coloquinte's units."""
    return [
        (round(x / _UNIT - width / 2), round(y / _UNIT - row / 2))
        for (x, y), width in zip(middles, widths, strict=True)
    ]


def _answered(question: dict[str, Any]) -> list[list[Point]]:
    """What Coloquinte answers: all seeds in one process, or where they take long as many at once as there are cores."""
    if len(question["cells"]) < _LARGE:
        return _asked(question)
    parts = [
        {**question, "seeds": [seed], "starts": [start]}
        for seed, start in zip(question["seeds"], question["starts"], strict=True)
    ]
    with ThreadPoolExecutor(available_cores()) as threads:
        return [places for part in threads.map(_asked, parts) for places in part]


def _asked(question: dict[str, Any]) -> list[list[Point]]:
    """What Coloquinte answers, in a process of its own: it prints what it does."""
    try:
        run = subprocess.run(
            [sys.executable, "-P", str(_PLACER)],
            input=json.dumps(question),
            capture_output=True,
            text=True,
            check=False,
            timeout=LONGEST_S,
            encoding="utf-8",
        )
    except subprocess.TimeoutExpired:
        raise SynthesisError(f"Coloquinte took longer than {LONGEST_S} s and was stopped") from None
    if run.returncode:
        raise SynthesisError(f"Coloquinte failed: {why(run.stderr, run.returncode)}")
    places: list[list[Point]] = json.loads(run.stdout)["places"]
    return places


def port_bits(netlist: Netlist) -> Iterator[tuple[str, int]]:
    """The bits of the ports with their nets, inputs first: name and net."""
    for name, nets in [*netlist.inputs.items(), *netlist.outputs.items()]:
        for k, net in enumerate(nets):
            yield (f"{name}[{k}]" if len(nets) > 1 else name), net


def clocks_of(netlist: Netlist) -> set[int]:
    """The nets that clock registers; the clock is ideal and has no wires."""
    return {gate.nets[pin.name] for gate in netlist.flip_flops for pin in gate.cell.inputs if pin.is_clock}


def _nets(netlist: Netlist) -> list[list[int]]:
    """For each net with a wire the gates, and after them the ports, on it."""
    pins: dict[int, list[int]] = {}
    for number, gate in enumerate(netlist.instances):
        for net in gate.nets.values():
            pins.setdefault(net, []).append(number)
    for number, (_, net) in enumerate(port_bits(netlist), len(netlist.instances)):
        pins.setdefault(net, []).append(number)
    none = {ZERO, ONE, *clocks_of(netlist)}
    return [found for net, found in pins.items() if net not in none and len(set(found)) > 1]


def _evenly(names: list[str]) -> Iterator[tuple[str, float]]:
    """Each port with how far around the core it stands, 0 … 4 sides."""
    for k, name in enumerate(names):
        yield name, 4 * (k + 0.5) / len(names)


def _on_edge(at: float, width: float, height: float) -> Point:
    side, along = int(at), at - int(at)
    return (
        (0.0, along * height),
        (along * width, height),
        (width, (1 - along) * height),
        ((1 - along) * width, 0.0),
    )[side]
