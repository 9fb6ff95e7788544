"""Whole designs: Verilog and manifest of an engine for a network's convolutions, or of a matrix product."""

import hashlib

from amhw.array import files
from amhw.array.conv import ConvEngine
from amhw.array.matmul import MatMul
from amhw.array.plan import ConvPlan
from amhw.array.tiling import Tiling
from amhw.array.widths import SUM_BITS, Widths
from amhw.manifests import EngineManifest, MatrixProductManifest, MemoryPlace, tools
from amhw.multiplier import Multiplier
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
