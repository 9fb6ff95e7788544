"""Faults written through the configuration port of an engine in Verilator give the codes that the campaign computes."""

from dataclasses import replace

import numpy as np
import pytest
from chains import chain, convolution, linear

from amhw import ProductTable, parse
from amhw.array.plan import ConvPlan
from amhw.faults.rtl import compare, engine, some_faults
from amhw.manifests import MemoryPlace
from amhw.network.requantisation import Requantisation
from amhw.simulation import simulator_environment

MULTIPLIER = parse("mul_u8s8_pp_0_0_0_e0_e0_e0_e0_e0")


@pytest.fixture(scope="module")
def plan():
    random = np.random.default_rng(12)
    layers = [
        convolution(
            name,
            random.integers(-128, 128, (outputs, inputs, 3, 3)),
            random.integers(-300, 300, outputs),
            Requantisation.of(1 / (9 * inputs * 60), 255),
            padding=padding,
        )
        for name, inputs, outputs, padding in (("c1", 1, 2, 1), ("c2", 2, 3, 0))
    ]
    layers.append(linear("f", random.integers(-128, 128, (10, 3)), np.zeros(10)))
    return ConvPlan(chain(layers, (1, 8, 8), (2, 2), "small"), ProductTable.of(MULTIPLIER), 9, 2)


@pytest.fixture(scope="module")
def simulated(plan, tmp_path_factory):
    with simulator_environment():
        return engine(MULTIPLIER, plan, tmp_path_factory.mktemp("engine"))


def test_faults_in_gateware(plan, simulated):
    """scripts/check_faults_rtl.py does the same with LeNet-5's engine."""
    images = np.random.default_rng(13).integers(0, 256, (3, 1, 8, 8), dtype=np.uint8)
    faults = some_faults(plan, 250)
    assert {fault.model for fault in faults} == {"flip", "stuck-at-0", "stuck-at-1", "flip-2", "flip-3"}
    assert {(fault.layer, fault.kind) for fault in faults} == {
        (c, k) for c in ("c1", "c2") for k in ("weights", "bias")
    }
    found = compare(simulated, plan, faults, images)
    assert found.faults == 250 and found.codes == 250 * 3 * 3
    assert found.changed > 50, "most faults do something"
    assert not found.different


def test_a_fault_in_another_place_is_told(plan, simulated):
    images = np.random.default_rng(13).integers(0, 256, (3, 1, 8, 8), dtype=np.uint8)
    weights = simulated.places["weights"]
    places = {**simulated.places, "weights": MemoryPlace(**{**vars(weights), "base": weights.base + weights.stride})}
    found = compare(replace(simulated, places=places), plan, some_faults(plan, 40), images)
    assert found.different
