"""What a study says about the array: where LeNet-5's clocks and, if it was synthesised, where its area go."""

from dataclasses import dataclass
from pathlib import Path

from amhw.array.plan import ConvPlan
from amhw.documents import Amount, Count, DamagedError, Name, Record
from amhw.files import read_whole
from amhw.imports.source import table_of
from amhw.network.models.lenet5 import network_for
from amhw.network.quantised import QuantisedNetwork
from amhw.refusal import Refusal


@dataclass(frozen=True)
class Array:
    """The array that a study looks at.

    Attributes:
        multiplier: a name or an import's manifest.
        rows, cols, depth: see `amhw.array.plan.ConvPlan`.
        synthesis: what ``amhw synth --json`` printed of its Verilog, a file, or None.
    """

    multiplier: str
    rows: int = 25
    cols: int = 16
    depth: int = 1
    synthesis: str | None = None


@dataclass(frozen=True)
class LayerClocks:
    """What one layer takes on the array: tiles, output positions, clocks and products."""

    layer: str
    tiles: Count
    positions: Count
    clocks: Count
    products: Count


@dataclass(frozen=True)
class ModuleArea:
    """All instances of one module, without what is inside them."""

    module: Name
    instances: Count
    area_um2: Amount


@dataclass(frozen=True)
class ArrayArea:
    """A synthesised array: its top module, the technology, its area, and that of each kind of module."""

    top: Name
    tech: str
    area_um2: Amount
    modules: tuple[ModuleArea, ...]


@dataclass(frozen=True)
class Breakdown:
    """Clocks by layer, bits by memory, and area by module where it is known.

    Attributes:
        multiplier: its name.
        rows, cols, depth: of the array.
        clocks: for an image.
        utilisation, ideal_utilisation: the share of multipliers that work in a clock, and what the shape allows.
    """

    multiplier: Name
    rows: Count
    cols: Count
    depth: Count
    layers: tuple[LayerClocks, ...]
    clocks: Count
    utilisation: float
    ideal_utilisation: float
    memory_bits: dict[str, Count]
    area: ArrayArea | None


def breakdown(array: Array, layers: tuple[str, ...], network: str | None = None) -> Breakdown:
    """Where the clocks and the area of an array go.

    Args:
        network: a quantised network's file; default the shipped one.

    Raises:
        Refusal: the array does not fit the network, or the file is no synthesis result with modules.
    """
    table = table_of(array.multiplier)
    chosen = network_for(table, layers) if network is None else QuantisedNetwork.load(network)
    plan = ConvPlan(chosen, table, array.rows, array.cols, array.depth)
    return Breakdown(
        multiplier=table.name,
        rows=array.rows,
        cols=array.cols,
        depth=array.depth,
        layers=tuple(
            LayerClocks(
                layer=layer.name,
                tiles=part.tiles,
                positions=part.positions,
                clocks=part.tiles * max(part.positions, plan.tile_interval),
                products=part.positions * part.channels * plan.rows * part.outputs,
            )
            for layer, part in zip(plan.convolutions, plan.layers, strict=True)
        ),
        clocks=plan.cycles_per_image,
        utilisation=plan.utilisation,
        ideal_utilisation=plan.ideal_utilisation,
        memory_bits=plan.memory_bits,
        area=None if array.synthesis is None else _area(Path(array.synthesis)),
    )


@dataclass(frozen=True)
class _Module:
    name: str
    instances: Count
    own_area_um2: Amount


@dataclass(frozen=True)
class _Printed(Record):
    """What is needed of the JSON object that ``amhw synth`` prints."""

    top: str
    tech: str
    area_um2: Amount
    modules: tuple[_Module, ...]


def _area(path: Path) -> ArrayArea:
    """Each kind of module's own area times how often it is there."""
    try:
        printed = _Printed.from_json(read_whole(path))
    except DamagedError as error:
        raise Refusal(
            f"{path} is no synthesis result ({error}); write one with amhw synth ARRAY.v --json > FILE"
        ) from None
    if not printed.modules:
        raise Refusal(f"{path} was synthesised flat and says nothing of modules; add --hierarchical")
    modules = tuple(
        ModuleArea(module.name, module.instances, module.own_area_um2 * module.instances) for module in printed.modules
    )
    return ArrayArea(printed.top, printed.tech, printed.area_um2, modules)
