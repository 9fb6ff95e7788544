"""Classical masks under their published names: broken array, row and column perforation.

Each of these designs only leaves partial products out, so each is a `Masked` value; these functions write
the mask.

    broken_array(h = 4, v = 6)

      a_7 …             a_0
        . . . . . . . .  b_0      h rows of the array, the products of b_0 … b_(h−1), are dropped
      . . . . . . . .    b_1
    . . . . . . . .      b_2
    . . . . . . . .      b_3
    o o o o o o . .      b_4      and so are the products of columns i + j < v

Sources: broken array: Mahdiani, Ahmadi, Fakhraie, Lucas, "Bio-inspired imprecise computational blocks …",
IEEE TCAS-I 57(4), 2010. Perforation: Zervakis, Tsoumanis, Xydis, Soudris, Pekmestzi, "Design-efficient
approximate multiplication circuits through partial product perforation", IEEE TVLSI 24(10), 2016.
"""

from collections.abc import Collection

from amhw.families.masked import Masked
from amhw.refusal import Refusal


def broken_array(
    h: int, v: int, *, width_a: int, width_b: int, signed_a: bool = False, signed_b: bool = False
) -> Masked:
    """The broken-array multiplier: a_i·b_j is kept where j ≥ h (horizontal break) and i + j ≥ v (vertical break).

    >>> broken_array(4, 4, width_a=8, width_b=8).golden(43, 84).item()
    3440

    Raises:
        Refusal: a break is out of range, or nothing is left.
    """
    if not 0 <= h < width_b or not 0 <= v < width_a + width_b - 1:
        raise Refusal(
            f"breaks h = {h}, v = {v}; choose h from 0 to {width_b - 1} and v from 0 to {width_a + width_b - 2}"
        )
    full = (1 << width_b) - 1
    rows = tuple(full & -(1 << max(h, v - i)) for i in range(width_a))
    return Masked(rows=rows, width_a=width_a, width_b=width_b, signed_a=signed_a, signed_b=signed_b)


def perforated(
    bits_a: Collection[int] = (),
    bits_b: Collection[int] = (),
    *,
    width_a: int,
    width_b: int,
    signed_a: bool = False,
    signed_b: bool = False,
) -> Masked:
    """A multiplier that ignores some bits of its operands: all products of each bit a_i in `bits_a` are dropped
    (row perforation), and all of each b_j in `bits_b` (column perforation).

    >>> perforated({0, 1}, {0}, width_a=4, width_b=4).rows
    (0, 0, 14, 14)

    Raises:
        Refusal: an operand has no such bit, or nothing is left.
    """
    for operand, bits, width in (("a", bits_a, width_a), ("b", bits_b, width_b)):
        if any(not 0 <= bit < width for bit in bits):
            raise Refusal(f"operand {operand} has the bits 0 to {width - 1}; cannot perforate {sorted(bits)}")
    kept_b = (1 << width_b) - 1 - sum(1 << j for j in set(bits_b))
    rows = tuple(0 if i in bits_a else kept_b for i in range(width_a))
    return Masked(rows=rows, width_a=width_a, width_b=width_b, signed_a=signed_a, signed_b=signed_b)
