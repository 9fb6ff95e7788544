"""Liberty files, tables of facts, and the technologies made from them."""

import gzip
import itertools
import json
import os
import re
from importlib import resources
from pathlib import Path

import pytest
from small_liberty import INV, NAND, cell, timing, tiny

from amhw.refusal import Refusal
from amhw.synth import Synthesiser, Technology, technologies
from amhw.synth.liberty import parse_library, read_library
from amhw.synth.library import NAND2, Library, liberty_text
from amhw.synth.opensta import available, timing_by_opensta
from amhw.synth.recipe import ADDERS_AREA, BALANCED
from amhw.synth.sta import timing_with

DATA = Path(__file__).parent.parent / "data" / "synth"


def test_units_become_ps_and_ff():
    library = parse_library(tiny(INV, NAND), "tiny")
    inverter = library.cells["inv"]
    assert inverter.inputs[0].capacitance == pytest.approx(2.0)
    table = inverter.outputs[0].arcs[0].cell_rise
    assert table.slews == pytest.approx((10, 100))
    assert table.loads == pytest.approx((1, 10))
    assert table.values[0] == pytest.approx((10, 20))
    assert table.values[1] == pytest.approx((30, 40))
    assert library.max_transition == pytest.approx(1500)


def test_ps_and_ff_files_are_read_in_their_units():
    text = tiny(INV, NAND).replace('"1ns"', '"10ps"').replace("(1, pf)", "(2, ff)")
    inverter = parse_library(text, "tiny").cells["inv"]
    assert inverter.inputs[0].capacitance == pytest.approx(0.004)
    assert inverter.outputs[0].arcs[0].cell_rise.values[0] == pytest.approx((0.1, 0.2))


def test_worst_of_several_timing_groups_of_one_sense_and_an_arc_for_each():
    arcs = timing("A", "0.01, 0.09", "0.03, 0.04", "positive_unate")
    arcs += timing("A", "0.02, 0.05", "0.01, 0.06", "negative_unate")
    arcs += timing("A", "0.02, 0.05", "0.01, 0.06", "positive_unate") + timing("B")
    xor = cell("xor", "A^B", "AB", timings=arcs)
    positive, negative, other = parse_library(tiny(INV, NAND, xor), "tiny").cells["xor"].outputs[0].arcs
    assert [arc.sense for arc in (positive, negative)] == ["positive_unate", "negative_unate"]
    assert [arc.related_pin for arc in (positive, negative, other)] == ["A", "A", "B"]
    assert positive.cell_fall.values == (pytest.approx((20, 90)), pytest.approx((30, 60)))
    assert negative.cell_fall.values == (pytest.approx((20, 50)), pytest.approx((10, 60)))


def test_load_first_tables_are_turned():
    table = """cell_rise (load_first) { values ("0.01, 0.02", "0.03, 0.04", "0.05, 0.06"); }"""
    tables = "".join(
        table.replace("cell_rise", name) for name in ("cell_rise", "cell_fall", "rise_transition", "fall_transition")
    )
    arcs = f'timing () {{ related_pin : "A"; timing_sense : negative_unate; {tables} }}'
    found = parse_library(tiny(cell("inv", "!A", "A", timings=arcs), NAND), "tiny")
    rise = found.cells["inv"].outputs[0].arcs[0].cell_rise
    assert rise.slews == pytest.approx((10, 100)) and rise.loads == pytest.approx((1, 10, 100))
    assert rise.values[0] == pytest.approx((10, 30, 50))


def test_what_mapping_cannot_use_is_left_out():
    latch = cell("latch", "IQ", "AB", extra='latch (IQ, IQN) { enable : "A"; data_in : "B"; }')
    hidden = cell("hidden", "!A", "A", extra="dont_use : true;")
    assert set(parse_library(tiny(INV, NAND, latch, hidden), "tiny").cells) == {"inv", "nand"}


def test_liberty_text_reads_back_as_the_same_library():
    library = Technology.named("sg13g2").library
    again = parse_library(liberty_text(library), "text")
    assert list(again.cells) == list(library.cells)
    for name, before in library.cells.items():
        after = again.cells[name]
        assert (after.area, after.truth, after.flip_flop) == (before.area, before.truth, before.flip_flop)
        for old, new in zip(before.outputs, after.outputs, strict=True):
            for arc, arc_again in zip(old.arcs, new.arcs, strict=True):
                for table, table_again in zip(arc.tables, arc_again.tables, strict=True):
                    flat = list(itertools.chain(*table.values))
                    assert list(itertools.chain(*table_again.values)) == pytest.approx(flat, rel=1e-5)


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.95])
def test_truncated_liberty_is_refused(tmp_path, cut):
    text = tiny(INV, NAND)
    path = tmp_path / "cut.lib"
    path.write_text(text[: int(len(text) * cut)])
    with pytest.raises(Refusal, match="damaged or truncated"):
        Technology.from_liberty(path)


