"""Which weight codes make an approximate layer compute what the exact one should.

For one output, with codes w_k, activations a_k(x) at sample x and T[a, w] = Σ_r u_r[a]·v_r[w] (`amhw.remap.terms`),
the layer's sum is linear in the v's:

    y(x) = s·Σ_k Σ_r u_r[a_k(x)]·v_r[w_k] + bias = s·φ(x)·v(w) + bias

so that, with M = Cov(φ), c = Cov(φ, t) over weighted samples x and t the wanted pre-activation, the bias that is best
for given codes leaves

    E[(y − t)²] = s²·vᵀMv − 2s·vᵀc + Var(t).

Nothing about single weights remains: whatever one code cannot express, the codes of the other K − 1 taps may take over,
and errors of earlier layers, which are in φ but not in t, are compensated as far as they correlate. The minimum over
codes is searched by coordinate descent, each step exact over all distinct table columns, from the codes that are
nearest to the least-squares solution v = M⁻¹c/s tap by tap. Several units s are tried at once.

This is layer-wise reconstruction as in Nagel et al., "Up or down? Adaptive rounding for post-training quantization",
ICML 2020, and Frantar et al., "GPTQ", ICLR 2023, with a product table in place of rounding; only second moments of the
training images enter. Cost: O(sweeps · outputs · units · K · (K·R + D·R²)).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amhw.network.inference import im2col
from amhw.network.quantised import QuantisedLayer
from amhw.remap.teacher import LayerTargets
from amhw.remap.terms import Terms

_DAMPING = 1e-3
_SWEEPS = 40
_WORK = 5_400_000
_SAMPLES_A_FEATURE = 12
"""Windows an output's moments are taken from: `_WORK` over the number of features, so that more features do not cost
more than in proportion, but never fewer than `_SAMPLES_A_FEATURE` for each (their weights make them worth fewer)."""
_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class Moments:
    """Second moments of an output's features and target over weighted samples, for each output.

    Attributes:
        features: float64[out, K·R, K·R], Cov(φ).
        cross: float64[out, K·R], Cov(φ, t).
        target: float64[out], Var(t).
    """

    features: NDArray[np.float64]
    cross: NDArray[np.float64]
    target: NDArray[np.float64]

    @staticmethod
    def of(layer: QuantisedLayer, terms: Terms, codes: np.ndarray, targets: LayerTargets) -> "Moments":
        """The moments at the pooling's winners, where an error can be seen.

        Args:
            layer: for geometry and input rounding; its weights are not read.
            codes: activation codes uint8[N, in, H, W]. Padding enters as the code 0, as in the multiplier, so that a
                border position contributes exactly what the hardware adds up there.
            targets: of the same images.
        """
        assert targets.winners is not None
        windows = im2col(layer, codes)
        windows = windows.reshape(len(windows), -1, windows.shape[-1])
        sums = targets.sums.reshape(*targets.winners.shape)
        size = windows.shape[2] * terms.count
        samples = max(_WORK // size, _SAMPLES_A_FEATURE * size)
        chosen = np.random.default_rng(0).permutation(sums[:, 0].size)[:samples]
        image, place = np.divmod(chosen, sums.shape[2])
        features, cross, variance = [], [], []
        for output in range(layer.outputs):
            inputs = windows[image, targets.winners[image, output, place]]
            weights = None if targets.weights is None else targets.weights[image, output, place]
            m, c, v = _moments(inputs, terms.u, sums[image, output, place], weights)
            features.append(m)
            cross.append(c)
            variance.append(v)
        return Moments(np.array(features), np.array(cross), np.array(variance))

    @property
    def damped(self) -> NDArray[np.float64]:
        """Cov(φ) plus a little: taps that hardly vary in these images must not take any code whatever."""
        size = self.features.shape[1]
        trace = np.trace(self.features, axis1=1, axis2=2) / size + 1e-12
        return self.features + np.eye(size) * (_DAMPING * trace)[:, None, None]


@dataclass(frozen=True, eq=False)
class Remapped:
    """Codes of every output for every unit tried.

    Attributes:
        units: float64[S], the real value s of one step of the sum.
        codes: int64[S, out, K], table column codes (two's complement).
        errors: float64[S, out], E[(y − t)²] with the best bias.
    """

    units: NDArray[np.float64]
    codes: NDArray[np.int64]
    errors: NDArray[np.float64]


def remap(moments: Moments, terms: Terms, units: int = 14, reach: tuple[float, float] = (0.25, 2.0)) -> Remapped:
    """Choose the codes of every output for a geometric grid of units.

    Args:
        units: how many.
        reach: the grid's ends, as fractions of the unit in which the greatest column just expresses the largest taps
            (98th percentile) of the least-squares solution; a tap's or column's size is the standard deviation of
            what it contributes, so that a term which hardly contributes has no say.
    """
    matrix = moments.damped
    outputs, size = moments.cross.shape
    taps = size // terms.count
    ideal = np.linalg.solve(matrix, moments.cross[..., None])[..., 0]
    solution = ideal.reshape(outputs, taps, -1)
    blocks = _own_blocks(matrix, taps)
    contributed = np.einsum("okr,okrq,okq->ok", solution, blocks, solution)
    greatest = np.einsum("di,okij,dj->okd", terms.v, blocks, terms.v, optimize=True).max(axis=2)
    relative = np.sqrt(contributed / np.where(greatest > 0, greatest, np.inf))
    full = float(np.percentile(relative, 98)) or 1.0
    grid = np.geomspace(reach[0], reach[1], units) * full
    wanted = ideal[:, None] / grid[None, :, None]
    start = _nearest(matrix, wanted.reshape(outputs, units, taps, -1), terms.v)
    columns = _descend(matrix, moments.cross[:, None] / grid[None, :, None], terms.v, start)
    chosen = terms.v[columns].reshape(outputs, units, size) * grid[:, None]
    # The error proper, without what damping adds.
    quadratic = np.sum((chosen @ moments.features) * chosen, axis=-1)
    linear = np.sum(chosen * moments.cross[:, None], axis=-1)
    errors = quadratic - 2 * linear + moments.target[:, None]
    return Remapped(grid, terms.codes[columns].transpose(1, 0, 2), np.maximum(errors, 0).T)


def _moments(
    inputs: np.ndarray, u: np.ndarray, target: np.ndarray, weights: np.ndarray | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Weighted Cov(φ), Cov(φ, t), Var(t) for inputs uint8[S, K]."""
    size = inputs.shape[1] * u.shape[1]
    share = np.ones(len(inputs), np.float32) if weights is None else weights.astype(np.float32)
    share = share / share.sum(dtype=np.float64)
    # Centred near the mean, or float32 would lose the small differences.
    centre = _taken(u, inputs[:: max(1, len(inputs) // 1000)]).mean(axis=0)
    middle = float(target.mean())
    m, s, c = np.zeros((size, size)), np.zeros(size), np.zeros(size)
    for start in range(0, len(inputs), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        root = np.sqrt(share[part]).astype(np.float32)
        phi = _taken(u, inputs[part])
        phi -= centre
        phi *= root[:, None]
        m += phi.T @ phi  # a matrix times its own transpose costs BLAS half
        s += root @ phi
        c += ((target[part] - middle).astype(np.float32) * root) @ phi
    deviation = target.astype(np.float64) - middle
    mean = float(share @ deviation)
    return m - np.outer(s, s), c - mean * s, float(share @ deviation**2) - mean**2


def _taken(u: np.ndarray, inputs: np.ndarray) -> NDArray[np.float32]:
    """Features float32[S, K·R] of inputs uint8[S, K]; `take` is several times as fast as u[inputs]."""
    return np.take(u, inputs, axis=0, mode="clip").reshape(len(inputs), -1)


def _nearest(matrix: NDArray[np.float64], wanted: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.int64]:
    """The column nearest to each tap's wanted vector [out, S, K, R] in that tap's own covariance; [out, S, K]."""
    blocks = _own_blocks(matrix, wanted.shape[2])
    square = np.einsum("di,okij,dj->okd", v, blocks, v, optimize=True)
    linear = np.einsum("oskr,okrq->oskq", wanted, blocks, optimize=True) @ v.T
    return np.asarray((square[:, None] - 2 * linear).argmin(axis=-1))


def _own_blocks(matrix: NDArray[np.float64], taps: int) -> NDArray[np.float64]:
    """Each tap's covariance with itself, [out, K, R, R]."""
    terms = matrix.shape[1] // taps
    return np.stack([matrix[:, k : k + terms, k : k + terms] for k in range(0, taps * terms, terms)], axis=1)


def _descend(
    matrix: NDArray[np.float64], cross: NDArray[np.float64], v: NDArray[np.float64], start: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Coordinate descent of vᵀMv − 2vᵀc over columns [out, S, K]."""
    columns = start.copy()
    terms = v.shape[1]
    chosen = v[columns].reshape(*columns.shape[:2], -1)
    gradient = chosen @ matrix - cross
    blocks = [slice(k * terms, (k + 1) * terms) for k in range(columns.shape[2])]
    squares = [np.sum((v @ matrix[:, block, block]) * v, axis=-1) for block in blocks]  # vᵀMv of every column, [out, D]
    for _ in range(_SWEEPS):
        moved = False
        for k, (block, square) in enumerate(zip(blocks, squares, strict=True)):
            own = matrix[:, block, block]
            now = chosen[:, :, block]
            cost = 2 * (gradient[:, :, block] - now @ own) @ v.T + square[:, None]
            best = cost.argmin(axis=-1)
            before = np.take_along_axis(cost, columns[:, :, k, None], axis=-1)[..., 0]
            after = np.take_along_axis(cost, best[..., None], axis=-1)[..., 0]
            better = before - after > 1e-9 * np.abs(square).max()
            if better.any():
                best = np.where(better, best, columns[:, :, k])
                step = v[best] - now
                gradient += step @ matrix[:, block, :]
                chosen[:, :, block] += step
                columns[:, :, k] = best
                moved = True
        if not moved:
            break
    return columns
