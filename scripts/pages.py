"""All pages and the API as a site that can be searched: python scripts/pages.py [FOLDER]

The pages are README.md, those of docs/ and the notebooks; links that lead to them keep working, links to other files
become text. The API comes from the docstrings, a page for each file of the first level in amhw/.
"""

import base64
import json
import logging
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import nbformat
from mkdocs.commands.build import build
from mkdocs.config import load_config

ROOT = Path(__file__).resolve().parent.parent
OTHERS = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Pages outside docs/, by the names that they have in the site."""

SECTIONS = {
    "First steps": ["index.md", "notebooks/first-steps.md", "python.md", "glossary.md"],
    "Multipliers": ["families.md", "adding-a-family.md", "exchange.md"],
    "Networks": ["networks.md", "training.md", "selection.md", "faults.md"],
    "Hardware": ["cost.md", "array.md", "fpga.md"],
    "Studies": ["study.md", "reproducing.md"],
    "Project": ["architecture.md", "contributing.md", "changelog.md"],
}
"""Which page stands where. Pages of docs/ that are in none of them come last, so that none is lost."""


def main() -> None:
    site = (Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "site").resolve()
    pages = site.with_name(f"{site.name}-pages")
    shutil.rmtree(pages, ignore_errors=True)
    shutil.copytree(ROOT / "docs", pages)
    for name, other in OTHERS.items():
        shutil.copy(ROOT / name, pages / other)
    for notebook in pages.rglob("*.ipynb"):
        notebook.with_suffix(".md").write_text(_markdown(notebook), encoding="utf-8")
        notebook.unlink()
    for page in pages.rglob("*.md"):
        page.write_text(_linked(page, pages), encoding="utf-8")
    modules = _api(pages / "api")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    # It takes lists in the examples, [a][b], for references; broken links are told by others.
    logging.getLogger("mkdocs.plugins.mkdocs_autorefs").setLevel(logging.ERROR)
    settings = site.with_name(f"{site.name}.json")
    settings.write_text(json.dumps(_settings(site, pages, modules)), encoding="utf-8")
    build(load_config(str(settings)))
    settings.unlink()
    shutil.rmtree(pages)
    print(site / "index.html")
    print(f"with the search: python -m http.server --directory {site}", file=sys.stderr)


def _settings(site: Path, pages: Path, modules: list[str]) -> dict[str, Any]:
    placed = {page for names in SECTIONS.values() for page in names}
    rest = sorted({page.name for page in pages.glob("*.md")} - placed)
    navigation: list[dict[str, Any]] = [{title: names} for title, names in SECTIONS.items()]
    navigation += [{"More": rest}] if rest else []
    navigation.append({"API": [{name: f"api/{name}.md"} for name in modules]})
    handler = {"paths": [str(ROOT)], "options": OPTIONS}
    return {
        "site_name": "amhw",
        "site_dir": str(site),
        "docs_dir": str(pages),
        "use_directory_urls": False,  # pages open from a disk, too; the search needs a server
        "strict": True,
        "theme": {
            "name": "material",
            "font": False,  # nothing is fetched from elsewhere
            "features": ["navigation.tabs", "navigation.top", "search.highlight", "content.code.copy"],
            "palette": [
                {"media": "(prefers-color-scheme: light)", "scheme": "default", "primary": "blue grey",
                 "toggle": {"icon": "material/brightness-7", "name": "dark"}},
                {"media": "(prefers-color-scheme: dark)", "scheme": "slate", "primary": "blue grey",
                 "toggle": {"icon": "material/brightness-4", "name": "light"}},
            ],
        },
        "plugins": ["search", {"mkdocstrings": {"handlers": {"python": handler}}}],
        "markdown_extensions": ["tables", "toc", "attr_list", "pymdownx.superfences"],
        "nav": navigation,
    }  # fmt: skip


OPTIONS = {
    "show_submodules": True,
    "show_source": False,
    "show_root_heading": True,
    "show_root_full_path": True,
    "members_order": "source",
    "separate_signature": True,
    "filters": ["!^_"],
    "docstring_options": {"warnings": False},  # our docstrings put several parameters on one line
}
"""Of the API's pages."""


def _api(folder: Path) -> list[str]:
    """A page for each module of the first level; their names."""
    folder.mkdir()
    (folder / "amhw.md").write_text("::: amhw\n    options:\n      show_submodules: false\n", encoding="utf-8")
    found = ["amhw"]
    for path in sorted((ROOT / "amhw").iterdir()):
        is_module = path.suffix == ".py" and path.stem not in ("__init__", "__main__")
        if is_module or (path / "__init__.py").exists():
            found.append(f"amhw.{path.stem}")
            (folder / f"{found[-1]}.md").write_text(f"::: {found[-1]}\n", encoding="utf-8")
    return found


def _linked(page: Path, pages: Path) -> str:
    """A page whose links lead to pages of the site, or nowhere."""
    text = page.read_text(encoding="utf-8")
    here = page.relative_to(pages)
    moved = here.name in OTHERS.values() and len(here.parts) == 1

    def link(match: re.Match[str]) -> str:
        bang, words, target = match.groups()
        if re.match(r"[a-z]+:|#", target):
            return match[0]
        path, _, anchor = target.partition("#")
        if moved:
            path = OTHERS.get(path) or path.removeprefix("docs/")
        elif path.startswith("../") and path.removeprefix("../") in OTHERS and len(here.parts) == 1:
            path = OTHERS[path.removeprefix("../")]
        path = re.sub(r"\.ipynb$", ".md", path)
        if not (page.parent / path).exists():
            return words
        return f"{bang}[{words}]({path}{'#' + anchor if anchor else ''})"

    return re.sub(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)", link, text)


def _markdown(notebook: Path) -> str:
    """A notebook as a page, with what its cells printed and drew."""
    parts = []
    for cell in nbformat.read(notebook, as_version=4).cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for output in cell.outputs:
            if output.get("name") == "stdout":
                parts.append(f"```text\n{output.text.rstrip()}\n```")
            elif "image/png" in output.get("data", {}):
                picture = notebook.with_name(f"{notebook.stem}-{len(parts)}.png")
                picture.write_bytes(base64.b64decode(output.data["image/png"]))
                parts.append(f"![what the cell draws]({picture.name})")
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    main()
