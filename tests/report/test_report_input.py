"""What a report is made of may come from anyone: wrong figures and names are refused, texts are shown as texts."""

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner

from amhw.commands.report import command
from amhw.refusal import Refusal
from amhw.report.source import records_of

SELECTION = json.loads((Path(__file__).parents[1] / "data" / "select-front.json").read_text(encoding="utf-8"))


def changed(folder, value, *place):
    """The file of a selection with one value changed."""
    record = json.loads(json.dumps(SELECTION))
    part = record
    for key in place[:-1]:
        part = part[key]
    assert place[-1] in part
    part[place[-1]] = value
    file = folder / "front.json"
    file.write_text(json.dumps(record), encoding="utf-8")
    return file


@pytest.mark.parametrize("value", [-5.0, "5", None, float("nan"), float("inf"), [5.0]])
@pytest.mark.parametrize("field", ["area_um2", "delay_ps", "exact_area_um2", "accuracy"])
def test_wrong_figures_are_refused(tmp_path, field, value):
    file = changed(tmp_path, value, "front", 0, field)
    with pytest.raises(Refusal, match=rf"front\.json is (a damaged selection: .*{field}|no study or selection)"):
        records_of(file)


@pytest.mark.parametrize("field", ["multiplier", "design"])
@pytest.mark.parametrize("name", ["<b>x</b>", "mul_u8s8_pp_full; rm -rf ~", "", "x" * 5000, "\ud800", "a\0b"])
def test_names_of_no_design_are_refused(tmp_path, field, name):
    file = changed(tmp_path, name, "front", 0, field)
    with pytest.raises(Refusal, match=r"front\.json is (a damaged selection|no study, selection or fault campaign)"):
        records_of(file)


class Elements(HTMLParser):
    """The elements of a page, and what is in its scripts."""

    def __init__(self):
        super().__init__()
        self.started, self.scripts = [], []

    def handle_starttag(self, tag, attrs):
        self.started.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.started and self.started[-1][0] == "script":
            self.scripts.append(data)


def test_html_in_a_text_is_shown_as_text(tmp_path):
    hostile = '"><img src=x onerror=alert(1)></script><script>alert(2)</script><!--<script>'
    front = changed(tmp_path, hostile, "front", 0, "recipe")
    record = json.loads(front.read_text(encoding="utf-8"))
    for row in record["front"]:
        row["data"]["name"] = hostile[:250]
    front.write_text(json.dumps(record), encoding="utf-8")
    result = CliRunner().invoke(command, [str(front), "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.stderr
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    page = Elements()
    page.feed(text)
    assert not [attributes for tag, attributes in page.started if tag == "img" and attributes.get("src") == "x"]
    assert not [script for script in page.scripts if script.startswith("alert")]
    assert "&lt;img src=x onerror=alert(1)&gt;" in text
    assert "<!--" not in text.partition("</head>")[2]
