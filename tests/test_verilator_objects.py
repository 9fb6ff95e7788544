"""The objects of Verilator's run-time library are made once, and anew for whatever they depend on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from amhw import verilator_objects

COUNTING = """#!/bin/sh
echo once >> "$0.calls"
exec g++ "$@"
"""


class Library:
    """A folder like Verilator's, and a compiler that counts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "include"
        self.folder.mkdir()
        (self.folder / "verilated.mk").write_text("")
        self.header = self.folder / "verilated.h"
        self.header.write_text("int answer() { return 42; }\n")
        self.source = self.folder / "verilated.cpp"
        self.source.write_text('#include "verilated.h"\n')
        self.compiler = folder / "compiler"
        self.compiler.write_text(COUNTING)
        self.compiler.chmod(0o755)

    def compile(self, *options: str, source: Path | None = None, folder: Path | None = None) -> bytes:
        command = [str(self.compiler), "-MMD", *options, "-c", "-o", "made.o", str(source or self.source)]
        script = [sys.executable, "-I", "-S", verilator_objects.__file__]
        subprocess.run([*script, *command], cwd=folder or self.folder.parent, check=True)
        return ((folder or self.folder.parent) / "made.o").read_bytes()

    @property
    def calls(self) -> int:
        record = self.compiler.with_suffix(".calls")
        return len(record.read_text().splitlines()) if record.exists() else 0


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    return Library(tmp_path)


def test_the_second_model_gets_the_first_ones_objects(library: Library, tmp_path: Path) -> None:
    first = library.compile()
    elsewhere = tmp_path / "another model"
    elsewhere.mkdir()
    assert library.compile(folder=elsewhere) == first
    assert library.calls == 1
    assert b"answer" in first


def test_other_options_another_library_or_compiler_make_them_anew(library: Library) -> None:
    first = library.compile("-O0")
    assert library.compile("-O0", "-g") != first
    library.header.write_text("int question() { return 6 * 9; }\n")
    changed = library.compile("-O0")
    assert b"question" in changed and b"answer" not in changed
    os.utime(library.compiler, ns=(0, 0))
    library.compile("-O0")
    assert library.calls == 4


def test_everything_else_is_compiled_every_time(library: Library, tmp_path: Path) -> None:
    own = tmp_path / "model.cpp"
    own.write_text("int model() { return 1; }\n")
    for _ in range(2):
        assert b"model" in library.compile(source=own)
    assert library.calls == 2


def test_where_nothing_can_be_kept_it_is_compiled(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a file"))
    assert b"answer" in library.compile()


def test_what_nobody_has_used_for_long_is_removed(library: Library, tmp_path: Path) -> None:
    library.compile("-O0")
    (old,) = (tmp_path / "caches").rglob("*.o")
    os.utime(old, (0, 0))
    library.compile("-O1")
    (new,) = (tmp_path / "caches").rglob("*.o")
    assert new != old and not old.with_suffix(".lock").exists()


def test_an_error_is_the_compilers_own_and_leaves_nothing(library: Library, tmp_path: Path) -> None:
    library.source.write_text("this is not C++\n")
    with pytest.raises(subprocess.CalledProcessError):
        library.compile()
    assert not list((tmp_path / "caches").rglob("*.o"))
