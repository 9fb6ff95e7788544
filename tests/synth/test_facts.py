"""Tables of facts: what is written is what is read, to the last bit."""

import copy
import json
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amhw.synth import technologies
from amhw.synth.facts import as_text, decoded, encoded
from amhw.synth.liberty import read_library
from amhw.synth.library import Library

DATA = Path(__file__).parent.parent / "data" / "synth" / "liberty"


def through_json(library, unit=None):
    return decoded(json.loads(as_text(encoded(library, {"source": "test"}, unit))))


@pytest.mark.parametrize("name", ["two_slew_axes", "arcs", "linear"])
def test_a_library_survives_exactly(name):
    library = read_library(DATA / f"{name}.lib")
    assert library.cells and through_json(library) == library


@pytest.mark.parametrize("name", technologies())
def test_shipped_facts_are_what_encoding_them_again_gives(name):
    text = (resources.files("amhw.synth") / "technologies" / f"{name}.json").read_text()
    facts = json.loads(text)
    about = {key: facts[key] for key in ("title", "corner", "source", "copyright")}
    assert as_text(encoded(decoded(facts), about, facts["unit_ps"])) == text


def test_every_table_keeps_its_own_axes():
    library = read_library(DATA / "two_slew_axes.lib")
    axes = {name: through_json(library).cells[name].outputs[0].arcs[0].cell_rise.slews for name in library.cells}
    assert axes["NAND2"] == (10, 30, 50, 100, 300, 1000) and axes["INV"] == (10, 100, 300, 600, 1000)


@pytest.mark.parametrize("unit", [None, 0.1])
def test_set_up_tables_on_different_axes(unit):
    library = read_library(DATA / "arcs.lib")
    register = library.cells["DFF"]
    rise, fall = register.inputs[1].setup
    fall = replace(fall, slews=(10.0, 20.0), loads=(5.0,), values=((1.5,), (2.5,)))
    inputs = register.inputs[0], replace(register.inputs[1], setup=(rise, fall))
    library = replace(library, cells={"DFF": replace(register, inputs=inputs)})
    assert through_json(library, unit).cells["DFF"].inputs[1].setup == (rise, fall)


def test_a_unit_rounds_times_and_nothing_else():
    library = read_library(DATA / "two_slew_axes.lib")
    nand = library.cells["NAND2"].outputs[0].arcs[0]
    rounded = through_json(library, 10.0).cells["NAND2"].outputs[0].arcs[0]
    assert nand.cell_rise.values[0] == pytest.approx((40.5, 80.5, 220.5))
    assert rounded.cell_rise.values[0] == (40, 80, 220) and rounded.cell_rise.slews == nand.cell_rise.slews


FACTS = encoded(read_library(DATA / "arcs.lib"), {"source": "arcs.lib"})
DAMAGES = (ValueError, KeyError, TypeError, AttributeError)


def places(value, path=()):
    """The path of every value in nested JSON."""
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


@pytest.mark.parametrize(
    "wrong", [None, "text", -1, [], {}, True, float("nan"), float("inf"), 10**400, [[1.0]], "x;y"], ids=repr
)
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.sampled_from([path for path in places(FACTS) if path]))
def test_wrong_contents_are_damage_and_nothing_else(wrong, place):
    facts = copy.deepcopy(FACTS)
    at = facts
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = wrong
    try:
        assert isinstance(decoded(facts), Library)
    except DAMAGES as error:
        assert str(error)
