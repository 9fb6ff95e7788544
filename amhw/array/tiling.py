"""How a matrix product is cut into the beats that an array takes, and its sums put together again.

Whole slices of the operands go side by side in one beat; what does not fill the array is padded with zeros.
The formulae for cycles are here too; tests count cycles in simulation and compare.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amhw.refusal import Refusal

DATAFLOWS = ("weight-stationary", "output-stationary")

LARGEST_SIDE = 1 << 16

MOST_ELEMENTS = 1 << 14
"""Multipliers of an array: generating Verilog takes some 25 ms for each."""


@dataclass(frozen=True)
class Tiling:
    """A product of shape (M, K, N) on an array of rows × cols.

    Attributes:
        shape: (M, K, N).
        rows, cols: of the array: reduction × columns of B if weight-stationary, else rows of A × columns of B.
        depth: operand pairs that share an element's adder.
        dataflow: one of `DATAFLOWS`.

    >>> tiling = Tiling((100, 150, 16), rows=25, cols=16)
    >>> tiling.cycles, tiling.utilisation
    (600, 1.0)

    Raises:
        Refusal: there is no such product or array.
    """

    shape: tuple[int, int, int]
    rows: int
    cols: int
    depth: int = 1
    dataflow: str = DATAFLOWS[0]

    def __post_init__(self) -> None:
        if self.dataflow not in DATAFLOWS:
            raise Refusal(f"unknown dataflow {self.dataflow!r}; choose one of {', '.join(DATAFLOWS)}")
        if len(self.shape) != 3 or not all(1 <= side <= LARGEST_SIDE for side in self.shape):
            raise Refusal(f"a product of shape M,K,N = {self.shape}: three numbers of 1 to {LARGEST_SIDE}")
        check_array(self.rows, self.cols, self.depth if self.is_weight_stationary else 1)
        check_array(self.depth, 1, self.depth)

    @property
    def is_weight_stationary(self) -> bool:
        """Which dataflow it is."""
        return self.dataflow == DATAFLOWS[0]

    @property
    def tiles(self) -> tuple[int, int, int]:
        """Rounds of the loops over rows of A, the reduction and columns of B; the first and last are tiles or beats."""
        m, k, n = self.shape
        if self.is_weight_stationary:
            return m, -(-k // self.rows), -(-n // self.cols)
        return -(-m // self.rows), -(-k // self.depth), -(-n // self.cols)

    @property
    def cycles(self) -> int:
        """Cycles for each of several products back to back, where no stream stalls."""
        tiles_m, tiles_k, tiles_n = self.tiles
        if self.is_weight_stationary:
            return tiles_k * tiles_n * max(tiles_m, swap_interval(self.rows // self.depth, self.cols))
        return tiles_m * tiles_n * max(tiles_k, start_spacing(self.rows))

    @property
    def utilisation(self) -> float:
        """M·K·N useful multiply-accumulates over multipliers × `cycles`."""
        m, k, n = self.shape
        multipliers = self.rows * self.cols * (1 if self.is_weight_stationary else self.depth)
        return m * k * n / (multipliers * self.cycles)

    def tiles_of(self, a: NDArray[np.integer], b: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The beats of `a` and of `b` for matrices of values: int64[beats, lanes] each."""
        tiles_m, tiles_k, tiles_n = self.tiles
        if self.is_weight_stationary:
            parts_a = _padded(a, tiles_m, tiles_k * self.rows).reshape(tiles_m, tiles_k, self.rows)
            beats_a = np.broadcast_to(parts_a.transpose(1, 0, 2), (tiles_n, tiles_k, tiles_m, self.rows))
            lanes = self.rows // self.depth
            parts_b = _padded(b, tiles_k * self.rows, tiles_n * self.cols)
            tiles = parts_b.reshape(tiles_k, lanes, self.depth, tiles_n, self.cols).transpose(3, 0, 1, 4, 2)
            return beats_a.reshape(-1, self.rows), tiles.reshape(-1, self.cols * self.depth)
        sides_a = _padded(a, tiles_m * self.rows, tiles_k * self.depth).reshape(
            tiles_m, 1, self.rows, tiles_k, self.depth
        )
        sides_b = _padded(b, tiles_k * self.depth, tiles_n * self.cols).reshape(
            1, tiles_k, self.depth, tiles_n, self.cols
        )
        every = (tiles_m, tiles_n, tiles_k)
        return (
            np.broadcast_to(sides_a.transpose(0, 1, 3, 2, 4), (*every, self.rows, self.depth)).reshape(
                -1, self.rows * self.depth
            ),
            np.broadcast_to(sides_b.transpose(0, 3, 1, 4, 2), (*every, self.cols, self.depth)).reshape(
                -1, self.cols * self.depth
            ),
        )

    def product_of(self, beats: NDArray[np.integer]) -> NDArray[np.int64]:
        """C, int64[M, N], of the beats of `c`, int[beats, cols]."""
        m, _, n = self.shape
        tiles_m, _, tiles_n = self.tiles
        sums = np.asarray(beats, np.int64)
        c: NDArray[np.int64]
        if self.is_weight_stationary:
            c = sums.reshape(tiles_n, tiles_m, self.cols).transpose(1, 0, 2)
        else:
            c = sums.reshape(tiles_m, tiles_n, self.rows, self.cols).transpose(0, 2, 1, 3)
        return c.reshape(-1, tiles_n * self.cols)[:m, :n]

    @property
    def beats(self) -> int:
        """Beats of `c` in a product."""
        tiles_m, _, tiles_n = self.tiles
        return tiles_m * tiles_n * (1 if self.is_weight_stationary else self.rows)


def check_array(rows: int, cols: int, depth: int) -> None:
    """
    Raises:
        Refusal: there is no array of this shape.
    """
    if rows < 1 or cols < 1 or depth < 1:
        raise Refusal(f"an array of {rows} × {cols} with depth {depth}: rows, columns and depth are at least 1")
    if rows * cols > MOST_ELEMENTS:
        raise Refusal(
            f"{rows} rows × {cols} columns are {rows * cols} multipliers; at most {MOST_ELEMENTS} are generated"
        )
    if rows % depth:
        raise Refusal(f"{rows} rows are no multiple of the depth {depth}; {depth} rows share one element")


def swap_time(lanes: int, cols: int) -> int:
    """Cycles from a swap of weights at the first of lanes × cols elements to that at the last."""
    return lanes + cols - 2


def swap_interval(lanes: int, cols: int) -> int:
    """Cycles from one swap of weights to the next, at least: preloading waits until the last element has swapped."""
    return swap_time(lanes, cols) + lanes + 1


def start_spacing(rows: int) -> int:
    """Cycles from one output-stationary sum to the next, at least: a row leaves every other cycle."""
    return 2 * rows


def _padded(matrix: NDArray[np.integer], rows: int, cols: int) -> NDArray[np.int64]:
    matrix = np.asarray(matrix, dtype=np.int64)
    return np.pad(matrix, ((0, rows - matrix.shape[0]), (0, cols - matrix.shape[1])))
