"""Technologies: a cell library, what drives the inputs and what loads the outputs.

Shipped ones are compact tables of facts (`technologies/*.json`, written by scripts/derive_technologies.py):
the cells that technology mapping of arithmetic uses, with delay and transition tables on fewer grid points
than the foundry's. Any Liberty file gives one too.
"""

import hashlib
import itertools
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import resources
from pathlib import Path
from typing import Any

from amhw.refusal import Refusal
from amhw.synth.boolean import truth_table
from amhw.synth.liberty import read_library
from amhw.synth.library import (
    INVERTER,
    NAND2,
    TWO_INPUT_GATES,
    Arc,
    Cell,
    FlipFlop,
    Input,
    Library,
    Output,
    Table,
    liberty_text,
)

MOST_READERS = 32
"""In designs with registers a net with more readers gets a tree of buffers."""

_FOLDER = resources.files("amhw.synth") / "technologies"


@dataclass(frozen=True)
class Technology:
    """Where area and delay are measured.

    Every input comes from `driving_cell` (so its delay and slew depend on how many gates read the input),
    every output drives `load` fF. `Technology.of` chooses the inverter of about four times unit strength,
    as the output of a buffered register has, and four times a unit inverter's input capacitance (FO4).
    There are no wires.

    >>> sky = Technology.named("sky130hd")
    >>> sky.driving_cell, sky.cell("sky130_fd_sc_hd__nand2_1").area
    ('sky130_fd_sc_hd__inv_4', 3.7536)
    """

    name: str
    library: Library = field(repr=False, hash=False)
    driving_cell: str
    load: float
    source: str = ""

    @staticmethod
    def of(name: str, library: Library, source: str = "") -> "Technology":
        """The technology of `library` with the driver and load described above.

        Raises:
            Refusal: the library has no inverter, or no two-input gate, and nothing can be mapped to it.
        """
        place = source or name
        if library.smallest(*INVERTER) is None:
            raise Refusal(f"{place} has no inverter; mapping needs an inverter and a two-input gate")
        if all(library.smallest(2, truth) is None for truth in TWO_INPUT_GATES.values()):
            wanted = ", ".join(TWO_INPUT_GATES)
            raise Refusal(f"{place} has no two-input gate ({wanted}); mapping needs an inverter and one of them")
        inverters = library.with_truth(*INVERTER)
        unit = min(cell.inputs[0].capacitance for cell in inverters)
        driver = min(inverters, key=lambda cell: (abs(cell.inputs[0].capacitance / unit - 4), cell.area))
        return Technology(name, library, driver.name, round(4 * unit, 3), source)

    @staticmethod
    def named(name: str) -> "Technology":
        """A shipped technology.

        Raises:
            Refusal: no such technology.
        """
        if name not in technologies():
            known = ", ".join(technologies())
            raise Refusal(f"unknown technology {name!r}; known: {known}, or give a Liberty file")
        return _shipped(name)

    @staticmethod
    def from_liberty(path: Path | str, cells: Iterable[str] | None = None) -> "Technology":
        """The technology in a Liberty file (plain or gzip), all its usable cells or only `cells`.

        Raises:
            Refusal: unreadable, truncated or foreign file, or no inverter, or no two-input gate.
        """
        library = read_library(path)
        if cells is not None:
            library = library.restricted_to(cells)
        return Technology.of(technology_label(path), library, source=Path(path).name)

    def cell(self, name: str) -> Cell:
        """The cell of that name."""
        return self.library.cells[name]

    @cached_property
    def nand2_area(self) -> float:
        """Area of the smallest two-input NAND (else of the smallest two-input gate), µm²."""
        found = self.library.smallest(*NAND2)
        gates = [self.library.smallest(2, truth) for truth in TWO_INPUT_GATES.values()]
        return (found or min((cell for cell in gates if cell), key=lambda cell: cell.area)).area

    @cached_property
    def liberty(self) -> str:
        """The Liberty file that Yosys and ABC are given."""
        return liberty_text(self.library)

    @cached_property
    def adders(self) -> Mapping[str, str]:
        """For `full` and `half` an instance of the library's cell in Verilog, Y the sum and X the carry.

        A half adder is left out where it is no smaller than the smallest XOR and NAND together, the gates of one: it
        then only keeps ABC from sharing them with others (docs/cost.md has figures).

        >>> [cell.split()[0] for cell in Technology.named("sky130hd").adders.values()]
        ['sky130_fd_sc_hd__fa_1']
        >>> dict(Technology.named("sg13g2").adders)
        {}
        """
        found = {kind: _adder_cell(self.library, operands) for kind, operands in _OPERANDS.items()}
        gates = [self.library.smallest(2, truth) for truth in (_SUMS[2], TWO_INPUT_GATES["NAND"])]
        most = {"full": math.inf, "half": math.fsum(cell.area for cell in gates if cell) if all(gates) else math.inf}
        return {kind: cell[1] for kind, cell in found.items() if cell is not None and cell[0] < most[kind] - 1e-9}

    @cached_property
    def adder_map(self) -> str:
        """Verilog with which Yosys' `techmap` turns `$fa` into `adders`; a half adder is one whose third input is 0."""
        full = self.adders.get("full", "wire _TECHMAP_FAIL_ = 1;")
        return _ADDER_MAP.format(full=full, half=self.adders.get("half", full))

    @cached_property
    def buffer(self) -> tuple[str, str, str] | None:
        """The buffer for broadcast nets with its input and output: the least area × delay at `MOST_READERS` inverters.

        >>> Technology.named("sky130hd").buffer
        ('sky130_fd_sc_hd__buf_2', 'A', 'X')
        """
        load = MOST_READERS * self.load / 4
        found = [
            (cell.area * max(arc.cell_rise.at(50.0, load), arc.cell_fall.at(50.0, load)), cell)
            for cell in self.library.with_truth(1, 0b10)
            for arc in cell.outputs[0].arcs[:1]
        ]
        if not found:
            return None
        cell = min(found, key=lambda pair: (pair[0], pair[1].name))[1]
        return cell.name, cell.inputs[0].name, cell.outputs[0].name

    @cached_property
    def registers(self) -> tuple[str, ...]:
        """The names of the flip-flops."""
        return tuple(name for name, cell in self.library.cells.items() if cell.flip_flop is not None)

    @cached_property
    def constraints(self) -> str:
        """The constraint file that ABC is given."""
        return f"set_driving_cell {self.driving_cell}\nset_load {self.load:g}\n"

    @cached_property
    def sha256(self) -> str:
        """Of all that decides a figure: Liberty text, driver and load."""
        return hashlib.sha256((self.liberty + self.constraints).encode()).hexdigest()


