"""A sweep: the tasks of a plan, computed and put into a table."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, fields, replace

from amhw.documents import Record
from amhw.results import Outcomes, Results, Task, run
from amhw.study.plan import Plan
from amhw.study.record import Exact, Row
from amhw.study.rows import rows_of
from amhw.study.tasks import Tasks


@dataclass(frozen=True)
class Event:
    """One stage of one design has ended: how, and whether its result was in the store already."""

    design: str
    stage: str
    known: bool
    failure: str | None


class Sweep:
    """A plan on its way through the stages.

    Making one finds every refusal; `run` computes.

    Raises:
        Refusal: an operand, layer, technology, network or data set cannot be used.
    """

    def __init__(self, plan: Plan) -> None:
        self._tasks = Tasks(plan)

    @property
    def notes(self) -> list[str]:
        """Which networks meet other data than they were trained on, a sentence each."""
        return list(dict.fromkeys(note for note in self._tasks.other_data.values() if note is not None))

    def __len__(self) -> int:
        """The number of tasks."""
        return len(self._tasks)

    def run(
        self, results: Results, executor: Executor, report: Callable[[Event], None] = lambda event: None
    ) -> tuple[tuple[Row, ...], tuple[Exact, ...]]:
        """Compute what `results` does not hold yet; a row for each design, technology and data set, and what the
        exact multipliers reach there.

        Each result is stored as soon as it is there. A stage that fails costs that stage of that design.

        Args:
            report: hears of every task that ends.
        """
        outcomes = Outcomes()

        def compute(wanted: Sequence[tuple[str, str, Task[Record]]]) -> None:
            same: dict[str, list[tuple[str, str]]] = {}
            for stage, name, task in wanted:
                same.setdefault(task.key, []).append((stage, name))
            different = {task.key: task for *_, task in wanted}
            for task, outcome, known in run(different.values(), results, executor):
                outcomes.add(task, outcome)
                for stage, name in same[task.key]:
                    report(Event(name, stage, known, str(outcome) if isinstance(outcome, Exception) else None))

        tasks = self._tasks
        compute([("emission", design.name, task) for design, task in tasks.emission.items()])
        emitted = {design: outcomes[task] for design, task in tasks.emission.items()}
        texts = {design: text for design, text in emitted.items() if not isinstance(text, Exception)}
        costs = tasks.costs(texts)
        # Where one simulation takes ten seconds and a synthesis one, the long ones go first.
        compute(
            [
                *(("simulation", design.name, task) for design, task in costs.simulation.items()),
                *(("synthesis", design.name, task) for (design, _), task in costs.synthesis.items()),
                *(("accuracy", planned.design.name, task) for (planned, _), task in tasks.scores.items()),
                *(("accuracy", tasks.exact[0].design.name, task) for task in tasks.exact_scores.values()),
            ]
        )
        synthesised = {key: outcomes[task] for key, task in costs.synthesis.items()}
        known = {key: record for key, record in synthesised.items() if not isinstance(record, Exception)}
        costs = replace(costs, energy=tasks.energy(texts, known))
        compute([("energy", planned.design.name, task) for (planned, _), task in costs.energy.items()])
        return rows_of(tasks, costs, outcomes)


def write_csv(rows: Iterable[Row]) -> str:
    """The rows as CSV with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return text.getvalue()
