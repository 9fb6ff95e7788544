"""The pictures of a multiplier."""

import re
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from amhw.bitheap import TREES
from amhw.commands.show import command
from amhw.diagram import picture
from amhw.verilog import Design

EIGHT = "mul_u8s8_pp_0_0_0_0_0_c0_e0_e0"
CIRCLE = "{http://www.w3.org/2000/svg}circle"


def test_text_shows_diagram_and_stages():
    result = CliRunner().invoke(command, [EIGHT])
    assert result.exit_code == 0
    assert "a_7     -  o  o" in result.stdout
    stages = re.findall(r"^(?:heap|stage \d) .*$", result.stdout, re.MULTILINE)
    assert max(int(n) for n in stages[-1].split()[2:] if n != ".") == 2


def test_a_picture_that_is_no_svg_is_refused(tmp_path):
    refused = CliRunner().invoke(command, [EIGHT, "--svg", str(tmp_path / "dots.png")])
    assert refused.exit_code == 2 and "ends in .svg" in refused.stderr
    assert not list(tmp_path.iterdir())


def test_svg_has_a_dot_for_every_partial_product(tmp_path):
    file = tmp_path / "dots.svg"
    assert CliRunner().invoke(command, [EIGHT, "--svg", str(file)]).exit_code == 0
    dots = ElementTree.parse(file).getroot().findall(CIRCLE)
    colours = [dot.get("stroke") for dot in dots]
    assert colours.count("#0072b2") + colours.count("#d55e00") == 8
    assert colours.count("#d55e00") == 3
    assert colours.count("#cccccc") == 56


def test_svg_says_what_its_colours_and_stages_are(tmp_path):
    drawn = ElementTree.fromstring(picture(Design.parse(EIGHT)))
    words = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    legend = drawn.find("{http://www.w3.org/2000/svg}g")
    colours = [dot.get("stroke") for dot in legend.findall(CIRCLE)]
    assert dict(zip(colours, [text.text for text in legend if text.text], strict=True)) == {
        "#0072b2": "kept",
        "#d55e00": "kept, of negative weight",
        "#cccccc": "left out",
    }
    assert any(text.startswith("heap") for text in words) and "after stage 1 of the tree" in words


@pytest.mark.parametrize("tree", TREES)
def test_every_tree_ends_in_two_rows(tree):
    dots = ElementTree.fromstring(
        picture(Design.parse("mul_u8u8_pp_full" + ("" if tree == TREES[0] else f"__{tree.replace('-', '_')}")))
    )
    assert len(dots.findall(CIRCLE)) > 64


def test_other_families_have_pictures_too():
    assert "<circle" in picture(Design.parse("mul_u8u8_drum_6"))


def test_bad_names():
    assert CliRunner().invoke(command, ["nosuch"]).exit_code == 2
