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

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Self

import msgspec

from amhw.documents import Label, Table, read_toml
from amhw.imports import Imported
from amhw.manifests import MultiplierManifest, read_manifest
from amhw.network.models.lenet5 import float_network
from amhw.network.real import load_network
from amhw.refusal import Refusal
from amhw.simulation import check_simulator
from amhw.study.array import Array
from amhw.study.peers import read_peers
from amhw.study.record import PeerGroup
from amhw.synth.store import technology_named
from amhw.synth.technology import technology_label
from amhw.verilog import Design

_FILES = (".json", ".lib", ".gz")

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
        if self.simulator is not None:
            check_simulator(self.simulator)
        # Tables, plots and peers know them by these names alone.
        for what, names in (
            ("layers", list(self.layers)),
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
        content = read_toml(path, _Study)
        try:
            return cls._of(content, path.parent)
        except Refusal as refusal:
            raise Refusal(f"{path}: {refusal}") from None

    @classmethod
    def _of(cls, content: "_Study", folder: Path) -> Self:
        designs: list[PlannedDesign] = []
        for table in content.designs:
            network = None if table.network is None else str(folder / table.network)
            designs += [_planned(_located(name, folder), table.group, network) for name in table.names]
        if not designs:
            raise Refusal("no designs; a study needs [[designs]] with names = [...]")
        choices: dict[str, Any] = {"title": content.title, "simulator": content.simulator, "energy": content.energy}
        if content.network is not None:
            choices["network"] = str(folder / content.network)
        if content.layers is not None:
            choices["layers"] = tuple(content.layers)
        if content.technologies is not None:
            choices["technologies"] = tuple(_located(name, folder) for name in content.technologies)
        if content.data:
            choices["data"] = tuple(
                Data(Path(table.folder).name if table.name is None else table.name, str(folder / table.folder))
                for table in content.data
            )
        if content.array is not None:
            choices["array"] = content.array.located(designs[0].source, folder)
        plan = cls(tuple(designs), **choices)
        return replace(plan, peers=tuple(plan._peers(table, folder) for table in content.peers))

    def _peers(self, table: "_Peers", folder: Path) -> PeerGroup:
        known = {
            "tech": [Path(technology).name for technology in self.technologies],
            "data": [data.name for data in self.data],
        }
        given = {"tech": table.tech, "data": table.data}
        where = {key: names[0] if (name := given[key]) is None else name for key, names in known.items()}
        for key, name in where.items():
            if name not in known[key]:
                raise Refusal(f"peers of {key} = {name!r}, which is not in this study; it has {', '.join(known[key])}")
        tech = technology_named(self.technologies[known["tech"].index(where["tech"])]).name
        circuits = tuple(read_peers(folder / table.file))
        return PeerGroup(circuits, table.group, tech, where["data"])


_Texts = Annotated[list[str], msgspec.Meta(min_length=1)]


class _Designs(Table, frozen=True):
    names: _Texts
    group: Label = "designs"
    network: str | None = None


class _Data(Table, frozen=True):
    folder: str
    name: Label | None = None


class _Peers(Table, frozen=True):
    file: str
    group: Label = "published"
    tech: str | None = None
    data: str | None = None


class _Array(Table, frozen=True):
    multiplier: str | None = None
    rows: int = 25
    cols: int = 16
    depth: int = 1
    synthesis: str | None = None

    def located(self, first: str, folder: Path) -> Array:
        """The array, of the `first` design unless it says another; files from where the study file is."""
        multiplier = _located(self.multiplier or first, folder)
        synthesis = None if self.synthesis is None else str(folder / self.synthesis)
        return Array(multiplier, self.rows, self.cols, self.depth, synthesis)


class _Study(Table, frozen=True):
    """A study file; see the module's docstring."""

    title: Label = ""
    technologies: _Texts | None = None
    layers: _Texts | None = None
    network: str | None = None
    energy: str | None = None
    simulator: str | None = None
    data: tuple[_Data, ...] = ()
    designs: tuple[_Designs, ...] = ()
    peers: tuple[_Peers, ...] = ()
    array: _Array | None = None


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
