"""Published error figures and another generator's circuits: oracles outside this project."""

import io
import warnings

import numpy as np
import pytest

from amhw import Masked, Multiplier, ProductTable
from amhw.circuit import Circuit
from amhw.errors import Errors
from amhw.families import (
    Booth,
    Compressed,
    Drum,
    Kulkarni,
    LowerOr,
    Mitchell,
    Roba,
    SignMagnitude,
    broken_array,
    perforated,
)


def errors_of(multiplier: Multiplier) -> Errors:
    return Errors.of(ProductTable.of(multiplier))


def signed(core: Multiplier, negation: str = "true") -> Multiplier:
    return SignMagnitude(core=core, signed_a=True, signed_b=True, negation=negation)


def mean_and_worst_of_separable(factor: np.ndarray) -> tuple[float, float]:
    """Mean and maximum of |f_i·f_j − 1| over all pairs, by sorting instead of by trying all pairs."""
    factor = np.sort(factor)
    sums = np.concatenate([[0.0], np.cumsum(factor)])
    total = 0.0
    for f in factor:
        below = np.searchsorted(factor, 1 / f)
        total += f * (sums[-1] - 2 * sums[below]) - (len(factor) - 2 * below)
    worst = max(factor[-1] ** 2 - 1, 1 - factor[0] ** 2)
    return total / len(factor) ** 2, worst


@pytest.mark.parametrize(
    ("core", "negation", "med", "mred_percent", "wce"),
    [
        (Mitchell(bits=6, width_a=8, width_b=8), "ones", 245.7, 7.49, 1412),
        (Mitchell(bits=6, unbias=True, width_a=8, width_b=8), "ones", 171.9, 5.57, 1408),
        (Mitchell(bits=8, width_a=8, width_b=8), "true", 151.3, 3.70, 1024),
    ],
    ids=["Mitch-6", "Mitch-6 unbiased", "Mitchell"],
)
def test_mitchell_of_kim_and_others_2019(core, negation, med, mred_percent, wce):
    """N = 8. Their w counts the leading one; their MED is over all pairs, their MRED over non-zero products."""
    errors = errors_of(signed(core, negation))
    assert round(errors.mae, 1) == med
    assert round(100 * errors.mred, 2) == mred_percent
    assert errors.wce == wce


def test_mitchell_errs_by_a_ninth_at_most():
    """Mitchell, 1962: the product is never too large and at most 11.1 % too small."""
    errors = errors_of(Mitchell(bits=10, width_a=10, width_b=10))
    assert 0.1105 < errors.wcre <= 1 / 9
    assert errors.me == -errors.mae
    assert round(100 * errors_of(Mitchell(bits=12, width_a=12, width_b=12)).mred, 1) == 3.8


@pytest.mark.parametrize(("bits", "mean_percent"), [(3, 11.90), (4, 5.89), (5, 2.94), (6, 1.47), (7, 0.73), (8, 0.37)])
def test_drum_of_hashemi_and_others_2015(bits, mean_percent):
    """16-bit operands: their table of mean absolute relative errors; the worst is (1 + 2^(1−k))² − 1."""
    operand = np.arange(1, 1 << 16)
    factor = Drum(bits=bits, width_a=16, width_b=16).golden(operand, 1) / operand
    mean, worst = mean_and_worst_of_separable(factor)
    assert abs(100 * mean - mean_percent) < 0.01
    assert worst == pytest.approx((1 + 2 ** (1 - bits)) ** 2 - 1)


def test_drum_is_all_but_unbiased():
    errors = errors_of(Drum(bits=4, width_a=8, width_b=8))
    assert abs(errors.me) < errors.mae / 7
    truncated = errors_of(Masked.columns(8, 8, 8))
    assert truncated.me == -truncated.mae


@pytest.mark.parametrize(("width", "mean_percent"), [(2, 1.39), (16, 3.32)])
def test_kulkarni_and_others_2011(width, mean_percent):
    """Mean errors of 1.39 % (2 × 2, exact zero products counted) to 3.32 %; at most 22.22 %."""
    operand = np.arange(1, 1 << width)
    multiplier = Kulkarni(width_a=width, width_b=width)
    # a·b − p = 2·T(a)·T(b): the relative error is a product of two means.
    threes = (operand * 3 - multiplier.golden(operand, 3)) / 2
    mean = 2 * (threes / operand).sum() ** 2 / 4**width
    assert abs(100 * mean - mean_percent) < 0.01
    assert 2 * (threes / operand).max() ** 2 == pytest.approx(2 / 9)


