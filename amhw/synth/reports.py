"""What the tools print, as values."""

import re
from dataclasses import dataclass

_SUMMARY = re.compile(r"^ABC: WireLoad = .*?Gates =\s*(\d+).*?Area =\s*([\d.]+).*?Delay =\s*([\d.]+) ps", re.MULTILINE)
_STEP = re.compile(
    r"^ABC: Path\s+\d+ --\s+\d+ : \d+\s+(\d+) (\S+)\s"
    r".*?Df =\s*([\d.]+)\s.*?S =\s*([\d.]+) ps.*?Cout =\s*([\d.]+) ff",
    re.MULTILINE,
)
_ENDS = re.compile(r"^ABC: Start-point = \w+ \((.+?)\)\.\s+End-point = \w+ \((.+?)\)\.", re.MULTILINE)


@dataclass(frozen=True)
class Step:
    """One stage of a path: cell, arrival after it (ps), output slew (ps), load (fF) and fan-out.

    `pin` is the cell's input on the path, `edge` which way its output goes, `net` the output's name where the
    designer gave it one, `gate` the instance.
    """

    cell: str
    arrival_ps: float
    slew_ps: float
    load_ff: float
    fanout: int
    pin: str = ""
    edge: str = ""
    net: str = ""
    gate: str = ""


@dataclass(frozen=True)
class AbcTiming:
    """ABC's `stime -p`: delay of the longest path (ps), cells' number and area, and the path."""

    delay_ps: float
    cells: int
    area: float
    path: tuple[Step, ...]
    start: str
    end: str


def timing_of(log: str) -> AbcTiming | None:
    """The last timing report in a log of Yosys' `abc` pass; None when ABC had nothing to map."""
    summaries = list(_SUMMARY.finditer(log))
    if not summaries:
        return None
    last = summaries[-1]
    rest = log[last.end() :]
    ends = _ENDS.search(rest)
    steps = tuple(
        Step(cell, float(arrival), float(slew), float(load), int(fanout))
        for fanout, cell, arrival, slew, load in _STEP.findall(rest)
    )
    start, end = (_signal(ends[1]), _signal(ends[2])) if ends else ("", "")
    return AbcTiming(float(last[3]), int(last[1]), float(last[2]), steps, start, end)


def error_in(log: str) -> str | None:
    """The message with which ABC or Yosys gave up, on one line, or None."""
    if command := re.search(r"^ABC: \*\* cmd error: (?!aborting)(.+)", log, re.MULTILINE):
        return f"ABC: {command[1]}"
    match = re.search(r"^(?:(\S+?:\d+)[^ \n]*: )?ERROR: ?(.+?)(?:\n\n|\n-- |\Z)", log, re.MULTILINE | re.DOTALL)
    if match is None:
        return None
    place = f"line {match[1].rpartition(':')[2]}: " if match[1] else ""
    message = re.sub(r"/\S*/yosys-abc-\w+/([\w.]+)", r"\1", match[2])  # a temporary folder
    return " ".join((place + message).split())


def _signal(name: str) -> str:
    """A port as the designer wrote it; what Yosys named itself is a register's input or output."""
    return "register" if name.startswith("$") else name.replace("\\", "").replace(" [", "[")
