"""Files of ours are read back whole, or refused in one line that names the file and the field."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from amhw.documents import Amount, Count, DamagedError, Document, FileName, Header, Name
from amhw.refusal import Refusal


@dataclass(frozen=True)
class Part:
    name: Name
    area_um2: Amount | None


@dataclass(frozen=True)
class Inventory(Document):
    kind: ClassVar[str] = "inventory"
    schema: ClassVar[int] = 3
    called: ClassVar[str] = "list of parts"
    written_by: ClassVar[str] = "amhw count"

    file: FileName
    parts: tuple[Part, ...]
    stock: dict[str, Count]


GOOD = Inventory("parts.v", (Part("µ", 0.1), Part("b", None)), {"µ": 3})
TEXT = '{"kind": "inventory", "schema": 3, "file": "a.v", "parts": [{"name": "x", "area_um2": 1}], "stock": {"x": 1}}'


def read(folder: Path, content: str | bytes) -> Inventory:
    file = folder / "file.json"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return Inventory.read(file)


def test_what_is_written_is_read_back(tmp_path):
    assert Inventory.read(GOOD.write(tmp_path / "inventory.json")) == GOOD
    assert read(tmp_path, TEXT) == Inventory("a.v", (Part("x", 1.0),), {"x": 1})


def test_a_text_says_what_it_is():
    assert Inventory.from_json(GOOD.to_json()) == GOOD
    for wrong in ("{}", TEXT.replace("inventory", "toaster"), TEXT.replace("3", "2"), TEXT.replace('"file"', '"fiel"')):
        with pytest.raises(DamagedError):
            Inventory.from_json(wrong)


def test_fields_that_a_later_program_adds_do_no_harm(tmp_path):
    assert read(tmp_path, TEXT[:-1] + ', "colour": [1, {}]}') == read(tmp_path, TEXT)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is no list of parts (no JSON object); give the .json file that amhw count wrote"),
        (TEXT[:-5], "no JSON object"),
        (TEXT.encode("utf-16"), "no JSON object"),
        ("[1]", "no JSON object"),
        ("{}", "(no kind)"),
        ('{"kind": 3}', "(no kind)"),
        ('{"kind": "toaster"}', "its kind is 'toaster'"),
        ('{"kind": "inventory"}', "of another version (no schema number, this one reads schema 3)"),
        (TEXT.replace("3", "2"), "(schema 2, this one reads schema 3); write it again with amhw count"),
        (TEXT.replace("3", "1" * 6000), "no schema number"),
        (TEXT.replace('"file"', '"fiel"'), "missing required field `file`"),
        (TEXT.replace('"name": "x"', '"name": 7'), "got `int` - at `parts[0].name`"),
        (TEXT.replace("1}]", "-5}]"), "at `parts[0].area_um2`"),
        (TEXT.replace("1}]", "NaN}]"), "wanted a finite number, found NaN - at `parts[0].area_um2`; write it again"),
        (TEXT.replace("1}]", "-Infinity}]"), "wanted a finite number, found -Infinity - at `parts[0].area_um2`"),
        (TEXT.replace('{"x": 1}', '{"y": 2, "x": Infinity}'), "wanted a finite number, found Infinity - at `stock.x`"),
        (TEXT.replace("1}]", "NaN}]").replace("inventory", "toaster"), "its kind is 'toaster'"),
        (TEXT.replace("1}]", "NaN}"), "no JSON object"),
        (TEXT.replace("1}]", "NaN}]").replace("3", "1" * 6000), "no schema number"),
        (TEXT.replace("1}]", "1" * 6000 + "}]"), "out of range - at `parts[0].area_um2`"),
        (TEXT.replace('"stock": {"x": 1}', '"stock": {"x": ' + "1" * 6000 + "}"), "out of range - at `stock[...]`"),
        (TEXT.replace("a.v", "../a.v"), "Expected the name of a file in the same folder - at `file`"),
        (TEXT.replace("a.v", "/etc/passwd"), "at `file`"),
        (TEXT.replace("a.v", ""), "at `file`"),
        (TEXT.replace("a.v", "a.v\\n"), "at `file`"),
        (TEXT.replace("a.v", "a\\u0000.v"), "at `file`"),
        (TEXT.replace("a.v", "a" * 300), "at `file`"),
        (TEXT.replace("a.v", "\\ud800"), "no JSON object"),
        (TEXT.encode().replace(b"a.v", b"\xed\xa0\x80"), "utf-8"),
        (TEXT.replace('"name": "x"', '"name": ' + "[" * 100_000), "no JSON object"),
        (TEXT.replace('{"x": 1}', '{"x": ' + "[" * 100_000 + "]" * 100_000 + "}"), "no JSON object"),
        ("[" * 100_000, "no JSON object"),
    ],
)
def test_anything_else_is_refused_in_one_line(tmp_path, content, words):
    with pytest.raises(Refusal) as refusal:
        read(tmp_path, content)
    assert words in str(refusal.value)
    assert "file.json is " in str(refusal.value)
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 400


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(Refusal, match="cannot read"):
        Inventory.read(tmp_path / "nowhere.json")


def test_the_header_tells_kinds_apart():
    assert Header.of(TEXT.encode()) == Header("inventory", 3)
    assert Header.of(b'{"top": "x"}') == Header(None, None)
    assert Header.of(b"no json") is None
