"""The report: what is in the page, and what a person can do with it in a real browser."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from pyarrow import parquet

from amhw.commands.report import command
from amhw.commands.study import command as study
from amhw.commands.synth import command as synth
from amhw.report import charts
from amhw.report.points import EXACT, Point

NAMES = ["mul_u8s8_pp_full", "mul_u8s8_pp_0_0_0_20_f8_f8_fc_fe", "mul_u8s8_pp_0_0_0_0_0_0_f0_f0"]
SELECTION = (
    Path(__file__).parents[1] / "data" / "select-front.json"
)  # amhw select: the multipliers with 6 and with 4 partial products
COSTS = ("area_um2", "delay_ps", "energy_fj")

STUDY = """
energy = "conv2"
[[designs]]
names = {names}
[[peers]]
file = "published.csv"
[array]
synthesis = "array.json"
"""
PEERS = """name,area_um2,delay_ps,plain_loss,remapped_loss,remapped_half_width
mul8u_X,300,900,80,0.25,0.1
mul8u_Y,700,1300,0.3,0.01,0.05
"""
HIERARCHY = """
module half(input [1:0] x, output y); assign y = &x; endmodule
module top(input [3:0] a, output [1:0] p, output q);
  half low(.x(a[1:0]), .y(p[0]));
  half high(.x(a[3:2]), .y(p[1]));
  assign q = ^a;
endmodule
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A study and a selection on one page."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "published.csv").write_text(PEERS)
    (folder / "top.v").write_text(HIERARCHY)
    mapped = CliRunner().invoke(synth, [str(folder / "top.v"), "--hierarchical", "--quick", "--json"])
    (folder / "array.json").write_text(mapped.stdout)
    (folder / "study.toml").write_text(STUDY.format(names=json.dumps(NAMES)))
    arguments = [str(folder / "study.toml"), "--out", str(folder), "--workers", "2"]
    assert CliRunner().invoke(study, arguments).exit_code == 0
    result = CliRunner().invoke(command, [str(folder), str(SELECTION), "--parquet"])
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[-1] == str(folder / "report.html")
    return folder


def test_every_file_is_named(folder, tmp_path):
    result = CliRunner().invoke(command, [str(folder), "--out", str(tmp_path / "out"), "--json"])
    record = json.loads(result.stdout)
    assert {*record["files"]} == {str(path) for path in (tmp_path / "out").iterdir()}
    assert record["page"] == str(tmp_path / "out" / "report.html")


@pytest.fixture(scope="module")
def selection():
    return json.loads(SELECTION.read_text())


