"""A point of the page: one multiplier with its accuracy and what it costs, wherever it comes from."""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from amhw.verilog import Design

EXACT = "exact, best of the flow"
"""The group of the exact multipliers' points."""

FLOOR = 0.02
"""Points; what loses less is drawn here, as a logarithm has no zero and some thousand images do not tell less."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """What is drawn, and a row of the table that goes with the page.

    Attributes:
        name: the multiplier, or what a published circuit is called.
        group: its label and its colour.
        tech, data: in which technology and on whose test images; points share axes where both are equal.
        kept: partial products, where it is a mask.
        accuracy: share of the test images.
        exact_accuracy: with exact products; `accuracy` is compared with it.
        loss_low, loss_high: 95 % interval of the accuracy lost, in points, where it was determined.
        area_um2, delay_ps, energy_fj: of the smallest netlist, of the fastest, and of that with the least
            area × delay; `…_ratio` to the best exact multiplier.
        reduced_precision: a mask that is a small exact multiplier of the operands' upper bits.
        fine_tuned: the network was trained with it.
        design: what `amhw gen --multiplier` builds it from; empty for what was not made here.
        network: the file of the weights that go with it, where it has its own.
        data_dir: the folder of the images, where they are not MNIST's.
        source: what `amhw.imports.source.table_of` finds it by, or empty.
        multipliers: their names, where each layer has its own.
    """

    name: str
    group: str
    tech: str
    data: str
    kept: int | None = None
    accuracy: float
    exact_accuracy: float | None = None
    loss_low: float | None = None
    loss_high: float | None = None
    area_um2: float | None = None
    area_ratio: float | None = None
    delay_ps: float | None = None
    delay_ratio: float | None = None
    energy_fj: float | None = None
    energy_ratio: float | None = None
    reduced_precision: bool = False
    fine_tuned: bool = False
    design: str = ""
    network: str = ""
    data_dir: str = ""
    source: str = ""
    multipliers: tuple[str, ...] = ()

    @property
    def loss(self) -> float | None:
        """Accuracy lost against exact products, in points."""
        return None if self.exact_accuracy is None else 100 * (self.exact_accuracy - self.accuracy)

    def record(self) -> dict[str, Any]:
        """The row of a table."""
        return {name: getattr(self, name) for name in self.columns()[:-1]} | {"loss_points": self.loss}

    @classmethod
    def columns(cls) -> list[str]:
        """The keys of every record, in order."""
        return [*(field.name for field in fields(cls) if field.name != "multipliers"), "loss_points"]

    def drawn(self, number: int, best: float | None = None) -> "Drawn":
        """What the charts need.

        Args:
            number: its own on the axes.
            best: with which accuracy it is compared where that of exact products is not known.
        """
        lost = self.loss
        if lost is None:
            lost = 100 * ((self.accuracy if best is None else best) - self.accuracy)
        return Drawn(
            id=number,
            name=self.name,
            group=self.notes,
            colour=self.group,
            label=_label(self),
            accuracy=self.accuracy,
            loss=max(FLOOR, lost),
            loss_low=None if self.loss_low is None else max(FLOOR, self.loss_low),
            loss_high=None if self.loss_high is None else max(FLOOR, self.loss_high),
            area_um2=self.area_um2,
            delay_ps=self.delay_ps,
            energy_fj=self.energy_fj,
            **{f"{what}_text": text for what, text in self.figures.items()},
        )

    @property
    def notes(self) -> str:
        """Its group, and what else it is."""
        more = self.reduced_precision and "reduced precision" not in self.group
        return f"{self.group}, reduced precision" if more else self.group

    @property
    def figures(self) -> dict[str, str]:
        """Accuracy, what is lost, and costs, as texts."""
        return {
            "accuracy": f"{100 * self.accuracy:.2f} %",
            "lost": self.loss_text or "–",
            "area": _figure(self.area_um2, ".1f", "µm²", self.area_ratio),
            "delay": _figure(self.delay_ps, ".0f", "ps", self.delay_ratio),
            "energy": _figure(self.energy_fj, ".0f", "fJ", self.energy_ratio),
        }

    def card(self, number: int, errors: Sequence[Mapping[str, str]]) -> dict[str, Any]:
        """What is shown of it beside the charts when it is clicked.

        Args:
            number: its own on the axes.
            errors: pictures of its errors over the operand plane: `name`, `image` and `caption`.
        """
        kept = {} if self.kept is None else {"products": f"{self.kept} kept"}
        figures = kept | {what: text for what, text in self.figures.items() if text != "–"}
        return {
            "id": number,
            "name": self.name,
            "group": self.notes,
            "figures": list(figures.items()),
            "diagram": _diagram(self.design),
            "commands": self.commands,
            "errors": list(errors),
        }

    @property
    def loss_text(self) -> str:
        """The loss with its interval, where it is known."""
        if self.loss is None or self.group == EXACT:
            return ""
        if self.loss_low is None or self.loss_high is None:
            return f"{self.loss:.2f} points"
        return f"{self.loss:.2f} ± {(self.loss_high - self.loss_low) / 2:.2f} points (95 %)"

    @property
    def sources(self) -> list[str]:
        """What `amhw.imports.source.table_of` finds its products by: one, or one for each layer."""
        return [self.source] if self.source else list(dict.fromkeys(self.multipliers))

    @property
    def commands(self) -> list[str]:
        """What builds it again, ready for a shell; of an import what tells its errors."""
        if self.design:
            built = [["gen", name] for name in dict.fromkeys(self.design.split("+"))]
            images = ["--data", self.data_dir] if self.data_dir else []
            built += [["accuracy", "--network", self.network, *images]] if self.network else []
        else:
            built = [["errors", self.source]] if self.source else []
        return [shlex.join(["amhw", *words]) for words in built]


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A point as the charts have it.

    Attributes:
        id: its number on the axes.
        group: in full; `colour` is that by which it is drawn.
        label: what stands beside it.
        loss: accuracy lost, in points, at least `FLOOR`.
        loss_low, loss_high: the 95 % interval, where it was determined.
    """

    id: int
    name: str
    group: str
    colour: str
    label: str
    accuracy: float
    loss: float
    loss_low: float | None
    loss_high: float | None
    area_um2: float | None
    delay_ps: float | None
    energy_fj: float | None
    accuracy_text: str
    lost_text: str
    area_text: str
    delay_text: str
    energy_text: str

    def cost(self, name: str) -> float | None:
        """One of its costs, by the field's name."""
        return {"area_um2": self.area_um2, "delay_ps": self.delay_ps, "energy_fj": self.energy_fj}[name]


def drawn(points: Sequence[Point]) -> list[Drawn]:
    """The points of one pair of axes as the charts have them."""
    best = max((point.accuracy for point in points), default=0.0)
    return [point.drawn(number, best) for number, point in enumerate(points)]


def distinct(points: Iterable[Point]) -> list[Point]:
    """The points, the exact multipliers once where several sources have the same."""
    found: dict[Any, Point] = {}
    for number, point in enumerate(points):
        figures = (point.tech, point.data, point.accuracy, point.area_um2, point.delay_ps)
        found.setdefault(figures if point.group == EXACT else number, point)
    return list(found.values())


def _figure(value: float | None, form: str, unit: str, ratio: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:{form}} {unit}" + ("" if ratio is None else f" ({ratio:.4f} × exact)")


def _label(point: Point) -> str:
    if point.group == EXACT:
        return "exact"
    return re.sub(r"^mul_[us]\d+[us]\d+_", "", point.name)[:24] if point.kept is None else str(point.kept)


def _diagram(design: str) -> str:
    """The dot diagrams of a design, or of one for each layer."""
    names = list(dict.fromkeys(design.split("+"))) if design else []
    return "\n\n".join(Design.parse(name).multiplier.diagram().rstrip() for name in names)
