"""Compression of bit heaps: any heap, any tree, any adder, the same sum."""

import pytest
from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from amhw.bitheap import ADDERS, TREES, BitHeap, check_structure, compress
from amhw.refusal import Refusal


@settings(max_examples=80, deadline=None)
@given(
    bits=st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=30),
    constant=st.integers(-500, 500),
    width=st.integers(1, 10),
    tree=st.sampled_from(TREES),
    adder=st.sampled_from(ADDERS),
    pattern=st.integers(0, 2**30 - 1),
)
def test_the_sum_is_the_sum(bits, constant, width, tree, adder, pattern):
    m = Module()
    source = Signal(30)
    heap = BitHeap()
    heap.add_constant(constant)
    expected = constant
    for n, (exponent, negative) in enumerate(bits):
        heap.add_bit(source[n], exponent, negative=negative)
        expected += (-1 if negative else 1) * (pattern >> n & 1) << exponent
    total = Signal(width)
    m.d.comb += total.eq(compress(m, heap, width, tree=tree, adder=adder))

    async def check(ctx):
        ctx.set(source, pattern)
        assert ctx.get(total) == expected % 2**width

    simulator = Simulator(m)
    simulator.add_testbench(check)
    simulator.run()


def test_values_and_heaps_add_up():
    m = Module()
    x, y = Signal(signed(4)), Signal(unsigned(3))
    left, right = BitHeap(), BitHeap()
    left.add_value(x, 1)
    right.add_value(y)
    right.add_constant(-3)
    left.add_heap(right)
    total = Signal(8)
    m.d.comb += total.eq(compress(m, left, 8))
    assert left.heights == {0: 1, 1: 2, 2: 2, 3: 1, 4: 1}

    async def check(ctx):
        for p in range(-8, 8):
            for q in range(8):
                ctx.set(x, p)
                ctx.set(y, q)
                assert ctx.get(total) == (2 * p + q - 3) % 256

    simulator = Simulator(m)
    simulator.add_testbench(check)
    simulator.run()


@pytest.mark.parametrize(("tree", "adder"), [("oak", "auto"), ("dadda", "snake")])
def test_unknown_structures_are_refused(tree, adder):
    with pytest.raises(Refusal, match="choose one of"):
        check_structure(tree, adder)
