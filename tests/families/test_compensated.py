"""The compensation constant: fitted to operands, it minimises the mean square error."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amhw import Masked, ProductTable, Refusal
from amhw.errors import Errors
from amhw.families import Compensated
from amhw.operands import OperandDistribution


def squared_error(multiplier: Compensated, operands: OperandDistribution) -> float:
    return Errors.of(ProductTable.of(multiplier), operands).mse


@settings(max_examples=40, deadline=None)
@given(st.booleans(), st.booleans(), st.booleans(), st.integers(0, 2**32))
def test_no_neighbouring_constant_is_better(signed_a, signed_b, gated, seed):
    random = np.random.default_rng(seed)
    signs = {"signed_a": signed_a, "signed_b": signed_b}
    mask = Masked(rows=(*random.integers(0, 32, 3).tolist(), 31), width_a=4, width_b=5, **signs)
    operands = OperandDistribution.of_pairs(random.integers(0, 9, (16, 32)))
    fitted = Compensated.fit(mask, operands, gated=gated)
    best = squared_error(fitted, operands)
    for step in (-1, 1):
        try:
            other = Compensated(
                rows=mask.rows, constant=fitted.constant + step, gated=gated, width_a=4, width_b=5, **signs
            )
        except Refusal:
            continue
        assert squared_error(other, operands) >= best - 1e-9


def test_uniform_operands_give_a_quarter_of_what_is_dropped():
    """Schulte and Swartzlander: each dropped product is 1 in one of four pairs."""
    mask = Masked.columns(8, 8, 8)
    dropped = sum(1 << (i + j) for i in range(8) for j in range(8) if i + j < 8)
    fitted = Compensated.fit(mask, OperandDistribution.uniform(8, 8), gated=False)
    assert fitted.constant == round(dropped / 4)
    assert abs(Errors.of(ProductTable.of(fitted)).me) <= 0.5


@pytest.mark.parametrize("signs", [(False, False), (False, True), (True, True)])
@pytest.mark.parametrize("gated", [False, True])
def test_the_closed_form_is_the_fit_to_uniform_operands(signs, gated):
    for width_a, width_b in ((8, 8), (4, 6), (3, 2)):
        mask = Masked.columns(width_b, width_a, width_b, signed_a=signs[0], signed_b=signs[1])
        uniform = OperandDistribution.uniform(width_a, width_b)
        assert Compensated.centred(mask, gated=gated) == Compensated.fit(mask, uniform, gated=gated)
    wide = Compensated.centred(Masked.columns(32, 32, 32), gated=False)  # Σ (k + 1)·2^k = 31·2^32 + 1 is dropped
    assert wide.constant == 31 * 2**30


def test_the_gate_follows_the_pairs_without_zeros():
    mask = Masked.columns(8, 8, 8)
    uniform = OperandDistribution.uniform(8, 8)
    gated = Compensated.fit(mask, uniform)
    assert gated.gated and gated.zero_exception is None
    assert gated.constant == round(448.25 * (256 / 255) ** 2)
    assert not gated.golden(0, np.arange(256)).any()
    assert Compensated.fit(mask, uniform, gated=False).golden(0, 0) == 448


def test_operands_of_a_network_move_the_constant():
    mask = Masked.columns(8, 8, 8)
    small = OperandDistribution.of_histograms(np.arange(256, 0, -1) ** 4, np.ones(256))
    assert Compensated.fit(mask, small).constant < Compensated.fit(mask, OperandDistribution.uniform(8, 8)).constant


def test_what_does_not_fit_is_refused():
    mask = Masked.columns(8, 8, 8)
    with pytest.raises(Refusal, match="other widths"):
        Compensated.fit(mask, OperandDistribution.uniform(4, 4))
    with pytest.raises(Refusal, match="always 0"):
        Compensated.fit(mask, OperandDistribution.of_histograms([1] + 255 * [0], np.ones(256)))
    for constant in (-1, 1794):
        with pytest.raises(Refusal, match="0 to 1793"):
            Compensated(rows=mask.rows, constant=constant, width_a=8, width_b=8)
