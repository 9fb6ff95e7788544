"""Worker processes end with the work, however it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from amhw.refusal import Refusal
from amhw.workers import executor


def process_and_child() -> tuple[int, int]:
    return os.getpid(), subprocess.Popen(["sleep", "600"]).pid


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def gone(pids, seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not any(map(alive, pids)):
            return True
        time.sleep(0.1)
    return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to look for processes")
class TestNoStrayProcesses:
    def test_after_an_interruption(self):
        pids = ()
        with pytest.raises(KeyboardInterrupt), executor(1) as pool:
            pids = pool.submit(process_and_child).result()
            assert all(map(alive, pids))
            raise KeyboardInterrupt
        assert gone(pids)

    def test_after_the_parent_was_killed(self, tmp_path):
        script = tmp_path / "parent.py"
        script.write_text(
            "import sys, time\n"
            f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
            "from amhw.workers import executor\n"
            "from test_workers import process_and_child\n"
            "if __name__ == '__main__':\n"
            "    with executor(1) as pool:\n"
            "        print(*pool.submit(process_and_child).result(), flush=True)\n"
            "        time.sleep(600)\n"
        )
        with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as parent:
            pids = [int(pid) for pid in parent.stdout.readline().split()]
            assert len(pids) == 2
            assert all(map(alive, pids))
            parent.send_signal(signal.SIGKILL)
        assert gone(pids)


def test_no_workers_is_refused():
    with pytest.raises(Refusal, match="0 workers"), executor(0):
        pass
