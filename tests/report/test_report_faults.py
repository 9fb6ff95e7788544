"""A fault campaign on the page: pictures, tables, and what a record may hold."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from amhw.commands.faults import command as faults
from amhw.commands.report import command
from amhw.faults.summary import FaultRun
from amhw.refusal import Refusal
from amhw.report.faults import fault_section, fault_source
from amhw.report.source import records_of

MASK = "mul_u8s8_pp_0_0_0_e0_e0_e0_e0_e0"


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    """The folder of a small one, with a multiplier in one layer."""
    folder = tmp_path_factory.mktemp("campaign")
    what = ["--layers", "conv2", "--images", "200:203", "--parameters", "conv1,fc3.bias", "--fault", "flip"]
    arguments = [MASK, *what, "--fault", "stuck-at-1", "--workers", "1", "--out", str(folder)]
    result = CliRunner().invoke(faults, arguments)
    assert result.exit_code == 0, result.output
    return folder


def page_of(*arguments):
    result = CliRunner().invoke(command, [*map(str, arguments), "--json"])
    assert result.exit_code == 0, result.stderr
    return Path(json.loads(result.stdout)["page"]).read_text(encoding="utf-8")


def section_of(file, run):
    found = fault_source(file, run).campaign
    assert found is not None
    return fault_section(found, 0)


def test_the_page_of_a_campaign(campaign, tmp_path):
    text, run = page_of(campaign, "--out", tmp_path), FaultRun.read(campaign / "faults.json")
    assert f"{MASK} in conv2; images 200 to 202 of MNIST test, of which" in text
    # A heat map for each model, and the kernels.
    assert len(re.findall(r'<img class="picture" [^>]*src="data:image/svg\+xml;base64,', text)) == 3
    for words in (
        "flip: mean loss of accuracy",
        "stuck-at-1: mean loss of accuracy",
        "flip: each weight of each kernel",
    ):
        assert words in text
    head = re.search(r"<th[^>]*><button[^>]*>faults of</button>.*?</tr>", text).group()
    assert re.findall(r"<button[^>]*>([^<]*)<", head) == [
        *("faults of", "number", "changed", "harm", "silent", "critical", "worst")
    ]
    for model in run.totals:
        for layer, kind in (("conv1", "weights"), ("conv1", "bias"), ("conv1", "shift"), ("fc3", "bias")):
            figures = run.figures(model, layer, kind)
            row = [f"{figures.faults}", f"{figures.changed:.3%}", f"{figures.harm:.3%}", f"{figures.silent:.3%}"]
            cells = "".join(f"<td>{cell}</td>" for cell in [*row, f"{figures.critical:.3%}", f"{figures.worst:.2%}"])
            assert f"{layer} {kind}</td>{cells}" in text
    bit = run.figures("flip", "fc3", "bias", 31)
    assert f"<td>31</td><td>10</td><td>{bit.changed:.3%}</td>" in text
    assert run.subject.network_sha256 in text


def test_a_campaign_in_a_folder_of_the_folder(campaign, tmp_path):
    study = tmp_path / "study"
    (study / "faults").mkdir(parents=True)
    for name in ("faults.json", "kernels.svg"):
        (study / "faults" / name).write_bytes((campaign / name).read_bytes())
    text = page_of(study, "--out", tmp_path / "page")
    assert "Faults in the memories of LeNet-5" in text and text.count('<img class="picture"') == 3
    (study / "faults" / "kernels.svg").unlink()
    [(file, run)] = records_of(study)
    assert section_of(file, run).count('<img class="picture"') == 2


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"cells": [{"bit": 10**9}]}, "bit"),
        ({"subject": {"images": [7, 7]}}, "no images"),
        ({"subject": {"images": [-7, 7]}}, "images"),
        ({"correct": "all"}, "correct"),
        ({"schema": 99}, "schema 99"),
    ],
)
def test_a_record_that_cannot_be(campaign, tmp_path, changed, words):
    record = json.loads((campaign / "faults.json").read_text())

    def change(part, new):
        for key, value in new.items() if isinstance(new, dict) else enumerate(new):
            if isinstance(value, dict) or (isinstance(value, list) and isinstance(value[0], dict)):
                change(part[key], value)
            else:
                part[key] = value

    change(record, changed)
    (tmp_path / "faults.json").write_text(json.dumps(record))
    with pytest.raises(Refusal, match=rf"faults\.json is .*{words}"):
        records_of(tmp_path)


def test_names_are_text(campaign, tmp_path):
    hostile = "$\\frac{<img src=x onerror=alert(1)>"
    record = json.loads((campaign / "faults.json").read_text())
    record["subject"]["network"] = hostile
    record["subject"]["multipliers"] = {hostile: [hostile, "0"]}
    for cell in record["cells"]:
        cell["layer"] = hostile
    (tmp_path / "faults.json").write_text(json.dumps(record))
    [(file, run)] = records_of(tmp_path)
    text = section_of(file, run)
    assert "<img src=x" not in text and "&lt;img src=x" in text
