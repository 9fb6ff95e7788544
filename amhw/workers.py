"""Where work runs: processes on this machine, or a Dask cluster, behind one `concurrent.futures` interface."""

import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from pathlib import Path

from amhw.extras import optional
from amhw.refusal import Refusal


@contextmanager
def executor(workers: int | None = None, *, dask: str | None = None) -> Iterator[Executor]:
    """An executor for whole tasks; leaving it, also by Ctrl-C, ends its processes and theirs.

    Args:
        workers: processes on this machine; default one for each available core.
        dask: address of a Dask scheduler, such as ``tcp://host:8786``, whose workers are used instead.

    Raises:
        Refusal: fewer than one worker, Dask is not installed, or no scheduler answers.
    """
    if dask is not None:
        with _dask_executor(dask) as cluster:
            yield cluster
        return
    count = available_cores() if workers is None else workers
    if count < 1:
        raise Refusal(f"{count} workers; one or more are needed")
    with tempfile.TemporaryDirectory(prefix="amhw-", ignore_cleanup_errors=True) as scratch, _one_thread_each():
        pool = ProcessPoolExecutor(
            count, mp_context=get_context("spawn"), initializer=_prepare, initargs=(scratch, os.getpid())
        )
        try:
            yield pool
        except BaseException:
            _kill(pool)
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def available_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started meanwhile keep numerical libraries to one thread: the workers share the cores already.

    It must be in the environment that a worker starts with: importing the main module, which is the first thing it
    does, may load such a library.
    """
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


def _prepare(scratch: str, parent: int) -> None:
    """Make a worker the head of a process group of its own, so that it can be ended with all it has started."""
    os.setpgrp()
    tempfile.tempdir = str(Path(scratch))
    threading.Thread(target=_end_with, args=[parent], daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process group once the parent is gone, however it went."""
    while os.getppid() == parent:
        time.sleep(1)
    os.killpg(0, signal.SIGKILL)


def _kill(pool: ProcessPoolExecutor) -> None:
    for process in list((pool._processes or {}).values()):
        process.terminate()
        if process.pid is not None:
            # Its group, once it has one: what it has started ends with it.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGTERM)


@contextmanager
def _dask_executor(address: str) -> Iterator[Executor]:
    distributed = optional("distributed", "dask", "--dask")
    try:
        client = distributed.Client(address, timeout="10s")
    except (OSError, ValueError) as error:
        raise Refusal(f"no Dask scheduler answers at {address}: {error}") from None
    with client:
        yield client.get_executor()
