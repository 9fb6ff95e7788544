"""What may be asked of a multiplier, in any combination."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

from amhw.refusal import Refusal
from amhw.select.solutions import Baseline, Solution
from amhw.stages.synthesis import Implementation

_TOLERANCE = 1e-9
"""A figure that is beyond a limit by less is at the limit: 100 · 0.29 is not 29 in floating point."""

_EXAMPLES = {"max_loss": 0.5, "max_area_ratio": 0.06, "max_delay_ratio": 0.3, "max_energy_ratio": 0.1}

_QUANTITIES = {"max_loss": "points", "max_area_ratio": "area", "max_delay_ratio": "delay", "max_energy_ratio": "energy"}


def at_most(figure: float, limit: float) -> bool:
    """Whether a figure is within an upper limit, but for what rounding adds.

    >>> at_most(100 * 0.07, 7), at_most(7.01, 7)
    (True, False)
    """
    return figure <= limit + _TOLERANCE


@dataclass(frozen=True)
class Demands:
    """Upper limits; None where there is none. Area, delay and energy are those of one netlist.

    Attributes:
        max_loss: points lost on the training images that judge.
        max_area_ratio, max_delay_ratio: to the smallest and to the fastest exact multiplier.
        max_energy_ratio: of the multiplications in the layers that have a multiplier, to the exact one that takes the
            least.

    Raises:
        Refusal: a limit is no number, or one that nothing can meet.
    """

    max_loss: float | None = None
    max_area_ratio: float | None = None
    max_delay_ratio: float | None = None
    max_energy_ratio: float | None = None

    def __post_init__(self) -> None:
        for name, limit in self.limits.items():
            option, example = _option(name), _EXAMPLES[name]
            if not math.isfinite(limit):
                raise Refusal(f"{option} {limit:g} is no demand; leave it out for the whole front, or try {example}")
            if name == "max_loss" and limit < 0:
                raise Refusal(
                    f"{option} {limit:g}: the exact multiplier itself loses 0 points; the nearest possible is "
                    f"{option} 0"
                )
            if name != "max_loss" and limit <= 0:
                quantity = _QUANTITIES[name]
                article = "an" if quantity[0] in "ae" else "a"
                raise Refusal(f"{option} {limit:g}: {article} {quantity} is positive; try {example}")

    @property
    def limits(self) -> dict[str, float]:
        """Those that are given, by field."""
        given = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: limit for name, limit in given.items() if limit is not None}

    def __bool__(self) -> bool:
        return bool(self.limits)

    def __str__(self) -> str:
        return " ".join(f"{_option(name)} {limit:g}" for name, limit in self.limits.items())

    def figures(self, solution: Solution, implementation: Implementation, baseline: Baseline) -> dict[str, float]:
        """What a netlist has of each quantity that is limited."""
        every = {
            "max_loss": 100 * solution.training_loss,
            "max_area_ratio": baseline.area_ratio(implementation),
            "max_delay_ratio": baseline.delay_ratio(implementation),
            "max_energy_ratio": solution.energy_ratio(implementation),
        }
        return {name: math.inf if (found := every[name]) is None else found for name in self.limits}

    def met_by(self, figures: Mapping[str, float]) -> bool:
        """Whether such figures are within the limits."""
        return all(at_most(figures[name], limit) for name, limit in self.limits.items())

    def excess(self, figures: Mapping[str, float]) -> float:
        """How far the figure that misses most is beyond its limit, as a multiple of it; points count from a hundredth
        on."""
        return max(
            figures[name] / (max(limit, 0.01) if name == "max_loss" else limit) for name, limit in self.limits.items()
        )

    def met_in_words(self, figures: Mapping[str, float]) -> str:
        """Each figure beside its limit."""
        return ", ".join(f"{_said(name, figures[name])} ≤ {limit:g}" for name, limit in self.limits.items())

    def missed_in_words(self, figures: Mapping[str, float]) -> str:
        """Each figure, and by how much it misses."""
        words = []
        for name, limit in self.limits.items():
            over = figures[name] - limit
            words.append(
                _said(name, figures[name])
                + ("" if at_most(figures[name], limit) else f" ({_number(name, over)} too much)")
            )
        return ", ".join(words)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _said(name: str, figure: float) -> str:
    if name == "max_loss":
        return f"{_number(name, figure)} points lost on training images"
    return f"{_QUANTITIES[name]} {_number(name, figure)}"


def _number(name: str, figure: float) -> str:
    return f"{figure:.2f}" if name == "max_loss" else f"{figure:.4f}"
