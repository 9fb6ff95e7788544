"""Results are computed once, survive interruption and damage, and may be shared by two processes."""

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from amhw.documents import Record
from amhw.refusal import Refusal
from amhw.results import Outcomes, Results, Task, run

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


def test_a_file_damaged_in_the_middle_is_refused_by_name(tmp_path):
    file = tmp_path / "r.sqlite"
    with Results(file) as results:
        for x in range(2000):
            results.put(task(x), Square(x))
        results._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(file.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    file.write_bytes(content)
    with pytest.raises(Refusal, match=r"r\.sqlite cannot (be used|hold results)"), Results(file) as results:
        results.get(task(1000))
