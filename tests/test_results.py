"""Results are computed once, survive interruption and damage, and may be shared by two processes."""

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from amhw.documents import Record
from amhw.refusal import Refusal
from amhw.results import _WITHOUT_CHECKSUM, Outcomes, Results, Task, run

calls = []


@dataclass(frozen=True)
class Square(Record):
    y: int


def square(x: int) -> Square:
    calls.append(x)
    if x < 0:
        raise ValueError("negative")
    return Square(x * x)


def task(x: int) -> Task[Square]:
    return Task({"stage": "square", "x": x}, Square, square, (x,))


def test_nothing_is_computed_twice(tmp_path):
    calls.clear()
    for expected_known in (False, True):
        with Results(tmp_path / "r.sqlite") as results, ThreadPoolExecutor(2) as pool:
            seen = {
                t.identity["x"]: (record, known) for t, record, known in run([task(2), task(3), task(2)], results, pool)
            }
        assert seen == {2: (Square(4), expected_known), 3: (Square(9), expected_known)}
    assert sorted(calls) == [2, 3]


def test_a_failure_costs_its_own_task_and_is_tried_again(tmp_path):
    outcomes = Outcomes()
    with Results(tmp_path / "r.sqlite") as results, ThreadPoolExecutor(1) as pool:
        for done, record, _ in run([task(-1), task(4)], results, pool):
            outcomes.add(done, record)
        assert len(results) == 1
    assert outcomes[task(4)] == Square(16)
    assert isinstance(outcomes[task(-1)], ValueError)


def test_stopping_midway_keeps_what_is_finished(tmp_path):
    with Results(tmp_path / "r.sqlite") as results, ThreadPoolExecutor(1) as pool:
        for _ in run([task(5), task(6), task(7)], results, pool):
            break
        assert 1 <= len(results) <= 3
        stored = len(results)
    with Results(tmp_path / "r.sqlite") as results, ThreadPoolExecutor(1) as pool:
        known = [known for *_, known in run([task(5), task(6), task(7)], results, pool)]
    assert known.count(True) == stored


def test_the_key_is_the_content_not_the_order():
    def key(identity: dict) -> str:
        return Task(identity, Square, square).key

    assert key({"a": 1, "b": [2]}) == key({"b": [2], "a": 1})
    assert key({"a": 1}) != key({"a": "1"})


def test_two_processes_share_a_file(tmp_path):
    script = (
        "import sys\n"
        "from dataclasses import dataclass\n"
        "from amhw.documents import Record\n"
        "from amhw.results import Results, Task\n"
        "@dataclass(frozen=True)\n"
        "class By(Record):\n"
        "    name: str\n"
        "with Results(sys.argv[1]) as results:\n"
        "    for n in range(200):\n"
        "        task = Task({'stage': 's', 'n': n % 150, 'half': n // 150}, By, By)\n"
        "        results.put(task, By(sys.argv[2]))"
    )
    file = str(tmp_path / "shared.sqlite")
    processes = [subprocess.Popen([sys.executable, "-c", script, file, name]) for name in "ab"]
    assert [process.wait() for process in processes] == [0, 0]
    with Results(file) as results:
        assert len(results) == 200


def test_a_file_that_is_something_else_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no database, but long enough to be looked at " * 50)
    with pytest.raises(Refusal, match=r"notes\.txt"):
        Results(tmp_path / "notes.txt")
    with pytest.raises(Refusal, match="cannot hold"):
        Results(tmp_path / "notes.txt" / "r.sqlite")
    with sqlite3.connect(tmp_path / "other.sqlite") as other:
        other.execute("CREATE TABLE result (team TEXT, goals INTEGER)")
    with pytest.raises(Refusal, match="another program's"):
        Results(tmp_path / "other.sqlite")


@pytest.mark.parametrize("record", [b"", b"no json", b"[]", b'{"z": 9}', b'{"y": "nine"}', b'{"y": "\xff"}', b"\x00"])
@pytest.mark.parametrize("kind", ["TEXT", "BLOB"])
def test_a_damaged_record_is_computed_again(tmp_path, record, kind):
    file = tmp_path / "r.sqlite"
    with Results(file) as results:
        for x in (2, 3):
            results.put(task(x), square(x))
    with sqlite3.connect(file) as damaged:
        damaged.execute(f"UPDATE result SET record = CAST(? AS {kind}) WHERE key = ?", [record, task(3).key])
    for again in ([3], []):
        calls.clear()
        with Results(file) as results, ThreadPoolExecutor(1) as pool:
            seen = {t.identity["x"]: record for t, record, _ in run([task(2), task(3)], results, pool)}
        assert seen == {2: Square(4), 3: Square(9)}
        assert calls == again


def with_squares(file, count):
    with Results(file) as results:
        for x in range(count):
            results.put(task(x), Square(x * x))
        results._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return bytearray(file.read_bytes())


def known(file, count):
    """Of how many tasks the file has the record, each of which must be right, and what the file says of itself."""
    with Results(file) as results:
        found = [(x, record) for x in range(count) if (record := results.get(task(x))) is not None]
        assert all(record == Square(x * x) for x, record in found)
        return len(found), results.note


