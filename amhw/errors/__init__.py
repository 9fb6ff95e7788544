"""How wrong a multiplier is: error figures of a product table, over all operands or over a network's."""

from amhw.errors.figures import Errors
from amhw.errors.heatmap import heat_map

__all__ = ["Errors", "heat_map"]
