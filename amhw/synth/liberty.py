"""Liberty files into `Library` values, through the liberty-parser package.

Of several timing groups for one (input, output) pair and one sense (they differ in `when`) the worst value is kept
point by point. Groups of both senses, as an XOR has, stay two arcs: our timer and OpenSTA follow each on its own,
while ABC, when it reads the library, merges them into one arc of the first group's sense.

Internal energies are reduced to one figure a pin (see `Output.energy`), leakage to one a cell. Of a flip-flop the
clock pin has what an edge costs that stores nothing new, and an output what storing something new costs more: libraries
make the clock's energy depend on whether datum and state differ, and often give it to the output then.

Left out, because technology mapping cannot use them: cells marked `dont_use`, latches, scan flip-flops,
three-state and clock-gating cells, and cells without inputs.
"""

import gzip
import itertools
import re
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from amhw.files import read_whole
from amhw.refusal import Refusal
from amhw.synth.boolean import Function, function
from amhw.synth.library import ENERGY_LOAD, ENERGY_SLEW, Arc, Cell, FlipFlop, Input, Library, Output, Table

_PICOSECONDS = {"ps": 1.0, "ns": 1e3, "us": 1e6}
_NANOWATTS = {"pw": 1e-3, "nw": 1.0, "uw": 1e3, "mw": 1e6}
_FEMTOFARADS = {"ff": 1.0, "pf": 1e3}
_COMBINATIONAL = ("combinational", "combinational_rise", "combinational_fall")
_EDGES = ("rising_edge", "falling_edge")


def read_library(path: Path | str) -> Library:
    """The library in the Liberty file `path` (plain, or gzip whatever its name).

    Raises:
        Refusal: unreadable, truncated or no Liberty.
    """
    return parse_library(_text(path), str(path))


def parse_library(text: str, source: str) -> Library:
    """The library in the Liberty text `text`; `source` names it in refusals."""
    if not re.search(r"\blibrary\s*\(", text[:200_000]):
        raise Refusal(f"{source} is no Liberty file: it has no library (...) group")
    from liberty.parser import parse_liberty  # takes a quarter of a second to import

    try:
        root = parse_liberty(text)
    except KeyboardInterrupt:
        raise
    except Exception as error:  # the parser raises its lexer's, its own and bare assertion errors
        raise Refusal(f"{source} is damaged or truncated Liberty: {_syntax(error, text)}") from error
    try:
        return _library(root)
    except Refusal as refusal:
        raise Refusal(f"{source}: {refusal}") from refusal
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise Refusal(f"{source} is damaged or foreign Liberty: {_one_line(error)}") from error


def _syntax(error: Exception, text: str) -> str:
    """What the parser did not like, with the line and the cell around it."""
    said = _one_line(error)
    found = re.search(r"line (\d+), position \d+: (\w+)\((.*)\)", said)
    if "exactly one top group" in said:
        return "it has several groups at its top; one library (...) is wanted"
    if text.count("}") > text.count("{"):
        return f"it has {text.count('}')} closing braces for {text.count('{')} opening ones"
    if found is None:
        return said
    lines = text.splitlines()
    number = min(int(found[1]), len(lines) - 1)  # the parser counts from 0
    cells = re.findall(r"^\s*cell\s*\(\s*\"?([^\s\")]+)", "\n".join(lines[: number + 1]), re.MULTILINE)
    where = f"line {number + 1}" + (f", in or after cell {cells[-1]}" if cells else "")
    wanted, token = re.fullmatch(r"\"?(.*?)\"?(?:, (?:'(.*)'|None))?", found[3] or "").groups()  # type: ignore[union-attr]
    if found[2] == "UnexpectedEndOfFile" or token is None:
        return f"it ends at {where}, in the middle of a group"
    return f"{where}: {token[:40]!r} where {wanted} belongs"


def _text(path: Path | str) -> str:
    data = read_whole(path)
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (EOFError, OSError, zlib.error) as error:
            raise Refusal(f"{path} is damaged or truncated gzip: {_one_line(error)}") from error
    return data.decode("utf-8", errors="replace")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__


def _library(root: Any) -> Library:
    time = _time_unit(_string(root.get("time_unit", "1ns")))
    load = _load_unit(root.get("capacitive_load_unit", [1, "pf"]))
    voltage = float(root.get("nom_voltage", 0))
    templates = {
        _string(group.args[0]): group
        for kind in ("lu_table_template", "power_lut_template")
        for group in root.get_groups(kind)
    }
    reader = _Reader(time, load, _power_unit(_string(root.get("leakage_power_unit", "1nW"))), templates)
    cells = {}
    for group in root.get_groups("cell"):
        try:
            cell = reader.cell(group)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            name = _string(group.args[0]) if group.args else "without a name"
            raise Refusal(f"cell {name}: {_one_line(error)}") from error
        if cell is not None:
            cells[cell.name] = cell
    return Library(_string(root.args[0]), cells, float(root.get("default_max_transition", 0)) * time, voltage)


