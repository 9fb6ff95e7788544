"""Derive the shipped technologies from complete Liberty files, and show how well the two agree.

    python scripts/derive_technologies.py sky130hd FILE.lib.gz            writes the table of facts
    python scripts/derive_technologies.py sky130hd FILE.lib.gz --check    compares it with the file

sky130hd comes from the SkyWater sky130_fd_sc_hd library (tt, 25 °C, 1.80 V), sg13g2 from IHP's
sg13g2_stdcell (typ, 1.20 V, 25 °C); both are under the Apache licence 2.0.
"""

import gzip
import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import click

from amhw.commands.base import Command
from amhw.files import write_atomically
from amhw.synth import Recipe, Synthesiser, Technology
from amhw.synth.facts import as_text, encoded
from amhw.synth.liberty import read_library
from amhw.synth.library import Arc, Cell, Library
from amhw.synth.recipe import AREA, BALANCED, DELAY
from amhw.synth.reports import AbcTiming
from amhw.synth.sta import timing_with
from amhw.verilog import Design

FOLDER = Path(__file__).resolve().parent.parent / "amhw" / "synth" / "technologies"


RESOLUTION = 0.1
"""Of the shipped tables' times, ps."""


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
        r"|(a2bb2o|o2bb2a)_1|(fa|ha)_(1|2|4)|(dfxtp|dfrtp|dfstp)_(1|2))",
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

    def cell(full: Cell) -> Cell:
        outputs = []
        for output in full.outputs:
            all_loads = output.arcs[0].cell_rise.loads
            loads = tuple(round(all_loads[i], 3) for i in selection.loads)
            arcs = (
                Arc(a.related_pin, a.sense, a.kind, *(table.at_points(axis, loads) for table in a.tables))
                for a in output.arcs
            )
            outputs.append(
                replace(
                    output,
                    arcs=tuple(arcs),
                    max_capacitance=round(output.max_capacitance, 4),
                    energy=round(output.energy, 2),
                )
            )
        inputs = (
            replace(
                pin,
                rise_capacitance=round(pin.rise_capacitance, 4),
                fall_capacitance=round(pin.fall_capacitance, 4),
                energy=round(pin.energy, 2),
            )
            for pin in full.inputs
        )
        return replace(full, inputs=tuple(inputs), outputs=tuple(outputs), leakage=round(full.leakage, 3))

    return Library(
        library.name, {name: cell(library.cells[name]) for name in names}, library.max_transition, library.voltage
    )


DESIGNS = [
    f"mul_u8s8_pp_{mask}{structure}"
    for mask in (
        "full",
        "c0_e0_f0_f8_fc_fe_ff_ff",
        "0_0_0_20_f8_f8_fc_fe",
        "0_0_0_0_20_f0_f8_fc",
        "0_0_0_0_0_e0_e0_e0",
        "0_0_0_0_0_0_f0_f0",
        "0_0_0_0_0_0_c0_c0",
    )
    for structure in ("", "__wallace", "__kogge_stone", "__array__ripple")
]


@dataclass(frozen=True)
class Comparison:
    """One netlist timed with both libraries."""

    design: str
    recipe: str
    netlist: str
    compact: AbcTiming
    complete: AbcTiming

    @property
    def deviation(self) -> float:
        """Of the compact library's delay, relative to the complete one's."""
        return self.compact.delay_ps / self.complete.delay_ps - 1


def compared(technology: Technology, liberty: Path) -> Iterator[Comparison]:
    """Each of DESIGNS mapped by three recipes, timed with the shipped tables and with all of `liberty`.

    The complete file is read by ABC itself, with the cells that are not shipped hidden.
    """
    without = sorted(set(read_library(liberty).cells) - set(technology.library.cells))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        complete, compact = folder / "complete.lib", folder / "compact.lib"
        complete.write_bytes(gzip.decompress(liberty.read_bytes()))
        compact.write_text(technology.liberty)
        recipes = [
            Recipe(recipe.name, f"{recipe.script}; topo; write_blif {folder / recipe.name}.blif")
            for recipe in (BALANCED, AREA, DELAY)
        ]
        netlists = [folder / f"{recipe.name}.blif" for recipe in recipes]
        with Synthesiser(technology, recipes, workers=1) as synthesiser:
            for design in DESIGNS:
                synthesiser.submit(Design.parse(design).verilog()).result()
                pairs = zip(
                    timing_with(compact, technology.constraints, netlists),
                    timing_with(complete, technology.constraints, netlists, without=without),
                    strict=True,
                )
                for recipe, netlist, (short, full) in zip(recipes, netlists, pairs, strict=True):
                    yield Comparison(design, recipe.name, netlist.read_text(), short, full)


def check(name: str, liberty: Path, reference: Path | None) -> None:
    """Print how well the shipped tables agree with the complete library; keep a few netlists in `reference`."""
    comparisons = []
    for c in compared(Technology.named(name), liberty):
        comparisons.append(c)
        print(
            f"{c.design:48s} {c.recipe:10s} area {c.compact.area:8.2f} {c.complete.area:8.2f} µm²"
            f"  delay {c.compact.delay_ps:7.1f} {c.complete.delay_ps:7.1f} ps {c.deviation:+7.2%}"
        )
    deviations = [c.deviation for c in comparisons]
    differing = sum(c.compact.area != c.complete.area for c in comparisons)
    print(
        f"{name}: {len(comparisons)} netlists of {len(DESIGNS)} designs; area differs in {differing}; "
        f"delay deviates by {min(deviations):+.2%} to {max(deviations):+.2%}"
    )
    if reference is not None:
        kept = [
            {
                "design": c.design,
                "recipe": c.recipe,
                "area": c.complete.area,
                "delay_ps": c.complete.delay_ps,
                "netlist": c.netlist.partition("\n")[2],  # the first line is a date
            }
            for c in comparisons[::4]
            if len(c.netlist) < 12_000
        ]
        write_atomically(reference, json.dumps(kept, indent=1) + "\n")


@click.command(cls=Command)
@click.argument("name", type=click.Choice(sorted(SELECTIONS)))
@click.argument("liberty", type=click.Path(path_type=Path))
@click.option("--check", "checking", is_flag=True, help="Compare the shipped tables with LIBERTY instead.")
@click.option("--reference", type=click.Path(path_type=Path), help="With --check: what tests need.")
def command(name: str, liberty: Path, checking: bool, reference: Path | None) -> None:
    """Write the table of facts of technology NAME from the complete Liberty file LIBERTY."""
    if checking:
        check(name, liberty, reference)
        return
    library = reduced(read_library(liberty), SELECTIONS[name])
    path = write_atomically(FOLDER / f"{name}.json", as_text(encoded(library, SELECTIONS[name].about, RESOLUTION)))
    print(f"{path.name}: {len(library.cells)} cells, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    command()
