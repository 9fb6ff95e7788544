"""The command `amhw families`."""

import click

from amhw.commands import shared
from amhw.commands.base import Command, print_json
from amhw.families.overview import overview


@click.command(cls=Command, epilog="Example: amhw families --signed b")
@shared.width(default=8, show_default=True)
@shared.signed(default="none", show_default=True)
@shared.json()
def command(width: int, signed: str, as_json: bool) -> None:
    """List the multiplier families: parameters, one line, and names that other commands take.

    The names are those of multipliers with operands of --width bits, 6 to 16; with --signed they show how
    SignMagnitude wraps an unsigned family.

    Every command that takes a multiplier takes these names. Bfloat16 has none: its operands are not integers, so that
    it has no product table (see docs/families.md).
    """
    records = overview(width, signed)
    if as_json:
        print_json({"families": records})
        return
    for record in records:
        click.echo(f"{record['family']}({', '.join(record['parameters'])})\n    {record['summary']}")
        for example in record["examples"]:
            click.echo(f"    {example['name']}  ({example['title']})")