class _Reader:
    """Cells of one file: its units and its table templates."""

    def __init__(self, time: float, load: float, power: float, templates: dict[str, Any]) -> None:
        self.time, self.load, self.power, self.templates = time, load, power, templates

    def cell(self, group: Any) -> Cell | None:
        """The cell, or None when technology mapping has no use for it."""
        other = ("latch", "latch_bank", "ff_bank", "statetable", "test_cell")
        if _string(group.get("dont_use", "false")) == "true" or any(group.get_groups(kind) for kind in other):
            return None
        pins = group.get_groups("pin")
        if any("three_state" in pin or _string(pin.get("direction", "")) == "inout" for pin in pins):
            return None
        inputs = [pin for pin in pins if _string(pin.get("direction", "")) == "input"]
        outputs = [pin for pin in pins if _string(pin.get("direction", "")) == "output"]
        flip_flops = group.get_groups("ff")
        if not inputs or not outputs or any("function" not in pin for pin in outputs) or len(flip_flops) > 1:
            return None
        name = _string(group.args[0])
        names = [_string(pin.args[0]) for pin in inputs]
        clocks = re.findall(r"\w+", _string(flip_flops[0].get("clocked_on", ""))) if flip_flops else []
        cell = Cell(
            name,
            float(group.get("area", 0)),
            tuple(self._input(pin, clocks) for pin in inputs),
            tuple(self._output(pin, names) for pin in outputs),
            _flip_flop(flip_flops[0]) if flip_flops else None,
            float(group.get("cell_leakage_power", 0)) * self.power,
        )
        if cell.flip_flop is None and not all(output.arcs for output in cell.outputs):
            return None
        if cell.area < 0:
            raise Refusal(f"area {cell.area:g} is negative")
        if cell.flip_flop is not None:
            names += cell.flip_flop.state
            function(cell.flip_flop.next_state, tuple(names))
        for output in cell.outputs:
            function(output.function, tuple(names))
        return cell if cell.flip_flop is None else self._with_clock_energy(cell, pins)

    def _input(self, pin: Any, clocks: list[str]) -> Input:
        both = float(pin.get("capacitance", 0))
        return Input(
            (name := _string(pin.args[0])),
            float(pin.get("rise_capacitance", 0) or both) * self.load,
            float(pin.get("fall_capacitance", 0) or both) * self.load,
            name in clocks or _string(pin.get("clock", "false")) == "true",
            self._energy(pin),
            self._setup(pin),
        )

    def _output(self, pin: Any, inputs: list[str]) -> Output:
        groups: dict[str, dict[str, list[Any]]] = {}
        for timing in pin.get_groups("timing"):
            if _string(timing.get("timing_type", "combinational")) in (*_COMBINATIONAL, *_EDGES):
                for related in _string(timing.get("related_pin", "")).split():
                    sense = _string(timing.get("timing_sense", "non_unate"))
                    groups.setdefault(related, {}).setdefault(sense, []).append(timing)
        return Output(
            _string(pin.args[0]),
            _string(pin["function"]),
            float(pin.get("max_capacitance", 0)) * self.load,
            tuple(self._arc(name, same) for name in inputs for same in groups.get(name, {}).values()),
            self._energy(pin),
        )

    def _energy(self, pin: Any, related: str = "") -> float:
        """The mean internal energy of a transition of `pin`, fJ, that `related` causes where the library says so."""
        powers = pin.get_groups("internal_power")
        chosen = [power for power in powers if related in _string(power.get("related_pin", "")).split()] or powers
        found = [
            self._internal(group)
            for power in chosen
            for name in ("rise_power", "fall_power", "power")
            for group in power.get_groups(name)
        ]
        return sum(found) / len(found) if found else 0.0

    def _internal(self, group: Any) -> float:
        """A table of internal power as energy, fJ; with volts, loads are energies."""
        return self._table(group).at(ENERGY_SLEW, ENERGY_LOAD) * self.load / self.time

    def _with_clock_energy(self, cell: Cell, pins: list[Any]) -> Cell:
        flip_flop = cell.flip_flop
        assert flip_flop is not None
        groups = {_string(pin.args[0]): pin for pin in pins}
        clocks = [pin.name for pin in cell.inputs if pin.is_clock]
        if len(clocks) != 1:
            return cell
        (clock,) = clocks
        edges = self._edges(groups[clock], (*groups, *flip_flop.state))
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
                found = [fj for when, edge, fj in edges if edge == rises and when(now, 1)]
                (idle if stays else storing).append(sum(found) / len(found) if found else 0.0)
        if not idle or not storing:
            return cell
        quiet, busy = (sum(each) / len(each) for each in (idle, storing))
        inputs = (replace(pin, energy=quiet) if pin.name == clock else pin for pin in cell.inputs)
        outputs = (
            replace(output, energy=self._energy(groups[output.name], clock) + 2 * (busy - quiet))
            for output in cell.outputs
        )
        return replace(cell, inputs=tuple(inputs), outputs=tuple(outputs))

    def _edges(self, pin: Any, names: tuple[str, ...]) -> list[tuple[Function, bool, float]]:
        """What a rising or falling edge of `pin` costs, fJ, and when."""
        found = []
        for power in pin.get_groups("internal_power"):
            try:
                when = function(_string(power.get("when", "1")), names)
            except ValueError:
                when = function("1", names)
            for key, rises in (("rise_power", True), ("fall_power", False), ("power", True), ("power", False)):
                for group in power.get_groups(key):
                    found.append((when, rises, self._internal(group)))
        return found

    def _setup(self, pin: Any) -> tuple[Table, Table] | None:
        kinds = ("setup_rising", "setup_falling")
        groups = [t for t in pin.get_groups("timing") if _string(t.get("timing_type", "")) in kinds]
        rises, falls = (
            [self._constraint(table) for group in groups for table in group.get_groups(name)]
            for name in ("rise_constraint", "fall_constraint")
        )
        return (_worst(rises or falls), _worst(falls or rises)) if rises or falls else None

    def _constraint(self, group: Any) -> Table:
        shape = self.templates.get(_string(group.args[0]) if group.args else "")
        first, second, rows = self._grid(group, shape)
        if shape is None or _string(shape.get("variable_1", "")) != "constrained_pin_transition":
            first, second, rows = second, first, [list(column) for column in zip(*rows, strict=True)]
        return self._scaled(first, second, rows, self.time)

    def _arc(self, related: str, timings: list[Any]) -> Arc:
        kind = _string(timings[0].get("timing_type", "combinational"))
        tables = []
        for name in Arc.TABLES:
            instead = name.replace("rise", "FALL").replace("fall", "rise").replace("FALL", "fall")
            found = [t for timing in timings for t in timing.get_groups(name) or timing.get_groups(instead)]
            if not found:
                raise Refusal(f"a timing group for {related} has neither {name} nor {instead}")
            tables.append(_worst([self._table(group) for group in found]))
        return Arc(
            related,
            _string(timings[0].get("timing_sense", "non_unate")),
            "combinational" if kind in _COMBINATIONAL else kind,
            *tables,
        )

    def _table(self, group: Any) -> Table:
        template = _string(group.args[0]) if group.args else ""
        values = _floats(group, "values")
        if template == "scalar":
            return Table((0.0,), (0.0,), ((values[0] * self.time,),))
        shape = self.templates.get(template)
        first, second, rows = self._grid(group, shape)
        if shape is not None and _string(shape.get("variable_1", "")) == "total_output_net_capacitance":
            first, second, rows = second, first, [list(column) for column in zip(*rows, strict=True)]
        return self._scaled(first, second, rows, self.load)

    def _grid(self, group: Any, shape: Any) -> tuple[list[float], list[float], list[list[float]]]:
        """Both axes (the second is one point where the table has one axis) and the rows."""
        values = _floats(group, "values")
        first, second = (
            _floats(group, f"index_{k}")
            if f"index_{k}" in group
            else _floats(shape, f"index_{k}")
            if shape is not None and f"index_{k}" in shape
            else [0.0]
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
            tuple(slew * self.time for slew in first),
            tuple(point * unit for point in second),
            tuple(tuple(value * self.time for value in row) for row in rows),
        )


