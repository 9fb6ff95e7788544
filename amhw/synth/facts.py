"""A library as a compact table of facts in JSON, and back: how technologies are shipped and kept.

Times are in ps, loads in fF, areas in µm², energies in fJ, leakage in nW. Most tables of a library share one slew axis,
`slews_ps`, and most of those of one output one load axis, its `loads`: such a table is one list. Any other is an object
with its own `slews` and `loads` beside that list, its `values`. With `unit_ps` the list has differences in that unit,
the first row from the left, then each row from the one before; without it, the values row by row, exact.
An arc's kind is empty where it is combinational.
"""

import itertools
import json
from collections import Counter
from typing import Any

from amhw.synth.boolean import function
from amhw.synth.library import Arc, Cell, FlipFlop, Input, Library, Output, Table

_ABSURD = 1e100
"""More than any figure here is: beyond it, as with infinities and what is no number at all, a file is damaged."""


def encoded(library: Library, about: dict[str, Any], unit: float | None = None) -> dict[str, Any]:
    """The table of facts for `library`; `about` comes first.

    `unit` is the resolution of times, ps; without it they are exact, as everything else is.
    """
    axes = Counter(t.slews for c in library.cells.values() for o in c.outputs for a in o.arcs for t in a.tables)
    slews = axes.most_common(1)[0][0] if axes else ()
    return {
        **about,
        "library": library.name,
        "max_transition_ps": library.max_transition,
        "voltage": library.voltage,
        "unit_ps": unit,
        "slews_ps": list(slews),
        "cells": {name: _encoded_cell(cell, slews, unit) for name, cell in library.cells.items()},
    }


def decoded(facts: dict[str, Any]) -> Library:
    """The library in a table of facts.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it is damaged.
    """
    unit = None if facts["unit_ps"] is None else _real(facts["unit_ps"])
    slews = _axis(facts["slews_ps"])
    cells = {name: _decoded_cell(name, cell, slews, unit) for name, cell in facts["cells"].items()}
    return Library(_text(facts["library"]), cells, _real(facts["max_transition_ps"]), _real(facts["voltage"]))


def as_text(facts: dict[str, Any]) -> str:
    """JSON with one cell a line, so that a difference shows which cell changed."""
    head = {key: value for key, value in facts.items() if key != "cells"}
    lines = [f"{json.dumps(name)}:{json.dumps(cell, separators=(',', ':'))}" for name, cell in facts["cells"].items()]
    return json.dumps(head, indent=1, ensure_ascii=False)[:-2] + ',\n "cells": {\n' + ",\n".join(lines) + "\n}}\n"


def _encoded_cell(cell: Cell, slews: tuple[float, ...], unit: float | None) -> dict[str, Any]:
    facts: dict[str, Any] = {"area": cell.area, "leakage": cell.leakage}
    if (flip_flop := cell.flip_flop) is not None:
        expressions = (flip_flop.clocked_on, flip_flop.next_state, flip_flop.clear, flip_flop.preset)
        facts["flip_flop"] = [*flip_flop.state, *expressions]
        facts["clocks"] = [pin.name for pin in cell.inputs if pin.is_clock]
    facts["inputs"] = {pin.name: [pin.rise_capacitance, pin.fall_capacitance, pin.energy] for pin in cell.inputs}
    setup = {pin.name: _encoded_setup(*pin.setup, unit) for pin in cell.inputs if pin.setup is not None}
    if setup:
        facts["setup"] = setup
    facts["outputs"] = {output.name: _encoded_output(output, slews, unit) for output in cell.outputs}
    return facts


def _encoded_setup(rise: Table, fall: Table, unit: float | None) -> list[Any]:
    axes = rise.slews, rise.loads
    return [list(rise.slews), list(rise.loads), *(_encoded_table(table, *axes, unit) for table in (rise, fall))]


def _encoded_output(output: Output, slews: tuple[float, ...], unit: float | None) -> dict[str, Any]:
    axes = Counter(table.loads for arc in output.arcs for table in arc.tables)
    loads = axes.most_common(1)[0][0] if axes else ()
    return {
        "function": output.function,
        "max_load": output.max_capacitance,
        "energy": output.energy,
        "loads": list(loads),
        "arcs": [
            [
                arc.related_pin,
                arc.sense,
                arc.kind if arc.kind != "combinational" else "",
                *(_encoded_table(table, slews, loads, unit) for table in arc.tables),
            ]
            for arc in output.arcs
        ],
    }


