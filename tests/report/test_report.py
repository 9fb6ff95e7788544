"""The report: what is in the page, and what a person can do with it in a real browser."""

import csv
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from pyarrow import parquet

from amhw.commands.report import command
from amhw.commands.study import command as study
from amhw.commands.synth import command as synth
from amhw.multiplier import parse
from amhw.report import charts
from amhw.report.demands import demands
from amhw.report.error_maps import thumbnail
from amhw.report.points import EXACT, FLOOR, Point, drawn
from amhw.table import ProductTable

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
        assert f'<td data-value="{row["name"]}">' in text
        assert f"<td>{row['accuracy']:.2%}</td>" in text
        assert f"<td>{row['area_um2']:.1f}</td>" in text
        assert f"<td>{row['energy_fj']:.1f}</td>" in text
    for row in selection["front"]:
        assert text.count(f'<td data-value="{row["multiplier"]}">') == 1  # its netlists are inside
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
    for words in (
        "area, restructured: the smallest netlist",
        "energy of an operation",
        "published, remapped",
        ">exact<",
    ):
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
        Point(name=f"mul_u2s2_pp_{k}", group="x", tech="t", data="d", kept=k, accuracy=a, area_um2=c)
        for k, (c, a) in enumerate(((99.0, 0.991), (100.0, 0.993), (50.0, 0.98)))
    ]

    def at_the_front(band: float) -> list[str]:
        first = charts.still(drawn(points), {"area_um2": band}).to_dict()["concat"][0]["layer"][0]
        return [point["label"] for point in first["data"]["values"]]

    assert at_the_front(0.0) == ["2", "0", "1"]
    assert at_the_front(0.02) == ["2", "1"]


def test_losses_have_a_floor_and_are_against_the_best_where_exact_products_are_not_known():
    given = {"group": "x", "tech": "t", "data": "d"}
    points = [
        Point(name="a", accuracy=0.99, exact_accuracy=0.98, **given),
        Point(name="b", accuracy=0.97, exact_accuracy=0.98, loss_low=-0.5, loss_high=2.5, **given),
        Point(name="c", accuracy=0.94, **given),
    ]
    assert [point.loss for point in drawn(points)] == pytest.approx([FLOOR, 1, 5])
    assert (drawn(points)[1].loss_low, drawn(points)[1].loss_high) == (FLOOR, 2.5)


def test_commands_can_be_pasted():
    given = {"name": "x", "group": "x", "tech": "t", "data": "d", "accuracy": 1.0}
    assert Point(design="mul_u8s8_pp_full", network="my select/a.npz", data_dir="my data", **given).commands == [
        "amhw gen mul_u8s8_pp_full",
        "amhw accuracy --network 'my select/a.npz' --data 'my data'",
    ]
    assert Point(source="imports/$(x).json", **given).commands == ["amhw errors 'imports/$(x).json'"]
    assert Point(**given).commands == []


def test_three_demands_in_words():
    def point(name: str, loss: float, area: float, delay: float, group: str = "x") -> Point:
        return Point(
            name=name,
            group=group,
            tech="t",
            data="d",
            accuracy=0.99 - loss / 100,
            exact_accuracy=0.99,
            area_um2=1000 * area,
            area_ratio=area,
            delay_ps=1000 * delay,
            delay_ratio=delay,
        )

    points = [
        point("exact", 0, 0.001, 0.001, EXACT),
        point("small", 0.19, 0.04, 0.6),
        point("good", 0.05, 0.05, 1.4),
        point("fast", 0.45, 0.5, 0.25),
        point("tiny and bad", 9, 0.01, 0.01),
    ]
    found = demands(points)
    assert [answer.name for answer in found] == ["small", "good", "fast"]
    assert [answer.found for answer in found] == ["25 times smaller", "0.05 points lost", "4.0 times faster"]
    assert [answer.found for answer in demands(points[:1])] == ["none here"] * 3


