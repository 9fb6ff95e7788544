"""The command `amhw train`: a network from scratch, or fine-tuned through a multiplier."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from amhw.commands import shared
from amhw.commands.base import Command, print_json, print_next, refuse_without_effect
from amhw.commands.options import reading_options, stated_table
from amhw.commands.progress import progress
from amhw.files import check_writable
from amhw.imports.source import UNSAID, Reading
from amhw.refusal import Refusal

if TYPE_CHECKING:
    from amhw.datasets import DataSet, DataSource
    from amhw.network.network import Network
    from amhw.nn.finetune import TrainingProgress
    from amhw.nn.runs import FineTuned, FromScratch
    from amhw.table import ProductTable


@click.command(cls=Command, epilog="Example: amhw train mul_u8s8_pp_0_0_0_0_0_0_c0_c0 --out four.npz")
@shared.multiplier(required=False)
@reading_options
@click.option("--model", metavar="NAME", help="From scratch: which network. [default: lenet5]")
@click.option(
    "--activation",
    type=click.Choice(["relu", "abs"]),
    help="From scratch: what follows each layer but the last, max(x, 0) or |x|. [default: relu]",
)
@shared.layers()
@shared.network()
@click.option("--noise", is_flag=True, help="Train on exact products with noise like the multiplier's error.")
@shared.data()
@click.option("--slice", "packaged", is_flag=True, help="Train on the packaged 5,000 images: nothing to download.")
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Passes over the training images. [default: 20; fine-tuning: 8]",
)
@shared.seed(default=0)
@click.option(
    "--patience",
    type=click.IntRange(min=1),
    metavar="N",
    help="Fine-tuning: stop after so many epochs without a better one.",
)
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Fine-tuning: saved after every epoch; continues from it if it is there.",
)
@shared.out(required=True)
@shared.json()
def command(
    multiplier: str | None,
    reading: Reading,
    model: str | None,
    activation: str | None,
    layers: str | None,
    network: Path | None,
    noise: bool,
    data: Path | None,
    packaged: bool,
    epochs: int | None,
    seed: int,
    patience: int | None,
    checkpoint: Path | None,
    out: Path,
    as_json: bool,
) -> None:
    """Train a network from scratch and quantise it, or fine-tune one through a multiplier; report the test accuracy.

    It is fine-tuned if a multiplier is given: its NAME, or a FILE (a manifest, or a table or Verilog, read as amhw
    import does). Fine-tuning starts from the float or quantised network in --network and puts the multiplier into
    --layers, all convolutions if none are named.

    --out is the file of the quantised network; from scratch, the float one goes beside it as STEM-float.npz. The
    training set comes from --data, else from the user's cache, else it is downloaded, or --slice is used. The same
    seed, data, thread count and torch give the same network. Calibration and the choice of the best epoch see training
    images only.
    """
    if multiplier is None:
        of_tuning = ("layers", "network", "noise", "patience", "checkpoint")
        refuse_without_effect(of_tuning, "that is for fine-tuning; or give a multiplier, NAME|FILE, too")
        if reading != UNSAID:
            raise Refusal(shared.NO_MULTIPLIER)
    else:
        refuse_without_effect(
            ["model", "activation"], "that is for training from scratch; fine-tuning starts from --network FILE"
        )
    if packaged and data is not None:
        raise Refusal("give either --data or --slice")
    read = [Path(name) for name in (multiplier, network) if name is not None]
    for path in (out, checkpoint):  # better now than after a minute of training
        if path is not None:
            check_writable(path, *read)
    # These need torch, which a help text does not wait for.
    from amhw.datasets import data_source
    from amhw.network.inference import UNSIGNED_WEIGHTS

    table = None if multiplier is None else stated_table(multiplier, reading)
    if table is not None and not table.signed_b:
        raise Refusal(UNSIGNED_WEIGHTS.format(name=table.name))
    source = data_source(data)
    trained: FromScratch | FineTuned
    if table is None:
        trained = _from_scratch(
            model or "lenet5", source, epochs, seed, out, packaged=packaged, absolute=activation == "abs"
        )
    else:
        given = {"epochs": epochs, "patience": patience, "seed": seed}
        stated = {name: value for name, value in given.items() if value is not None}
        trained = _fine_tuned(
            table, layers, network, source, stated, out, packaged=packaged, noise=noise, checkpoint=checkpoint
        )
    if as_json:
        print_json(trained.record())
        return
    click.echo(trained.summary())
    print_next("accuracy", "--network", out, *([] if multiplier is None else [multiplier]))


def _training(network: "Network", source: "DataSource", *, packaged: bool) -> "DataSet":
    """The images to train on; those that do not fit the network are refused before any are downloaded."""
    network.check_images(source.test)
    return source.calibration if packaged else source.training


def _from_scratch(
    model: str, source: "DataSource", epochs: int | None, seed: int, out: Path, *, packaged: bool, absolute: bool
) -> "FromScratch":
    from amhw.network.models import model_named
    from amhw.network.training import EPOCHS
    from amhw.nn.runs import from_scratch

    network = model_named(model).absolute() if absolute else model_named(model)
    training = _training(network, source, packaged=packaged)
    passes = epochs or EPOCHS
    with progress("training") as work:

        def report(step: int, steps: int, loss: float) -> None:
            state = f"epoch {1 + (step - 1) * passes // steps} of {passes}, loss {loss:.3f}"
            work.update(f"training, {state}", step, steps)
            if step % (steps // passes) == 0:
                work.note(state)

        return from_scratch(network, source, training, passes, seed, out, report)


def _fine_tuned(
    table: "ProductTable",
    layers: str | None,
    file: Path | None,
    source: "DataSource",
    stated: dict[str, int],
    out: Path,
    *,
    packaged: bool,
    noise: bool,
    checkpoint: Path | None,
) -> "FineTuned":
    from amhw.network.models.lenet5 import float_network
    from amhw.network.real import load_network
    from amhw.network.trained_on import other_data
    from amhw.nn.finetune import TrainingRecipe
    from amhw.nn.runs import fine_tuned

    start = float_network() if file is None else load_network(file)
    names = shared.chosen_layers(layers, start.layer_names, start.convolutions)
    training = _training(start.network, source, packaged=packaged)
    note = other_data(start.network, source)
    recipe = TrainingRecipe(**stated)
    with progress("training") as work:

        def report(step: "TrainingProgress") -> None:
            nonlocal note
            if note is not None:  # said once training is under way: a refusal before it stands alone
                work.note(f"amhw: note: {note}")
                note = None
            state = f"epoch {step.epoch} of {recipe.epochs}, loss {step.loss:.3f}"
            work.update(f"training, {state}", step.step, step.steps)
            if step.accuracy is not None:
                work.note(f"{state}, {100 * step.accuracy:.2f} % of held-out training images")

        return fine_tuned(
            start, names, table, source, training, recipe, out, noise=noise, checkpoint=checkpoint, report=report
        )