def test_kulkarni_block_errs_once():
    table = ProductTable.of(Kulkarni(width_a=2, width_b=2))
    assert np.argwhere(table.errors).tolist() == [[3, 3]]
    assert table.products[3, 3] == 7


def test_broken_array():
    """43·84 = 3440 and a mean absolute error of 956.25 for both breaks at 4."""
    multiplier = broken_array(4, 4, width_a=8, width_b=8)
    assert multiplier.golden(43, 84).item() == 3440
    assert errors_of(multiplier).mae == 956.25


def test_roba_errs_by_a_ninth_at_most():
    """Zendegani and others, 2017: 11.1 % at worst, and exact at powers of two."""
    multiplier = Roba(width_a=10, width_b=10)
    errors = errors_of(multiplier)
    assert 0.11 < errors.wcre <= 1 / 9
    powers = 1 << np.arange(10)
    assert (multiplier.golden(powers[:, None], np.arange(1024)) == powers[:, None] * np.arange(1024)).all()


def test_perforation_drops_bits_of_an_operand():
    """Zervakis and others, 2016: perforating rows j … j+k−1 is multiplying without those bits."""
    multiplier = perforated({1, 2}, width_a=8, width_b=8)
    a, b = np.arange(256)[:, None], np.arange(256)
    assert (multiplier.golden(a, b) == (a & ~0b110) * b).all()


def test_compressors_err_where_published():
    """Momeni (design 2): 4 of 16 inputs, by +1 or −1, 0000 among them. Yang (design 1): 1111 alone, by −1."""
    from amhw.families.compressors import _VALUES

    for name, expected in (("momeni", {0: 1, 3: -1, 12: -1, 15: -1}), ("yang", {15: -1})):
        values = _VALUES[name]
        wrong = {x: value - x.bit_count() for x, value in enumerate(values) if value != x.bit_count()}
        assert wrong == expected


def test_yang_4_by_4_errs_only_where_four_bits_meet():
    """4 × 4 bits have four products in column 3 only: 1111 there is 15·15 or reads a_i·b_(3−i) all 1."""
    multiplier = Compressed(compressor="yang", columns=4, width_a=4, width_b=4)
    assert np.argwhere(ProductTable.of(multiplier).errors).tolist() == [[15, 15]]


def test_lower_part_or_adder_of_mahdiani_and_others_2010():
    """l ORed bits: the error is within ±2^(l−1), and 0 where the two addends share no bit there."""
    errors = errors_of(LowerOr(lower=8, width_a=8, width_b=8))
    assert errors.wce == 128
    table = ProductTable.of(LowerOr(lower=8, width_a=8, width_b=8))
    assert not table.errors[:16].any() and not table.errors[::16].any()


# Another generator

PEERS = {
    "UnsignedDaddaMultiplier": (Masked.exact(8, 8), {}),
    "UnsignedWallaceMultiplier": (Booth(width_a=8, width_b=8), {}),
    "SignedDaddaMultiplier": (Masked.exact(8, 8, signed_a=True, signed_b=True), {}),
    "SignedArrayMultiplier": (Booth(width_a=8, width_b=8, signed_a=True, signed_b=True), {}),
    "UnsignedBrokenArrayMultiplier": (
        broken_array(4, 4, width_a=8, width_b=8),
        {"horizontal_cut": 4, "vertical_cut": 4},
    ),
    "UnsignedBrokenCarrySaveMultiplier": (
        broken_array(2, 6, width_a=8, width_b=8),
        {"horizontal_cut": 2, "vertical_cut": 6},
    ),
    "UnsignedTruncatedArrayMultiplier": (perforated(range(3), range(3), width_a=8, width_b=8), {"truncation_cut": 3}),
}


@pytest.fixture(scope="module")
def ariths_gen():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("ariths_gen")


@pytest.mark.parametrize("name", PEERS)
def test_ariths_gen_builds_the_same_function(ariths_gen, name):
    """Its Verilog, read by port name, gives our products for every pair."""
    from ariths_gen.multi_bit_circuits import approximate_multipliers, multipliers
    from ariths_gen.wire_components.buses import Bus

    ours, options = PEERS[name]
    make = getattr(multipliers, name, None) or getattr(approximate_multipliers, name)
    text = io.StringIO()
    make(Bus("a", 8), Bus("b", 8), name="peer", **options).get_v_code_hier(text)
    circuit = Circuit.read(text.getvalue(), "peer")
    codes = circuit.evaluate({"a": np.arange(256)[:, None], "b": np.arange(256)[None, :]})["peer_out"]
    table = ProductTable.of(ours)
    assert (codes == table.products & 0xFFFF).all()
