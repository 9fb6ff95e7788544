"""How our figures rank multipliers, against public figures after place and route.

    git clone https://github.com/yhmtmt/RTLGen
    python scripts/post_route.py RTLGen/runs/designs/multipliers             measures and prints the correlations
    python scripts/post_route.py FOLDER --all                                the same with every recipe
    python scripts/post_route.py FOLDER --platform asap7 --tech NAME         the same with an imported technology
    python scripts/post_route.py draw                                        the picture, from what was measured

`docs/figures/post-route.csv` has the published figures (RTLGen by Yohei Matsumoto, MIT licence): 32 exact 4×4 and 8×8
multipliers, signed and unsigned, radix-4 Booth or plain, with four adders, each between registers, placed and routed
by OpenROAD at three utilisations in sky130hd and ASAP7 for one clock. The Verilog is not kept here. A published
delay is the geometric mean over its runs, its area that of die area × utilisation. What is measured goes to
`docs/figures/cost-post-route-PLATFORM.csv`: of the multiplier alone, and with its registers repaired for that clock.
"""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from scipy.stats import spearmanr

from amhw.commands.base import Command
from amhw.files import write_atomically
from amhw.refusal import Refusal
from amhw.synth import AS_DESIGNED, BOTH_KINDS, SEARCH, Recipe, Synthesiser, technology_named
from amhw.synth.layout import laid_out
from amhw.synth.wires import WIRES

ROOT = Path(__file__).resolve().parent.parent
FIGURES, PICTURES = ROOT / "docs" / "figures", ROOT / "docs" / "pictures"

WIDTHS = (4, 8)
PLACED = "as-designed with wires"
REPAIRED = "as-designed for the clock"
"""With wires and with the registers around it."""

CLOCKS = {"sky130hd": 6000.0, "asap7": 1000.0}
"""Of the published runs, ps."""


def published(platform: str, width: int) -> dict[str, tuple[float, float]]:
    """Area (µm²) and delay (ns) of each design on a platform."""
    runs: dict[str, list[tuple[float, float]]] = {}
    for row in _published_rows():
        if (row["platform"], row["width"]) == (platform, str(width)):
            area = float(row["die_area_um2"]) * float(row["utilisation_percent"]) / 100
            runs.setdefault(row["design"], []).append((area, float(row["critical_path_ns"])))
    return {design: (_mean([a for a, _ in found]), _mean([d for _, d in found])) for design, found in runs.items()}


def agreement(platform: str, width: int) -> dict[str, tuple[float, float]]:
    """For each utilisation the rank correlation of its runs with the means over all: what published noise allows."""
    truth = published(platform, width)
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for row in _published_rows():
        if row["design"] in truth and row["platform"] == platform:
            here = float(row["die_area_um2"]), float(row["critical_path_ns"])
            found.setdefault(row["utilisation_percent"], {})[row["design"]] = here
    return {f"published, {share} % full": _ranked(runs, truth) for share, runs in found.items()}


def measure(folder: Path, platform: str, tech: str, recipes: Sequence[Recipe]) -> list[dict[str, Any]]:
    """Our figures of all designs: each recipe's, and as designed with wires where the technology's are known."""
    technology = technology_named(tech)
    rows: list[dict[str, Any]] = []
    with Synthesiser(technology, recipes, workers=1, netlists=True) as synthesiser:
        for width in WIDTHS:
            for design in published(platform, width):
                result = synthesiser.submit(verilog_of(folder, design), design).result()
                for mapping in result.mappings:
                    rows.append(_row(width, design, mapping.kind, mapping.recipe, mapping.area_um2, mapping.delay_ps))
                kept = result.as_designed
                if technology.name in WIRES and kept is not None and kept.gates is not None:
                    layout = laid_out(kept.gates, technology)
                    rows.append(_row(width, design, kept.kind, PLACED, layout.area_um2, layout.delay_ps))
                    whole = synthesiser.submit(verilog_of(folder, design, registers=True), f"{design}_wrapper").result()
                    assert whole.as_designed is not None and whole.as_designed.gates is not None
                    layout = laid_out(whole.as_designed.gates, technology, clock_ps=CLOCKS[platform])
                    rows.append(
                        _row(width, design, kept.kind, REPAIRED, layout.area_um2, layout.delay_ps)
                        | {"before_repair_ps": layout.unrepaired_ps or ""}
                    )
                click.echo(f"\r{design}      ", nl=False, err=True)
    click.echo(err=True)
    return rows


def correlations(rows: list[dict[str, Any]], platform: str, width: int) -> dict[str, tuple[float, float]]:
    """For each figure its rank correlation (Spearman) with the published area and delay.

    Repair stops as soon as the clock is met, so how far below it is chance: such designs count as equally fast.
    """
    truth = published(platform, width)
    figures: dict[str, dict[str, tuple[float, float]]] = {}
    for row in rows:
        if int(row["width"]) == width:
            here = float(row["area_um2"]), float(row["delay_ps"])
            figures.setdefault(row["figure"], {})[row["design"]] = here
            if row["figure"] == REPAIRED and row["before_repair_ps"]:
                here = here[0], max(here[1], CLOCKS[platform])
            if row["figure"] == REPAIRED:
                figures.setdefault(f"{REPAIRED}, met is met", {})[row["design"]] = here
    restructured = {row["figure"] for row in rows if row["kind"] == "restructured"}
    if len(restructured) > 1:
        figures["best of the recipes that restructure"] = {
            design: (
                min(figures[name][design][0] for name in restructured),
                min(figures[name][design][1] for name in restructured),
            )
            for design in truth
        }
    return {name: _ranked(found, truth) for name, found in figures.items() if found.keys() == truth.keys()}


