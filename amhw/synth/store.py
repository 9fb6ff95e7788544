"""Technologies that users imported, kept as tables of facts in a folder, and any technology by what it is called.

Whatever comes from a file is read again when the file has changed.
"""

import json
import os
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from amhw.files import read_whole, state_of, write_atomically
from amhw.refusal import Refusal
from amhw.synth.facts import as_text, decoded, encoded
from amhw.synth.library import Library
from amhw.synth.technology import Technology, liberty_files, technologies

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,60}")
_KEPT_IN_MEMORY = 32

SCHEMA = 2
"""Of an imported technology's file. Those without a number resampled tables on other slew axes: their delays differ."""


class DamagedTechnologyError(Exception):
    """The file of an imported technology is none of this version; the message says what is wrong and what to do."""


def folder() -> Path:
    """Where imported technologies are kept: `AMHW_TECH_DIR`, else `amhw/technologies` in the user's data folder."""
    if given := os.environ.get("AMHW_TECH_DIR"):
        return Path(given)
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "amhw" / "technologies"


def imported() -> tuple[str, ...]:
    """The names of the imported technologies."""
    return tuple(sorted(path.stem for path in folder().glob("*.json") if _NAME.fullmatch(path.stem)))


def known() -> dict[str, Technology | DamagedTechnologyError]:
    """All technologies that have a name, shipped ones first; for a damaged file what is wrong with it."""
    found: dict[str, Technology | DamagedTechnologyError] = {name: Technology.named(name) for name in technologies()}
    for name in imported():
        try:
            found[name] = _imported(name)
        except DamagedTechnologyError as damage:
            found[name] = damage
    return found


def named(name: str) -> Technology:
    """A shipped technology, or an imported one.

    Raises:
        Refusal: there is none of that name, or its file is damaged.
    """
    if name in technologies():
        return Technology.named(name)
    if name not in imported():
        known = ", ".join((*technologies(), *imported()))
        raise Refusal(f"unknown technology {name!r}; known: {known}, or give a Liberty file")
    try:
        return _imported(name)
    except DamagedTechnologyError as damage:
        raise Refusal(str(damage)) from damage


def technology_named(technology: str) -> Technology:
    """A shipped technology, an imported one, or that of a Liberty file, or of several with commas between them.

    What is neither a technology's name nor could be one, for it has a dot, a slash or a comma, is a path.

    Raises:
        Refusal: there is none.
    """
    is_name = technology in (*technologies(), *imported())
    if is_name or not technology.strip() or (_NAME.fullmatch(technology) and not Path(technology).is_file()):
        return named(technology)
    return _of_liberty(technology, tuple(state_of(path) for path in liberty_files(technology)))


def keep(name: str, library: Library, source: str) -> Path:
    """Store `library` as the technology `name`; the path of its table of facts.

    Raises:
        Refusal: the name is taken by a shipped technology or is no name, or mapping cannot use the library.
    """
    if not _NAME.fullmatch(name):
        raise Refusal(f"{name!r} is no technology's name; letters, digits, - and _ are; choose one with --name")
    if name in technologies():
        raise Refusal(f"{name} is the name of a shipped technology; choose another with --name")
    Technology.of(name, library, source)
    return write_atomically(_file(name), as_text(encoded(library, {"schema": SCHEMA, "source": source})))


def _file(name: str) -> Path:
    return folder() / f"{name}.json"


def _imported(name: str) -> Technology:
    return _of_facts(name, _file(name), state_of(_file(name)))


@lru_cache(maxsize=_KEPT_IN_MEMORY)
def _of_liberty(technology: str, states: tuple[Sequence[int] | None, ...]) -> Technology:
    return Technology.from_liberty(technology)


@lru_cache(maxsize=_KEPT_IN_MEMORY)
def _of_facts(name: str, path: Path, state: Sequence[int] | None) -> Technology:
    try:
        facts = json.loads(read_whole(path))
        if facts.get("schema") != SCHEMA:
            raise DamagedTechnologyError(
                f"{name} was imported by another version of amhw, which read delays otherwise: import it again, with "
                f"amhw tech import {str(facts['source']).replace(', ', ' ')} --name {name} ({path})"
            )
        return Technology.of(name, decoded(facts), str(facts["source"]))
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise DamagedTechnologyError(
            f"{path} is damaged; import the Liberty file again as {name}, or delete it"
        ) from error
