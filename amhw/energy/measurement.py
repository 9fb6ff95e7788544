"""Energy of a work's netlists: synthesised, driven by what its inputs see, and counted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from amhw.energy.figures import Figures, figures_of
from amhw.energy.workloads import Work
from amhw.network.trained_on import Meeting
from amhw.synth import RECIPES, Recipe, Synthesiser, SynthesisResult, Technology
from amhw.synth.clocked import clock_of
from amhw.synth.energy import ASSUMPTIONS, CLOCK_ASSUMPTION


@dataclass(frozen=True)
class Measurement:
    """What was found, in femtojoules (1 fJ = 10⁻¹⁵ J) per operation or, where there is a clock, per clock.

    Attributes:
        result: the synthesis; figures are of its `best_product`.
        technology: the cells.
        clock: its name, or None in a combinational design.
        figures: by what the inputs see.
        network_sha256: of the network whose operands are among them, if any.
        meeting: that network, and the data set whose images it saw.
    """

    result: SynthesisResult
    technology: Technology
    clock: str | None
    figures: Mapping[str, Figures]
    network_sha256: str | None
    meeting: Meeting | None

    @property
    def assumptions(self) -> str:
        """What the figures leave out."""
        return ASSUMPTIONS if self.clock is None else f"{ASSUMPTIONS}; {CLOCK_ASSUMPTION}"

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "design": self.result.top,
            "tech": self.technology.name,
            "tech_sha256": self.technology.sha256,
            "recipe": self.result.best_product.recipe,
            "area_um2": self.result.area_um2,
            "delay_ps": self.result.delay_ps,
            "network_sha256": self.network_sha256,
            **({} if self.meeting is None else self.meeting.record()),
            "clock": self.clock,
            "operands": {given: figures.record() for given, figures in self.figures.items()},
            "assumptions": self.assumptions,
        }


def measure(
    work: Work,
    technology: Technology,
    recipes: Sequence[Recipe] = RECIPES,
    report: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Measurement:
    """Synthesise `work` and count the energy of each recipe's netlist under each stimulus.

    Args:
        work: a design and what its inputs see.
        technology: the cells; which must say their voltage.
        recipes: of synthesis.
        report: is told what is done now, how many stimuli are counted, and of how many.

    Raises:
        Refusal: the design cannot be used, or its inputs and the stimuli do not fit each other.
        SynthesisError: the tool failed with every recipe.
    """
    with Synthesiser(technology, recipes, workers=1, netlists=True, timeout=3600 if work.apart else 300) as synthesiser:
        result = work.synthesised(synthesiser)
    netlists = {mapping.recipe: mapping.gates for mapping in result.mappings if mapping.gates is not None}
    chosen = result.best_product.recipe
    clock = clock_of(netlists[chosen])
    stimuli = work.stimuli(netlists[chosen], clock)
    figures = {}
    for done, (given, stimulus) in enumerate(stimuli.items()):
        report(f"counting, {given}", done, len(stimuli))
        figures[given] = figures_of(netlists, chosen, technology, stimulus, work.elements)
    return Measurement(result, technology, clock, figures, work.network_sha256, work.meeting)
