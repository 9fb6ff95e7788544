"""Energy of an operation from the switching of every net of a mapped netlist.

    E = Σ_nets n · ½·C·V²  +  Σ_pins n · E_cell

n is how often a net switches in one operation, that is between one operand pair and the next; C the capacitance of
the inputs that it drives (and of the technology's output load); E_cell what the library says a transition of a
cell's output, or of an input alone, costs inside the cell: the mean over its conditions. There are no wires.

Two figures, because gates have delays. *Settled* counts the difference between the settled values of consecutive
pairs: no hazard, a lower bound. *Timed* lets each gate pass every change of its inputs on after its own delay, the
mean of rise and fall at its load: hazards are counted and none is filtered, an upper estimate.

The operands come as sequences, for example those that one multiplier of an array meets.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amhw.synth.boolean import function
from amhw.synth.library import ENERGY_SLEW
from amhw.synth.netlist import ONE, ZERO, Gate, Netlist
from amhw.synth.technology import Technology
from amhw.synth.timing import loads_of, timing
from amhw.synth.truth import Words, bit_planes, evaluate

_EVERY = np.uint64(0xFFFF_FFFF_FFFF_FFFF)

ASSUMPTIONS = (
    "typical corner; no wires; input pins charged at this netlist's expense; outputs drive the technology's load; "
    "internal energies are means over the library's conditions at one slew and load; settled counts no hazards, "
    "timed counts all and filters none; leakage lasts one critical path"
)


@dataclass(frozen=True)
class Energy:
    """Energy of one operation, fJ, over `operations` of them.

    Attributes:
        settled_fj, timed_fj: without and with hazards; each is net and internal energy together.
        net_fj, internal_fj: the two parts of `settled_fj`.
        leakage_fj: of all cells during one critical path.
        toggles, timed_toggles: transitions of nets in one operation.
    """

    operations: int
    settled_fj: float
    timed_fj: float
    net_fj: float
    internal_fj: float
    leakage_fj: float
    toggles: float
    timed_toggles: float

    def record(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


def energy(
    netlist: Netlist, technology: Technology, operands: Mapping[str, NDArray[np.integer]], *, steps: int = 64
) -> Energy:
    """The energy of a combinational netlist whose inputs take the codes `operands` one after the other.

    Args:
        operands: for each input port a sequence of codes, all of one length ≥ 2.
        steps: time steps in the critical path, to which the gates' delays are rounded.

    Raises:
        ValueError: the netlist has registers, or the sequences do not fit it.
    """
    if netlist.flip_flops:
        raise ValueError(f"{netlist.top} has registers; the energy is of combinational netlists")
    sequences = {name: np.asarray(codes) for name, codes in operands.items()}
    lengths = {codes.size for codes in sequences.values()}
    if set(sequences) != set(netlist.inputs) or len(lengths) != 1 or min(lengths) < 2:
        raise ValueError(f"operands for {', '.join(netlist.inputs)} wanted: sequences of one length, at least 2")
    count = lengths.pop() - 1
    before = evaluate(netlist, {name: codes[:-1] for name, codes in sequences.items()})
    after = evaluate(netlist, {name: codes[1:] for name, codes in sequences.items()})
    mask = next(iter(bit_planes(np.ones(count, dtype=np.int64), 1)))
    settled = {net: _ones((before[net] ^ after[net]) & mask) / count for net in before}
    delay = timing(netlist, technology).delay_ps
    timed = {net: n / count for net, n in _timed(netlist, technology, before, after, mask, delay / steps).items()}
    net_fj, internal_fj = _cost(netlist, technology, settled)
    return Energy(
        operations=count,
        settled_fj=net_fj + internal_fj,
        timed_fj=sum(_cost(netlist, technology, timed)),
        net_fj=net_fj,
        internal_fj=internal_fj,
        leakage_fj=sum(gate.cell.leakage for gate in netlist.gates) * delay * 1e-6,  # nW · ps = 10⁻⁶ fJ
        toggles=sum(settled.values()),
        timed_toggles=sum(timed.values()),
    )


def _cost(netlist: Netlist, technology: Technology, toggles: Mapping[int, float]) -> tuple[float, float]:
    """What the nets' and the cells' part cost, fJ."""
    loads = loads_of(netlist, technology.load)
    square = technology.library.voltage**2 / 2
    nets = sum(n * (loads[net][0] + loads[net][1]) / 2 * square for net, n in toggles.items() if net in loads)
    cells = sum(
        toggles.get(gate.nets.get(name, ZERO), 0.0) * cost
        for gate in netlist.gates
        for name, cost in [(pin.name, pin.energy) for pin in gate.cell.inputs]
        + [(pin.name, pin.energy) for pin in gate.cell.outputs]
    )
    return nets, cells


def _timed(
    netlist: Netlist,
    technology: Technology,
    before: Mapping[int, Words],
    after: Mapping[int, Words],
    mask: Words,
    step: float,
) -> dict[int, int]:
    """How often each net switches when every gate has its delay, in steps of `step` ps.

    A net's waveform is its value after each of the times at which it may change.
    """
    toggles: dict[int, int] = {}
    waveforms: dict[int, dict[int, Words]] = {ZERO: {}, ONE: {}}
    for nets in netlist.inputs.values():
        for net in nets:
            waveforms[net] = {0: after[net]}
            toggles[net] = _ones((before[net] ^ after[net]) & mask)
    loads = loads_of(netlist, technology.load)
    for gate in netlist.gates:
        sources = {pin.name: gate.nets[pin.name] for pin in gate.cell.inputs}
        times = sorted({time for net in sources.values() for time in waveforms[net]})
        for output in gate.cell.outputs:
            if output.name not in gate.nets:
                continue
            net = gate.nets[output.name]
            delay = max(1, round(_delay(gate, output.name, loads.get(net, (0.0, 0.0))) / step)) if step else 1
            computed = function(output.function, tuple(sources))
            now = {pin: before[source] for pin, source in sources.items()}
            value, waveform, count = before[net], {}, 0
            for time in times:
                for pin, source in sources.items():
                    if time in waveforms[source]:
                        now[pin] = waveforms[source][time]
                new = computed(now, _EVERY)
                changes = _ones((new ^ value) & mask)
                if changes:
                    waveform[time + delay] = value = new
                    count += changes
            waveforms[net], toggles[net] = waveform, count
    return toggles


def _delay(gate: Gate, output: str, load: tuple[float, float]) -> float:
    """The mean over arcs, rise and fall, ps."""
    (found,) = (pin for pin in gate.cell.outputs if pin.name == output)
    delays = [
        delay.at(ENERGY_SLEW, load[e]) for arc in found.arcs for e, delay in enumerate((arc.cell_rise, arc.cell_fall))
    ]
    return sum(delays) / len(delays) if delays else 0.0


def _ones(words: Words) -> int:
    return int(np.bitwise_count(words).sum())
