"""Area and critical path of the 25×16 weight-stationary array over depth, exact and approximate.

The whole mesh, edge registers and broadcast nets included, flattened before it is mapped; with --hierarchical each
different element is mapped once. With --place the cells are placed, once, and wires count. Rows are written to a CSV
file as they come, so that another run goes on.

Example: python scripts/array_figures.py --tech sky130hd --plot docs/figures/array_depth.svg
"""

import csv
import time
from pathlib import Path

import click

from amhw import ProductTable, parse
from amhw.array.mesh import SystolicArray
from amhw.array.widths import Widths
from amhw.commands.base import Command, print_json
from amhw.files import read_whole, write_atomically
from amhw.synth import RECIPES, SEARCH, Synthesiser, Technology
from amhw.synth.layout import laid_out
from amhw.verilog import emit

EXACT = "mul_u8s8_pp_full"
APPROXIMATE = ("mul_u8s8_pp_0_0_0_0_0_0_f0_f0", "mul_u8s8_pp_0_0_0_0_0_0_e0_e0")
FIGURES = Path(__file__).parent.parent / "docs" / "figures"


@click.command(cls=Command, epilog="Example: python scripts/array_figures.py --tech sky130hd")
@click.option("--tech", default="sky130hd", show_default=True)
@click.option("--depths", default="1,5,25", show_default=True, help="Rows that share an element's adder.")
@click.option(
    "--multipliers", default=",".join((EXACT, *APPROXIMATE)), help="The first: what others are compared with."
)
@click.option("--rows", default=25, show_default=True)
@click.option("--cols", default=16, show_default=True)
@click.option("--hierarchical", is_flag=True, help="Map each different element once.")
@click.option("--all-recipes", is_flag=True, help="The best product of all recipes, not the search recipe alone.")
@click.option("--place", "placing", is_flag=True, help="Place the cells: delay with wires, and the area of the core.")
@click.option("--csv", "path", type=click.Path(path_type=Path), help="Where rows are kept. [default: in docs/figures]")
@click.option("--plot", type=click.Path(path_type=Path), help="An SVG of area against delay.")
def main(
    tech: str,
    depths: str,
    multipliers: str,
    rows: int,
    cols: int,
    hierarchical: bool,
    all_recipes: bool,
    placing: bool,
    path: Path | None,
    plot: Path | None,
) -> None:
    """Area a multiply-accumulate and critical path of the array; one JSON object."""
    path = path or FIGURES / ("array_wires.csv" if placing else "array_depth.csv")
    found = _read(path)
    recipes = RECIPES if all_recipes else (SEARCH,)
    how = ("hierarchical" if hierarchical else "flat", "all" if all_recipes else SEARCH.name)
    chosen = []
    with Synthesiser(Technology.named(tech), recipes, workers=1, netlists=placing, timeout=7200) as synthesiser:
        for name in multipliers.split(","):
            for depth in depths.split(","):
                key = (tech, f"{rows}x{cols}", name, depth, *how)
                row = next((row for row in found if tuple(row.values())[: len(key)] == key), None)
                if row is None:
                    row = dict(zip(("tech", "array", "multiplier", "depth", "how", "recipes"), key, strict=True))
                    row |= figures(synthesiser, name, rows, cols, int(depth), hierarchical, placing)
                    found.append(row)
                    _write(path, found)
                chosen.append(row)
                click.echo(f"{name} depth {depth}: {row['area_per_mac_um2']} µm² {row['delay_ps']} ps", err=True)
    exact = chosen[0]
    ratios = [
        {
            **row,
            "area_ratio": round(float(row["area_per_mac_um2"]) / float(exact["area_per_mac_um2"]), 4),
            "delay_ratio": round(float(row["delay_ps"]) / float(exact["delay_ps"]), 4),
        }
        for row in chosen
    ]
    if plot is not None:
        draw(chosen, plot, f"{rows}×{cols}, {how[0]}, {tech}")
    print_json({"rows": ratios})


def figures(
    synthesiser: Synthesiser, name: str, rows: int, cols: int, depth: int, hierarchical: bool, placing: bool
) -> dict[str, str]:
    """The mesh's figures."""
    multiplier = parse(name)
    array = SystolicArray(multiplier, Widths.of(ProductTable.of(multiplier)), rows, cols, depth)
    modules = {element.name: element for element in array.elements}
    text = "\n".join([*(emit(element, module) for module, element in modules.items()), emit(array, "mesh")])
    started = time.monotonic()
    result = synthesiser.submit(text, "mesh", hierarchical=hierarchical).result()
    best = result.best_product
    mapped = time.monotonic()
    placed = {}
    if placing:
        assert best.gates is not None
        layout = laid_out(best.gates, synthesiser.technology, seeds=(1,))
        placed = {
            "placed_area_per_mac_um2": f"{layout.area_um2 / (rows * cols):.2f}",
            "core_per_mac_um2": f"{layout.placement.area_um2 / (rows * cols):.2f}",
            "delay_with_wires_ps": f"{layout.delay_ps:.1f}",
            "wire_mm": f"{layout.wires.length_um / 1000:.1f}",
            "seconds_placing": f"{time.monotonic() - mapped:.0f}",
        }
    return {
        "recipe": best.recipe,
        "area_per_mac_um2": f"{best.area_um2 / (rows * cols):.2f}",
        "delay_ps": f"{best.delay_ps:.1f}",
        "start": best.start,
        "end": best.end,
        "cells": str(best.cells),
        "seconds": f"{mapped - started:.0f}",
        **placed,
    }


def _read(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(read_whole(path).decode().splitlines())) if path.exists() else []


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
    write_atomically(path, "\n".join(lines) + "\n")


def draw(rows: list[dict[str, str]], path: Path, title: str) -> None:
    """Area a multiply-accumulate against delay, a line for each multiplier over depth."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "amhw"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    names = tuple(dict.fromkeys(row["multiplier"] for row in rows))
    for name in names:
        line = [row for row in rows if row["multiplier"] == name]
        x, y = ([float(row[key]) for row in line] for key in ("delay_ps", "area_per_mac_um2"))
        axes.plot(x, y, "o-", label=name)
        for row, where, height in zip(line, x, y, strict=True):
            up = -14 if name == names[-1] else 6
            axes.annotate(f"depth {row['depth']}", (where, height), (2, up), textcoords="offset points", size="small")
    axes.set(xlabel="critical path / ps", ylabel="area a multiply-accumulate / µm²", title=f"{title}, restructured")
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0, right=1.2 * max(float(row["delay_ps"]) for row in rows))
    axes.legend(fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
