"""The command `amhw export-network`: a network as an ONNX file."""

from pathlib import Path

import click

from amhw.commands import shared
from amhw.commands.base import Command, print_json
from amhw.files import check_writable


@click.command(cls=Command, epilog="Example: amhw export-network --network net.npz --format onnx --out net.onnx")
@shared.network()
@click.option("--format", "layout", type=click.Choice(["onnx"]), required=True, help="Layout.")
@shared.out(required=True)
@shared.json()
def command(network: Path | None, layout: str, out: Path, as_json: bool) -> None:
    """Write a network in a layout that others run: a quantised one in QDQ form, a float one with its real weights.

    Its input is the image, pixel / 255; its output is a number for each class. Layers that were made for a multiplier
    are refused: ONNX has exact products only.
    """
    check_writable(out, *([] if network is None else [network]))
    # These need torch, which a help text does not wait for.
    from amhw.interchange.onnx_out import write_onnx
    from amhw.network.models.lenet5 import network as shipped
    from amhw.network.real import load_network

    chosen = shipped() if network is None else load_network(network)
    path = write_onnx(chosen, out)
    if as_json:
        print_json({"file": str(path), "format": layout, "network": chosen.name, "network_sha256": chosen.sha256})
    else:
        click.echo(str(path))
