"""Energy from the switching of every net of a mapped netlist.

    E = Σ_nets n · ½·C·V²  +  Σ_pins n · E_cell

n is how often a net switches in one operation, that is between one set of inputs and the next, or from clock to clock;
C the capacitance of the inputs that it drives (and of the technology's output load); E_cell what the library says a
transition of a cell's output, or of an input alone, costs inside the cell: the mean over its conditions. There are no
wires.

Two figures, because gates have delays. *Settled* counts the difference between the settled values of consecutive
operations: no hazard, a lower bound. *Timed* lets each gate pass every change of its inputs on after its own delay, the
mean of rise and fall at its load: hazards are counted and none is filtered, an upper estimate.

In a design with registers (one clock, one edge, no memories) an operation is a clock. Registers switch their outputs
after their clock-to-output delay, inputs at once. Three parts are told apart: *data*, all nets and gates; *registers*,
inside flip-flops because of what they store; *clock*, what two edges a clock cost in the clock pins and inside
flip-flops, whether they store anything new or not. There is no clock tree.

The inputs come as sequences, for example those that one multiplier of an array meets.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amhw.synth.boolean import function
from amhw.synth.clocked import Bits, clock_of, states
from amhw.synth.library import ENERGY_SLEW
from amhw.synth.netlist import ONE, ZERO, Gate, Netlist
from amhw.synth.technology import Technology
from amhw.synth.timing import loads_of, timing
from amhw.synth.truth import Words, packed, planes, settled

_EVERY = np.uint64(0xFFFF_FFFF_FFFF_FFFF)

ASSUMPTIONS = (
    "typical corner; no wires; input pins charged at this netlist's expense; outputs drive the technology's load; "
    "internal energies are means over the library's conditions at one slew and load; settled counts no hazards, "
    "timed counts all and filters none; leakage lasts one critical path"
)

CLOCK_ASSUMPTION = "two clock edges a clock at every flip-flop, no clock tree, no clock gating"


@dataclass(frozen=True)
class Energy:
    """Energy of one operation, or of one clock where there are registers, fJ, over `operations` of them.

    Attributes:
        settled_fj, timed_fj: without and with hazards; each is everything but leakage.
        net_fj, internal_fj: two parts of `settled_fj`: charging of nets, and inside cells.
        leakage_fj: of all cells during one critical path.
        toggles, timed_toggles: transitions of nets but the clock in one operation.
        registers_fj, timed_registers_fj: inside flip-flops, because of what they store.
        clock_fj: in clock pins and inside flip-flops because of the clock.
        by_scope: of each instance in a hierarchy, the settled and the timed energy of its own cells and of the nets
            that they drive; inputs count for the top, which is the empty name.
    """

    operations: int
    settled_fj: float
    timed_fj: float
    net_fj: float
    internal_fj: float
    leakage_fj: float
    toggles: float
    timed_toggles: float
    registers_fj: float = 0.0
    timed_registers_fj: float = 0.0
    clock_fj: float = 0.0
    by_scope: Mapping[str, tuple[float, float]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def data_fj(self) -> float:
        """The part of `settled_fj` in nets and gates."""
        return self.settled_fj - self.registers_fj - self.clock_fj

    @property
    def timed_data_fj(self) -> float:
        """The part of `timed_fj` in nets and gates."""
        return self.timed_fj - self.timed_registers_fj - self.clock_fj

    def record(self) -> dict[str, Any]:
        """All of it but `by_scope`, for JSON."""
        figures = vars(self) | {"data_fj": self.data_fj, "timed_data_fj": self.timed_data_fj}
        return {name: round(value, 4) for name, value in figures.items() if name != "by_scope"}


def energy(
    netlist: Netlist,
    technology: Technology,
    operands: Mapping[str, NDArray[Any]],
    *,
    steps: int = 64,
    skip: int = 0,
) -> Energy:
    """The energy of a netlist whose inputs take the values `operands` one after the other.

    Args:
        operands: for each input port but the clock a sequence of codes, or of bits, uint8[length, width] from the
            least significant up; all of one length ≥ 2.
        steps: time steps in the critical path, to which the gates' delays are rounded.
        skip: so many operations come first and are not counted.

    Raises:
        ValueError: the sequences do not fit the netlist.
        Refusal: its registers are not of the kind that can be counted (see `amhw.synth.clocked`).
    """
    clock = clock_of(netlist)
    wanted = {name: nets for name, nets in netlist.inputs.items() if name != clock}
    lengths = {len(values) for values in operands.values()}
    if set(operands) != set(wanted) or len(lengths) != 1 or min(lengths) < skip + 2:
        raise ValueError(f"operands for {', '.join(wanted)} wanted: sequences of one length, at least {skip + 2}")
    bits: dict[int, Bits] = {}
    for name, nets in wanted.items():
        bits.update(zip(nets, _bits(name, operands[name], len(nets)), strict=True))
    if netlist.flip_flops:
        bits.update(states(netlist, bits))
    count = lengths.pop() - 1 - skip
    before = settled(netlist, planes({net: values[skip:-1] for net, values in bits.items()}))
    after = settled(netlist, planes({net: values[skip + 1 :] for net, values in bits.items()}))
    mask = packed(np.ones(count, dtype=np.uint8))
    switched = {net: _ones((before[net] ^ after[net]) & mask) / count for net in before}
    delay = timing(netlist, technology).delay_ps
    timed = {net: n / count for net, n in _timed(netlist, technology, bits, before, after, mask, delay / steps).items()}
    quiet, hazardous = (_cost(netlist, technology, toggles) for toggles in (switched, timed))
    return Energy(
        operations=count,
        settled_fj=quiet.total,
        timed_fj=hazardous.total,
        net_fj=quiet.nets + quiet.clock_nets,
        internal_fj=quiet.gates + quiet.registers + quiet.clock_cells,
        leakage_fj=sum(gate.cell.leakage for gate in netlist.instances) * delay * 1e-6,  # nW · ps = 10⁻⁶ fJ
        toggles=sum(switched.values()),
        timed_toggles=sum(timed.values()),
        registers_fj=quiet.registers,
        timed_registers_fj=hazardous.registers,
        clock_fj=quiet.clock_nets + quiet.clock_cells,
        by_scope={scope: (fj, hazardous.by_scope[scope]) for scope, fj in quiet.by_scope.items()},
    )


def _bits(name: str, values: NDArray[Any], width: int) -> Iterable[Bits]:
    """Bit k of every value, for k from 0 up."""
    if values.ndim == 2:
        if values.shape[1] != width:
            raise ValueError(f"bits of {name} have the shape [length, {width}], not {list(values.shape)}")
        return values.astype(np.uint8).T
    return ((values >> (k if values.dtype == object else min(k, 63)) & 1).astype(np.uint8) for k in range(width))


class _Cost:
    """Where energy goes, fJ."""

    def __init__(self) -> None:
        self.nets = self.gates = self.registers = self.clock_nets = self.clock_cells = 0.0
        self.by_scope: defaultdict[str, float] = defaultdict(float)

    @property
    def total(self) -> float:
        """All of it."""
        return self.nets + self.gates + self.registers + self.clock_nets + self.clock_cells


def _cost(netlist: Netlist, technology: Technology, toggles: Mapping[int, float]) -> _Cost:
    cost = _Cost()
    loads = loads_of(netlist, technology.load)
    square = technology.library.voltage**2 / 2
    drivers = {
        gate.nets[o.name]: gate.scope for gate in netlist.instances for o in gate.cell.outputs if o.name in gate.nets
    }
    for net, n in toggles.items():
        if net in loads:
            spent = n * (loads[net][0] + loads[net][1]) / 2 * square
            cost.nets += spent
            cost.by_scope[drivers.get(net, "")] += spent
    for gate in netlist.instances:
        into, out = (
            [toggles.get(gate.nets.get(pin.name, ZERO), 0.0) * pin.energy for pin in pins]
            for pins in (gate.cell.inputs, gate.cell.outputs)
        )
        if gate.cell.flip_flop is None:
            spent = sum(into) + sum(out)
            cost.gates += spent
        else:  # an output and its inverse switch at one event, which the library describes twice
            spent = sum(into) + max(out)
            cost.registers += spent
            for pin in gate.cell.inputs:
                if pin.is_clock:
                    cost.clock_nets += 2 * pin.capacitance * square
                    cost.clock_cells += 2 * pin.energy
                    spent += 2 * (pin.capacitance * square + pin.energy)
        cost.by_scope[gate.scope] += spent
    return cost


def _timed(
    netlist: Netlist,
    technology: Technology,
    bits: Mapping[int, Bits],
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
    loads = loads_of(netlist, technology.load)
    late = {
        gate.nets[output.name]: _delay(gate, output.name, loads.get(gate.nets[output.name], (0.0, 0.0)))
        for gate in netlist.flip_flops
        for output in gate.cell.outputs
        if output.name in gate.nets
    }
    for net in bits:
        waveforms[net] = {round(late.get(net, 0.0) / step) if step else 0: after[net]}
        toggles[net] = _ones((before[net] ^ after[net]) & mask)
    readers = Counter(net for gate in netlist.gates for net in {gate.nets[pin.name] for pin in gate.cell.inputs})
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
        for source in set(sources.values()) - {ZERO, ONE}:
            readers[source] -= 1
            if not readers[source]:  # of large netlists not all waveforms fit into memory
                del waveforms[source]
    return toggles


def _delay(gate: Gate, output: str, load: tuple[float, float]) -> float:
    """The mean over arcs from inputs, rise and fall, ps."""
    (found,) = (pin for pin in gate.cell.outputs if pin.name == output)
    inputs = {pin.name for pin in gate.cell.inputs}
    delays = [
        delay.at(ENERGY_SLEW, load[e])
        for arc in found.arcs
        if arc.related_pin in inputs
        for e, delay in enumerate((arc.cell_rise, arc.cell_fall))
    ]
    return sum(delays) / len(delays) if delays else 0.0


def _ones(words: Words) -> int:
    return int(np.bitwise_count(words).sum())
