"""The command `amhw classify`."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from numpy.typing import NDArray

from amhw.commands import shared
from amhw.commands.base import Command, print_json
from amhw.commands.progress import Progress, progress
from amhw.refusal import Refusal

if TYPE_CHECKING:
    from amhw.fpga.host import Link
    from amhw.fpga.report import FpgaManifest
    from amhw.manifests import NetworkEngineManifest

Answer = tuple[NDArray[np.int32], int]
"""Logits and class of an image."""


@dataclass(frozen=True)
class Named:
    """An image, what it is called, and its label where it has one."""

    name: str
    pixels: NDArray[np.uint8]
    label: int | None = None


@click.command(cls=Command, epilog="Example: amhw classify build/NAME.json digit.png --port /dev/ttyUSB0")
@click.argument("manifest", type=click.Path(path_type=Path), metavar="FILE")
@click.argument("pictures", type=click.Path(path_type=Path), nargs=-1, metavar="[PNG]...")
@shared.images(default=None)
@click.option("--port", type=click.Path(path_type=Path), metavar="PATH", help="The board's. [default: a simulation]")
@shared.json()
def command(manifest: Path, pictures: tuple[Path, ...], images: str | None, port: Path | None, as_json: bool) -> None:
    """Classes of images, by a network in hardware: on its board, or in a simulation of the same Verilog.

    FILE is the manifest that amhw fpga or amhw array --whole wrote. Images are PNG files, or with --images those of
    the data set that the network was trained on. Each goes pixel by pixel into Verilator's model of the engine; that of
    amhw fpga gets them bit by bit over its serial line, as the board at --port does. The Verilog is made again from the
    network beside FILE, and has to be what FILE says.
    """
    from amhw.documents import Header, one_of
    from amhw.files import read_whole
    from amhw.fpga.report import FpgaManifest
    from amhw.manifests import NetworkEngineManifest

    kinds: tuple[type[FpgaManifest] | type[NetworkEngineManifest], ...] = (FpgaManifest, NetworkEngineManifest)
    kind = one_of(kinds, Header.of(read_whole(manifest)), manifest, "manifest", "amhw fpga or amhw array --whole")
    described = kind.read(manifest)
    if port is not None and isinstance(described, NetworkEngineManifest):
        raise Refusal(f"--port {port}: {manifest} is of amhw array, which makes no bitstream; give that of amhw fpga")
    shown = _shown(manifest, described, pictures, images)
    with progress("opening the port" if port else "building the model") as work:
        if isinstance(described, NetworkEngineManifest):
            answers = _by_engine(manifest, shown, work)
        else:
            answers = _over_the_line(manifest, described, port, shown, work)
    if as_json:
        found: list[dict[str, Any]] = [
            {"file": one.name, "class": number, "logits": logits.tolist()}
            | ({} if one.label is None else {"label": one.label})
            for one, (logits, number) in zip(shown, answers, strict=True)
        ]
        print_json({"name": described.name, "simulated": port is None, "images": found})
        return
    for one, (_, number) in zip(shown, answers, strict=True):
        click.echo(f"{one.name}: {number}" + ("" if one.label is None else f", labelled {one.label}"))


def _shown(
    manifest: Path,
    described: "FpgaManifest | NetworkEngineManifest",
    pictures: Sequence[Path],
    images: str | None,
) -> list[Named]:
    """What is to be classified.

    Raises:
        Refusal: nothing, or images of another shape than the network takes.
    """
    from amhw.datasets.folders import picture
    from amhw.fpga.host import check_image
    from amhw.network.quantised import QuantisedNetwork
    from amhw.network.trained_on import own_data

    if bool(pictures) == (images is not None):
        raise Refusal("give PNG files, or with --images those of the network's data set")
    if images is None:
        shown = [Named(str(file), picture(file)) for file in pictures]
    else:
        test = own_data(QuantisedNetwork.load(manifest.with_name(described.network)).network).test
        shown = [Named(f"image {k}", test.images[k], int(test.labels[k])) for k in test.part(images)]
    for one in shown:
        check_image(one.pixels, described.input_shape, one.name)
    return shown


def _by_engine(manifest: Path, shown: Sequence[Named], work: Progress) -> list[Answer]:
    """By the compiled model of an engine with AXI4-Streams."""
    from amhw.array.compiled import build, run_network
    from amhw.array.designs import scheduled
    from amhw.manifests import NetworkEngineManifest
    from amhw.network.quantised import QuantisedNetwork
    from amhw.regenerated import regenerated
    from amhw.simulation import bench_folder, simulator_environment

    with (
        regenerated(manifest) as again,
        tempfile.TemporaryDirectory(prefix="amhw-classify-") as folder,
        simulator_environment(),
    ):
        described = NetworkEngineManifest.read(again)
        schedule = scheduled(described, QuantisedNetwork.load(again.with_name(described.network)))
        program = build(again.with_suffix(".v"), bench_folder() / "network_harness.cpp", Path(folder))
        work.update(f"sending {len(shown)} images")
        found = run_network(program, schedule, np.stack([one.pixels for one in shown]))
    return [(logits, int(number)) for logits, number in zip(found.logits, found.classes, strict=True)]


def _over_the_line(
    manifest: Path, described: "FpgaManifest", port: Path | None, shown: Sequence[Named], work: Progress
) -> list[Answer]:
    """Over the serial line of a board, or of its compiled model."""
    from amhw.fpga.host import answer

    found: list[Answer] = []
    with _link(manifest, described, port) as link:
        link.reset()
        for one in shown:
            work.update(f"sending {one.name}", len(found), len(shown))
            found.append(answer(link, one.pixels, described.classes))
    return found


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
