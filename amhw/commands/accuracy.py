"""The command `amhw accuracy`: a network's accuracy with a multiplier, or any product table, in some of its layers."""

from pathlib import Path

import click

from amhw.commands import shared
from amhw.commands.base import Command, print_json, print_note
from amhw.commands.options import reading_options, stated_tables
from amhw.commands.progress import progress
from amhw.imports.source import UNSAID, Reading
from amhw.refusal import Refusal


@click.command(cls=Command, epilog="Example: amhw accuracy mul_u8s8_pp_0_0_0_0_0_c0_e0_e0 --layers conv1,conv2")
@shared.multiplier(required=False, old=("--table",))
@reading_options
@shared.layers()
@shared.network()
@shared.data()
@shared.images()
@shared.json()
def command(
    multiplier: str | None,
    reading: Reading,
    layers: str | None,
    network: Path | None,
    data: Path | None,
    images: str,
    as_json: bool,
) -> None:
    """Classify the test images in integers, with a multiplier in some layers and exact products in the others.

    The multiplier has a NAME, or comes from a FILE: a manifest, or a table or Verilog, read as amhw import does.
    It serves the layers of --layers, all convolutions if none are named. Operand a is the activation, b the weight.
    The shipped LeNet-5 takes the multiplier's operand widths, 2 to 8 bits each, in those layers; the others stay
    unsigned × signed 8 bits. A network file that amhw select wrote says which multiplier each layer was made for:
    those are used unless others are given, and others are refused.
    """
    # These need torch, which a help text does not wait for.
    from amhw.datasets import data_source
    from amhw.network.quantised import QuantisedNetwork
    from amhw.network.trained_on import Meeting
    from amhw.scoring import measure_tables, tables_made_for

    source = data_source(data)
    test = source.test
    part = test.part(images)
    if len(part) < len(test):
        test = test.taken(slice(part.start, part.stop), f"{test.name}[{part.start or ''}:{part.stop}]")
    chosen = None if network is None else QuantisedNetwork.load(network)
    if chosen is not None and (multiplier, layers, reading) == (None, None, UNSAID):
        tables = tables_made_for(chosen)
    elif multiplier is None:
        raise Refusal(shared.NO_MULTIPLIER)
    else:
        chosen, tables = stated_tables(multiplier, reading, layers, chosen)
    chosen.network.check_images(test)
    meeting = Meeting(chosen.network, source)
    print_note(meeting.note)
    click.echo(f"network: {chosen.name} ({network or 'shipped'}); images: {test.name}", err=True)
    with progress("classifying", len(test)) as work:
        result = measure_tables(tables, chosen, test, work.advance)
    if as_json:
        print_json({**result.record(), **meeting.record()})
    else:
        click.echo(
            f"{100 * result.accuracy:.2f} % ({result.correct} of {result.images} images) with {result.multiplier} "
            f"in {', '.join(result.layers)}"
        )