_OPERANDS = {"full": ("A", "B", "C"), "half": ("A", "B")}

_ADDER_MAP = """\
(* techmap_celltype = "$fa" *)
module adders (A, B, C, X, Y);
  parameter WIDTH = 1;
  parameter _TECHMAP_CONSTMSK_C_ = 0;
  parameter _TECHMAP_CONSTVAL_C_ = 0;
  input [WIDTH-1:0] A, B, C;
  output [WIDTH-1:0] X, Y;
  generate if (WIDTH != 1) begin
    wire _TECHMAP_FAIL_ = 1;
  end else if (_TECHMAP_CONSTMSK_C_ == 1 && _TECHMAP_CONSTVAL_C_ == 0) begin
    {half}
  end else begin
    {full}
  end endgenerate
endmodule
"""

_SUMS = {2: 0b0110, 3: 0b10010110}
_CARRIES = {2: 0b1000, 3: 0b11101000}


def _adder_cell(library: Library, operands: tuple[str, ...]) -> tuple[float, str] | None:
    """Area and instance of the smallest cell that adds `operands`; its outputs may be inverted, as ASAP7's are."""
    found = []
    wanted = {_SUMS[len(operands)]: "Y", _CARRIES[len(operands)]: "X"}
    every = (1 << (1 << len(operands))) - 1
    for cell in library.cells.values():
        names = [pin.name for pin in cell.inputs]
        if cell.flip_flop is not None or len(names) != len(operands) or len(cell.outputs) != 2:
            continue
        pins, before, after = list(zip(names, operands, strict=True)), "", ""
        for output in cell.outputs:
            truth = truth_table(output.function, names)
            if truth in wanted:
                pins.append((output.name, wanted[truth]))
            elif truth ^ every in wanted:
                port = wanted[truth ^ every]
                pins.append((output.name, f"not_{port}"))
                before, after = (
                    f"{before}wire not_{port}; ",
                    f"{after} \\$_NOT_ not_not_{port} (.A(not_{port}), .Y({port}));",
                )
        if {"X", "Y"} <= {net.removeprefix("not_") for _, net in pins}:
            connections = ", ".join(f".{pin}({net})" for pin, net in pins)
            found.append((cell.area, f"{before}{cell.name} _ ({connections});{after}"))
    return min(found, default=None)