def test_truncated_gzip_is_refused(tmp_path):
    data = gzip.compress(tiny(INV, NAND).encode())
    path = tmp_path / "cut.lib.gz"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(Refusal, match="truncated gzip"):
        Technology.from_liberty(path)


def test_gzip_and_plain_are_the_same(tmp_path):
    text = tiny(INV, NAND)
    (tmp_path / "a.lib").write_text(text)
    (tmp_path / "b.lib.gz").write_bytes(gzip.compress(text.encode()))
    plain, packed = (Technology.from_liberty(tmp_path / name) for name in ("a.lib", "b.lib.gz"))
    assert plain.sha256 == packed.sha256


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("module m(input a, output y); endmodule", "no Liberty file"),
        ("\0\1\2", "no Liberty file"),
        ("library (x) { } trailing {", "damaged"),
        (tiny(NAND), "no inverter"),
        (tiny(INV), "no two-input gate"),
        (tiny(), "no inverter"),
        (tiny(INV, NAND).replace('"1ns"', '"1 fortnight"'), "time_unit"),
        (tiny(INV, NAND).replace("(1, pf)", "(1, furlong)"), "capacitive_load_unit"),
        (tiny(INV, NAND).replace('"0.03, 0.04"', '"0.03"'), "cell inv: 3 values in a 2 × 2 table"),
        (tiny(INV, NAND).replace('"!A"', '"!A*"'), "function"),
    ],
)
def test_unusable_liberty_is_refused(tmp_path, text, says):
    path = tmp_path / "some.lib"
    path.write_text(text)
    with pytest.raises(Refusal, match=says) as refusal:
        Technology.from_liberty(path)
    assert "\n" not in str(refusal.value)


def test_missing_liberty_is_refused(tmp_path):
    with pytest.raises(Refusal, match="cannot read"):
        Technology.from_liberty(tmp_path / "none.lib")


def test_unknown_technology_lists_the_known():
    with pytest.raises(Refusal, match="sg13g2, sky130hd"):
        Technology.named("tsmc5")


def test_nand2_is_the_unit_and_the_driver_about_four_times_an_inverter():
    technology = Technology.of("tiny", parse_library(tiny(INV, NAND), "tiny"))
    assert (technology.nand2_area, technology.driving_cell, technology.load) == (2.0, "inv", 8.0)


PUBLISHED_AREAS = {
    # From the foundries' Liberty files.
    "sky130hd": {"inv_1": 3.7536, "nand2_1": 3.7536, "xor2_1": 8.7584, "fa_1": 20.0192, "dfxtp_1": 20.0192},
    "sg13g2": {"inv_1": 5.4432, "nand2_1": 7.2576, "xor2_1": 14.5152, "dfrbp_1": 47.1744},
}


@pytest.mark.parametrize("name", technologies())
def test_shipped_areas_are_the_foundrys(name):
    cells = Technology.named(name).library.cells
    areas = {key.removeprefix("sky130_fd_sc_hd__").removeprefix("sg13g2_"): c.area for key, c in cells.items()}
    assert {key: areas[key] for key in PUBLISHED_AREAS[name]} == PUBLISHED_AREAS[name]
    assert Technology.named(name).nand2_area == PUBLISHED_AREAS[name]["nand2_1"]


@pytest.mark.parametrize("name", technologies())
def test_shipped_tables_are_compact_and_attributed(name):
    file = resources.files("amhw.synth") / "technologies" / f"{name}.json"
    text = file.read_text()
    assert len(text.encode()) <= 200_000
    assert "Apache-2.0" in json.loads(text)["copyright"]


@pytest.mark.parametrize("name", technologies())
def test_delay_grows_with_load_in_every_shipped_table(name):
    for c in Technology.named(name).library.cells.values():
        for output in c.outputs:
            for arc in output.arcs:
                for row in arc.cell_rise.values + arc.cell_fall.values:
                    assert list(row) == sorted(row), (c.name, output.name, arc.related_pin)


@pytest.mark.parametrize("name", technologies())
def test_agrees_with_figures_of_the_complete_library(name, tmp_path):
    """The reference holds netlists and what ABC said of them with the foundry's complete file."""
    technology = Technology.named(name)
    reference = json.loads((DATA / f"{name}_reference.json").read_text())
    liberty = tmp_path / "compact.lib"
    liberty.write_text(technology.liberty)
    netlists = []
    for index, entry in enumerate(reference):
        netlists.append(tmp_path / f"{index}.blif")
        netlists[-1].write_text(entry["netlist"])
    timings = timing_with(liberty, technology.constraints, netlists)
    assert len(timings) >= 12
    for entry, found in zip(reference, timings, strict=True):
        assert found.area == entry["area"], entry["design"]
        assert found.delay_ps == pytest.approx(entry["delay_ps"], rel=0.03), entry["design"]
        gates = re.findall(r"^\.gate (\S+)", entry["netlist"], re.M)
        assert sum(technology.cell(gate).area for gate in gates) == pytest.approx(entry["area"], abs=0.01)


