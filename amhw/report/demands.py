"""What a page comes to: the best design for each of three demands, in words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from amhw.report.points import EXACT, Point

MAX_LOSS = 0.2
"""Points, of the first demand."""

MAX_AREA = 0.05
"""To the smallest exact multiplier, of the second."""

MAX_LOSS_OF_FASTEST = 0.5
"""Points, of the third."""


@dataclass(frozen=True)
class Answer:
    """A demand, and the design that meets it best.

    Attributes:
        want: the demand.
        number: of the point, among all; None where none meets it.
        found: how good it is, in a few words.
        sentence: the rest of it.
    """

    want: str
    number: int | None
    name: str
    found: str
    sentence: str

    @property
    def words(self) -> tuple[str, str, str, str, int | None]:
        """As the page shows it."""
        return self.want, self.found, self.sentence, self.name, self.number


def demands(points: Sequence[Point]) -> list[Answer]:
    """The smallest that loses little, the best that is small, the fastest that loses little.

    Args:
        points: of one technology and one data set; exact multipliers answer nothing.
    """
    return [
        _answer(
            points,
            f"The smallest that loses at most {MAX_LOSS:g} points",
            lambda point: _at_most(point.loss, MAX_LOSS) and point.area_ratio is not None,
            lambda point: (point.area_ratio or 0, point.loss or 0),
            lambda point: _times(point.area_ratio, "smaller", "larger"),
        ),
        _answer(
            points,
            f"The most accurate with at most {MAX_AREA:.0%} of the exact area",
            lambda point: point.loss is not None and _at_most(point.area_ratio, MAX_AREA),
            lambda point: (point.loss or 0, point.area_ratio or 0),
            lambda point: f"{max(0.0, point.loss or 0):.2f} points lost",
        ),
        _answer(
            points,
            f"The fastest that loses at most {MAX_LOSS_OF_FASTEST:g} points",
            lambda point: _at_most(point.loss, MAX_LOSS_OF_FASTEST) and point.delay_ratio is not None,
            lambda point: (point.delay_ratio or 0, point.loss or 0),
            lambda point: _times(point.delay_ratio, "faster", "slower"),
        ),
    ]


def _answer(
    points: Sequence[Point],
    want: str,
    meets: Callable[[Point], bool],
    order: Callable[[Point], tuple[float, float]],
    found: Callable[[Point], str],
) -> Answer:
    fitting = [k for k, point in enumerate(points) if point.group != EXACT and meets(point)]
    if not fitting:
        return Answer(want, None, "", "none here", "No design on this page does.")
    number = min(fitting, key=lambda k: order(points[k]))
    best = points[number]
    figures = [text for what, text in best.figures.items() if what in ("area", "delay") and text != "–"]
    lost = best.loss_text.removesuffix(" (95 %)")
    return Answer(want, number, best.name, found(best), f"{lost} lost; {', '.join(figures)}; {best.notes}")


def _at_most(value: float | None, limit: float) -> bool:
    return value is not None and value <= limit


def _times(ratio: float | None, less: str, more: str) -> str:
    """Of a ratio to the best exact multiplier.

    >>> _times(0.0453, "smaller", "larger"), _times(0.8, "smaller", "larger"), _times(1.5, "smaller", "larger")
    ('22 times smaller', '1.2 times smaller', '1.5 times larger')
    """
    if not ratio:
        return "free"
    times, word = (1 / ratio, less) if ratio <= 1 else (ratio, more)
    return f"{times:.0f} times {word}" if times >= 9.95 else f"{times:.1f} times {word}"
