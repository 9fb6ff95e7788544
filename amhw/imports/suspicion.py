"""What looks wrong about a table that someone else made.

A table says nothing about how its operands are coded. The wrong reading gives numbers, not errors, so each
reading is compared with the others that the same numbers allow.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from amhw.multiplier import KINDS, SIGNEDNESS, signedness
from amhw.table import ProductTable, code_values

_CLEARLY = 4
"""How many times smaller another reading's mean error must be before it is called likelier."""


def suspicions(table: ProductTable) -> list[str]:
    """One line for each thing that suggests that the table is not what it is taken for; empty if none does.

    - Another signedness (of the operands, and with them of the words that hold the products), or operands
      listed by value instead of by code, would make the mean error several times smaller.
    - Multiplied by a power of two, as products are whose lowest bit weighs more than 1, the table would be several
      times nearer.
    - A signed table computes negative × negative as |a|·|b| and the mixed signs some other way: the product
      of two negatives then comes from another circuit than the one that was synthesised. (Rounding alone, which
      tells a product from its opposite too, is no other circuit.)
    - 0·x is not 0.
    """
    found = []
    error = float(np.abs(table.errors).mean())
    own = signedness(table.signed_a, table.signed_b)
    readings = {name: (*signs, False) for name, signs in SIGNEDNESS.items()}
    readings |= {f"{name}, rows and columns by value": (*SIGNEDNESS[name], True) for name in ("a", "b", "both")}
    errors = {name: _error_of_words(table, *reading) for name, reading in readings.items()}
    best = min(errors, key=lambda name: errors[name])
    if errors[best] * _CLEARLY < error:
        words = KINDS[table.signed_a or table.signed_b]
        how = f"as signed = {best}" if best != own else f"with the products as {words} words"
        found.append(f"read as signed = {own} the mean error is {error:.1f}; {how} it would be {errors[best]:.1f}")
    shift, scaled = _best_shift(table)
    if scaled * _CLEARLY < error:
        found.append(f"the mean error is {error:.1f}; with a lowest bit of 2^{shift} it is {scaled:.1f}: see --shift")
    if _magnitudes_for_two_negatives(table):
        found.append(
            "negative × negative equals |a|·|b| while mixed signs differ from −|a|·|b|: "
            "two different multipliers in one table"
        )
    if table.products[0].any() or table.products[:, 0].any():
        found.append("0·x is not always 0")
    return found


def likelier_signs(products: NDArray[Any], width_p: int, stated: tuple[bool, bool], shift: int = 0) -> str | None:
    """The signedness under which output codes fit products clearly better than under the stated one, if any.

    Args:
        products: unsigned output codes of `width_p` bits, [2^width_a, 2^width_b].
        width_p: bits of the output.
        stated: signed_a, signed_b.
        shift: the lowest bit weighs 2^shift.
    """
    errors = {name: _code_error(products, width_p, *signs, shift) for name, signs in SIGNEDNESS.items()}
    best = min(errors, key=lambda name: errors[name])
    own = signedness(*stated)
    return best if best != own and errors[best] * _CLEARLY < errors[own] else None


def of_codes(codes: NDArray[Any], width: int, signed: bool) -> NDArray[Any]:
    """The values of two's-complement codes (or the codes themselves)."""
    return np.where(codes >> (width - 1), codes - (1 << width), codes) if signed else codes


def _error_of_words(table: ProductTable, signed_a: bool, signed_b: bool, by_value: bool) -> float:
    """The mean error under a reading of the operands that also reads the products anew.

    A file of words, or an array of unsigned numbers, shows a negative product as 2^width less: the products
    are taken back to the words that they came from, as wide as the product or, if one does not fit, 16 bits.
    """
    low, high = int(table.products.min()), int(table.products.max())
    as_read = _error_as(table.products, signed_a, signed_b, by_value)
    for width in (table.width_a + table.width_b, 16):
        if -(1 << (width - 1)) <= low and high < 1 << width:
            codes = table.products.astype(np.int64) & ((1 << width) - 1)
            words = of_codes(codes, width, signed_a or signed_b)
            return min(as_read, _error_as(words, signed_a, signed_b, by_value))
    return as_read


def _error_as(products: NDArray[Any], signed_a: bool, signed_b: bool, by_value: bool) -> float:
    axes = []
    for side, signed in zip(products.shape, (signed_a, signed_b), strict=True):
        values = code_values(side.bit_length() - 1, signed)
        axes.append(np.sort(values) if by_value else values)
    return float(np.abs(products - axes[0][:, None] * axes[1][None, :]).mean())


def _code_error(codes: NDArray[Any], width: int, signed_a: bool, signed_b: bool, shift: int) -> float:
    return _error_as(of_codes(codes, width, signed_a or signed_b) << shift, signed_a, signed_b, False)


def _best_shift(table: ProductTable) -> tuple[int, float]:
    """The weight of the lowest bit, as a power of two, at which the mean error is least, and that error."""
    exact = table.products - table.errors
    most = int(np.abs(table.products.astype(np.int64)).max())
    free = table.width_a + table.width_b - most.bit_length()
    errors = {shift: float(np.abs((table.products << shift) - exact).mean()) for shift in range(max(0, free) + 1)}
    best = min(errors, key=lambda shift: errors[shift])
    return best, errors[best]


def _magnitudes_for_two_negatives(table: ProductTable) -> bool:
    if not (table.signed_a and table.signed_b):
        return False
    half_a, half_b = (side // 2 for side in table.products.shape)
    # Without −2^(n−1), whose magnitude has no positive code.
    a, b = np.arange(1, half_a)[:, None], np.arange(1, half_b)[None, :]
    positive = table.products[a, b]
    negative = table.products[-a, -b]
    step = _step(table.products)
    rounded = all((np.abs(mixed + positive) <= step).all() for mixed in (table.products[-a, b], table.products[a, -b]))
    return bool((negative == positive).all() and not rounded and not _depends_on_the_product_alone(table))


def _step(products: NDArray[Any]) -> int:
    """The largest power of two that divides every product."""
    together = int(np.bitwise_or.reduce(products, axis=None))
    return together & -together


def _depends_on_the_product_alone(table: ProductTable) -> bool:
    exact = (table.products - table.errors).ravel()
    order = np.argsort(exact, kind="stable")
    exact, products = exact[order], table.products.ravel()[order]
    return bool((products[1:] == products[:-1])[exact[1:] == exact[:-1]].all())