def _encoded_table(table: Table, slews: tuple[float, ...], loads: tuple[float, ...], unit: float | None) -> Any:
    if unit is None:
        numbers = list(itertools.chain.from_iterable(table.values))
    else:
        numbers = _differences([[round(value / unit) for value in row] for row in table.values])
    if (table.slews, table.loads) == (slews, loads):
        return numbers
    return {"slews": list(table.slews), "loads": list(table.loads), "values": numbers}


def _differences(values: list[list[int]]) -> list[float]:
    first = [value - before for before, value in itertools.pairwise([0, *values[0]])]
    others = (value - above for rows in itertools.pairwise(values) for above, value in zip(*rows, strict=True))
    return [*first, *others]


def _decoded_cell(name: str, facts: dict[str, Any], slews: tuple[float, ...], unit: float | None) -> Cell:
    flip_flop = _decoded_flip_flop(*facts["flip_flop"]) if "flip_flop" in facts else None
    clocks, setup = facts.get("clocks", []), facts.get("setup", {})
    names = (*facts["inputs"], *(flip_flop.state if flip_flop else ()))
    if flip_flop is not None:
        function(flip_flop.next_state, names)
    return Cell(
        name,
        _real(facts["area"]),
        tuple(
            Input(pin, _real(rise), _real(fall), pin in clocks, _real(energy), _decoded_setup(setup.get(pin), unit))
            for pin, (rise, fall, energy) in facts["inputs"].items()
        ),
        tuple(_decoded_output(pin, output, names, slews, unit) for pin, output in facts["outputs"].items()),
        flip_flop,
        _real(facts["leakage"]),
    )


def _decoded_flip_flop(state: Any, inverse: Any, *expressions: Any) -> FlipFlop:
    return FlipFlop((_text(state), _text(inverse)), *map(_text, expressions))


def _decoded_setup(facts: list[Any] | None, unit: float | None) -> tuple[Table, Table] | None:
    if facts is None:
        return None
    slews, clocks, rise, fall = facts
    axes = _axis(slews), _axis(clocks)
    return _decoded_table(rise, *axes, unit), _decoded_table(fall, *axes, unit)


def _decoded_output(
    name: str, facts: dict[str, Any], names: tuple[str, ...], slews: tuple[float, ...], unit: float | None
) -> Output:
    function(_text(facts["function"]), names)
    loads = _axis(facts["loads"])
    arcs = (
        Arc(
            _text(related),
            _text(sense),
            _text(kind) or "combinational",
            *(_decoded_table(table, slews, loads, unit) for table in tables),
        )
        for related, sense, kind, *tables in facts["arcs"]
    )
    return Output(name, facts["function"], _real(facts["max_load"]), tuple(arcs), _real(facts["energy"]))


def _decoded_table(facts: Any, slews: tuple[float, ...], loads: tuple[float, ...], unit: float | None) -> Table:
    numbers = facts
    if isinstance(facts, dict):
        slews, loads, numbers = _axis(facts["slews"]), _axis(facts["loads"]), facts["values"]
    width = len(loads)
    if not width or len(numbers) != len(slews) * width:
        raise ValueError(f"{len(numbers)} values in a {len(slews)} × {width} table")
    rows = [[_real(number) for number in numbers[start : start + width]] for start in range(0, len(numbers), width)]
    if unit is None:
        return Table(slews, loads, tuple(map(tuple, rows)))
    rows[0] = list(itertools.accumulate(rows[0]))
    for above, row in itertools.pairwise(rows):
        row[:] = [before + more for before, more in zip(above, row, strict=True)]
    return Table(slews, loads, tuple(tuple(value * unit for value in row) for row in rows))


def _axis(points: list[float]) -> tuple[float, ...]:
    axis = tuple(_real(point) for point in points)
    if any(after <= before for before, after in itertools.pairwise(axis)):
        raise ValueError("the points of a table do not ascend")
    return axis


def _real(value: Any) -> Any:
    """A number as it is, whole or not."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _ABSURD:
        raise ValueError(f"{str(value)[:40]!r} where a number belongs")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{str(value)[:40]!r} where a text belongs")
    return value
