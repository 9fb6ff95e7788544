"""The energy of a design under one stimulus, and its range over the netlists of all recipes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from amhw.stimulus import Stimulus
from amhw.synth import Technology
from amhw.synth.energy import Energy, energy
from amhw.synth.netlist import Netlist


@dataclass(frozen=True)
class Figures:
    """Energy under one stimulus; `products` are the useful multiply-accumulates in all of its cycles."""

    energy: Energy
    products: int = 0
    elements: tuple[float, float] | None = None
    """Energy of an array's processing elements together, settled and timed, fJ a cycle."""
    recipes: Mapping[str, Energy] = field(default_factory=dict)
    """Energy of each recipe's netlist under the same stimulus, the chosen one's among them."""

    def ranges(self) -> dict[str, tuple[tuple[float, str], tuple[float, str]]]:
        """The least and the greatest energy over all recipes, settled and timed: fJ and the recipe's name."""
        settled = [(each.settled_fj, recipe) for recipe, each in self.recipes.items()]
        timed = [(each.timed_fj, recipe) for recipe, each in self.recipes.items()]
        return {kind: (min(fj), max(fj)) for kind, fj in (("settled", settled), ("timed", timed)) if len(fj) > 1}

    def record(self) -> dict[str, Any]:
        """The figures as a JSON object."""
        record = self.energy.record()
        if ranges := self.ranges():
            record["range"] = {
                f"{kind}_fj": {
                    end: {"fj": round(fj, 4), "recipe": recipe}
                    for end, (fj, recipe) in zip(("least", "greatest"), ends, strict=True)
                }
                for kind, ends in ranges.items()
            }
        if self.products:
            rate = self.products / self.energy.operations
            both = {"": (self.energy.settled_fj, self.energy.timed_fj), "elements_": self.elements or (0.0, 0.0)}
            record["macs_per_clock"] = round(rate, 4)
            for whose, fj in both.items():
                for kind, each in zip(("settled", "timed"), fj, strict=True):
                    record[f"{whose}{kind}_fj_per_mac"] = round(each / rate, 4)
        return record


def figures_of(
    netlists: Mapping[str, Netlist],
    chosen: str,
    technology: Technology,
    stimulus: Stimulus,
    elements: frozenset[str],
) -> Figures:
    """The figures of the netlist of the recipe `chosen`, and the energy of all others."""
    recipes = {
        recipe: energy(netlist, technology, stimulus.ports, skip=stimulus.skip) for recipe, netlist in netlists.items()
    }
    found, modules = recipes[chosen], netlists[chosen].modules
    inside = [fj for scope, fj in found.by_scope.items() if modules.get(scope) in elements]
    both = sum(settled for settled, _ in inside), sum(timed for _, timed in inside)
    return Figures(found, stimulus.products, both if stimulus.products else None, recipes)
