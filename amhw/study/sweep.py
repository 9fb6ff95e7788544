"""A sweep: designs through generation, simulation, synthesis and accuracy, one row each."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, fields

from amhw.families import Masked
from amhw.multiplier import Multiplier
from amhw.results import Record, Results, Task, run
from amhw.study import stages
from amhw.verilog import Design

MASKS_OF_THE_DEMO = (
    "full",
    "columns>=4",
    "columns>=6",
    "0,80,c0,e0,f0,f8,fc,fe",
    "0,0,0,20,f8,f8,fc,fe",
    "columns>=9",
    "0,0,0,0,20,f0,f8,fc",
    "0,0,0,0,0,e0,f0,f8",
    "0,0,0,0,0,e0,e0,e0",
    "0,0,0,0,0,c0,e0,e0",
    "0,0,0,0,0,0,f0,f0",
    "0,0,0,0,0,0,e0,e0",
)
"""From exact to six partial products, as rows from a_0 up."""

EXACT_STRUCTURES = (("dadda", "auto"), ("dadda", "brent-kung"), ("wallace", "kogge-stone"), ("array", "ripple"))
"""The exact multipliers among which the smallest and the fastest are the baseline of every ratio."""


@dataclass(frozen=True)
class Row:
    """What is known of one design.

    Attributes:
        name: the design.
        kept: partial products kept, where the multiplier is a mask.
        products: simulated operand pairs that matched the golden model, of how many.
        area_um2, area_recipe: of the smallest netlist that any recipe gave.
        delay_ps, delay_recipe: critical path of the fastest netlist that any recipe gave.
        area_ratio: area_um2 over that of the smallest exact multiplier.
        delay_ratio: delay_ps over that of the fastest exact multiplier.
        balanced_area_um2, balanced_delay_ps, balanced_recipe: both figures of one netlist, that with the least
            area × delay.
        correct, images, accuracy: correct predictions, images and their fraction.
        tech: where area and delay come from.
        failure: why a stage has no result, or empty.
    """

    name: str
    kept: int | None
    products: str
    area_um2: float | None
    area_recipe: str
    area_ratio: float | None
    delay_ps: float | None
    delay_recipe: str
    delay_ratio: float | None
    balanced_area_um2: float | None
    balanced_delay_ps: float | None
    balanced_recipe: str
    correct: int | None
    images: int | None
    accuracy: float | None
    tech: str
    failure: str


@dataclass(frozen=True)
class Event:
    """One stage of one design has ended: how, and whether its result was in the file already."""

    design: str
    stage: str
    known: bool
    failure: str | None


def demo_designs() -> list[Design]:
    """The designs of the demonstration: u8s8 masks from exact to six partial products."""
    masked = [Masked.from_text(text, 8, 8, signed_b=True) for text in MASKS_OF_THE_DEMO]
    return [Design(multiplier) for multiplier in masked]


class Sweep:
    """Designs and the stages that each goes through.

    Making one generates the Verilog and finds every refusal; `run` computes.

    Args:
        designs: what to study; the rows are in their order.
        technology: a shipped technology's name or a Liberty file's path.
        layers: of the network, which use the multiplier.
        data_dir: folder of an IDX data set; default the packaged MNIST test set.
        simulator: see `amhw.sim.simulate`.

    Raises:
        Refusal: an operand, layer, technology or data set cannot be used.
    """

    def __init__(
        self,
        designs: Sequence[Design],
        *,
        technology: str = "sky130hd",
        layers: tuple[str, ...] = ("conv1", "conv2"),
        data_dir: str | None = None,
        simulator: str | None = None,
    ) -> None:
        self.designs = list(designs)
        self.technology = technology
        stages.technology_named(technology)
        self._exact = _exact_designs(self.designs)
        synthesised = list(dict.fromkeys([*self.designs, *self._exact]))
        accuracies = [stages.accuracy(design.multiplier.name, layers, data_dir) for design in self.designs]
        texts = {design: design.verilog() for design in synthesised}
        # Where one simulation takes ten seconds and a synthesis one, the long ones go first.
        self._stages: list[tuple[str, Design, Task]] = [
            *(("simulation", d, stages.simulation(d, texts[d], simulator)) for d in self.designs),
            *(("synthesis", d, stages.synthesis(texts[d], d.name, technology)) for d in synthesised),
            *(("accuracy", d, task) for d, task in zip(self.designs, accuracies, strict=True)),
        ]

    def __len__(self) -> int:
        """The number of stages."""
        return len(self._stages)

    def run(
        self, results: Results, executor: Executor, report: Callable[[Event], None] = lambda event: None
    ) -> list[Row]:
        """Compute what `results` does not hold yet, and return a row for each design.

        Each result is stored as soon as it is there. A stage that fails costs that stage of that design.

        Args:
            report: hears of every stage that ends.
        """
        same: dict[str, list[tuple[str, Design]]] = {}
        for stage, design, task in self._stages:
            same.setdefault(task.key, []).append((stage, design))
        tasks = {task.key: task for _, _, task in self._stages}
        outcomes: dict[tuple[str, Design], Record | Exception] = {}
        for task, outcome, known in run(tasks.values(), results, executor):
            for stage, design in same[task.key]:
                outcomes[stage, design] = outcome
                failure = str(outcome) if isinstance(outcome, Exception) else None
                report(Event(design.name, stage, known, failure))
        return [_row(design, outcomes, self._exact, self.technology) for design in self.designs]


def write_csv(rows: Iterable[Row]) -> str:
    """The rows as CSV with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return text.getvalue()


