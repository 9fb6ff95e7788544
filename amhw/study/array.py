"""What a study says about the array: where LeNet-5's clocks and, if it was synthesised, where its area go."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amhw.array.plan import ConvPlan
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


def breakdown(array: Array, layers: tuple[str, ...], network: str | None = None) -> dict[str, Any]:
    """Clocks by layer, bits by memory, and area by module where it is known; ready for JSON.

    Args:
        network: a quantised network's file; default the shipped one.

    Raises:
        Refusal: the array does not fit the network, or the file is no synthesis result with modules.
    """
    table = table_of(array.multiplier)
    chosen = network_for(table, layers) if network is None else QuantisedNetwork.load(network)
    plan = ConvPlan(chosen, table, array.rows, array.cols, array.depth)
    return {
        "multiplier": table.name,
        "rows": array.rows,
        "cols": array.cols,
        "depth": array.depth,
        "layers": [
            {
                "layer": layer.name,
                "tiles": part.tiles,
                "positions": part.positions,
                "clocks": part.tiles * max(part.positions, plan.tile_interval),
                "products": part.positions * part.channels * plan.rows * part.outputs,
            }
            for layer, part in zip(plan.convolutions, plan.layers, strict=True)
        ],
        "clocks": plan.cycles_per_image,
        "utilisation": plan.utilisation,
        "ideal_utilisation": plan.ideal_utilisation,
        "memory_bits": plan.memory_bits,
        "area": None if array.synthesis is None else _area(Path(array.synthesis)),
    }


def _area(path: Path) -> dict[str, Any]:
    """Each kind of module's own area times how often it is there."""
    try:
        record: Mapping[str, Any] = json.loads(read_whole(path))
        modules = [
            {
                "module": str(module["name"]),
                "instances": int(module["instances"]),
                "area_um2": float(module["own_area_um2"]) * int(module["instances"]),
            }
            for module in record["modules"]
        ]
        area = {"top": str(record["top"]), "tech": str(record["tech"]), "area_um2": float(record["area_um2"])}
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, Refusal):
            raise
        raise Refusal(f"{path} is no synthesis result; write one with amhw synth ARRAY.v --json > FILE") from None
    if not modules:
        raise Refusal(f"{path} was synthesised flat and says nothing of modules; add --hierarchical")
    return {**area, "modules": modules}
