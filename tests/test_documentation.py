"""What the documentation names exists: files, pictures, scripts, commands, their options, make's targets."""

import re
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
import pytest

from amhw.cli import COMMANDS

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
SCRIPTS = {path.name: path.read_text() for path in (ROOT / "scripts").glob("*.py")}
TO_WRITE = {"amhw/families/even_b.py", "amhw/network/models/NAME.py"}
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def code(text: str) -> Iterator[str]:
    """Lines of code and what stands between back-quotes, without comments."""
    yield from re.findall(r"`([^`\n]+)`", text)
    for line in text.splitlines():
        if line.startswith(("    ", "$ ")):
            yield re.split(r"\s#|   ", line.strip())[0]


def options(command: click.Command) -> set[str]:
    found = {"--help"}.union(*(p.opts + p.secondary_opts for p in command.params))
    if isinstance(command, click.Group):
        found = found.union(*(options(part) for part in command.commands.values()))
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text()):
        if not link.startswith(("http:", "https:")):
            assert (document.parent / link).exists(), link


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_named_modules_exist(document):
    """But for the reader's own, which the text tells how to write."""
    for path in re.findall(r"`((?:amhw|tests|scripts)/[\w/]+\.py)`", document.read_text()):
        assert (ROOT / path).exists() or path in TO_WRITE, path


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_scripts_and_their_options_exist(document):
    for line in code(document.read_text()):
        for name, rest in re.findall(r"python scripts/([\w.]+)(.*)", line):
            assert name in SCRIPTS, line
            for option in OPTION.findall(rest):
                declared = option.removeprefix("--").replace("-", "_")
                # Click makes an option of a name; argparse has it as it is; retrain.py hands all to amhw train.
                assert re.search(rf"{option}\b|\b{declared}\b", SCRIPTS[name]) or name == "retrain.py", line


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_and_their_options_exist(document):
    for line in code(document.read_text()):
        for name, rest in re.findall(r"(?<![\w./-])amhw ([a-z][\w-]*)((?:(?!amhw ).)*)", line):
            assert name in COMMANDS, line
            known = options(import_module(COMMANDS[name][0]).command)
            for option in OPTION.findall(rest):
                assert option in known, line


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_targets_of_make_exist(document):
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for line in code(document.read_text()):
        for target in re.findall(r"^make (\w+)", line):
            assert target in targets, line


def test_every_picture_says_how_it_is_made():
    listed = (ROOT / "docs" / "reproducing.md").read_text()
    for document in DOCUMENTS:
        for link in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", document.read_text()):
            picture = (document.parent / link).resolve().relative_to(ROOT / "docs")
            assert f"]({picture})" in listed, f"{document.name}: {link}"


def test_no_picture_is_left_over():
    used = {
        (document.parent / link).resolve()
        for document in DOCUMENTS
        for link in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", document.read_text())
    }
    there = {path for suffix in ("png", "svg") for path in (ROOT / "docs").rglob(f"*.{suffix}")}
    assert there <= used


def test_one_version_everywhere():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\nversion: {version}\ndate-released: " in (ROOT / "CITATION.cff").read_text()
    released = re.search(r"^date-released: (.*)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)[1]
    assert re.search(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1] == f"{version} ({released})"