def technologies() -> tuple[str, ...]:
    """The names of the shipped technologies.

    >>> technologies()
    ('sg13g2', 'sky130hd')
    """
    names = (entry.name for entry in _FOLDER.iterdir())
    return tuple(sorted(name.removesuffix(".json") for name in names if name.endswith(".json")))


def technology_label(technology: Path | str) -> str:
    """What a technology given by name or as a Liberty file is called."""
    return Path(technology).name.removesuffix(".gz").removesuffix(".lib")


@cache
def _shipped(name: str) -> Technology:
    facts = json.loads((_FOLDER / f"{name}.json").read_text())
    return Technology.of(name, decoded(facts), facts["source"])


# The table of facts. Times are in ps, loads in fF, areas in µm². All tables share `slews_ps`; those of one
# output share its loads. A table is one list of differences in units of `unit_ps`: its first row from the left, then
# each row from the one before. Energies are in fJ, leakage
# in nW. An arc's kind is empty where it is combinational.


def encoded(library: Library, about: dict[str, Any], unit: float = 0.1) -> dict[str, Any]:
    """The table of facts for `library`, whose tables share axes as the format wants; `about` comes first.

    `unit` is the resolution of times, ps.
    """
    slews = {t.slews for c in library.cells.values() for o in c.outputs for a in o.arcs for t in a.tables}
    if len(slews) != 1:
        raise ValueError("the tables have several slew axes")
    return {
        **about,
        "library": library.name,
        "max_transition_ps": library.max_transition,
        "voltage": library.voltage,
        "unit_ps": unit,
        "slews_ps": list(slews.pop()),
        "cells": {name: _encoded_cell(cell, unit) for name, cell in library.cells.items()},
    }


def decoded(facts: dict[str, Any]) -> Library:
    """The library in a table of facts."""
    slews = tuple(facts["slews_ps"])
    cells = {name: _decoded_cell(name, cell, slews, facts["unit_ps"]) for name, cell in facts["cells"].items()}
    return Library(facts["library"], cells, facts["max_transition_ps"], facts["voltage"])


def _encoded_cell(cell: Cell, unit: float) -> dict[str, Any]:
    facts: dict[str, Any] = {"area": cell.area, "leakage": round(cell.leakage, 3)}
    if (flip_flop := cell.flip_flop) is not None:
        expressions = (flip_flop.clocked_on, flip_flop.next_state, flip_flop.clear, flip_flop.preset)
        facts["flip_flop"] = [*flip_flop.state, *expressions]
        facts["clocks"] = [pin.name for pin in cell.inputs if pin.is_clock]
    facts["inputs"] = {
        pin.name: [round(pin.rise_capacitance, 4), round(pin.fall_capacitance, 4), round(pin.energy, 2)]
        for pin in cell.inputs
    }
    facts["setup"] = {
        pin.name: [list(pin.setup[0].slews), list(pin.setup[0].loads), *(_units(table, unit) for table in pin.setup)]
        for pin in cell.inputs
        if pin.setup is not None
    }
    if not facts["setup"]:
        del facts["setup"]
    facts["outputs"] = {output.name: _encoded_output(output, unit) for output in cell.outputs}
    return facts


