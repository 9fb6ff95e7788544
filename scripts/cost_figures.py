"""The figures of docs/cost.md: how far area, delay and energy agree with what else there is.

    python scripts/cost_figures.py published             against the published figures of 13 signed circuits
    python scripts/cost_figures.py timers NAME FILE.lib  against the complete library and OpenSTA, 54 designs
    python scripts/cost_figures.py as-designed           the same figures, and a selection's, as designed
    python scripts/cost_figures.py structures [--rtlgen RTLGen/runs/designs/multipliers] [--period 3300 ...]
                                                         exact multipliers of several generators, as designed
    python scripts/cost_figures.py recipes               the recipes against other scripts, on random masks
    python scripts/cost_figures.py speed                 multipliers a second
    python scripts/cost_figures.py adders                what adder cells gain or lose, 40 designs
    python scripts/cost_figures.py fpga                  some multipliers on FPGAs
    python scripts/cost_figures.py draw                  the pictures of docs/cost.md, from what the others wrote

Each writes docs/figures/cost-*.csv, prints its summary, and is quick enough to run on a laptop: minutes.
"""

import csv
import functools
import gzip
import io
import itertools
import re
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from scipy.stats import rankdata, spearmanr

from amhw import bitheap
from amhw.commands.base import Group
from amhw.families import Booth, Masked
from amhw.families.exact import exact_structures
from amhw.files import write_atomically
from amhw.multiplier import parse
from amhw.pareto import nondominated
from amhw.stimulus import uniform_trace
from amhw.synth import AS_DESIGNED, RECIPES, SEARCH, Expected, Recipe, Synthesiser, Technology, technologies
from amhw.synth.energy import energy
from amhw.synth.fpga import FAMILIES, fpga
from amhw.synth.layout import laid_out
from amhw.synth.netlist import Gate, Netlist
from amhw.synth.opensta import available, timing_by_opensta
from amhw.synth.recipe import ADDERS_AREA, AREA, AREA_AS_GIVEN, DELAY
from amhw.synth.timing import timing
from amhw.synth.truth import check
from amhw.table import ProductTable
from amhw.verilog import Design

ROOT = Path(__file__).resolve().parent.parent
FIGURES = ROOT / "docs" / "figures"
PICTURES = ROOT / "docs" / "pictures"
sys.path.insert(0, str(ROOT / "tests"))

TREES = ("dadda", "wallace", "array")
ADDERS = ("auto", "ripple", "brent-kung", "kogge-stone")
"""Of the figures here; the trees and adders that came later are not among them."""

LIKE_THE_PUBLISHED = ("array", "ripple", AREA_AS_GIVEN.name)
"""The published circuits descend from array multipliers, so this tree, this adder and the recipe that keeps the
structure is the nearest single flow. One flow's luck is larger than the differences between most of the circuits,
though, which is why the mean over all of them is given too."""


@click.group(cls=Group)
def command() -> None:
    """The figures of docs/cost.md."""


