"""How many images a network classifies correctly with a multiplier, or any product table, in some of its layers."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from amhw.datasets import DataSet
from amhw.multiplier import is_name
from amhw.network.inference import Inference
from amhw.network.quantised import QuantisedNetwork
from amhw.refusal import Refusal
from amhw.table import ProductTable
from amhw.verilog import Design


@dataclass(frozen=True)
class Accuracy:
    """How many of `images` were classified correctly, and everything on which that depends."""

    multiplier: str
    layers: tuple[str, ...]
    correct: int
    images: int
    table_sha256: str
    network_sha256: str
    data_sha256: str
    seconds: float

    @property
    def accuracy(self) -> float:
        return self.correct / self.images

    def record(self) -> dict[str, Any]:
        """The JSON object."""
        return {"accuracy": self.accuracy, **vars(self), "layers": list(self.layers)}


def measure(
    table: ProductTable,
    layers: tuple[str, ...],
    network: QuantisedNetwork,
    data: DataSet,
    report: Callable[[int], None] = lambda images: None,
) -> Accuracy:
    """Classify `data` with `table` in `layers` of `network`; `report` hears of each chunk's number of images.

    Raises:
        Refusal: a layer is unknown or the table does not fit it.
    """
    found = measure_tables(dict.fromkeys(layers, table), network, data, report)
    return replace(found, multiplier=table.name, table_sha256=table.sha256)


def measure_tables(
    tables: Mapping[str, ProductTable],
    network: QuantisedNetwork,
    data: DataSet,
    report: Callable[[int], None] = lambda images: None,
) -> Accuracy:
    """`measure` with a table for each layer; names and hashes are joined by commas where they differ.

    Raises:
        Refusal: a layer is unknown or its table does not fit it.
    """
    start = time.perf_counter()
    correct = Inference(network, tables).correct(data, report)
    seconds = time.perf_counter() - start
    names, hashes = ({getattr(table, what): None for table in tables.values()} for what in ("name", "sha256"))
    return Accuracy(
        ",".join(names),
        tuple(tables),
        int(correct.sum()),
        len(data),
        ",".join(hashes),
        network.sha256,
        data.sha256,
        seconds,
    )


def tables_made_for(network: QuantisedNetwork) -> dict[str, ProductTable]:
    """The product tables of the multipliers that a network's layers were made for, by layer.

    Raises:
        Refusal: no layer says, or one says what came from a file, or a multiplier's table is not what it was when the
            network was made.
    """
    tables = own_tables(network)
    if not tables:
        raise Refusal(f"{network.name} was made for exact products: give a multiplier, NAME|FILE, too")
    return tables


def own_tables(network: QuantisedNetwork) -> dict[str, ProductTable]:
    """`tables_made_for`; none for a network that was made for exact products.

    Raises:
        Refusal: a layer was made for what came from a file, or a multiplier's table is not what it was then.
    """
    made_for = {layer.name: layer.made_for.name for layer in network.layers if layer.made_for is not None}
    for layer, name in made_for.items():
        if not is_name(name):
            raise Refusal(f"{layer} of {network.name} was made for the table {name}, from a file: give that file too")
    tables = {layer: ProductTable.of(Design.parse(name).multiplier) for layer, name in made_for.items()}
    network.check_tables(tables)
    return tables
