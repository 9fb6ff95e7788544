"""The command `amhw tech`: which technologies there are, what is in one, and new ones from Liberty files."""

from collections import Counter
from pathlib import Path

import click

from amhw.commands import shared
from amhw.commands.base import Group, print_json, print_next
from amhw.synth.liberty import read_library
from amhw.synth.store import imported, keep, named
from amhw.synth.technology import Technology, technologies


@click.group(cls=Group, epilog="Example: amhw tech import NangateOpenCellLibrary_typical.lib --name nangate45")
def command() -> None:
    """Technologies: the cell libraries in which area, delay and energy are measured."""


@command.command("list", epilog="Example: amhw tech list")
@shared.json()
def list_command(as_json: bool) -> None:
    """The technologies that --tech knows."""
    known = {name: named(name) for name in (*technologies(), *imported())}
    if as_json:
        print_json({name: _record(technology) for name, technology in known.items()})
        return
    for name, technology in known.items():
        kind = "shipped" if name in technologies() else "imported"
        click.echo(f"{name:20s} {kind:9s} {len(technology.library.cells):4d} cells   {technology.source}")


@command.command("show", epilog="Example: amhw tech show sky130hd")
@click.argument("name")
@shared.json()
def show_command(name: str, as_json: bool) -> None:
    """What technology NAME is made of."""
    technology = named(name)
    record = _record(technology)
    if as_json:
        print_json(record)
        return
    registers = f"{record['flip_flops']}" if record["flip_flops"] else "none: combinational designs only"
    adders = ", ".join(technology.adders) or "none"
    click.echo(
        f"{name}: {technology.source}, {record['voltage']:g} V\n"
        f"inputs from {technology.driving_cell}, outputs drive {technology.load:g} fF; no wires\n"
        f"two-input NAND {technology.nand2_area:g} µm²; flip-flops {registers}; adders mapped {adders}\n"
        f"SHA-256 {technology.sha256}"
    )
    for cell in technology.library.cells.values():
        functions = "  ".join(f"{output.name}={output.function}" for output in cell.outputs)
        click.echo(f"  {cell.area:9.4f} µm²  {cell.name}  {functions}")


@command.command("import", epilog="Example: amhw tech import asap7sc7p5t.lib.gz --name asap7")
@click.argument("liberty", type=click.Path(path_type=Path))
@shared.name()
@shared.json()
def import_command(liberty: Path, name: str | None, as_json: bool) -> None:
    """Make a technology from the Liberty file LIBERTY (plain or gzip), for --tech of every command.

    It is kept in the folder that AMHW_TECH_DIR names, or in the user's data folder.
    """
    chosen = name or liberty.name.removesuffix(".gz").removesuffix(".lib")
    library = read_library(liberty)
    path = keep(chosen, library, liberty.name)
    cells, registers = len(library.cells), sum(cell.flip_flop is not None for cell in library.cells.values())
    if as_json:
        print_json({"name": chosen, "cells": cells, "flip_flops": registers, "file": str(path)})
    else:
        click.echo(f"{chosen}: {cells} cells\n{path}")
    if not registers:
        click.echo(f"{liberty.name} has no flip-flops: only combinational designs can be synthesised", err=True)
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
