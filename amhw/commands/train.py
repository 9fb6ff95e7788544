"""``python -m amhw.train``: LeNet-5 from scratch, or fine-tuned through a multiplier."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from amhw.commands.base import Command, print_json
from amhw.commands.options import chosen_layers
from amhw.datasets import DataSet, DataSource, balanced, data_source
from amhw.network.inference import UNSIGNED_WEIGHTS, Inference
from amhw.network.models import model_named
from amhw.network.models.lenet5 import float_network, network_for
from amhw.network.network import Network
from amhw.network.quantise import quantise
from amhw.network.quantised import QuantisedNetwork
from amhw.network.real import load_network
from amhw.network.trained_on import other_data
from amhw.network.training import EPOCHS, train
from amhw.nn import Recipe, fine_tune
from amhw.nn.finetune import Progress as Step
from amhw.nn.noise import measured_noise
from amhw.refusal import Refusal
from amhw.table import ProductTable
from amhw.verilog import Design

MODEL = "lenet5"
"""What is trained from scratch unless something else is asked for."""


@click.command(
    cls=Command,
    epilog="Example: amhw train --multiplier mul_u8s8_pp_0_0_0_0_0_0_c0_c0 --out four.npz",
)
@click.option(
    "--multiplier", metavar="NAME", help="Fine-tune through this multiplier instead of training from scratch."
)
@click.option("--model", metavar="NAME", help=f"From scratch: which network. [default: {MODEL}]")
@click.option("--layers", help="Which layers it serves: names with commas, or all. [default: conv1,conv2]")
@click.option(
    "--network",
    "start",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The float or quantised network to fine-tune; default: the shipped float one.",
)
@click.option("--noise", is_flag=True, help="Train on exact products with noise like the multiplier's error.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder with IDX files; default: MNIST.")
@click.option("--slice", "packaged", is_flag=True, help="Train on the packaged 5,000 images: nothing to download.")
@click.option("--epochs", type=click.IntRange(min=1), help=f"[default: {EPOCHS}; fine-tuning: {Recipe.epochs}]")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--patience", type=click.IntRange(min=1), help="Fine-tuning: stop after so many epochs without a better one."
)
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Fine-tuning: saved after every epoch; continues from it if it is there.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The quantised network; from scratch, the float one goes beside it as STEM-float.npz.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    multiplier: str | None,
    model: str | None,
    layers: str | None,
    start: Path | None,
    noise: bool,
    data_dir: Path | None,
    packaged: bool,
    epochs: int | None,
    seed: int,
    patience: int | None,
    checkpoint: Path | None,
    out: Path,
    as_json: bool,
) -> None:
    """Train LeNet-5 from scratch and quantise it, or fine-tune it through a multiplier; report the test accuracy.

    The training set comes from --data-dir, else from the user's cache, else it is downloaded. The same seed,
    data, thread count and torch give the same network. Calibration and the choice of the best epoch see training
    images only.
    """
    if multiplier is None:
        given = {"--layers": layers, "--network": start, "--noise": noise, "--patience": patience}
        for option, value in {**given, "--checkpoint": checkpoint}.items():
            if value:
                raise Refusal(f"{option} is for fine-tuning: give --multiplier NAME too")
    elif model is not None:
        raise Refusal("--model is for training from scratch; fine-tuning starts from --network FILE")
    if packaged and data_dir is not None:
        raise Refusal("give either --data-dir or --slice")
    table = None if multiplier is None else ProductTable.of(Design.parse(multiplier).multiplier)
    if table is not None and not table.signed_b:
        raise Refusal(UNSIGNED_WEIGHTS.format(name=table.name))
    source = data_source(data_dir)
    test, training = source.test, source.calibration if packaged else source.training
    for path in (out, checkpoint):
        if path is not None:
            _check_writable(path.parent)
    if table is None:
        record = _from_scratch(model_named(model or MODEL), source, training, epochs or EPOCHS, seed, out)
    else:
        recipe = Recipe(epochs=epochs or Recipe.epochs, seed=seed, patience=patience)
        record = _fine_tuned(table, layers, start, noise, source, training, recipe, checkpoint, out)
    if as_json:
        print_json(record)
        return
    if "float_accuracy" in record:
        click.echo(f"float  {100 * record['float_accuracy']:.2f} %  {record['float_network']}")
    click.echo(f"{record['operands']:6} {100 * record['accuracy']:.2f} % of {len(test)} test images  {out}")


def _from_scratch(
    network: Network, source: DataSource, training: DataSet, epochs: int, seed: int, out: Path
) -> dict[str, Any]:
    test = source.test
    network.check_images(test)
    float_file = out.with_name(f"{out.stem}-float{out.suffix}")
    with _progress() as (progress, task):

        def report(step: int, steps: int, loss: float) -> None:
            text = f"epoch {1 + (step - 1) * epochs // steps} of {epochs}, loss {loss:.3f}"
            progress.start()
            progress.update(task, total=steps, completed=step, description=text)

        trained = train(network, training, source.identity, epochs, seed, report)
    quantised = quantise(trained, balanced(training).images)
    trained.save(float_file)
    float_accuracy = float((trained.logits(test.images).argmax(axis=1) == test.labels).mean())
    record = _saved(quantised, {}, training, test, epochs, seed, out)
    return {**record, "float_network": str(float_file), "float_accuracy": float_accuracy}


def _fine_tuned(
    table: ProductTable,
    layers: str | None,
    start: Path | None,
    noise: bool,
    source: DataSource,
    training: DataSet,
    recipe: Recipe,
    checkpoint: Path | None,
    out: Path,
) -> dict[str, Any]:
    network = float_network() if start is None else load_network(start)
    network.network.check_images(source.test)
    tables = dict.fromkeys(chosen_layers(layers, network.layer_names, network.convolutions), table)
    if (note := other_data(network.network, source)) is not None:
        click.echo(f"amhw: note: {note}", err=True)
    with _progress() as (progress, task):
        best = ""

        def report(step: Step) -> None:
            nonlocal best
            progress.start()
            if step.accuracy is not None:
                best = f", {100 * step.accuracy:.2f} % of held-out training images"
                progress.console.print(f"epoch {step.epoch} of {recipe.epochs}: loss {step.loss:.3f}{best}")
            text = f"epoch {step.epoch} of {recipe.epochs}, loss {step.loss:.3f}{best}"
            progress.update(task, total=step.steps, completed=step.step, description=text)

        if noise:
            measured = measured_noise(network_for(table, tables), tables, balanced(training, 20).images)
            tuned = fine_tune(network, {}, training, recipe, checkpoint=checkpoint, noise=measured, report=report)
        else:
            # The shipped network teaches what it was trained on; a float network that is given teaches itself.
            own = isinstance(network, QuantisedNetwork) and network.network == float_network().network
            teacher = float_network() if own and note is None else None
            tuned = fine_tune(network, tables, training, recipe, teacher=teacher, checkpoint=checkpoint, report=report)
    tuned = replace(tuned, network=tuned.network.on(source.identity))
    record = _saved(tuned, tables, training, source.test, recipe.epochs, recipe.seed, out)
    return {**record, "multiplier": table.name, "table_sha256": table.sha256, "layers": list(tables), "noise": noise}


def _saved(
    network: QuantisedNetwork,
    tables: Mapping[str, ProductTable],
    training: DataSet,
    test: DataSet,
    epochs: int,
    seed: int,
    out: Path,
) -> dict[str, Any]:
    network.save(out)
    return {
        "network": str(out),
        "network_sha256": network.sha256,
        "operands": network.layers[0].operands.name,
        "trained_on": None if network.network.trained_on is None else vars(network.network.trained_on),
        "training_sha256": training.sha256,
        "test_sha256": test.sha256,
        "epochs": epochs,
        "seed": seed,
        "accuracy": float(Inference(network, tables).correct(test).mean()),
        "images": len(test),
    }


@contextmanager
def _progress() -> Iterator[tuple[Progress, TaskID]]:
    """To be started with the first step: a refusal before it stands alone."""
    columns = (TextColumn("training"), BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    progress = Progress(*columns, console=Console(stderr=True))
    try:
        yield progress, progress.add_task("", total=None)
    finally:
        if progress.live.is_started:
            progress.stop()


def _check_writable(folder: Path) -> None:
    """Better now than after a minute of training."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Refusal(f"cannot write {folder}: {error.strerror or error}") from error
    if not os.access(folder, os.W_OK):
        raise Refusal(f"cannot write {folder}: permission denied")
