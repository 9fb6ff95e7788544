"""Results are computed once, survive interruption, and may be shared by two processes."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from amhw.refusal import Refusal
from amhw.results import Results, Task, key_of, run

calls = []


def square(x: int) -> dict:
    calls.append(x)
    if x < 0:
        raise ValueError("negative")
    return {"y": x * x}


def task(x: int) -> Task:
    return Task({"stage": "square", "x": x}, square, (x,))


def test_nothing_is_computed_twice(tmp_path):
    calls.clear()
    for expected_known in (False, True):
        with Results(tmp_path / "r.sqlite") as results, ThreadPoolExecutor(2) as pool:
            seen = {
                t.identity["x"]: (record, known) for t, record, known in run([task(2), task(3), task(2)], results, pool)
            }
        assert seen == {2: ({"y": 4}, expected_known), 3: ({"y": 9}, expected_known)}
    assert sorted(calls) == [2, 3]


def test_a_failure_costs_its_own_task_and_is_tried_again(tmp_path):
    with Results(tmp_path / "r.sqlite") as results, ThreadPoolExecutor(1) as pool:
        seen = {t.identity["x"]: record for t, record, _ in run([task(-1), task(4)], results, pool)}
        assert seen[4] == {"y": 16}
        assert isinstance(seen[-1], ValueError)
        assert len(results) == 1


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
    assert key_of({"a": 1, "b": [2]}) == key_of({"b": [2], "a": 1})
    assert key_of({"a": 1}) != key_of({"a": "1"})


def test_two_processes_share_a_file(tmp_path):
    script = (
        "import sys; from amhw.results import Results\n"
        "with Results(sys.argv[1]) as results:\n"
        "    for n in range(200): results.put({'stage': 's', 'n': n % 150, 'half': n // 150}, {'by': sys.argv[2]})"
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
