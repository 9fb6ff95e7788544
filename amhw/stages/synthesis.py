"""The stage *synthesise*: what a design's Verilog costs with each recipe of a set."""

import functools
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

from amhw.documents import Amount, Record
from amhw.results import Task
from amhw.stages.content import technology_at
from amhw.stages.keys import Stage, digest_of
from amhw.synth import BOTH_KINDS, Expected, Mapping, Recipe, Synthesiser
from amhw.synth.store import technology_named


@dataclass(frozen=True)
class Implementation:
    """One mapped netlist of a design: both figures are of the same circuit.

    Attributes:
        recipe: the name of the `amhw.synth.Recipe` that gave it.
    """

    design: str
    recipe: str
    area_um2: Amount
    delay_ps: Amount


def smallest(implementations: Sequence[Implementation]) -> Implementation:
    """The least area; of equals the fastest."""
    return min(implementations, key=lambda i: (i.area_um2, i.delay_ps))


def fastest(implementations: Sequence[Implementation]) -> Implementation:
    """The least delay; of equals the smallest."""
    return min(implementations, key=lambda i: (i.delay_ps, i.area_um2))


def balanced(implementations: Sequence[Implementation]) -> Implementation:
    """The least area × delay; of equals the smallest."""
    return min(implementations, key=lambda i: (i.area_um2 * i.delay_ps, i.area_um2, i.delay_ps))


@dataclass(frozen=True)
class Synthesised(Record):
    """What the recipes of a set made of a design.

    Attributes:
        implementations: restructured, one for each recipe that did not fail, in their order.
        as_designed: the netlist that keeps the structure, if the set has that recipe and it did not fail.
        area_noise, delay_noise: how far apart the two best recipes of one aim are, see `amhw.synth.SynthesisResult`.
        verified: how every netlist was checked.
        failures: recipes that failed, and why.
    """

    implementations: tuple[Implementation, ...]
    as_designed: Implementation | None
    area_noise: Amount
    delay_noise: Amount
    verified: str
    failures: tuple[tuple[str, str], ...]

    @property
    def smallest(self) -> Implementation:
        return smallest(self.implementations)

    @property
    def fastest(self) -> Implementation:
        return fastest(self.implementations)

    @property
    def balanced(self) -> Implementation:
        return balanced(self.implementations)


def synthesis(
    verilog: str, top: str, technology: str, expected: Expected, recipes: tuple[Recipe, ...] = BOTH_KINDS
) -> Task[Synthesised]:
    """Synthesise the module `top` of a text with every recipe of a set.

    Args:
        technology: a shipped or imported technology's name, or the path of a Liberty file.
        expected: what every netlist must compute.

    Raises:
        Refusal: there is no such technology.
    """
    inputs = inputs_of(verilog, top, technology, expected, recipes)
    return SYNTHESISE.task(inputs, verilog, top, technology, inputs["technology"], expected, recipes)


def inputs_of(
    verilog: str, top: str, technology: str, expected: Expected, recipes: tuple[Recipe, ...]
) -> dict[str, Any]:
    """What a netlist depends on beside source and versions."""
    return {
        "verilog": digest_of(verilog),
        "top": top,
        "technology": technology_named(technology).sha256,
        "products": expected.sha256,
        "recipes": [astuple(recipe) for recipe in recipes],
    }


@functools.cache
def synthesiser(technology: str, sha256: str, netlists: bool = False) -> Synthesiser:
    """One warm Yosys process for each worker process; it ends when its worker does."""
    return Synthesiser(technology_at(technology, sha256), workers=1, netlists=netlists)


def _synthesise(
    verilog: str, top: str, technology: str, sha256: str, expected: Expected, recipes: tuple[Recipe, ...]
) -> Synthesised:
    result = synthesiser(technology, sha256).submit(verilog, top, expected, recipes=recipes).result()
    kept = result.as_designed
    return Synthesised(
        tuple(_implementation(top, found) for found in result.restructured),
        None if kept is None else _implementation(top, kept),
        round(result.noise("area"), 5),
        round(result.noise("delay"), 5),
        result.verified,
        result.failures,
    )


def _implementation(top: str, mapping: Mapping) -> Implementation:
    return Implementation(top, mapping.recipe, mapping.area_um2, mapping.delay_ps)


PROCESSES = ("amhw.synth.worker", "amhw.hdl.reading")
"""What runs beside this process: Yosys in its own."""

GIVEN = ("amhw.stages.content", "amhw.synth.recipe", "amhw.synth.store")
"""What gives technologies and recipes, whose content is among the inputs."""

SYNTHESISE = Stage("synthesise", Synthesised, _synthesise, runs=PROCESSES, given=GIVEN)
