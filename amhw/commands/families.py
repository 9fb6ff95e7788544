"""The command `amhw families`."""

import inspect
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

import click

from amhw.commands.base import Command, print_json
from amhw.families.bfloat16 import Bfloat16
from amhw.families.catalogue import CATALOGUE, Entry
from amhw.families.masked import Masked
from amhw.families.sign_magnitude import SignMagnitude
from amhw.multiplier import SIGNEDNESS, Multiplier

_OPERANDS = {"width_a", "width_b", "signed_a", "signed_b"}


@click.command(
    cls=Command,
    epilog="Example: amhw families --signed b",
)
@click.option("--width", type=int, default=8, show_default=True, help="Operand bits of the examples, 6 to 16.")
@click.option(
    "--signed",
    type=click.Choice(list(SIGNEDNESS)),
    default="none",
    show_default=True,
    help="Two's-complement operands of the examples.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(width: int, signed: str, as_json: bool) -> None:
    """List the multiplier families: parameters, one line, and names that other commands take.

    With --signed the names show how SignMagnitude wraps an unsigned family.

    Every name goes into amhw gen --multiplier, amhw errors, amhw export, amhw accuracy and amhw study. Bfloat16
    has no names: its operands are not integers, so that it has no product table (see docs/families.md).
    """
    if not 6 <= width <= 16:
        raise click.BadParameter("choose 6 to 16", param_hint="--width")
    signed_a, signed_b = SIGNEDNESS[signed]
    operands = {"width_a": width, "width_b": width, "signed_a": signed_a, "signed_b": signed_b}
    groups: dict[Any, list[Entry]] = {}  # by family; the last two multiply with any of the others
    for entry in CATALOGUE:
        groups.setdefault(entry.family, []).append(entry)
    groups |= {SignMagnitude: [], Bfloat16: []}
    records = [
        {
            "family": family.__name__,
            "keyword": getattr(family, "keyword", None if is_dataclass(family) else Masked.keyword),
            "parameters": _parameters(family),
            "summary": _summary(family),
            "examples": _examples(entries, operands),
        }
        for family, entries in groups.items()
    ]
    if as_json:
        print_json({"families": records})
        return
    for record in records:
        click.echo(f"{record['family']}({', '.join(record['parameters'])})\n    {record['summary']}")
        for example in record["examples"]:
            click.echo(f"    {example['name']}  ({example['title']})")


def _examples(entries: list[Entry], operands: dict[str, Any]) -> list[dict[str, str]]:
    """Title and name of each entry; one name once, though several entries may come to the same without signs."""
    named: dict[str, str] = {}
    for entry in entries:
        named.setdefault(entry.make(**operands).name, entry.title)
    return [{"title": title, "name": name} for name, title in named.items()]


def _parameters(family: Any) -> list[str]:
    """A family's own fields or arguments, with defaults; operand widths and signs belong to all."""
    if is_dataclass(family):
        own = [field for field in fields(family) if field.name not in _OPERANDS]
        return [f.name if f.default is MISSING else f"{f.name}={f.default}" for f in own]
    named = inspect.signature(family).parameters.values()
    return [p.name if p.default is p.empty else f"{p.name}={p.default}" for p in named if p.name not in _OPERANDS]


def _summary(family: type[Multiplier]) -> str:
    """The first sentence of the docstring."""
    return " ".join((inspect.getdoc(family) or "").split("\n\n")[0].split())
