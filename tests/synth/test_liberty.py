"""Liberty as foundries' tools write it: what a spelling means, what an arc's delay is, which files make one library."""

import gzip
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_liberty import INV, NAND, TINY, cell, timing, tiny

from amhw.refusal import Refusal
from amhw.synth import Technology
from amhw.synth import liberty as liberty_module
from amhw.synth.liberty import parse_library, read_library
from amhw.synth.library import Library, Table, liberty_text, on_common_axes, worst
from amhw.synth.netlist import Gate, Netlist
from amhw.synth.opensta import available, timing_by_opensta
from amhw.synth.sta import timing_with
from amhw.synth.timing import timing as timing_of

DATA = Path(__file__).parent.parent / "data" / "synth" / "liberty"

needs_opensta = pytest.mark.skipif(not available(), reason="OpenSTA is not on PATH")


SPELLINGS = {  # what stands in the plain file, and other ways in which tools write it
    "quoted numbers": ("area : 1.0;", 'area : "1.0";'),
    "quoted unit": ("(1, pf)", '("1","pF")'),
    "the unit's name on the next line": ("capacitive_load_unit (1, pf);", "capacitive_load_unit\\\n    (1,PF);"),
    "no unit at all, for it is the usual one": ('time_unit : "1ns"; capacitive_load_unit (1, pf);', ""),
    "unquoted unit": ('"1ns"', "1ns"),
    "unit with a blank": ('"1ns"', '"1 ns"'),
    "other unit of the same length": ('"1ns"', '"1000ps"'),
    "missing semicolon": ("area : 1.0;", "area : 1.0\n"),
    "semicolons too many": ("area : 1.0;", "area : 1.0;; ;"),
    "comments": ("area : 1.0;", "area /* don't */ : // { \n 1.0 /* : 2.0 */;"),
    "numbers with blanks between them": ('("0.01, 0.1")', '("0.01 0.1")'),
    "numbers in two strings": ('("0.01, 0.1")', '("0.01" "0.1")'),
    "numbers in no string": ('("0.01, 0.1")', "(0.01, 0.1)"),
    "exponents and leading points": ('("0.01, 0.1")', '("+1.0E-2, .1")'),
    "continued string": ('("0.01, 0.02", "0.03, 0.04")', '("0.01, \\\n 0.02, \\\r\n 0.03", \\\n "0.04")'),
    "quoted names": ("cell (inv)", 'cell ("inv")'),
    "unquoted expression": ('"!(A*B)"', "!(A*B)"),
    "expression over two lines": ('"!(A*B)"', '"!(A * \\\n B)"'),
    "other operators": ('"!(A*B)"', '"(A B)\'"'),
    "variables": ("library (tiny) {", "library (tiny) { VDD = 1.1; k2 = -0.5\n"),
    "expressions of variables": ("library (tiny) {", "library (tiny) { input_voltage (x) { vil : 0.3 * VDD - 0.1; } "),
    "styles and dates": ("library (tiny) {", "library (tiny) { bus_naming_style : %s[%d] ; date : 2024-01-01; "),
    "an empty group": ("area : 1.0;", "area : 1.0; pg_pin (VDD) { } ;"),
    "an attribute twice, of which the last counts": ("area : 1.0;", "area : 9.0; area : 1.0;"),
    "Windows line ends": ("\n", "\r\n"),
    "a byte-order mark": ("\nlibrary", "\ufefflibrary"),
    "a template's name in quotes": ("cell_rise (t)", 'cell_rise ("t")'),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_spelling_changes_nothing(tmp_path, spelling):
    old, new = SPELLINGS[spelling]
    plain = tiny(INV, NAND)
    other = plain.replace(old, new)
    assert other != plain
    (tmp_path / "other.lib").write_bytes(other.encode())
    expected, found = parse_library(plain, "plain"), read_library(tmp_path / "other.lib")
    assert list(expected.cells) == ["inv", "nand"] and expected.cells["inv"].area == 1.0
    assert without_functions(found) == without_functions(expected)
    assert [cell.truth for cell in found.cells.values()] == [0b01, 0b0111]


def without_functions(library):
    cells = library.cells.items()
    return replace(
        library,
        cells={name: replace(c, outputs=tuple(replace(o, function="0") for o in c.outputs)) for name, c in cells},
    )


def test_pins_that_share_a_group():
    apart = tiny(INV, NAND)
    both = "pin (A) { direction : input; capacitance : 0.002; }\npin (B) { direction : input; capacitance : 0.002; }"
    together = apart.replace(both, "pin (A, B) { direction : input; capacitance : 0.002; }")
    assert together != apart and parse_library(together, "t") == parse_library(apart, "t")


ARCS = read_library(DATA / "arcs.lib")
LINEAR = read_library(DATA / "linear.lib")


def in_a_row(library, *steps):
    """Cells one after the other: the name of each, its input and its output on the path."""
    gates, inputs, net = [], {"start": (2,)}, 2
    for k, (name, pin, output) in enumerate(steps):
        nets = {pin: net, output: net + 1}
        for other in library.cells[name].inputs:
            if other.name != pin:
                nets[other.name] = 100 + len(inputs)
                inputs[f"other{len(inputs)}"] = (nets[other.name],)
        gates.append(Gate(f"g{k}", library.cells[name], nets))
        net += 1
    return Netlist("row", inputs, {"end": (net,)}, tuple(gates), (), {})


PATHS = [  # library, the cells of a path, its delay: outputs drive 10 fF, inputs come from INV, whose slew is 100 ps
    ("arcs", [("NAND", "A", "Y")], 50 + 9),
    # the second rises (59) after the first fell (10 + 1); a gate that follows both edges would rise after 51
    ("arcs", [("NAND", "A", "Y"), ("NAND", "B", "Y")], max(11 + 59, 51 + 19)),
    # each edge has its own group: the one that takes 70 is not the rising one, after which INV would fall in 20
    ("arcs", [("BUF", "A", "Y"), ("INV", "A", "Y")], max(70 + 10, 30 + 20)),
    # BUF loads its driver with the library's default of 3 fF
    ("arcs", [("NAND", "A", "Y"), ("BUF", "A", "Y")], max(50 + 2 + 30, 10 + 2 + 70)),
    ("arcs", [("HALF", "A", "CON")], 40),
    # the sum follows the carry, though that is named after it and nothing reads it
    ("arcs", [("HALF", "A", "SN")], max(30, 40 + 25)),
    ("arcs", [("WHEN", "A", "Y")], 60),
    # kΩ · fF = ps; of the driver only what the load of 2 fF adds counts: 6 and 2
    ("linear", [("INV", "A", "Y")], max(2 + 20 + 3 * 10, 6 + 10 + 1 * 10)),
    ("linear", [("INV", "A", "Y"), ("INV", "A", "Y")], max((6 + 10 + 2) + 50, (2 + 20 + 6) + 20)),
]


@pytest.mark.parametrize(("name", "path", "expected"), PATHS)
def test_a_paths_delay_by_hand(name, path, expected):
    library = {"arcs": ARCS, "linear": LINEAR}[name]
    assert timing_of(in_a_row(library, *path), Technology("t", library, "INV", 10.0)).delay_ps == expected


@needs_opensta
@pytest.mark.parametrize(("name", "path", "expected"), PATHS)
def test_a_paths_delay_by_opensta_with_the_file_as_it_is(name, path, expected):
    library = {"arcs": ARCS, "linear": LINEAR}[name]
    technology = Technology("t", library, "INV", 10.0)
    found = timing_by_opensta(in_a_row(library, *path), technology, DATA / f"{name}.lib")
    assert found.delay_ps == pytest.approx(expected, abs=0.011)
    written = timing_by_opensta(in_a_row(library, *path), technology)
    assert written.delay_ps == pytest.approx(expected, abs=0.011)


def test_a_register_without_timing_type():
    register = ARCS.cells["DFF"]
    (arc,) = register.outputs[0].arcs
    assert (arc.related_pin, arc.kind, arc.cell_rise.at(50, 5)) == ("C", "rising_edge", 90)
    setup = next(pin.setup for pin in register.inputs if pin.name == "D")
    assert [table.at(50, 50) for table in setup] == [15, 35]
    assert register.flip_flop.state == ("IQ", "IQ_inverse")
    assert "BARE" not in ARCS.cells


def test_two_slew_axes_by_hand_and_by_opensta():
    """INV4 drives both NANDs' path; the delay of NAND2 jumps by 100 ps between slews of 30 and 50 ps."""
    technology = Technology.from_liberty(DATA / "two_slew_axes.lib")
    assert technology.driving_cell == "INV4"
    row = in_a_row(technology.library, ("NAND2", "A", "Y"), ("NAND2", "A", "Y"))
    start, slew = (40.5 - 0.5) - (40.5 - 20 - 0.5), 61 - 1  # INV4 at slew 0: what 10 fF add, and its output's slew
    first = 142.5 + (145 - 142.5) * (slew - 50) / 50
    slew = 65 + (70 - 65) * (slew - 50) / 50
    low, high = (182.5 + (322.5 - 182.5) * 10 / 70), (185 + (325 - 185) * 10 / 70)  # 40 fF lie between 30 and 100
    second = low + (high - low) * (slew - 50) / 50
    assert start + first + second == pytest.approx(366.3)
    assert timing_of(row, technology).delay_ps == pytest.approx(366.3, abs=0.05)
    if available():
        by_opensta = timing_by_opensta(row, technology, DATA / "two_slew_axes.lib")
        assert by_opensta.delay_ps == pytest.approx(366.3, abs=0.05)


def test_tables_on_other_axes_are_not_resampled():
    fine = Table((10.0, 20.0, 40.0), (1.0, 2.0), ((1.0, 2.0), (50.0, 60.0), (7.0, 9.0)))
    coarse = Table((10.0, 40.0), (1.0, 3.0), ((30.0, 40.0), (30.0, 40.0)))
    again = on_common_axes([fine, coarse])
    assert {(table.slews, table.loads) for table in again} == {((10, 20, 40), (1, 2, 3))}
    for slew in (5.0, 10.0, 13.0, 20.0, 37.0, 90.0):
        for load in (0.5, 1.0, 1.5, 2.0, 2.5, 8.0):
            for before, after in zip((fine, coarse), again, strict=True):
                assert after.at(slew, load) == pytest.approx(before.at(slew, load))
    assert worst([coarse, fine]).at(20.0, 1.0) == 50.0 and worst([coarse, fine]).at(10.0, 1.0) == 30.0


def test_points_that_differ_by_rounding_count_as_one():
    first = Table((10.0, 20.0), (1.0,), ((1.0,), (2.0,)))
    second = replace(first, slews=(10.000001, 20.000001))
    assert on_common_axes([first, second])[1].slews == (10.0, 20.0)


def test_abc_sees_the_slower_sense_on_other_axes(tmp_path):
    """ABC merges both senses of an XOR, but of tables on the same axes only."""
    quick = timing("A B", "0.01, 0.02", "0.03, 0.04", "positive_unate")
    slow = timing("A B", "0.5, 0.5", "0.5, 0.5", "negative_unate").replace("values", 'index_1 ("0.02, 0.3"); values')
    buffer = cell("buf", "A", "A", timings=timing("A", sense="positive_unate"))
    library = parse_library(tiny(INV, NAND, buffer, cell("xor", "A^B", "AB", 4.0, timings=quick + slow)), "t")
    technology = Technology.of("t", library)
    for name, text in (("given", liberty_text(library)), ("common", technology.liberty)):
        (tmp_path / f"{name}.lib").write_text(text)
    (tmp_path / "x.blif").write_text(".model x\n.inputs a b\n.outputs y\n.gate xor A=a B=b Y=y\n.end\n")
    delays = {
        name: timing_with(tmp_path / f"{name}.lib", technology.constraints, [tmp_path / "x.blif"])[0].delay_ps
        for name in ("given", "common")
    }
    assert delays["given"] < 100 and delays["common"] >= 500


POWER = """
  pg_pin (VDD) { pg_type : primary_power; } pg_pin (VSS) { pg_type : primary_ground; }
  leakage_power () { when : "A"; value : 3; related_pg_pin : VDD; }
  leakage_power () { when : "!A"; value : "5"; related_pg_pin : VDD; }
  leakage_power () { when : "A"; value : 100; related_pg_pin : VSS; }
"""
ENERGY = """
  internal_power () { related_pin : "A"; related_pg_pin : VDD; rise_power (scalar) { values ("0.002"); }
    fall_power (scalar) { values ("0.004"); } }
  internal_power () { related_pin : "A"; related_pg_pin : VSS; power (scalar) { values ("0.1"); } }
"""


def test_leakage_and_energy_of_the_supply_and_not_of_ground():
    text = tiny(cell("inv", "!A", "A", extra=POWER, timings=timing("A") + ENERGY), NAND)
    found = parse_library(text, "t").cells["inv"]
    assert found.leakage == 4.0  # nW, the mean over its conditions
    assert found.outputs[0].energy == pytest.approx(3.0)  # 0.003 pF · V² = 3 fJ
    millivolts = text.replace('time_unit : "1ns";', 'time_unit : "1ns"; voltage_unit : "10mV"; nom_voltage : "75";')
    library = parse_library(millivolts, "t")
    assert library.voltage == pytest.approx(0.75)
    assert library.cells["inv"].outputs[0].energy == pytest.approx(3.0e-4)


def test_stated_leakage_counts_and_the_default_is_for_those_without():
    stated = tiny(cell("inv", "!A", "A", extra='cell_leakage_power : "2";' + POWER), NAND)
    stated = stated.replace("default_max_transition", "default_cell_leakage_power : 7; default_max_transition")
    assert [cell.leakage for cell in parse_library(stated, "t").cells.values()] == [2.0, 7.0]


def parts(tmp_path, *texts):
    paths = [tmp_path / f"part{k}.lib" for k in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    return paths


def test_several_files_are_one_library(tmp_path):
    first, second = parts(tmp_path, tiny(INV), tiny(NAND).replace("transition : 1.5", "transition : 0.5"))
    second.write_bytes(gzip.compress(second.read_bytes()))
    found, whole = read_library(first, second), parse_library(tiny(INV, NAND), "whole")
    assert dict(found.cells) == dict(whole.cells)
    assert found.max_transition == 500  # beyond it some of the tables say nothing
    assert dict(read_library(first, second, first).cells) == dict(whole.cells)
    technology = Technology.from_liberty(f"{first},{second}")
    assert (technology.name, technology.source) == ("part0+part1", "part0.lib, part1.lib")
    assert dict(technology.library.cells) == dict(whole.cells)


def test_a_comma_in_a_files_name(tmp_path):
    (path,) = parts(tmp_path, tiny(INV, NAND))
    path = path.rename(tmp_path / "inv,nand.lib")
    assert Technology.from_liberty(path).name == "inv,nand"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"1ns"', '"1ps"', "part1.lib has time_unit 1ps, .*part0.lib has 1ns; the files of one technology must agree"),
        ("(1, pf)", "(1, ff)", "capacitive_load_unit 1 ff"),
        ("time_unit", "nom_voltage : 0.7; time_unit", "part1.lib has nom_voltage 0.7, .*part0.lib has unstated"),
        ("time_unit", "slew_lower_threshold_pct_rise : 30; time_unit", "slew_lower_threshold_pct_rise 30"),
        ("area : 2.0", "area : 3.0", "cell nand is in .*part0.lib and with other facts in .*part1.lib"),
    ],
)
def test_files_that_do_not_fit_together(tmp_path, old, new, says):
    text = tiny(INV, NAND)
    assert old in text
    with pytest.raises(Refusal, match=says) as refusal:
        read_library(*parts(tmp_path, text, text.replace(old, new)))
    assert "\n" not in str(refusal.value)