def _encoded_output(output: Output, unit: float) -> dict[str, Any]:
    loads = {table.loads for arc in output.arcs for table in arc.tables}
    if len(loads) != 1:
        raise ValueError(f"the tables of {output.name} have several load axes")
    return {
        "function": output.function,
        "max_load": round(output.max_capacitance, 4),
        "energy": round(output.energy, 2),
        "loads": list(loads.pop()),
        "arcs": [
            [
                arc.related_pin,
                arc.sense,
                arc.kind if arc.kind != "combinational" else "",
                *(_units(table, unit) for table in arc.tables),
            ]
            for arc in output.arcs
        ],
    }


def as_text(facts: dict[str, Any]) -> str:
    """JSON with one cell a line, so that a difference shows which cell changed."""
    head = {key: value for key, value in facts.items() if key != "cells"}
    lines = [f"{json.dumps(name)}:{json.dumps(cell, separators=(',', ':'))}" for name, cell in facts["cells"].items()]
    return json.dumps(head, indent=1, ensure_ascii=False)[:-2] + ',\n "cells": {\n' + ",\n".join(lines) + "\n}}\n"


def _units(table: Table, unit: float) -> list[int]:
    values = [[round(value / unit) for value in row] for row in table.values]
    first = [value - before for before, value in itertools.pairwise([0, *values[0]])]
    others = (value - above for rows in itertools.pairwise(values) for above, value in zip(*rows, strict=True))
    return [*first, *others]


def _from_units(slews: tuple[float, ...], loads: tuple[float, ...], differences: list[int], unit: float) -> Table:
    width = len(loads)
    rows = [list(itertools.accumulate(differences[:width]))]
    for start in range(width, len(differences), width):
        rows.append([above + more for above, more in zip(rows[-1], differences[start : start + width], strict=True)])
    return Table(slews, loads, tuple(tuple(value * unit for value in row) for row in rows))


def _decoded_cell(name: str, facts: dict[str, Any], slews: tuple[float, ...], unit: float) -> Cell:
    clocks = facts.get("clocks", [])
    flip_flop = facts.get("flip_flop")
    return Cell(
        name,
        facts["area"],
        tuple(
            Input(pin, rise, fall, pin in clocks, energy, _decoded_setup(facts.get("setup", {}).get(pin), unit))
            for pin, (rise, fall, energy) in facts["inputs"].items()
        ),
        tuple(_decoded_output(pin, output, slews, unit) for pin, output in facts["outputs"].items()),
        FlipFlop((flip_flop[0], flip_flop[1]), *flip_flop[2:]) if flip_flop else None,
        facts["leakage"],
    )


def _decoded_setup(facts: list[Any] | None, unit: float) -> tuple[Table, Table] | None:
    if facts is None:
        return None
    slews, clocks, rise, fall = facts
    axes = tuple(slews), tuple(clocks)
    return _from_units(*axes, rise, unit), _from_units(*axes, fall, unit)


def _decoded_output(name: str, facts: dict[str, Any], slews: tuple[float, ...], unit: float) -> Output:
    loads = tuple(facts["loads"])

    arcs = (
        Arc(related, sense, kind or "combinational", *(_from_units(slews, loads, values, unit) for values in tables))
        for related, sense, kind, *tables in facts["arcs"]
    )
    return Output(name, facts["function"], facts["max_load"], tuple(arcs), facts["energy"])
