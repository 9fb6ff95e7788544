"""What a study is about: designs × technologies × data sets, from a TOML file or from flags.

A study file, with every key that it may have:

    title = "Masks and the published circuits"
    technologies = ["sky130hd", "mine.lib.gz"]     # default: sky130hd
    layers = ["conv1", "conv2"]                    # default: both convolutions
    simulator = "verilator"                        # default: icarus if installed, else verilator

    [[data]]                                       # default: the packaged MNIST test set
    name = "Fashion"
    folder = "fashion-mnist"                       # IDX files

    [[designs]]
    group = "masks"                                # how they are labelled in tables and plots
    names = ["mul_u8s8_pp_full", "mul_u8s8_pp_0_0_0_0_0_0_f0_f0"]

    [[designs]]
    group = "selected"
    names = ["mul_u8s8_pp_0_0_0_0_0_0_f0_f0"]
    network = "selected.npz"                       # default: the shipped network at the design's widths

Paths are relative to the file. A name that ends in .json is the manifest of an import (see `amhw import`):
a circuit or table from elsewhere, which goes through the same stages but for the simulation that the import
itself was.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from amhw.families import Masked
from amhw.files import read_whole
from amhw.imports import Imported
from amhw.refusal import Refusal
from amhw.verilog import Design

MASKS_OF_THE_DEMO = (
    "full",
    "columns>=4",
    "columns>=6",
    "0,80,c0,e0,f0,f8,fc,fe",
    "0,0,0,20,f8,f8,fc,fe",
    "columns>=9",
    "0,0,0,0,20,f0,f8,fc",
    "0,0,0,0,0,e0,f0,f8",
    "0,0,0,0,0,e0,e0,e0",
    "0,0,0,0,0,c0,e0,e0",
    "0,0,0,0,0,0,f0,f0",
    "0,0,0,0,0,0,e0,e0",
)
"""From exact to six partial products, as rows from a_0 up."""


@dataclass(frozen=True)
class Entry:
    """One design of a study.

    Attributes:
        design: what is built, or what was imported.
        source: the design's name, or the path of the import's manifest.
        group: its label.
        network: the quantised network file that goes with it, or None for the shipped one.
    """

    design: Design | Imported
    source: str
    group: str = "designs"
    network: str | None = None


@dataclass(frozen=True)
class Data:
    """A set of test images: the packaged MNIST test set, or the IDX files of a folder."""

    name: str = "MNIST"
    folder: str | None = None


@dataclass(frozen=True)
class Plan:
    """Designs × technologies × data sets.

    Attributes:
        entries: at least one; all with the same operands as the first.
        technologies: shipped technologies' names or Liberty files' paths.
        data: sets of test images.
        layers: of the network, which use the multiplier.
        simulator: see `amhw.sim.simulate`.
        title: of tables and reports.
    """

    entries: tuple[Entry, ...]
    technologies: tuple[str, ...] = ("sky130hd",)
    data: tuple[Data, ...] = (Data(),)
    layers: tuple[str, ...] = ("conv1", "conv2")
    simulator: str | None = None
    title: str = "Multipliers in LeNet-5"

    @classmethod
    def of_names(cls, names: Sequence[str], **choices: Any) -> Self:
        """A plan for designs given by name, or imports by manifest; no name means the demonstration's masks."""
        demo = [Masked.from_text(text, 8, 8, signed_b=True).name for text in MASKS_OF_THE_DEMO]
        return cls(tuple(_entry(name) for name in dict.fromkeys(names or demo)), **choices)

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """The plan in a study file; see the module's docstring.

        Raises:
            Refusal: the file is unreadable, no TOML, or holds something that a study does not have.
        """
        path = Path(path)
        try:
            content = tomllib.loads(read_whole(path).decode())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise Refusal(f"{path} is no TOML file: {error}") from None
        try:
            return cls._of(content, path.parent)
        except Refusal as refusal:
            raise Refusal(f"{path}: {refusal}") from None

    @classmethod
    def _of(cls, content: Mapping[str, Any], folder: Path) -> Self:
        _check(content, {"title": str, "technologies": list, "layers": list, "simulator": str}, {"data", "designs"})
        entries = []
        for table in _tables(content, "designs"):
            _check(table, {"names": list, "group": str, "network": str})
            network = str(folder / table["network"]) if "network" in table else None
            for name in table.get("names", []):
                source = str(folder / name) if Path(name).suffix == ".json" else name
                entries.append(_entry(source, group=table.get("group", "designs"), network=network))
        if not entries:
            raise Refusal("no designs; a study needs [[designs]] with names = [...]")
        choices: dict[str, Any] = {key: content[key] for key in ("title", "simulator") if key in content}
        if "layers" in content:
            choices["layers"] = tuple(content["layers"])
        if "technologies" in content:
            choices["technologies"] = tuple(
                str(folder / name) if Path(name).suffix in (".lib", ".gz") else name for name in content["technologies"]
            )
        data = []
        for table in _tables(content, "data"):
            _check(table, {"name": str, "folder": str})
            if "folder" not in table:
                raise Refusal("a [[data]] table needs folder = …; leave [[data]] out for the packaged MNIST")
            data.append(Data(table.get("name", Path(table["folder"]).name), str(folder / table["folder"])))
        if data:
            choices["data"] = tuple(data)
        return cls(tuple(entries), **choices)


def _entry(source: str, **fields: Any) -> Entry:
    design = Imported.load(source) if Path(source).suffix == ".json" else Design.parse(source)
    return Entry(design, source, **fields)


def _tables(content: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    tables = content.get(key, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise Refusal(f"{key} is a list of tables; write [[{key}]]")
    return tables


def _check(table: Mapping[str, Any], wanted: Mapping[str, type], tables: set[str] = frozenset()) -> None:  # type: ignore[assignment]
    for key, value in table.items():
        if key in tables:
            continue
        if key not in wanted:
            raise Refusal(f"unknown key {key!r}; known here: {', '.join([*wanted, *sorted(tables)])}")
        if not isinstance(value, wanted[key]):
            raise Refusal(f"{key} = {value!r}; wanted a {'list' if wanted[key] is list else 'text'}")
        if isinstance(value, list) and not (value and all(isinstance(item, str) for item in value)):
            raise Refusal(f"{key} = {value!r}; wanted a list of texts")
