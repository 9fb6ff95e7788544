"""The results store: what has been computed is kept in one SQLite file and found again by its key.

A result's key is the hash of its *identity*: a JSON object that names everything that could change it. Two processes
may share the file; a process that dies loses only what it had not finished. A stored record that cannot be read any
more is computed again.
"""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, Self, TypeVar, cast

from amhw.documents import DamagedError, Record
from amhw.refusal import Refusal

R = TypeVar("R", bound=Record)
R_co = TypeVar("R_co", bound=Record, covariant=True)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS result (
    key TEXT PRIMARY KEY,
    stage TEXT NOT NULL,
    identity TEXT NOT NULL,
    record TEXT NOT NULL,
    finished TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
)
"""
_COLUMNS = ["key", "stage", "identity", "record", "finished"]


@dataclass(frozen=True)
class Task(Generic[R_co]):
    """A computation and the identity of its result.

    Attributes:
        identity: everything on which the result depends, ready for JSON; its ``stage`` says what is computed.
        record: what the result is.
        function: a function at a module's top level, so that another process can call it.
        arguments: what it is called with; they must pickle.
    """

    identity: Mapping[str, Any]
    record: type[R_co]
    function: Callable[..., R_co]
    arguments: tuple[Any, ...] = ()

    @cached_property
    def key(self) -> str:
        """The hash of the identity."""
        return hashlib.sha256(canonical(self.identity).encode()).hexdigest()


class Results:
    """The results store.

    >>> import tempfile
    >>> from amhw.documents import Record
    >>> @dataclass(frozen=True)
    ... class Square(Record):
    ...     y: int
    >>> task = Task({"stage": "square", "x": 3}, Square, lambda: Square(9))
    >>> with tempfile.TemporaryDirectory() as folder, Results(Path(folder) / "results.sqlite") as results:
    ...     results.put(task, Square(9))
    ...     results.get(task)
    Square(y=9)

    Raises:
        Refusal: the file cannot be opened, is something else, or, at any time, turns out to be damaged.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self.path, timeout=60, isolation_level=None)
            self._connection.text_factory = lambda text: text.decode(errors="replace")
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute(_SCHEMA)
            columns = [row[1] for row in self._connection.execute("PRAGMA table_info(result)")]
        except (OSError, sqlite3.Error) as error:
            raise Refusal(f"{self.path} cannot hold results: {error}; name another file") from None
        if columns != _COLUMNS:
            self.close()
            raise Refusal(f"{self.path} is another program's, with a table 'result' of its own; name another file")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def get(self, task: Task[R]) -> R | None:
        """The stored record of a task, or None."""
        with self._readable():
            row = self._connection.execute("SELECT record FROM result WHERE key = ?", [task.key]).fetchone()
        record = None if row is None else _read(row[0], task.record)
        if row is not None and record is None:
            with self._readable():
                self._connection.execute("DELETE FROM result WHERE key = ?", [task.key])
        return record

    def put(self, task: Task[R], record: R) -> None:
        """Store the record of a task; one that another process has stored meanwhile stays."""
        with self._readable():
            self._connection.execute(
                "INSERT OR IGNORE INTO result (key, stage, identity, record) VALUES (?, ?, ?, ?)",
                [task.key, str(task.identity["stage"]), canonical(task.identity), record.to_json()],
            )

    def __len__(self) -> int:
        with self._readable():
            return int(self._connection.execute("SELECT count(*) FROM result").fetchone()[0])

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise Refusal(f"{self.path} cannot be used: {error}; move it away, or name another file") from None


class Outcomes:
    """What became of tasks: records and exceptions, each of the kind that its task gives."""

    def __init__(self) -> None:
        self._by_key: dict[str, Record | Exception] = {}

    def add(self, task: Task[R], outcome: R | Exception) -> None:
        self._by_key[task.key] = outcome

    def __getitem__(self, task: Task[R]) -> R | Exception:
        return cast(R | Exception, self._by_key[task.key])


def run(
    tasks: Iterable[Task[R]], results: Results, executor: Executor
) -> Iterator[tuple[Task[R], R | Exception, bool]]:
    """Compute what is not in `results` yet; each record is stored as soon as it is there.

    A task that raises is yielded with its exception and nothing is stored, so that the next run tries it again.

    Args:
        tasks: what is wanted; equal identities are computed once.
        executor: any of `concurrent.futures`, or a cluster's that has the same interface.

    Yields:
        Each task once, as it is finished, with its record (or the exception that it raised) and whether the
        record came from the file. What is stored comes first.
    """
    waiting: dict[str, list[Task[R]]] = {}
    for task in tasks:
        record = results.get(task)
        if record is not None:
            yield task, record, True
        else:
            waiting.setdefault(task.key, []).append(task)
    futures: dict[Future[R], list[Task[R]]] = {
        executor.submit(same[0].function, *same[0].arguments): same for same in waiting.values()
    }
    try:
        for future in as_completed(futures):
            same = futures[future]
            error = future.exception()
            if error is not None:
                if not isinstance(error, Exception):
                    raise error
                for task in same:
                    yield task, error, False
                continue
            record = future.result()
            results.put(same[0], record)
            for task in same:
                yield task, record, False
    finally:
        for future in futures:
            future.cancel()


def canonical(identity: Mapping[str, Any]) -> str:
    """The identity as text, the same whatever the order of its fields.

    >>> canonical({"b": [2], "a": 1})
    '{"a":1,"b":[2]}'
    """
    return json.dumps(identity, sort_keys=True, separators=(",", ":"))


def _read(text: object, kind: type[R]) -> R | None:
    """The record in a text, or None where there is none in it."""
    try:
        return kind.from_json(text) if isinstance(text, str) else None
    except DamagedError:
        return None
