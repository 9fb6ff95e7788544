"""The closed form against what masks really do to a layer's sums, the border included."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from amhw import Masked, ProductTable
from amhw.datasets import mnist_slice
from amhw.network.inference import LayerSums
from amhw.network.models.lenet5 import network
from amhw.network.quantised import Operands
from amhw.select.space import Space
from amhw.select.statistics import LayerStatistics, MaskRanking, dropped, greedy


@pytest.fixture(scope="module")
def images():
    return mnist_slice().images[:20]


@pytest.fixture(scope="module")
def ranking(images):
    return MaskRanking.of(network(), images)


def errors_of(layer, mask, codes):
    """Approximate minus exact sums [N, out, H', W'] of a layer without bias."""
    bare = replace(layer, bias=np.zeros(layer.outputs))
    codes = torch.from_numpy(codes)
    return (LayerSums(bare, ProductTable.of(mask))(codes) - LayerSums(bare)(codes)).numpy()


@pytest.mark.parametrize("text", ["0,0,0,0,0,c0,e0,e0", "ff,ff,ff,ff,ff,ff,ff,fe", "columns>=9", "0,0,0,0,0,0,0,80"])
def test_mean_and_variance_of_any_mask_are_those_of_its_sums(text, images):
    """All windows of conv1 (padded), so that nothing is sampled: the agreement is to rounding."""
    layer = network().layers[0]
    codes = layer.operands.codes_of(images)
    statistics = LayerStatistics.of(layer, codes)
    mask = Masked.from_text(text, 8, 8, signed_b=True)
    error = errors_of(layer, mask, codes).transpose(1, 0, 2, 3).reshape(layer.outputs, -1)
    assert statistics.mean_errors(mask) == pytest.approx(error.mean(axis=1), rel=1e-4, abs=1)
    assert statistics.variance(mask) == pytest.approx(error.var(axis=1).mean(), rel=1e-3)


def test_the_border_is_where_products_are_zero(images):
    """A window that hangs over the border has fewer real operands, and the statistics know it."""
    layer = network().layers[0]
    white = np.full((1, 1, 28, 28), 255, np.uint8)
    statistics = LayerStatistics.of(layer, white)
    assert statistics.operands.probabilities_a[0] == pytest.approx(1 - _real_share(28, 5, 2), rel=1e-9)
    assert statistics.operands.probabilities_a[255] == pytest.approx(_real_share(28, 5, 2), rel=1e-9)


def _real_share(side, kernel, padding):
    inside = sum(1 for at in range(side) for tap in range(kernel) if 0 <= at + tap - padding < side)
    return (inside / (side * kernel)) ** 2


def test_the_exact_multiplier_scores_zero_and_dropping_all_scores_one_a_layer(ranking):
    assert ranking.score(Masked.exact(8, 8, signed_b=True)) == 0
    nothing = np.ones((1, 64), bool)
    assert ranking.scores(nothing)[0] == pytest.approx(np.sqrt(len(ranking.layers)), rel=1e-3)


def test_scores_of_many_masks_are_those_of_each(ranking):
    drops = np.random.default_rng(1).random((50, 64)) < 0.4
    one_by_one = [np.sqrt(drop @ ranking.form @ drop) for drop in drops.astype(float)]
    assert ranking.scores(drops) == pytest.approx(one_by_one, rel=1e-3)


@pytest.mark.parametrize("kept", [1, 6, 20, 63])
def test_greedy_keeps_as_many_as_asked_and_no_exchange_helps(ranking, kept):
    drop = greedy(ranking.form, kept)
    assert (~drop).sum() == kept
    now = drop @ ranking.form @ drop.astype(float)
    for out in np.flatnonzero(drop):
        for into in np.flatnonzero(~drop):
            other = drop.astype(float)
            other[[out, into]] = 0, 1
            assert other @ ranking.form @ other >= now * (1 - 1e-9)


def test_a_mask_and_what_it_drops_are_one():
    for operands in (Operands(), Operands(activation_signed=True), Operands(5, 3)):
        exact = Space(operands).exact()
        kept = np.random.default_rng(3).random(exact.width_a * exact.width_b) < 0.5
        mask = Space(operands).without(~kept)
        assert dropped([mask])[0].tolist() == (~kept).tolist()
        assert (mask.signed_a, mask.width_a, mask.width_b) == (exact.signed_a, exact.width_a, exact.width_b)
