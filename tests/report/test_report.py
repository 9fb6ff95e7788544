"""The report: what is in the page, and what a person can do with it in a real browser."""

import json
import shutil

import pytest
from click.testing import CliRunner
from pyarrow import parquet

from amhw.report.command import command
from amhw.study.command import command as study

NAMES = ["mul_u8s8_pp_full", "mul_u8s8_pp_0_0_0_20_f8_f8_fc_fe", "mul_u8s8_pp_0_0_0_0_0_0_f0_f0"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    arguments = [argument for name in NAMES for argument in ("--multiplier", name)]
    assert CliRunner().invoke(study, [*arguments, "--out", str(folder), "--workers", "2"]).exit_code == 0
    result = CliRunner().invoke(command, [str(folder)])
    assert result.exit_code == 0, result.stderr
    return folder


def test_the_page_needs_no_network_and_names_every_design(folder):
    text = (folder / "report.html").read_text()
    assert "<script src" not in text
    assert '<link rel="stylesheet' not in text
    rows = json.loads((folder / "sweep.json").read_text())["rows"]
    for row in rows:
        assert f"<td>{row['name']}</td>" in text
        assert f"<td>{row['accuracy']:.2%}</td>" in text
        assert f"<td>{row['area_um2']:.1f}</td>" in text
    provenance = json.loads((folder / "sweep.json").read_text())["provenance"]
    for name in ("pyosys", "technology sky130hd", "images MNIST"):
        assert provenance[name] in text


def test_parquet_holds_the_rows(folder):
    table = parquet.read_table(folder / "sweep.parquet")
    assert table.column("name").to_pylist() == NAMES
    assert all(0.5 < accuracy <= 1 for accuracy in table.column("accuracy").to_pylist())


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
    WebDriverWait(browser, 30).until(lambda b: b.execute_script("return Object.keys(window.views ?? {}).length") == 5)
    return browser


def designs(browser, chart: int):
    groups = browser.find_elements("css selector", "#front0 g.mark-symbol.role-mark")
    return groups[chart].find_elements("css selector", "path")


def test_it_loads_without_errors_and_shows_every_design(opened):
    assert [entry for entry in opened.get_log("browser") if entry["level"] == "SEVERE"] == []
    for chart in (0, 1):
        assert len(designs(opened, chart)) == len(NAMES)
    for picture in opened.find_elements("tag name", "img"):
        assert opened.execute_script("return arguments[0].naturalWidth", picture) > 100


def test_hovering_shows_the_design(opened):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.support.ui import WebDriverWait

    ActionChains(opened).move_to_element(designs(opened, 0)[1]).perform()
    tip = opened.find_element("id", "vg-tooltip-element")
    WebDriverWait(opened, 10).until(lambda b: "visible" in tip.get_attribute("class"))
    assert f"amhw gen --multiplier {NAMES[1]}" in tip.text
    assert "a_7" in tip.text


def test_clicking_keeps_designs_side_by_side(opened):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.support.ui import WebDriverWait

    def cards() -> list[str]:
        texts = opened.find_elements("css selector", "#front0 g.mark-text text")
        return [text.text for text in texts if "a_7" in text.text]

    assert cards() == []
    for count, chart, design in ((1, 0, 1), (2, 1, 0)):
        ActionChains(opened).move_to_element(designs(opened, chart)[design]).click().perform()
        WebDriverWait(opened, 10).until(lambda b, count=count: len(cards()) == count)
    for name in NAMES[:2]:
        assert any(name.removeprefix("mul_") in card for card in cards())
    ActionChains(opened).move_to_element(designs(opened, 0)[1]).click().perform()
    WebDriverWait(opened, 10).until(lambda b: len(cards()) == 1)


@pytest.mark.parametrize(
    "content", [None, "{}", "no json", '{"title": "x", "rows": [], "provenance": {}, "layers": []}']
)
def test_a_folder_without_a_study(tmp_path, content):
    if content is not None:
        (tmp_path / "sweep.json").write_text(content)
    result = CliRunner().invoke(command, [str(tmp_path)])
    assert result.exit_code == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert "sweep.json" in result.stderr
    assert not (tmp_path / "report.html").exists()
