"""What a selection has to show."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from amhw.refusal import Refusal
from amhw.report.points import Point
from amhw.report.source import PageTable, ReportSource, Setting
from amhw.report.studies import exact_point
from amhw.select.record import SelectedMultiplier, SelectionRecord
from amhw.study.record import Exact
from amhw.synth.technology import technology_label


def selection_source(file: Path, selection: SelectionRecord) -> ReportSource:
    """The source in `front.json`, or in what `amhw select --json` printed of one multiplier.

    Of a multiplier's netlists the smallest gives the area and the fastest the delay, as in a study; the table has
    each netlist with both of its figures.

    Raises:
        Refusal: it holds no multipliers.
    """
    if not selection.front:
        raise Refusal(f"{file} holds no multipliers; run amhw select --out {file.parent} again")
    rows, first = selection.front, selection.front[0]
    tech = technology_label(first.technology)
    data = first.data.name
    by_multiplier: dict[tuple[str, bool], list[SelectedMultiplier]] = {}
    for row in rows:
        by_multiplier.setdefault((row.multiplier, row.fine_tuned), []).append(row)
    points = [_point(netlists, tech, data) for netlists in by_multiplier.values()]
    exact = Exact(tech, data, first.exact_accuracy, first.exact_area_um2, first.exact_delay_ps, None)
    points.append(exact_point(exact, first.exact_accuracy))
    written = datetime.fromtimestamp(file.stat().st_mtime, UTC).strftime("%Y-%m-%d %H:%M UTC")
    provenance = {"selection": file.name, "written": written, "network trained on": str(first.trained_on or "unknown")}
    images = {data: first.test_images}
    return ReportSource("Selected multipliers", points, [_table(rows, tech, data)], provenance, images=images)


def selection_setting(selection: SelectionRecord) -> Setting:
    """The network with exact products, and the training images by which was selected.

    Raises:
        Refusal: a file has gone.
    """
    loaded = selection.front[0].problem.loaded
    return Setting(loaded.base, loaded.training, loaded.base.convolutions)


def _point(netlists: Sequence[SelectedMultiplier], tech: str, data: str) -> Point:
    smallest = min(netlists, key=lambda row: (row.area_um2, row.delay_ps))
    fastest = min(netlists, key=lambda row: (row.delay_ps, row.area_um2))
    low, high = smallest.loss_interval
    kinds = ["selected", *(["reduced precision"] if smallest.reduced_precision else [])]
    return Point(
        name=smallest.multiplier,
        group=", ".join([*kinds, *(["fine-tuned"] if smallest.fine_tuned else [])]),
        tech=tech,
        data=data,
        kept=smallest.kept,
        accuracy=smallest.accuracy,
        exact_accuracy=smallest.exact_accuracy,
        loss_low=low,
        loss_high=high,
        area_um2=smallest.area_um2,
        area_ratio=smallest.area_ratio,
        delay_ps=fastest.delay_ps,
        delay_ratio=fastest.delay_ratio,
        reduced_precision=smallest.reduced_precision,
        fine_tuned=smallest.fine_tuned,
        design=smallest.design,
        network=smallest.network,
        data_dir=smallest.problem.data_dir or "",
        source=smallest.names[0] if len(smallest.names) == 1 else "",
    )


def _table(rows: Sequence[SelectedMultiplier], tech: str, data: str) -> PageTable:
    def cells(row: SelectedMultiplier) -> list[object]:
        low, high = row.loss_interval
        marks = {
            "Pareto front": row.nondominated,
            "reduced precision": row.reduced_precision,
            "fine-tuned": row.fine_tuned,
        }
        return [
            row.multiplier,
            row.kept,
            ", ".join(mark for mark, given in marks.items() if given),
            f"{row.area_um2:.1f}",
            f"{row.area_ratio:.4f}",
            f"{row.delay_ps:.0f}",
            f"{row.delay_ratio:.3f}",
            f"{row.design.rpartition('__')[2] if '__' in row.design else ''} {row.recipe}".strip(),
            f"{row.loss_points:.2f} ± {(high - low) / 2:.2f}",
            f"{row.training_loss_points:.2f}",
            f"{row.accuracy:.2%}",
        ]

    headings = ["selected multiplier", "kept", "", "area µm²", "× exact", "delay ps", "× exact", "netlist"]
    headings += ["loss, points (95 %)", "training loss", "accuracy"]
    ordered = sorted(rows, key=lambda row: (-row.area_um2, row.delay_ps))
    return PageTable("Selected, every netlist", tech, data, headings, [cells(row) for row in ordered])
