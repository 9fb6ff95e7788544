"""`amhw families`, and the document that shows them all."""

import importlib.util
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from amhw import Multiplier, parse
from amhw.cli import main

SCRIPT = Path(__file__).parent.parent.parent / "scripts" / "families_table.py"


def families(*arguments):
    return CliRunner().invoke(main, ["families", *arguments])


@pytest.mark.parametrize("signed", ["none", "a", "b", "both"])
def test_every_example_is_a_name_that_parses(signed):
    listed = json.loads(families("--signed", signed, "--json").stdout)["families"]
    names = [example["name"] for family in listed for example in family["examples"]]
    assert len(names) > 20
    for name in names:
        multiplier = parse(name)
        assert (multiplier.signed_a, multiplier.signed_b) == (signed in ("a", "both"), signed in ("b", "both"))


def test_every_family_has_its_parameters_and_one_line():
    listed = {family["family"]: family for family in json.loads(families("--json").stdout)["families"]}
    assert listed["Drum"]["parameters"] == ["bits"]
    assert listed["Mitchell"]["parameters"] == ["bits", "unbias=False"]
    assert listed["broken_array"]["parameters"] == ["h", "v"]
    assert listed["Bfloat16"]["parameters"] == ["core"] and "no product table" in listed["Bfloat16"]["summary"]
    assert listed["Bfloat16"]["keyword"] is None and listed["perforated"]["keyword"] == "pp"
    known = {family.__name__ for family in Multiplier._families.values() if family.__module__.startswith("amhw.")}
    assert known <= set(listed)
    page = families().stdout
    for name, family in listed.items():
        assert family["summary"] and "\n" not in family["summary"]
        assert f"{name}({', '.join(family['parameters'])})\n    {family['summary']}\n" in page


def test_other_widths():
    for width in (6, 11, 16):
        listed = json.loads(families("--width", str(width), "--json").stdout)["families"]
        assert all(parse(e["name"]).width_a == width for family in listed for e in family["examples"])
    result = families("--width", "40")
    assert result.exit_code == 2 and "6 to 16" in result.stderr


def test_the_document_is_up_to_date(capsys):
    """Sections and error figures are those of the code; costs take minutes and are left to the script."""
    spec = importlib.util.spec_from_file_location("families_table", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.check() == 0, capsys.readouterr().out
