"""What became of a study's tasks, as rows of a table."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from amhw.families import Masked
from amhw.results import Outcomes, R, Task
from amhw.stages.synthesis import Synthesised
from amhw.study.plan import Data, PlannedDesign
from amhw.study.record import Exact, Row
from amhw.study.tasks import AnyDesign, Costs, Tasks
from amhw.synth import noise_band
from amhw.synth.store import technology_named
from amhw.verilog import Design

T = TypeVar("T")
F = TypeVar("F")


def rows_of(tasks: Tasks, costs: Costs, outcomes: Outcomes) -> tuple[tuple[Row, ...], tuple[Exact, ...]]:
    """A row for each design, technology and data set, and what the exact multipliers reach there."""
    found = _Found(tasks, costs, outcomes)
    exact = {
        (technology, data): found.best_exact(technology, data)
        for data in tasks.plan.data
        for technology in tasks.plan.technologies
    }
    bands = {technology: found.noise_bands(technology) for technology in tasks.plan.technologies}
    rows = [
        found.row(planned, technology, data, bands[technology], best)
        for (technology, data), best in exact.items()
        for planned in tasks.plan.designs
    ]
    return tuple(rows), tuple(exact.values())


@dataclass(frozen=True)
class _Found:
    """All tasks, and what became of them."""

    tasks: Tasks
    costs: Costs
    outcomes: Outcomes

    def records(self, tasks: Iterable[Task[R]]) -> list[R]:
        """The records of those that did not fail."""
        found = (self.outcomes[task] for task in tasks)
        return [record for record in found if not isinstance(record, Exception)]

    def synthesised(self, technology: str) -> list[Synthesised]:
        """Of all designs."""
        return self.records(task for (_, tech), task in self.costs.synthesis.items() if tech == technology)

    def noise_bands(self, technology: str) -> tuple[float, float] | None:
        """Of a technology's areas and delays, from all designs that were synthesised in it."""
        known = self.synthesised(technology)
        return (noise_band(s.area_noise for s in known), noise_band(s.delay_noise for s in known)) if known else None

    def best_exact(self, technology: str, data: Data) -> Exact:
        """The best of each figure over the exact multipliers."""
        exact = {planned.design for planned in self.tasks.exact}
        synthesis, energy = self.costs.synthesis, self.costs.energy
        costs = self.records(task for (d, tech), task in synthesis.items() if d in exact and tech == technology)
        energies = self.records(task for (p, tech), task in energy.items() if p.design in exact and tech == technology)
        structures = [cost.as_designed for cost in costs if cost.as_designed is not None]
        scores = self.records([self.tasks.exact_scores[data]])
        return Exact(
            tech=technology_named(technology).name,
            data=data.name,
            accuracy=min((score.accuracy for score in scores), default=None),
            area_um2=min((cost.smallest.area_um2 for cost in costs), default=None),
            delay_ps=min((cost.fastest.delay_ps for cost in costs), default=None),
            energy_fj=min((energy.timed_fj for energy in energies), default=None),
            as_designed_area_um2=min((kept.area_um2 for kept in structures), default=None),
            as_designed_delay_ps=min((kept.delay_ps for kept in structures), default=None),
        )

    def row(
        self,
        planned: PlannedDesign,
        technology: str,
        data: Data,
        bands: tuple[float, float] | None,
        exact: Exact,
    ) -> Row:
        """What is known of a design in a technology, with a data set."""
        failures: list[str] = []

        def of(stage: str, task: Task[R] | None) -> R | None:
            outcome = None if task is None else self.outcomes[task]
            if isinstance(outcome, Exception):
                failures.append(f"{stage}: {outcome}")
                return None
            return outcome

        design = planned.design
        of("emission", self.tasks.emission.get(design) if isinstance(design, Design) else None)
        simulated = of("simulation", self.costs.simulation.get(design))
        if simulated is not None and not simulated.passed:
            failures.append(f"simulation: products differ, first {simulated.first_difference}")
        synthesised = of("synthesis", self.costs.synthesis.get((design, technology)))
        scored = of("accuracy", self.tasks.scores[planned, data])
        powered = of("energy", self.costs.energy.get((planned, technology)))
        area = _figure(synthesised, lambda s: s.smallest.area_um2)
        delay = _figure(synthesised, lambda s: s.fastest.delay_ps)
        kept = None if synthesised is None else synthesised.as_designed
        timed = _figure(powered, lambda e: e.timed_fj)
        return Row(
            name=design.name,
            source=planned.source,
            group=planned.group,
            kept=_kept(design),
            products=_figure(simulated, lambda s: f"{s.matched}/{s.pairs}") or "",
            area_um2=area,
            area_recipe=_figure(synthesised, lambda s: s.smallest.recipe) or "",
            area_ratio=_ratio(area, exact.area_um2),
            delay_ps=delay,
            delay_recipe=_figure(synthesised, lambda s: s.fastest.recipe) or "",
            delay_ratio=_ratio(delay, exact.delay_ps),
            area_noise=_figure(bands, lambda b: b[0]),
            delay_noise=_figure(bands, lambda b: b[1]),
            balanced_area_um2=_figure(synthesised, lambda s: s.balanced.area_um2),
            balanced_delay_ps=_figure(synthesised, lambda s: s.balanced.delay_ps),
            balanced_recipe=_figure(synthesised, lambda s: s.balanced.recipe) or "",
            energy_fj=timed,
            energy_settled_fj=_figure(powered, lambda e: e.settled_fj),
            energy_ratio=_ratio(timed, exact.energy_fj),
            correct=_figure(scored, lambda s: s.correct),
            images=_figure(scored, lambda s: s.images),
            accuracy=_figure(scored, lambda s: s.accuracy),
            exact_accuracy=exact.accuracy,
            tech=exact.tech,
            data=data.name,
            network=self.tasks.networks[planned].sha256 if scored is not None else "",
            network_name=self.tasks.networks[planned].network.name,
            trained_on=str(self.tasks.networks[planned].network.trained_on or ""),
            other_data=self.tasks.other_data[planned, data] or "",
            failure="; ".join(failures),
            as_designed_area_um2=_figure(kept, lambda k: k.area_um2),
            as_designed_area_ratio=_ratio(_figure(kept, lambda k: k.area_um2), exact.as_designed_area_um2),
            as_designed_delay_ps=_figure(kept, lambda k: k.delay_ps),
            as_designed_delay_ratio=_ratio(_figure(kept, lambda k: k.delay_ps), exact.as_designed_delay_ps),
        )


def _figure(record: T | None, read: Callable[[T], F]) -> F | None:
    """What is read from a record, or None where there is none."""
    return None if record is None else read(record)


def _ratio(figure: float | None, best: float | None) -> float | None:
    return None if figure is None or not best else figure / best


def _kept(design: AnyDesign) -> int | None:
    """Partial products kept, where the multiplier is a mask."""
    multiplier = design.multiplier if isinstance(design, Design) else None
    return multiplier.kept if isinstance(multiplier, Masked) else None
