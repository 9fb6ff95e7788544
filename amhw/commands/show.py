"""The command that draws a multiplier: its dot diagram, and the stages that add the dots up."""

from pathlib import Path

import click

from amhw.commands import shared
from amhw.commands.base import Command, print_json
from amhw.diagram import picture, stages
from amhw.files import write_atomically
from amhw.imports.designs import design_of
from amhw.refusal import Refusal


@click.command(cls=Command, epilog="Example: amhw show mul_u8s8_pp_0_0_0_0_0_c0_e0_e0 --svg dots.svg")
@shared.multiplier()
@click.option(
    "--svg", type=click.Path(path_type=Path), metavar="FILE", help="Write the picture here instead of printing text."
)
@shared.json()
def command(multiplier: str, svg: Path | None, as_json: bool) -> None:
    """Draw a multiplier's dot diagram and the heights of its columns after each stage of the tree.

    The multiplier is given by its NAME, or by a FILE that amhw gen wrote.
    """
    design = design_of(multiplier)
    if svg is not None and svg.suffix != ".svg":
        raise Refusal(f"{svg}: the picture is SVG; give it a name that ends in .svg")
    if svg is not None:
        write_atomically(svg, picture(design))
    if as_json:
        print_json(
            {
                "name": design.name,
                "equation": design.multiplier.equation,
                "diagram": design.multiplier.diagram(),
                "heights": stages(design),
                "svg": None if svg is None else str(svg),
            }
        )
        return
    if svg is not None:
        click.echo(str(svg))
        return
    click.echo(f"{design.name}\n{design.multiplier.equation}\n\n{design.multiplier.diagram()}")
    for number, heights in enumerate(stages(design)):
        row = " ".join(f"{height:2}" if height else " ." for height in reversed(heights))
        click.echo(f"{'heap' if number == 0 else f'stage {number}':8} {row}")
