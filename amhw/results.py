"""The results store: what has been computed is kept in one SQLite file and found again by its key.

A result's key is the hash of its *identity*: a JSON object that names everything that could change it. Two processes
may share the file; a process that dies loses only what it had not finished. Each record has a checksum. What is not as
it was stored any more, a record or whole pages of the file, is computed again; the rest is kept.
"""

import contextlib
import hashlib
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
    checksum TEXT NOT NULL,
    finished TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
)"""
_WITHOUT_CHECKSUM = _SCHEMA.replace("    checksum TEXT NOT NULL,\n", "")
"""That of version 0.1, whose records get their checksums when the file is opened."""
_COLUMNS = "key, stage, identity, record, checksum, finished"
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
        altered: how many records were not as they were stored, and were thrown away.

    Raises:
        Refusal: the file cannot be opened or made, is something else, or is so damaged that nothing in it can be found.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.note: str | None = None
        self.altered = 0
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
            row = connection.execute("SELECT record, checksum FROM result WHERE key = ?", [task.key]).fetchone()
            if row is None:
                return None
            text, checksum = row
            record = _read(text, task.record) if checksum == _checksum(task.key.encode(), text) else None
            if record is None:
                connection.execute("DELETE FROM result WHERE key = ?", [task.key])
                self.altered += 1
        return record

    def put(self, task: Task[R], record: R) -> None:
        """Store the record of a task; one that another process has stored meanwhile stays."""
        text = record.to_json()
        checksum = _checksum(task.key.encode(), text.encode()).decode()
        with self._readable() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO result (key, stage, identity, record, checksum) VALUES (?, ?, ?, ?, ?)",
                [task.key, str(task.identity["stage"]), canonical(task.identity), text, checksum],
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
            found = _tables(connection)
            if found not in ([], None, [(b"table", _SCHEMA.encode())], [(b"table", _WITHOUT_CHECKSUM.encode())]):
                raise Refusal(f"{self.path} is another program's, with tables of its own; name another file")
            if found != [] and not _is_sound(connection):
                connection.close()
                connection = self._rescued()
            elif found == [(b"table", _WITHOUT_CHECKSUM.encode())]:
                _add_checksums(connection)
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
            with contextlib.closing(_connected(fresh)) as new:
                new.execute(_SCHEMA)
            readable = _with_first_page(self.path, fresh.read_bytes()[:_PAGE], Path(folder))
            with contextlib.closing(_connected(readable)) as old, contextlib.closing(_connected(fresh)) as new:
                new.execute("BEGIN")
                new.executemany(f"INSERT OR IGNORE INTO result ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", _rows(old))
                kept = new.execute("SELECT count(*) FROM result").fetchone()[0]
                new.execute("COMMIT")
            if readable != self.path and not kept:  # it may be anything
                raise _unreadable(self.path)
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


_PAGE = 4096
"""Bytes of a page of the file."""

_ROOTS = (b"\x05", b"\x0d")
"""How the second page, on which the table begins, starts: with branches or leaves."""


def _with_first_page(path: Path, page: bytes, folder: Path) -> Path:
    """`path`, or if its first page says nothing any more, or of pages that are gone, a copy with `page` in its place.

    The first page says which tables there are and where they begin: the same in every file of ours.
    """
    with contextlib.closing(_connected(path)) as connection:
        if _tables(connection) is not None:
            return path
    pages = path.stat().st_size // _PAGE
    with path.open("rb") as file:
        file.seek(_PAGE)
        if file.read(1) not in _ROOTS:
            raise _unreadable(path)
    copy = folder / "readable"
    shutil.copyfile(path, copy)
    with copy.open("r+b") as file:
        # The header also says how many pages there are, and which are free: none.
        file.write(page[:28] + pages.to_bytes(4, "big") + bytes(8) + page[40:])
        file.truncate(pages * _PAGE)
    return copy


def _unreadable(path: Path) -> Refusal:
    return Refusal(
        f"{path} cannot hold results: it is none of ours, or so damaged that none of its results can be read; "
        "move it away, or name another file"
    )


def _tables(connection: sqlite3.Connection) -> list[tuple[bytes, bytes]] | None:
    """Type and definition of all that is in a file, or None where it does not say that any more."""
    try:
        return connection.execute("SELECT type, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall()
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise
        return None


def _add_checksums(connection: sqlite3.Connection) -> None:
    """Make a table without checksums one that has them."""
    older = _COLUMNS.replace("checksum", "checksum(key, record)")
    connection.create_function("checksum", 2, _checksum, deterministic=True)
    connection.execute("BEGIN IMMEDIATE")
    if _tables(connection) == [(b"table", _WITHOUT_CHECKSUM.encode())]:  # and no other process was quicker
        connection.execute("ALTER TABLE result RENAME TO older")
        connection.execute(_SCHEMA)
        connection.execute(f"INSERT INTO result ({_COLUMNS}) SELECT {older} FROM older")
        connection.execute("DROP TABLE older")
    connection.execute("COMMIT")
    connection.execute("VACUUM")  # the table begins on the second page again


def _connected(path: Path) -> sqlite3.Connection:
    """A connection that gives texts as bytes: some may be none."""
    connection = sqlite3.connect(path, timeout=60, isolation_level=None)
    connection.text_factory = bytes
    return connection


def _is_sound(connection: sqlite3.Connection) -> bool:
    try:
        return bool(connection.execute("PRAGMA quick_check(1)").fetchone() == (b"ok",))
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise
        return False


def _rows(connection: sqlite3.Connection) -> Iterator[tuple[Any, ...]]:
    """The rows of a damaged file that can be read and have the key of their identity and their checksum."""
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
            key, _, identity, record, checksum, _ = row
            if hashlib.sha256(identity).hexdigest().encode() == key and _checksum(key, record) == checksum:
                yield tuple(_text(value) for value in row)


def _checksum(key: str | bytes, record: object) -> bytes:
    """The checksum of a record that is stored under a key: a right record in a wrong place is wrong, too."""
    parts = [part.encode() if isinstance(part, str) else part for part in (key, record)]
    return hashlib.sha256(b"\n".join(part for part in parts if isinstance(part, bytes))).hexdigest().encode()


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


def completed(
    tasks: Sequence[Task[R]],
    results: Results,
    executor: Executor,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> list[R]:
    """The tasks' records, in their order; the first failure is raised when the others are done.

    Args:
        report: hears how many tasks are done, and of how many.
    """
    records: dict[str, R] = {}
    failure: Exception | None = None
    for done, (task, outcome, _) in enumerate(run(tasks, results, executor), 1):
        if isinstance(outcome, Exception):
            failure = outcome
        else:
            records[task.key] = outcome
        report(done, len(tasks))
    if failure is not None:
        raise failure
    return [records[task.key] for task in tasks]


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
