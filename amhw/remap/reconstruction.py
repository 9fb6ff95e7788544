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

A convolution sees dozens of windows in an image, a linear layer one: thousands of images are no more than a few samples
for each of its features. Its moments are therefore drawn towards those in which taps are independent and each should
contribute what it contributes in the teacher, w_k·x_k: with ρ = ½,

    M ← (1 − ρ)·M + ρ·blockdiag(M),    c ← (1 − ρ)·c + ρ·(w_k·Cov(φ_k, x_k))_k,

as shrinkage of a covariance does (Ledoit and Wolf, "A well-conditioned estimator for large-dimensional covariance
matrices", 2004). All its outputs see the same inputs and share M, as those of a convolution without a max-pool do, with
the mean of the outputs' weights. With exact products a dead output need not have the value that is wanted, only stay
dead: least squares are repeated with targets that take over what is predicted there (`rectified`).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lu_factor, lu_solve

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
_NOTHING = 1e-12
"""A share of the targets' variance that is no more than what rounding leaves of constant activations."""
_AT_ONCE = 4096
_FEATURES_AT_ONCE = 48
_CLIPPING = np.linspace(0.2, 1.0, 17)
_MANY_CODES = 63
_DRAWN = 0.5
"""ρ: how far a linear layer's moments are drawn towards independent taps."""
_RECTIFIED = 4
"""Ten times as many repetitions lower the divergence of networks by another hundredth at most."""
_DIGITS = 9
"""Of a moment, in proportion to its matrix's greatest: what is left out depends on the order of additions."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Second moments of an output's features and target over weighted samples, for each output.

    Attributes:
        features: float64[out, K·R, K·R], Cov(φ); float64[1, K·R, K·R] where all outputs see the same samples.
        cross: float64[out, K·R], Cov(φ, t).
        target: float64[out], Var(t).
    """

    features: NDArray[np.float64]
    cross: NDArray[np.float64]
    target: NDArray[np.float64]

    @staticmethod
    def of(
        layer: QuantisedLayer, terms: Terms, codes: np.ndarray, targets: LayerTargets, real: np.ndarray | None = None
    ) -> "Moments":
        """The moments at the pooling's winners, where an error can be seen; without a pool at all places, with the mean
        of the outputs' weights.

        Args:
            layer: for geometry and input rounding; its weights are not read.
            codes: activation codes uint8[N, in, H, W]. Padding enters as the code 0, as in the multiplier, so that a
                border position contributes exactly what the hardware adds up there.
            targets: of the same images.
            real: the teacher's weights of a linear layer, float[out, in].
        """
        windows = im2col(layer, codes)
        if layer.is_linear:
            return _of_linear(terms, windows[:, 0, 0], targets, real)
        places = windows.shape[1] * windows.shape[2]
        windows = windows.reshape(-1, windows.shape[-1])
        sums = targets.sums.reshape(*targets.sums.shape[:2], -1)
        size = windows.shape[1] * terms.count
        samples = max(_WORK // size, _SAMPLES_A_FEATURE * size)
        chosen = np.random.default_rng(0).permutation(sums[:, 0].size)[:samples]
        image, place = np.divmod(chosen, sums.shape[2])
        first = image * places
        if targets.winners is None:
            weights = None if targets.weights is None else targets.weights.mean(axis=1)[image, place]
            wanted = np.ascontiguousarray(sums[image, :, place].T)
            m, cross, variance = _moments(np.take(windows, first + place, axis=0), terms.u, wanted, weights)
            return Moments(m[None], cross, variance)
        features, crosses, variances = [], [], []
        for output in range(layer.outputs):
            inputs = np.take(windows, first + targets.winners[image, output, place], axis=0)
            weights = None if targets.weights is None else targets.weights[image, output, place]
            m, cross, variance = _moments(inputs, terms.u, sums[image, output, place][None], weights)
            features.append(m)
            crosses.append(cross)
            variances.append(variance)
        return Moments(np.array(features), np.concatenate(crosses), np.concatenate(variances))

    @cached_property
    def damped(self) -> NDArray[np.float64]:
        """Cov(φ) plus a little: taps that hardly vary in these images must not take any code whatever."""
        size = self.features.shape[1]
        trace = np.trace(self.features, axis1=1, axis2=2) / size + 1e-12
        return self.features + np.eye(size) * (_DAMPING * trace)[:, None, None]

    @cached_property
    def solution(self) -> NDArray[np.float64]:
        """The least-squares solution M⁻¹c, float64[out, K·R]."""
        if len(self.features) == 1:
            return np.asarray(np.linalg.solve(self.damped[0], self.cross.T).T)
        return np.asarray(np.linalg.solve(self.damped, self.cross[..., None])[..., 0])


def moments_bytes(layer: QuantisedLayer, terms: int, pooled: bool) -> int:
    """What a layer's `Moments.features` take, for tables of so many terms."""
    return 8 * (layer.outputs if pooled else 1) * (layer.matrix.shape[1] * terms) ** 2


def shares(targets: LayerTargets) -> NDArray[np.float64]:
    """The shares of a linear layer's images, which add up to 1."""
    weights = np.ones(len(targets.sums)) if targets.weights is None else targets.weights.astype(np.float64)
    return np.asarray(weights / weights.sum())


def limited(wanted: NDArray[np.floating], found: NDArray[np.floating], highest: float) -> NDArray[np.float64]:
    """What is nearest to `found` and looks like `wanted` behind a ReLU with this ceiling.

    >>> limited(np.array([-1.0, -1.0, 2.0, 7.0]), np.array([-3.0, 0.5, 1.0, 6.5]), 6.0).tolist()
    [-3.0, 0.0, 2.0, 6.5]
    """
    below = np.where(wanted > 0, wanted, np.minimum(found, 0))
    return np.where(wanted < highest, below, np.maximum(found, highest))


def rectified(
    moments: Moments, layer: QuantisedLayer, terms: Terms, codes: np.ndarray, targets: LayerTargets
) -> tuple[Moments, NDArray[np.float64]]:
    """The moments of a linear layer for targets that its ReLU cannot tell from those that there are, and their means.

    The variance is still that of the targets as they are.

    In turn, the least-squares solution for the targets, and as targets those nearest to what it gives. (Zhang, Zou, He
    and Sun, "Accelerating very deep convolutional networks for classification and detection", TPAMI 2016, who
    reconstruct responses through the ReLU.)

    Args:
        moments: of the same layer, terms, codes and targets.
    """
    share, wanted = shares(targets), targets.sums.astype(np.float64)
    ceiling = np.inf if layer.layer.ceiling is None else layer.layer.ceiling
    phi = _taken(terms.u, im2col(layer, codes)[:, 0, 0]).astype(np.float64)
    phi -= share @ phi
    weighted = (phi * share[:, None]).T
    factors = lu_factor(moments.damped[0], check_finite=False)
    cross, means = moments.cross, share @ wanted
    for _ in range(_RECTIFIED):
        solution = lu_solve(factors, cross.T, check_finite=False)
        seen = limited(wanted, phi @ solution + means, ceiling)
        means = share @ seen
        cross = _steady(moments.cross + (1 - _DRAWN) * (weighted @ (seen - wanted)).T)
    return Moments(moments.features, cross, moments.target), means


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
    ideal = _steady(moments.solution)
    solution = ideal.reshape(outputs, taps, -1)
    blocks = _own_blocks(matrix, taps)
    contributed = _times(solution, blocks, solution)
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


def exact_codes(moments: Moments, greatest: int) -> tuple[NDArray[np.int8], float]:
    """Weight codes −greatest…greatest for exact products, int8[out, K], and the unit s: the one of a grid with the
    least error of rounding the least-squares solution, from which the descent starts.

    Args:
        moments: of features that are the activations' values.
    """
    ideal, matrix = _steady(moments.solution), moments.damped
    if (moments.cross * ideal).sum() <= _NOTHING * moments.target.sum():
        # Activations that never change can take up nothing; the unit is then for the bias alone.
        return np.zeros(ideal.shape, np.int8), float(np.sqrt(moments.target.mean())) / greatest or 1.0

    def rounded(unit: float) -> NDArray[np.float64]:
        return np.clip(np.rint(ideal / unit), -greatest, greatest)

    def error(unit: float) -> float:
        wrong = (rounded(unit) * unit - ideal)[:, None]
        return float(((wrong @ matrix) * wrong).sum())

    largest = float(np.abs(ideal).max()) or 1.0
    unit = min((largest * share / greatest for share in _CLIPPING), key=error)
    if greatest >= _MANY_CODES:  # what rounding loses then is not worth a search
        return rounded(unit).astype(np.int8), unit
    v = np.arange(-greatest, greatest + 1, dtype=np.float64)[:, None]
    start = (rounded(unit) + greatest).astype(np.int64)[:, None]
    columns = _descend(matrix, moments.cross[:, None] / unit, v, start)[:, 0]
    return (columns - greatest).astype(np.int8), unit


def _moments(
    inputs: np.ndarray, u: np.ndarray, targets: np.ndarray, weights: np.ndarray | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Weighted Cov(φ), Cov(φ, t) and Var(t) of each of targets float32[T, S], for inputs uint8[S, K]."""
    size = inputs.shape[1] * u.shape[1]
    share = np.ones(len(inputs), np.float32) if weights is None else weights.astype(np.float32)
    share = share / share.sum(dtype=np.float64)
    # Centred near the mean, or float32 would lose the small differences.
    centre = _taken(u, inputs[:: max(1, len(inputs) // 1000)]).mean(axis=0)
    middles = targets.mean(axis=1)[:, None]
    m, s, c = np.zeros((size, size)), np.zeros(size), np.zeros((len(targets), size))
    for start in range(0, len(inputs), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        root = np.sqrt(share[part]).astype(np.float32)
        phi = _taken(u, inputs[part])
        phi -= centre
        phi *= root[:, None]
        m += phi.T @ phi  # a matrix times its own transpose costs BLAS half
        s += root @ phi
        c += ((targets[:, part] - middles).astype(np.float32) * root) @ phi
    deviations = targets.astype(np.float64) - middles
    means = deviations @ share
    return m - np.outer(s, s), c - means[:, None] * s, deviations**2 @ share - means**2


def _of_linear(terms: Terms, inputs: np.ndarray, targets: LayerTargets, real: np.ndarray | None) -> Moments:
    """The moments of a linear layer for inputs uint8[N, K]."""
    assert targets.inputs is not None and real is not None
    samples, taps = inputs.shape
    share = shares(targets)
    root = np.sqrt(share)[:, None]

    def centred(values: np.ndarray) -> np.ndarray:
        """Times the root of each sample's share, so that sums of products are covariances."""
        return np.asarray((values - share @ values) * root)

    phi, wanted, entering = (
        centred(each.astype(np.float64)) for each in (_taken(terms.u, inputs), targets.sums, targets.inputs)
    )
    weights = real.astype(np.float64)
    m, c = phi.T @ phi, wanted.T @ phi
    own = np.zeros_like(m)
    for k in range(taps):
        block = slice(k * terms.count, (k + 1) * terms.count)
        own[block, block] = m[block, block]
    each = (phi.reshape(samples, taps, -1) * entering[..., None]).sum(axis=0)  # Cov(φ_k, x_k), [K, R]
    alone = (weights[..., None] * each).reshape(len(weights), -1)
    drawn = _DRAWN
    variance = (1 - drawn) * (wanted**2).sum(axis=0) + drawn * (weights**2 @ (entering**2).sum(axis=0))
    features, cross = ((1 - drawn) * one + drawn * other for one, other in ((m, own), (c, alone)))
    return Moments(_steady(features)[None], _steady(cross), _steady(variance))


def _taken(u: np.ndarray, inputs: np.ndarray) -> NDArray[np.float32]:
    """Features float32[S, K·R] of inputs uint8[S, K]; `take` is several times as fast as u[inputs]."""
    return np.take(u, inputs, axis=0, mode="clip").reshape(len(inputs), -1)


def _nearest(matrix: NDArray[np.float64], wanted: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.int64]:
    """The column nearest to each tap's wanted vector [out, S, K, R] in that tap's own covariance; [out, S, K]."""
    blocks = _own_blocks(matrix, wanted.shape[2])
    square = np.einsum("di,okij,dj->okd", v, blocks, v, optimize=True)
    linear = (wanted[..., None, :] @ blocks[:, None])[..., 0, :] @ v.T
    return np.asarray((square[:, None] - 2 * linear).argmin(axis=-1))


def _times(left: NDArray[np.float64], blocks: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """x_kᵀ·B_k·y_k for vectors [out, K, R] and matrices [out, K, R, R], or [1, K, R, R] for all outputs."""
    return np.asarray(((left[..., None, :] @ blocks)[..., 0, :] * right).sum(axis=-1))


def _steady(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values without the digits that depend on the order of additions."""
    greatest = float(np.abs(values).max(initial=0))
    if greatest == 0:
        return values
    step = 2.0 ** np.floor(np.log2(greatest) - _DIGITS * np.log2(10))
    return np.asarray(np.rint(values / step) * step)


def _own_blocks(matrix: NDArray[np.float64], taps: int) -> NDArray[np.float64]:
    """Each tap's covariance with itself, [out, K, R, R]."""
    terms = matrix.shape[1] // taps
    return np.stack([matrix[:, k : k + terms, k : k + terms] for k in range(0, taps * terms, terms)], axis=1)


def _descend(
    matrix: NDArray[np.float64], cross: NDArray[np.float64], v: NDArray[np.float64], start: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Coordinate descent of vᵀMv − 2vᵀc over columns [out, S, K]."""
    if len(matrix) == 1 and len(start) > 1:  # what has one matrix is one problem with many starts
        taps, size = start.shape[2], cross.shape[2]
        return _descend(matrix, cross.reshape(1, -1, size), v, start.reshape(1, -1, taps)).reshape(start.shape)
    found, starts = start.copy(), np.arange(start.shape[1])
    columns = start.copy()
    terms, taps = v.shape[1], start.shape[2]
    chosen = v[columns].reshape(*columns.shape[:2], -1)
    gradient = chosen @ matrix - cross
    blocks = [slice(k * terms, (k + 1) * terms) for k in range(taps)]
    squares = [np.sum((v @ matrix[:, block, block]) * v, axis=-1) for block in blocks]  # vᵀMv of every column, [out, D]
    at_once = max(1, _FEATURES_AT_ONCE // terms)
    for _ in range(_SWEEPS):
        moved = np.zeros(columns.shape[:2], dtype=bool)
        rows = np.arange(moved.size)
        for first in range(0, taps, at_once):
            # The gradient of the other taps is brought up to date once for all of these: it does not fit the caches.
            group = slice(first * terms, min(first + at_once, taps) * terms)
            own_gradient, before_group = gradient[:, :, group].copy(), chosen[:, :, group].copy()
            for k in range(first, min(first + at_once, taps)):
                block, square = blocks[k], squares[k]
                inside = slice(block.start - group.start, block.stop - group.start)
                now = chosen[:, :, block]
                cost = 2 * (own_gradient[:, :, inside] - now @ matrix[:, block, block]) @ v.T + square[:, None]
                flat, best = cost.reshape(-1, cost.shape[-1]), cost.argmin(axis=-1)
                gained = flat[rows, columns[:, :, k].ravel()] - flat[rows, best.ravel()]
                better = gained.reshape(best.shape) > 1e-9 * np.abs(square).max()
                if better.any():
                    best = np.where(better, best, columns[:, :, k])
                    step = v[best] - now
                    own_gradient += step @ matrix[:, block, group]
                    chosen[:, :, block] += step
                    columns[:, :, k] = best
                    moved |= better
            change = chosen[:, :, group] - before_group
            if change.any():
                gradient += change @ matrix[:, group, :]
        found[:, starts] = columns
        going = moved.any(axis=0)  # what a sweep does not move, the next one would not move either
        if not going.any():
            break
        if not going.all():
            starts, columns = starts[going], columns[:, going]
            chosen, gradient = chosen[:, going], gradient[:, going]
    return found
