"""A whole training: what is trained, written, and found on test images."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from amhw.datasets import DataSet, DataSource, balanced
from amhw.network.inference import Inference
from amhw.network.models.lenet5 import float_network
from amhw.network.network import Network
from amhw.network.quantise import quantise
from amhw.network.quantised import Operands, QuantisedNetwork
from amhw.network.real import FloatNetwork, real_valued
from amhw.network.trained_on import other_data
from amhw.network.training import train
from amhw.nn.finetune import TrainingProgress, TrainingRecipe, fine_tune
from amhw.nn.noise import measured_noise
from amhw.table import ProductTable


@dataclass(frozen=True)
class Trained:
    """A network that was trained and written, and everything on which it depends.

    Attributes:
        trained_on: the data set that the network says it was trained on.
        data: that whose images it saw here.
    """

    network: Path
    network_sha256: str
    operands: str
    trained_on: dict[str, str] | None
    data: dict[str, str]
    training_sha256: str
    test_sha256: str
    epochs: int
    seed: int
    accuracy: float
    images: int

    def summary(self) -> str:
        """For people: what reached which accuracy, and where it is."""
        return f"{self.operands:6} {100 * self.accuracy:.2f} % of {self.images} test images  {self.network}"

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {name: str(value) if isinstance(value, Path) else value for name, value in vars(self).items()}


@dataclass(frozen=True)
class FromScratch(Trained):
    """A network that was trained in floating point, written as such too, and quantised."""

    float_network: Path
    float_accuracy: float

    def summary(self) -> str:
        return f"float  {100 * self.float_accuracy:.2f} %  {self.float_network}\n{super().summary()}"


@dataclass(frozen=True)
class FineTuned(Trained):
    """A network that was fine-tuned through a multiplier, or on noise like its error.

    Attributes:
        started_on: the data set that the network had been trained on before, if it said so.
    """

    started_on: dict[str, str] | None
    multiplier: str
    table_sha256: str
    layers: list[str]
    noise: bool


def from_scratch(
    network: Network,
    source: DataSource,
    training: DataSet,
    epochs: int,
    seed: int,
    out: Path,
    report: Callable[[int, int, float], None],
) -> FromScratch:
    """Train `network` on the training images of `source`, or some of them, and quantise it.

    Writes the quantised network as `out`, the float one beside it as STEM-float.npz; `report` as in `train`.

    Raises:
        Refusal: the images have another shape, the loss is no longer a number, or a file cannot be written.
    """
    test = source.test
    network.check_images(test)
    trained = train(network, training, source.identity, epochs, seed, report)
    quantised = quantise(trained, balanced(training).images)
    float_file = trained.save(out.with_name(f"{out.stem}-float{out.suffix}"))
    float_accuracy = float((trained.logits(test.images).argmax(axis=1) == test.labels).mean())
    return FromScratch(
        **_written(quantised, {}, source, training, epochs, seed, out),
        float_network=float_file,
        float_accuracy=float_accuracy,
    )


def fine_tuned(
    start: FloatNetwork | QuantisedNetwork,
    layers: tuple[str, ...],
    table: ProductTable,
    source: DataSource,
    training: DataSet,
    recipe: TrainingRecipe,
    out: Path,
    *,
    noise: bool = False,
    checkpoint: Path | None = None,
    report: Callable[[TrainingProgress], None] = lambda progress: None,
) -> FineTuned:
    """Fine-tune `start` with `table` in `layers` on the training images of `source`, or some of them.

    Writes the network as `out`. With `noise`, training multiplies exactly, with noise like the table's error.

    Raises:
        Refusal: as `fine_tune`, or the file cannot be written.
    """
    tables = dict.fromkeys(layers, table)
    if noise:
        exact = _with_exact_products(start, tables, training)
        measured = measured_noise(exact, tables, balanced(training, 20).images)
        tuned = fine_tune(start, {}, training, recipe, checkpoint=checkpoint, noise=measured, report=report)
    else:
        # The shipped network teaches what it was trained on; a float network that is given teaches itself.
        own = isinstance(start, QuantisedNetwork) and start.network == float_network().network
        teacher = float_network() if own and other_data(start.network, source) is None else None
        tuned = fine_tune(start, tables, training, recipe, teacher=teacher, checkpoint=checkpoint, report=report)
    tuned = replace(tuned, network=tuned.network.on(source.identity))
    return FineTuned(
        **_written(tuned, tables, source, training, recipe.epochs, recipe.seed, out),
        started_on=None if start.network.trained_on is None else vars(start.network.trained_on),
        multiplier=table.name,
        table_sha256=table.sha256,
        layers=list(tables),
        noise=noise,
    )


def _with_exact_products(
    start: FloatNetwork | QuantisedNetwork, tables: Mapping[str, ProductTable], training: DataSet
) -> QuantisedNetwork:
    """`start` in integers, with the operands that the tables take: it meets their errors as operands occur in it."""
    operands = {name: Operands(table.width_a, table.width_b, table.signed_a) for name, table in tables.items()}
    if isinstance(start, FloatNetwork):
        return quantise(start, balanced(training).images, operands)
    start.network.check_layers(operands)
    if all(start[name].operands == wanted for name, wanted in operands.items()):
        return start
    return quantise(real_valued(start), balanced(training).images, operands)


def _written(
    network: QuantisedNetwork,
    tables: Mapping[str, ProductTable],
    source: DataSource,
    training: DataSet,
    epochs: int,
    seed: int,
    out: Path,
) -> dict[str, Any]:
    """The fields of `Trained`, once the network is written."""
    network.save(out)
    test = source.test
    on = network.network.trained_on
    return {
        "network": out,
        "network_sha256": network.sha256,
        "operands": network.layers[0].operands.name,
        "trained_on": None if on is None else vars(on),
        "data": vars(source.identity),
        "training_sha256": training.sha256,
        "test_sha256": test.sha256,
        "epochs": epochs,
        "seed": seed,
        "accuracy": float(Inference(network, tables).correct(test).mean()),
        "images": len(test),
    }
