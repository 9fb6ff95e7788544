"""What families of unsigned operands refuse."""

from amhw.multiplier import Multiplier
from amhw.refusal import Refusal


def refuse_signs(multiplier: Multiplier) -> None:
    """
    Raises:
        Refusal: an operand is signed; it names the wrapped multiplier.
    """
    if multiplier.signed_a or multiplier.signed_b:
        wrapped = multiplier.name.replace(f"_{multiplier.operands}_", f"_{multiplier.operands}_sm_")
        raise Refusal(f"{type(multiplier).__name__} multiplies unsigned operands; for signed ones wrap it: {wrapped}")


def refuse_bits(multiplier: Multiplier, bits: int, low: int, high: int, does: str = "keeps") -> None:
    """
    Raises:
        Refusal: what the multiplier `does` to a number of bits, it cannot do to so many.
    """
    if not low <= bits <= high:
        kind = type(multiplier).__name__
        raise Refusal(f"{kind} {does} {bits} bits; for {multiplier.operands} choose {low} to {high}")
