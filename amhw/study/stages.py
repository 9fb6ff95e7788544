"""The stages that a design goes through, each as a task whose result can be stored.

A stage's identity names what its result depends on and nothing else, so that a design whose Verilog, table,
network and data are known is never computed twice.
"""

import hashlib
import importlib.metadata
import tempfile
from functools import cache
from pathlib import Path

from amhw.datasets import DataSet, data_source
from amhw.imports import Imported
from amhw.imports.source import table_of
from amhw.network.inference import check_operands
from amhw.network.models.lenet5 import network_for
from amhw.network.quantised import QuantisedNetwork
from amhw.network.trained_on import own_data
from amhw.refusal import Refusal
from amhw.results import Record, Task
from amhw.scoring import measure
from amhw.simulation import default_simulator, simulate
from amhw.stimulus import OPERATIONS, layer_trace
from amhw.synth import RECIPES, Expected, Synthesiser
from amhw.synth.energy import energy as measured_energy
from amhw.synth.store import technology_named
from amhw.table import ProductTable
from amhw.verilog import Design


def simulation(design: Design, verilog: str, simulator: str | None = None) -> Task:
    """Prove by simulation that the emitted Verilog computes the golden model's products.

    Its record is `amhw.sim.Outcome`'s fields.
    """
    simulator = simulator or default_simulator()
    identity = {
        "stage": "simulation",
        "design": design.name,
        "verilog": _sha256(verilog),
        "simulator": simulator,
        "amhw": amhw_version(),
    }
    return Task(identity, _simulate, (design.name, simulator))


def synthesis(verilog: str, top: str, technology: str, source: str | None = None) -> Task:
    """Area and delay with every recipe. Its record is `amhw.synth.SynthesisResult.record()`.

    Args:
        technology: a shipped technology's name, or the path of a Liberty file.
        source: a design's name or the path of an import's manifest; every netlist must compute its products.
    """
    identity = {
        "stage": "synthesis",
        "verilog": _sha256(verilog),
        "technology": technology_named(technology).sha256,
        "recipes": [[recipe.name, recipe.text] for recipe in RECIPES],
        "pyosys": importlib.metadata.version("pyosys"),
    }
    if source is not None:
        identity["products"] = table_of(source).sha256
    return Task(identity, _synthesise, (verilog, top, technology, source))


def energy(
    verilog: str,
    top: str,
    technology: str,
    source: str,
    layer: str,
    network: str | None = None,
    data_dir: str | None = None,
) -> Task:
    """Energy of an operation on the operands of `layer`. Its record is `amhw.synth.energy.Energy.record()`.

    The netlist is that with the least area × delay, as in `amhw energy`.

    Args:
        source, network, data_dir: as for `accuracy`; the images are of the network's own data set.

    Raises:
        Refusal: the technology does not say its voltage, or there is no such layer.
    """
    if technology_named(technology).library.voltage == 0:
        raise Refusal(f"{technology} does not say its supply voltage (nom_voltage), so there is no energy")
    chosen = _network(table_of(source), (layer,), network)
    chosen[layer]  # refuses a layer that there is not
    data = own_data(chosen.network, data_dir).representative
    identity = {
        **synthesis(verilog, top, technology, source).identity,
        "stage": "energy",
        "layer": layer,
        "network": chosen.sha256,
        "data": data.sha256,
        "operations": OPERATIONS,
        "amhw": amhw_version(),
    }
    return Task(identity, _energy, (verilog, top, technology, source, layer, network, data_dir))


def accuracy(source: str, layers: tuple[str, ...], data_dir: str | None = None, network: str | None = None) -> Task:
    """Accuracy on the test images. Its record is `amhw.accuracy.Accuracy.record()`.

    Args:
        source: a multiplier's or design's name, or the path of an import's manifest.
        layers: in which it is used.
        data_dir: folder of an IDX data set; default the packaged MNIST test set.
        network: a quantised network file; default the shipped network at the multiplier's widths.

    Raises:
        Refusal: a layer is unknown or cannot use the multiplier.
    """
    table = table_of(source)
    chosen = _network(table, layers, network)
    for layer in layers:
        check_operands(chosen[layer], table)
    identity = {
        "stage": "accuracy",
        "table": table.sha256,
        "layers": list(layers),
        "network": chosen.sha256,
        "data": images(data_dir).sha256,
    }
    return Task(identity, _accuracy, (source, layers, data_dir, network))


@cache
def images(data_dir: str | None) -> DataSet:
    """The test images of a folder, or the packaged ones.

    Raises:
        Refusal: the folder holds no such IDX files.
    """
    return data_source(data_dir).test


def amhw_version() -> str:
    """The version of this package."""
    return importlib.metadata.version("amhw")


def _network(table: ProductTable, layers: tuple[str, ...], file: str | None) -> QuantisedNetwork:
    return network_for(table, layers) if file is None else QuantisedNetwork.load(file)


def _simulate(name: str, simulator: str) -> Record:
    with tempfile.TemporaryDirectory() as folder:
        _, manifest = Design.parse(name).write(folder)
        outcome = simulate(manifest, simulator=simulator)
    return {**vars(outcome), "passed": outcome.passed}


@cache
def _synthesiser(technology: str, netlists: bool = False) -> Synthesiser:
    """One warm Yosys process for each worker process; it ends when its worker does."""
    return Synthesiser(technology_named(technology), workers=1, netlists=netlists)


def _synthesise(verilog: str, top: str, technology: str, source: str | None) -> Record:
    expected = None if source is None else _expected(source)
    return _synthesiser(technology).submit(verilog, top, expected).result().record()


def _energy(
    verilog: str, top: str, technology: str, source: str, layer: str, network: str | None, data_dir: str | None
) -> Record:
    expected = _expected(source)
    result = _synthesiser(technology, netlists=True).submit(verilog, top, expected).result()
    gates = result.best_product.gates
    assert gates is not None
    chosen = _network(table_of(source), (layer,), network)
    trace = layer_trace(chosen, layer, own_data(chosen.network, data_dir).representative)
    operands = {expected.a: trace["a"], expected.b: trace["b"]}
    return measured_energy(gates, technology_named(technology), operands).record()


def _expected(source: str) -> Expected:
    if Path(source).suffix != ".json":
        return Expected(table_of(source).products)
    imported = Imported.load(source)
    return Expected(imported.table.products, **({} if imported.ports is None else vars(imported.ports)))


def _accuracy(source: str, layers: tuple[str, ...], data_dir: str | None, network: str | None) -> Record:
    table = table_of(source)
    return measure(table, layers, _network(table, layers, network), images(data_dir)).record()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
