"""What every subcommand is made of: refusals on one line, exit statuses, JSON on standard output.

Exit status 0 means done, 1 that a check found a difference, 2 that the input cannot be used,
130 that the user interrupted.
"""

import copy
import errno
import io
import json
import os
import shlex
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click
from click.core import ParameterSource

from amhw.files import use_temporary_folder, use_writable_cache_folder
from amhw.refusal import Refusal
from amhw.results import Results


class Option(click.Option):
    """An option whose `old` spellings still work, though no help text or message shows them."""

    def __init__(self, declarations: Sequence[str], old: Sequence[str] = (), **attributes: Any) -> None:
        super().__init__([*declarations, *old], **attributes)
        self.old = tuple(old)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        return click.Option.get_help_record(self._as_spelt_today(), ctx)

    def get_error_hint(self, ctx: click.Context | None) -> str:
        return click.Option.get_error_hint(self._as_spelt_today(), ctx)

    def _as_spelt_today(self) -> "Option":
        shown = copy.copy(self)
        shown.opts = [name for name in self.opts if name not in self.old]
        return shown


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
        _replace_what_cannot_be_shown()
        try:
            use_writable_cache_folder()
            use_temporary_folder()
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
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            if error.filename is None and isinstance(sys.stdout, io.TextIOWrapper):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left for it is lost
            _leave(f"error: no space left for {error.filename or 'what is written'}; finished results are kept", 2)
        sys.exit(status if isinstance(status, int) else 0)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = list(args)
        rest: list[str] = super().parse_args(ctx, args)  # type: ignore[misc]
        if not ctx.resilient_parsing:
            _refuse_repetition(ctx, given)
        return rest

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The example as it stands: a line that was broken to fit could not be pasted into a shell."""
        assert isinstance(self, click.Command)
        if self.epilog:
            formatter.write(f"\n  {self.epilog}\n")


class Command(_OneLineErrors, click.Command):
    """A click command whose refusals are one line on standard error and exit status 2."""


class Group(_OneLineErrors, click.Group):
    """A click group with the same behaviour."""

    command_class = Command


def stated(*parameters: str) -> list[str]:
    """Of the running command's `parameters`, those that its command line states, as they are spelt there."""
    ctx = click.get_current_context()
    names = {parameter.name: parameter.opts[0] for parameter in ctx.command.params}
    return [names[name] for name in parameters if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE]


def refuse_without_effect(parameters: Sequence[str], why: str) -> None:
    """Refuse those of the running command's `parameters` that were stated though they would change nothing.

    Raises:
        Refusal: one of them was.
    """
    if names := stated(*parameters):
        raise Refusal(f"leave out {', '.join(names)}: {why}")


def print_json(record: dict[str, Any]) -> None:
    """Print one JSON object on standard output, and nothing else there."""
    click.echo(json.dumps(record, indent=2))


def print_note(note: str | None) -> None:
    """Tell people something that is no refusal, if there is anything, in a line on standard error."""
    if note is not None:
        click.echo(f"amhw: note: {note}", err=True)


@contextmanager
def results_store(path: Path) -> Iterator[Results]:
    """The results store at `path`; what was wrong with it and was mended is told.

    Raises:
        Refusal: it cannot be used.
    """
    with Results(path) as store:
        print_note(store.note)
        yield store
        if store.altered:
            what = "a result was" if store.altered == 1 else f"{store.altered} results were"
            print_note(f"{what} not as stored in {path}, and computed again")


@contextmanager
def worker_failures(*kinds: type[Exception], how: str = "") -> Iterator[None]:
    """A worker that dies, or raises one of `kinds`, ends the command with a line; everything that was finished is kept.

    Args:
        how: what else the same command needs to go on, after a comma.
    """
    caught: tuple[type[Exception], ...] = (BrokenExecutor, *kinds)
    try:
        yield
    except caught as error:
        reason = str(error).strip().splitlines()
        raise click.ClickException(
            f"a worker failed: {reason[0] if reason else type(error).__name__}; the same command goes on from here{how}"
        ) from None


def print_next(*arguments: object) -> None:
    """Say which command comes next, in a line on standard error; only where that is a terminal and someone reads it."""
    if sys.stderr.isatty():
        click.echo(f"next: amhw {shlex.join(map(str, arguments))}", err=True)


def _refuse_repetition(ctx: click.Context, args: list[str]) -> None:
    """The last of two values would win without a word.

    Raises:
        UsageError: an option that takes one value has several, perhaps by a new and an old spelling.
    """
    _, _, order = ctx.command.make_parser(ctx).parse_args(list(args))
    for parameter, times in Counter(order).items():
        if times == 1 or not isinstance(parameter, click.Option) or parameter.multiple:
            continue
        if parameter.secondary_opts or not parameter.is_flag:
            spellings = [name for name in (*parameter.opts, *parameter.secondary_opts) if _is_among(name, args)]
            raise click.UsageError(f"{' and '.join(spellings)} given {times} times; say it once", ctx)


def _is_among(option: str, args: list[str]) -> bool:
    return any(arg == option or arg.startswith(f"{option}=") for arg in args)


def _replace_what_cannot_be_shown() -> None:
    """A terminal that lacks × or a file name's letters gets a question mark instead; no command fails of it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _leave(message: str, status: int) -> NoReturn:
    click.echo(f"amhw: {message}", err=True)
    sys.exit(status)