def test_units_that_are_spelt_otherwise_agree(tmp_path):
    first, second = parts(tmp_path, tiny(INV), tiny(NAND).replace('"1ns"', "1000ps").replace("(1, pf)", '("1.0", PF)'))
    assert list(read_library(first, second).cells) == ["inv", "nand"]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"7z\xbc\xaf\x27\x1c rest", r"some.lib is a 7z archive; unpack it first \(7z x\)"),
        (b"PK\x03\x04 rest", r"is a zip archive; unpack it first \(unzip\)"),
        (b"\xfd7zXZ\x00 rest", "is a xz archive"),
        (tiny(INV, NAND).replace("(tiny) {", "(tiny) { include_file (cells.lib);").encode(), r"includes cells\.lib"),
        (tiny(INV, INV.replace("1.0", "2.0")).encode(), "cell inv is there twice, with different facts"),
        (tiny(INV, NAND).replace("area : 2.0", "area : 2.0.0").encode(), "cell nand: area has '2.0.0' where a number"),
        (tiny(INV, NAND).replace("area : 2.0", "area : nan").encode(), "cell nand: area is nan, which is no finite"),
        (tiny(INV, NAND).replace('"1ns"', '"nanoseconds"').encode(), "time_unit 'nanoseconds' is not understood"),
        (tiny(INV, NAND).replace("(1, pf)", '("1")').encode(), "capacitive_load_unit"),
        (tiny(INV, NAND).replace("!(A*B)", "(" * 5000 + "A" + ")" * 5000).encode(), "cell nand: .*nested too deeply"),
        ((TINY.replace("CELLS", "") + "cell (x) {").encode(), "several groups at its top"),
        (("library (x) { " * 20_000).encode(), "it ends at line 1, in the middle of a group"),
        (b'library (x) { a : "never closed; }', "it ends at line 1"),
    ],
)
def test_refusals_in_one_line(tmp_path, data, says):
    path = tmp_path / "some.lib"
    path.write_bytes(data)
    with pytest.raises(Refusal, match=says) as refusal:
        read_library(path)
    assert "\n" not in str(refusal.value)


