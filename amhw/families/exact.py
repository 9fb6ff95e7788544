"""The exact multipliers that every ratio is measured against.

No one structure is both the smallest and the fastest in every technology: a Dadda tree beats ``a*b``, and radix-4
Booth recoding is smaller still (and slower). An honest comparison therefore takes the best of them all, in the
same flow: the smallest for area, the fastest for delay.
"""

from amhw.families.booth import Booth
from amhw.families.masked import Masked
from amhw.multiplier import Multiplier

EXACT_STRUCTURES: tuple[tuple[type[Multiplier], str, str], ...] = (
    (Masked, "dadda", "auto"),
    (Masked, "dadda", "ripple"),
    (Masked, "dadda", "brent-kung"),
    (Masked, "dadda", "kogge-stone"),
    (Booth, "dadda", "auto"),
    (Booth, "dadda", "ripple"),
    (Booth, "dadda", "brent-kung"),
    (Booth, "array", "brent-kung"),
)
"""Family, tree and adder: those of all 24 combinations that come out smallest or fastest, or within 3 % of it, in a
shipped technology."""


def exact_structures(
    width_a: int, width_b: int, *, signed_a: bool = False, signed_b: bool = False
) -> list[tuple[Multiplier, str, str]]:
    """Every structure of EXACT_STRUCTURES for these operands: multiplier, tree and adder.

    >>> [multiplier.name for multiplier, *_ in exact_structures(4, 4)][3:5]
    ['mul_u4u4_pp_full', 'mul_u4u4_booth']
    """
    signs = {"signed_a": signed_a, "signed_b": signed_b}
    exact = {
        Masked: Masked.exact(width_a, width_b, **signs),
        Booth: Booth(width_a=width_a, width_b=width_b, **signs),
    }
    return [(exact[family], tree, adder) for family, tree, adder in EXACT_STRUCTURES]
