"""Files of Verilog, or of logic that becomes Verilog, as one text that needs no other file."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from amhw.files import decoded, read_whole
from amhw.hdl.logic import LOGIC, verilog_of
from amhw.refusal import Refusal

SUFFIXES = (".v", ".sv")

PLAIN_FIRST = ("verilog", "systemverilog", "slang")
"""How a file is read, each way only if the ones before it fail: Verilog-2005 and SystemVerilog by Yosys's own
reader, which knows a part of it, and SystemVerilog by slang."""

SYSTEM_FIRST = ("systemverilog", "slang", "verilog")
"""The order for a file that ends in ``.sv``."""

_MOST_BYTES = 1 << 26
_DEEPEST = 32
_SKIPPED = r'//[^\n]*|/\*.*?\*/|\\[^\s]+|"(?:\\.|[^"\\\n])*"'
_INCLUDE = re.compile(rf'{_SKIPPED}|`include\s+"(?P<name>[^"\n]*)"', re.DOTALL)
_MODULE = re.compile(rf"{_SKIPPED}|\bmodule\s+(?:automatic\s+|static\s+)?(?P<name>\\\S+|[A-Za-z_][\w$]*)", re.DOTALL)


@dataclass(frozen=True)
class Source:
    """Verilog as one text.

    Attributes:
        text: modules, those that the top one uses included.
        dialects: in which order they are tried (see `PLAIN_FIRST`).
        own: the modules of the files that were named, not of libraries; the top is one of them. Empty for all.
        places: for error messages, (line of the text, file, line of the file) wherever a file begins or goes on.

    >>> Source("module m; endmodule // module n").own
    ()
    """

    text: str
    dialects: tuple[str, ...] = PLAIN_FIRST
    own: tuple[str, ...] = ()
    places: tuple[tuple[int, str, int], ...] = ()

    @classmethod
    def of_files(
        cls, files: Sequence[Path | str], libraries: Sequence[Path | str] = (), folders: Sequence[Path | str] = ()
    ) -> Self:
        """What files say together, with what they include in its place.

        Args:
            files: the top module is in one of these.
            libraries: more files, for modules that those use.
            folders: where included files are looked for, after the folder of the file that includes.

        Raises:
            Refusal: a file cannot be read or is of no kind that is read, or includes one outside of these folders and
                the files' own.
        """
        for file in (*files, *libraries):
            if Path(file).suffix not in (*SUFFIXES, *LOGIC):
                kinds = f"Verilog ({', '.join(SUFFIXES)}), BLIF (.blif) and AIGER (.aig, .aag)"
                raise Refusal(f"{file} ends in {Path(file).suffix!r}; circuits are read from {kinds}")
        allowed = [*folders, *(Path(file).parent for file in (*files, *libraries))]
        pieces = _Pieces([Path(folder) for folder in folders], [Path(folder).resolve() for folder in allowed])
        for file in files:
            pieces.add(Path(file))
        own = tuple(match["name"] for match in _MODULE.finditer(pieces.text) if match["name"])
        for file in libraries:
            pieces.add(Path(file))
        system = any(Path(file).suffix == ".sv" for file in (*files, *libraries))
        several = len({name for _, name, _ in pieces.places}) > 1
        return cls(
            pieces.text,
            SYSTEM_FIRST if system else PLAIN_FIRST,
            tuple(name.removeprefix("\\") for name in own),
            tuple(pieces.places) if several else (),
        )

    def placed(self, message: str) -> str:
        """`message` with ``line N`` of the text as a line of the file that it came from."""
        if not self.places:
            return message
        return re.sub(r"\bline (\d+)", lambda match: self._place(int(match[1])), message)

    def _place(self, line: int) -> str:
        start, file, first = max(place for place in self.places if place[0] <= max(1, line))
        return f"{file} line {first + line - start}"


class _Pieces:
    """The text so far, and where its lines came from."""

    def __init__(self, folders: list[Path], allowed: list[Path]) -> None:
        self.folders, self.allowed = folders, allowed
        self.text = ""
        self.places: list[tuple[int, str, int]] = []

    def add(self, file: Path, depth: int = 0) -> None:
        text = verilog_of(file) if file.suffix in LOGIC else decoded(read_whole(file, _MOST_BYTES))
        if "\0" in text:
            raise Refusal(f"{file} is no text")
        if depth > _DEEPEST:
            raise Refusal(f"{file} includes itself, or files are included more than {_DEEPEST} deep")
        at = 0
        for start, end, included in self._includes(text, file):
            self._append(text[at:start], file, 1 + text.count("\n", 0, at))
            self.add(included, depth + 1)
            at = end
        self._append(text[at:], file, 1 + text.count("\n", 0, at))

    def _append(self, text: str, file: Path, line: int) -> None:
        if not text.strip():
            return
        if self.text and not self.text.endswith("\n"):
            self.text += "\n"
        self.places.append((1 + self.text.count("\n"), str(file), line))
        self.text += text
        if len(self.text) > _MOST_BYTES:
            raise Refusal(f"{file} and what it includes are larger than {_MOST_BYTES} bytes")

    def _includes(self, text: str, file: Path) -> Iterator[tuple[int, int, Path]]:
        for match in _INCLUDE.finditer(text):
            if (name := match["name"]) is not None and (found := self._found(name, file)) is not None:
                yield match.start(), match.end(), found

    def _found(self, name: str, file: Path) -> Path | None:
        """The file that is included; None if there is none, which matters only if the line is in force."""
        for folder in (file.parent, *self.folders):
            path = folder / name
            if path.is_file() or Path(name).is_absolute():
                if Path(name).is_absolute() or not any(path.resolve().is_relative_to(root) for root in self.allowed):
                    raise Refusal(
                        f"{file} includes {name}, outside of its folder; name the folder of such files with -I"
                    )
                return path
        return None
