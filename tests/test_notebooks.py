"""The notebooks run, and say what they said when they were written."""

import warnings
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

NOTEBOOKS = sorted((Path(__file__).parent.parent / "docs" / "notebooks").glob("*.ipynb"))


def printed(notebook) -> list[str]:
    """What each cell printed."""
    cells = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    return ["".join(output.text for output in outputs if output.get("name") == "stdout") for outputs in cells]


def test_there_is_one():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_prints_what_it_shows(path):
    shown = nbformat.read(path, as_version=4)
    again = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(again, timeout=300, resources={"metadata": {"path": str(path.parent)}})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the kernel's own machinery
        client.execute()
    assert printed(again) == printed(shown)
    pictures = [
        output for cell in again.cells for output in cell.get("outputs", []) if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 1
