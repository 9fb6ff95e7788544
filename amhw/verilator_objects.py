"""Compiles Verilator's run-time library once, not once for each model.

`amhw.simulation` has Verilator's makefile call this script before the compiler (``OBJCACHE``), as others have it call
ccache. Four fifths of the time that the model of a multiplier takes to build are for the same files of Verilator's own.
Their objects are kept in the folder ``amhw/verilator`` of the user's cache folder, by a hash of the compiler, its
options, the variables that it reads, and the size and time of every file of the library, until they have not been
used for `UNUSED_DAYS`. Everything else goes to the compiler as it is, and so do these files where nothing can be kept.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

UNUSED_DAYS = 90

_READ_BY_COMPILERS = ("CPATH", "CPLUS_INCLUDE_PATH", "C_INCLUDE_PATH", "COMPILER_PATH", "GCC_EXEC_PREFIX")


def main(command: list[str]) -> int:
    """Run the compiler with its arguments, or copy what it once made of them; its exit status."""
    sources = [Path(word) for word in command if word.endswith(".cpp")]
    if len(sources) == 1 and "-c" in command and (sources[0].parent / "verilated.mk").is_file():
        with contextlib.suppress(OSError, RuntimeError):  # also of a user without a home folder
            return _kept(command, sources[0])
    return subprocess.call(command)


def _kept(command: list[str], source: Path) -> int:
    """
    Raises:
        OSError: nothing can be kept.
    """
    at = command.index("-o") if "-o" in command else None
    wanted = Path(source.with_suffix(".o").name if at is None else command[at + 1])
    options = command if at is None else command[:at] + command[at + 2 :]
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "amhw" / "verilator"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    ready = folder / f"{source.stem}-{_key(options, source.parent)}.o"
    with ready.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # models that are built at the same time wait for the first
        if not ready.exists():
            made = ready.with_suffix(".new")
            status = subprocess.call([*options, "-o", str(made)])
            if status:
                return status
            made.with_suffix(".d").unlink(missing_ok=True)  # what make wants of a file that changes
            made.replace(ready)
            _forget_unused(folder)
    shutil.copyfile(ready, wanted)
    os.utime(ready)
    return 0


def _forget_unused(folder: Path) -> None:
    """Remove what nobody has used for long; a lock goes with its object."""
    before = time.time() - UNUSED_DAYS * 24 * 3600
    for file in folder.glob("*.o"):
        with contextlib.suppress(OSError):
            if file.stat().st_mtime < before:
                file.with_suffix(".lock").unlink(missing_ok=True)
                file.unlink()


def _key(options: list[str], library: Path) -> str:
    """What the object depends on."""
    compiler = shutil.which(options[0])
    if compiler is None:
        raise FileNotFoundError(options[0])
    told: list[object] = [*options, *(os.environ.get(name) for name in _READ_BY_COMPILERS)]
    for file in [Path(compiler).resolve(), *sorted(library.rglob("*"))]:
        found = file.stat()
        told += [str(file), found.st_size, found.st_mtime_ns]
    return hashlib.sha256(repr(told).encode()).hexdigest()[:32]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