COMPLETE = {name: os.environ.get(f"AMHW_LIBERTY_{name.upper()}") for name in technologies()}


@pytest.mark.parametrize("name", technologies())
def test_shipped_facts_against_the_complete_file(name):
    if COMPLETE[name] is None:
        pytest.skip(f"AMHW_LIBERTY_{name.upper()} names no complete Liberty file")
    complete = read_library(COMPLETE[name])
    shipped = Technology.named(name).library
    assert isinstance(complete, Library) and len(complete.cells) > len(shipped.cells)
    assert complete.smallest(*NAND2) is not None
    for c in shipped.cells.values():
        full = complete.cells[c.name]
        assert (c.area, c.truth, c.flip_flop) == (full.area, full.truth, full.flip_flop)
        for pin, full_pin in zip(c.inputs, full.inputs, strict=True):
            assert pin.capacitance == pytest.approx(full_pin.capacitance, abs=1e-3)
        for output, full_output in zip(c.outputs, full.outputs, strict=True):
            for arc, full_arc in zip(output.arcs, full_output.arcs, strict=True):
                middle = arc.cell_rise.slews[2], arc.cell_rise.loads[1]
                assert arc.cell_rise.at(*middle) == pytest.approx(full_arc.cell_rise.at(*middle), abs=0.2)


@pytest.mark.skipif(not available(), reason="OpenSTA is not on PATH")
@pytest.mark.parametrize("name", technologies())
def test_the_complete_file_is_timed_as_opensta_times_it(name, tmp_path):
    if COMPLETE[name] is None:
        pytest.skip(f"AMHW_LIBERTY_{name.upper()} names no complete Liberty file")
    technology = Technology.from_liberty(COMPLETE[name])
    path = tmp_path / "as_it_is.lib"
    text = gzip.decompress(Path(COMPLETE[name]).read_bytes()).decode()
    path.write_text(re.sub(r"default_wire_load\b[^;]*;", "", text))
    verilog = "module m(input [3:0] a, input [3:0] b, output [7:0] p); assign p = a * b; endmodule"
    with Synthesiser(technology, [BALANCED, ADDERS_AREA], workers=1, netlists=True) as synthesiser:
        for mapping in synthesiser.submit(verilog).result().mappings:
            found = timing_by_opensta(mapping.gates, technology, path)
            assert mapping.delay_ps == pytest.approx(found.delay_ps, abs=0.02), mapping.recipe


SMALL = Technology.named("sky130hd").library.restricted_to(
    ["sky130_fd_sc_hd__inv_1", "sky130_fd_sc_hd__nand2_1", "sky130_fd_sc_hd__dfxtp_1"]
)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (r"(?s)(sky130_fd_sc_hd__nand2_1\) \{.*?values).*", r"\1", "it ends at line .*cell sky130_fd_sc_hd__nand2_1"),
        (r"(?s)\A(.{60}).*", r"\1", "it ends at line 2, in the middle"),
        ("area : 3.7536;", "area 3.7536;", "line 91, in or after cell sky130_fd_sc_hd__inv_1: '3.7536' where"),
        ("area : 3.7536;", "area : many;", "cell sky130_fd_sc_hd__inv_1: .*'many'"),
        ("area : 3.7536;", "area : -3;", "cell sky130_fd_sc_hd__inv_1: area -3 is negative"),
        (r'function : "IQ"', 'function : "IQ("', "cell sky130_fd_sc_hd__dfxtp_1: .*IQ"),
        (r"function : .*A.*;", 'function : "!NO";', "cell sky130_fd_sc_hd__inv_1: .*'NO' where an input belongs"),
        (r'values \("[^,]*, ', 'values ("', "cell sky130_fd_sc_hd__dfxtp_1: .* values in a . × . table"),
        (r'(dfxtp(?s:.*?))index_1 \("[^,]*, ', r'\1index_1 ("9999, ', "of a table do not ascend"),
        (r"\Z", "}", "line \\d+ has a closing brace too many"),
        (r"\Z", "library (b) { }", "several groups at its top"),
        ('"1ps"', '"1 fortnight"', "time_unit '1 fortnight' is not understood"),
    ],
)
def test_damaged_liberty_is_refused_with_the_place(old, new, says):
    text = liberty_text(SMALL)
    damaged = re.sub(old, new, text, count=1)
    assert damaged != text
    assert set(parse_library(text, "my.lib").cells) == set(SMALL.cells)
    with pytest.raises(Refusal, match=f"^my.lib.*{says}") as refusal:
        parse_library(damaged, "my.lib")
    assert "\n" not in str(refusal.value)
