"""Records as JSON: frozen dataclasses that are written, read back and checked field by field; TOML that people write.

A `Record` is what one part of the program keeps for another. A `Document` is a record in a file of its own: the file
says of which kind it is and by which schema it was written, so that a foreign, older or damaged one is told by a
sentence and not by what goes wrong later. A schema's number changes whenever a field's name or meaning does.
"""

import codecs
import json
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeVar

import msgspec

from amhw.files import read_whole, write_atomically
from amhw.refusal import Refusal

Amount = Annotated[float, msgspec.Meta(ge=0)]
"""A measured quantity, such as an area: finite and not negative."""

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
"""A fraction of a whole, such as an accuracy."""

Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
"""How many there are of something."""

_PLAIN = r"\A[A-Za-z0-9_][A-Za-z0-9_.+=,-]*\Z"

FileName = Annotated[str, msgspec.Meta(pattern=_PLAIN, max_length=255)]
"""A file beside the document: a plain name that leads nowhere else."""

Name = Annotated[str, msgspec.Meta(max_length=4096)]
"""What something is called; no name of ours is longer."""

Label = Annotated[str, msgspec.Meta(max_length=255)]
"""What people call something, in a table or beside a chart."""


class DamagedError(ValueError):
    """A text is not the record that it should be; the message names the field."""


class Record:
    """A frozen dataclass that can be kept as JSON.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Cost(Record):
    ...     area_um2: Amount
    >>> Cost(3.5).to_json()
    '{"area_um2":3.5}'
    >>> Cost.from_json('{"area_um2": "large"}')
    Traceback (most recent call last):
    amhw.documents.DamagedError: Expected `float`, got `str` - at `area_um2`
    """

    def plain(self) -> dict[str, Any]:
        """All of it in dictionaries, lists, texts and numbers."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found

    def to_json(self) -> str:
        """All of it as text."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The inverse of `to_json`.

        Raises:
            DamagedError: the text is no JSON, or a field is missing or of another type; the field is named.
        """
        return _decoded(text, cls)


class Document(Record):
    """A record in a file of its own.

    Attributes:
        kind: what the file says it is.
        schema: the number of the layout of its fields.
        called: what people call it.
        written_by: the command that writes it.
    """

    kind: ClassVar[str]
    schema: ClassVar[int]
    called: ClassVar[str]
    written_by: ClassVar[str]

    def plain(self) -> dict[str, Any]:
        """Kind, schema and all fields."""
        return {"kind": self.kind, "schema": self.schema, **super().plain()}

    def to_json(self) -> str:
        """Kind, schema and all fields, for people to read too."""
        return msgspec.json.format(msgspec.json.encode(self.plain()), indent=2).decode() + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The inverse of `to_json`.

        Raises:
            DamagedError: the text is of another kind or schema, or a field is missing or of another type.
        """
        header = Header.of(text)
        if header != Header(cls.kind, cls.schema):
            raise DamagedError(f"no {cls.called} of schema {cls.schema}")
        return super().from_json(text)

    def write(self, path: Path | str) -> Path:
        """Write it, whole or not at all.

        Raises:
            Refusal: the path cannot be written.
        """
        return write_atomically(path, self.to_json())

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """What `write` wrote.

        Raises:
            Refusal: the file is missing, of another kind or schema, or damaged; with the path and the field.
        """
        return cls.of(read_whole(path), path)

    @classmethod
    def of(cls, content: bytes, path: Path | str) -> Self:
        """The same of a file's content; `path` is for refusals."""
        header = Header.of(content)
        one_of((cls,), header, path, cls.called, cls.written_by)
        if header is None or header.schema != cls.schema:
            has = "no schema number" if header is None or header.schema is None else f"schema {header.schema}"
            raise Refusal(
                f"{path} is a {cls.called} of another version ({has}, this one reads schema {cls.schema}); "
                f"write it again with {cls.written_by}"
            )
        try:
            return cls.from_json(content)
        except DamagedError as error:
            raise Refusal(f"{path} is a damaged {cls.called}: {error}; write it again with {cls.written_by}") from None


@dataclass(frozen=True)
class Header:
    """Kind and schema of a document; each is None where the file does not say."""

    kind: str | None
    schema: int | None

    @classmethod
    def of(cls, content: str | bytes) -> Self | None:
        """The header of a file's content, or None where that is no JSON object."""
        try:
            found = msgspec.json.decode(_without_mark(content), type=dict[str, msgspec.Raw])
        except (ValueError, RecursionError):
            if (almost := _with_constants(content)) is None:
                return None
            kind, schema = (almost.get(name) for name in ("kind", "schema"))
            return cls(kind if isinstance(kind, str) else None, schema if type(schema) is int else None)
        return cls(_value(found.get("kind"), str), _value(found.get("schema"), int))


