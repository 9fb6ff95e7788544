"""What the convolution engine does clock by clock, as a value: its loops, its memories' contents, its cycle count.

The two convolutions run as one sequence of tiles, each a set of weights that stays in the array while output
positions stream through it:

    for layer: for group of `cols` output channels: for input channel:      a tile, its weights loaded meanwhile
        for pooled row: for pooled column: for the 2×2 positions of the window:     one position a clock

Nothing in this module looks at circuits.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from amhw.array.tiling import check_array, swap_time
from amhw.array.widths import SUM_BITS, Widths, width_of
from amhw.network.quantised import QuantisedLayer, QuantisedNetwork
from amhw.refusal import Refusal
from amhw.table import ProductTable

POOL = 2
FETCH = 3
"""Latency in cycles from a position to its window at the array: addresses, memories, rotation."""


@dataclass(frozen=True)
class LayerPlan:
    """One convolution layer as the engine meets it.

    Attributes:
        channels, outputs: of the layer.
        groups: of at most `cols` outputs each.
        side: of the input maps.
        padding: zeros on each side of them.
        pooled: side of the pooled output maps.
    """

    channels: int
    outputs: int
    groups: int
    side: int
    padding: int
    pooled: int

    @property
    def positions(self) -> int:
        """Output positions before pooling; rows and columns that pooling would drop are not computed."""
        return (POOL * self.pooled) ** 2

    @property
    def tiles(self) -> int:
        """Sets of weights."""
        return self.groups * self.channels


@dataclass(frozen=True, eq=False)
class ConvPlan:
    """The convolutions of `network` on an array of rows × cols with `table` as its multiplier.

    Attributes:
        network: two convolutions with square kernels and 2×2 pooling, then whatever follows.
        table: of the multiplier in the array.
        rows: kernel², the taps of a window.
        cols: output channels computed side by side.
        depth: rows that share an element's adder.

    Raises:
        Refusal: the network, the table and the array do not fit each other.
    """

    network: QuantisedNetwork
    table: ProductTable
    rows: int = 25
    cols: int = 16
    depth: int = 1

    def __post_init__(self) -> None:
        check_array(self.rows, self.cols, self.depth)
        self.network.network.check_plain("the convolution engine")
        names = self.network.convolutions
        if len(names) != 2 or names != self.network.layer_names[:2]:
            raise Refusal(
                f"the engine runs a network that begins with two convolutions and has no others; this one has "
                f"{', '.join(self.network.layer_names)}"
            )
        first, second = self.convolutions
        for layer in self.convolutions:
            self._check(layer)
        if self.network.network.input_shape[1] != self.network.network.input_shape[2]:
            raise Refusal(f"images {list(self.network.network.input_shape)}; the engine takes square ones")
        if first.weights.shape[1] != 1 or second.weights.shape[1] != first.outputs:
            raise Refusal(
                f"{first.name} takes {first.weights.shape[1]} channels and gives {first.outputs}, {second.name} takes "
                f"{second.weights.shape[1]}; wanted 1 and equal numbers"
            )
        if first.operands != second.operands:
            raise Refusal(f"operands differ: {first.operands.name} and {second.operands.name}; the array has one kind")
        self.widths.check_sums(self.terms, SUM_BITS - 1)

    def _check(self, layer: QuantisedLayer) -> None:
        height, width = layer.kernel
        if self.rows != height * width:
            raise Refusal(
                f"{self.rows} rows do not fit {layer.name}: a {height}×{width} window has {height * width} taps"
            )
        if height != width or layer.padding[0] != layer.padding[1] or layer.stride != (1, 1):
            raise Refusal(
                f"{layer.name} has stride {layer.stride[0]}; wanted 1, and a square window with equal padding"
            )
        if layer.layer.absolute:
            raise Refusal(
                f"{layer.name} has absolute values; the engine of two convolutions wants a ReLU (or: --whole)"
            )
        pool = self.network.network.pool_of(layer.name)
        if pool is None or (pool.window, pool.stride) != ((POOL, POOL), (POOL, POOL)):
            found = "no pooling" if pool is None else f"pooling {pool.window[0]}×{pool.window[1]}"
            raise Refusal(f"{layer.name} has {found}; wanted {POOL}×{POOL} after every convolution")
        layer.check_operands(self.table)
        self.network.check_table(layer, self.table)

    @property
    def convolutions(self) -> tuple[QuantisedLayer, QuantisedLayer]:
        """The two layers as the network has them."""
        first, second = self.network.convolutions
        return self.network[first], self.network[second]

    @property
    def kernel(self) -> int:
        """Side of the window."""
        return self.convolutions[0].kernel[0]

    @cached_property
    def widths(self) -> Widths:
        """Of the table, for the activation codes that exist."""
        return Widths.of(self.table, self.convolutions[0].operands.activation_max + 1)

    @cached_property
    def layers(self) -> tuple[LayerPlan, LayerPlan]:
        """What the engine does for each layer."""
        network, plans = self.network.network, []
        for layer in self.convolutions:
            side = network.shapes[network.sources[layer.name][0]][-1]
            pooled = network.shapes[network.leaving(layer.name)][-1]
            groups = -(-layer.outputs // self.cols)
            plans.append(LayerPlan(layer.weights.shape[1], layer.outputs, groups, side, layer.padding[0], pooled))
        return plans[0], plans[1]

    @property
    def image_side(self) -> int:
        """Of the square images."""
        return self.network.network.input_shape[1]

    @property
    def terms(self) -> int:
        """The most products in a sum."""
        return max(layer.channels for layer in self.layers) * self.rows

    @property
    def lanes(self) -> int:
        """Elements in a column."""
        return self.rows // self.depth

    # Memories

    @property
    def phases(self) -> int:
        """Columns that share a requantiser: a pooled value comes every pool² clocks."""
        return POOL**2

    @property
    def requantisers(self) -> int:
        """How many work side by side."""
        return -(-self.cols // self.phases)

    @cached_property
    def weight_words(self) -> NDArray[np.int64]:
        """Weight codes int64[tiles·lanes, cols, depth] in the order in which they are loaded; 0 where there is none."""
        words = []
        for layer, plan in zip(self.convolutions, self.layers, strict=True):
            codes = layer.weight_codes.reshape(plan.outputs, plan.channels, self.lanes, self.depth)
            codes = np.pad(codes, ((0, plan.groups * self.cols - plan.outputs), (0, 0), (0, 0), (0, 0)))
            tiles = codes.reshape(plan.groups, self.cols, plan.channels, self.lanes, self.depth)
            words.append(tiles.transpose(0, 2, 3, 1, 4).reshape(-1, self.cols, self.depth))
        return np.concatenate(words).astype(np.int64)

    @cached_property
    def bias_words(self) -> NDArray[np.int64]:
        """Biases int64[groups of both layers · phases, requantisers]; column phase·requantisers + q of a group."""
        words = []
        for layer, plan in zip(self.convolutions, self.layers, strict=True):
            bias = np.zeros((plan.groups, self.phases * self.requantisers), dtype=np.int64)
            for group in range(plan.groups):
                part = layer.bias[group * self.cols : (group + 1) * self.cols]
                bias[group, : len(part)] = part
            words.append(bias.reshape(-1, self.requantisers))
        return np.concatenate(words)

    @cached_property
    def bias_width(self) -> int:
        """Bits of a bias, two's complement: 16, or more where this network needs them."""
        return max(16, width_of(min(-1, int(self.bias_words.min())), int(self.bias_words.max())))

    @property
    def memory_bits(self) -> dict[str, int]:
        """Bits of each kind of memory: both image buffers, the first layer's maps, and so on."""
        first, second = self.layers
        taps = self.kernel**2
        activation = len(self.widths.bits_a)
        partial = max((layer.positions for layer in self.layers if layer.channels > 1), default=0)
        requantisation = self.convolutions[1].requantisation
        assert requantisation is not None, "a layer follows"
        return {
            "images": 2 * taps * (-(-first.side // self.kernel)) ** 2 * activation,
            "maps": taps * (-(-second.side // self.kernel)) ** 2 * second.channels * activation,
            "weights": self.weight_words.size * len(self.widths.bits_b),
            "biases": self.bias_words.size * self.bias_width,
            "partial sums": partial * self.cols * self.widths.sum_width(self.terms),
            "output": 2 * second.pooled**2 * second.outputs * width_of(0, requantisation.maximum),
        }

    # Clocks

    @property
    def tile_interval(self) -> int:
        """Clocks from one tile to the next, at least: its weights are loaded after the last element has swapped."""
        return FETCH + swap_time(self.lanes, self.cols) + self.lanes + 1

    @property
    def cycles_per_image(self) -> int:
        """Clocks from one image to the next where no stream stalls, once the first has come in."""
        computing = sum(layer.tiles * max(layer.positions, self.tile_interval) for layer in self.layers)
        last = self.layers[-1]
        return max(computing, self.image_side**2, last.outputs * last.pooled**2)

    @property
    def ideal_cycles(self) -> int:
        """The least clocks an array of this shape needs: one a position and tile, nothing else."""
        return sum(layer.tiles * layer.positions for layer in self.layers)

    @property
    def products(self) -> int:
        """Useful multiply-accumulates an image."""
        return sum(layer.positions * layer.channels * self.rows * layer.outputs for layer in self.layers)

    @property
    def utilisation(self) -> float:
        """`products` over elements' multipliers × clocks; all loading and draining is in the clocks."""
        return self.products / (self.rows * self.cols * self.cycles_per_image)

    @property
    def ideal_utilisation(self) -> float:
        """What the shape allows: output channels seldom fill all columns."""
        return self.products / (self.rows * self.cols * self.ideal_cycles)