def test_a_picture_of_errors_is_white_where_products_are_exact():
    exact = ProductTable.of(parse("mul_u8s8_pp_full"))
    pixels = np.asarray(Image.open(io.BytesIO(thumbnail(exact))).convert("RGB"))
    assert pixels.shape == (64, 64, 3) and (pixels == 255).all()
    # Without the product of the top bits, of which b's has negative weight, products with it are too large.
    dropped = ProductTable.of(parse("mul_u8s8_pp_ff_ff_ff_ff_ff_ff_ff_7f"))
    pixels = np.asarray(Image.open(io.BytesIO(thumbnail(dropped))).convert("RGB")).astype(int)
    red, blue = pixels[..., 0], pixels[..., 2]
    wrong = np.zeros((64, 64), bool)
    wrong[32:, 32:] = True  # a from 128, b below 0
    assert (red[wrong] > blue[wrong] + 50).all() and (pixels[~wrong] == 255).all()


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
        "--window-size=1300,1400",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield browser
    browser.quit()


def shown(browser, page: Path) -> None:
    """Wait until all charts of the page are drawn."""
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get(page.as_uri())
    wanted = len(browser.find_elements("css selector", ".chart"))
    drawn = "return Object.keys(window.views ?? {}).length"
    WebDriverWait(browser, 60).until(lambda b: b.execute_script(drawn) == wanted)


@pytest.fixture
def opened(browser, folder):
    shown(browser, folder / "report.html")
    charts = browser.find_elements("css selector", ".chart")
    assert len(charts) == 1 + 2 * 3 + 1  # the fronts, three charts for each convolution, the areas
    return browser


def designs(browser, chart: int):
    groups = browser.find_elements("css selector", "#front0 g.mark-symbol.role-mark")
    return groups[chart].find_elements("css selector", "path")


def cards(browser) -> list[str]:
    return [card.text for card in browser.find_elements("css selector", "#front0-cards .card")]


def soon(browser, condition) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 10).until(lambda _: condition())


def rows(browser, table: int) -> list[str]:
    """The names that a table shows, from above."""
    box = browser.find_elements("css selector", "div.table")[table]
    return [row.text.removeprefix("▸").split()[0] for row in box.find_elements("css selector", "tr.main") if row.text]


def test_it_loads_without_complaint_and_shows_every_design(opened, folder):
    assert opened.get_log("browser") == []
    for chart, cost in enumerate(COSTS):
        assert len(designs(opened, chart)) == sum(row[cost] != "" for row in records(folder))


def test_it_fits_a_phone(browser, folder):
    screen = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    try:
        shown(browser, folder / "report.html")
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
        for chart in browser.find_elements("css selector", ".chart"):
            assert browser.execute_script("return arguments[0].querySelector('svg').clientWidth", chart) <= 390
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_hovering_shows_the_design(opened):
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(opened).move_to_element(designs(opened, 0)[1]).perform()
    tip = opened.find_element("id", "vg-tooltip-element")
    soon(opened, lambda: "visible" in tip.get_attribute("class"))
    assert NAMES[1] in tip.text
    assert "× exact" in tip.text and "fJ" in tip.text and "points" in tip.text


def test_clicked_designs_stand_beside_the_charts(opened, folder):
    from selenium.webdriver.common.action_chains import ActionChains

    def click(chart: int, name: str) -> None:
        drawn = [row["name"] for row in records(folder) if row[COSTS[chart]]]
        ActionChains(opened).move_to_element(designs(opened, chart)[drawn.index(name)]).click().perform()

    assert cards(opened) == []
    panel = opened.find_element("id", "front0-cards")
    assert panel.rect["x"] > opened.find_element("id", "front0").rect["x"] + 500  # beside, on a wide screen
    chosen = (NAMES[1], "mul_u8s8_pp_0_0_0_0_0_0_e0_e0")  # one of the study, one that was selected
    for chart, name in enumerate(chosen):
        click(chart, name)
        soon(opened, lambda count=chart + 1: len(cards(opened)) == count)
    for card, name in zip(cards(opened), chosen, strict=True):
        assert card.startswith(name) and f"amhw gen {name}" in card and "a_7" in card and "red too large" in card
    for picture in opened.find_elements("css selector", "#front0-cards img"):
        assert opened.execute_script("return arguments[0].naturalWidth", picture) == 64
    kept = opened.find_elements("css selector", ".card:first-child .dots .kept, .card:first-child .dots .negative")
    assert len(kept) == 24
    click(0, chosen[0])
    soon(opened, lambda: len(cards(opened)) == 1)
    opened.find_element("css selector", "#front0-cards .top button").click()
    assert cards(opened) == []


