"""Liberty's grammar: text into nested groups of attributes.

    NAME (VALUE, …) { statement … }     a group
    NAME (VALUE, …) ;                   an attribute with several values
    NAME : VALUE ;                      an attribute with one value
    NAME = NUMBER ;                     a variable, which nothing here needs

As OpenSTA does, it takes more than the standard says, for foundries' tools write more: values with quotes or without,
set apart by commas or by blanks alone; semicolons that are missing or too many; lines that a backslash continues,
inside a string too. A value is text whether it had quotes or not, so that "1.5" and 1.5 are one number.
"""

import math
import re
from dataclasses import dataclass, field
from typing import NoReturn

from amhw.refusal import Refusal

_CONTINUED = re.compile(r"\\[ \t]*\r?\n")
_BLANK = re.compile(r"(?:\s|\\[ \t]*\r?\n|/\*.*?\*/|//[^\n]*)*+", re.DOTALL)
_NAME = re.compile(r'[^\s(){}:;,="\\/]+')
_STRING = re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_BARE_IN_LIST = re.compile(r'(?:[^\s,(){};"\\]|\\\S)+')
_BARE = re.compile(r'(?:(?!/\*|//)[^;{}"\r\n])+')
_TOKEN = re.compile(r"[^\s(){};,]{1,40}|.")
_VARIABLE = re.compile(r"[^;{}\n]*")


@dataclass(frozen=True)
class LibertyGroup:
    """A group: what it is (`cell`), the names in its parentheses, its attributes and the groups inside it."""

    kind: str
    names: tuple[str, ...]
    attributes: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)
    groups: list["LibertyGroup"] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The first of the names, or nothing."""
        return self.names[0] if self.names else ""

    def __contains__(self, attribute: str) -> bool:
        return attribute in self.attributes

    def all(self, *kinds: str) -> list["LibertyGroup"]:
        """The groups of these kinds inside this one."""
        return [group for group in self.groups if group.kind in kinds]

    def values(self, attribute: str) -> tuple[str, ...]:
        """What an attribute is set to: the last time, where it is set several times."""
        return self.attributes[attribute][-1] if attribute in self.attributes else ()

    def text(self, attribute: str, default: str = "") -> str:
        """An attribute's first value."""
        values = self.values(attribute)
        return values[0] if values else default

    def number(self, attribute: str, default: float = 0.0) -> float:
        """An attribute's value as a number.

        Raises:
            ValueError: it is none.
        """
        value = self.text(attribute)
        return _number(attribute, value) if value else default

    def numbers(self, attribute: str) -> list[float]:
        """All numbers in an attribute's values.

        Raises:
            ValueError: something else is among them.
        """
        values = re.split(r"[\s,{}]+", " ".join(self.values(attribute)))
        return [_number(attribute, value) for value in values if value]


def _number(attribute: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        raise ValueError(f"{attribute} has {value[:40]!r} where a number belongs") from None
    if not math.isfinite(number):
        raise ValueError(f"{attribute} is {value}, which is no finite number")
    return number


def parse(text: str, source: str) -> LibertyGroup:
    """The one group that the Liberty text `text` consists of.

    >>> group = parse('library (tiny) { time_unit : "1ns"; cell ("INV") { area : "1.5" } }', "tiny.lib")
    >>> group.text("time_unit"), group.all("cell")[0].name, group.all("cell")[0].number("area")
    ('1ns', 'INV', 1.5)

    Raises:
        Refusal: it is damaged or truncated, or consists of several groups; `source` names it.
    """
    return _Parser(text, source).group()


class _Parser:
    """A place in a text, and the groups that are open there."""

    def __init__(self, text: str, source: str) -> None:
        self.text, self.source, self.position = text, source, 0
        self.top: LibertyGroup | None = None
        self.open: list[LibertyGroup] = []

    def group(self) -> LibertyGroup:
        while self._next():
            if self._take(";"):
                continue
            if self._take("}"):
                if not self.open:
                    self._refuse(f"line {self._line()} has a closing brace too many")
                self.open.pop()
                continue
            if self.top is not None and not self.open:
                self._refuse("it has several groups at its top; one library (...) is wanted")
            self._statement()
        if self.open or self.top is None:
            self._ends()
        return self.top

    def _statement(self) -> None:
        """An attribute, or a group as far as its opening brace."""
        match = _NAME.match(self.text, self.position)
        if match is None:
            self._unexpected("a name")
        name, self.position = match[0], match.end()
        self._next()
        if self._take("("):
            values = self._list()
            self._next()
            if self._take("{"):
                group = LibertyGroup(name, values)
                if self.open:
                    self.open[-1].groups.append(group)
                else:
                    self.top = group
                self.open.append(group)
                return
        elif self._take(":"):
            values = (self._value(),)
        elif self._take("="):
            self.position = _VARIABLE.match(self.text, self.position).end()  # type: ignore[union-attr]
            return
        else:
            self._unexpected("( or :")
        if not self.open:
            self._unexpected("{")
        self.open[-1].attributes.setdefault(name, []).append(values)

    def _list(self) -> tuple[str, ...]:
        """Values up to the closing parenthesis, which is passed."""
        values: list[str] = []
        while self._next():
            if self._take(")"):
                return tuple(values)
            if self._take(","):
                continue
            string = self._string()
            if string is None:
                match = _BARE_IN_LIST.match(self.text, self.position)
                if match is None:
                    self._unexpected("a value or )")
                string, self.position = match[0], match.end()
            values.append(string)
        self._ends()

    def _value(self) -> str:
        """The value of a simple attribute: a string, or what stands before the semicolon or the line's end."""
        self._next()
        string = self._string()
        if string is None:
            match = _BARE.match(self.text, self.position)
            if match is None:
                return ""
            string, self.position = match[0].strip(), match.end()
        return string

    def _string(self) -> str | None:
        """The string that begins here, without quotes, continued lines joined; None where none begins."""
        if not self.text.startswith('"', self.position):
            return None
        match = _STRING.match(self.text, self.position)
        if match is None:
            self.position = len(self.text)
            self._ends()
        self.position = match.end()
        return " ".join(_CONTINUED.sub("", match[1]).split())

    def _next(self) -> bool:
        """Pass blanks and comments; whether there is more."""
        self.position = _BLANK.match(self.text, self.position).end()  # type: ignore[union-attr]
        return self.position < len(self.text)

    def _take(self, mark: str) -> bool:
        if not self.text.startswith(mark, self.position):
            return False
        self.position += 1
        return True

    def _line(self) -> int:
        return self.text.count("\n", 0, self.position) + 1

    def _where(self) -> str:
        """The line, and the cell that it is in or comes after."""
        cells = [group for group in self.open if group.kind == "cell"]
        if not cells and self.open:
            cells = self.open[0].all("cell")
        return f"line {self._line()}" + (f", in or after cell {cells[-1].name}" if cells else "")

    def _unexpected(self, wanted: str) -> NoReturn:
        if not self._next():
            self._ends()
        found = _TOKEN.match(self.text, self.position)[0]  # type: ignore[index]
        self._refuse(f"{self._where()}: {found!r} where {wanted} belongs")

    def _ends(self) -> NoReturn:
        self._refuse(f"it ends at {self._where()}, in the middle of a group")

    def _refuse(self, problem: str) -> NoReturn:
        raise Refusal(f"{self.source} is damaged or truncated Liberty: {problem}")