def records(folder) -> list[dict[str, str]]:
    with (folder / "report.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_page_needs_no_network_and_names_every_design(folder, selection):
    text = (folder / "report.html").read_text()
    assert "<script src" not in text
    assert '<link rel="stylesheet' not in text
    sweep = json.loads((folder / "sweep.json").read_text())
    for row in sweep["rows"]:
        assert f"<td>{row['name']}</td>" in text
        assert f"<td>{row['accuracy']:.2%}</td>" in text
        assert f"<td>{row['area_um2']:.1f}</td>" in text
        assert f"<td>{row['energy_fj']:.1f}</td>" in text
    for row in selection["front"]:
        assert f"<td>{row['multiplier']}</td>" in text
        assert f"<td>{row['area_ratio']:.4f}</td>" in text
    for name in ("pyosys", "technology sky130hd", "images MNIST"):
        assert sweep["provenance"][name] in text
    for words in ("half ×2", "partial sums", "<td>1384</td>"):
        assert words in text


def test_the_table_beside_the_page_has_every_point_once(folder, selection):
    rows = records(folder)
    names = [row["name"] for row in rows]
    assert names[: len(NAMES)] == NAMES
    assert sorted(names).count("the best exact multipliers") == 1
    assert set(names) >= {row["multiplier"] for row in selection["front"]}
    table = parquet.read_table(folder / "report.parquet")
    assert table.column("name").to_pylist() == names
    [exact] = [row for row in rows if row["group"] == EXACT]
    for row in rows:
        assert float(row["area_ratio"] or 1) == pytest.approx(float(row["area_um2"]) / float(exact["area_um2"]))
        assert float(row["loss_points"]) == pytest.approx(
            100 * (float(exact["accuracy"]) - float(row["accuracy"])), abs=1e-9
        )


def test_a_published_circuit_is_a_point_for_each_network(folder):
    rows = {(row["name"], row["group"]): row for row in records(folder)}
    assert float(rows["mul8u_X", "published, plain"]["loss_points"]) == pytest.approx(80)
    fitted = rows["mul8u_Y", "published, remapped"]
    assert float(fitted["loss_points"]) == pytest.approx(0.01)
    assert [float(fitted[f"loss_{end}"]) for end in ("low", "high")] == pytest.approx([-0.04, 0.06])


def test_a_selected_multiplier_has_its_smallest_area_and_its_least_delay(folder, selection):
    rows = {row["name"]: row for row in records(folder) if row["group"].startswith("selected")}
    for name in {row["multiplier"] for row in selection["front"]}:
        netlists = [row for row in selection["front"] if row["multiplier"] == name]
        assert float(rows[name]["area_um2"]) == min(row["area_um2"] for row in netlists)
        assert float(rows[name]["delay_ps"]) == min(row["delay_ps"] for row in netlists)
        assert ("reduced precision" in rows[name]["group"]) == netlists[0]["reduced_precision"]


def test_pictures_for_paper(folder):
    assert (folder / "front-MNIST-sky130hd.png").read_bytes().startswith(b"\x89PNG")
    svg = (folder / "front-MNIST-sky130hd.svg").read_text()
    for words in ("area of the smallest netlist", "energy of an operation", "published, remapped", ">exact<"):
        assert words in svg


def test_what_one_select_printed_and_published_circuits_without_a_study(tmp_path, selection):
    one = {"kind": "selected-multiplier", "schema": 1, **selection["front"][0]}
    (tmp_path / "one.json").write_text(json.dumps(one))
    (tmp_path / "published.csv").write_text(PEERS)
    arguments = [
        str(tmp_path / "one.json"),
        "--peers",
        str(tmp_path / "published.csv"),
        "--out",
        str(tmp_path / "page"),
    ]
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0, result.stderr
    names = [row["name"] for row in records(tmp_path / "page")]
    assert names[:2] == [one["multiplier"], "the best exact multipliers"]
    assert names[2:] == ["mul8u_X", "mul8u_X", "mul8u_Y", "mul8u_Y"]


def test_a_selection_on_other_images_in_a_liberty_file(tmp_path, selection):
    row = selection["front"][0] | {"technology": "cells/mine.lib.gz"}
    row["problem"] = {"network": None, "data_dir": str(tmp_path / "fashion")}
    row["data"] = {"name": "fashion", "sha256": "0" * 64}
    (tmp_path / "front.json").write_text(json.dumps(selection | {"front": [row]}))
    result = CliRunner().invoke(command, [str(tmp_path)])
    assert result.exit_code == 0, result.stderr
    assert {(point["tech"], point["data"]) for point in records(tmp_path)} == {("mine", "fashion")}
    assert (tmp_path / "front-fashion-mine.svg").exists()
    assert "Not shown" in (tmp_path / "report.html").read_text()  # there is no such folder any more


def test_data_sets_of_one_name_are_told_apart(tmp_path, selection):
    first = selection["front"][0]
    for number, digest in enumerate(("0123456789", "abcdef0123", "0123456789")):
        row = first | {"problem": {"network": None, "data_dir": f"{number}/fashion"}, "test_images": digest}
        row["data"] = {"name": "fashion", "sha256": digest}
        (tmp_path / f"{number}.json").write_text(json.dumps(selection | {"front": [row]}))
    files = [str(tmp_path / f"{number}.json") for number in range(3)]
    assert CliRunner().invoke(command, [*files, "--out", str(tmp_path)]).exit_code == 0
    names = [row["data"] for row in records(tmp_path) if row["group"] != EXACT]
    assert names == ["fashion 012345", "fashion abcdef", "fashion 012345"]


def test_a_folder_with_a_study_and_a_selection_shows_both(folder, tmp_path, selection):
    shutil.copy(folder / "sweep.json", tmp_path)
    (tmp_path / "front.json").write_text(json.dumps(selection))
    assert CliRunner().invoke(command, [str(tmp_path)]).exit_code == 0
    names = {row["name"] for row in records(tmp_path)}
    assert {*NAMES, *(row["multiplier"] for row in selection["front"])} <= names


def test_the_drawn_front_leaves_out_what_is_only_noise():
    points = [
        Point(name=f"mul_u2s2_pp_{k}", group="x", tech="t", data="d", kept=k, accuracy=a, area_um2=c).drawn(k)
        for k, (c, a) in enumerate(((99.0, 0.991), (100.0, 0.993), (50.0, 0.98)))
    ]

    def at_the_front(band: float) -> list[str]:
        first = charts.still(points, {"area_um2": band}).to_dict()["concat"][0]["layer"][0]
        return [point["label"] for point in first["data"]["values"]]

    assert at_the_front(0.0) == ["2", "0", "1"]
    assert at_the_front(0.02) == ["2", "1"]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("Chromium and its driver are not on PATH")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
        "--window-size=1200,1400",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield browser
    browser.quit()


@pytest.fixture
def opened(browser, folder):
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get((folder / "report.html").as_uri())
    drawn = "return Object.keys(window.views ?? {}).length"
    wanted = len(browser.find_elements("css selector", ".scroll > div[id]"))
    assert wanted == 1 + 2 * 3 + 1  # the fronts, three charts for each convolution, the areas
    WebDriverWait(browser, 60).until(lambda b: b.execute_script(drawn) == wanted)
    return browser


def designs(browser, chart: int):
    groups = browser.find_elements("css selector", "#front0 g.mark-symbol.role-mark")
    return groups[chart].find_elements("css selector", "path")


def test_it_loads_without_complaint_and_shows_every_design(opened, folder):
    assert opened.get_log("browser") == []
    for chart, cost in enumerate(COSTS):
        assert len(designs(opened, chart)) == sum(row[cost] != "" for row in records(folder))
    for picture in opened.find_elements("tag name", "img"):
        assert opened.execute_script("return arguments[0].naturalWidth", picture) > 100


def test_it_fits_a_phone(browser, folder):
    from selenium.webdriver.support.ui import WebDriverWait

    screen = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    try:
        browser.get((folder / "report.html").as_uri())
        WebDriverWait(browser, 60).until(lambda b: b.execute_script("return 'array_area' in (window.views ?? {})"))
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
        for chart in browser.find_elements("css selector", ".scroll > div[id]"):
            if chart.get_attribute("id") != "front0":  # beneath it the cards scroll sideways
                assert browser.execute_script("return arguments[0].querySelector('svg').clientWidth", chart) <= 390
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_hovering_shows_the_design(opened):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.support.ui import WebDriverWait

    ActionChains(opened).move_to_element(designs(opened, 0)[1]).perform()
    tip = opened.find_element("id", "vg-tooltip-element")
    WebDriverWait(opened, 10).until(lambda b: "visible" in tip.get_attribute("class"))
    assert f"amhw gen --multiplier {NAMES[1]}" in tip.text
    assert "a_7" in tip.text
    assert "× exact" in tip.text and "fJ" in tip.text


def test_clicking_keeps_designs_side_by_side(opened, folder):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.support.ui import WebDriverWait

    def cards() -> list[str]:
        texts = opened.find_elements("css selector", "#front0 g.mark-text text")
        return [text.text for text in texts if "a_7" in text.text]

    def click(chart: int, name: str) -> None:
        drawn = [row["name"] for row in records(folder) if row[COSTS[chart]]]
        ActionChains(opened).move_to_element(designs(opened, chart)[drawn.index(name)]).click().perform()

    assert cards() == []
    chosen = (NAMES[1], "mul_u8s8_pp_0_0_0_0_0_0_e0_e0")  # one of the study, one that was selected
    for chart, name in enumerate(chosen):
        click(chart, name)
        WebDriverWait(opened, 10).until(lambda b, count=chart + 1: len(cards()) == count)
    for name in chosen:
        assert any(name.removeprefix("mul_") in card for card in cards())
    click(0, chosen[0])
    WebDriverWait(opened, 10).until(lambda b: len(cards()) == 1)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "front.json"),
        ("{}", "amhw study or amhw select"),
        ("[]", "no JSON object"),
        ("no json", "no JSON object"),
        ('{"kind": "multiplier", "schema": 1}', "its kind is 'multiplier'"),
        ('{"kind": "study", "title": "x"}', "no schema number"),
        ('{"kind": "study", "schema": 99}', "schema 99"),
        ('{"kind": "study", "schema": 1, "title": "x"}', "missing required field"),
        ('{"kind": "selection", "schema": 1, "front": [], "technology": "x"}', "no multipliers"),
        (
            '{"kind": "selection", "schema": 1, "front": [{"multiplier": 7}], "technology": "x"}',
            "`front[0].multiplier`",
        ),
    ],
)
def test_a_folder_without_a_study(tmp_path, content, words):
    if content is not None:
        (tmp_path / "sweep.json").write_text(content)
    result = CliRunner().invoke(command, [str(tmp_path)])
    assert result.exit_code == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert "sweep.json" in result.stderr and words in result.stderr
    assert not (tmp_path / "report.html").exists()
