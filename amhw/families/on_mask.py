"""What the families that start from a mask share: the mask, and how it is written in a name.

Their name is their own parameters and then the mask, as `Masked` writes it: ``comp_448_`` and ``or_3ffe_``
stand before ``0_80_c0_e0_f0_f8_fc_fe`` or ``full``.
"""

import re
from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

from amhw.families.masked import Masked
from amhw.multiplier import Multiplier
from amhw.refusal import Refusal


@dataclass(frozen=True, kw_only=True)
class OnMask(Multiplier):
    """A multiplier that does something further with the partial products that a mask keeps.

    Attributes:
        rows: one mask for each bit of a, from a_0 up; bit j of ``rows[i]`` set keeps a_i·b_j (see `Masked`).
    """

    rows: tuple[int, ...]

    _own_text: ClassVar[str]
    """A regular expression for what stands before the mask in a name."""

    _example: ClassVar[str]
    """A name's part before the mask, for people."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "rows", self.mask.rows)

    @cached_property
    def mask(self) -> Masked:
        """The masked multiplier with the same kept products and nothing else."""
        operands = {name: getattr(self, name) for name in ("width_a", "width_b", "signed_a", "signed_b")}
        return Masked(rows=self.rows, **operands)

    @abstractmethod
    def _own_parameters_text(self) -> str:
        """The fields beside the mask, as they stand before it in the name."""

    @classmethod
    @abstractmethod
    def _own_parameters(cls, match: re.Match[str]) -> dict[str, Any]:
        """The inverse, from a match of `_own_text`."""

    def _parameters_text(self) -> str:
        return f"{self._own_parameters_text()}_{self.mask._parameters_text()}"

    @classmethod
    def _from_parameters_text(cls, text: str, **operands: Any) -> Self:
        match = re.fullmatch(f"(?:{cls._own_text})_(?P<mask>.+)", text)
        if match is None:
            raise Refusal(f"{text!r} names no {cls.__name__} multiplier; write {cls._example}_ and a mask")
        mask = Masked._from_parameters_text(match["mask"], **operands)
        return cls(rows=mask.rows, **cls._own_parameters(match), **operands)

    @property
    def parameters(self) -> dict[str, Any]:
        return super().parameters | {"rows": [f"{row:x}" for row in self.rows]}

    def _diagram_with(self, label: str, cells: str) -> str:
        """The mask's partial products, and one more line: a label and three characters for each column."""
        return self.mask.diagram() + (label.ljust(len(f"a_{self.width_a - 1}")) + cells).rstrip() + "\n"
