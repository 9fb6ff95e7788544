"""Verilog text, design names and manifests."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amhw import Masked, Refusal
from amhw.bitheap import ADDERS, TREES
from amhw.manifests import MultiplierManifest, OperandPort, read_manifest, verilog_beside
from amhw.verilog import Design

EIGHT = Masked.from_text("0,0,0,0,0,c0,e0,e0", 8, 8, signed_b=True)


@given(st.sampled_from(TREES), st.sampled_from(ADDERS))
def test_design_names_round_trip(tree, adder):
    design = Design(EIGHT, tree, adder)
    assert Design.parse(design.name) == design


def test_default_structure_adds_no_suffix():
    assert Design(EIGHT).name == EIGHT.name
    assert Design(EIGHT, "array", "ripple").name == f"{EIGHT.name}__array__ripple"


@pytest.mark.parametrize("suffix", ["__oak", "__ripple__array", "__dadda", "__auto", "__", "__array__"])
def test_other_suffixes_are_refused(suffix):
    with pytest.raises(Refusal, match="may follow"):
        Design.parse(EIGHT.name + suffix)


def test_same_design_same_bytes():
    first, second = Design(EIGHT).verilog(), Design(EIGHT).verilog()
    assert first == second


def test_the_file_is_one_plain_module_and_shows_what_it_is():
    text = Design(EIGHT).verilog()
    assert re.findall(r"^module (\w+)\(a, b, p\);", text, re.MULTILINE) == [EIGHT.name]
    assert text.count("endmodule") == 1
    assert "input [7:0] a;" in text
    assert "input [7:0] b;" in text
    assert "output [15:0] p;" in text
    for line in EIGHT.diagram().splitlines():
        assert f"//   {line}" in text
    assert not re.search(r"[$\\`]|\(\*|initial|/work|\d{4}-\d\d-\d\d", text)


def test_manifest_describes_the_verilog(tmp_path):
    source, path = Design(EIGHT, "wallace").write(tmp_path)
    assert source.name == f"{EIGHT.name}__wallace.v"
    manifest = read_manifest(path)
    assert isinstance(manifest, MultiplierManifest)
    assert manifest.multiplier == EIGHT.name
    assert manifest.tree == "wallace"
    assert manifest.ports["p"] == OperandPort("output", 16, True)
    assert manifest.parameters["rows"] == ["0", "0", "0", "0", "0", "c0", "e0", "e0"]
    assert verilog_beside(path, manifest) == source
    assert manifest == Design(EIGHT, "wallace").manifest(source.read_text())


def test_a_changed_verilog_is_noticed(tmp_path):
    source, path = Design(EIGHT).write(tmp_path)
    source.write_text(source.read_text() + "\n")
    with pytest.raises(Refusal, match="write it again with amhw gen"):
        read_manifest(path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"name": "x"}', "\x00"])
def test_what_is_no_manifest_is_refused(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(Refusal, match="no manifest"):
        read_manifest(path)


@pytest.mark.parametrize("module", ["1abc", "a b", "module", "", "é", "a" * 300, "../x"])
def test_bad_module_names_are_refused(tmp_path, module):
    with pytest.raises(Refusal, match="cannot name"):
        Design(EIGHT).write(tmp_path, module)
    assert not list(tmp_path.iterdir())


def test_own_module_name(tmp_path):
    source, path = Design(EIGHT).write(tmp_path, "my_multiplier")
    assert (source.name, path.name) == ("my_multiplier.v", "my_multiplier.json")
    assert "module my_multiplier(" in source.read_text()
    assert json.loads(path.read_text())["multiplier"] == EIGHT.name
