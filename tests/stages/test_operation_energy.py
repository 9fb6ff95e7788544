"""The stage *energy* makes one netlist again: the very one that synthesis with all recipes called the best."""

import numpy as np
import pytest

from amhw.multiplier import parse
from amhw.stages.energy import energy
from amhw.synth import RECIPES, Expected, Synthesiser, Technology
from amhw.synth.energy import energy as energy_of
from amhw.table import ProductTable
from amhw.verilog import Design

OPERANDS = np.random.default_rng(1).integers(0, 16, (2, 500))


# The best netlists of these two are of different recipes.
@pytest.mark.parametrize("name", ["mul_u4u4_pp_full", "mul_u8s8_pp_0_0_0_0_0_0_f0_f0"])
def test_energy_is_of_the_netlist_that_synthesis_with_all_recipes_calls_best(name):
    technology = Technology.named("sky130hd")
    verilog = Design(parse(name)).verilog()
    top, expected = Design(parse(name)).name, Expected(ProductTable.of(parse(name)).products)
    with Synthesiser(technology, RECIPES, workers=1, netlists=True) as pool:
        best = pool.submit(verilog, top, expected).result().best_product
    whole = energy_of(best.gates, technology, {"a": OPERANDS[0], "b": OPERANDS[1]})
    [recipe] = [recipe for recipe in RECIPES if recipe.name == best.recipe]
    task = energy(verilog, top, "sky130hd", expected, recipe, *OPERANDS)
    found = task.function(*task.arguments)
    assert (found.recipe, found.settled_fj, found.timed_fj) == (
        best.recipe,
        round(whole.settled_fj, 4),
        round(whole.timed_fj, 4),
    )
