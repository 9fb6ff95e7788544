"""Steps of a selection, each alone."""

from dataclasses import replace

from amhw.select.stages import Problem

from amhw.nn import Recipe, fine_tune
from amhw.select import stages

NAME = "mul_u8s8_pp_0_0_0_0_0_0_f0_f0"


def test_a_network_that_no_training_starts_from_is_trained_from_the_real_valued_one(monkeypatch):
    recipe = Recipe(epochs=1)
    monkeypatch.setattr(stages, "_FINE_TUNING", recipe)
    loaded = Problem().loaded
    conv1, conv2, *others = loaded.base.layers
    wild = replace(conv2, activation_scale=conv2.activation_scale / 1e6, weight_scale=conv2.weight_scale * 1e6)
    network = replace(loaded.base, layers=(conv1, wild, *others))
    table = stages._table(NAME)
    record = stages._fine_tune(Problem(), stages.packed(network), (("conv1", NAME), ("conv2", NAME)))
    expected = fine_tune(loaded.network, {"conv1": table, "conv2": table}, loaded.training, recipe)
    assert stages.unpacked(record["network"]).sha256 == expected.sha256