def test_pages_damaged_in_the_middle_cost_what_was_in_them(tmp_path):
    file = tmp_path / "r.sqlite"
    content = with_squares(file, 400)
    pages = len(content) // 4096
    damaged = [page for page in range(2, pages) if content[4096 * page] == 13][3]  # a leaf of the table
    content[4096 * damaged : 4096 * damaged + 4096] = b"\xa5" * 4096
    file.write_bytes(content)
    count, note = known(file, 400)
    assert 300 < count < 400
    assert f"r.sqlite was damaged: {count} of its results are kept" in note
    assert (tmp_path / "r.sqlite.damaged").read_bytes() == content
    assert known(file, 400) == (count, None)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("start", [4096, 8192])
def test_nothing_but_damage_is_no_reason_to_hang(tmp_path, start):
    file = tmp_path / "r.sqlite"
    content = with_squares(file, 400)
    content[start:] = b"\xa5" * (len(content) - start)
    file.write_bytes(content)
    assert known(file, 400)[0] == 0


@pytest.mark.parametrize(
    ("first", "pages", "kept"),
    [
        (lambda page: page[:100] + b"\0" * 3996, 1, 400),  # a header, but no tables
        (lambda page: b"\xa5" * 4096, 1, 400),
        (lambda page: page, 0.5, 100),
        (lambda page: b"", 1, 0),
    ],
    ids=["no tables", "no header", "half a file", "no first page"],
)
def test_a_damaged_first_page_or_half_a_file_costs_what_was_in_it(tmp_path, first, pages, kept):
    file = tmp_path / "r.sqlite"
    content = bytes(with_squares(file, 400))
    damaged = (first(content[:4096]) + content[4096:])[: int(len(content) * pages)]
    file.write_bytes(damaged)
    if not kept:
        with pytest.raises(Refusal, match=r"r\.sqlite cannot hold results: .*; move it away"):
            Results(file)
        assert file.read_bytes() == damaged
        return
    count, note = known(file, 400)
    assert kept <= count <= 400
    assert f"r.sqlite was damaged: {count} of its results are kept" in note
    assert (tmp_path / "r.sqlite.damaged").read_bytes() == damaged
    assert known(file, 400) == (count, None)


def test_a_record_that_was_altered_is_noticed_and_computed_again(tmp_path):
    file = tmp_path / "r.sqlite"
    with Results(file) as results:
        for x in (2, 3, 4):
            results.put(task(x), square(x))
    with sqlite3.connect(file) as altered:
        altered.execute("UPDATE result SET record = '{\"y\":10}' WHERE key = ?", [task(3).key])
        # One that is right, but another's.
        altered.execute(
            "UPDATE result SET (record, checksum) = (SELECT record, checksum FROM result WHERE key = ?) WHERE key = ?",
            [task(2).key, task(4).key],
        )
    for again in ([3, 4], []):
        calls.clear()
        with Results(file) as results, ThreadPoolExecutor(1) as pool:
            seen = {t.identity["x"]: record for t, record, _ in run(map(task, (2, 3, 4)), results, pool)}
            assert results.altered == len(again)
        assert seen == {2: Square(4), 3: Square(9), 4: Square(16)}
        assert calls == again


def test_a_file_without_checksums_gets_them(tmp_path):
    file = tmp_path / "r.sqlite"
    with_squares(file, 400)
    with sqlite3.connect(file) as older:
        older.execute("CREATE TABLE kept AS SELECT key, stage, identity, record, finished FROM result")
        older.execute("DROP TABLE result")
        older.execute(_WITHOUT_CHECKSUM)
        older.execute("INSERT INTO result SELECT * FROM kept")
        older.execute("DROP TABLE kept")
        before = older.execute("SELECT * FROM result ORDER BY key").fetchall()
    older.close()
    assert known(file, 400) == (400, None)
    with sqlite3.connect(file) as now:
        columns = "key, stage, identity, record, finished"
        assert now.execute(f"SELECT {columns} FROM result ORDER BY key").fetchall() == before
        now.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    now.close()
    content = file.read_bytes()
    file.write_bytes(b"\0" * 4096 + content[4096:])
    assert known(file, 400)[0] == 400


@pytest.mark.parametrize(
    "other",
    [
        "CREATE TABLE bookmark (url TEXT)",
        "CREATE VIEW result (key, stage, identity, record, finished) AS "
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x, '', '', '', '' FROM n",
    ],
    ids=["a table of another name", "a view that never ends"],
)
def test_another_programs_file_is_not_written(tmp_path, other):
    file = tmp_path / "other.sqlite"
    with sqlite3.connect(file) as database:
        database.execute(other)
    content = file.read_bytes()
    with pytest.raises(Refusal, match="another program's"):
        Results(file)
    assert file.read_bytes() == content


def test_there_is_no_file_before_there_is_a_result(tmp_path):
    file = tmp_path / "new" / "r.sqlite"
    with Results(file) as results:
        assert results.get(task(1)) is None and len(results) == 0
        assert not file.parent.exists()
        results.put(task(1), Square(1))
        assert results.get(task(1)) == Square(1)
    (tmp_path / "text").write_text("")
    with pytest.raises(Refusal, match="text is no folder"):
        Results(tmp_path / "text" / "r.sqlite")


def test_a_full_disk_is_named_and_what_is_stored_stays(tmp_path):
    file = tmp_path / "r.sqlite"
    with Results(file) as results:
        results.put(task(0), Square(0))
        results._connection.execute("PRAGMA max_page_count = 12")
        with pytest.raises(Refusal, match=r"no space left for .*r\.sqlite"):
            for x in range(1, 200):
                results.put(task(x), Square(x * x))
    assert known(file, 200)[0] > 0
