"""A sweep: designs through generation, simulation, synthesis and accuracy; a row for each, technology and data set."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, fields
from typing import Any

from amhw.families import Masked
from amhw.families.exact import exact_structures
from amhw.imports import Imported
from amhw.results import Record, Results, Task, run
from amhw.study import stages
from amhw.study.plan import Data, Entry, Plan
from amhw.synth import noise_band
from amhw.synth.store import technology_named
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
        energy_fj, energy_settled_fj: of an operation with hazards and without (see `amhw.synth.energy`), of that
            netlist; where the plan asks for energy.
        energy_ratio: energy_fj over that of the exact multiplier that needs least.
        correct, images, accuracy: correct predictions, images and their fraction.
        exact_accuracy: with exact products in the plan's network.
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
    energy_fj: float | None
    energy_settled_fj: float | None
    energy_ratio: float | None
    correct: int | None
    images: int | None
    accuracy: float | None
    exact_accuracy: float | None
    tech: str
    data: str
    network: str
    failure: str


@dataclass(frozen=True)
class Exact:
    """The best that exact multipliers reach in a technology and on a data set: what ratios and losses are against.

    Each figure is the best over several structures and all recipes; they are of different netlists.
    """

    tech: str
    data: str
    accuracy: float | None
    area_um2: float | None
    delay_ps: float | None
    energy_fj: float | None


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
            technology_named(technology)
        self._exact = _exact_designs(plan.entries[0].design)
        designs = list(dict.fromkeys(entry.design for entry in plan.entries))
        synthesised = list(dict.fromkeys([*designs, *self._exact]))
        self._accuracy = {
            (entry, data): stages.accuracy(
                entry.source, plan.layers, data_dir=data.folder, network=entry.network or plan.network
            )
            for entry in plan.entries
            for data in plan.data
        }
        self._exact_accuracy = {
            data: stages.accuracy(self._exact[0].name, plan.layers, data_dir=data.folder, network=plan.network)
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
        self._energy = {
            (entry, technology): stages.energy(
                *sources[entry.design],
                technology,
                entry.source,
                plan.energy,
                entry.network or plan.network,
                plan.data[0].folder,
            )
            for entry in [*plan.entries, *(Entry(design, design.name) for design in self._exact)]
            if plan.energy and sources[entry.design][0]
            for technology in plan.technologies
        }
        # Where one simulation takes ten seconds and a synthesis one, the long ones go first.
        self._wanted: list[tuple[str, str, Task]] = [
            *(("simulation", d.name, task) for d, task in self._simulation.items()),
            *(("synthesis", d.name, task) for (d, _), task in self._synthesis.items()),
            *(("energy", entry.design.name, task) for (entry, _), task in self._energy.items()),
            *(("accuracy", entry.design.name, task) for (entry, _), task in self._accuracy.items()),
            *(("accuracy", self._exact[0].name, task) for task in self._exact_accuracy.values()),
        ]

    def __len__(self) -> int:
        """The number of tasks."""
        return len(self._wanted)

    def run(
        self, results: Results, executor: Executor, report: Callable[[Event], None] = lambda event: None
    ) -> tuple[list[Row], list[Exact]]:
        """Compute what `results` does not hold yet; a row for each design, technology and data set, and what the
        exact multipliers reach there.

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
        exact = {
            (technology, data): self._best_exact(technology, data, outcomes)
            for data in self.plan.data
            for technology in self.plan.technologies
        }
        rows = [
            self._row(entry, technology, data, outcomes, bands, best)
            for (technology, data), best in exact.items()
            for entry in self.plan.entries
        ]
        return rows, list(exact.values())

    def _best_exact(self, technology: str, data: Data, outcomes: dict[str, Record | Exception]) -> Exact:
        def best(tasks: Iterable[Task], *path: str) -> float | None:
            found = []
            for task in tasks:
                figure: Any = outcomes[task.key]
                if isinstance(figure, Exception):
                    continue
                for step in path:
                    figure = figure[step]
                found.append(float(figure))
            return min(found, default=None)

        synthesised = [self._synthesis[design, technology] for design in self._exact]
        energies = [
            task for (entry, tech), task in self._energy.items() if entry.design in self._exact and tech == technology
        ]
        return Exact(
            tech=technology_named(technology).name,
            data=data.name,
            accuracy=best([self._exact_accuracy[data]], "accuracy"),
            area_um2=best(synthesised, "best_area", "area_um2"),
            delay_ps=best(synthesised, "best_delay", "delay_ps"),
            energy_fj=best(energies, "timed_fj"),
        )

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
        exact: Exact,
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
        powered = of("energy", self._energy.get((entry, technology)))
        smallest, fastest = synthesised.get("best_area", {}), synthesised.get("best_delay", {})

        def ratio(figure: float | None, best: float | None) -> float | None:
            return None if figure is None or best is None else figure / best

        return Row(
            name=entry.design.name,
            source=entry.source,
            group=entry.group,
            kept=kept(entry.design),
            products=f"{simulated['matched']}/{simulated['pairs']}" if simulated else "",
            area_um2=smallest.get("area_um2"),
            area_recipe=smallest.get("recipe", ""),
            area_ratio=ratio(smallest.get("area_um2"), exact.area_um2),
            delay_ps=fastest.get("delay_ps"),
            delay_recipe=fastest.get("recipe", ""),
            delay_ratio=ratio(fastest.get("delay_ps"), exact.delay_ps),
            area_noise=bands.get((technology, "area")),
            delay_noise=bands.get((technology, "delay")),
            balanced_area_um2=synthesised.get("area_um2"),
            balanced_delay_ps=synthesised.get("delay_ps"),
            balanced_recipe=synthesised.get("recipe", ""),
            energy_fj=powered.get("timed_fj"),
            energy_settled_fj=powered.get("settled_fj"),
            energy_ratio=ratio(powered.get("timed_fj"), exact.energy_fj),
            correct=scored.get("correct"),
            images=scored.get("images"),
            accuracy=scored.get("accuracy"),
            exact_accuracy=exact.accuracy,
            tech=exact.tech,
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