def _exact_designs(designs: Sequence[Design]) -> list[Design]:
    """The exact multipliers with the operands of the first design."""
    first = designs[0].multiplier
    exact = Masked.exact(first.width_a, first.width_b, signed_a=first.signed_a, signed_b=first.signed_b)
    return [Design(exact, tree, adder) for tree, adder in EXACT_STRUCTURES]


def _row(
    design: Design, outcomes: dict[tuple[str, Design], Record | Exception], exact: list[Design], technology: str
) -> Row:
    failures = []

    def of(stage: str) -> Record:
        outcome = outcomes[stage, design]
        if isinstance(outcome, Exception):
            failures.append(f"{stage}: {outcome}")
            return {}
        return outcome

    simulated, synthesised, scored = of("simulation"), of("synthesis"), of("accuracy")
    if simulated and not simulated["passed"]:
        failures.append(f"simulation: products differ, first {simulated['first_difference']}")
    baselines = [record for d in exact if isinstance(record := outcomes["synthesis", d], dict)]

    smallest, fastest = synthesised.get("best_area", {}), synthesised.get("best_delay", {})

    def ratio(best: str, figure: str) -> float | None:
        if not synthesised or not baselines:
            return None
        return float(synthesised[best][figure] / min(record[best][figure] for record in baselines))

    return Row(
        name=design.name,
        kept=kept(design.multiplier),
        products=f"{simulated['matched']}/{simulated['pairs']}" if simulated else "",
        area_um2=smallest.get("area_um2"),
        area_recipe=smallest.get("recipe", ""),
        area_ratio=ratio("best_area", "area_um2"),
        delay_ps=fastest.get("delay_ps"),
        delay_recipe=fastest.get("recipe", ""),
        delay_ratio=ratio("best_delay", "delay_ps"),
        balanced_area_um2=synthesised.get("area_um2"),
        balanced_delay_ps=synthesised.get("delay_ps"),
        balanced_recipe=synthesised.get("recipe", ""),
        correct=scored.get("correct"),
        images=scored.get("images"),
        accuracy=scored.get("accuracy"),
        tech=synthesised.get("tech", technology),
        failure="; ".join(failures),
    )


def kept(multiplier: Multiplier) -> int | None:
    """Partial products kept, where the multiplier is a mask."""
    return multiplier.kept if isinstance(multiplier, Masked) else None
