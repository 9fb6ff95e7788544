"""The multiplier families, one idea a file: citation, fields, mathematics, circuit."""

from amhw.families.masked import Masked

__all__ = ["Masked"]
