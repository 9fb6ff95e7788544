"""The site that make docs builds: every page is there, and every link in it leads somewhere."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_the_site_has_every_page_and_the_api(tmp_path):
    pytest.importorskip("material")
    pytest.importorskip("mkdocstrings")
    command = [sys.executable, str(ROOT / "scripts" / "pages.py"), str(tmp_path / "site")]
    # A link to nowhere is a warning, and warnings end the build.
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    site = tmp_path / "site"
    assert done.stdout.strip() == str(site / "index.html")
    assert [*tmp_path.iterdir()] == [site]
    for page in (ROOT / "docs").glob("*.md"):
        assert (site / f"{page.stem}.html").exists()
    assert "docs/pictures" not in (site / "index.html").read_text()
    assert 'src="pictures/front.svg"' in (site / "index.html").read_text()
    assert "mean absolute error 1062.2" in (site / "notebooks" / "first-steps.html").read_text()
    index = json.loads((site / "search" / "search_index.json").read_text())
    found = {entry["location"] for entry in index["docs"]}
    table, timing = "api/amhw.table.html#amhw.table.ProductTable", "api/amhw.synth.html#amhw.synth.timing"
    for place in ("selection.html", table, timing):
        assert place in found