D = TypeVar("D", bound=Document)


def one_of(types: Iterable[type[D]], header: Header | None, path: Path | str, called: str, written_by: str) -> type[D]:
    """Which of several types the file at `path` with this header is of.

    Args:
        called, written_by: what all of them are called, and by whom they are written.

    Raises:
        Refusal: none.
    """
    for kind in types:
        if header is not None and header.kind == kind.kind:
            return kind
    why = "no JSON object" if header is None else f"its kind is {header.kind!r}" if header.kind else "no kind"
    raise Refusal(f"{path} is no {called} ({why}); give the .json file that {written_by} wrote")


T = TypeVar("T")


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A table of a TOML file: its keys are the fields, and others are refused."""


def read_toml(path: Path | str, kind: type[T]) -> T:
    """What a person wrote into a TOML file.

    Args:
        kind: a `Table`, whose fields may be lists of tables, texts and whole numbers.

    Raises:
        Refusal: the file cannot be read or is no TOML, or something in it is of another type or unknown; with the key.
    """
    try:
        content = tomllib.loads(read_whole(path, _LONGEST_TOML).decode("utf-8-sig"))
    except RecursionError:
        raise Refusal(f"{path} is no TOML file: values are nested too deeply") from None
    except ValueError as error:  # of the syntax, the encoding, or a number of thousands of digits
        raise Refusal(f"{path} is no TOML file: {error}") from None
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        why = str(error).replace("`$.", "`").replace("`$[", "`[").replace(" - at `$`", "")
        raise Refusal(f"{path}: {_in_words(why)}") from None


_LONGEST_TOML = 1 << 24

_TYPES = {
    "str": "a text",
    "int": "a whole number",
    "array": "a list",
    "object": "a table",
    "float": "a number",
    "bool": "true or false",
}


def _in_words(complaint: str) -> str:
    """msgspec's complaint in the words of TOML."""
    why, at, key = complaint.partition(" - at ")
    why = why.replace(" | null`", "`")
    if why.startswith("Expected"):
        for name, words in _TYPES.items():
            why = why.replace(f"`{name}`", words)
        why = why.replace("Expected", "wanted").replace(", got", ", found")
    why = why.replace("Object contains unknown field", "unknown key").replace("Object missing required field", "no")
    return why + at + key


def _value(raw: msgspec.Raw | None, kind: type[T]) -> T | None:
    try:
        return None if raw is None else msgspec.json.decode(raw, type=kind)
    except ValueError:
        return None


def _without_mark(text: str | bytes) -> str | bytes:
    """A file's text without the byte-order mark that some editors put before it."""
    return text.removeprefix(codecs.BOM_UTF8) if isinstance(text, bytes) else text


def _decoded(text: str | bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(_without_mark(text), type=kind)
    except RecursionError:
        raise DamagedError("values are nested too deeply") from None
    except ValueError as error:
        almost = None if isinstance(error, msgspec.ValidationError) else _with_constants(text)
        if almost is not None and (where := _constant_in(almost)) is not None:
            place, value = where
            raise DamagedError(f"wanted a finite number, found {value.name} - at `{place}`") from None
        why = str(error).replace(f"`str` matching regex {_PLAIN!r}", "the name of a file in the same folder")
        raise DamagedError(why.replace("`$.", "`").replace("`$`", "the top")) from None


@dataclass(frozen=True)
class _Constant:
    """NaN or an infinity: no JSON, but many programs write them and Python's own reader takes them."""

    name: str


def _with_constants(text: str | bytes) -> dict[str, Any] | None:
    """The object in a text that is JSON but for NaN and infinities, or None where it is none."""
    try:
        found = json.loads(_without_mark(text), parse_constant=_Constant, parse_int=_whole)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and _constant_in(found) is not None else None


def _whole(digits: str) -> int | None:
    """A whole number, or None for one of more digits than any of ours, which would take long."""
    return int(digits) if len(digits) < 20 else None


def _constant_in(found: dict[str, Any]) -> tuple[str, _Constant] | None:
    """Where the first NaN or infinity in an object is, and which."""
    waiting: list[tuple[str, Any]] = [("", found)]
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, _Constant):
            return place, value
        if isinstance(value, dict):
            parts = [(f"{place}.{key}" if place else key, part) for key, part in value.items()]
        else:
            parts = [(f"{place}[{k}]", part) for k, part in enumerate(value)] if isinstance(value, list) else []
        waiting += reversed(parts)
    return None
