"""The command `amhw classify`."""

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from amhw.commands import shared
from amhw.commands.base import Command, print_json
from amhw.commands.progress import progress

if TYPE_CHECKING:
    from amhw.fpga.host import Link
    from amhw.fpga.report import FpgaManifest


@click.command(cls=Command, epilog="Example: amhw classify build/NAME.json digit.png --port /dev/ttyUSB0")
@click.argument("manifest", type=click.Path(path_type=Path), metavar="FILE")
@click.argument("images", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="PNG...")
@click.option("--port", type=click.Path(path_type=Path), metavar="PATH", help="The board's. [default: a simulation]")
@shared.json()
def command(manifest: Path, images: tuple[Path, ...], port: Path | None, as_json: bool) -> None:
    """Classes of images, by a network on an FPGA: its board, or the same Verilog in a simulator.

    FILE is the manifest that amhw fpga wrote. Each image goes bit by bit over the serial line, to the board at --port
    or into Verilator. The Verilog is made again from the network beside FILE, and has to be what FILE says.
    """
    from amhw.datasets.folders import picture
    from amhw.fpga.host import answer, check_image
    from amhw.fpga.report import FpgaManifest

    described = FpgaManifest.read(manifest)
    pixels = [picture(file) for file in images]
    for file, image in zip(images, pixels, strict=True):
        check_image(image, described.input_shape, file)
    found: list[dict[str, Any]] = []
    with (
        progress("opening the port" if port else "building the model") as work,
        _link(manifest, described, port) as link,
    ):
        link.reset()
        for file, image in zip(images, pixels, strict=True):
            work.update(f"sending {file.name}", len(found), len(images))
            logits, number = answer(link, image, described.classes)
            found.append({"file": str(file), "class": number, "logits": logits.tolist()})
    if as_json:
        print_json({"name": described.name, "simulated": port is None, "images": found})
        return
    for one in found:
        click.echo(f"{one['file']}: {one['class']}")


@contextmanager
def _link(path: Path, manifest: "FpgaManifest", port: Path | None) -> Iterator["Link"]:
    from amhw.fpga.host import SerialPort, simulated
    from amhw.fpga.remade import remade

    if port is not None:
        with closing(SerialPort(port, manifest.baud)) as link:
            yield link
        return
    verilog = remade(path, manifest)
    with (
        tempfile.TemporaryDirectory(prefix="amhw-classify-") as folder,
        simulated(verilog, manifest.name, manifest.divisor, Path(folder)) as model,
    ):
        yield model
