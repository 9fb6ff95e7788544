"""Approximate multiplier hardware, traded against neural-network accuracy.

One frozen value, a `Multiplier`, says what is computed (a `ProductTable`, from which errors and a network's
accuracy follow) and what is built (Verilog, from which area and delay follow).
"""

from amhw.families import Masked
from amhw.multiplier import Multiplier, parse
from amhw.refusal import Refusal
from amhw.table import ProductTable

__all__ = ["Masked", "Multiplier", "ProductTable", "Refusal", "parse"]
