"""What a study is about: designs × technologies × data sets, from a TOML file or from flags.

A study file, with every key that it may have:

    title = "Masks and the published circuits"
    technologies = ["sky130hd", "mine.lib.gz"]     # default: sky130hd
    layers = ["conv1", "conv2"]                    # default: the network's convolutions
    network = "fashion.npz"                        # quantised network; default: the shipped one
    energy = "conv2"                               # energy too, on the operands of this layer; default: none
    simulator = "verilator"                        # default: icarus if installed, else verilator

    [[data]]                                       # default: the packaged MNIST test set
    name = "Fashion"
    folder = "fashion-mnist"                       # as --data takes it

    [[designs]]
    group = "masks"                                # how they are labelled in tables and plots
    names = ["mul_u8s8_pp_full", "mul_u8s8_pp_0_0_0_0_0_0_f0_f0"]

    [[designs]]
    group = "selected"
    names = ["mul_u8s8_pp_0_0_0_0_0_0_f0_f0"]
    network = "selected.npz"                       # weights made for them; default: the network above

    [[peers]]                                      # published circuits and what somebody measured of them
    file = "published.csv"                         # see `amhw.study.peers`
    group = "EvoApproxLib"                         # default: published
    tech = "sky130hd"                              # in which they were measured; default: the first technology
    data = "MNIST"                                 # on which; default: the first data set

    [array]                                        # clocks and area of LeNet-5's convolutions on a systolic array
    multiplier = "mul_u8s8_pp_0_0_0_0_0_0_f0_f0"   # default: the first design
    rows = 25
    cols = 16
    depth = 1
    synthesis = "array.json"                       # what amhw synth ARRAY.v --json printed; default: no areas

Paths are relative to the file. A name that ends in .json is the manifest of an import (see `amhw import`):
a circuit or table from elsewhere, which goes through the same stages but for the simulation that the import
itself was.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from amhw.files import read_whole
from amhw.imports import Imported
from amhw.manifests import MultiplierManifest, read_manifest
from amhw.network.models.lenet5 import float_network
from amhw.network.real import load_network
from amhw.refusal import Refusal
from amhw.study.array import Array
from amhw.study.peers import read_peers
from amhw.study.record import PeerGroup
from amhw.synth.store import technology_named
from amhw.synth.technology import technology_label
from amhw.verilog import Design

_STUDY = {"title": str, "technologies": list, "layers": list, "network": str, "energy": str, "simulator": str}
_FILES = (".json", ".lib", ".gz")
_KINDS = {list: "list", str: "text", int: "whole number"}

DEMO = Path(__file__).with_name("demo.toml")
"""What is studied unless something else is asked for."""


@dataclass(frozen=True)
class PlannedDesign:
    """One design of a study.

    Attributes:
        design: what is built, or what was imported.
        source: the design's name, or the path of the import's manifest.
        group: its label.
        network: the quantised network file that goes with it, or None for the study's.
    """

    design: Design | Imported
    source: str
    group: str = "designs"
    network: str | None = None


@dataclass(frozen=True)
class Data:
    """A set of test images: the packaged MNIST test set, or one at a path, as --data takes it."""

    name: str = "MNIST"
    folder: str | None = None


@dataclass(frozen=True)
class Plan:
    """Designs × technologies × data sets.

    Attributes:
        designs: at least one; all with the same operands as the first.
        technologies: shipped technologies' names or Liberty files' paths.
        data: sets of test images.
        layers: of the network, which use the multiplier; none means its convolutions.
        network: quantised network file for designs without one of their own, and for exact products; None for the
            shipped one.
        energy: layer on whose operands energy is measured, or None.
        peers, array: what is shown beside the designs.
        simulator: see `amhw.simulation.simulate`.
        title: of tables and reports; empty means one that names the network.
    """

    designs: tuple[PlannedDesign, ...]
    technologies: tuple[str, ...] = ("sky130hd",)
    data: tuple[Data, ...] = (Data(),)
    layers: tuple[str, ...] = ()
    network: str | None = None
    energy: str | None = None
    peers: tuple[PeerGroup, ...] = ()
    array: Array | None = None
    simulator: str | None = None
    title: str = ""

    def __post_init__(self) -> None:
        if not (self.layers and self.title):
            network = (float_network() if self.network is None else load_network(self.network)).network
            object.__setattr__(self, "layers", self.layers or network.convolutions)
            object.__setattr__(self, "title", self.title or f"Multipliers in {network.name}")
        # Tables, plots and peers know them by these names alone.
        for what, names in (
            ("data sets", [data.name for data in self.data]),
            ("technologies", [technology_label(technology) for technology in self.technologies]),
        ):
            if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
                raise Refusal(f"two {what} called {twice[0]}; each needs a name of its own")

    @classmethod
    def of_names(cls, names: Sequence[str], **choices: Any) -> Self:
        """A plan for designs given by name, or imports by manifest; no name means the demonstration's."""
        if not names:
            demo = cls.read(DEMO)
            if "network" in choices:  # the demonstration's array is one for the shipped network
                demo = replace(demo, array=None)
            technologies = choices.get("technologies", demo.technologies)
            if any(technology_named(technology).library.voltage == 0 for technology in technologies):
                demo = replace(demo, energy=None)
            return replace(demo, **choices)
        return cls(tuple(_planned(name) for name in dict.fromkeys(names)), **choices)

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """The plan in a study file; see the module's docstring.

        Raises:
            Refusal: the file is unreadable, no TOML, or holds something that a study does not have.
        """
        path = Path(path)
        try:
            content = tomllib.loads(read_whole(path).decode("utf-8-sig"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise Refusal(f"{path} is no TOML file: {error}") from None
        try:
            return cls._of(content, path.parent)
        except Refusal as refusal:
            raise Refusal(f"{path}: {refusal}") from None

    @classmethod
    def _of(cls, content: Mapping[str, Any], folder: Path) -> Self:
        _check(content, _STUDY, {"data", "designs", "peers", "array"})
        designs: list[PlannedDesign] = []
        for table in _tables(content, "designs"):
            _check(table, {"names": list, "group": str, "network": str})
            network = str(folder / table["network"]) if "network" in table else None
            group = table.get("group", "designs")
            designs += [_planned(_located(name, folder), group, network) for name in table.get("names", [])]
        if not designs:
            raise Refusal("no designs; a study needs [[designs]] with names = [...]")
        choices: dict[str, Any] = {key: content[key] for key in ("title", "simulator", "energy") if key in content}
        if "network" in content:
            choices["network"] = str(folder / content["network"])
        if "layers" in content:
            choices["layers"] = tuple(content["layers"])
        if "technologies" in content:
            choices["technologies"] = tuple(_located(name, folder) for name in content["technologies"])
        data = []
        for table in _tables(content, "data"):
            _check(table, {"name": str, "folder": str})
            if "folder" not in table:
                raise Refusal("a [[data]] table needs folder = …; leave [[data]] out for the packaged MNIST")
            data.append(Data(table.get("name", Path(table["folder"]).name), str(folder / table["folder"])))
        if data:
            choices["data"] = tuple(data)
        if "array" in content:
            choices["array"] = _array(content["array"], designs[0].source, folder)
        plan = cls(tuple(designs), **choices)
        return replace(plan, peers=tuple(plan._peers(table, folder) for table in _tables(content, "peers")))

    def _peers(self, table: Mapping[str, Any], folder: Path) -> PeerGroup:
        _check(table, {"file": str, "group": str, "tech": str, "data": str})
        if "file" not in table:
            raise Refusal("a [[peers]] table needs file = …, a CSV file")
        known = {
            "tech": [Path(technology).name for technology in self.technologies],
            "data": [data.name for data in self.data],
        }
        where = {key: table.get(key, names[0]) for key, names in known.items()}
        for key, name in where.items():
            if name not in known[key]:
                raise Refusal(f"peers of {key} = {name!r}, which is not in this study; it has {', '.join(known[key])}")
        tech = technology_named(self.technologies[known["tech"].index(where["tech"])]).name
        circuits = tuple(read_peers(folder / table["file"]))
        return PeerGroup(circuits, table.get("group", "published"), tech, where["data"])


def _array(table: Any, first: str, folder: Path) -> Array:
    if not isinstance(table, dict):
        raise Refusal("array is one table; write [array]")
    _check(table, {"multiplier": str, "rows": int, "cols": int, "depth": int, "synthesis": str})
    paths = {key: str(folder / table[key]) for key in ("synthesis",) if key in table}
    return Array(**{**table, **paths, "multiplier": _located(table.get("multiplier", first), folder)})


def _located(name: str, folder: Path) -> str:
    """A name as it is, a file's path from where the study file is."""
    return str(folder / name) if Path(name).suffix in _FILES else name


def _planned(source: str, group: str = "designs", network: str | None = None) -> PlannedDesign:
    if Path(source).suffix == ".json":
        manifest = read_manifest(source)
        if not isinstance(manifest, MultiplierManifest):
            design = Imported.load(source)
            if design.latency:
                raise Refusal(f"{source} is a pipeline; a study compares circuits without registers")
            # What a study writes down is read from other folders, too.
            return PlannedDesign(design, str(Path(source).resolve()), group, network)
        source = manifest.design  # what amhw gen wrote is as good as the name
    return PlannedDesign(Design.parse(source), source, group, network)


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
        if type(value) is not wanted[key]:
            raise Refusal(f"{key} = {value!r}; wanted a {_KINDS[wanted[key]]}")
        if isinstance(value, list) and not (value and all(isinstance(item, str) for item in value)):
            raise Refusal(f"{key} = {value!r}; wanted a list of texts")
