"""Stuck nets of a multiplier as tasks, and what a defect costs by gate and by area."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from amhw.documents import Amount, Count, Document, Record, Share
from amhw.faults.campaign import GIVEN, Images, same_tables
from amhw.faults.hardware import DefectiveArray, Element, StuckNet, distinct, faulty_tables
from amhw.faults.summary import Subject
from amhw.network.quantised import QuantisedNetwork
from amhw.results import Task
from amhw.stages.content import packed, unpacked
from amhw.stages.keys import Stage
from amhw.synth import Expected, Recipe, Synthesiser, Technology
from amhw.synth.netlist import Netlist
from amhw.table import ProductTable
from amhw.verilog import Design

COLUMNS = 16
"""Of the array whose element is faulty."""


@dataclass(frozen=True)
class Classified(Record):
    """Images that are classified correctly.

    Attributes:
        all_faulty: where every multiplier of the convolutions has the fault.
        one_faulty: where one element of the array has it.
    """

    all_faulty: Count
    one_faulty: Count


@dataclass(frozen=True)
class Net:
    """One stuck net.

    Attributes:
        net, value, cell, area_um2: see `amhw.faults.hardware.StuckNet`.
        wrong: operand pairs with a wrong product, of all.
        mean_error: of |wrong − right| over all pairs.
        row, column: of the faulty element.
        loss_all, loss_one: accuracy lost where all multipliers, or one element, have the fault.
    """

    net: int
    value: int
    cell: str
    area_um2: Amount
    wrong: Share
    mean_error: Amount
    row: int
    column: int
    loss_all: float
    loss_one: float


@dataclass(frozen=True)
class StuckNets(Document):
    """What `amhw faults --stuck-nets` writes.

    Attributes:
        multiplier, technology, recipe: whose netlist.
        area_um2: of the netlist.
        correct: images that are classified correctly without a fault.
        distinct: different faulty tables.
        nets: one a fault.
    """

    kind = "stuck nets"
    schema = 1
    called = "list of stuck nets"
    written_by = "amhw faults --stuck-nets"

    subject: Subject
    multiplier: str
    technology: str
    recipe: str
    area_um2: Amount
    images: Count
    correct: Count
    distinct: Count
    nets: tuple[Net, ...]

    def mean(self, what: str) -> float:
        """The mean loss over all faults: `loss_all` or `loss_one`."""
        return float(np.mean([getattr(net, what) for net in self.nets]))

    def critical(self, what: str, least: float = 0.01) -> float:
        """The share of faults that cost `least` or more."""
        return float(np.mean([getattr(net, what) >= least for net in self.nets]))

    def by_area(self, what: str) -> float:
        """The mean loss of a defect that hits any place of the multiplier's area alike, times that area: µm²."""
        placed = [net for net in self.nets if net.cell]
        return sum(getattr(net, what) * net.area_um2 / 2 for net in placed)

    def figures(self) -> dict[str, Any]:
        """All of the above for people."""
        found: dict[str, Any] = {"faults": len(self.nets), "distinct": self.distinct, "area_um2": self.area_um2}
        for what in ("loss_all", "loss_one"):
            found[what] = {"mean": self.mean(what), "critical": self.critical(what), "by_area_um2": self.by_area(what)}
        return found


def mapped(design: Design, technology: Technology, recipes: tuple[Recipe, ...]) -> tuple[str, float, Netlist]:
    """The smallest netlist of a design, checked against its table: recipe, area, gates."""
    expected = Expected(ProductTable.of(design.multiplier).products)
    with Synthesiser(technology, recipes, workers=1, netlists=True) as synthesiser:
        found = synthesiser.submit(design.verilog(), design.name, expected).result().best_area
    assert found.gates is not None
    return found.recipe, found.area_um2, found.gates


@dataclass(frozen=True, eq=False)
class Experiment:
    """All stuck nets of a multiplier's netlist, in the convolutions of a network.

    Attributes:
        network, tables, images: what is classified, without a fault.
        table: the multiplier's.
        faults: the nets.
        different: faulty tables, each once.
        which: of them each fault gives.
        seed: of the faulty elements' places.
    """

    network: QuantisedNetwork
    tables: Mapping[str, ProductTable]
    images: Images
    table: ProductTable
    faults: Sequence[StuckNet]
    different: Sequence[np.ndarray]
    which: Sequence[int]
    seed: int

    @staticmethod
    def of(
        network: QuantisedNetwork,
        tables: Mapping[str, ProductTable],
        images: Images,
        table: ProductTable,
        netlist: Netlist,
        seed: int = 0,
    ) -> "Experiment":
        """Of a netlist that computes `table`."""
        faults, faulty = zip(*faulty_tables(netlist, table), strict=True)
        different, which = distinct(faulty)
        return Experiment(network, tables, images, table, faults, different, which.tolist(), seed)

    def element(self, place: int) -> Element:
        """Of the array, for a different table: drawn at random among those that a convolution uses."""
        random = np.random.default_rng([self.seed, place])
        convolutions = [self.network[name] for name in self.network.convolutions]
        rows = convolutions[0].kernel[0] * convolutions[0].kernel[1]
        used = min(COLUMNS, max(layer.outputs for layer in convolutions))
        return Element(int(random.integers(rows)), int(random.integers(used)), COLUMNS)

    def tasks(self) -> list[Task[Classified]]:
        """One a different table, then one without a fault."""
        inputs = {
            "network": self.network.sha256,
            "tables": {layer: table.sha256 for layer, table in self.tables.items()},
            "images": [self.images.sha256, self.images.first, self.images.last],
        }
        arguments = packed(self.network), dict(self.tables), self.images
        found = []
        for place, products in enumerate([*self.different, self.table.products]):
            sha256 = ProductTable(products, signed_b=True).sha256
            element = self.element(place)
            found.append(STUCK.task({**inputs, "faulty": sha256, **vars(element)}, *arguments, products, element))
        return found

    def result(self, found: Sequence[Classified], subject: Subject, **said: Any) -> StuckNets:
        """From what the tasks gave."""
        images, right = len(self.images), found[-1].all_faulty
        nets = []
        for fault, place in zip(self.faults, self.which, strict=True):
            error = np.abs(self.different[place].astype(np.int64) - self.table.products)
            one, element = found[place], self.element(place)
            nets.append(
                Net(
                    *(fault.net, fault.value, fault.cell, fault.area_um2),
                    *(float((error > 0).mean()), float(error.mean()), element.row, element.column),
                    *((right - one.all_faulty) / images, (right - one.one_faulty) / images),
                )
            )
        return StuckNets(
            subject=subject, images=images, correct=right, distinct=len(self.different), nets=tuple(nets), **said
        )


def table(found: StuckNets) -> str:
    """As CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(list(vars(found.nets[0])))
    for net in found.nets:
        writer.writerow(list(vars(net).values()))
    return text.getvalue()


_ARRAYS: dict[tuple[str, tuple[int, int]], DefectiveArray] = {}


def _classified(
    network: str, tables: dict[str, ProductTable], images: Images, products: np.ndarray, element: Element
) -> Classified:
    key = network, (images.first, images.last)
    if key not in _ARRAYS:
        _ARRAYS[key] = DefectiveArray(unpacked(network), same_tables(tables), images.data)
    array = _ARRAYS[key]
    return Classified(array.all_faulty(products), array.one_faulty(products, element))


STUCK = Stage("stuck-nets", Classified, _classified, given=GIVEN)
"""Networks, tables and images are inputs by their content."""
