"""Progress of long work, on standard error: a bar on a terminal, a plain line now and then where there is none."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

SECONDS = 10.0
"""From one plain line to the next."""


class Progress:
    """Work that is under way: what is being done, and how many of its steps are."""

    def __init__(self, bars: Bars, what: str, total: int | None) -> None:
        self._bars = bars
        self._task = bars.add_task(what, total=total)

    def advance(self, steps: int = 1) -> None:
        """So many steps more are done."""
        self._bars.advance(self._task, steps)

    def update(self, what: str, done: int | None = None, total: int | None = None) -> None:
        """`what` is being done now, and `done` of `total` steps are, where these are given."""
        self._bars.update(self._task, description=what, completed=done, total=total)

    def note(self, line: str) -> None:
        """Print what stays when the work is done."""
        self._bars.console.print(line, markup=False, highlight=False, soft_wrap=True)

    @property
    def line(self) -> str:
        """The state in a plain line."""
        [task] = self._bars.tasks
        share = "" if task.total is None else f", {_share(task)}"
        return f"{task.description}{share}, {task.elapsed or 0:.0f} s"


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Progress]:
    """Show the progress of the work inside, which begins with `what` and has `total` steps, if that is known."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        _Share(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    bars = Bars(*columns, console=console, transient=True)
    work = Progress(bars, what, total)
    with bars if console.is_interactive else _lines(work):
        yield work


@contextmanager
def _lines(work: Progress) -> Iterator[None]:
    over = Event()

    def tell() -> None:
        while not over.wait(SECONDS):
            work.note(work.line)

    teller = Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()


class _Share(ProgressColumn):
    """How much is done, where that can be said."""

    def render(self, task: Task) -> Text:
        return Text("" if task.total is None else _share(task))


def _share(task: Task) -> str:
    return f"{task.completed:.0f}/{task.total:.0f}"