def _ranked(found: dict[str, tuple[float, float]], truth: dict[str, tuple[float, float]]) -> tuple[float, float]:
    """The rank correlations of areas and of delays."""
    area, delay = (
        float(spearmanr([found[d][k] for d in truth], [truth[d][k] for d in truth]).statistic) for k in (0, 1)
    )
    return area, delay


def _published_rows() -> list[dict[str, str]]:
    lines = (FIGURES / "post-route.csv").read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def _row(width: int, design: str, kind: str, figure: str, area: float, delay: float) -> dict[str, Any]:
    return {
        "width": width, "design": design, "kind": kind, "figure": figure,
        "area_um2": round(area, 2), "delay_ps": round(delay, 2), "before_repair_ps": "",
    }  # fmt: skip


def verilog_of(folder: Path, design: str, registers: bool = False) -> str:
    """The multiplier without the registers that were put around it, or with them."""
    names = ["MG_CPA.v", f"{design}.v", *([f"{design}_wrapper.v"] if registers else [])]
    files = [folder / f"{design}_wrapper" / "verilog" / name for name in names]
    try:
        return "\n".join(file.read_text(encoding="utf-8") for file in files)
    except OSError as error:
        raise Refusal(f"{error.filename}: {error.strerror}; FOLDER is runs/designs/multipliers of RTLGen") from error


def _mean(values: list[float]) -> float:
    return float(np.exp(np.mean(np.log(values))))


def draw() -> None:
    """docs/pictures/cost-post-route.svg."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "amhw"
    from matplotlib import pyplot

    rows = _read("sky130hd")
    truth = published("sky130hd", 8)
    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4.9))
    shown = (
        (REPAIRED, "as designed, with wires, registers, and the published clock", "s"),
        (PLACED, "as designed, with wires: the multiplier alone", "o"),
        (SEARCH.name, f"restructured, recipe {SEARCH.name}: the multiplier alone", "x"),
    )
    figure.set_layout_engine("constrained", rect=(0, 0.11, 1, 0.89))
    lines = []
    for k, (axis, unit) in enumerate(zip(axes, ("area / µm²", "delay / ns"), strict=True)):
        for name, _, marker in shown:
            here = {
                r["design"]: (float(r["area_um2"]), float(r["delay_ps"]) / 1000) for r in rows if r["figure"] == name
            }
            x, y = [truth[d][k] for d in truth], [here[d][k] for d in truth]
            lines += axis.plot(x, y, marker, label=f"{spearmanr(x, y).statistic:.2f}")
        axis.set(xlabel=f"published, after place and route: {unit}", ylabel=f"here: {unit}")
        top = axis.get_ylim()[1]
        x = [min(each[k] for each in truth.values()), max(each[k] for each in truth.values())]
        lines += axis.plot(x, x, color="0.7", linewidth=1, zorder=0)
        axis.set_ylim(0, max(top, x[1]) * 1.15)
        axis.legend(frameon=False, loc="upper left", title="Spearman", ncols=3, columnspacing=1)
        axis.grid(alpha=0.3)
    labels = [*(label for _, label, _ in shown), "equal"]
    figure.legend(lines[: len(labels)], labels, loc="lower center", ncols=2, frameon=False)
    figure.savefig(PICTURES / "cost-post-route.svg", metadata={"Date": None})
    click.echo("docs/pictures/cost-post-route.svg")


def _read(platform: str) -> list[dict[str, Any]]:
    with (FIGURES / f"cost-post-route-{platform}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@click.command(cls=Command)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--platform", type=click.Choice(["sky130hd", "asap7"]), default="sky130hd", show_default=True)
@click.option("--all", "every", is_flag=True, help="Every recipe; minutes.")
@click.option("--tech", default="sky130hd", show_default=True, help="Our technology, shipped or imported.")
def command(folder: Path, platform: str, every: bool, tech: str) -> None:
    """Measure the designs in FOLDER and print the correlations; FOLDER `draw`: the picture of what was measured."""
    if str(folder) == "draw":
        draw()
        return
    rows = measure(folder, platform, tech, BOTH_KINDS if every else (SEARCH, AS_DESIGNED))
    lines = [",".join(rows[0]), *(",".join(str(value) for value in row.values()) for row in rows)]
    write_atomically(FIGURES / f"cost-post-route-{platform}.csv", "\n".join(lines) + "\n")
    for width in WIDTHS:
        click.echo(f"{platform}, {width} × {width}: rank correlation with the published area and delay")
        for name, (area, delay) in (correlations(rows, platform, width) | agreement(platform, width)).items():
            click.echo(f"  {name:36s} {area:7.3f} {delay:7.3f}")


if __name__ == "__main__":
    command()
