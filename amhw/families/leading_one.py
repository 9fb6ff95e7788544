"""The leading one of an operand, as logic and as arithmetic: where the families that encode operands begin."""

from functools import reduce
from operator import or_
from typing import Any

import numpy as np
from amaranth.hdl import Cat, Module, Signal, Value
from numpy.typing import NDArray


def leading_one(m: Module, x: Value, name: str) -> Signal:
    """One-hot detector: bit k of the result is 1 exactly if 2^k ≤ x < 2^(k+1); all 0 for x = 0.

    Args:
        m: the module that receives the logic.
        x: an unsigned value.
        name: of the operand, for readable Verilog.
    """
    found = Signal(len(x), name=f"lead_{name}")
    for k in range(len(x)):
        m.d.comb += found[k].eq(x[k] & ~x[k + 1 :].any())
    return found


def position(m: Module, one_hot: Value, name: str) -> Signal:
    """The index of the bit that is set in `one_hot`; 0 where none is."""
    width = (len(one_hot) - 1).bit_length()
    index = Signal(max(1, width), name=f"k_{name}")
    for bit in range(width):
        m.d.comb += index[bit].eq(Cat(*(one_hot[k] for k in range(len(one_hot)) if k >> bit & 1)).any())
    return index


def select(one_hot: Value, choices: list[Value]) -> Value:
    """The choice whose select bit is set, and 0 where none is: an AND-OR multiplexer."""
    return reduce(or_, (choice & one_hot[k].replicate(len(choice)) for k, choice in enumerate(choices)))


def floor_log2(x: NDArray[Any]) -> NDArray[Any]:
    """⌊log2 x⌋ of positive integers below 2^53, and 0 for 0; the array keeps its type.

    >>> floor_log2(np.array([0, 1, 2, 3, 4, 255])).tolist()
    [0, 0, 1, 1, 2, 7]
    """
    exponent = np.frexp(np.maximum(x, 1).astype(np.float64))[1] - 1
    return exponent.astype(x.dtype)
