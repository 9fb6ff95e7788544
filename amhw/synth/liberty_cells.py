"""Cells of a Liberty file as values.

Of several timing groups for one (input, output) pair and one sense (they differ in `when`) the worst value is kept
point by point. Groups of both senses, as an XOR has, stay two arcs: our timer and OpenSTA follow each on its own,
while ABC, when it reads the library, merges them into one arc of the first group's sense. Where a group does not say
its sense, the output's function does. An output may have arcs from another output, as the sum of an adder has from its
carry. The linear delay model (`generic_cmos`) becomes tables of two points, which say the same.

Internal energies are reduced to one figure a pin (see `Output.energy`), leakage to one a cell. Of a flip-flop the
clock pin has what an edge costs that stores nothing new, and an output what storing something new costs more: libraries
make the clock's energy depend on whether datum and state differ, and often give it to the output then.

Left out, because technology mapping cannot use them: cells marked `dont_use`, latches, scan flip-flops,
three-state and clock-gating cells, cells without inputs, with buses or bundles or pins that are neither input nor
output, and cells whose names no netlist could carry.
"""

import itertools
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace

from amhw.synth.boolean import Function, function, sense
from amhw.synth.liberty_syntax import LibertyGroup
from amhw.synth.library import (
    ENERGY_LOAD,
    ENERGY_SLEW,
    IDENTIFIER,
    Arc,
    Cell,
    FlipFlop,
    Input,
    Output,
    Table,
    worst,
)

_PREFIXES = {"f": -15, "p": -12, "n": -9, "u": -6, "m": -3, "": 0, "k": 3}
_COMBINATIONAL = ("combinational", "combinational_rise", "combinational_fall")
_EDGES = ("rising_edge", "falling_edge")
_SETUP = ("setup_rising", "setup_falling")
_OTHER_CELLS = ("latch", "latch_bank", "ff_bank", "statetable", "test_cell", "bus", "bundle")
_MOST_INPUTS = 10
"""Of a flip-flop whose conditions are all looked at for the energy of its clock."""


def _unit(attribute: str, default: str, symbol: str, exponent: int, known: str) -> Callable[[LibertyGroup], float]:
    """What reads a unit and says how many times 10 to the `exponent` of the SI's unit `symbol` it is."""

    def read(root: LibertyGroup) -> float:
        text = root.text(attribute, default)
        match = re.fullmatch(rf"(\d*\.?\d*)\s*([fpnumk]?){symbol}", text, re.IGNORECASE)
        if match is None or match[1] == ".":
            raise ValueError(f"{attribute} {text!r} is not understood; {known} would be")
        return float(match[1] or 1) * 10.0 ** (_PREFIXES[match[2].lower()] - exponent)

    return read


def _load_unit(root: LibertyGroup) -> float:
    values = root.values("capacitive_load_unit") or ("1", "pf")
    match = re.fullmatch(r"(\d+\.?\d*|\.\d+) ([pf])f", " ".join(values), re.IGNORECASE)
    if match is None:
        raise ValueError(f"capacitive_load_unit ({', '.join(values)}) is not understood; (1, pf) or (1, ff) would be")
    return float(match[1]) * 10.0 ** (_PREFIXES[match[2].lower()] + 15)


UNITS = {
    "time_unit": _unit("time_unit", "1ns", "s", -12, "1ps … 100us"),
    "capacitive_load_unit": _load_unit,
    "leakage_power_unit": _unit("leakage_power_unit", "1nW", "W", -9, "1pW … 1mW"),
    "voltage_unit": _unit("voltage_unit", "1V", "V", 0, "1mV … 1V"),
}
"""What reads the units in which a file's figures are."""

_RESISTANCE_UNIT = _unit("pulling_resistance_unit", "1kohm", "ohm", 3, "1ohm … 1kohm")


@dataclass(frozen=True)
class Units:
    """How many ps, fF, nW, V and kΩ a file's units are."""

    time: float
    load: float
    power: float
    voltage: float
    resistance: float

    @staticmethod
    def of(root: LibertyGroup) -> "Units":
        """Those of a library.

        Raises:
            ValueError: one is not understood.
        """
        time, load, power, voltage = (unit(root) for unit in UNITS.values())
        return Units(time, load, power, voltage, _RESISTANCE_UNIT(root))


