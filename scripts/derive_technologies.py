"""Derive the shipped technologies from complete Liberty files, and show how well the two agree.

    python scripts/derive_technologies.py sky130hd FILE.lib.gz     # writes amhw/synth/technologies/sky130hd.json
    python scripts/derive_technologies.py --check sky130hd FILE.lib.gz

sky130hd comes from the SkyWater sky130_fd_sc_hd library (tt, 25 °C, 1.80 V), sg13g2 from IHP's
sg13g2_stdcell (typ, 1.20 V, 25 °C); both are under the Apache licence 2.0.
"""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

import click

from amhw.command import Command
from amhw.files import write_atomically
from amhw.synth.liberty import read_library
from amhw.synth.library import Cell, Library, Table
from amhw.synth.technology import encoded

FOLDER = Path(__file__).resolve().parent.parent / "amhw" / "synth" / "technologies"


@dataclass(frozen=True)
class Selection:
    """Which cells and which grid points of a complete library are kept."""

    about: dict[str, str]
    cells: str  # of these names
    slews: tuple[int, ...]  # indices into the library's axes
    loads: tuple[int, ...]


SELECTIONS = {
    "sky130hd": Selection(
        {
            "title": "SkyWater SKY130 high density",
            "corner": "tt, 25 °C, 1.80 V",
            "source": "sky130_fd_sc_hd__tt_025C_1v80.lib",
            "copyright": "Copyright 2020 The SkyWater PDK Authors, Apache-2.0",
        },
        r"sky130_fd_sc_hd__("
        r"(inv|buf)_(1|2|4|8)|(nand2|nor2)_(1|2|4)|(nand3|nor3|nand4|nor4|nand2b|nor2b)_(1|2)"
        r"|(nand3b|nor3b|nand4b|nor4b)_1"
        r"|(and2|or2)_(0|1|2|4)|(and3|or3)_(1|2)|(and4|or4|and2b|or2b|and3b|or3b|and4b|or4b)_1"
        r"|(xor2|xnor2)_(1|2|4)|(xor3|xnor3)_1|(mux2|mux2i)_(1|2)|maj3_(1|2)"
        r"|(a21oi|o21ai)_(0|1|2|4)|(a22oi|o22ai|a21boi|o21bai|a31oi|o31ai|a211oi|o211ai)_(0|1|2)"
        r"|(a21o|o21a|a22o|o22a)_(1|2)|(a21bo|o21ba|a31o|o31a|a211o|o211a|a221o|o221a|a32o|o32a|a311o|o311a)_1"
        r"|(a221oi|o221ai|a32oi|o32ai|a311oi|o311ai|a2bb2oi|o2bb2ai)_1"
        r"|(a2bb2o|o2bb2a)_1|(fa|ha)_1|(dfxtp|dfrtp|dfstp)_(1|2))",
        (0, 2, 3, 4, 6),
        (0, 2, 4, 6),
    ),
    "sg13g2": Selection(
        {
            "title": "IHP SG13G2",
            "corner": "typ, 25 °C, 1.20 V",
            "source": "sg13g2_stdcell_typ_1p20V_25C.lib",
            "copyright": "Copyright 2024 IHP PDK Authors, Apache-2.0",
        },
        r"sg13g2_(?!dlygate|ebufn|einvn).*",
        (0, 1, 2, 3, 4, 6),
        (0, 1, 3, 6),
    ),
}


def reduced(library: Library, selection: Selection) -> Library:
    """`library` with the selected cells and grid points."""
    names = [name for name in library.cells if re.fullmatch(selection.cells, name)]
    # All cells of these libraries share their slew axis but for the last digit.
    slews = library.cells[names[0]].outputs[0].arcs[0].cell_rise.slews
    axis = tuple(round(slews[i], 2) for i in selection.slews)

    def table(full: Table, loads: tuple[float, ...]) -> Table:
        return full.at_points(axis, loads)

    def cell(full: Cell) -> Cell:
        outputs = []
        for output in full.outputs:
            all_loads = output.arcs[0].cell_rise.loads
            loads = tuple(round(all_loads[i], 3) for i in selection.loads)
            arcs = tuple(
                replace(arc, **{name: table(getattr(arc, name), loads) for name in arc.TABLES})
                for arc in output.arcs
            )
            outputs.append(replace(output, arcs=arcs))
        return replace(full, outputs=tuple(outputs))

    return Library(library.name, {name: cell(library.cells[name]) for name in names}, library.max_transition)


def as_text(facts: dict[str, object]) -> str:
    """JSON with one cell a line, so that a difference shows which cell changed."""
    cells = facts["cells"]
    assert isinstance(cells, dict)
    head = {key: value for key, value in facts.items() if key != "cells"}
    lines = [f"{json.dumps(name)}:{json.dumps(cell, separators=(',', ':'))}" for name, cell in cells.items()]
    return (
        json.dumps(head, indent=1, ensure_ascii=False)[:-2] + ',\n "cells": {\n' + ",\n".join(lines) + "\n}}\n"
    )


@click.command(cls=Command)
@click.argument("name", type=click.Choice(sorted(SELECTIONS)))
@click.argument("liberty")
def command(name: str, liberty: str) -> None:
    """Write the table of facts of technology NAME from the complete Liberty file LIBERTY."""
    library = reduced(read_library(liberty), SELECTIONS[name])
    path = write_atomically(FOLDER / f"{name}.json", as_text(encoded(library, SELECTIONS[name].about)))
    print(f"{path.name}: {len(library.cells)} cells, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    command()
