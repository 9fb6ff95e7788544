"""A campaign's files: the golden run, a row a fault, sums by memory and bit, and pictures."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from amhw.extras import optional
from amhw.faults.campaign import Campaign, Part, golden_run
from amhw.faults.models import MODELS
from amhw.faults.outcome import IDENTICAL, RIGHT_TO_WRONG, SAME_CLASS, WRONG_TO_RIGHT, WRONG_TO_WRONG, Counts
from amhw.faults.summary import Begun, Cell, FaultRun, Figures, Subject
from amhw.files import write_atomically
from amhw.refusal import Refusal

RECORD = "faults.json"

BEGUN = "campaign.json"
"""What a campaign is of, written before its first fault."""

COLUMNS = (
    *("model", "layer", "kind", "index", "bit", "value", "faulty_value", "images"),
    *("logits_unchanged", "class_unchanged", "right_to_wrong", "wrong_to_right", "wrong_to_wrong"),
)
"""Of `faults.csv`. `index` is the word's place in the parameter's shape; `class_unchanged` counts the images of
`logits_unchanged`, too, and is with the last three all images."""


def subject_of(campaign: Campaign) -> Subject:
    """What a campaign is of."""
    images, data = campaign.images, campaign.images.data
    return Subject(
        campaign.network.name,
        campaign.network.sha256,
        {layer: (table.name, table.sha256) for layer, table in campaign.tables.items()},
        (data.name, images.sha256),
        (images.first, images.last),
    )


def begin(folder: Path, subject: Subject) -> None:
    """Write what a campaign is of, unless one of something else lies in the folder or was begun there.

    Raises:
        Refusal: says what differs.
    """
    if (folder / RECORD).exists():
        there = FaultRun.read(folder / RECORD).subject
    elif (folder / BEGUN).exists():
        there = Begun.read(folder / BEGUN).subject
    else:
        Begun(subject).write(folder / BEGUN)
        return
    for what, here, before in (
        ("the network", subject.network_sha256, there.network_sha256),
        ("the multipliers", subject.multipliers, there.multipliers),
        ("the data set", subject.data[1], there.data[1]),
        ("the choice of images", subject.images, there.images),
    ):
        if here != before:
            raise Refusal(
                f"{folder} holds the faults of {there.network}, and {what} changed since; name another folder as --out"
            )


def run_of(campaign: Campaign, flips: Mapping[Part, Counts]) -> FaultRun:
    """The figures of a campaign, from the counts of its tasks."""
    cells = [
        Cell.of(name, memory.layer, memory.kind, bit, counts[:, bit])
        for name in campaign.models
        for memory in campaign.memories
        for counts in [campaign.counts(flips, memory, MODELS[name])]
        for bit in range(counts.shape[1])
    ]
    correct = sum(int((part.classes == part.labels).sum()) for part in _golden(campaign))
    totals = {
        name: Figures.of((cell for cell in cells if cell.model == name), len(campaign.images))
        for name in campaign.models
    }
    return FaultRun(subject_of(campaign), correct, tuple(cells), totals)


def write(
    campaign: Campaign, flips: Mapping[Part, Counts], folder: Path, *, parquet: bool = False
) -> tuple[FaultRun, list[Path]]:
    """Write all files of a campaign, `faults.json` last; the figures, and the paths.

    Raises:
        Refusal: the folder cannot be written, or Parquet is asked for and pyarrow is not installed.
    """
    if parquet:
        optional("pyarrow", "parquet", "--parquet")  # before anything is written
    run = run_of(campaign, flips)
    written = [write_atomically(folder / "golden_run.csv", _golden_run(campaign))]
    written.append(write_atomically(folder / "faults.csv", "".join(_rows(campaign, flips))))
    if parquet:
        written.append(write_atomically(folder / "faults.parquet", _parquet(campaign, flips)))
    written.append(write_atomically(folder / "summary.csv", _summary(run)))
    from amhw.faults.picture import heat_map, kernel_map

    model = campaign.models[0]
    written.append(write_atomically(folder / "heat-map.svg", heat_map(run, model)))
    kernels = {
        memory.layer: (memory.shape, campaign.counts(flips, memory, MODELS[model]))
        for memory in campaign.memories
        if memory.kind == "weights" and len(memory.shape) == 4
    }
    if kernels:
        written.append(write_atomically(folder / "kernels.svg", kernel_map(kernels, model, run.images)))
    written.append(run.write(folder / RECORD))
    return run, written


def _golden(campaign: Campaign):  # type: ignore[no-untyped-def]
    return golden_run(campaign.network, campaign.tables, campaign.images)


def _golden_run(campaign: Campaign) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "label", "class", *(f"logit_{k}" for k in range(campaign.network.network.classes))])
    image = campaign.images.first
    for part in _golden(campaign):
        for label, found, logits in zip(part.labels, part.classes, part.logits, strict=True):
            writer.writerow([image, label, found, *logits])
            image += 1
    return text.getvalue()


def _columns(campaign: Campaign, flips: Mapping[Part, Counts]) -> Iterator[Sequence[Sequence[object]]]:
    """The columns of `faults.csv`, one model and memory after the other."""
    for name in campaign.models:
        for memory in campaign.memories:
            counts = campaign.counts(flips, memory, MODELS[name])
            words, locations = counts.shape[:2]
            flat = counts.reshape(-1, counts.shape[2])
            faults = len(flat)
            index = [" ".join(map(str, memory.index(word))) for word in range(words)]
            yield (
                [name] * faults,
                [memory.layer] * faults,
                [memory.kind] * faults,
                [at for at in index for _ in range(locations)],
                np.tile(np.arange(locations), words).tolist(),
                np.repeat(memory.values, locations).tolist(),
                memory.faulty(MODELS[name]).reshape(-1).tolist(),
                flat.sum(axis=1).tolist(),
                flat[:, IDENTICAL].tolist(),
                (flat[:, IDENTICAL] + flat[:, SAME_CLASS]).tolist(),
                flat[:, RIGHT_TO_WRONG].tolist(),
                flat[:, WRONG_TO_RIGHT].tolist(),
                flat[:, WRONG_TO_WRONG].tolist(),
            )


def _rows(campaign: Campaign, flips: Mapping[Part, Counts]) -> Iterator[str]:
    yield ",".join(COLUMNS) + "\n"
    for columns in _columns(campaign, flips):
        for row in zip(*columns, strict=True):
            yield ",".join(map(str, row)) + "\n"


def _parquet(campaign: Campaign, flips: Mapping[Part, Counts]) -> bytes:
    import pyarrow
    from pyarrow import parquet

    tables = [pyarrow.table(dict(zip(COLUMNS, columns, strict=True))) for columns in _columns(campaign, flips)]
    data = io.BytesIO()
    parquet.write_table(pyarrow.concat_tables(tables), data)
    return data.getvalue()


def _summary(run: FaultRun) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["model", "layer", "kind", "bit", "faults", "changed", "harm", "silent", "critical", "worst"])
    for cell in run.cells:
        figures = Figures.of([cell], run.images)
        shares = (figures.changed, figures.harm, figures.silent, figures.critical, figures.worst)
        writer.writerow([cell.model, cell.layer, cell.kind, cell.bit, cell.faults, *(f"{each:.8f}" for each in shares)])
    return text.getvalue()
