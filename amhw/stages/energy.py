"""The stage *energy*: what an operation costs when a sequence of operands passes by."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amhw.documents import Amount, Record
from amhw.results import Task
from amhw.stages.content import technology_at
from amhw.stages.keys import Stage
from amhw.stages.synthesis import GIVEN, PROCESSES, inputs_of, synthesiser
from amhw.synth import Expected, Recipe
from amhw.synth.energy import energy as energy_of
from amhw.synth.store import technology_named


@dataclass(frozen=True)
class OperationEnergy(Record):
    """Energy of one operation, fJ, of the netlist with the least area × delay; see `amhw.synth.energy.Energy`.

    Attributes:
        recipe: that gave the netlist.
        settled_fj, timed_fj: without and with hazards.
    """

    recipe: str
    settled_fj: Amount
    timed_fj: Amount


def energy(
    verilog: str,
    top: str,
    technology: str,
    expected: Expected,
    recipe: Recipe,
    a: NDArray[np.integer],
    b: NDArray[np.integer],
) -> Task[OperationEnergy]:
    """The energy of the module `top` of a text when its operands take the codes `a` and `b`, one pair after another.

    Args:
        technology, expected: as for `amhw.stages.synthesis.synthesis`.
        recipe: that which gave the netlist with the least area × delay; only this netlist is made again.

    Raises:
        Refusal: there is no such technology, or it does not say its voltage.
    """
    technology_named(technology).check_voltage()
    operands = [np.asarray(codes, dtype="<u4") for codes in (a, b)]
    inputs = inputs_of(verilog, top, technology, expected, (recipe,))
    inputs["operands"] = [hashlib.sha256(codes.tobytes()).hexdigest() for codes in operands]
    return ENERGY.task(inputs, verilog, top, technology, inputs["technology"], expected, recipe, *operands)


def _energy(
    verilog: str,
    top: str,
    technology: str,
    sha256: str,
    expected: Expected,
    recipe: Recipe,
    a: NDArray[np.unsignedinteger],
    b: NDArray[np.unsignedinteger],
) -> OperationEnergy:
    pool = synthesiser(technology, sha256, netlists=True)
    [mapping] = pool.submit(verilog, top, expected, recipes=(recipe,)).result().mappings
    assert mapping.gates is not None, "the synthesiser keeps netlists"
    operands = {expected.a: a.astype(np.int64), expected.b: b.astype(np.int64)}
    found = energy_of(mapping.gates, technology_at(technology, sha256), operands)
    return OperationEnergy(mapping.recipe, round(found.settled_fj, 4), round(found.timed_fj, 4))


ENERGY = Stage("energy", OperationEnergy, _energy, runs=PROCESSES, given=GIVEN)
