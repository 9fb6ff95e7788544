"""Additions that are not exact: sums whose lower bits are OR-ed.

The lower-part-OR adder of L bits adds the upper bits of two numbers exactly and takes the OR of the lower L bits in
place of their sum; the AND of the two bits of weight 2^(L−1) is carried into the upper part:

    low  = (s | p) mod 2^L
    high = ⌊s / 2^L⌋ + ⌊p / 2^L⌋ + (s_(L−1) ∧ p_(L−1))
    s' = 2^L·high + low

L = 0 is exact. Numbers are two's complement. Adding 0 is exact for every L, so that padding stays harmless.

Source: Mahdiani, Ahmadi, Fakhraie and Lucas, "Bio-inspired imprecise computational blocks for efficient VLSI
implementation of soft-computing applications", IEEE Transactions on Circuits and Systems I 57(4), 2010.
"""

from typing import Any

import numpy as np
import torch
from amaranth.hdl import Cat, Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from amhw.bitheap import compress
from amhw.multiplier import Multiplier
from amhw.network.inference import im2col, of_positions
from amhw.network.quantised import QuantisedLayer
from amhw.refusal import Refusal
from amhw.table import ProductTable

WIDEST = 32
"""Bits of a sum."""


def added(sums: NDArray[np.integer], products: NDArray[np.integer], bits: int) -> NDArray[Any]:
    """s + p by the lower-part-OR adder of `bits` bits; integers of any sign.

    >>> added(np.array([5, -1, 12]), np.array([6, 1, 0]), 2).tolist(), added(np.array([5]), np.array([6]), 0).tolist()
    ([11, -1, 12], [11])
    """
    if bits == 0:
        return np.asarray(sums + products)
    low = (sums | products) & ((1 << bits) - 1)
    carry = (sums >> (bits - 1)) & (products >> (bits - 1)) & 1
    return np.asarray((((sums >> bits) + (products >> bits) + carry) << bits) | low)


class LowerOrSums:
    """The sums of a layer whose products are added one after another, in the order of its taps, by that adder.

    Args:
        layer: that is computed.
        bits: L.
        table: its products; None for exact ones.

    Raises:
        Refusal: L is out of range, or the table does not fit the layer.
    """

    def __init__(self, layer: QuantisedLayer, bits: int, table: ProductTable | None = None) -> None:
        check_bits(bits)
        layer.check_one_group("approximate addition")
        if table is not None:
            layer.check_operands(table)
        self.layer, self.bits, self.table = layer, bits, table

    def __call__(self, codes: torch.Tensor) -> torch.Tensor:
        """As `amhw.network.inference.LayerSums`."""
        layer = self.layer
        windows = im2col(layer, codes.numpy())
        inputs = windows.reshape(-1, windows.shape[-1])
        sums = np.zeros((len(inputs), layer.outputs), np.int64)
        for tap in range(inputs.shape[1]):
            column = inputs[:, tap]
            if self.table is None:
                products = column.astype(np.int64)[:, None] * layer.matrix[:, tap]
            else:
                products = self.table.products[:, layer.weight_codes[:, tap]].astype(np.int64)[column]
            sums = added(sums, products, self.bits)
        return of_positions(layer, sums.reshape(*windows.shape[:3], layer.outputs))


class MultiplyAccumulate(wiring.Component):
    """s_out = s_in + a × b, the addition by the lower-part-OR adder of `bits` bits; combinational.

    With `bits` 0 the product's partial products and the sum meet in one bit heap, as in the array's elements.

    Members:
        a, b: In, the multiplier's operands.
        s_in, s_out: In and Out, signed `width` bits; s_out is taken modulo 2^width.
    """

    def __init__(self, multiplier: Multiplier, width: int, bits: int) -> None:
        self.multiplier, self.width, self.bits = multiplier, width, bits
        super().__init__(
            {
                "a": In(multiplier.shape_a),
                "b": In(multiplier.shape_b),
                "s_in": In(signed(width)),
                "s_out": Out(signed(width)),
            }
        )

    @property
    def name(self) -> str:
        """The Verilog module's name."""
        return f"mac_{self.multiplier.name}_s{self.width}_or{self.bits}"

    def elaborate(self, platform: object) -> Module:
        m = Module()
        heap = self.multiplier.heap(m, self.a, self.b)
        if self.bits == 0:
            heap.add_value(self.s_in)
            m.d.comb += self.s_out.eq(compress(m, heap, self.width))
            return m
        cut = self.bits
        size = self.multiplier.shape_p.width
        product = compress(m, heap, size)
        upper = product[cut:].as_signed() if self.multiplier.shape_p.signed else product[cut:]
        high = self.s_in[cut:].as_signed() + upper + (self.s_in[cut - 1] & product[cut - 1])
        m.d.comb += self.s_out.eq(Cat(self.s_in[:cut] | product[:cut], high[: self.width - cut]))
        return m


def multiply_accumulate(multiplier: Multiplier, width: int, bits: int) -> MultiplyAccumulate:
    """The unit with L = `bits`.

    Raises:
        Refusal: L is out of range or no smaller than the product's width.
    """
    check_bits(bits)
    if bits >= multiplier.shape_p.width:
        raise Refusal(f"{bits} OR-ed bits; a product has {multiplier.shape_p.width}, wanted fewer than these")
    return MultiplyAccumulate(multiplier, width, bits)


def check_bits(bits: int) -> None:
    """
    Raises:
        Refusal: no lower part has so many bits.
    """
    if not 0 <= bits < WIDEST:
        raise Refusal(f"{bits} OR-ed bits; wanted 0 (exact) to {WIDEST - 1}")
