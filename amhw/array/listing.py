"""A schedule as a table for people."""

from amhw.array.operation import Operation
from amhw.array.schedule import Schedule

COLUMNS = (
    "operation",
    "kind",
    "tiles",
    "positions",
    "pool",
    "clocks",
    "gap",
    "reads",
    "writes",
    "factor",
    "shift",
    "rounding",
    "multiplier",
)

NUMBERS = ("positions", "clocks", "gap", "factor", "shift", "rounding")


def listing(schedule: Schedule) -> list[tuple[str, ...]]:
    """`COLUMNS`, and a row of text for each operation.

    Tiles are groups of outputs × input channels × parts of a kernel; clocks are of an image, or of a full batch
    (``/32``), the gap before the operation not among them; addresses are those of the activation memory's banks.
    """
    clocks = schedule.operation_clocks
    return [COLUMNS, *(_row(schedule, one, count) for one, count in zip(schedule.operations, clocks, strict=True))]


def aligned(rows: list[tuple[str, ...]]) -> str:
    """The rows with columns side by side; numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            text.rjust(width) if name in NUMBERS else text.ljust(width)
            for text, width, name in zip(row, widths, COLUMNS, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _row(schedule: Schedule, one: Operation, clocks: int) -> tuple[str, ...]:
    fetch, finish = one.fetch, one.finish
    share = f"/{schedule.batch}" if fetch.batched else ""
    tiles = " × ".join(map(str, (fetch.groups, fetch.channels, fetch.parts_y * fetch.parts_x)))
    pool = f"{fetch.pool_y}×{fetch.pool_x}" if fetch.pool_y * fetch.pool_x > 1 and not finish.adds else "–"
    factors = "–" if finish.results else str(finish.factor_0) + (f", {finish.factor_1}" if finish.adds else "")
    rounding = "–" if finish.results or finish.lowest < 0 else str(finish.lowest)
    return (
        one.name,
        one.kind,
        tiles,
        str(one.positions) + (f"·{schedule.batch}" if fetch.batched else ""),
        pool,
        f"{clocks}{share}",
        str(fetch.gap),
        ("image" if fetch.image else "slot" if fetch.slot or fetch.batched else "") + f" {fetch.base}",
        "results" if finish.results else ("slot" if finish.slot or finish.batched else "") + f" {finish.base}",
        factors,
        "–" if finish.results else str(finish.shift),
        rounding,
        "–" if fetch.element else one.multiplier,
    )
