"""Simulator side: AXI4-Streams driven and monitored cycle by cycle, with random stalls.

One coroutine drives the clock and every stream, which costs two simulator steps a cycle and keeps the order of events
the same in every simulator. The monitor holds the design to the protocol: a valid beat stays valid and unchanged
until it is accepted, and no bit of it is unknown.
"""

from collections import deque
from collections.abc import Iterable
from typing import Any

import numpy as np
from cocotb.triggers import Timer


class Streams:
    """The clock, the reset and all streams of a design.

    Attributes:
        cycle: cycles since the start.
        sent: for each input stream, the cycle in which each beat was accepted.
        received: for each output stream, (cycle, tdata, tlast) of each beat.
        stalls: probability that a side of a stream stalls in a cycle.
    """

    def __init__(self, dut: Any, inputs: Iterable[str], outputs: Iterable[str], seed: int) -> None:
        self._dut = dut
        self._random = np.random.default_rng(seed)
        self._half = Timer(1, "ns")
        self.cycle = 0
        self.stalls = 0.0
        self.waiting: dict[str, deque[tuple[int, bool]]] = {name: deque() for name in inputs}
        self.sent: dict[str, list[int]] = {name: [] for name in self.waiting}
        self.received: dict[str, list[tuple[int, int, bool]]] = {name: [] for name in outputs}
        self._offering: dict[str, bool] = dict.fromkeys(self.waiting, False)
        self._offered: dict[str, tuple[int, int] | None] = dict.fromkeys(self.received)
        ports = {port: getattr(dut, port, None) for name in (*self.waiting, *self.received) for port in _ports(name)}
        self._ports = {port: handle for port, handle in ports.items() if handle is not None}
        self._driven: dict[str, int] = {}

    async def reset(self, cycles: int = 3) -> None:
        """Hold the reset; what was waiting or half sent is dropped."""
        for name in self.waiting:
            self.waiting[name].clear()
            self._offering[name] = False
            self._drive(f"{name}_tvalid", 0)
        for name in self.received:
            self._offered[name] = None
            self._drive(f"{name}_tready", 0)
        self._dut.rst.value = 1
        for _ in range(cycles):
            await self._clock()
        self._dut.rst.value = 0

    def send(self, name: str, beats: Iterable[int], last: bool = True) -> None:
        """Queue the beats of a packet."""
        beats = list(beats)
        self.waiting[name].extend((beat, last and k == len(beats) - 1) for k, beat in enumerate(beats))

    async def run(self, name: str, count: int, limit: int) -> None:
        """Go on until `count` beats of the output stream `name` have come, `limit` cycles at most."""
        end = self.cycle + limit
        while len(self.received[name]) < count:
            assert self.cycle < end, f"{len(self.received[name])} of {count} beats after {limit} cycles"
            await self.step()

    async def step(self) -> None:
        """One cycle."""
        ports = self._ports
        draws = iter(self._random.random(len(self.waiting) + len(self.received)).tolist() if self.stalls else [])
        for name, queue in self.waiting.items():
            stalled = self.stalls and next(draws) < self.stalls
            if not self._offering[name] and queue and not stalled:
                beat, last = queue[0]
                self._drive(f"{name}_tdata", beat)
                self._drive(f"{name}_tlast", int(last))
                self._offering[name] = True
            self._drive(f"{name}_tvalid", int(self._offering[name]))
        for name in self.received:
            self._drive(f"{name}_tready", int(not (self.stalls and next(draws) < self.stalls)))
        await self._low()
        for name, queue in self.waiting.items():
            if self._offering[name] and int(ports[f"{name}_tready"].value):
                queue.popleft()
                self.sent[name].append(self.cycle)
                self._offering[name] = False
        for name, beats in self.received.items():
            valid, ready = int(ports[f"{name}_tvalid"].value), int(ports[f"{name}_tready"].value)
            before = self._offered[name]
            if valid:
                now = (int(ports[f"{name}_tdata"].value), int(ports[f"{name}_tlast"].value))
                assert before in (None, now), f"{name} changed from {before} to {now} before it was taken"
                self._offered[name] = None if ready else now
                if ready:
                    beats.append((self.cycle, now[0], bool(now[1])))
            else:
                assert before is None, f"{name} took back what it had offered"
        await self._high()

    def _drive(self, port: str, value: int) -> None:
        """Write where something changes: every access of the simulator costs more than the rest of a cycle."""
        if port in self._ports and self._driven.get(port) != value:
            self._driven[port] = value
            self._ports[port].value = value

    async def _clock(self) -> None:
        await self._low()
        await self._high()

    async def _low(self) -> None:
        self._dut.clk.value = 0
        await self._half

    async def _high(self) -> None:
        self._dut.clk.value = 1
        await self._half
        self.cycle += 1


def _ports(name: str) -> list[str]:
    return [f"{name}_{part}" for part in ("tdata", "tvalid", "tready", "tlast")]


def lanes_to_beat(values: Iterable[int], bits: int) -> int:
    """One beat of lanes, lane 0 lowest."""
    beat = 0
    for k, value in enumerate(values):
        beat |= (int(value) & ((1 << bits) - 1)) << (k * bits)
    return beat


def beat_to_lanes(beat: int, bits: int, count: int) -> list[int]:
    """The signed lanes of a beat."""
    half = 1 << (bits - 1)
    return [((beat >> (k * bits) & ((1 << bits) - 1)) ^ half) - half for k in range(count)]
