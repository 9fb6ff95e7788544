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
def test_it_is_what_leaves_the_next_layer_the_lesser_error(grey):
    """Digits are nearly black and white; of pictures in three greys truncation cannot tell two apart."""
    images = mnist_slice().images
    if grey:
        images = (images // 86 * 30 + 20).astype(
            np.uint8
        )  # 20, 50 and 80: 0, 0 and 1 of the steps of 64, or 0, 1 and 1
    base, teacher, judge = problem(images)
    tables = dict.fromkeys(base.convolutions, table("0,0,0,0,0,0,c0,c0"))
    ways = {rounding: fit(base, tables, teacher, judge, roundings=[rounding]) for rounding in (0, 32)}
    found = fit(base, tables, teacher, judge)
    chosen = found.network["conv1"].input_rounding
    assert found.divergence == ways[chosen].divergence
    errors = {rounding: way.errors["conv2"] ** 2 for rounding, way in ways.items()}
    assert chosen == (32 if errors[32] < 0.9 * errors[0] else 0)
    assert found.network["conv2"].input_rounding == 32  # part of a constant that requantisation adds anyway


def test_rounding_must_be_worth_its_adder():
    ways = [SimpleNamespace(error=1.0), SimpleNamespace(error=0.99)]
    assert remap_fit._worth_most(ways) is ways[0]
    ways[1].error = 0.9
    assert remap_fit._worth_most(ways) is ways[1]


def test_what_is_settled_in_its_own_layer_is_not_followed():
    ways = [SimpleNamespace(error=1.0), SimpleNamespace(error=1.1), SimpleNamespace(error=1.3)]
    assert remap_fit._promising(ways) == ways[:2]
