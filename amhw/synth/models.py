"""Verilog of the cells themselves, so that a mapped netlist can be simulated anywhere.

Functions only, no delays: what Liberty's `function` and `ff` say, in Verilog's operators, so that an unknown at one
input of a gate is no unknown at its output where another input decides.
"""

from collections.abc import Iterable, Sequence

from amhw.synth.boolean import Term, function
from amhw.synth.library import Cell, FlipFlop, Library


def cell_models(library: Library, names: Iterable[str]) -> str:
    """A Verilog module for each cell of `library` in `names`.

    >>> from amhw.synth.technology import Technology
    >>> print(cell_models(Technology.named("sky130hd").library, ["sky130_fd_sc_hd__nand2_1"]))
    module sky130_fd_sc_hd__nand2_1(input A, input B, output Y);
      assign Y = (~A | ~B);
    endmodule
    <BLANKLINE>
    """
    return "\n".join(_model(library.cells[name]) for name in sorted(set(names)))


def _model(cell: Cell) -> str:
    inputs = [pin.name for pin in cell.inputs]
    ports = [*(f"input {name}" for name in inputs), *(f"output {pin.name}" for pin in cell.outputs)]
    lines = [f"module {cell.name}({', '.join(ports)});"]
    if cell.flip_flop is not None:
        lines += _state(cell.flip_flop, inputs)
        inputs = [*inputs, *cell.flip_flop.state]
    for output in cell.outputs:
        lines.append(_assign(output.name, output.function, inputs))
    return "\n".join([*lines, "endmodule", ""])


def _state(flip_flop: FlipFlop, inputs: Sequence[str]) -> list[str]:
    state, inverse = flip_flop.state
    seen = [*inputs, state, inverse]
    lines = [f"  reg {state};", f"  wire {inverse} = ~{state};", "  wire amhw_clock, amhw_next;"]
    lines += [_assign("amhw_clock", flip_flop.clocked_on, inputs), _assign("amhw_next", flip_flop.next_state, seen)]
    events, branches = ["posedge amhw_clock"], ""
    for name, expression, value in (("amhw_clear", flip_flop.clear, 0), ("amhw_preset", flip_flop.preset, 1)):
        if expression:
            lines += [f"  wire {name};", _assign(name, expression, inputs)]
            events.append(f"posedge {name}")
            branches += f"if ({name}) {state} <= {value}; else "
    return [*lines, f"  always @({' or '.join(events)}) {branches}{state} <= amhw_next;"]


def _assign(name: str, expression: str, inputs: Sequence[str]) -> str:
    terms = {each: _Term(each) for each in inputs}
    return f"  assign {name} = {function(expression, tuple(inputs))(terms, _Term('1')).text};"


class _Term(Term):
    """In Verilog an inversion has an operator of its own."""

    def __xor__(self, other: Term) -> Term:
        if other.text == "1":
            return _Term("0" if self.text == "1" else f"~{self.text}")
        return super().__xor__(other)