def test_a_gzip_file_that_unpacks_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(liberty_module, "_LARGEST", 1 << 20)
    path = tmp_path / "bomb.lib.gz"
    path.write_bytes(gzip.compress(b" " * (4 << 20)))
    with pytest.raises(Refusal, match=r"bomb\.lib\.gz unpacks to more than 1 MiB"):
        read_library(path)


@pytest.mark.parametrize("name", ["inv;x", "[exec touch owned]", "inv 1", "$inv", "1inv", ""])
def test_names_that_no_netlist_can_carry_are_left_out(name):
    odd = cell(f'"{name}"', "!A", "A", area=0.5)
    assert list(parse_library(tiny(odd, INV, NAND), "t").cells) == ["inv", "nand"]
    with pytest.raises(ValueError, match="no name that a netlist can carry"):
        library = parse_library(tiny(INV, NAND), "t")
        replace(library, cells={name: replace(library.cells["inv"], name=name)})


def test_long_functions_are_read():
    """As ASAP7 writes those of its large gates: a sum of products of a hundred terms."""
    terms = " + ".join(["(A * B)", "(!A * B)"] * 2000)
    long = cell("long", terms, "AB", timings=timing("A B"))
    assert parse_library(tiny(INV, NAND, long), "t").cells["long"].truth == 0b1100


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    start=st.integers(0, len(tiny(INV, NAND))),
    length=st.integers(0, 60),
    put=st.sampled_from([*'{}()"\\;:,é\0', "", "/*", "1e999", "-1", "pin (A) {"]),
)
def test_damage_anywhere_is_refused_or_read(start, length, put):
    text = tiny(INV, NAND)
    damaged = text[:start] + put + text[start + length :]
    try:
        assert isinstance(parse_library(damaged, "some.lib"), Library)
    except Refusal as refusal:
        assert str(refusal).startswith("some.lib") and "\n" not in str(refusal)
