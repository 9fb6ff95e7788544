"""Circuits that others published and somebody measured: rows of a CSV file, drawn on a study's axes.

The file has a header with at least ``name``, ``area_um2`` and ``delay_ps``; ``energy_fj`` may be there. Its accuracy is
in ``accuracy`` (a share of the test images), or in one or more columns ``loss`` or ``KIND_loss``: points lost against
exact products in the same network. Each such column gives a point, because a circuit as it is and the same circuit in
a network that was fitted to it are two things. Other columns are ignored.
"""

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from amhw.documents import Amount, Name, Share
from amhw.files import decoded, read_whole
from amhw.refusal import Refusal

_COSTS = ("area_um2", "delay_ps")


@dataclass(frozen=True)
class Peer:
    """One published circuit in one network.

    Attributes:
        kind: which network; the KIND of ``KIND_loss``, or empty.
        accuracy: share of the test images, or None where only the loss is known.
        loss_points: accuracy lost against exact products, in points, or None.
        half_width: of the loss's 95 % interval, or None.
    """

    name: Name
    kind: str
    area_um2: Amount
    delay_ps: Amount
    energy_fj: Amount | None
    accuracy: Share | None
    loss_points: float | None
    half_width: float | None = None


def read_peers(path: Path | str) -> list[Peer]:
    """The circuits in a CSV file.

    Raises:
        Refusal: the file lacks a column, or a figure is no number.
    """
    text = decoded(read_whole(path))
    rows = csv.DictReader(text.splitlines())
    columns = rows.fieldnames or []
    losses = [column for column in columns if column == "loss" or column.endswith("_loss")]
    missing = [column for column in ("name", *_COSTS) if column not in columns]
    if missing or not (losses or "accuracy" in columns):
        raise Refusal(
            f"{path} has no column {missing[0] if missing else 'accuracy or …_loss'}; peers need name, "
            "area_um2, delay_ps and accuracy or loss"
        )
    peers = [peer for row in rows for peer in _peers(row, losses, path)]
    if not peers:
        raise Refusal(f"{path} has no rows; wanted at least one circuit")
    return peers


def _peers(row: Mapping[str, str], losses: list[str], path: Path | str) -> Iterator[Peer]:
    def figure(column: str) -> float | None:
        text = row.get(column) or ""
        try:
            value = float(text) if text else None
        except ValueError:
            value = math.nan
        if value is not None and not math.isfinite(value):
            raise Refusal(f"{path}: {row['name']} has {column} = {text!r}; wanted a number")
        if value is not None and value < 0 and column in (*_COSTS, "energy_fj", "accuracy"):
            raise Refusal(f"{path}: {row['name']} has {column} = {text}; wanted one that is not negative")
        return value

    area, delay = (figure(column) for column in _COSTS)
    if area is None or delay is None:
        raise Refusal(f"{path}: {row['name']} has no {_COSTS[area is not None]}")
    if (accuracy := figure("accuracy")) is not None:
        yield Peer(row["name"], "", area, delay, figure("energy_fj"), accuracy, None)
        return
    for column in losses:
        if (loss := figure(column)) is not None:
            kind = column.removesuffix("loss").removesuffix("_")
            half_width = figure(f"{kind}_half_width" if kind else "half_width")
            yield Peer(row["name"], kind, area, delay, figure("energy_fj"), None, loss, half_width)
