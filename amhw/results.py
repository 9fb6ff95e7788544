"""The results store: what has been computed is kept in one SQLite file and found again by its key.

A result's key is the hash of its *identity*: a JSON object that names everything that could change it. Two processes
may share the file; a process that dies loses only what it had not finished. What cannot be read any more, a record or
whole pages of the file, is computed again; the rest is kept.
"""

import contextlib
import hashlib
import json
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, Self, TypeVar, cast

from amhw.documents import DamagedError, Record
from amhw.files import check_writable
from amhw.refusal import Refusal

R = TypeVar("R", bound=Record)
R_co = TypeVar("R_co", bound=Record, covariant=True)

_SCHEMA = """CREATE TABLE result (
    key TEXT PRIMARY KEY,
    stage TEXT NOT NULL,
    identity TEXT NOT NULL,
    record TEXT NOT NULL,
    finished TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
)"""
_COLUMNS = "key, stage, identity, record, finished"
_SHORTEST = 64
"""Bytes that a row takes at least: its key."""


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

    The file is made when the first record is stored: a refusal before that leaves nothing.

    Attributes:
        note: what was wrong with the file and was mended, in a sentence, or None.

    Raises:
        Refusal: the file cannot be opened or made, is something else, or is so damaged that nothing in it can be found.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.note: str | None = None
        self._connection: sqlite3.Connection | None = None
        try:
            check_writable(self.path)
        except Refusal as refusal:
            raise Refusal(f"{self.path} cannot hold results: {refusal}") from None
        if self.path.exists():
            self._opened()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()

    def get(self, task: Task[R]) -> R | None:
        """The stored record of a task, or None."""
        if self._connection is None and not self.path.exists():
            return None
        with self._readable() as connection:
            row = connection.execute("SELECT record FROM result WHERE key = ?", [task.key]).fetchone()
            record = None if row is None else _read(row[0], task.record)
            if row is not None and record is None:
                connection.execute("DELETE FROM result WHERE key = ?", [task.key])
        return record

    def put(self, task: Task[R], record: R) -> None:
        """Store the record of a task; one that another process has stored meanwhile stays."""
        with self._readable() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO result (key, stage, identity, record) VALUES (?, ?, ?, ?)",
                [task.key, str(task.identity["stage"]), canonical(task.identity), record.to_json()],
            )

    def __len__(self) -> int:
        if self._connection is None and not self.path.exists():
            return 0
        with self._readable() as connection:
            return int(connection.execute("SELECT count(*) FROM result").fetchone()[0])

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._connection = self._open()
            except (OSError, sqlite3.Error) as error:
                raise Refusal(f"{self.path} cannot hold results: {error}; move it away, or name another file") from None
        return self._connection

    def _open(self) -> sqlite3.Connection:
        connection = _connected(self.path)
        try:
            # Whatever else there is, such as a view that never ends, must not be asked for results.
            found = connection.execute("SELECT type, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall()
            if found not in ([], [(b"table", _SCHEMA.encode())]):
                raise Refusal(f"{self.path} is another program's, with tables of its own; name another file")
            if found and not _is_sound(connection):
                connection.close()
                connection = self._rescued()
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(_SCHEMA.replace("TABLE", "TABLE IF NOT EXISTS", 1))
        except BaseException:
            connection.close()
            raise
        return connection

    def _rescued(self) -> sqlite3.Connection:
        """Put a new file with all that can still be read in the place of the damaged one, which is kept beside it."""
        aside = self.path.with_name(f"{self.path.name}.damaged")
        with tempfile.TemporaryDirectory(dir=self.path.parent, prefix=".amhw-") as folder:
            fresh = Path(folder) / self.path.name
            with contextlib.closing(_connected(self.path)) as old, contextlib.closing(_connected(fresh)) as new:
                new.execute(_SCHEMA)
                new.execute("BEGIN")
                new.executemany(f"INSERT OR IGNORE INTO result ({_COLUMNS}) VALUES (?, ?, ?, ?, ?)", _rows(old))
                kept = new.execute("SELECT count(*) FROM result").fetchone()[0]
                new.execute("COMMIT")
            for ending in ("-wal", "-shm"):  # what was in them has been read, or cannot be
                self.path.with_name(self.path.name + ending).unlink(missing_ok=True)
            self.path.replace(aside)
            fresh.replace(self.path)
        self.note = (
            f"{self.path} was damaged: {kept} of its results are kept, the others are computed again; the damaged "
            f"file is {aside}"
        )
        return _connected(self.path)

    @contextmanager
    def _readable(self) -> Iterator[sqlite3.Connection]:
        connection = self._opened()
        try:
            yield connection
        except sqlite3.Error as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
                raise Refusal(
                    f"no space left for {self.path}; what is in it is kept, and used by the next run"
                ) from None
            raise Refusal(f"{self.path} cannot be used: {error}; move it away, or name another file") from None


def _connected(path: Path) -> sqlite3.Connection:
    """A connection that gives texts as bytes: some may be none."""
    connection = sqlite3.connect(path, timeout=60, isolation_level=None)
    connection.text_factory = bytes
    return connection


def _is_sound(connection: sqlite3.Connection) -> bool:
    try:
        return bool(connection.execute("PRAGMA quick_check(1)").fetchone() == (b"ok",))
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CORRUPT:
            raise
        return False


def _rows(connection: sqlite3.Connection) -> Iterator[tuple[Any, ...]]:
    """The rows of a damaged file that can be read and have the key of their identity."""
    try:
        last = connection.execute("SELECT max(rowid) FROM result").fetchone()[0] or 0
    except sqlite3.DatabaseError:
        pages, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
        last = pages * size // _SHORTEST
    for rowid in range(1, last + 1):
        try:
            row = connection.execute(f"SELECT {_COLUMNS} FROM result WHERE rowid = ?", [rowid]).fetchone()
        except sqlite3.DatabaseError:
            continue
        if row is not None and all(isinstance(value, bytes) for value in row):
            key, _, identity, *_ = row
            if hashlib.sha256(identity).hexdigest().encode() == key:
                yield tuple(_text(value) for value in row)


def _text(value: bytes) -> Any:
    """A text again, if it is one."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


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
        return kind.from_json(text) if isinstance(text, bytes) else None
    except DamagedError:
        return None
