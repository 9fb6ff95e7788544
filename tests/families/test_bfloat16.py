"""The bfloat16 multiplier against torch's bfloat16, class by class, and its circuit against its golden model."""

import numpy as np
import pytest
import torch

from amhw import Masked, Refusal
from amhw.circuit import Circuit
from amhw.families import Bfloat16, Mitchell
from amhw.verilog import emit

EXACT = Bfloat16(Masked.exact(8, 8))

CLASSES = {
    "zero": [0x0000, 0x8000],
    "subnormal": [0x0001, 0x007F, 0x8001, 0x8040],
    "smallest normal": [0x0080, 0x8081, 0x00FF],
    "small": [0x1F80, 0x2013, 0xA07F, 0x3F00],
    "around one": [0x3F80, 0x3F81, 0xBF7F, 0x3FFF],
    "large": [0x5F80, 0x607F, 0xDFC0, 0x7EFF],
    "largest normal": [0x7F7F, 0xFF7F, 0x7F00],
    "infinity": [0x7F80, 0xFF80],
    "nan": [0x7FC0, 0xFFC1, 0x7F81],
}


def tensor(codes: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(codes.astype(np.uint16).view(np.int16).copy()).view(torch.bfloat16)


def torch_product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """torch's product, with what is documented to differ: subnormal operands are zeros, results below 2^−126 after
    rounding to 8 bits are zeros, and all NaNs are one.

    Where torch rounds on the coarser grid of subnormal numbers, a product just below 2^−126 becomes 2^−126.
    So whether a result is too small is asked of torch at 2^64 times the size, where the grid is that of
    normal numbers.
    """
    x, y = tensor(flushed(a)), tensor(flushed(b))
    product = (x * y).view(torch.int16).numpy().view(np.uint16).astype(np.int64)
    exact = x.double() * y.double()  # 16 significant bits
    rounded = (exact * 2.0**64).bfloat16().double().abs()
    tiny = ((exact.abs() < 2.0**-100) & (rounded < 2.0 ** (64 - 126))).numpy()
    is_nan = ((product & 0x7F80) == 0x7F80) & ((product & 0x7F) != 0)
    return np.where(is_nan, 0x7FC0, np.where(tiny, product & 0x8000, product))


def flushed(codes: np.ndarray) -> np.ndarray:
    return np.where(np.asarray(codes) & 0x7F80, codes, np.asarray(codes) & 0x8000)


@pytest.mark.parametrize("class_a", CLASSES)
@pytest.mark.parametrize("class_b", CLASSES)
def test_every_pair_of_classes(class_a, class_b):
    a, b = (x.ravel() for x in np.meshgrid(CLASSES[class_a], CLASSES[class_b]))
    assert EXACT.golden(a, b).tolist() == torch_product(a, b).tolist()


def test_every_operand_against_many():
    a = np.arange(65536)
    random = np.random.default_rng(0)
    for b in [0x3F80, 0x3FFF, 0x0080, 0x7F7F, *random.integers(0, 65536, 60).tolist()]:
        assert (EXACT.golden(a, b) == torch_product(a, np.full_like(a, b))).all(), hex(b)


def test_every_pair_of_significands_rounds_as_torch():
    """Exponents in the middle: normalisation and rounding of all 128 × 128 fractions, ties included."""
    fractions = np.arange(128)
    a, b = 0x3F80 | fractions[:, None], 0x4000 | fractions[None, :]
    a, b = np.broadcast_arrays(a, b)
    assert (EXACT.golden(a, b) == torch_product(a.ravel(), b.ravel()).reshape(128, 128)).all()


def test_exponents_at_both_ends_of_the_range():
    exponents = np.arange(256)
    for fraction_a, fraction_b in ((0, 0), (0x7F, 0x7F), (0x35, 0x35), (0x7F, 1)):
        a, b = (x.ravel() for x in np.meshgrid(exponents << 7 | fraction_a, exponents << 7 | fraction_b))
        assert (EXACT.golden(a, b) == torch_product(a, b)).all()


CORES = [
    Masked.exact(8, 8),
    Mitchell(bits=6, width_a=8, width_b=8),
    Mitchell(bits=8, width_a=8, width_b=8),
    Masked.columns(6, 8, 8),
]


@pytest.mark.parametrize("core", CORES, ids=lambda core: core.name)
def test_circuit_is_golden(core):
    multiplier = Bfloat16(core)
    circuit = Circuit.read(emit(multiplier.create(), multiplier.name))
    random = np.random.default_rng(1)
    special = np.array([code for codes in CLASSES.values() for code in codes])
    a = np.concatenate([np.repeat(special, len(special)), random.integers(0, 65536, 300_000)])
    b = np.concatenate([np.tile(special, len(special)), random.integers(0, 65536, 300_000)])
    # Random exponents overflow or underflow half the time; these do not.
    middle = random.integers(0, 1 << 14, (2, 300_000)) | 0x3800
    a, b = np.concatenate([a, middle[0] & 0x3FFF]), np.concatenate([b, middle[1]])
    assert (circuit.evaluate({"a": a, "b": b})["p"] == multiplier.golden(a, b)).all()


def test_approximate_core_errs_as_the_core_does():
    """Mitchell's product is at most 1/9 too small; rounding adds half a unit in the last place."""
    multiplier = Bfloat16(Mitchell(bits=8, width_a=8, width_b=8))
    fractions = np.arange(128)
    a, b = np.broadcast_arrays(0x3F80 | fractions[:, None], 0x3F80 | fractions[None, :])
    value = lambda codes: tensor(codes.ravel()).float().numpy()  # noqa: E731
    ratio = value(multiplier.golden(a, b)) / (value(a) * value(b))
    assert 1 - 1 / 9 - 2**-8 <= ratio.min() < 0.9
    assert ratio.max() <= 1 + 2**-8


def test_zero_times_anything_finite_is_zero():
    for core in CORES:
        finite = np.arange(0x7F80)
        assert not Bfloat16(core).golden(finite, 0).any()


def test_what_cannot_be_is_refused():
    with pytest.raises(Refusal, match="u8u8"):
        Bfloat16(Masked.exact(8, 8, signed_b=True))
    with pytest.raises(Refusal, match="bfloat16 codes"):
        EXACT.golden(65536, 0)
    with pytest.raises(Refusal, match="bfloat16 codes"):
        EXACT.golden(1.5, 0)
