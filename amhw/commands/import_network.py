"""The command `amhw import-network`: an ONNX file, or a torch module, as a network file."""

from pathlib import Path

import click

from amhw.commands import shared
from amhw.commands.base import Command, print_json, print_next, print_note
from amhw.commands.progress import progress
from amhw.files import check_writable
from amhw.refusal import Refusal


@click.command(cls=Command, epilog="Example: amhw import-network net.onnx --data images.npz --out net.npz")
@click.argument("model", metavar="MODEL")
@shared.data()
@click.option(
    "--mean", metavar="NUMBERS", default="0", show_default=True, help="The model takes (pixel / 255 - mean) / std:"
)
@click.option(
    "--std", metavar="NUMBERS", default="1", show_default=True, help="one number or, with commas, one a channel."
)
@shared.out(required=True)
@shared.json()
def command(model: str, data: Path | None, mean: str, std: str, out: Path, as_json: bool) -> None:
    """Make a network file of an ONNX file, or of the torch module that MODULE:FUNCTION makes; report the test accuracy.

    MODEL is FILE.onnx, float or quantised with QuantizeLinear and DequantizeLinear, whose integers are kept where they
    are of our kind; or MODULE:FUNCTION, which is imported from this folder and called: that runs your Python.
    A float model is quantised on training images of --data. --out is the file of the quantised network, which other
    commands take as --network; the float one, for amhw train, goes beside it as STEM-float.npz.

    What has no layer here is refused by the name of its node.
    """
    # These need torch, which a help text does not wait for.
    from amhw.datasets import data_source
    from amhw.interchange.imported import Normalisation, import_network

    normalisation = Normalisation(_numbers("mean", mean), _numbers("std", std))
    check_writable(out, model)
    check_writable(out.with_name(f"{out.stem}-float{out.suffix}"), model)
    source = data_source(data)
    with progress(f"reading {model}"):
        imported = import_network(model, source, out, normalisation)
    for note in imported.notes:
        print_note(note)
    if as_json:
        print_json(imported.record())
        return
    click.echo(imported.summary())
    print_next("accuracy", "--network", out, *([] if data is None else ["--data", data]))


def _numbers(option: str, said: str) -> tuple[float, ...]:
    try:
        return tuple(float(each) for each in said.split(","))
    except ValueError:
        raise Refusal(f"--{option} {said!r}; wanted numbers with commas between them, such as 0.49,0.48,0.45") from None