def test_demands_and_tables_show_their_designs_too(opened):
    first = opened.find_element("css selector", ".demands button")
    assert "at most 0.2 points" in opened.find_element("css selector", ".demands li").text
    first.click()
    assert [card.startswith(first.text) for card in cards(opened)] == [True]
    row = opened.find_element("css selector", f"td[data-value='{NAMES[0]}'] button.plain")
    opened.execute_script("arguments[0].click()", row)
    assert [card.split("\n")[0] for card in cards(opened)] == [first.text, NAMES[0]]
    assert "chosen" in row.find_element("xpath", "ancestor::tr").get_attribute("class")


def test_tables_sort_filter_and_unfold(opened, folder, selection):
    def press(element) -> None:
        opened.execute_script("arguments[0].click()", element)

    box = opened.find_element("css selector", "div.table")
    assert rows(opened, 0) == NAMES
    heads = {head.text.strip(): head for head in box.find_elements("css selector", "th button")}
    press(heads["area µm²"])
    assert rows(opened, 0) == NAMES[::-1]
    press(heads["area µm²"])
    assert rows(opened, 0) == NAMES
    field = box.find_element("css selector", "input")
    field.send_keys("F8_fc_fe 24")
    assert rows(opened, 0) == [NAMES[1]]
    assert box.find_element("css selector", ".count").text == "1 of 3"

    box = opened.find_elements("css selector", "div.table")[1]
    name = rows(opened, 1)[0]
    inner = box.find_elements("css selector", "tr.inner")[0]
    assert not inner.is_displayed()
    press(box.find_elements("css selector", ".unfold")[0])
    assert inner.is_displayed()
    netlists = inner.find_elements("css selector", "td table > tbody > tr")
    assert len(netlists) == sum(row["multiplier"] == name for row in selection["front"])


def test_dark_and_light(opened):
    colours = """
      const text = document.querySelector('#front0 .role-axis-title text') ?? document.querySelector('#front0 text');
      return [document.body, text].map((e) => getComputedStyle(e)).map((s, k) => k ? s.fill : s.backgroundColor);
    """

    def brightness(colour: str) -> float:
        return sum(map(float, re.findall(r"[\d.]+", colour)[:3])) / 3

    try:
        for theme in ("light", "dark"):
            feature = [{"name": "prefers-color-scheme", "value": theme}]
            opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": feature})
            paper, ink = map(brightness, opened.execute_script(colours))
            assert (paper > 200 and ink < 80) if theme == "light" else (paper < 60 and ink > 180)
        opened.find_element("id", "theme").click()
        assert brightness(opened.execute_script(colours)[0]) > 200
    finally:
        opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_the_command_is_copied(opened):
    allowed = ["clipboardReadWrite", "clipboardSanitizedWrite"]
    opened.execute_cdp_cmd("Browser.grantPermissions", {"permissions": allowed})
    first = opened.find_element("css selector", ".demands button")
    first.click()
    button = opened.find_element("css selector", ".command button")
    opened.execute_script("arguments[0].scrollIntoView()", button)
    button.click()
    soon(opened, lambda: button.text == "Copied")
    copied = opened.execute_async_script("navigator.clipboard.readText().then(arguments[0])")
    assert copied == f"amhw gen {first.text}"


def test_names_are_text_and_never_html(browser, tmp_path, selection):
    name = "<img src=x onerror=window.evil=1></script><script>window.evil=1</script>"
    (tmp_path / "published.csv").write_text(f"name,area_um2,delay_ps,loss\n{name},30,90,0.01\n")
    (tmp_path / "front.json").write_text(json.dumps(selection))
    arguments = [str(tmp_path / "front.json"), "--peers", str(tmp_path / "published.csv"), "--out", str(tmp_path)]
    assert CliRunner().invoke(command, arguments).exit_code == 0
    shown(browser, tmp_path / "report.html")
    assert browser.get_log("browser") == []
    link = browser.find_element("css selector", ".demands button")
    assert link.text == name
    link.click()
    assert cards(browser)[0].startswith(name)
    assert browser.execute_script("return window.evil") is None
    assert browser.find_elements("css selector", "img[src=x]") == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "front.json"),
        ("{}", "amhw study, amhw select or amhw faults"),
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
