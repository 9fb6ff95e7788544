"""The multiplier families, one idea a file: citation, fields, mathematics, circuit."""

from amhw.families.bfloat16 import Bfloat16
from amhw.families.booth import Booth
from amhw.families.broken_array import broken_array, perforated
from amhw.families.compensated import Compensated
from amhw.families.compressors import Compressed
from amhw.families.encoded import EncodedMultiplier
from amhw.families.kulkarni import Kulkarni
from amhw.families.lower_or import LowerOr
from amhw.families.masked import Masked
from amhw.families.mitchell import Mitchell
from amhw.families.or_compressed import OrCompressed
from amhw.families.roba import Roba
from amhw.families.segmented import Drum, StaticSegment
from amhw.families.sign_magnitude import SignMagnitude
from amhw.families.signs import Signs

__all__ = [
    "Bfloat16",
    "Booth",
    "Compensated",
    "Compressed",
    "Drum",
    "EncodedMultiplier",
    "Kulkarni",
    "LowerOr",
    "Masked",
    "Mitchell",
    "OrCompressed",
    "Roba",
    "SignMagnitude",
    "Signs",
    "StaticSegment",
    "broken_array",
    "perforated",
]
