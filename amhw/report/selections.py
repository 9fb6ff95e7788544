"""What a selection has to show."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from amhw.refusal import Refusal
from amhw.report.points import EXACT, Point
from amhw.report.source import Setting, Source, Table
from amhw.select.stages import Problem
from amhw.synth.technology import technology_label

Row = dict[str, Any]


def selection_source(file: Path, content: dict[str, Any]) -> Source:
    """The source in `front.json`, or in what `amhw select --json` printed of one multiplier.

    Of a multiplier's netlists the smallest gives the area and the fastest the delay, as in a study; the table has
    each netlist with both of its figures.

    Raises:
        Refusal: something is missing.
    """
    try:
        rows: list[Row] = content.get("front", [content])
        tech = technology_label(rows[0]["technology"])
        folder = _problem(content).get("data_dir")
        data = Path(folder).name if folder else "MNIST"
        by_multiplier: dict[tuple[str, bool], list[Row]] = {}
        for row in rows:
            by_multiplier.setdefault((row["multiplier"], row["fine_tuned"]), []).append(row)
        points = [_point(netlists, tech, data) for netlists in by_multiplier.values()]
        first = rows[0]
        exact = Point(
            name="the best exact multipliers",
            group=EXACT,
            tech=tech,
            data=data,
            accuracy=first["exact_accuracy"],
            exact_accuracy=first["exact_accuracy"],
            area_um2=first["exact_area_um2"],
            delay_ps=first["exact_delay_ps"],
        )
        written = datetime.fromtimestamp(file.stat().st_mtime, UTC).strftime("%Y-%m-%d %H:%M UTC")
        provenance = {"selection": file.name, "written": written, **content.get("provenance", {})}
        tables, images = [_table(rows, tech, data)], {data: first["test_images"]}
        return Source("Selected multipliers", [*points, exact], tables, provenance, images=images)
    except (KeyError, TypeError, IndexError):
        raise Refusal(f"{file} is no selection of this version; run amhw select --out {file.parent} again") from None


def selection_setting(content: dict[str, Any]) -> Setting:
    """The network with exact products, and the training images by which was selected.

    Raises:
        Refusal: a file has gone.
    """
    loaded = Problem(**_problem(content)).loaded
    return Setting(loaded.base, loaded.training, loaded.base.convolutions)


def _problem(content: dict[str, Any]) -> dict[str, Any]:
    """The network and the folder of images, as `amhw.select.stages.Problem` takes them; neither where they are the
    shipped ones."""
    row = content["front"][0] if content.get("front") else content
    problem: dict[str, Any] = row.get("problem", content.get("problem", {}))
    return problem


def _point(netlists: list[Row], tech: str, data: str) -> Point:
    smallest = min(netlists, key=lambda row: (row["area_um2"], row["delay_ps"]))
    fastest = min(netlists, key=lambda row: (row["delay_ps"], row["area_um2"]))
    low, high = smallest["loss_interval"]
    names = _names(smallest)
    kinds = ["selected", *(["reduced precision"] if smallest["reduced_precision"] else [])]
    return Point(
        name=smallest["multiplier"],
        group=", ".join([*kinds, *(["fine-tuned"] if smallest["fine_tuned"] else [])]),
        tech=tech,
        data=data,
        kept=smallest["kept"],
        accuracy=smallest["accuracy"],
        exact_accuracy=smallest["exact_accuracy"],
        loss_low=low,
        loss_high=high,
        area_um2=smallest["area_um2"],
        area_ratio=smallest["area_ratio"],
        delay_ps=fastest["delay_ps"],
        delay_ratio=fastest["delay_ratio"],
        reduced_precision=smallest["reduced_precision"],
        fine_tuned=smallest["fine_tuned"],
        design=smallest["design"],
        network=smallest["network"],
        data_dir=smallest.get("problem", {}).get("data_dir") or "",
        source=names[0] if len(names) == 1 else "",
    )


def _names(row: Row) -> list[str]:
    """The multipliers: one, or one for each layer as layer=name."""
    return list(dict.fromkeys(part.rpartition("=")[2] for part in row["multiplier"].split(",")))


def _table(rows: list[Row], tech: str, data: str) -> Table:
    def cells(row: Row) -> list[object]:
        low, high = row["loss_interval"]
        marks = {"nondominated": "front", "reduced_precision": "reduced precision", "fine_tuned": "fine-tuned"}
        return [
            row["multiplier"],
            row["kept"],
            ", ".join(text for key, text in marks.items() if row.get(key)),
            f"{row['area_um2']:.1f}",
            f"{row['area_ratio']:.4f}",
            f"{row['delay_ps']:.0f}",
            f"{row['delay_ratio']:.3f}",
            f"{row['design'].rpartition('__')[2] if '__' in row['design'] else ''} {row['recipe']}".strip(),
            f"{row['loss_points']:.2f} ± {(high - low) / 2:.2f}",
            f"{row['training_loss_points']:.2f}",
            f"{row['accuracy']:.2%}",
        ]

    headings = ["selected multiplier", "kept", "", "area µm²", "× exact", "delay ps", "× exact", "netlist"]
    headings += ["loss, points (95 %)", "training loss", "accuracy"]
    ordered = sorted(rows, key=lambda row: (-row["area_um2"], row["delay_ps"]))
    return Table("Selected, every netlist", tech, data, headings, [cells(row) for row in ordered])
