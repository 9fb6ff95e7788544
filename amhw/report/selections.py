"""What a selection has to show."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from amhw.refusal import Refusal
from amhw.report.points import Point
from amhw.report.source import Details, PageRow, PageTable, ReportSource, Setting, needed_for_a_part
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
    return ReportSource(
        "Selected multipliers", points, [_table(list(by_multiplier.values()), tech, data)], provenance, images=images
    )


def selection_setting(selection: SelectionRecord) -> Setting:
    """The network with exact products, and the training images by which was selected.

    Raises:
        UnavailableError: a file has gone.
    """
    with needed_for_a_part():
        loaded = selection.front[0].problem.loaded
        return Setting(loaded.base, loaded.training, loaded.base.convolutions)


def _point(netlists: Sequence[SelectedMultiplier], tech: str, data: str) -> Point:
    smallest = min(netlists, key=lambda row: (row.area_um2, row.delay_ps))
    fastest = min(netlists, key=lambda row: (row.delay_ps, row.area_um2))
    low, high = smallest.loss_interval
    return Point(
        name=smallest.multiplier,
        group=_group(smallest),
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
        multipliers=tuple(smallest.names),
    )


def _group(row: SelectedMultiplier) -> str:
    marks = {"reduced precision": row.reduced_precision, "fine-tuned": row.fine_tuned}
    return ", ".join(["selected", *(mark for mark, given in marks.items() if given)])


def _table(rows: Sequence[Sequence[SelectedMultiplier]], tech: str, data: str) -> PageTable:
    def row(netlists: Sequence[SelectedMultiplier]) -> PageRow:
        smallest = min(netlists, key=lambda row: (row.area_um2, row.delay_ps))
        fastest = min(netlists, key=lambda row: (row.delay_ps, row.area_um2))
        low, high = smallest.loss_interval
        marks = {
            "Pareto front": smallest.nondominated,
            "reduced precision": smallest.reduced_precision,
            "fine-tuned": smallest.fine_tuned,
        }
        cells = [
            smallest.multiplier,
            smallest.kept,
            ", ".join(mark for mark, given in marks.items() if given),
            f"{smallest.loss_points:.2f} ± {(high - low) / 2:.2f}",
            f"{smallest.training_loss_points:.2f}",
            f"{smallest.accuracy:.2%}",
            f"{smallest.area_um2:.1f}",
            f"{smallest.area_ratio:.4f}",
            f"{fastest.delay_ps:.0f}",
            f"{fastest.delay_ratio:.3f}",
        ]
        return PageRow(cells, smallest.multiplier, _group(smallest), _details(netlists))

    headings = ["multiplier", "kept", "kind", "loss, points (95 %)", "training loss", "accuracy"]
    headings += ["area µm²", "× exact", "delay ps", "× exact"]
    ordered = sorted(rows, key=lambda netlists: min(row.area_um2 for row in netlists))
    return PageTable("Selected multipliers", tech, data, headings, [row(netlists) for netlists in ordered])


def _structure(design: str) -> str:
    """What a design's name says beside its multiplier."""
    return design.rpartition("__")[2] if "__" in design else ""


def _details(netlists: Sequence[SelectedMultiplier]) -> Details:
    rows = [
        [
            f"{'+'.join(filter(None, map(_structure, row.design.split('+'))))} {row.recipe}".strip(),
            f"{row.area_um2:.1f}",
            f"{row.area_ratio:.4f}",
            f"{row.delay_ps:.0f}",
            f"{row.delay_ratio:.3f}",
        ]
        for row in sorted(netlists, key=lambda row: row.area_um2)
    ]
    return Details(["netlist", "area µm²", "× exact", "delay ps", "× exact"], rows, f"Network: {netlists[0].network}")
