"""The multiplier families, one idea a file: citation, fields, mathematics, circuit."""

from amhw.families.encoded import EncodedMultiplier
from amhw.families.masked import Masked
from amhw.families.or_compressed import OrCompressed
from amhw.families.sign_magnitude import SignMagnitude

__all__ = ["EncodedMultiplier", "Masked", "OrCompressed", "SignMagnitude"]
