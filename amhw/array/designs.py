"""Whole designs: Verilog and manifest of an engine for a whole network or its convolutions, or of a matrix product."""

import hashlib
from collections.abc import Sequence
from typing import Protocol

from amhw.array import files
from amhw.array.config import ArrayConfig
from amhw.array.conv import ConvEngine
from amhw.array.engine import Engine
from amhw.array.matmul import MatMul
from amhw.array.plan import ConvPlan
from amhw.array.program import Sizes
from amhw.array.schedule import Schedule
from amhw.array.tiling import Tiling
from amhw.array.widths import SUM_BITS, Widths
from amhw.families.masked import Masked
from amhw.manifests import EngineManifest, MatrixProductManifest, MemoryPlace, NetworkEngineManifest, tools
from amhw.multiplier import Multiplier, is_name, parse
from amhw.network.quantised import QuantisedNetwork
from amhw.refusal import Refusal
from amhw.table import ProductTable
from amhw.verilog import check_identifier


def conv_engine(multiplier: Multiplier, plan: ConvPlan, name: str | None = None) -> tuple[str, EngineManifest]:
    """Verilog and manifest of a `ConvEngine`.

    Raises:
        Refusal: `name` is no identifier.
    """
    name = name or f"conv_{plan.rows}x{plan.cols}_d{plan.depth}_{multiplier.name}"
    check_identifier(name)
    core = ConvEngine(multiplier, plan)
    text, ports = files.verilog(core, core.array.elements, name)
    manifest = EngineManifest(
        name=name,
        title=f"Convolutions of {plan.network.name} on a {plan.rows} x {plan.cols} weight-stationary systolic array",
        multiplier=multiplier.name,
        network=f"{name}.npz",
        network_sha256=plan.network.sha256,
        image_side=plan.image_side,
        rows=plan.rows,
        cols=plan.cols,
        depth=plan.depth,
        latency=core.latency,
        cycles_per_image=plan.cycles_per_image,
        ideal_cycles_per_image=plan.ideal_cycles,
        products_per_image=plan.products,
        utilisation=round(plan.utilisation, 4),
        ideal_utilisation=round(plan.ideal_utilisation, 4),
        sum_width=plan.widths.sum_width(plan.terms),
        sum_unit=1 << plan.widths.shift,
        elements=tuple(sorted({element.name for element in core.array.elements})),
        memory_map={memory: MemoryPlace(**place) for memory, place in core.memory_map.items()},
        memory_bits=plan.memory_bits,
        ports=ports,
        verilog_sha256=hashlib.sha256(text.encode()).hexdigest(),
        tools=tools(),
    )
    return text, manifest


def network_engine(
    schedule: Schedule, name: str | None = None, others: Sequence[Schedule] = ()
) -> tuple[str, NetworkEngineManifest]:
    """Verilog and manifest of an `Engine`.

    Args:
        schedule: what is in its memories.
        name: of the module; by default made of its network's and its array's.
        others: what it has to be able to run, too, after its memories have been written.

    Raises:
        Refusal: `name` is no identifier, or the schedules do not fit one engine.
    """
    config, network = schedule.config, schedule.network.network
    masks = f"_{len(config.masks)}_masks" if config.masks else ""
    name = name or f"engine_{config.rows}x{config.cols}_d{config.depth}_{config.multiplier.name}{masks}"
    check_identifier(name)
    core = Engine(Sizes((schedule, *others)))
    text, ports = files.verilog(core, core.array.elements, name)
    manifest = NetworkEngineManifest(
        name=name,
        title=f"{network.name} on a {config.rows} x {config.cols} weight-stationary systolic array",
        multiplier=config.multiplier.name,
        masks=tuple(mask.name for mask in config.masks),
        multipliers={layer: one.name for layer, one in schedule.multipliers.items()},
        network=f"{name}.npz",
        network_sha256=schedule.network.sha256,
        input_shape=network.input_shape,
        classes=network.classes,
        rows=config.rows,
        cols=config.cols,
        depth=config.depth,
        window=config.window,
        requantisers=config.requantisers,
        batch=schedule.batch,
        sums=config.sums,
        latency=schedule.latency,
        clocks_per_image=round(schedule.clocks_per_image, 3),
        ideal_clocks_per_image=schedule.ideal_clocks_per_image,
        products_per_image=schedule.products_per_image,
        utilisation=round(schedule.utilisation, 4),
        sum_width=core.sum_width,
        sum_unit=1 << schedule.widths.shift,
        elements=tuple(sorted({element.name for element in core.array.elements})),
        memory_map=core.memory_map,
        memory_bits=core.memory_bits,
        ports=ports,
        verilog_sha256=hashlib.sha256(text.encode()).hexdigest(),
        tools=tools(),
    )
    return text, manifest


