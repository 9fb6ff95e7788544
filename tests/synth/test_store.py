"""Technologies by name or by file: what changed on disk is read again."""

import json
import os

import pytest
from small_liberty import INV, NAND, tiny

from amhw.refusal import Refusal
from amhw.synth import Technology
from amhw.synth.liberty import parse_library
from amhw.synth.store import DamagedTechnologyError, keep, known, named, technology_named


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    path = tmp_path / "technologies"
    monkeypatch.setenv("AMHW_TECH_DIR", str(path))
    return path


def with_area(area):
    return tiny(INV, NAND.replace("area : 2.0", f"area : {area}"))


def area(technology):
    return technology_named(str(technology)).nand2_area


def test_a_liberty_file_that_changed_is_read_again(tmp_path):
    path = tmp_path / "my.lib"
    path.write_text(with_area("2.5"))
    assert area(path) == 2.5
    assert technology_named(str(path)) is technology_named(str(path))
    path.write_text(with_area("7.25"))
    assert area(path) == 7.25


def test_one_that_changed_to_the_same_size_and_kept_its_time_is_read_again(tmp_path):
    path = tmp_path / "my.lib"
    path.write_text(with_area("2.5"))
    before = path.stat()
    assert area(path) == 2.5
    path.write_text(with_area("7.5"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert area(path) == 7.5


def test_a_part_that_changed_is_read_again(tmp_path):
    first, second = tmp_path / "a.lib", tmp_path / "b.lib"
    first.write_text(tiny(INV))
    for figure in ("2.5", "3.5"):
        second.write_text(tiny(NAND.replace("area : 2.0", f"area : {figure}")))
        assert area(f"{first},{second}") == float(figure)


def test_a_technology_that_is_imported_again_is_read_again(folder):
    for figure in ("2.5", "3.5"):
        keep("mine", parse_library(with_area(figure), "my.lib"), "my.lib")
        assert area("mine") == named("mine").nand2_area == float(figure)


def test_another_folder_has_other_technologies(folder, tmp_path, monkeypatch):
    keep("mine", parse_library(with_area("2.5"), "my.lib"), "my.lib")
    assert area("mine") == 2.5
    monkeypatch.setenv("AMHW_TECH_DIR", str(tmp_path / "elsewhere"))
    with pytest.raises(Refusal, match="unknown technology 'mine'; known: sg13g2, sky130hd, or give a Liberty file"):
        technology_named("mine")
    keep("mine", parse_library(with_area("4.5"), "my.lib"), "my.lib")
    assert area("mine") == 4.5


def test_one_that_is_gone_is_gone(tmp_path):
    path = tmp_path / "my.lib"
    path.write_text(with_area("2.5"))
    assert area(path) == 2.5
    path.unlink()
    with pytest.raises(Refusal, match="cannot read"):
        technology_named(str(path))


def test_what_is_a_name_and_what_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cells").write_text(with_area("2.5"))
    (tmp_path / "sky130hd").write_text(with_area("2.5"))
    assert area("cells") == area("./cells") == area("./sky130hd") == 2.5
    assert technology_named("sky130hd") is Technology.named("sky130hd")
    for unknown in ("tsmc5", "", " "):
        with pytest.raises(Refusal, match="unknown technology"):
            technology_named(unknown)
    with pytest.raises(Refusal, match=r"cannot read tsmc5\.lib"):
        technology_named("tsmc5.lib")


DAMAGE = {
    "no JSON": "{",
    "empty": "",
    "something else": '{"a": 1}',
    "a list": "[1, 2]",
    "nested without end": "[" * 100_000,
    "a huge number": '{"unit_ps": 1' + "0" * 6000 + "}",
    "no UTF-8": b"\xff\xfe{",
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_technology_is_one_of_the_list(folder, how):
    keep("good", parse_library(with_area("2.5"), "my.lib"), "my.lib")
    content = DAMAGE[how]
    (folder / "bad.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    found = known()
    assert list(found) == ["sg13g2", "sky130hd", "bad", "good"]
    assert isinstance(found["bad"], DamagedTechnologyError) and found["good"].nand2_area == 2.5
    with pytest.raises(Refusal, match=r"bad\.json is damaged; import the Liberty file again as bad, or delete it"):
        technology_named("bad")


def test_names_that_would_run_commands_are_damage(folder):
    """Cells' names stand in the scripts of the tools, where brackets or a semicolon would be read."""
    path = keep("mine", parse_library(with_area("2.5"), "my.lib"), "my.lib")
    facts = json.loads(path.read_text())
    facts["cells"]["[exec touch owned]"] = facts["cells"].pop("inv")
    path.write_text(json.dumps(facts))
    with pytest.raises(Refusal, match="damaged"):
        technology_named("mine")


def test_what_another_version_imported_is_not_used(folder):
    """Tables on other slew axes were resampled once, which gave other delays."""
    path = keep("mine", parse_library(with_area("2.5"), "my.lib"), "my.lib, second.lib")
    facts = json.loads(path.read_text())
    del facts["schema"]
    path.write_text(json.dumps(facts))
    again = r"import it again, with amhw tech import my\.lib second\.lib --name mine"
    with pytest.raises(Refusal, match=again):
        technology_named("mine")
    assert isinstance(known()["mine"], DamagedTechnologyError)
