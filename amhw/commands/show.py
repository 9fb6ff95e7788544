"""The command that draws a multiplier: its dot diagram, and the stages that add the dots up."""

from pathlib import Path

import click

from amhw.commands.base import Command
from amhw.diagram import picture, stages
from amhw.files import write_atomically
from amhw.verilog import Design


@click.command(cls=Command, epilog="Example: amhw show mul_u8s8_pp_0_0_0_0_0_c0_e0_e0 --svg dots.svg")
@click.argument("name")
@click.option("--svg", type=click.Path(path_type=Path), help="Write the picture here instead of printing text.")
def command(name: str, svg: Path | None) -> None:
    """Draw the dot diagram of the multiplier NAME and the heights of its columns after each stage of the tree."""
    design = Design.parse(name)
    if svg is not None:
        click.echo(write_atomically(svg, picture(design)))
        return
    click.echo(f"{design.name}\n{design.multiplier.equation}\n\n{design.multiplier.diagram()}")
    for number, heights in enumerate(stages(design)):
        row = " ".join(f"{height:2}" if height else " ." for height in reversed(heights))
        click.echo(f"{'heap' if number == 0 else f'stage {number}':8} {row}")
