"""A standard-cell library as plain values: what area and delay are computed from.

Units are fixed here, whatever the Liberty file used: µm², ps, fF. A `Library` turns into Liberty text
(`liberty_text`), the one form Yosys and ABC read. Cells keep what mapping and combinational timing need:
function, area, pin capacitances, and one timing arc for each (input, output) pair with delay and transition
tables over input slew and output load (the non-linear delay model, NLDM).
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from amhw.synth import boolean

IDENTIFIER = r"[A-Za-z_][A-Za-z0-9_]*"
"""What cells and pins may be called: it stands in netlists and in the tools' scripts as it is."""


@dataclass(frozen=True)
class Table:
    """`values[i][k]` in ps at input slew `slews[i]` ps and output load `loads[k]` fF.

    >>> Table((10.0, 50.0), (1.0, 9.0), ((20.0, 60.0), (30.0, 70.0))).at(30.0, 5.0)
    45.0
    """

    slews: tuple[float, ...]
    loads: tuple[float, ...]
    values: tuple[tuple[float, ...], ...]

    def at(self, slew: float, load: float) -> float:
        """The bilinear interpolation (extrapolated linearly outside) that static timing uses."""
        i, x = _place(self.slews, slew)
        k, y = _place(self.loads, load)
        rows = [row[k] if len(row) == 1 else row[k] * (1 - y) + row[k + 1] * y for row in self.values[i : i + 2]]
        return rows[0] if len(rows) == 1 else rows[0] * (1 - x) + rows[1] * x

    def at_points(self, slews: tuple[float, ...], loads: tuple[float, ...]) -> "Table":
        """The same surface sampled on other axes."""
        if (slews, loads) == (self.slews, self.loads):
            return self
        return Table(slews, loads, tuple(tuple(self.at(s, c) for c in loads) for s in slews))


def on_common_axes(tables: Sequence[Table]) -> list[Table]:
    """The same surfaces, each sampled at all points of any of them, so that none loses a bend.

    Points that differ by less than a thousandth count as one: a slope between them would be rounding alone.
    """
    if len({(table.slews, table.loads) for table in tables}) == 1:
        return list(tables)
    slews, loads = (_points(axes) for axes in zip(*((table.slews, table.loads) for table in tables), strict=True))
    return [table.at_points(slews, loads) for table in tables]


