"""Whether pixels are rounded or truncated before they are multiplied."""

from types import SimpleNamespace

import numpy as np
import pytest

from amhw import Masked, ProductTable
from amhw.datasets import mnist_slice
from amhw.network.models.lenet5 import float_network
from amhw.network.quantise import quantise
from amhw.network.quantised import Operands
from amhw.remap import fit as remap_fit
from amhw.remap.fit import Judge, fit
from amhw.remap.teacher import Teacher


def table(text):
    return ProductTable.of(Masked.from_text(text, 8, 8, signed_b=True))


def problem(images):
    network = float_network()
    base = quantise(network, images, Operands())
    return base, Teacher.of(network, images[:600], 100), Judge.of(network, images[600:800])


@pytest.mark.parametrize("grey", [False, True])
def test_it_is_what_leaves_the_next_layer_the_lesser_error(grey, monkeypatch):
    """Digits are nearly black and white; pictures in greys below half are all black if they are truncated."""
    monkeypatch.setattr(remap_fit, "_HOPELESS", np.inf)
    images = mnist_slice().images
    images = images // 3 if grey else images
    base, teacher, judge = problem(images)
    tables = dict.fromkeys(base.convolutions, table("0,0,0,0,0,0,0,c0" if grey else "0,0,0,0,0,0,c0,c0"))
    half = 64 if grey else 32
    ways = {rounding: fit(base, tables, teacher, judge, roundings=[rounding]) for rounding in (0, half)}
    errors = {rounding: way.errors["conv2"] for rounding, way in ways.items()}
    found = fit(base, tables, teacher, judge)
    assert found.network["conv1"].input_rounding == (half if grey else 0)
    assert (errors[half] < errors[0]) == grey
    assert found.divergence == ways[half if grey else 0].divergence
    assert found.network["conv2"].input_rounding == half  # part of a constant that requantisation adds anyway


@pytest.mark.parametrize("grey", [False, True])
def test_the_only_layer_with_a_table_decides_by_its_own_error(grey):
    images = mnist_slice().images
    base, teacher, judge = problem(images // 3 if grey else images)
    found = fit(base, {"conv1": table("0,0,0,0,0,0,0,c0")}, teacher, judge)
    assert found.network["conv1"].input_rounding == (64 if grey else 0)


def test_rounding_must_be_worth_its_adder():
    assert remap_fit._worth_most(["truncated", "rounded"], [1.0, 0.97]) == "truncated"
    assert remap_fit._worth_most(["truncated", "rounded"], [1.0, 0.95]) == "rounded"
    assert remap_fit._worth_most(["truncated", "rounded"], [0.0, 0.0]) == "truncated"


def test_what_is_settled_in_its_own_layer_is_not_followed():
    ways = [SimpleNamespace(error=1.0), SimpleNamespace(error=1.1), SimpleNamespace(error=1.3)]
    assert remap_fit._promising(ways) == ways[:2]
