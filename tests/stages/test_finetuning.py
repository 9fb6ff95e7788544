"""Fine-tuning as a stage."""

from dataclasses import replace

from amhw.multiplier import parse
from amhw.nn import TrainingRecipe, fine_tune
from amhw.stages.content import unpacked
from amhw.stages.finetuning import fine_tuning
from amhw.stages.problem import Problem
from amhw.table import ProductTable

TABLE = ProductTable.of(parse("mul_u8s8_pp_0_0_0_0_0_0_f0_f0"))
TABLES = {"conv1": TABLE, "conv2": TABLE}


def test_a_network_that_no_training_starts_from_is_trained_from_the_real_valued_one():
    recipe = TrainingRecipe(epochs=1)
    loaded = Problem().loaded
    conv1, conv2, *others = loaded.base.layers
    wild = replace(conv2, activation_scale=conv2.activation_scale / 1e6, weight_scale=conv2.weight_scale * 1e6)
    network = replace(loaded.base, layers=(conv1, wild, *others))
    task = fine_tuning(Problem(), network, TABLES, recipe)
    expected = fine_tune(loaded.network, TABLES, loaded.training, recipe)
    assert unpacked(task.function(*task.arguments).network).sha256 == expected.sha256
