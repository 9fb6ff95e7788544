"""What a layer really multiplies, and the error of any mask as a closed form.

For output o of a layer and a window x of activations, partial product (i, j) contributes in all

    S_ij(x) = w_a(i)·w_b(j)·Σ_k a_k,i(x)·b_ok,j

to the sum, where a_k,i is bit i of the k-th activation and b_ok,j bit j of its weight. A mask that drops the set D is
wrong by e = −Σ_D S_ij. The mean of e over windows belongs into the bias of that output; what is left has the variance

    Var(e) = dᵀ C d,    C = mean over outputs of Cov(S),    d_ij = 1 where (i, j) is dropped,

so one 64 × 64 matrix ranks every mask without running the network. Windows are those of training images at real
positions: where a window hangs over the border its padded activations are 0 in S as they are in hardware, so the
constant that is folded into the bias is right for the mixture of inner and border positions, and what it leaves at
either is part of the variance.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from amhw.families.masked import Masked
from amhw.network.inference import Inference
from amhw.network.operands import distribution, some_windows
from amhw.network.quantised import QuantisedLayer, QuantisedNetwork
from amhw.operands import OperandDistribution
from amhw.table import code_values


@dataclass(frozen=True, eq=False)
class LayerStatistics:
    """Operands and partial-product contributions of one layer.

    Attributes:
        operands: how often activation and weight codes meet, padding included.
        covariance: float64[wa·wb, wa·wb], C; index i·wb + j.
        means: float64[out, wa·wb], E[S] for each output.
    """

    name: str
    width_a: int
    width_b: int
    operands: OperandDistribution
    covariance: NDArray[np.float64]
    means: NDArray[np.float64]

    @staticmethod
    def of(layer: QuantisedLayer, codes: np.ndarray) -> "LayerStatistics":
        """Statistics of `layer` fed with activation codes uint8[N, in, H, W] (or [N, in]).

        Raises:
            Refusal: it is a convolution in groups.
        """
        layer.check_one_group("a selection")
        windows = some_windows(layer, codes)
        width_a, width_b = layer.operands.activation_width, layer.operands.weight_width
        weights = layer.weight_codes.astype(np.int64)  # [out, K]
        worth_a = code_values(width_a, layer.operands.activation_signed)[1 << np.arange(width_a)]
        worth_b = code_values(width_b, True)[1 << np.arange(width_b)]
        bits_b = (weights[:, :, None] >> np.arange(width_b) & 1) * worth_b  # [out, K, wb]
        products = width_a * width_b
        sums = np.zeros((layer.outputs, len(windows), products), np.float32)
        for i in range(width_a):
            bits_a = (windows >> i & 1).astype(np.float32) * float(worth_a[i])
            for o in range(layer.outputs):
                sums[o, :, i * width_b : (i + 1) * width_b] = bits_a @ bits_b[o].astype(np.float32)
        means = sums.mean(axis=1, dtype=np.float64)
        covariance = np.zeros((products, products))
        for o in range(layer.outputs):
            centred = sums[o] - means[o].astype(np.float32)
            covariance += (centred.T @ centred).astype(np.float64) / len(windows)
        return LayerStatistics(
            layer.name,
            width_a,
            width_b,
            distribution(layer, windows),
            covariance / layer.outputs,
            means,
        )

    @cached_property
    def signal(self) -> float:
        """Variance of the exact sums."""
        return float(self.covariance.sum())

    def mean_errors(self, mask: Masked) -> NDArray[np.float64]:
        """E[e] of each output, float64[out]: what the bias has to take up with its sign changed."""
        return -self.means @ dropped([mask])[0].astype(np.float64)

    def variance(self, mask: Masked) -> float:
        """Var(e), averaged over outputs."""
        d = dropped([mask])[0].astype(np.float64)
        return float(d @ self.covariance @ d)


@dataclass(frozen=True, eq=False)
class MaskRanking:
    """The predicted relative error of masks that serve several layers.

    The score of a mask is √(Σ over layers of Var(e)/Var(exact sum)), a quadratic form in the mask like each term.
    """

    layers: tuple[LayerStatistics, ...]

    @staticmethod
    def of(network: QuantisedNetwork, images: np.ndarray, names: Sequence[str] | None = None) -> "MaskRanking":
        """For the layers `names` (default: all convolutions) of `network` on training images uint8[N, C, H, W]."""
        wanted = network.convolutions if names is None else tuple(names)
        entering = Inference(network).inputs(images, wanted)
        return MaskRanking(tuple(LayerStatistics.of(network[name], entering[name]) for name in wanted))

    @cached_property
    def form(self) -> NDArray[np.float64]:
        """The matrix of the quadratic form."""
        return np.sum([layer.covariance / max(layer.signal, 1e-30) for layer in self.layers], axis=0)

    @cached_property
    def _root(self) -> NDArray[np.float32]:
        """R with form = R·Rᵀ."""
        values, vectors = np.linalg.eigh(self.form)
        return (vectors * np.sqrt(np.maximum(values, 0))).astype(np.float32)

    def scores(self, drops: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Scores float32[N] of masks given by what they drop, bool[N, wa·wb]. 0 for the exact multiplier."""
        return np.linalg.norm(drops.astype(np.float32) @ self._root, axis=1)

    def score(self, mask: Masked) -> float:
        """The score of one mask."""
        return float(self.scores(dropped([mask]))[0])


def dropped(masks: Iterable[Masked]) -> NDArray[np.bool_]:
    """Which partial products masks drop: bool[N, wa·wb], index i·wb + j.

    >>> dropped([Masked.exact(8, 8)]).any().item()
    False
    """
    rows = [[[not row >> j & 1 for j in range(mask.width_b)] for row in mask.rows] for mask in masks]
    return np.array(rows, dtype=bool).reshape(len(rows), -1)


def greedy(form: NDArray[np.float64], kept: int) -> NDArray[np.bool_]:
    """The mask with `kept` products found from both ends: dropping from all, adding to none, then exchanging.

    Each step takes the product whose loss (or gain) in dᵀ·form·d is best; afterwards pairs of a kept and a dropped
    product change places while that lowers the error. The better of the two results is returned as what is dropped.
    """
    size = len(form)
    candidates = []
    for start in (np.zeros(size), np.ones(size)):
        d = start.copy()
        add = bool(start[0])
        while int(size - d.sum()) != kept:
            # Change of dᵀFd when entry p flips by ±1: ±2(Fd)_p + F_pp.
            change = (-2 if add else 2) * (form @ d) + np.diag(form)
            change[d == (0 if add else 1)] = np.inf
            d[int(change.argmin())] = 0 if add else 1
        candidates.append(_exchange(form, d))
    return min(candidates, key=lambda d: float(d @ form @ d)).astype(bool)


def _exchange(form: NDArray[np.float64], d: NDArray[np.float64]) -> NDArray[np.float64]:
    """Swap one dropped and one kept product while that lowers dᵀFd."""
    d = d.copy()
    diagonal = np.diag(form)
    while True:
        slope = form @ d
        out, into = np.flatnonzero(d == 1), np.flatnonzero(d == 0)
        if not len(out) or not len(into):
            return d
        change = (diagonal - 2 * slope)[out][:, None] + (diagonal + 2 * slope)[into][None] - 2 * form[np.ix_(out, into)]
        p, q = np.unravel_index(change.argmin(), change.shape)
        if change[p, q] >= -1e-12 * max(1.0, float(np.abs(form).max())):
            return d
        d[out[p]], d[into[q]] = 0, 1
