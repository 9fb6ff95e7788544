"""Approximate sums: golden model, the emitted Verilog, and inference."""

import numpy as np
import pytest
import torch

from amhw.circuit import Circuit
from amhw.datasets import mnist_test
from amhw.effort.accumulation import LowerOrSums, added, multiply_accumulate
from amhw.network.inference import Inference
from amhw.network.models import lenet5
from amhw.refusal import Refusal
from amhw.table import ProductTable
from amhw.verilog import Design, emit

WIDTH = 20


def by_bits(s, p, bits, width=WIDTH):
    """The adder bit by bit, as in the publication's drawing."""
    total, carry = 0, 0
    for k in range(width):
        x, y = s >> k & 1, p >> k & 1
        if k < bits:
            total |= (x | y) << k
            carry = x & y if k == bits - 1 else 0
        else:
            total |= (x ^ y ^ carry) << k
            carry = x & y | carry & (x ^ y)
    return total


@pytest.mark.parametrize("bits", [0, 1, 2, 5, 9])
def test_the_adder_is_the_published_one(bits):
    random = np.random.default_rng(bits)
    s, p = random.integers(-(2**17), 2**17, (2, 300))
    assert (added(s, p, bits) % 2**WIDTH).tolist() == [
        by_bits(x % 2**WIDTH, y % 2**WIDTH, bits) for x, y in zip(s.tolist(), p.tolist(), strict=True)
    ]
    assert np.array_equal(added(s, np.zeros_like(s), bits), s), "0 is added exactly"


@pytest.mark.parametrize("name", ["mul_u4s4_pp_full", "mul_u4u3_pp_full", "mul_u8s8_pp_0_0_0_0_0_c0_e0_e0"])
@pytest.mark.parametrize("bits", [0, 1, 3])
def test_the_verilog_is_the_golden_model(name, bits):
    multiplier = Design.parse(name).multiplier
    unit = multiply_accumulate(multiplier, WIDTH, bits)
    circuit = Circuit.read(emit(unit, unit.name), unit.name)
    table = ProductTable.of(multiplier)
    random = np.random.default_rng(bits)
    a = random.integers(0, 1 << table.width_a, 4000)
    b = random.integers(0, 1 << table.width_b, 4000)
    s = random.integers(-(2**18), 2**18, 4000)
    found = circuit.evaluate({"a": a, "b": b, "s_in": s % 2**WIDTH})["s_out"]
    assert np.array_equal(found, added(s, table.products[a, b].astype(np.int64), bits) % 2**WIDTH)


def test_no_or_is_ordinary_inference():
    network = lenet5.network()
    images = mnist_test().images[:10]
    exact = Inference(network).logits(images)
    assert np.array_equal(
        Inference(network, sums={each.name: LowerOrSums(each, 0) for each in network.layers}).logits(images), exact
    )
    table = ProductTable.of(Design.parse("mul_u8s8_pp_0_0_0_0_0_c0_e0_e0").multiplier)
    layers = {name: LowerOrSums(network[name], 0, table) for name in network.convolutions}
    tables = dict.fromkeys(network.convolutions, table)
    assert np.array_equal(Inference(network, sums=layers).logits(images), Inference(network, tables).logits(images))
    more = Inference(network, sums={each.name: LowerOrSums(each, 8) for each in network.layers}).logits(images)
    assert not np.array_equal(more, exact)


def test_a_sum_in_a_loop():
    network = lenet5.network()
    images = mnist_test().images[:2]
    codes = Inference(network).inputs(images, ("fc2",))["fc2"]
    found = LowerOrSums(network["fc2"], 6)(torch.from_numpy(codes)).numpy()
    for image, row in enumerate(codes.tolist()):
        for output, weights in enumerate(network["fc2"].matrix.tolist()):
            total = 0
            for x, w in zip(row, weights, strict=True):
                total = by_bits(total % 2**32, x * w % 2**32, 6, 32)
            assert found[image, output] == (total ^ 2**31) - 2**31


@pytest.mark.parametrize("bits", [-1, 32])
def test_impossible_parts_are_refused(bits):
    with pytest.raises(Refusal, match=r"wanted 0 \(exact\) to 31"):
        LowerOrSums(lenet5.network()["fc1"], bits)


def test_more_bits_than_a_product_has_are_refused():
    with pytest.raises(Refusal, match="a product has 8, wanted fewer"):
        multiply_accumulate(Design.parse("mul_u4s4_pp_full").multiplier, WIDTH, 8)
