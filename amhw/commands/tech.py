"""The command `amhw tech`: which technologies there are, what is in one, and new ones from Liberty files."""

import fnmatch
from collections import Counter
from pathlib import Path

import click

from amhw.commands import shared
from amhw.commands.base import Group, print_json, print_next, print_note
from amhw.refusal import Refusal
from amhw.synth.liberty import read_library
from amhw.synth.store import DamagedTechnologyError, keep, known, technology_named
from amhw.synth.technology import Technology, technologies, technology_label


@click.group(cls=Group, epilog="Example: amhw tech import NangateOpenCellLibrary_typical.lib --name nangate45")
def command() -> None:
    """Technologies: the cell libraries in which area, delay and energy are measured."""


@command.command("list", epilog="Example: amhw tech list")
@shared.json()
def list_command(as_json: bool) -> None:
    """The technologies that --tech knows."""
    found = known()
    usable = {
        name: technology for name, technology in found.items() if not isinstance(technology, DamagedTechnologyError)
    }
    for damage in found.values():
        if isinstance(damage, DamagedTechnologyError):
            print_note(str(damage))
    if as_json:
        print_json({name: _record(technology) for name, technology in usable.items()})
        return
    for name, technology in usable.items():
        kind = "shipped" if name in technologies() else "imported"
        click.echo(f"{name:20s} {kind:9s} {len(technology.library.cells):4d} cells   {technology.source}")


@command.command("show", epilog="Example: amhw tech show sky130hd")
@click.argument("given", metavar="NAME|FILE")
@shared.json()
def show_command(given: str, as_json: bool) -> None:
    """What the technology NAME, or that of the Liberty file FILE, is made of."""
    technology = technology_named(given)
    record = _record(technology)
    if as_json:
        print_json(record)
        return
    registers = f"{record['flip_flops']}" if record["flip_flops"] else "none: combinational designs only"
    adders = ", ".join(technology.adders) or "none"
    click.echo(
        f"{technology.name}: {technology.source}, {record['voltage']:g} V\n"
        f"inputs from {technology.driving_cell}, outputs drive {technology.load:g} fF; no wires\n"
        f"two-input NAND {technology.nand2_area:g} µm²; flip-flops {registers}; adder cells {adders}\n"
        f"SHA-256 {technology.sha256}"
    )
    for cell in technology.library.cells.values():
        functions = "  ".join(f"{output.name}={output.function}" for output in cell.outputs)
        click.echo(f"  {cell.area:9.4f} µm²  {cell.name}  {functions}")


@command.command("import", epilog="Example: amhw tech import asap7_invbuf.lib.gz asap7_simple.lib.gz --name asap7")
@click.argument("liberty", metavar="LIBERTY...", nargs=-1, required=True, type=click.Path(path_type=Path))
@shared.name()
@click.option(
    "--without",
    metavar="PATTERN",
    multiple=True,
    help="Leave out cells with such names ('*xp*'), those that a flow does not use; may be given several times.",
)
@shared.json()
def import_command(liberty: tuple[Path, ...], name: str | None, without: tuple[str, ...], as_json: bool) -> None:
    """Make a technology from a Liberty file (plain or gzip), or from the several files that it comes in.

    It is called as the file is, unless --name says otherwise, which several files need. It is kept in the folder that
    AMHW_TECH_DIR names, or in the user's data folder, for --tech of every command.
    """
    if name is None and len(liberty) > 1:
        raise Refusal("what is the technology of these files called? say so with --name")
    chosen = name or technology_label(liberty[0])
    source = ", ".join(path.name for path in liberty)
    library = read_library(*liberty)
    for pattern in without:
        if not any(fnmatch.fnmatchcase(cell, pattern) for cell in library.cells):
            some = ", ".join([*library.cells][:3])
            raise Refusal(f"--without {pattern!r}: no cell has such a name; names are like {some}")
    left_out = {cell for cell in library.cells for pattern in without if fnmatch.fnmatchcase(cell, pattern)}
    if left_out >= library.cells.keys():
        raise Refusal(f"--without {' '.join(map(repr, without))} leaves no cell of {source}")
    library = library.restricted_to(library.cells.keys() - left_out)
    source += "".join(f", without {pattern}" for pattern in without)
    path = keep(chosen, library, source)
    cells, registers = len(library.cells), sum(cell.flip_flop is not None for cell in library.cells.values())
    if as_json:
        print_json({"name": chosen, "cells": cells, "flip_flops": registers, "file": str(path)})
    else:
        click.echo(f"{chosen}: {cells} cells\n{path}")
    if not registers:
        click.echo(f"{source} has no flip-flops: only combinational designs can be synthesised", err=True)
    if not as_json:
        print_next("tech", "show", chosen)


def _record(technology: Technology) -> dict[str, object]:
    cells = technology.library.cells.values()
    return {
        "name": technology.name,
        "source": technology.source,
        "sha256": technology.sha256,
        "voltage": technology.library.voltage,
        "driving_cell": technology.driving_cell,
        "load_ff": technology.load,
        "nand2_um2": technology.nand2_area,
        "flip_flops": sum(cell.flip_flop is not None for cell in cells),
        "adders": list(technology.adders),
        "cells": {cell.name: cell.area for cell in cells},
        "inputs": {str(k): v for k, v in sorted(Counter(len(cell.inputs) for cell in cells).items())},
    }
