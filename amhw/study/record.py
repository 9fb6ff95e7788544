"""What a study found: the types behind ``sweep.csv`` and ``sweep.json``."""

from dataclasses import dataclass
from typing import ClassVar

from amhw.documents import Amount, Count, Document, Label, Name, Share
from amhw.study.array import Breakdown
from amhw.study.peers import Peer


@dataclass(frozen=True)
class Row:
    """What is known of one design in one technology, with one data set.

    Attributes:
        name: the design.
        source: what `amhw.imports.source.table_of` finds it by: its name, or the path of the import's manifest.
        group: its label in the study.
        kept: partial products kept, where the multiplier is a mask.
        products: simulated operand pairs that matched the golden model, of how many; empty for an import, whose
            table is its Verilog, simulated.
        area_um2, area_recipe: of the smallest netlist that any recipe gave; restructured, as all of these are but for
            those that say otherwise.
        delay_ps, delay_recipe: critical path of the fastest netlist that any recipe gave.
        area_ratio: area_um2 over that of the smallest exact multiplier.
        delay_ratio: delay_ps over that of the fastest exact multiplier.
        area_noise, delay_noise: the study's noise bands, relative: of two designs whose areas (delays) differ by
            less, neither wins (see `amhw.synth.noise`).
        balanced_area_um2, balanced_delay_ps, balanced_recipe: both figures of one netlist, that with the least
            area × delay.
        energy_fj, energy_settled_fj: of an operation with hazards and without (see `amhw.synth.energy`), of that
            netlist; where the plan asks for energy.
        energy_ratio: energy_fj over that of the exact multiplier that needs least.
        correct, images, accuracy: correct predictions, images and their fraction.
        exact_accuracy: with exact products in the plan's network.
        tech: where area and delay come from.
        data: whose test images.
        network: hash of the quantised network.
        network_name: what it is called.
        trained_on: the data set that it was trained on, with its hash, or empty.
        other_data: that these are not the data that the network was trained on, in a sentence; or empty.
        failure: why a stage has no result, or empty.
        as_designed_area_um2, as_designed_delay_ps: of the netlist that keeps the design's structure.
        as_designed_area_ratio, as_designed_delay_ratio: over the least of the exact multipliers' figures of that kind.
    """

    name: Name
    source: Name
    group: Label
    kept: Count | None
    products: str
    area_um2: Amount | None
    area_recipe: str
    area_ratio: Amount | None
    delay_ps: Amount | None
    delay_recipe: str
    delay_ratio: Amount | None
    area_noise: Amount | None
    delay_noise: Amount | None
    balanced_area_um2: Amount | None
    balanced_delay_ps: Amount | None
    balanced_recipe: str
    energy_fj: Amount | None
    energy_settled_fj: Amount | None
    energy_ratio: Amount | None
    correct: Count | None
    images: Count | None
    accuracy: Share | None
    exact_accuracy: Share | None
    tech: Label
    data: Label
    network: str
    network_name: str
    trained_on: str
    other_data: str
    failure: str
    as_designed_area_um2: Amount | None = None
    as_designed_area_ratio: Amount | None = None
    as_designed_delay_ps: Amount | None = None
    as_designed_delay_ratio: Amount | None = None


@dataclass(frozen=True)
class Exact:
    """The best that exact multipliers reach in a technology and on a data set: what ratios and losses are against.

    Each figure is the best over several structures and all recipes; they are of different netlists.
    """

    tech: Label
    data: Label
    accuracy: Share | None
    area_um2: Amount | None
    delay_ps: Amount | None
    energy_fj: Amount | None
    as_designed_area_um2: Amount | None = None
    as_designed_delay_ps: Amount | None = None


@dataclass(frozen=True)
class PeerGroup:
    """Published circuits beside a study's designs, with the technology and the data set of their figures."""

    circuits: tuple[Peer, ...]
    group: Label
    tech: Label
    data: Label


@dataclass(frozen=True)
class StudyRecord(Document):
    """Everything that a report needs of a study.

    Attributes:
        layers: of the network, which use the multiplier.
        network: the file of the plan's network; None for the shipped one.
        data_dir: folder of the first data set; None for the packaged MNIST.
        energy: the layer on whose operands energy was measured, or None.
        provenance: date, versions and hashes, by name.
        exact: for each technology and data set.
        array: where clocks and area of the array go, if the plan has one.
    """

    kind: ClassVar[str] = "study"
    schema: ClassVar[int] = 1
    called: ClassVar[str] = "study"
    written_by: ClassVar[str] = "amhw study"

    title: Label
    layers: tuple[str, ...]
    network: str | None
    data_dir: str | None
    energy: str | None
    provenance: dict[str, str]
    rows: tuple[Row, ...]
    exact: tuple[Exact, ...]
    peers: tuple[PeerGroup, ...]
    array: Breakdown | None
