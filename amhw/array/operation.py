"""One operation of the engine, as plain data."""

from dataclasses import dataclass

from amhw.array.records import Fetch, Finish, Weights


@dataclass(frozen=True)
class Operation:
    """What the units do for one layer, or for a strip of its output rows.

    Attributes:
        name: the layer's; with the first row of the strip where there are several.
        kind: ``convolution``, ``linear``, ``max``, ``mean``, ``add`` or ``copy``.
        products: useful multiply-accumulates.
        rows: pooled rows before this strip.
        reach: rows of a window, all parts together.
        multiplier: the layer's; none of what leaves the array out.
    """

    name: str
    kind: str
    fetch: Fetch
    weights: Weights
    finish: Finish
    products: int = 0
    rows: int = 0
    reach: int = 1
    multiplier: str = ""

    @property
    def positions(self) -> int:
        """Turns of a tile; of one image."""
        return self.fetch.rows * self.fetch.columns * self.fetch.pool_y * self.fetch.pool_x

    @property
    def tiles(self) -> int:
        """Sets of weights; for operations without any, the planes."""
        return self.fetch.groups * self.fetch.channels * self.fetch.parts_y * self.fetch.parts_x
