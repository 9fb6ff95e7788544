"""``python -m amhw.train``: LeNet-5 from scratch, in floating point and quantised."""

import os
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from amhw.command import Command, print_json
from amhw.lenet.data import balanced, test_set, training_set
from amhw.lenet.inference import Inference
from amhw.lenet.quantise import quantise
from amhw.lenet.training import EPOCHS, train
from amhw.refusal import Refusal


@click.command(
    cls=Command,
    epilog="Example: amhw train --data-dir fashion-mnist --epochs 20 --out fashion.npz",
)
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder with IDX files; default: MNIST.")
@click.option("--epochs", type=click.IntRange(min=1), default=EPOCHS, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The quantised network (u8s8); the float one goes beside it as STEM-float.npz.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(data_dir: Path | None, epochs: int, seed: int, out: Path, as_json: bool) -> None:
    """Train LeNet-5 on the full training set, quantise it, report both accuracies on the test set.

    The training set comes from --data-dir, else from the user's cache, else it is downloaded. The same seed,
    data, thread count and torch give the same network. Calibration sees training images only.
    """
    float_file = out.with_name(f"{out.stem}-float{out.suffix}")
    training, test = training_set(data_dir), test_set(data_dir)
    _check_writable(out.parent)
    columns = (TextColumn("training"), BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=None)

        def report(step: int, steps: int, loss: float) -> None:
            text = f"epoch {1 + (step - 1) * epochs // steps} of {epochs}, loss {loss:.3f}"
            progress.update(task, completed=step, total=steps, description=text)

        trained = train(training, epochs, seed, report)
    quantised = quantise(trained, balanced(training).images)
    trained.save(float_file)
    quantised.save(out)

    float_accuracy = float((trained.logits(test.images).argmax(axis=1) == test.labels).mean())
    accuracy = float(Inference(quantised).correct(test).mean())
    if as_json:
        print_json(
            {
                "network": str(out),
                "float_network": str(float_file),
                "network_sha256": quantised.sha256,
                "training_sha256": training.sha256,
                "test_sha256": test.sha256,
                "epochs": epochs,
                "seed": seed,
                "float_accuracy": float_accuracy,
                "accuracy": accuracy,
                "images": len(test),
            }
        )
        return
    click.echo(f"float  {100 * float_accuracy:.2f} % of {len(test)} test images  {float_file}")
    click.echo(f"u8s8   {100 * accuracy:.2f} %  {out}")


def _check_writable(folder: Path) -> None:
    """Better now than after a minute of training."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Refusal(f"cannot write {folder}: {error.strerror or error}") from error
    if not os.access(folder, os.W_OK):
        raise Refusal(f"cannot write {folder}: permission denied")


if __name__ == "__main__":
    command(prog_name="amhw train")
