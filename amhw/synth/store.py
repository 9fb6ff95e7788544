"""Technologies that users imported: tables of facts in a folder of theirs, found by name."""

import functools
import hashlib
import json
import os
import re
from pathlib import Path

from amhw.files import read_whole, write_atomically
from amhw.refusal import Refusal
from amhw.synth.library import Library
from amhw.synth.technology import Technology, as_text, decoded, encoded, technologies

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,60}")


def folder() -> Path:
    """Where imported technologies are kept: `AMHW_TECH_DIR`, else `amhw/technologies` in the user's data folder."""
    if given := os.environ.get("AMHW_TECH_DIR"):
        return Path(given)
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "amhw" / "technologies"


def imported() -> tuple[str, ...]:
    """The names of the imported technologies."""
    return tuple(sorted(path.stem for path in folder().glob("*.json")))


def named(name: str) -> Technology:
    """A shipped technology, or an imported one.

    Raises:
        Refusal: there is none of that name, or its file is damaged.
    """
    if name in technologies() or name not in imported():
        if name not in technologies() and imported():
            known = ", ".join((*technologies(), *imported()))
            raise Refusal(f"unknown technology {name!r}; known: {known}, or give a Liberty file")
        return Technology.named(name)
    path = folder() / f"{name}.json"
    try:
        facts = json.loads(read_whole(path))
        return Technology.of(name, decoded(facts), facts["source"])
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, Refusal):
            raise
        raise Refusal(f"{path} is damaged; import the Liberty file again") from None


def technology_named(technology: str) -> Technology:
    """A shipped technology, an imported one, or that of a Liberty file, which is read again when it has changed.

    Raises:
        Refusal: there is none.
    """
    if Path(technology).suffix not in (".lib", ".gz"):
        return _named(technology)
    return _of_liberty(technology, hashlib.sha256(read_whole(technology)).hexdigest())


_named = functools.cache(named)


@functools.lru_cache(maxsize=8)
def _of_liberty(path: str, sha256: str) -> Technology:
    return Technology.from_liberty(path)


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
    facts = encoded(library.on_common_axes(), {"source": source}, unit=0.001)
    return write_atomically(folder() / f"{name}.json", as_text(facts))
