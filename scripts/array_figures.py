"""Area and delay of the 25×16 weight-stationary array over depth, exact and approximate, hierarchically.

Each different element is synthesised once; the array is so many of each and the registers of its edges. Every
element's outputs are registers, so that data paths lie inside elements; the broadcast of `w_load` and `swap` does
not, and shows with --flat-cols, because no recipe buffers it.

Example: python scripts/array_figures.py --tech sky130hd --plot docs/figures/array_depth.svg
"""

import time
from collections import Counter
from pathlib import Path

import click

from amhw import ProductTable, parse
from amhw.array.mesh import SystolicArray
from amhw.array.widths import Widths
from amhw.command import Command, print_json
from amhw.synth import RECIPES, SEARCH, Synthesiser, Technology
from amhw.verilog import emit

ROWS, COLS = 25, 16
EXACT = "mul_u8s8_pp_full"
APPROXIMATE = "mul_u8s8_pp_0_0_0_0_0_0_f0_f0"
REGISTER = "module register(input clk, input d, output reg q); always @(posedge clk) q <= d; endmodule"


@click.command(cls=Command, epilog="Example: python scripts/array_figures.py --tech sky130hd")
@click.option("--tech", default="sky130hd", show_default=True)
@click.option("--depths", default="1,5,25", show_default=True, help="Rows that share an element's adder.")
@click.option("--multipliers", default=f"{EXACT},{APPROXIMATE}", help="The first is what others are compared with.")
@click.option("--search", is_flag=True, help="Only the quick recipe, not the best of all.")
@click.option("--flat-cols", default=0, show_default=True, help="Also flatten an array of so many columns at depth 1.")
@click.option("--plot", type=click.Path(path_type=Path), help="An SVG of area against delay.")
def main(tech: str, depths: str, multipliers: str, search: bool, flat_cols: int, plot: Path | None) -> None:
    """Area a multiply-accumulate and critical path of the array; one JSON object."""
    started = time.monotonic()
    rows = []
    with Synthesiser(Technology.named(tech), (SEARCH,) if search else RECIPES, workers=1, timeout=600) as synthesiser:
        register = synthesiser.submit(REGISTER).result().area_um2
        for name in multipliers.split(","):
            for depth in (int(text) for text in depths.split(",")):
                row = figures(synthesiser, register, name, depth)
                rows.append(row)
                click.echo(f"{name} depth {depth}: {row['area_per_mac_um2']} µm² {row['delay_ps']} ps", err=True)
        for name in multipliers.split(",") if flat_cols else ():
            rows.append(flat(synthesiser, name, flat_cols))
    exact = rows[0]
    for row in rows:
        row["area_ratio"] = round(row["area_per_mac_um2"] / exact["area_per_mac_um2"], 4)
        row["delay_ratio"] = round(row["delay_ps"] / exact["delay_ps"], 4)
    if plot is not None:
        draw(rows, plot, tech)
    print_json({"tech": tech, "array": f"{ROWS}x{COLS}", "rows": rows, "seconds": round(time.monotonic() - started)})


def figures(synthesiser: Synthesiser, register: float, name: str, depth: int) -> dict[str, object]:
    """The array from its elements and edge registers."""
    multiplier = parse(name)
    widths = Widths.of(ProductTable.of(multiplier))
    array = SystolicArray(multiplier, widths, ROWS, COLS, depth)
    array._MustUse__used = True  # only its elements are emitted
    counts = Counter(element.name for element in array.elements)
    modules = {element.name: element for element in array.elements}
    results = {module: synthesiser.submit(emit(modules[module], module)) for module in counts}
    done = {module: future.result() for module, future in results.items()}
    elements = sum(done[module].area_um2 * count for module, count in counts.items()) * COLS
    lanes = array.lanes
    edges = lanes * (lanes - 1) // 2 * modules[next(iter(counts))].packed_a
    edges += COLS * (COLS - 1) // 2 * widths.sum_width(ROWS) + lanes + COLS - 1
    macs = ROWS * COLS
    return {
        "multiplier": name,
        "depth": depth,
        "how": "hierarchical",
        "area_per_mac_um2": round((elements + edges * register) / macs, 2),
        "elements_per_mac_um2": round(elements / macs, 2),
        "edge_registers": edges,
        "delay_ps": max(result.delay_ps for result in done.values()),
        "latency": array.latency,
        "elements": {
            module: {"count": count * COLS, "area_um2": done[module].area_um2, "delay_ps": done[module].delay_ps}
            for module, count in counts.items()
        },
    }


def flat(synthesiser: Synthesiser, name: str, cols: int) -> dict[str, object]:
    """A flattened array of depth 1."""
    multiplier = parse(name)
    array = SystolicArray(multiplier, Widths.of(ProductTable.of(multiplier)), ROWS, cols)
    modules = {element.name: element for element in array.elements}
    text = "\n".join([*(emit(element, module) for module, element in modules.items()), emit(array, "mesh")])
    started = time.monotonic()
    result = synthesiser.submit(text, "mesh").result()
    return {
        "multiplier": name,
        "depth": 1,
        "how": f"flat, {cols} columns",
        "area_per_mac_um2": round(result.area_um2 / (ROWS * cols), 2),
        "delay_ps": result.delay_ps,
        "path": f"{result.best_product.start} → {result.best_product.end}",
        "seconds": round(time.monotonic() - started),
    }


def draw(rows: list[dict[str, object]], path: Path, tech: str) -> None:
    """Area a multiply-accumulate against delay, a line for each multiplier over depth."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    for name in dict.fromkeys(row["multiplier"] for row in rows):
        line = [row for row in rows if row["multiplier"] == name and row["how"] == "hierarchical"]
        x, y = [row["delay_ps"] for row in line], [row["area_per_mac_um2"] for row in line]
        axes.plot(x, y, "o-", label=name)
        for row in line:
            axes.annotate(f" depth {row['depth']}", (row["delay_ps"], row["area_per_mac_um2"]))
    axes.set(xlabel="critical path (ps)", ylabel="area a multiply-accumulate (µm²)", title=f"{ROWS}×{COLS}, {tech}")
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    axes.legend(fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
