"""A sweep: designs through generation, simulation, synthesis and accuracy; a row for each, technology and data set."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from amhw.families import Masked
from amhw.families.exact import exact_structures
from amhw.imports import Imported
from amhw.results import Record, Results, Task, run
from amhw.study import stages
from amhw.study.plan import Data, Entry, Plan
from amhw.synth import noise_band
from amhw.verilog import Design


@dataclass(frozen=True)
class Row:
    """What is known of one design in one technology, with one data set.

    Attributes:
        name: the design.
        source: what `amhw.imports.source.table_of` finds it by: its name, or the path of the import's manifest.
        group: its label in the study.
        kept: partial products kept, where the multiplier is a mask.
        products: simulated operand pairs that matched the golden model, of how many; empty for an import, whose
            table is its Verilog, simulated.
        area_um2, area_recipe: of the smallest netlist that any recipe gave.
        delay_ps, delay_recipe: critical path of the fastest netlist that any recipe gave.
        area_ratio: area_um2 over that of the smallest exact multiplier.
        delay_ratio: delay_ps over that of the fastest exact multiplier.
        area_noise, delay_noise: the study's noise bands, relative: of two designs whose areas (delays) differ by
            less, neither wins (see `amhw.synth.noise`).
        balanced_area_um2, balanced_delay_ps, balanced_recipe: both figures of one netlist, that with the least
            area × delay.
        correct, images, accuracy: correct predictions, images and their fraction.
        tech: where area and delay come from.
        data: whose test images.
        network: hash of the quantised network.
        failure: why a stage has no result, or empty.
    """

    name: str
    source: str
    group: str
    kept: int | None
    products: str
    area_um2: float | None
    area_recipe: str
    area_ratio: float | None
    delay_ps: float | None
    delay_recipe: str
    delay_ratio: float | None
    area_noise: float | None
    delay_noise: float | None
    balanced_area_um2: float | None
    balanced_delay_ps: float | None
    balanced_recipe: str
    correct: int | None
    images: int | None
    accuracy: float | None
    tech: str
    data: str
    network: str
    failure: str


@dataclass(frozen=True)
class Event:
    """One stage of one design has ended: how, and whether its result was in the file already."""

    design: str
    stage: str
    known: bool
    failure: str | None


class Sweep:
    """A plan and the tasks that it takes.

    Making one generates the Verilog and finds every refusal; `run` computes.

    Raises:
        Refusal: an operand, layer, technology, network or data set cannot be used.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        for technology in plan.technologies:
            stages.technology_named(technology)
        self._exact = _exact_designs(plan.entries[0].design)
        designs = list(dict.fromkeys(entry.design for entry in plan.entries))
        synthesised = list(dict.fromkeys([*designs, *self._exact]))
        self._accuracy = {
            (entry, data): stages.accuracy(entry.source, plan.layers, data_dir=data.folder, network=entry.network)
            for entry in plan.entries
            for data in plan.data
        }
        sources = {design: _verilog(design) for design in synthesised}
        self._simulation: dict[Design | Imported, Task] = {
            d: stages.simulation(d, sources[d][0], plan.simulator) for d in designs if isinstance(d, Design)
        }
        named = {entry.design: entry.source for entry in plan.entries}
        self._synthesis = {
            (d, technology): stages.synthesis(text, top, technology, named.get(d, d.name))
            for d, (text, top) in sources.items()
            if text
            for technology in plan.technologies
        }
        # Where one simulation takes ten seconds and a synthesis one, the long ones go first.
        self._wanted: list[tuple[str, str, Task]] = [
            *(("simulation", d.name, task) for d, task in self._simulation.items()),
            *(("synthesis", d.name, task) for (d, _), task in self._synthesis.items()),
            *(("accuracy", entry.design.name, task) for (entry, _), task in self._accuracy.items()),
        ]

    def __len__(self) -> int:
        """The number of tasks."""
        return len(self._wanted)

    def run(
        self, results: Results, executor: Executor, report: Callable[[Event], None] = lambda event: None
    ) -> list[Row]:
        """Compute what `results` does not hold yet; a row for each design, technology and data set.

        Each result is stored as soon as it is there. A stage that fails costs that stage of that design.

        Args:
            report: hears of every task that ends.
        """
        same: dict[str, list[tuple[str, str]]] = {}
        for stage, name, task in self._wanted:
            same.setdefault(task.key, []).append((stage, name))
        tasks = {task.key: task for *_, task in self._wanted}
        outcomes: dict[str, Record | Exception] = {}
        for task, outcome, known in run(tasks.values(), results, executor):
            outcomes[task.key] = outcome
            for stage, name in same[task.key]:
                report(Event(name, stage, known, str(outcome) if isinstance(outcome, Exception) else None))
        bands = self._noise_bands(outcomes)
        return [
            self._row(entry, technology, data, outcomes, bands)
            for data in self.plan.data
            for technology in self.plan.technologies
            for entry in self.plan.entries
        ]

    def _noise_bands(self, outcomes: dict[str, Record | Exception]) -> dict[tuple[str, str], float]:
        """The noise band of each technology's areas and delays, from all designs that were synthesised in it."""
        records: dict[str, list[Record]] = {}
        for (_, technology), task in self._synthesis.items():
            if isinstance(record := outcomes[task.key], dict):
                records.setdefault(technology, []).append(record)
        return {
            (technology, figure): noise_band(known, figure)
            for technology, known in records.items()
            for figure in ("area", "delay")
        }

    def _row(
        self,
        entry: Entry,
        technology: str,
        data: Data,
        outcomes: dict[str, Record | Exception],
        bands: dict[tuple[str, str], float],
    ) -> Row:
        failures = []

        def of(stage: str, task: Task | None) -> Record:
            outcome = {} if task is None else outcomes[task.key]
            if isinstance(outcome, Exception):
                failures.append(f"{stage}: {outcome}")
                return {}
            return outcome

        simulated = of("simulation", self._simulation.get(entry.design))
        synthesised = of("synthesis", self._synthesis.get((entry.design, technology)))
        scored = of("accuracy", self._accuracy[entry, data])
        if simulated and not simulated["passed"]:
            failures.append(f"simulation: products differ, first {simulated['first_difference']}")
        exact = [outcomes[self._synthesis[design, technology].key] for design in self._exact]
        baselines = [record for record in exact if isinstance(record, dict)]
        smallest, fastest = synthesised.get("best_area", {}), synthesised.get("best_delay", {})

        def ratio(best: str, figure: str) -> float | None:
            if not synthesised or not baselines:
                return None
            return float(synthesised[best][figure] / min(record[best][figure] for record in baselines))

        return Row(
            name=entry.design.name,
            source=entry.source,
            group=entry.group,
            kept=kept(entry.design),
            products=f"{simulated['matched']}/{simulated['pairs']}" if simulated else "",
            area_um2=smallest.get("area_um2"),
            area_recipe=smallest.get("recipe", ""),
            area_ratio=ratio("best_area", "area_um2"),
            delay_ps=fastest.get("delay_ps"),
            delay_recipe=fastest.get("recipe", ""),
            delay_ratio=ratio("best_delay", "delay_ps"),
            area_noise=bands.get((technology, "area")),
            delay_noise=bands.get((technology, "delay")),
            balanced_area_um2=synthesised.get("area_um2"),
            balanced_delay_ps=synthesised.get("delay_ps"),
            balanced_recipe=synthesised.get("recipe", ""),
            correct=scored.get("correct"),
            images=scored.get("images"),
            accuracy=scored.get("accuracy"),
            tech=synthesised.get("tech", Path(technology).name),
            data=data.name,
            network=scored.get("network_sha256", ""),
            failure="; ".join(failures),
        )


def write_csv(rows: Iterable[Row]) -> str:
    """The rows as CSV with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return text.getvalue()


def kept(design: Design | Imported) -> int | None:
    """Partial products kept, where the multiplier is a mask."""
    multiplier = design.multiplier if isinstance(design, Design) else None
    return multiplier.kept if isinstance(multiplier, Masked) else None


def _verilog(design: Design | Imported) -> tuple[str, str]:
    """A design's Verilog and top module; empty where an import is only a table."""
    if isinstance(design, Imported):
        return design.verilog or "", design.top or ""
    return design.verilog(), design.name


def _exact_designs(design: Design | Imported) -> Sequence[Design]:
    """The exact multipliers with the operands of the first design."""
    first = design.table if isinstance(design, Imported) else design.multiplier
    found = exact_structures(first.width_a, first.width_b, signed_a=first.signed_a, signed_b=first.signed_b)
    return [Design(multiplier, tree, adder) for multiplier, tree, adder in found]