@command.command()
def published() -> None:
    """Rank correlation with the published PDK45 figures, for each tree, adder and recipe."""
    from evoapprox import SIGNED, mask_of

    rows = []
    for name in technologies():
        with Synthesiser(Technology.named(name), workers=1, netlists=True) as synthesiser:
            for tree, adder, circuit in itertools.product(TREES, ADDERS, SIGNED):
                design = Design(mask_of(circuit), tree, adder)
                expected = Expected(ProductTable.of(design.multiplier).products)
                result = synthesiser.submit(design.verilog(), design.name, expected).result()
                for mapping in result.mappings:
                    joules: float | str = ""
                    if mapping == result.best_product and (tree, adder) == (TREES[0], ADDERS[0]):
                        assert mapping.gates is not None
                        joules = energy(mapping.gates, synthesiser.technology, uniform_trace(8, 8, 4097)).timed_fj
                    rows.append(
                        {
                            "tech": name, "circuit": circuit["name"], "tree": tree, "adder": adder,
                            "recipe": mapping.recipe, "area_um2": mapping.area_um2, "delay_ps": mapping.delay_ps,
                            "energy_fj": joules, "pdk45_area_um2": circuit["pdk45_area_um2"],
                            "pdk45_delay_ns": circuit["pdk45_delay_ns"], "pdk45_power_mw": circuit["pdk45_power_mw"],
                        }
                    )  # fmt: skip
                print(f"\r{name} {tree} {adder} {circuit['name']}    ", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    _write("cost-published.csv", rows)
    summarise_published(_read("cost-published.csv"))


def summarise_published(rows: list[dict[str, str]]) -> None:
    """Print the correlations."""
    circuits = sorted({row["circuit"] for row in rows})
    area, delay, power = (
        [float(next(row for row in rows if row["circuit"] == c)[f"pdk45_{figure}"]) for c in circuits]
        for figure in ("area_um2", "delay_ns", "power_mw")
    )
    print(f"Spearman over {len(circuits)} circuits; no order that respects inclusion of masks exceeds "
          f"{_bound(circuits, area):.3f} for area, {_bound(circuits, delay):.3f} for delay")  # fmt: skip
    for name in technologies():
        mine = [row for row in rows if row["tech"] == name]
        like = [row for row in mine if (row["tree"], row["adder"], row["recipe"]) == LIKE_THE_PUBLISHED]
        print(f"{name}: {' '.join(LIKE_THE_PUBLISHED)}: area {_against(like, circuits, 'area_um2', area):.3f}, "
              f"delay {_against(like, circuits, 'delay_ps', delay):.3f}")  # fmt: skip
        default = [row for row in mine if (row["tree"], row["adder"]) == (TREES[0], ADDERS[0])]
        print(f"{name}: best of all recipes, {TREES[0]} {ADDERS[0]}: "
              f"area {_against(default, circuits, 'area_um2', area):.3f}, "
              f"delay {_against(default, circuits, 'delay_ps', delay):.3f}; "
              f"energy against power {_against(default, circuits, 'energy_fj', power):.3f}")  # fmt: skip
        for figure, target in (("area_um2", area), ("delay_ps", delay)):
            names = {recipe.name for recipe in RECIPES if recipe.aim == figure.partition("_")[0] and not recipe.adders}
            aimed = [row for row in default if row["recipe"] in names]
            print(f"{name}: geometric mean of the recipes that aim at it, {TREES[0]} {ADDERS[0]}: "
                  f"{figure} {spearmanr(_means(aimed, circuits, figure), target).statistic:.3f}")  # fmt: skip
        print(f"{name}: best of all trees, adders, recipes: area {_against(mine, circuits, 'area_um2', area):.3f}, "
              f"delay {_against(mine, circuits, 'delay_ps', delay):.3f}")  # fmt: skip
        every = [
            [_against([r for r in mine if (r["tree"], r["adder"], r["recipe"]) == key], circuits, figure, target)
             for key in sorted({(r["tree"], r["adder"], r["recipe"]) for r in mine})]
            for figure, target in (("area_um2", area), ("delay_ps", delay))
        ]  # fmt: skip
        print(f"{name}: all {len(every[0])} of tree, adder, recipe: area {min(every[0]):.3f} to {max(every[0]):.3f}, "
              f"delay {min(every[1]):.3f} to {max(every[1]):.3f}, median {np.median(every[1]):.3f}")  # fmt: skip
        areas, delays = (
            spearmanr(_means(mine, circuits, figure), target).statistic
            for figure, target in (("area_um2", area), ("delay_ps", delay))
        )
        print(f"{name}: geometric mean over all of these: area {areas:.3f}, delay {delays:.3f}")


@command.command(name="as-designed")
def as_designed() -> None:
    """As designed: rank correlation with the published PDK45 figures, and what changes on a selection's front."""
    from evoapprox import SIGNED, mask_of

    area, delay = ([float(c[key]) for c in SIGNED] for key in ("pdk45_area_um2", "pdk45_delay_ns"))
    rows: list[dict[str, Any]] = []
    for name in technologies():
        with Synthesiser(Technology.named(name), (AS_DESIGNED,), workers=1) as synthesiser:

            def figures(design: Design, synthesiser: Synthesiser = synthesiser) -> tuple[float, float]:
                expected = Expected(ProductTable.of(design.multiplier).products)
                found = synthesiser.submit(design.verilog(), design.name, expected).result().as_designed
                assert found is not None
                return found.area_um2, found.delay_ps

            for tree, adder in ((TREES[0], ADDERS[0]), LIKE_THE_PUBLISHED[:2]):
                here = [figures(Design(mask_of(circuit), tree, adder)) for circuit in SIGNED]
                print(f"{name}: as designed, {tree} {adder}: "
                      f"area {spearmanr([a for a, _ in here], area).statistic:.3f}, "
                      f"delay {spearmanr([d for _, d in here], delay).statistic:.3f}")  # fmt: skip
            exact = [figures(Design(*found)) for found in exact_structures(8, 8, signed_b=True)]
            least = min(a for a, _ in exact), min(d for _, d in exact)
            print(f"{name}: exact, as designed: smallest {least[0]:.1f} µm², fastest {least[1]:.1f} ps")
            for row in _read(f"selection-front-{name}.csv"):
                if row["on_front"] != "1":
                    continue
                a, d = figures(Design(parse(row["multiplier"])))
                rows.append(
                    {
                        "tech": name, "multiplier": row["multiplier"], "loss_points": row["loss_points"],
                        "restructured_area_ratio": row["smallest_area"],
                        "restructured_delay_ratio": row["fastest_delay"],
                        "as_designed_area_um2": round(a, 2), "as_designed_delay_ps": round(d, 2),
                        "as_designed_area_ratio": round(a / least[0], 4),
                        "as_designed_delay_ratio": round(d / least[1], 4),
                    }
                )  # fmt: skip
    _write("cost-as-designed.csv", rows)
    for name in technologies():
        mine = [row for row in rows if row["tech"] == name]
        for figure in ("area", "delay"):
            one, two = ([float(row[f"{kind}_{figure}_ratio"]) for row in mine] for kind in KINDS)
            quotient = np.array(two) / one
            print(f"{name}: {len(mine)} multipliers, {figure} × exact, as designed against restructured: "
                  f"rank correlation {spearmanr(one, two).statistic:.3f}; as designed it is "
                  f"{quotient.min():.2f} to {quotient.max():.2f}, median {np.median(quotient):.2f} "
                  f"times as large")  # fmt: skip
        fronts = [_front([(float(r["loss_points"]), float(r[f"{kind}_area_ratio"])) for r in mine]) for kind in KINDS]
        print(f"{name}: on the front of loss and area: {len(fronts[0])} restructured, {len(fronts[1])} as designed, "
              f"{len(fronts[0] & fronts[1])} on both")  # fmt: skip


@command.command()
@click.option("--width", default=8, show_default=True, help="Of both operands.")
@click.option(
    "--period",
    "clocks",
    type=click.FloatRange(min=1),
    multiple=True,
    help="Also repaired for this clock, ps; may be given several times.",
)
@click.option("--rtlgen", type=click.Path(path_type=Path), help="RTLGen's runs/designs/multipliers: its designs too.")
def structures(width: int, clocks: tuple[float, ...], rtlgen: Path | None) -> None:
    """Exact unsigned multipliers in sky130hd, as designed, with wires: ours, Yosys', ariths-gen's, RTLGen's (8 bits).

    Up to 8 bits every netlist is compared with all products, after its repair too; wider ones are proved equal to
    their Verilog.
    """
    technology = Technology.named("sky130hd")
    products = Expected(np.arange(2**width)[:, None] * np.arange(2**width)) if width <= 8 else None
    rows: list[dict[str, Any]] = []
    with Synthesiser(technology, (AS_DESIGNED,), workers=1, netlists=True) as synthesiser:
        for generator, name, verilog, expected in _exact_multipliers(width, products, rtlgen):
            outcome = synthesiser.submit(verilog, name, expected, prove=expected is None)
            if (error := outcome.exception()) is not None:
                print(f"left out: {error}")
                continue
            kept = outcome.result().as_designed
            assert kept is not None and kept.gates is not None
            for clock in (None, *sorted(clocks, reverse=True)):
                layout = laid_out(kept.gates, technology, seeds=(1,), clock_ps=clock)
                if expected is not None:
                    check(layout.netlist, expected)
                rows.append(
                    {
                        "generator": generator, "design": name, "clock_ps": "" if clock is None else f"{clock:g}",
                        "area_um2": round(layout.area_um2, 2), "delay_ps": "" if clock else kept.delay_ps,
                        "delay_with_wires_ps": layout.delay_ps,
                    }
                )  # fmt: skip
    _write("cost-structures.csv" if width == 8 else f"cost-structures-{width}.csv", rows)
    plain = [row for row in rows if not row["clock_ps"]]
    best = _front([(float(row["area_um2"]), float(row["delay_with_wires_ps"])) for row in plain])
    for k in sorted(best, key=lambda k: float(plain[k]["area_um2"])):
        print(f"on the front: {_structure(plain[k])}")
    others = [row for row in plain if row["generator"] != "amhw"]
    for row in sorted(others, key=lambda row: float(row["delay_with_wires_ps"]))[:4]:
        print(f"fastest of others: {_structure(row)}")
    for clock in sorted(clocks, reverse=True):
        met = [row for row in rows if row["delay_with_wires_ps"] <= clock]  # asked for this clock, another or none
        for generator in dict.fromkeys(row["generator"] for row in rows):
            mine = [row for row in met if row["generator"] == generator]
            found = _structure(min(mine, key=lambda row: float(row["area_um2"]))) if mine else f"{generator:10s} none"
            print(f"smallest that meets {clock:g} ps: {found}")


def _structure(row: dict[str, Any]) -> str:
    area, delay = float(row["area_um2"]), float(row["delay_with_wires_ps"])
    return f"{row['generator']:10s} {area:8.1f} µm² {delay:7.1f} ps  {row['design']}"


def _exact_multipliers(
    width: int, products: Expected | None, rtlgen: Path | None
) -> Iterator[tuple[str, str, str, Expected | None]]:
    """Generator, module, Verilog and what it must compute; of RTLGen's those of 8 bits, in the folder `rtlgen`."""
    if rtlgen is not None and width == 8:
        from post_route import verilog_of

        named = None if products is None else replace(products, a="multiplicand", b="multiplier", p="product")
        for kind, adder in itertools.product(("normal", "booth4"), ("ripple", "brentkung", "sklansky", "koggestone")):
            name = f"mult8u_{kind}_{adder}"
            yield "RTLGen", name, verilog_of(rtlgen, name), named
    for multiplier in (Masked.exact(width, width), Booth(width_a=width, width_b=width)):
        for tree, adder in itertools.product(("dadda", "wallace", "three-greedy"), bitheap.ADDERS[1:]):
            design = Design(multiplier, tree, adder)
            yield "amhw", design.name, design.verilog(), products
    plain = f"module plain(input [{width - 1}:0] a, b, output [{2 * width - 1}:0] p); assign p = a * b; endmodule"
    yield "Yosys", "plain", plain, products
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ariths_gen.multi_bit_circuits import adders, multipliers
        from ariths_gen.wire_components.buses import Bus
    named = None if products is None else replace(products, p="peer_out")
    for tree in ("Dadda", "Wallace", "CarrySave"):
        for adder in ("RippleCarry", "KoggeStone", "Sklansky", "BrentKung", "HanCarlson"):
            text = io.StringIO()
            make = getattr(multipliers, f"Unsigned{tree}Multiplier")
            chosen = {"unsigned_adder_class_name": getattr(adders, f"Unsigned{adder}Adder")}
            make(Bus("a", width), Bus("b", width), name="peer", **chosen).get_v_code_hier(text)
            module = f"ariths_{tree}_{adder}"
            yield "ariths-gen", module, text.getvalue().replace("module peer(", f"module {module}("), named


KINDS = ("restructured", "as_designed")


def _front(points: list[tuple[float, float]]) -> set[int]:
    """The points that no other dominates."""
    return {int(k) for k in nondominated(np.array(points))}


def _means(rows: list[dict[str, str]], circuits: list[str], figure: str) -> list[float]:
    """For each circuit the geometric mean over trees, adders and recipes."""
    return [float(np.exp(np.mean([np.log(float(r[figure])) for r in rows if r["circuit"] == c]))) for c in circuits]


def _against(rows: list[dict[str, str]], circuits: list[str], figure: str, target: list[float]) -> float:
    best = [min(float(r[figure]) for r in rows if r["circuit"] == c and r[figure]) for c in circuits]
    return float(spearmanr(best, target).statistic)


def _bound(circuits: list[str], target: list[float]) -> float:
    """The largest rank correlation of any order in which a mask within another's comes before it."""
    from evoapprox import SIGNED, mask_of

    masks = {row["name"]: mask_of(row).rows for row in SIGNED}
    rows = [masks[c] for c in circuits]
    below = [
        sum(
            1 << k
            for k, other in enumerate(rows)
            if other != row and all(o & ~r == 0 for o, r in zip(other, row, strict=True))
        )
        for row in rows
    ]
    wanted = rankdata(target)

    @functools.cache
    def best(placed: int) -> float:
        position = placed.bit_count() + 1
        return max(
            (position * wanted[k] + best(placed | 1 << k) for k in range(len(rows))
             if not placed >> k & 1 and below[k] & ~placed == 0),
            default=0.0,
        )  # fmt: skip

    total, n = best(0), len(rows)
    positions = np.arange(1, n + 1)
    return float((total - n * positions.mean() * wanted.mean()) / (n * positions.std() * wanted.std()))


MASKS = ("full", "c0_e0_f0_f8_fc_fe_ff_ff", "0_0_0_20_f8_f8_fc_fe", "0_0_0_0_20_f0_f8_fc", "0_0_0_0_0_e0_e0_e0",
         "0_0_0_0_0_0_f0_f0", "0_0_0_0_0_0_c0_c0")  # fmt: skip


def fifty_designs() -> list[Design]:
    """28 masks and structures by name, 26 random masks."""
    named = [
        Design.parse(f"mul_u8s8_pp_{mask}{structure}")
        for mask in MASKS
        for structure in ("", "__wallace", "__kogge_stone", "__array__ripple")
    ]
    random = np.random.default_rng(7)
    drawn = []
    for k in range(26):
        keep = random.random((8, 8)) < random.uniform(0.15, 0.9)
        rows = tuple(int(sum(1 << j for j in range(8) if keep[i, j])) for i in range(8))
        mask = Masked(rows=rows, width_a=8, width_b=8, signed_b=True)
        drawn.append(Design(mask, TREES[k % len(TREES)], ADDERS[k % len(ADDERS)]))
    return named + drawn


@command.command()
@click.argument("name", type=click.Choice(technologies()))
@click.argument("liberty", type=click.Path(exists=True, path_type=Path))
def timers(name: str, liberty: Path) -> None:
    """The shipped tables against the complete library LIBERTY, by our timer and by OpenSTA."""
    shipped, complete = Technology.named(name), Technology.from_liberty(liberty)
    rows = []
    with (
        tempfile.TemporaryDirectory() as folder,
        Synthesiser(shipped, (SEARCH, AREA, DELAY), workers=1, netlists=True) as synthesiser,
    ):
        plain = Path(folder) / "complete.lib"
        data = liberty.read_bytes()
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()
        plain.write_text(re.sub(r"^\s*default_wire_load\s*:.*$", "", text, flags=re.MULTILINE))
        for count, design in enumerate(designs := fifty_designs()):
            expected = Expected(ProductTable.of(design.multiplier).products)
            for mapping in synthesiser.submit(design.verilog(), design.name, expected).result().mappings:
                assert mapping.gates is not None and mapping.netlist is not None
                again = _with_cells_of(mapping.gates, complete)
                sta = timing_by_opensta(mapping.gates, shipped, plain) if available() else None
                rows.append(
                    {
                        "tech": name, "design": design.name, "recipe": mapping.recipe, "area_um2": mapping.area_um2,
                        "complete_area_um2": round(sum(g.cell.area for g in again.instances), 4),
                        "delay_ps": mapping.delay_ps,
                        "complete_delay_ps": timing(again, _driven_as(complete, shipped)).delay_ps,
                        "opensta_ps": sta.delay_ps if sta else "",
                    }
                )  # fmt: skip
            print(f"\r{name} {count + 1}/{len(designs)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    _write(f"cost-timers-{name}.csv", rows)
    summarise_timers(_read(f"cost-timers-{name}.csv"))


def summarise_timers(rows: list[dict[str, str]]) -> None:
    """Print how the three agree."""
    name = rows[0]["tech"]
    ours, complete = ([float(row[key]) for row in rows] for key in ("delay_ps", "complete_delay_ps"))
    differing = sum(row["area_um2"] != row["complete_area_um2"] for row in rows)
    deviations = [mine / other - 1 for mine, other in zip(ours, complete, strict=True)]
    designs = len({row["design"] for row in rows})
    print(f"{name}: {len(rows)} netlists of {designs} designs; area differs from the complete library in {differing}")
    print(f"{name}: shipped against complete tables, our timer: {min(deviations):+.2%} to {max(deviations):+.2%}")
    if all(row["opensta_ps"] for row in rows):
        sta = [float(row["opensta_ps"]) for row in rows]
        ratios = np.array(ours) / np.array(sta)
        worst = np.abs(ratios / ratios.mean() - 1).max()
        print(f"{name}: shipped tables against OpenSTA with the complete library: ratio {ratios.mean():.4f} "
              f"± {worst:.2%} (largest), sd {ratios.std():.2%}, "
              f"Spearman {spearmanr(ours, sta).statistic:.4f}")  # fmt: skip


def _with_cells_of(netlist: Netlist, technology: Technology) -> Netlist:
    def other(gate: Gate) -> Gate:
        return Gate(gate.name, technology.cell(gate.cell.name), gate.nets)

    gates, flip_flops = (tuple(map(other, some)) for some in (netlist.gates, netlist.flip_flops))
    return Netlist(netlist.top, netlist.inputs, netlist.outputs, gates, flip_flops, netlist.names)


def _driven_as(technology: Technology, other: Technology) -> Technology:
    return Technology(technology.name, technology.library, other.driving_cell, other.load, technology.source)


_MAPPED = "dch; amap -m -F 20 -A 20 -E 0"
_FAST = "dch; map -B 0.9; topo"
OTHERS = (
    Recipe("area, no deepsyn", f"strash; ifraig; scorr; dc2; dc2; strash; {_MAPPED}; topo; dnsize", "area"),
    Recipe("area, mapped thrice", f"strash; dc2; {'; strash; '.join([_MAPPED] * 3)}; topo; dnsize", "area"),
    Recipe("delay, restructured once", f"strash; ifraig; scorr; dch; if -g; strash; {_FAST}; upsize; dnsize", "delay"),
    Recipe("delay, once, speedup", f"strash; dch; if -g; strash; {_FAST}; speedup; {_FAST}; upsize; dnsize", "delay"),
    Recipe("delay, &nf", "strash; &get -n; &st; &dch; &nf; &put; buffer -c; topo; upsize; dnsize", "delay"),
)  # fmt: skip
"""What synthesis scripts usually do, and what the recipes were before."""

CHAINS, LINKS = 10, 4


def chains() -> list[list[Design]]:
    """Random masks, from large to small; each within the one before, so that it should not be slower."""
    random = np.random.default_rng(11)
    found = []
    for number in range(CHAINS):
        weight = np.add.outer(np.arange(8), np.arange(8)) + random.normal(0, random.uniform(0.3, 4), (8, 8))
        order = np.argsort(weight, axis=None)
        chain = []
        for dropped in sorted(random.choice(52, LINKS, replace=False)):
            keep = np.ones(64, bool)
            keep[order[:dropped]] = False
            rows = tuple(int(row @ (1 << np.arange(8))) for row in keep.reshape(8, 8))
            chain.append(Design(Masked(rows=rows, width_a=8, width_b=8, signed_a=number % 2 > 0, signed_b=True)))
        found.append(chain)
    return found


@command.command(name="recipes")
def compare_recipes() -> None:
    """The recipes against other scripts on random masks, and how often a smaller mask comes out slower."""
    designs = chains()
    for name in technologies():
        figures: dict[str, list[list[tuple[float, float]]]] = {}
        seconds: dict[str, float] = {}
        with Synthesiser(Technology.named(name), RECIPES + OTHERS, workers=1) as synthesiser:
            for chain in designs:
                for count, design in enumerate(chain):
                    for mapping in synthesiser.submit(design.verilog(), design.name).result().mappings:
                        of_chains = figures.setdefault(mapping.recipe, [])
                        if not count:
                            of_chains.append([])
                        of_chains[-1].append((mapping.area_um2, mapping.delay_ps))
                        seconds[mapping.recipe] = seconds.get(mapping.recipe, 0) + mapping.seconds
        logs = {recipe: np.log(np.array(values)) for recipe, values in figures.items()}  # [chains, links, 2]
        for k, aim in enumerate(("area", "delay")):
            rivals = [recipe.name for recipe in RECIPES + OTHERS if recipe.aim == aim and recipe.name in logs]
            best = np.min([logs[recipe][..., k] for recipe in rivals], axis=0)
            for recipe in rivals:
                excess = np.exp(np.mean(logs[recipe][..., k] - best)) - 1
                print(f"{name}: {aim}: {recipe}: {excess:.1%} above the best of all, "
                      f"{seconds[recipe] / best.size:.2f} s")  # fmt: skip
            ours = [recipe.name for recipe in RECIPES if recipe.aim == aim and not recipe.adders]
            together = np.array([logs[recipe][..., k] for recipe in ours])
            both = np.exp(np.mean(together.min(axis=0) - best)) - 1
            print(f"{name}: {aim}: best of the {len(ours)} recipes: {both:.1%} above")
            for how, value in (("least", together.min(axis=0)), ("mean", together.mean(axis=0))):
                i, j = np.triu_indices(LINKS, 1)
                worse = np.maximum(value[:, j] - value[:, i], 0)
                print(f"{name}: {aim}: {how} of the recipes: {np.mean(worse > 0):.1%} of {worse.size} smaller masks "
                      f"come out worse, on average by {worse.mean():.2%} (all pairs)")  # fmt: skip


@command.command()
def speed() -> None:
    """Multipliers a second from value to area and delay, one worker, warm; all recipes with timing and check."""
    designs = fifty_designs()[:28]
    for recipes, what in (((SEARCH,), "search recipe"), (RECIPES, "all recipes, timing, gate-level check")):
        for name in technologies():
            technology, before = Technology.named(name), _processor_seconds()
            with Synthesiser(technology, recipes, workers=1) as synthesiser:
                synthesiser.submit(designs[0].verilog()).result()
                spent = []
                for design in designs[:: 1 if len(recipes) == 1 else 4]:
                    started = time.perf_counter()
                    expected = Expected(ProductTable.of(design.multiplier).products)
                    synthesiser.submit(design.verilog(), design.name, expected).result()
                    spent.append(time.perf_counter() - started)
            seconds = (_processor_seconds() - before) / (len(spent) + 1)
            print(
                f"{name}: {what}: {len(spent) / sum(spent):.1f} a second, longest {max(spent):.2f} s, over "
                f"{len(spent)} designs; {seconds:.2f} s of processor time each, start included: "
                f"{1 / seconds:.1f} a second and core"
            )


@command.command()
def adders() -> None:
    """Area without adder cells, with full adders, and with half adders too, in sky130hd."""
    technology = Technology.named("sky130hd")
    library = technology.library
    (half,) = (cell for cell in library.cells.values() if cell.name == "sky130_fd_sc_hd__ha_1")
    # As large as two gates it is not used, so for once let it be a little smaller.
    cells = {**library.cells, half.name: replace(half, area=half.area - 1e-6)}
    with_half = Technology.of("with half adders", replace(library, cells=cells))
    random = np.random.default_rng(5)
    masks = [[0xFF] * 8, [0, 0, 0, 0x20, 0xF8, 0xF8, 0xFC, 0xFE], [0, 0, 0, 0, 0, 0xE0, 0xE0, 0xE0]]
    masks += [[0xFF << max(0, low - i) & 0xFF for i in range(8)] for low in range(2, 11)]
    masks += [[int(row) for row in random.integers(0, 256, 8)] for _ in range(8)]
    names = ["mul_u8s8_pp_" + ("full" if min(m) == 255 else "_".join(f"{row:x}" for row in m)) for m in masks]
    designs = [Design.parse(name + structure) for name in names for structure in ("", "__array__ripple")]
    rows: list[dict[str, Any]] = [{"design": design.name} for design in designs]
    for kind, chosen, recipes in (
        ("none", technology, [r for r in RECIPES if not r.adders]),
        ("full", technology, [ADDERS_AREA]),
        ("full_half", with_half, [ADDERS_AREA]),
    ):
        with Synthesiser(chosen, recipes, workers=1) as synthesiser:
            for row, design in zip(rows, designs, strict=True):
                expected = Expected(ProductTable.of(design.multiplier).products)
                best = synthesiser.submit(design.verilog(), expected=expected).result().best_area
                row[f"{kind}_um2"], row[f"{kind}_ps"] = round(best.area_um2, 2), best.delay_ps
    _write("cost-adders.csv", rows)
    for kind, before in (("full", "none"), ("full_half", "none"), ("full_half", "full")):
        ratios = [row[f"{kind}_um2"] / row[f"{before}_um2"] for row in rows]
        print(f"area {kind} / {before}: {min(ratios):.3f} … {max(ratios):.3f}, mean {np.mean(ratios):.3f}")


def _processor_seconds() -> float:
    """Spent by this process and by all that have ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(u.ru_utime + u.ru_stime for u in used)


FPGA_DESIGNS = ("full", "0_0_0_20_f8_f8_fc_fe", "0_0_0_0_20_f0_f8_fc", "0_0_0_0_0_0_f0_f0", "0_0_0_0_0_0_e0_e0")


@command.command(name="fpga")
def on_fpgas() -> None:
    """LUTs, carries, DSPs and Fmax of some multipliers on each family, with and without DSP blocks."""
    print("| multiplier | FPGA | LUTs | carries | DSPs | Fmax, MHz |\n|---|---|---|---|---|---|")
    for family in FAMILIES:
        for rows in FPGA_DESIGNS:
            design = Design.parse(f"mul_u8s8_pp_{rows}")
            found = fpga(design.verilog(), family, dsp=False)
            print(f"| `pp_{rows}` | {family} | {found.luts} | {found.carries} | {found.dsps} | {found.fmax_mhz} |")
        found = fpga(PLAIN, family)
        print(f"| `a * b` | {family} | {found.luts} | {found.carries} | {found.dsps} | {found.fmax_mhz} |")


PLAIN = """module product(input [7:0] a, input signed [7:0] b, output signed [15:0] p);
  assign p = $signed({1'b0, a}) * b;
endmodule
"""


@command.command()
def draw() -> None:
    """The pictures of docs/cost.md."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "amhw"
    from matplotlib import pyplot

    rows = [row for name in technologies() for row in _read(f"cost-timers-{name}.csv")]
    figure, panels = pyplot.subplots(1, 2, figsize=(10, 4.2), layout="constrained", sharey=True)
    for axis, (key, label) in zip(
        panels,
        (("complete_delay_ps", "complete library, our timer"), ("opensta_ps", "complete library, OpenSTA")),
        strict=True,
    ):
        for name, marker in zip(technologies(), "ox", strict=True):
            some = [row for row in rows if row["tech"] == name and row[key]]
            delays = np.array([float(row[key]) for row in some])
            off = 100 * (np.array([float(row["delay_ps"]) for row in some]) / delays - 1)
            least, most = off.min(), off.max()
            said = f"{name}: {len(some)} netlists, {least:+.2f} to {most:+.2f} %"
            axis.plot(delays, off, marker, ms=4, alpha=0.6, label=said)
        axis.axhline(0, color="0.5", lw=0.8)
        axis.grid(alpha=0.3)
        axis.set(xlabel=f"delay of the critical path, ps ({label})", title=f"against {label}")
        axis.legend(frameon=False)
    panels[0].set_ylabel("deviation of shipped tables, our timer (%)")
    low, high = panels[0].get_ylim()
    panels[0].set_ylim(low, high + 0.35 * (high - low))  # room for the legends
    _save(figure, "cost-timers.svg")
    rows = _read("cost-published.csv")
    figure, axes = pyplot.subplots(1, 3, figsize=(12, 4.2), layout="constrained")
    for axis, (key, target, label, published_label) in zip(
        axes,
        (("area_um2", "pdk45_area_um2", "mean area / µm²", "area / µm²"),
         ("delay_ps", "pdk45_delay_ns", "mean delay / ps", "delay / ns"),
         ("energy_fj", "pdk45_power_mw", "energy, timed / fJ", "power / mW")),
        strict=True,
    ):  # fmt: skip
        for name, marker in zip(technologies(), "ox", strict=True):
            mine = [r for r in rows if r["tech"] == name and r[key]]
            circuits = sorted({r["circuit"] for r in mine})
            x = [float(next(r[target] for r in mine if r["circuit"] == c)) for c in circuits]
            y = _means(mine, circuits, key)
            axis.plot(x, y, marker, label=f"{name}, Spearman {spearmanr(x, y).statistic:.3f}")
        axis.set(xlabel=f"published (PDK45): {published_label}", ylabel=f"here: {label}")
        axis.legend(frameon=False)
    _save(figure, "cost-published.svg")


def _save(figure: Any, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURES / name, metadata={"Date": None})
    print(f"docs/pictures/{name}")


def _write(name: str, rows: list[dict[str, Any]]) -> None:
    lines = [",".join(rows[0]), *(",".join(str(value) for value in row.values()) for row in rows)]
    write_atomically(FIGURES / name, "\n".join(lines) + "\n")


def _read(name: str) -> list[dict[str, str]]:
    with (FIGURES / name).open() as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    command()
