"""Representative multipliers: what `amhw families` lists, docs/families.md tabulates and one test goes through.

Each is given for 8-bit operands of any signedness: as it is where the mathematics allows signs, through
`SignMagnitude` where it does not.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from amhw.families.booth import Booth
from amhw.families.broken_array import broken_array, perforated
from amhw.families.compensated import Compensated
from amhw.families.compressors import Compressed
from amhw.families.kulkarni import Kulkarni
from amhw.families.lower_or import LowerOr
from amhw.families.masked import Masked
from amhw.families.mitchell import Mitchell
from amhw.families.or_compressed import OrCompressed
from amhw.families.roba import Roba
from amhw.families.segmented import Drum, StaticSegment
from amhw.families.sign_magnitude import SignMagnitude
from amhw.multiplier import Multiplier


@dataclass(frozen=True)
class Entry:
    """One representative.

    Attributes:
        title: what the field calls it.
        family: the class or function that makes it.
        make: the value for given operands (``width_a``, ``width_b``, ``signed_a``, ``signed_b``).
    """

    title: str
    family: Callable[..., Multiplier]
    make: Callable[..., Multiplier]


def representatives(
    width: int = 8, *, signed_a: bool = False, signed_b: bool = False
) -> list[tuple[Entry, Multiplier]]:
    """Every entry of the catalogue as a multiplier of `width` × `width` bits."""
    operands = {"width_a": width, "width_b": width, "signed_a": signed_a, "signed_b": signed_b}
    return [(entry, entry.make(**operands)) for entry in CATALOGUE]


def _unsigned(core: Callable[..., Multiplier], **options: Any) -> Callable[..., Multiplier]:
    """The core itself for unsigned operands, and in a sign-magnitude wrapper for signed ones."""

    def make(width_a: int, width_b: int, signed_a: bool, signed_b: bool) -> Multiplier:
        unsigned = core(width_a=width_a, width_b=width_b)
        if not (signed_a or signed_b):
            return unsigned
        return SignMagnitude(core=unsigned, signed_a=signed_a, signed_b=signed_b, **options)

    return make


def _truncated(**operands: Any) -> Masked:
    return Masked.columns(operands["width_b"], **operands)


def _compensated(gated: bool) -> Callable[..., Multiplier]:
    def make(**operands: Any) -> Multiplier:
        return Compensated.centred(_truncated(**operands), gated=gated)

    return make


def _upper_rows(**operands: Any) -> Masked:
    """The most significant quarter of the partial products: both operands cut to half."""
    half_a, half_b = operands["width_a"] // 2, operands["width_b"] // 2
    return perforated(range(half_a), range(half_b), **operands)


def _ored(sharing: Callable[[int, int], list[int]]) -> Callable[..., Multiplier]:
    def make(**operands: Any) -> Multiplier:
        return OrCompressed.of_columns(sharing(operands["width_a"], operands["width_b"]), **operands)

    return make


def _every_column(width_a: int, width_b: int) -> list[int]:
    return list(range(width_a + width_b - 1))


def _low_columns(width_a: int, width_b: int) -> list[int]:
    return list(range(width_b))


CATALOGUE: tuple[Entry, ...] = (
    Entry("exact", Masked, Masked.exact),
    Entry("radix-4 Booth", Booth, Booth),
    Entry("truncated", Masked, _truncated),
    Entry("truncated, constant correction", Compensated, _compensated(gated=False)),
    Entry("truncated, gated correction", Compensated, _compensated(gated=True)),
    Entry("broken array h=2 v=6", broken_array, lambda **o: broken_array(2, 6, **o)),
    Entry("row perforation, a_1 and a_2", perforated, lambda **o: perforated({1, 2}, **o)),
    Entry("upper halves only", perforated, _upper_rows),
    Entry("OR in the low columns", OrCompressed, _ored(_low_columns)),
    Entry("OR in every column", OrCompressed, _ored(_every_column)),
    Entry(
        "OR in every column of magnitudes",
        OrCompressed,
        _unsigned(lambda **o: OrCompressed.of_columns(_every_column(**o), **o)),
    ),
    Entry("lower-part-OR adder", LowerOr, _unsigned(lambda **o: LowerOr(lower=o["width_a"], **o))),
    Entry(
        "4:2 compressors of Momeni",
        Compressed,
        _unsigned(lambda **o: Compressed(compressor="momeni", columns=o["width_a"], **o)),
    ),
    Entry(
        "4:2 compressors of Yang",
        Compressed,
        _unsigned(lambda **o: Compressed(compressor="yang", columns=o["width_a"] + o["width_b"] - 1, **o)),
    ),
    Entry("underdesigned 2×2 blocks", Kulkarni, _unsigned(Kulkarni)),
    Entry("DRUM(6)", Drum, _unsigned(lambda **o: Drum(bits=6, **o))),
    Entry("DRUM(4)", Drum, _unsigned(lambda **o: Drum(bits=4, **o))),
    Entry(
        "SSM, one bit more than half",
        StaticSegment,
        _unsigned(lambda **o: StaticSegment(bits=o["width_a"] // 2 + 1, **o)),
    ),
    Entry("Mitchell", Mitchell, _unsigned(lambda **o: Mitchell(bits=o["width_a"], **o))),
    Entry("Mitch-6", Mitchell, _unsigned(lambda **o: Mitchell(bits=6, **o), negation="ones")),
    Entry("Mitch-6, unbiased", Mitchell, _unsigned(lambda **o: Mitchell(bits=6, unbias=True, **o), negation="ones")),
    Entry("RoBA", Roba, _unsigned(Roba)),
)
"""In the order of docs/families.md."""
