"""What every subcommand shares: refusals on one line, exit statuses, JSON on standard output.

Exit status 0 means done, 1 that a check found a difference, 2 that the input cannot be used,
130 that the user interrupted.
"""

import json
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from amhw.refusal import Refusal


class _OneLineErrors:
    """Mix-in for click commands: every refusal is one line on standard error and exit status 2."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, False, **extra)  # type: ignore[misc]
        try:
            status = super().main(args, prog_name, complete_var, False, **extra)  # type: ignore[misc]
        except (click.exceptions.Abort, KeyboardInterrupt):
            _leave("interrupted; finished results are kept", 130)
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message())
            sys.exit(2)
        except click.ClickException as error:
            _leave(f"error: {' '.join(error.format_message().split())}", 2)
        except Refusal as refusal:
            _leave(f"error: {' '.join(str(refusal).split())}", 2)
        except BrokenPipeError:
            sys.stderr.close()
            sys.exit(0)
        sys.exit(status if isinstance(status, int) else 0)


class Command(_OneLineErrors, click.Command):
    """A click command whose refusals are one line on standard error and exit status 2."""


class Group(_OneLineErrors, click.Group):
    """A click group with the same behaviour."""

    command_class = Command


def print_json(record: dict[str, Any]) -> None:
    """Print one JSON object on standard output, and nothing else there."""
    click.echo(json.dumps(record, indent=2))


def _leave(message: str, status: int) -> NoReturn:
    click.echo(f"amhw: {message}", err=True)
    sys.exit(status)