class ArrayShape(Protocol):
    """What every manifest of an engine for whole networks says of its array."""

    @property
    def multiplier(self) -> str: ...

    @property
    def masks(self) -> tuple[str, ...]: ...

    @property
    def rows(self) -> int: ...

    @property
    def cols(self) -> int: ...

    @property
    def depth(self) -> int: ...

    @property
    def window(self) -> tuple[int, int]: ...

    @property
    def requantisers(self) -> int: ...

    @property
    def sums(self) -> int: ...


class EngineShape(ArrayShape, Protocol):
    """And what that of an engine for one network says of its layers."""

    @property
    def multipliers(self) -> dict[str, str]: ...

    @property
    def batch(self) -> int: ...


def config_of(manifest: ArrayShape, batch: int) -> ArrayConfig:
    """The array that a manifest describes, for so many images at a time."""
    return ArrayConfig(
        parse(manifest.multiplier),
        manifest.rows,
        manifest.cols,
        manifest.depth,
        manifest.window,
        manifest.requantisers,
        batch,
        manifest.sums,
        tuple(map(parse, manifest.masks)),
    )


def scheduled(manifest: EngineShape, network: QuantisedNetwork) -> Schedule:
    """The schedule of `network` on the engine that a manifest describes.

    Raises:
        Refusal: they do not fit each other.
    """
    config = config_of(manifest, manifest.batch)
    return Schedule(network, config, {layer: parse(name) for layer, name in manifest.multipliers.items()})


def multipliers_made_for(network: QuantisedNetwork) -> dict[str, Multiplier]:
    """The multiplier that each layer was made for, by name; the exact one where the network file says none.

    Raises:
        Refusal: a layer was made for a table from a file.
    """
    found: dict[str, Multiplier] = {}
    for layer in network.layers:
        made, operands = layer.made_for, layer.operands
        if made is None:
            found[layer.name] = Masked.exact(
                operands.activation_width, operands.weight_width, signed_a=operands.activation_signed, signed_b=True
            )
        elif is_name(made.name):
            found[layer.name] = parse(made.name)
        else:
            raise Refusal(
                f"{layer.name} of {network.name} was made for the table {made.name}, from a file: there is no circuit "
                "of it to build an array from"
            )
    return found


def matrix_product(
    multiplier: Multiplier, tiling: Tiling, name: str | None = None
) -> tuple[str, MatrixProductManifest]:
    """Verilog and manifest of a `MatMul`.

    Raises:
        Refusal: sums could overflow, or `name` is no identifier.
    """
    m, k, n = tiling.shape
    widths = Widths.of(ProductTable.of(multiplier))
    widths.check_sums(k, SUM_BITS)
    dataflow = "" if tiling.is_weight_stationary else "_os"
    name = name or f"matmul_{m}x{k}x{n}_{tiling.rows}x{tiling.cols}_d{tiling.depth}{dataflow}_{multiplier.name}"
    check_identifier(name)
    core = MatMul(multiplier, widths, tiling)
    text, ports = files.verilog(core, core.array.elements, name)
    manifest = MatrixProductManifest(
        name=name,
        title=f"{m} x {k} x {n} matrix product on a {tiling.rows} x {tiling.cols} {tiling.dataflow} systolic array",
        multiplier=multiplier.name,
        shape=(m, k, n),
        rows=tiling.rows,
        cols=tiling.cols,
        depth=tiling.depth,
        dataflow=tiling.dataflow,
        latency=core.array.latency,
        cycles=tiling.cycles,
        utilisation=round(tiling.utilisation, 4),
        sum_width=core.sum_width,
        sum_unit=1 << core.widths.shift,
        elements=tuple(sorted({element.name for element in core.array.elements})),
        ports=ports,
        verilog_sha256=hashlib.sha256(text.encode()).hexdigest(),
        tools=tools(),
    )
    return text, manifest