def _points(axes: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    """All points of all axes; an axis of one point says nothing of where its value holds."""
    real = [axis for axis in axes if len(axis) > 1] or axes[:1]
    points: list[float] = []
    for point in sorted(itertools.chain.from_iterable(real)):
        if not points or point - points[-1] > abs(point) / 1000:
            points.append(point)
    return tuple(points)


def worst(tables: Sequence[Table]) -> Table:
    """The largest value at each point of any of the tables."""
    same = on_common_axes(tables)
    rows = zip(*(table.values for table in same), strict=True)
    return replace(same[0], values=tuple(tuple(map(max, *row)) if len(row) > 1 else row[0] for row in rows))


def _place(axis: tuple[float, ...], x: float) -> tuple[int, float]:
    """Index of the segment of `axis` that serves `x`, and where in it `x` lies (0 … 1 when inside)."""
    if len(axis) == 1:
        return 0, 0.0
    i = 0
    while i < len(axis) - 2 and x >= axis[i + 1]:
        i += 1
    return i, (x - axis[i]) / (axis[i + 1] - axis[i])


@dataclass(frozen=True)
class Arc:
    """Delay from one input to one output: the worst over the input conditions the library distinguishes.

    Where some conditions invert and others do not, as in an XOR, there is one arc for each sense. The input may be
    another output of the cell.

    `sense` is `positive_unate`, `negative_unate` or `non_unate`; `kind` is Liberty's `timing_type`
    (`combinational`, `rising_edge`, …).
    """

    related_pin: str
    sense: str
    kind: str
    cell_rise: Table
    cell_fall: Table
    rise_transition: Table
    fall_transition: Table

    TABLES = ("cell_rise", "cell_fall", "rise_transition", "fall_transition")

    @property
    def tables(self) -> tuple[Table, ...]:
        """The four tables in the order of `Arc.TABLES`."""
        return tuple(getattr(self, name) for name in self.TABLES)


@dataclass(frozen=True)
class Input:
    """An input pin and what it loads its driver with, in fF, when the signal rises and falls.

    `energy` (fJ) is what a transition of the pin alone costs inside the cell; `setup` the times before the
    clock edge at which a rising and a falling datum must be there, over data slew and (as `loads`) clock slew.
    """

    name: str
    rise_capacitance: float
    fall_capacitance: float
    is_clock: bool = False
    energy: float = 0.0
    setup: tuple[Table, Table] | None = None

    @property
    def capacitance(self) -> float:
        """The mean of the two."""
        return (self.rise_capacitance + self.fall_capacitance) / 2


@dataclass(frozen=True)
class Output:
    """An output pin: its function in Liberty's notation, the load it may drive (fF), its arcs.

    `energy` (fJ) is what one transition costs inside the cell, without the load: the mean over the library's
    conditions, rise and fall, at `ENERGY_SLEW` and `ENERGY_LOAD`.
    """

    name: str
    function: str
    max_capacitance: float
    arcs: tuple[Arc, ...]
    energy: float = 0.0


ENERGY_SLEW, ENERGY_LOAD = 50.0, 6.0
"""Slew (ps) and load (fF) at which internal energies are taken: what a gate inside a multiplier sees."""


@dataclass(frozen=True)
class FlipFlop:
    """Liberty's `ff` group: the state's names and the expressions that clock, load, clear and preset it."""

    state: tuple[str, str]
    clocked_on: str
    next_state: str
    clear: str = ""
    preset: str = ""


@dataclass(frozen=True)
class Cell:
    """One standard cell; `flip_flop` is None for a combinational one; `leakage` is its mean, in nW."""

    name: str
    area: float
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    flip_flop: FlipFlop | None = None
    leakage: float = 0.0

    @property
    def clock_expression(self) -> str:
        """When a flip-flop samples; empty for a combinational cell."""
        return self.flip_flop.clocked_on.replace("'", "!") if self.flip_flop else ""

    @cached_property
    def in_order(self) -> tuple[Output, ...]:
        """The outputs, each after those from which it has arcs; the cell's order where they go in a circle."""
        left, ordered = {output.name: output for output in self.outputs}, list[Output]()
        while left:
            ready = [o for o in left.values() if not (left.keys() - {o.name}) & {arc.related_pin for arc in o.arcs}]
            ordered += ready or left.values()
            left = {name: output for name, output in left.items() if output not in ordered}
        return tuple(ordered)

    @cached_property
    def truth(self) -> int | None:
        """Truth table of a combinational cell with one output (see `boolean.truth_table`); else None."""
        if self.flip_flop is not None or len(self.outputs) != 1 or len(self.inputs) > 6:
            return None
        return boolean.truth_table(self.outputs[0].function, [pin.name for pin in self.inputs])


@dataclass(frozen=True)
class Library:
    """Cells under their names, and the library's own name.

    `max_transition` (ps) is the slew beyond which the tables say nothing; `voltage` (V) is the supply.
    """

    name: str
    cells: Mapping[str, Cell]
    max_transition: float
    voltage: float = 0.0
    _index: Mapping[tuple[int, int], Cell] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for cell in self.cells.values():
            inputs, outputs = ([pin.name for pin in pins] for pins in (cell.inputs, cell.outputs))
            for name in (cell.name, *inputs, *outputs, *(cell.flip_flop.state if cell.flip_flop else ())):
                if not re.fullmatch(IDENTIFIER, name):
                    raise ValueError(f"cell {cell.name!r}: {name!r} is no name that a netlist can carry")
        index: dict[tuple[int, int], Cell] = {}
        for cell in self.cells.values():
            if cell.truth is not None:
                best = index.get((len(cell.inputs), cell.truth))
                if best is None or cell.area < best.area:
                    index[len(cell.inputs), cell.truth] = cell
        object.__setattr__(self, "_index", index)

    def smallest(self, inputs: int, truth: int) -> Cell | None:
        """The smallest cell with that truth table (`Cell.truth`), or None."""
        return self._index.get((inputs, truth))

    def with_truth(self, inputs: int, truth: int) -> list[Cell]:
        """Every cell with that truth table, by area: one function's drive strengths."""
        found = [c for c in self.cells.values() if len(c.inputs) == inputs and c.truth == truth]
        return sorted(found, key=lambda cell: (cell.area, cell.name))

    def restricted_to(self, names: Iterable[str]) -> "Library":
        """The same library with those cells only."""
        kept = set(names)
        return replace(self, cells={name: cell for name, cell in self.cells.items() if name in kept})

    def senses_on_common_axes(self) -> "Library":
        """The same library for ABC, with the arcs of one (input, output) pair on common axes.

        ABC merges the arcs of both senses point by point, and overlooks those on other axes than the first's.
        """
        return replace(self, cells={name: _senses_on_common_axes(cell) for name, cell in self.cells.items()})


def _senses_on_common_axes(cell: Cell) -> Cell:
    outputs = []
    for output in cell.outputs:
        arcs = list(output.arcs)
        for related in {arc.related_pin for arc in arcs}:
            where = [k for k, arc in enumerate(arcs) if arc.related_pin == related]
            for name in Arc.TABLES:
                for k, table in zip(where, on_common_axes([getattr(arcs[k], name) for k in where]), strict=True):
                    changed: dict[str, Any] = {name: table}
                    arcs[k] = replace(arcs[k], **changed)
        outputs.append(replace(output, arcs=tuple(arcs)))
    return replace(cell, outputs=tuple(outputs))


INVERTER = (1, 0b01)
NAND2 = (2, 0b0111)
TWO_INPUT_GATES = {"NAND": 0b0111, "NOR": 0b0001, "AND": 0b1000, "OR": 0b1110}


def liberty_text(library: Library) -> str:
    """The Liberty file of `library`, in ps and fF."""
    shapes = {
        (len(table.slews), len(table.loads))
        for cell in library.cells.values()
        for output in cell.outputs
        for arc in output.arcs
        for table in arc.tables
    }
    lines = [
        f"library ({re.sub(r'[^A-Za-z0-9_]', '_', library.name)}) {{",
        "  delay_model : table_lookup;",
        '  time_unit : "1ps";',
        "  capacitive_load_unit (1, ff);",
        f"  default_max_transition : {library.max_transition:g};",
        *(f"  {side}_threshold_pct_{edge} : 50;" for side in ("input", "output") for edge in ("rise", "fall")),
        *(f"  slew_lower_threshold_pct_{edge} : 20;" for edge in ("rise", "fall")),
        *(f"  slew_upper_threshold_pct_{edge} : 80;" for edge in ("rise", "fall")),
    ]
    for slews, loads in sorted(shapes):
        lines += [
            f"  lu_table_template (t{slews}x{loads}) {{",
            "    variable_1 : input_net_transition;",
            "    variable_2 : total_output_net_capacitance;",
            f'    index_1 ("{_numbers(range(1, slews + 1))}");',
            f'    index_2 ("{_numbers(range(1, loads + 1))}");',
            "  }",
        ]
    constraints = {
        (len(table.slews), len(table.loads))
        for cell in library.cells.values()
        for pin in cell.inputs
        for table in pin.setup or ()
    }
    for slews, clocks in sorted(constraints):
        lines += [
            f"  lu_table_template (setup{slews}x{clocks}) {{",
            "    variable_1 : constrained_pin_transition;",
            "    variable_2 : related_pin_transition;",
            f'    index_1 ("{_numbers(range(1, slews + 1))}");',
            f'    index_2 ("{_numbers(range(1, clocks + 1))}");',
            "  }",
        ]
    lines += itertools.chain.from_iterable(_cell_lines(cell) for cell in library.cells.values())
    lines += ["}", ""]
    return "\n".join(lines)


def _cell_lines(cell: Cell) -> Iterator[str]:
    yield f"  cell ({cell.name}) {{"
    yield f"    area : {cell.area:.10g};"
    if cell.flip_flop is not None:
        yield f"    ff ({', '.join(cell.flip_flop.state)}) {{"
        for key in ("clocked_on", "next_state", "clear", "preset"):
            if expression := getattr(cell.flip_flop, key):
                yield f'      {key} : "{expression}";'
        yield "    }"
    for pin in cell.inputs:
        yield f"    pin ({pin.name}) {{"
        yield "      direction : input;"
        if pin.is_clock:
            yield "      clock : true;"
        yield f"      capacitance : {pin.capacitance:.8g};"
        yield f"      rise_capacitance : {pin.rise_capacitance:.8g};"
        yield f"      fall_capacitance : {pin.fall_capacitance:.8g};"
        if pin.setup is not None:
            clock = next(other for other in cell.inputs if other.is_clock)
            edge = "falling" if "!" in cell.clock_expression else "rising"
            yield "      timing () {"
            yield f'        related_pin : "{clock.name}";'
            yield f"        timing_type : setup_{edge};"
            for name, table in zip(("rise_constraint", "fall_constraint"), pin.setup, strict=True):
                yield from _table_lines(name, "setup", table)
            yield "      }"
        yield "    }"
    for output in cell.outputs:
        yield f"    pin ({output.name}) {{"
        yield "      direction : output;"
        yield f'      function : "{output.function}";'
        yield f"      max_capacitance : {output.max_capacitance:.8g};"
        for arc in output.arcs:
            yield "      timing () {"
            yield f'        related_pin : "{arc.related_pin}";'
            yield f"        timing_sense : {arc.sense};"
            yield f"        timing_type : {arc.kind};"
            for name, table in zip(Arc.TABLES, arc.tables, strict=True):
                yield from _table_lines(name, "t", table)
            yield "      }"
        yield "    }"
    yield "  }"


def _table_lines(name: str, template: str, table: Table) -> Iterator[str]:
    yield f"        {name} ({template}{len(table.slews)}x{len(table.loads)}) {{"
    yield f'          index_1 ("{_numbers(table.slews)}");'
    yield f'          index_2 ("{_numbers(table.loads)}");'
    rows = ", ".join(f'"{_numbers(row)}"' for row in table.values)
    yield f"          values ({rows});"
    yield "        }"


def _numbers(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.7g}" for value in values)
