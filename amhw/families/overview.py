"""What there is: every family with its parameters, a summary and names of its multipliers."""

import inspect
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from amhw.families.bfloat16 import Bfloat16
from amhw.families.catalogue import CATALOGUE, Entry
from amhw.families.masked import Masked
from amhw.families.sign_magnitude import SignMagnitude
from amhw.families.signs import Signs
from amhw.multiplier import SIGNEDNESS, Multiplier
from amhw.refusal import Refusal

_OPERANDS = {"width_a", "width_b", "signed_a", "signed_b"}


def overview(width: int = 8, signed: str = "none") -> list[dict[str, Any]]:
    """A record for each family: ``family``, ``keyword``, ``parameters``, ``summary`` and ``examples``.

    An example has a ``title``, and the ``name`` of a multiplier of `width` × `width` bits whose operands are signed as
    `amhw.multiplier.SIGNEDNESS` says.

    >>> [record["parameters"] for record in overview() if record["family"] == "Drum"]
    [['bits']]

    Raises:
        Refusal: not every family has multipliers of this width.
    """
    if not 6 <= width <= 16:
        raise Refusal(f"examples of {width} bits: choose 6 to 16")
    signed_a, signed_b = SIGNEDNESS[signed]
    operands = {"width_a": width, "width_b": width, "signed_a": signed_a, "signed_b": signed_b}
    groups: dict[Any, list[Entry]] = {}  # by family; the last two multiply with any of the others
    for entry in CATALOGUE:
        groups.setdefault(entry.family, []).append(entry)
    groups |= {Signs: [], SignMagnitude: [], Bfloat16: []}
    return [
        {
            "family": family.__name__,
            "keyword": getattr(family, "keyword", None if is_dataclass(family) else Masked.keyword),
            "parameters": _parameters(family),
            "summary": _summary(family),
            "examples": _examples(entries, operands),
        }
        for family, entries in groups.items()
    ]


def _examples(entries: list[Entry], operands: dict[str, Any]) -> list[dict[str, str]]:
    """Title and name of each entry; one name once, though several entries may come to the same without signs."""
    named: dict[str, str] = {}
    for entry in entries:
        named.setdefault(entry.make(**operands).name, entry.title)
    return [{"title": title, "name": name} for name, title in named.items()]


def _parameters(family: Any) -> list[str]:
    """A family's own fields or arguments, with defaults; operand widths and signs belong to all."""
    if is_dataclass(family):
        own = [field for field in fields(family) if field.name not in _OPERANDS]
        return [f.name if f.default is MISSING else f"{f.name}={f.default}" for f in own]
    named = inspect.signature(family).parameters.values()
    return [p.name if p.default is p.empty else f"{p.name}={p.default}" for p in named if p.name not in _OPERANDS]


def _summary(family: type[Multiplier]) -> str:
    """The first sentence of the docstring."""
    return " ".join((inspect.getdoc(family) or "").split("\n\n")[0].split())