def _worst(tables: list[Table]) -> Table:
    """The largest value at each point; tables over other axes than the first are sampled on the first's."""
    first = tables[0]
    same = [
        t if (t.slews, t.loads) == (first.slews, first.loads) else t.at_points(first.slews, first.loads) for t in tables
    ]
    values = tuple(
        tuple(max(t.values[i][k] for t in same) for k in range(len(first.loads))) for i in range(len(first.slews))
    )
    return Table(first.slews, first.loads, values)


def _flip_flop(group: Any) -> FlipFlop:
    state, inverse = (_string(name) for name in group.args)
    return FlipFlop(
        (state, inverse),
        *(_string(group.get(key, "")) for key in ("clocked_on", "next_state", "clear", "preset")),
    )


def _string(value: Any) -> str:
    return str(value).strip().strip('"').strip()


def _floats(group: Any, key: str) -> list[float]:
    try:
        return [float(value) for value in group.get_array(key).reshape(-1)]
    except ValueError:
        raise ValueError(f"{key} is no table of numbers: {' '.join(str(group[key]).split())[:60]}") from None


def _time_unit(unit: str) -> float:
    match = re.fullmatch(r"([\d.]+)\s*(\w+)", unit)
    if match is None or match[2].lower() not in _PICOSECONDS:
        raise Refusal(f"time_unit {unit!r} is not understood; 1ps … 100us would be")
    return float(match[1]) * _PICOSECONDS[match[2].lower()]


def _power_unit(unit: str) -> float:
    match = re.fullmatch(r"([\d.]+)\s*(\w+)", unit)
    if match is None or match[2].lower() not in _NANOWATTS:
        raise Refusal(f"leakage_power_unit {unit!r} is not understood; 1pW … 1mW would be")
    return float(match[1]) * _NANOWATTS[match[2].lower()]


def _load_unit(unit: Any) -> float:
    try:
        return float(unit[0]) * _FEMTOFARADS[_string(unit[1]).lower()]
    except (IndexError, KeyError, TypeError, ValueError):
        raise Refusal(f"capacitive_load_unit {unit!r} is not understood; (1, pf) or (1, ff) would be") from None
