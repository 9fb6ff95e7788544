"""Adder cells: found by what they compute, used as far as the library has them, and only where that can pay."""

from dataclasses import replace

import numpy as np
import pytest

from amhw.families import Booth
from amhw.synth import AS_DESIGNED, RECIPES, Expected, Synthesiser, Technology
from amhw.synth.library import Library
from amhw.synth.recipe import ADDERS_AREA
from amhw.verilog import Design

FULL, HALF = "sky130_fd_sc_hd__fa_1", "sky130_fd_sc_hd__ha_1"
MULTIPLIER = "module m(input [4:0] a, b, output [9:0] p); assign p = a * b; endmodule"
PRODUCTS = Expected(np.arange(32)[:, None] * np.arange(32))


def library(half_area=None, without=(), inverted=()):
    """sky130hd with one size of each adder, another area of the half one, without some cells, some outputs inverted."""
    known = Technology.named("sky130hd").library
    larger = {f"sky130_fd_sc_hd__{kind}_{size}" for kind in ("fa", "ha") for size in (2, 4)}
    cells = {name: cell for name, cell in known.cells.items() if name not in {*without, *larger}}
    if half_area is not None:
        cells[HALF] = replace(cells[HALF], area=half_area)
    for name in inverted:
        outputs = tuple(replace(output, function=f"!({output.function})") for output in cells[name].outputs)
        cells[name] = replace(cells[name], outputs=outputs)
    return Library("variant", cells, known.max_transition, known.voltage)


def mapped_by(recipe, technology):
    """The multiplier's netlist, all its products compared."""
    with Synthesiser(technology, [recipe], workers=1) as synthesiser:
        result = synthesiser.submit(MULTIPLIER, expected=PRODUCTS).result()
    assert result.verified == "1024 products"
    (mapping,) = result.mappings
    return mapping


def adders_used(technology):
    mapping = mapped_by(ADDERS_AREA, technology)
    return {name for name in (FULL, HALF) if mapping.cells_by_type.get(name)}


@pytest.mark.parametrize(
    ("variant", "mapped"),
    [
        (library(), {FULL}),
        (library(half_area=10.0), {FULL, HALF}),
        (library(half_area=10.0, without=[FULL]), {HALF}),
        (library(without=[HALF]), {FULL}),
        (library(half_area=10.0, inverted=[FULL, HALF]), {FULL, HALF}),
    ],
    ids=["a half adder of two gates' area is not used", "both", "half adders only", "full adders only", "inverted"],
)
def test_netlists_with_adder_cells_compute_the_products(variant, mapped):
    technology = Technology.of("variant", variant)
    assert set(technology.small_adders) == {{FULL: "full", HALF: "half"}[name] for name in mapped}
    assert adders_used(technology) == mapped


@pytest.mark.parametrize("variant", [library(without=[FULL]), library(without=[FULL, HALF])])
def test_without_a_cell_worth_using_the_recipe_is_left_out(variant):
    technology = Technology.of("variant", variant)
    with Synthesiser(technology, workers=1) as synthesiser:
        assert set(RECIPES) - set(synthesiser.recipes) == {ADDERS_AREA}


@pytest.mark.parametrize("recipe", [AS_DESIGNED, ADDERS_AREA], ids=lambda recipe: recipe.name)
def test_every_adder_cell_is_used(recipe):
    """Adders are found wherever three signals are added, also where nothing takes the sum or the carry.

    Booth's selectors hold many: 42 of 69 adder cells once drove nothing.
    """
    design = Design(Booth(width_a=8, width_b=8), "dadda", "ripple")
    with Synthesiser(Technology.named("sky130hd"), (recipe,), workers=1, netlists=True) as synthesiser:
        (mapping,) = synthesiser.submit(design.verilog(), design.name).result().mappings
    gates, read = mapping.gates, {net for nets in mapping.gates.outputs.values() for net in nets}
    read |= gates.sinks.keys()
    assert sum(gate.cell.name == FULL for gate in gates.instances) > 20
    for gate in gates.instances:
        assert read & {gate.nets.get(output.name) for output in gate.cell.outputs}, gate


def test_as_designed_half_adders_become_cells_whatever_their_area():
    assert {FULL, HALF} <= mapped_by(AS_DESIGNED, Technology.named("sky130hd")).cells_by_type.keys()


def test_as_designed_without_full_adders_nothing_is_restructured():
    """A library with half adders alone would leave nothing of the structure: the script is that of one without both."""
    half, none = (
        mapped_by(AS_DESIGNED, Technology.of("variant", library(without=some))) for some in ([FULL], [FULL, HALF])
    )
    assert HALF in half.cells_by_type and HALF not in none.cells_by_type
    assert AS_DESIGNED.text(False) != AS_DESIGNED.text(True) and "&syn2" not in AS_DESIGNED.text(False)


@pytest.mark.parametrize("structure", ["dadda__sklansky", "wallace__han_carlson", "three_greedy__sklansky"])
def test_later_trees_and_adders_multiply(structure):
    """All products of the netlist, against integers."""
    codes = np.arange(64)
    products = codes[:, None] * np.where(codes < 32, codes, codes - 64)
    design = Design.parse(f"mul_u6s6_pp_full__{structure}".replace("__dadda", ""))
    with Synthesiser(Technology.named("sky130hd"), (AS_DESIGNED,), workers=1) as synthesiser:
        result = synthesiser.submit(design.verilog(), design.name, Expected(products)).result()
    assert result.verified == "4096 products"
    assert result.as_designed.cells_by_type[FULL] >= 12
