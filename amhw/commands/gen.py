"""The command that turns a partial-product mask, or any multiplier's name, into Verilog."""

from pathlib import Path

import click

from amhw.bitheap import ADDERS, TREES
from amhw.commands import shared
from amhw.commands.base import Command, print_json, print_next, refuse_without_effect
from amhw.families import Masked
from amhw.imports.designs import design_of
from amhw.multiplier import SIGNEDNESS
from amhw.refusal import Refusal
from amhw.verilog import Design


@click.command(
    cls=Command,
    epilog="Example: amhw gen --width 8 --signed b --pp-mask 0,0,0,0,0,c0,e0,e0 --out rtl_out",
)
@shared.multiplier(required=False)
@shared.width()
@click.option("--width-a", type=int, metavar="N", help="Bits of operand a.")
@click.option("--width-b", type=int, metavar="N", help="Bits of operand b.")
@click.option(
    "--pp-mask",
    metavar="MASK",
    help="Which partial products to keep: a hex row for each bit of a, from a_0 up, separated by commas (bit j of "
    "row i keeps a_i·b_j); one 0x… number (bit i·width_b+j); full; columns>=K (keep i+j ≥ K); @FILE. "
    "Without a mask the multiplier is exact.",
)
@shared.signed(show_default="none")
@click.option("--tree", type=click.Choice(TREES), help="How the partial products are reduced. [default: dadda]")
@click.option("--adder", type=click.Choice(ADDERS), help="The final carry-propagate adder. [default: auto]")
@shared.name()
@shared.out(default=Path("rtl_out"))
@shared.show()
@shared.json()
def command(
    multiplier: str | None,
    width: int | None,
    width_a: int | None,
    width_b: int | None,
    pp_mask: str | None,
    signed: str | None,
    tree: str | None,
    adder: str | None,
    name: str | None,
    out: Path,
    show: bool,
    as_json: bool,
) -> None:
    """Generate a multiplier: Verilog and a manifest that says what it is.

    Operands have 2 to 32 bits; --pp-mask says which partial products are kept. Or NAME says it all, or a FILE that
    amhw gen wrote.
    """
    if multiplier is not None:
        refuse_without_effect(["width", "width_a", "width_b", "signed", "pp_mask"], f"{multiplier} says it all")
        named = design_of(multiplier)
        design = Design(named.multiplier, tree or named.tree, adder or named.adder)
    else:
        bits_a, bits_b = _widths(width, width_a, width_b)
        signed_a, signed_b = SIGNEDNESS[signed or "none"]
        mask = "full" if pp_mask is None else pp_mask
        masked = Masked.from_text(mask, bits_a, bits_b, signed_a=signed_a, signed_b=signed_b)
        design = Design(masked, tree or TREES[0], adder or ADDERS[0])
    if show:
        refuse_without_effect(["out"], "--show writes nothing")
        diagram = design.multiplier.diagram()
        if as_json:
            print_json({"name": name or design.name, "diagram": diagram})
        else:
            click.echo(diagram, nl=False)
        return
    verilog, manifest = design.write(out, name)
    if as_json:
        print_json({"name": name or design.name, "verilog": str(verilog), "manifest": str(manifest)})
        return
    click.echo(f"{verilog}\n{manifest}")
    print_next("sim", manifest)


def _widths(width: int | None, width_a: int | None, width_b: int | None) -> tuple[int, int]:
    if width is not None:
        if width_a is not None or width_b is not None:
            raise Refusal("give --width, or --width-a and --width-b, not both")
        return width, width
    if width_a is None or width_b is None:
        raise Refusal("how wide? give --width N, or --width-a and --width-b (2 to 32 bits)")
    return width_a, width_b
