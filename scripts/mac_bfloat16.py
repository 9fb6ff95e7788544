"""The multiply-accumulate of Mitch-w6 against bfloat16's: area, delay and energy, the table of docs/effort.md.

    python scripts/mac_bfloat16.py [--tech NAME] [--operations N]

All units are combinational, s' = s + a·b; the registers around them are counted as bits. Fixed point of N bits has
N-bit two's-complement operands and a sum of 2N + 8 bits, which holds 256 products; product and sum share one bit heap.
bfloat16 has exact products and a float32 sum (`amhw.effort.floating`). The operands are those of LeNet-5's conv2 on a
test image, rounded to each format, output by output and tap by tap, each output's sum beginning at 0. Energy is of the
netlist with the least area × delay by the quick recipe, with hazards; settled: without.
"""

import argparse
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from amhw import Masked, parse
from amhw.datasets import mnist_test
from amhw.effort.accumulation import multiply_accumulate
from amhw.effort.floating import float_multiply_accumulate, float_sum
from amhw.network.models import lenet5
from amhw.network.real import pixels
from amhw.synth import SEARCH, Synthesiser, technology_named
from amhw.synth.energy import energy
from amhw.verilog import emit

WIDTHS = (8, 16, 32)

_ROOM = 8
"""Bits of a sum beyond a product's."""

Floats = NDArray[np.float64]


def operands(count: int) -> tuple[Floats, Floats, int]:
    """So many activations and weights of conv2, and how many make a sum."""
    network = lenet5.float_network()
    module = network.module()
    image = pixels(mnist_test().images[:1])
    with torch.no_grad():
        entering = functional.max_pool2d(torch.relu(module.get_submodule("conv1")(image)), 2)
        windows = functional.unfold(entering, 5)[0].T.numpy().astype(np.float64)  # [positions, taps]
    weights = network["conv2"].weights.reshape(16, -1).astype(np.float64)
    order = np.random.default_rng(0).permutation(len(windows) * len(weights))
    taps = windows.shape[1]
    chosen = [divmod(int(each), len(weights)) for each in order[: -(-count // taps)]]
    a = np.concatenate([windows[position] for position, _ in chosen])
    b = np.concatenate([weights[output] for _, output in chosen])
    return a[:count], b[:count], taps


def bits(values: list[int], width: int) -> NDArray[np.uint8]:
    """uint8[length, width], the least significant first."""
    return np.array([[value >> bit & 1 for bit in range(width)] for value in values], np.uint8)


def fixed(name: str, width: int, count: int) -> tuple[object, str, int, dict[str, NDArray[np.uint8]]]:
    """A unit of fixed point, its name, the bits of its registers, and what it sees."""
    multiplier = parse(name)
    size = 2 * width + _ROOM
    unit = multiply_accumulate(multiplier, size, 0)
    a, b, taps = operands(count)
    codes = [np.rint(x / np.abs(x).max() * ((1 << width - 1) - 1)).astype(np.int64) for x in (a, b)]
    products = [int(product) for product in multiplier.golden(*codes)]
    sums, total = [], 0
    for k, product in enumerate(products):
        total = 0 if k % taps == 0 else total
        sums.append(total)
        total += product
    ports = {"a": bits(codes[0].tolist(), width), "b": bits(codes[1].tolist(), width), "s_in": bits(sums, size)}
    return unit, unit.name, 2 * width + size, ports


def floating(core: str, count: int) -> tuple[object, str, int, dict[str, NDArray[np.uint8]]]:
    """The same of bfloat16."""
    unit = float_multiply_accumulate(parse(core))
    a, b, taps = operands(count)
    codes = [torch.tensor(x).bfloat16().view(torch.int16).numpy().view(np.uint16) for x in (a, b)]
    sums, total = [], np.zeros(1, np.float32)
    for k in range(count):
        total = np.zeros(1, np.float32) if k % taps == 0 else total
        sums.append(int(total.view(np.uint32)[0]))
        total = float_sum(codes[0][k : k + 1], codes[1][k : k + 1], total)
    ports = {"a": bits(codes[0].tolist(), 16), "b": bits(codes[1].tolist(), 16), "s_in": bits(sums, 32)}
    return unit, unit.name, 64, ports


def units(count: int) -> Iterator[tuple[str, tuple[object, str, int, dict[str, NDArray[np.uint8]]]]]:
    yield "bfloat16, float32 sum", floating(Masked.exact(8, 8).name, count)
    for width in WIDTHS:
        operand = f"mul_s{width}s{width}"
        yield f"Mitch-w6, {width} bits", fixed(f"{operand}_sm_ones_mitchell_6", width, count)
        yield f"exact, {width} bits", fixed(Masked.exact(width, width, signed_a=True, signed_b=True).name, width, count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tech", default="sky130hd")
    parser.add_argument("--operations", type=int, default=1500)
    arguments = parser.parse_args()
    technology = technology_named(arguments.tech)
    technology.check_voltage()
    print(f"{arguments.tech}; {arguments.operations} operations of conv2")
    print(
        f"{'multiply-accumulate':24}{'registers':>10}{'area, µm²':>11}{'delay, ps':>11}{'energy, fJ':>12}  saved",
        end="",
    )
    print("   settled, fJ  saved")
    yardstick = None
    with Synthesiser(technology, (SEARCH,), workers=1, netlists=True, timeout=1800) as synthesiser:
        for what, (unit, name, registers, ports) in units(arguments.operations):
            result = synthesiser.submit(emit(unit, name), name).result()
            netlist = result.best_product.gates
            assert netlist is not None, "netlists are asked for"
            found = energy(netlist, technology, ports)
            yardstick = yardstick or found
            print(
                f"{what:24}{registers:>10}{result.area_um2:>11,.0f}{result.delay_ps:>11,.0f}{found.timed_fj:>12,.0f}"
                f"{1 - found.timed_fj / yardstick.timed_fj:>7.0%}{found.settled_fj:>14,.0f}"
                f"{1 - found.settled_fj / yardstick.settled_fj:>7.0%}",
                flush=True,
            )


if __name__ == "__main__":
    main()
