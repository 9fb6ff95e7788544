"""The products that circuits give on Amaranth's simulator."""

from collections.abc import Sequence

import numpy as np
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator, SimulatorContext

from amhw.multiplier import Multiplier, MultiplierComponent


def simulate(components: Sequence[MultiplierComponent], a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The product of every component (rows) for every operand pair (columns); all have the same operands."""
    first = components[0].multiplier
    m = Module()
    port_a, port_b = Signal(first.shape_a), Signal(first.shape_b)
    for k, component in enumerate(components):
        m.submodules[f"m{k}"] = component
        m.d.comb += [component.a.eq(port_a), component.b.eq(port_b)]
    products = np.zeros((len(components), len(a)), dtype=object)

    async def drive(ctx: SimulatorContext) -> None:
        for n, (x, y) in enumerate(zip(a.tolist(), b.tolist(), strict=True)):
            ctx.set(port_a, x)
            ctx.set(port_b, y)
            for k, component in enumerate(components):
                products[k, n] = ctx.get(component.p)

    simulator = Simulator(m)
    simulator.add_testbench(drive)
    simulator.run()
    return products


def all_pairs(multiplier: Multiplier) -> tuple[np.ndarray, np.ndarray]:
    """Every pair of operand values."""
    (low_a, high_a), (low_b, high_b) = multiplier.range_a, multiplier.range_b
    a, b = np.meshgrid(np.arange(low_a, high_a + 1), np.arange(low_b, high_b + 1), indexing="ij")
    return a.ravel(), b.ravel()


def some_pairs(multiplier: Multiplier, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Random pairs of operand values, and all pairs of the ends of their ranges."""
    random = np.random.default_rng(seed)
    columns = []
    for (low, high), flip in ((multiplier.range_a, 0), (multiplier.range_b, 1)):
        ends = [low, high, low, high] if flip else [low, low, high, high]
        columns.append(np.concatenate([ends, random.integers(low, high, count, endpoint=True)]))
    return columns[0], columns[1]
