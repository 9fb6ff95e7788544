"""A pool survives what happens to its processes, and leaves none behind."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ctrl_c import listening

from amhw.refusal import Refusal
from amhw.synth import SEARCH, Recipe, Synthesiser, SynthesisError, Technology

INVERTER = "module inverter(input a, output y); assign y = ~a; endmodule"
LONG = "module long(input [31:0] a, b, output [63:0] p); assign p = a * b; endmodule"

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes in /proc")


def descendants(pid):
    """Process ids below `pid`, zombies left out."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        state, parent = text.rpartition(")")[2].split()[:2]
        if state != "Z":
            parents[int(stat.parent.name)] = int(parent)
    found, fringe = [], [pid]
    while fringe:
        below = [child for child, parent in parents.items() if parent in fringe]
        found += below
        fringe = below
    return found


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def eventually(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError("did not happen in time")


def child_of_the_worker(synthesiser):
    """The process that does the design; and the worker it was forked from."""
    (worker,) = eventually(lambda: [process.pid for process in synthesiser._processes])
    return worker, eventually(lambda: descendants(worker))[0]


@pytest.fixture
def synthesiser():
    with Synthesiser(Technology.named("sky130hd"), [SEARCH], workers=1) as synthesiser:
        yield synthesiser
        assert synthesiser.submit(INVERTER).result().cells == 1


@needs_proc
def test_a_crash_costs_one_design(synthesiser):
    lost, waiting = synthesiser.submit(LONG), synthesiser.submit(INVERTER)
    os.kill(child_of_the_worker(synthesiser)[1], signal.SIGSEGV)
    with pytest.raises(SynthesisError, match="SIGSEGV"):
        lost.result()
    assert waiting.result().cells == 1


@needs_proc
def test_a_dead_worker_costs_one_design(synthesiser):
    lost, waiting = synthesiser.submit(LONG), synthesiser.submit(INVERTER)
    for pid in child_of_the_worker(synthesiser):
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(SynthesisError, match="SIGKILL"):
        lost.result()
    assert waiting.result().cells == 1


def test_a_hang_costs_one_design():
    technology = Technology.named("sky130hd")
    hang = Recipe("hang", "strash; sleep -N 100")
    with Synthesiser(technology, [hang], workers=1, timeout=1.0) as synthesiser:
        started = time.monotonic()
        with pytest.raises(Refusal, match="longer than 1 s"):
            synthesiser.submit(INVERTER).result()
        assert time.monotonic() - started < 10
        if Path("/proc/self/stat").exists():
            (worker,) = [process.pid for process in synthesiser._processes]
            eventually(lambda: not descendants(worker))  # ABC, too, is gone
        with pytest.raises(Refusal, match="longer than 1 s"):
            synthesiser.submit(INVERTER).result()


def test_a_failing_recipe_is_named_and_costs_only_itself():
    broken = Recipe("broken", "strash; nosuchcommand")
    with Synthesiser(Technology.named("sky130hd"), [broken, SEARCH], workers=1) as synthesiser:
        result = synthesiser.submit(INVERTER).result()
    assert [mapping.recipe for mapping in result.mappings] == [SEARCH.name]
    assert result.failures == (("broken", "ABC: unknown command 'nosuchcommand'"),)
    with Synthesiser(Technology.named("sky130hd"), [broken], workers=1) as synthesiser:
        lost = synthesiser.submit(INVERTER)
        with pytest.raises(SynthesisError, match="in recipe broken: ABC: unknown command 'nosuchcommand'"):
            lost.result()


def test_no_room_for_temporary_files_is_refused(monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", "/nonexistent")
    with pytest.raises(Refusal, match="cannot write temporary files"):
        Synthesiser(Technology.named("sky130hd"), [SEARCH], workers=1)


def test_workers_are_reused(synthesiser):
    for _ in range(3):
        synthesiser.submit(INVERTER).result()
    assert len(synthesiser._processes) == 1


STUDY = f"""
from amhw.synth import Synthesiser, Technology
with Synthesiser(Technology.named("sky130hd"), workers=2) as synthesiser:
    print("started", synthesiser._folder, flush=True)
    for future in [synthesiser.submit({LONG!r}) for _ in range(4)]:
        future.result()
"""


@needs_proc
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_after_an_interruption(how):
    study = subprocess.Popen(
        [sys.executable, "-c", STUDY],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=listening,
    )
    try:
        folder = Path(study.stdout.readline().split()[1])
        below = eventually(lambda: found if len(found := descendants(study.pid)) >= 4 else None)
        study.send_signal(how)
        study.wait(timeout=10)
        eventually(lambda: not any(alive(pid) for pid in below))
        if how == signal.SIGINT:
            assert not folder.exists()
    finally:
        study.kill()
        study.communicate()
        shutil.rmtree(folder, ignore_errors=True)  # a study that is killed cannot
