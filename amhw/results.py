"""Results that are computed once: one SQLite file, keyed by what each result depends on.

A result's key is the hash of its *identity*: a JSON object that names everything that could change it (hashes of
the Verilog, the table, the network and the data, the recipe, the tool's version). Two processes may share the
file; a process that dies loses only what it had not finished.
"""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from amhw.refusal import Refusal

Record = dict[str, Any]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS result (
    key TEXT PRIMARY KEY,
    stage TEXT NOT NULL,
    identity TEXT NOT NULL,
    record TEXT NOT NULL,
    finished TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
)
"""


@dataclass(frozen=True)
class Task:
    """A computation and the identity of its result.

    Attributes:
        identity: everything on which the result depends, ready for JSON; its ``stage`` says what is computed.
        function: a function at a module's top level, so that another process can call it.
        arguments: what it is called with; they must pickle.
    """

    identity: Record
    function: Callable[..., Record]
    arguments: tuple[Any, ...] = ()

    @property
    def key(self) -> str:
        """The hash of the identity."""
        return key_of(self.identity)


class Results:
    """The results file.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, Results(Path(folder) / "results.sqlite") as results:
    ...     results.put({"stage": "square", "x": 3}, {"y": 9})
    ...     results.get({"x": 3, "stage": "square"})
    {'y': 9}

    Raises:
        Refusal: the file cannot be opened or is something else.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self.path, timeout=60, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise Refusal(f"{self.path} cannot hold results: {error}; name another file") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def get(self, identity: Record) -> Record | None:
        """The stored record of this identity, or None."""
        row = self._connection.execute("SELECT record FROM result WHERE key = ?", [key_of(identity)]).fetchone()
        return None if row is None else json.loads(row[0])

    def put(self, identity: Record, record: Record) -> None:
        """Store a record; one that another process has stored meanwhile stays."""
        self._connection.execute(
            "INSERT OR IGNORE INTO result (key, stage, identity, record) VALUES (?, ?, ?, ?)",
            [key_of(identity), str(identity["stage"]), canonical(identity), json.dumps(record)],
        )

    def __len__(self) -> int:
        return int(self._connection.execute("SELECT count(*) FROM result").fetchone()[0])


def run(tasks: Iterable[Task], results: Results, executor: Executor) -> Iterator[tuple[Task, Record | Exception, bool]]:
    """Compute what is not in `results` yet; each record is stored as soon as it is there.

    A task that raises is yielded with its exception and nothing is stored, so that the next run tries it again.

    Args:
        tasks: what is wanted; equal identities are computed once.
        executor: any of `concurrent.futures`, or a cluster's that has the same interface.

    Yields:
        Each task once, as it is finished, with its record (or the exception that it raised) and whether the
        record came from the file. What is stored comes first.
    """
    waiting: dict[str, list[Task]] = {}
    for task in tasks:
        record = results.get(task.identity)
        if record is not None:
            yield task, record, True
        else:
            waiting.setdefault(task.key, []).append(task)
    futures: dict[Future[Record], list[Task]] = {
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
            results.put(same[0].identity, record)
            for task in same:
                yield task, record, False
    finally:
        for future in futures:
            future.cancel()


def canonical(identity: Record) -> str:
    """The identity as text, the same whatever the order of its fields."""
    return json.dumps(identity, sort_keys=True, separators=(",", ":"))


def key_of(identity: Record) -> str:
    """The hash of an identity."""
    return hashlib.sha256(canonical(identity).encode()).hexdigest()
