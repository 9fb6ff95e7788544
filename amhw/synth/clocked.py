"""What the registers of a mapped netlist hold, clock by clock.

The netlist becomes one Python function from the values of inputs and registers in a clock to those of the registers in
the next; it is called once a clock. What gates do in between is a matter of `amhw.synth.energy`.
"""

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from amhw.refusal import Refusal
from amhw.synth.boolean import Term, function
from amhw.synth.netlist import ONE, ZERO, Gate, Netlist
from amhw.synth.timing import register_name

Bits = NDArray[np.uint8]


def clock_of(netlist: Netlist) -> str | None:
    """The input port that clocks every register of `netlist`; None where there are no registers.

    Raises:
        Refusal: there are memories, or several clocks or edges, or gates make the clock or read it.
    """
    top = netlist.top
    if netlist.memories:
        stores = ", ".join(memory.name for memory in netlist.memories[:4])
        raise Refusal(
            f"{top} has memories ({stores}), whose energy no cell library knows; choose a module without by --top"
        )
    if not netlist.flip_flops:
        return None
    pins = {(gate.nets[_clock_pin(gate)], _rises(gate)) for gate in netlist.flip_flops}
    nets = {net for net, _ in pins}
    names = {net: name for name, port in netlist.inputs.items() for net in port}
    inside = {
        net: netlist.names.get(net, f"a gate (at {register_name(netlist, gate)})")
        for gate in netlist.flip_flops
        if (net := gate.nets[_clock_pin(gate)]) not in names
    }
    if inside:
        raise Refusal(
            f"{top} has registers clocked by {', '.join(sorted(set(inside.values()))[:4])}, not by an input: "
            "gated, divided or inverted"
        )
    if len(nets) > 1:
        raise Refusal(f"{top} has several clocks: {', '.join(sorted(names[net] for net in nets)[:4])}; one is wanted")
    if len(pins) > 1:
        raise Refusal(f"{top} has registers on both edges of {names[nets.pop()]}; one edge is wanted")
    ((clock, _),) = pins
    if len(netlist.inputs[names[clock]]) > 1:
        raise Refusal(f"the clock of {top} is one bit of the port {names[clock]}; a port of its own is wanted")
    read = any(pin != _clock_pin(gate) if gate.cell.flip_flop else True for gate, pin in netlist.sinks[clock])
    if read or any(clock in nets for nets in netlist.outputs.values()):
        raise Refusal(f"{top} uses its clock {names[clock]} as data too; its energy is not counted")
    return names[clock]


def states(netlist: Netlist, inputs: Mapping[int, Bits]) -> dict[int, Bits]:
    """The values, clock by clock, of every net that a register drives, from those of the input nets.

    All registers are 0 before the first clock. In clock t the inputs have their t-th values; what registers then take
    over they hold in clock t + 1. An asynchronous clear or preset acts in its own clock.

    Raises:
        Refusal: a clear or preset comes from registers.
    """
    length = len(next(iter(inputs.values()))) if inputs else 0
    nets = list(inputs)
    step = _compiled(netlist, nets)
    held: Sequence[int] = (0,) * len(netlist.flip_flops)
    outputs = [
        gate.nets[output.name]
        for gate in netlist.flip_flops
        for output in gate.cell.outputs
        if output.name in gate.nets
    ]
    seen = np.empty((length, len(outputs)), dtype=np.uint8)
    rows = np.stack([inputs[net] for net in nets], axis=1) if nets else np.empty((length, 0), dtype=np.uint8)
    for clock in range(length):
        shown, held = step(rows[clock].tolist(), held)
        seen[clock] = shown
    columns = np.ascontiguousarray(seen.T)
    return dict(zip(outputs, columns, strict=True))


_Step = Callable[[Sequence[int], Sequence[int]], tuple[Sequence[int], Sequence[int]]]


def _compiled(netlist: Netlist, inputs: Sequence[int]) -> _Step:
    early = {ZERO, ONE, *inputs}
    before: list[str] = []
    after: list[str] = []
    for gate in netlist.gates:
        independent = all(gate.nets[pin.name] in early for pin in gate.cell.inputs)
        for output in gate.cell.outputs:
            if output.name in gate.nets:
                net = gate.nets[output.name]
                (before if independent else after).append(f"n{net} = {_expression(output.function, gate)}")
                if independent:
                    early.add(net)
    forced, held, following = [], [], []
    for k, gate in enumerate(netlist.flip_flops):
        flip_flop = gate.cell.flip_flop
        assert flip_flop is not None
        state = {flip_flop.state[0]: f"q{k}", flip_flop.state[1]: f"(q{k} ^ 1)"}
        following.append(_expression(flip_flop.next_state, gate, state))
        for expression, value in ((flip_flop.preset, 1), (flip_flop.clear, 0)):  # a clear wins
            if not expression:
                continue
            pins = set(re.findall(r"\w+", expression)) & gate.nets.keys()
            if not all(gate.nets[pin] in early for pin in pins):
                name = register_name(netlist, gate)
                raise Refusal(f"the asynchronous reset of {name} comes from registers; its energy is not counted")
            active = _expression(expression, gate)
            forced.append(f"if {active}: q{k} = {value}")
            following[-1] = f"({value} if {active} else {following[-1]})"
        for output in gate.cell.outputs:
            if output.name in gate.nets:
                held.append((gate.nets[output.name], _expression(output.function, gate, state)))
    lines = [
        "def step(inputs, held):",
        *([f"{', '.join(f'n{net}' for net in inputs)}, = inputs"] if inputs else []),
        *([f"{', '.join(f'q{k}' for k in range(len(following)))}, = held"] if following else []),
        *before,
        *forced,
        *(f"n{net} = {expression}" for net, expression in held),
        *after,
        f"return ({''.join(f'n{net}, ' for net, _ in held)}), ({''.join(f'{each}, ' for each in following)})",
    ]
    space: dict[str, _Step] = {}
    exec("\n    ".join(lines), space)  # of names and operators that are ours
    return space["step"]


def _expression(expression: str, gate: Gate, state: Mapping[str, str] | None = None) -> str:
    names = {pin.name: _name(gate.nets.get(pin.name, ZERO)) for pin in gate.cell.inputs} | dict(state or {})
    terms = {name: Term(text) for name, text in names.items()}
    return str(function(expression, tuple(names))(terms, Term("1")))


def _name(net: int) -> str:
    return {ZERO: "0", ONE: "1"}.get(net, f"n{net}")


def _clock_pin(gate: Gate) -> str:
    return next(pin.name for pin in gate.cell.inputs if pin.is_clock)


def _rises(gate: Gate) -> bool:
    assert gate.cell.flip_flop is not None
    clocked_on = function(gate.cell.flip_flop.clocked_on, (_clock_pin(gate),))
    return bool(clocked_on({_clock_pin(gate): 1}, 1))
