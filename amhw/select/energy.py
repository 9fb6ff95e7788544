"""Energy of an image's multiplications: each layer's multiplier on the operands that it sees there."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

from amhw.datasets import DataSet
from amhw.families.exact import exact_structures
from amhw.network.quantised import QuantisedNetwork
from amhw.results import Task
from amhw.stages.emission import Emitted
from amhw.stages.energy import OperationEnergy, energy
from amhw.stimulus import Trace, layer_trace
from amhw.synth import Expected
from amhw.synth.recipe import recipe_named
from amhw.table import ProductTable
from amhw.verilog import Design

FEMTOJOULES = 1e6
"""In a nanojoule."""


@dataclass(frozen=True)
class Operands:
    """A layer of a network with product tables, and the images that give its operands: what energy depends on."""

    network: QuantisedNetwork
    layer: str
    tables: Mapping[str, ProductTable]
    images: DataSet

    @cached_property
    def trace(self) -> Trace:
        """The operand codes, of whichever multiplier."""
        return layer_trace(self.network, self.layer, self.images, tables=self.tables)

    def task(self, design: Design, emitted: Emitted, technology: str, recipe: str) -> Task[OperationEnergy]:
        """The energy of one multiplication by `design`, of the netlist that the recipe of this name gave."""
        expected, by = expected_of(design), recipe_named(recipe)
        return energy(emitted.verilog, design.name, technology, expected, by, self.trace["a"], self.trace["b"])


@lru_cache(64)
def expected_of(design: Design) -> Expected:
    """What every netlist of a design is checked against."""
    return Expected(ProductTable.of(design.multiplier).products)


def exact_designs(network: QuantisedNetwork, layer: str) -> list[Design]:
    """The exact multipliers for a layer's operands, of which the one that takes the least energy is the yardstick."""
    operands = network[layer].operands
    structures = exact_structures(
        operands.activation_width, operands.weight_width, signed_a=operands.activation_signed, signed_b=True
    )
    return [Design(multiplier, tree, adder) for multiplier, tree, adder in structures]


def per_image(network: QuantisedNetwork, layers: Iterable[str], each: Mapping[str, float]) -> float:
    """Nanojoules for the multiplications of `layers` in one image, from femtojoules for one of each layer."""
    counts = network.network.multiplications
    return sum(counts[layer] * each[layer] for layer in layers) / FEMTOJOULES
