"""Which source a module runs, and what that source says: the part of a key that stands for our own code.

A module runs itself and whatever it and the modules that it runs import from this program, at the top or within a
function. Importing ``amhw.synth.timing`` runs ``amhw/synth/timing.py``; the ``__init__.py`` of a package counts where
something is taken from the package itself. The modules of the benches, which run in a simulator's Python, are called
``sim.NAME``.
"""

import ast
import functools
import hashlib
import importlib.metadata
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from amhw.simulation import bench_folder


@dataclass(frozen=True)
class SourceTree:
    """Where the source lies: the folder of the package ``amhw`` and that of the benches."""

    package: Path
    benches: Path

    @staticmethod
    def own() -> "SourceTree":
        """That of the program that runs."""
        return SourceTree(Path(__file__).parent.parent, bench_folder())

    def closure(self, modules: Collection[str], without: Collection[str] = ()) -> tuple[str, ...]:
        """`modules` and all modules of this program that they run, sorted.

        Args:
            without: modules, or packages with all that is in them, that are neither named nor followed.

        >>> SourceTree.own().closure(["amhw.files"])
        ('amhw.files', 'amhw.refusal')
        """
        found: set[str] = set()
        waiting = list(modules)
        while waiting:
            module = waiting.pop()
            if module not in found:
                found.add(module)
                imported = {name for name, _ in self.imports(module)}
                waiting += [name for name in imported if self._file(name) and not _within(name, without)]
        return tuple(sorted(found))

    def packages(self, modules: Collection[str]) -> tuple[str, ...]:
        """The packages of other people that these modules import, by the name of their distribution."""
        names = {name.partition(".")[0] for module in modules for name, _ in self.imports(module)}
        return tuple(sorted({_distribution(name) for name in names - {"amhw"} - sys.stdlib_module_names}))

    def digest(self, modules: Collection[str]) -> str:
        """A hash of the modules' names and texts."""
        lines = [f"{name} {hashlib.sha256(self._text(name)).hexdigest()}\n" for name in sorted(modules)]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def imports(self, module: str) -> set[tuple[str, str]]:
        """What a module imports: the module from which, and the name that is taken from it; empty for all of it."""
        found = set()
        for package, name in _import_statements(self._text(module)):
            part = f"{package}.{name}"
            found.add((part, "") if name and self._file(part) else (package, name))
        return found

    def _text(self, module: str) -> bytes:
        file = self._file(module)
        assert file is not None, f"there is no module {module}"
        return file.read_bytes()

    def _file(self, module: str) -> Path | None:
        """The file of a module of this program, or None where it is none."""
        first, *rest = module.split(".")
        if first not in ("amhw", "sim"):
            return None
        path = (self.package if first == "amhw" else self.benches).joinpath(*rest)
        return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


_BLOCKS = ("body", "orelse", "handlers", "finalbody", "cases")
_WITH_IMPORTS = (ast.stmt, ast.excepthandler, ast.match_case)


@functools.cache
def _import_statements(text: bytes) -> tuple[tuple[str, str], ...]:
    """Each import in a module's text: what from, and which name of it, if one is named."""
    found = []
    # Only statements are looked at: expressions, which are most of a module, hold no imports.
    waiting: list[ast.AST] = [ast.parse(text)]
    while waiting:
        node = waiting.pop()
        waiting += [part for name in _BLOCKS for part in getattr(node, name, ()) if isinstance(part, _WITH_IMPORTS)]
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [(node.module or "", alias.name) for alias in node.names]
    return tuple(found)


def _within(module: str, packages: Collection[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


_DISTRIBUTIONS = {"cocotb_tools": "cocotb"}
"""Of modules with other names; to look through every installed file for one takes seconds."""


@functools.cache
def _distribution(module: str) -> str:
    """The distribution that has a top-level module; most have the module's name."""
    module = _DISTRIBUTIONS.get(module, module)
    try:
        importlib.metadata.version(module)
    except importlib.metadata.PackageNotFoundError:
        return _distributions().get(module, [module])[0]
    return module


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()