class CellReader:
    """What turns the cells of one file into values: it knows the file's units, table templates and defaults.

    Raises:
        ValueError: a unit is not understood.
    """

    def __init__(self, root: LibertyGroup) -> None:
        self.units, self.defaults = Units.of(root), root
        self.templates = {group.name: group for group in root.all("lu_table_template", "power_lut_template")}

    def cell(self, group: LibertyGroup) -> Cell | None:
        """The cell, or None when technology mapping has no use for it.

        Raises:
            ValueError: something in it is not what Liberty puts there.
        """
        if group.text("dont_use").lower() == "true" or group.all(*_OTHER_CELLS):
            return None
        pins = {name: pin for pin in group.all("pin") for name in pin.names}
        ways = {name: pin.text("direction").lower() for name, pin in pins.items()}
        if set(ways.values()) != {"input", "output"} or any("three_state" in pin for pin in pins.values()):
            return None
        inputs, outputs = ([name for name in pins if ways[name] == way] for way in ("input", "output"))
        flip_flops = group.all("ff")
        if any("function" not in pins[name] for name in outputs) or len(flip_flops) > 1:
            return None
        flip_flop = _flip_flop(flip_flops[0]) if flip_flops else None
        state = flip_flop.state if flip_flop else ()
        if not all(re.fullmatch(IDENTIFIER, name) for name in (group.name, *pins, *state)):
            return None
        for expression in (pins[name].text("function") for name in outputs):
            function(expression, (*inputs, *state))
        if flip_flop is not None:
            function(flip_flop.next_state, (*inputs, *state))
        clocks = re.findall(r"\w+", flip_flop.clocked_on) if flip_flop else []
        grounds = {pin.name for pin in group.all("pg_pin") if pin.text("pg_type").endswith("ground")}
        cell = Cell(
            group.name,
            group.number("area"),
            tuple(self._input(name, pins[name], clocks, grounds) for name in inputs),
            tuple(self._output(name, pins[name], inputs, outputs, flip_flop, grounds) for name in outputs),
            flip_flop,
            self._leakage(group, grounds),
        )
        if flip_flop is None and not all(output.arcs for output in cell.outputs):
            return None
        if cell.area < 0:
            raise ValueError(f"area {cell.area:g} is negative")
        return cell if flip_flop is None else self._with_clock_energy(cell, pins, grounds)

    def _input(self, name: str, pin: LibertyGroup, clocks: list[str], grounds: set[str]) -> Input:
        both = pin.number("capacitance", self.defaults.number("default_input_pin_cap"))
        return Input(
            name,
            (pin.number("rise_capacitance") or both) * self.units.load,
            (pin.number("fall_capacitance") or both) * self.units.load,
            name in clocks or pin.text("clock").lower() == "true",
            self._energy(pin, grounds),
            self._setup(pin),
        )

    def _output(
        self,
        name: str,
        pin: LibertyGroup,
        inputs: list[str],
        outputs: list[str],
        flip_flop: FlipFlop | None,
        grounds: set[str],
    ) -> Output:
        usual = "combinational"
        if flip_flop is not None:
            usual = "falling_edge" if re.search("[!']", flip_flop.clocked_on) else "rising_edge"
        groups: dict[str, dict[str, list[LibertyGroup]]] = {}
        for timing in pin.all("timing"):
            if timing.text("timing_type", usual) in (*_COMBINATIONAL, *_EDGES):
                for related in timing.text("related_pin").split():
                    way = timing.text("timing_sense")
                    if not way:
                        way = sense(pin.text("function"), inputs, related) if flip_flop is None else "non_unate"
                    groups.setdefault(related, {}).setdefault(way, []).append(timing)
        arcs = [
            self._arc(related, way, usual, same)
            for related in (*inputs, *(other for other in outputs if other != name))
            for way, same in groups.get(related, {}).items()
        ]
        return Output(
            name,
            pin.text("function"),
            pin.number("max_capacitance", self.defaults.number("default_max_capacitance")) * self.units.load,
            tuple(arc for arc in arcs if arc is not None),
            self._energy(pin, grounds),
        )

    def _energy(self, pin: LibertyGroup, grounds: set[str], related: str = "") -> float:
        """The mean internal energy of a transition of `pin`, fJ, that `related` causes where the library says so."""
        powers = pin.all("internal_power")
        chosen = [power for power in powers if related in power.text("related_pin").split()] or powers
        return _from_every_supply(
            [
                (power, self._internal(group))
                for power in chosen
                for group in power.all("rise_power", "fall_power", "power")
            ],
            grounds,
        )

    def _internal(self, group: LibertyGroup) -> float:
        """A table of internal power as energy, fJ: its unit is that of loads times the square of that of voltages."""
        units = self.units
        return self._table(group).at(ENERGY_SLEW, ENERGY_LOAD) * units.load * units.voltage**2 / units.time

    def _leakage(self, group: LibertyGroup, grounds: set[str]) -> float:
        """What the library says a cell leaks, nW, else the mean over its conditions."""
        stated = [(leakage, leakage.number("value")) for leakage in group.all("leakage_power") if "value" in leakage]
        if "cell_leakage_power" in group or not stated:
            usual = self.defaults.number("default_cell_leakage_power")
            return group.number("cell_leakage_power", usual) * self.units.power
        return _from_every_supply(stated, grounds) * self.units.power

    def _with_clock_energy(self, cell: Cell, pins: dict[str, LibertyGroup], grounds: set[str]) -> Cell:
        flip_flop = cell.flip_flop
        assert flip_flop is not None
        clocks = [pin.name for pin in cell.inputs if pin.is_clock]
        if len(clocks) != 1 or len(cell.inputs) > _MOST_INPUTS:
            return cell
        (clock,) = clocks
        edges = self._edges(pins[clock], grounds, (*pins, *flip_flop.state))
        idle: list[float] = []
        storing: list[float] = []
        for values in itertools.product((0, 1), repeat=len(cell.inputs)):
            now = dict(zip((pin.name for pin in cell.inputs), values, strict=True))
            state, inverse = flip_flop.state
            if now[clock]:
                now[state], now[clock] = 1, 0
            else:
                now[state] = 0
            now[inverse] = 1 - now[state]
            names = tuple(now)
            if any(function(e, names)(now, 1) for e in (flip_flop.clear, flip_flop.preset) if e):
                continue
            now |= {output.name: function(output.function, names)(now, 1) for output in cell.outputs}
            stays = function(flip_flop.next_state, names)(now, 1) == now[state]
            for rises in (True, False):
                found = [(power, fj) for power, when, edge, fj in edges if edge == rises and when(now, 1)]
                (idle if stays else storing).append(_from_every_supply(found, grounds))
        if not idle or not storing:
            return cell
        quiet, busy = (sum(each) / len(each) for each in (idle, storing))
        inputs = (replace(pin, energy=quiet) if pin.name == clock else pin for pin in cell.inputs)
        outputs = (
            replace(output, energy=self._energy(pins[output.name], grounds, clock) + 2 * (busy - quiet))
            for output in cell.outputs
        )
        return replace(cell, inputs=tuple(inputs), outputs=tuple(outputs))

    def _edges(
        self, pin: LibertyGroup, grounds: set[str], names: tuple[str, ...]
    ) -> list[tuple[LibertyGroup, Function, bool, float]]:
        """What a rising or falling edge of `pin` costs, fJ, and when."""
        found = []
        for power in pin.all("internal_power"):
            try:
                when = function(power.text("when", "1"), names)
            except ValueError:
                when = function("1", names)
            for key, rises in (("rise_power", True), ("fall_power", False), ("power", True), ("power", False)):
                for group in power.all(key):
                    found.append((power, when, rises, self._internal(group)))
        return found

    def _setup(self, pin: LibertyGroup) -> tuple[Table, Table] | None:
        groups = [timing for timing in pin.all("timing") if timing.text("timing_type") in _SETUP]
        rises, falls = (
            [self._constraint(table) for group in groups for table in group.all(name)]
            for name in ("rise_constraint", "fall_constraint")
        )
        return (worst(rises or falls), worst(falls or rises)) if rises or falls else None

    def _constraint(self, group: LibertyGroup) -> Table:
        shape = self.templates.get(group.name)
        first, second, rows = self._grid(group, shape)
        if shape is None or shape.text("variable_1") != "constrained_pin_transition":
            first, second, rows = second, first, [list(column) for column in zip(*rows, strict=True)]
        return self._scaled(first, second, rows, self.units.time)

    def _arc(self, related: str, way: str, usual: str, timings: list[LibertyGroup]) -> Arc | None:
        """The arc that these groups make; None where they have no delays. One edge's tables serve both if need be."""
        found = {name: self._tables(name, timings) for name in Arc.TABLES}
        if not any(found.values()):
            return None
        tables = []
        for name in Arc.TABLES:
            instead = name.replace("rise", "FALL").replace("fall", "rise").replace("FALL", "fall")
            if not (found[name] or found[instead]):
                raise ValueError(f"a timing group for {related} has neither {name} nor {instead}")
            tables.append(worst(found[name] or found[instead]))
        kind = timings[0].text("timing_type", usual)
        return Arc(related, way, "combinational" if kind in _COMBINATIONAL else kind, *tables)

    def _tables(self, name: str, timings: list[LibertyGroup]) -> list[Table]:
        """All tables of that name, but not those of an edge that the group's timing_type excludes."""
        edge, other = ("rise", "fall") if "rise" in name else ("fall", "rise")
        found = []
        for timing in timings:
            if timing.text("timing_type") == f"combinational_{other}":
                continue
            found += [self._table(group) for group in timing.all(name)]
            if f"intrinsic_{edge}" in timing and self.defaults.text("delay_model", "generic_cmos") == "generic_cmos":
                found.append(self._linear(name, edge, timing))
        return found

    def _linear(self, name: str, edge: str, timing: LibertyGroup) -> Table:
        """The linear model's delay, intrinsic + resistance · load, or its slew, which is 0."""
        if not name.startswith("cell"):
            return Table((0.0,), (0.0,), ((0.0,),))
        start = timing.number(f"intrinsic_{edge}") * self.units.time
        usual = self.defaults.number(f"default_output_pin_{edge}_res")
        slope = timing.number(f"{edge}_resistance", usual) * self.units.resistance  # kΩ · fF = ps
        return Table((0.0,), (0.0, 1.0), ((start, start + slope),))

    def _table(self, group: LibertyGroup) -> Table:
        shape = self.templates.get(group.name)
        first, second, rows = self._grid(group, shape)
        if shape is not None and shape.text("variable_1") == "total_output_net_capacitance":
            first, second, rows = second, first, [list(column) for column in zip(*rows, strict=True)]
        return self._scaled(first, second, rows, self.units.load)

    def _grid(
        self, group: LibertyGroup, shape: LibertyGroup | None
    ) -> tuple[list[float], list[float], list[list[float]]]:
        """Both axes (the second is one point where the table has one axis) and the rows."""
        if shape is not None and "variable_3" in shape:
            raise ValueError(f"a table over {shape.text('variable_3')} too; those over slew and load are read")
        values = group.numbers("values")
        first, second = (
            group.numbers(f"index_{k}") or (shape.numbers(f"index_{k}") if shape is not None else []) or [0.0]
            for k in (1, 2)
        )
        if len(values) != len(first) * len(second):
            raise ValueError(f"{len(values)} values in a {len(first)} × {len(second)} table")
        for axis in (first, second):
            if any(after <= before for before, after in itertools.pairwise(axis)):
                raise ValueError(f"the points {', '.join(f'{point:g}' for point in axis)} of a table do not ascend")
        return first, second, [values[i * len(second) : (i + 1) * len(second)] for i in range(len(first))]

    def _scaled(self, first: list[float], second: list[float], rows: list[list[float]], unit: float) -> Table:
        return Table(
            tuple(slew * self.units.time for slew in first),
            tuple(point * unit for point in second),
            tuple(tuple(value * self.units.time for value in row) for row in rows),
        )


def _from_every_supply(figures: list[tuple[LibertyGroup, float]], grounds: set[str]) -> float:
    """The mean over conditions of what comes from each supply pin, summed over them; a ground supplies nothing."""
    by_pin: defaultdict[str, list[float]] = defaultdict(list)
    for group, figure in figures:
        if (pin := group.text("related_pg_pin")) not in grounds:
            by_pin[pin].append(figure)
    return sum((sum(found) / len(found) for found in by_pin.values()), 0.0)


def _flip_flop(group: LibertyGroup) -> FlipFlop:
    if len(group.names) not in (1, 2):
        raise ValueError(f"ff ({', '.join(group.names)}) has neither a state nor a state and its inverse")
    state, inverse = (*group.names, f"{group.name}_inverse")[:2]
    return FlipFlop((state, inverse), *(group.text(key) for key in ("clocked_on", "next_state", "clear", "preset")))
