"""Files that are either whole or absent."""

import atexit
import codecs
import contextlib
import fcntl
import lzma
import os
import re
import shutil
import stat
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from amhw.refusal import Refusal

DAMAGED_ARCHIVE: tuple[type[Exception], ...] = (
    *(ValueError, KeyError, TypeError, AttributeError, OSError, EOFError, RuntimeError, MemoryError),
    *(SyntaxError, tokenize.TokenError),  # NumPy's headers are Python literals
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)
"""What NumPy and zipfile raise for wrong bytes; RuntimeError for encryption or a compression they do not know."""


def write_atomically(path: Path | str, content: str | bytes) -> Path:
    """Write `content` to `path` so that a reader sees the old file or the new one, never a part.

    The folder is created if need be. The text is UTF-8 with ``\\n`` line ends on every platform.

    Raises:
        Refusal: the folder cannot be created or written.
    """
    path = Path(path)
    data = content.encode() if isinstance(content, str) else content
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}."[:64])
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise Refusal(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    return path


def check_writable(path: Path | str, *inputs: Path | str) -> None:
    """Refuse what could not be written, before the work whose result it is to hold; nothing is created.

    Args:
        path: a file, which may be there already.
        inputs: files that the work reads, which it must not replace.

    Raises:
        Refusal: it is a folder, its folder cannot be made or written, or it is one of the inputs.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise Refusal(f"cannot write {path}: it is a folder; give the name of a file")
        folder = next(above for above in path.absolute().parents if above.exists())
        if not folder.is_dir():
            raise Refusal(f"cannot write {path}: {folder} is no folder")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise Refusal(f"cannot write {path}: no permission to write into {folder}")
        for other in map(Path, inputs):
            if path.exists() and other.exists() and path.samefile(other):
                raise Refusal(f"{path} would be overwritten, and it is what is read; give another file")
    except (OSError, ValueError) as error:
        raise Refusal(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from None


def state_of(path: Path | str) -> Sequence[int] | None:
    """What changes when a file is written again; None where there is no such file."""
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


def read_whole(path: Path | str, most: int | None = None) -> bytes:
    """The bytes of `path`.

    Args:
        path: the file.
        most: so many bytes are read at most; what has no end (a device) must not be waited for.

    Raises:
        Refusal: the file is missing, cannot be read, or has more than `most` bytes.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read() if most is None else file.read(most + 1)
    except (OSError, ValueError) as error:  # a NUL in the name is a ValueError
        raise Refusal(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    if most is not None and len(content) > most:
        raise Refusal(f"{path} is larger than {most} bytes, more than any file of its kind needs")
    return content


def decoded(content: bytes) -> str:
    """Text without its byte-order mark: UTF-16 or UTF-32 where the mark says so, else UTF-8, else Latin-1.

    >>> decoded(b"\\xef\\xbb\\xbfa,b"), decoded("a,b".encode("utf-16")), decoded(b"// \\xb5m")
    ('a,b', 'a,b', '// µm')
    """
    for marks, encoding in (
        ((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE), "utf-32"),
        ((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE), "utf-16"),
        ((codecs.BOM_UTF8,), "utf-8-sig"),
    ):
        if content.startswith(marks):
            return content.decode(encoding, errors="replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def shown(name: str) -> str:
    """The name of a file as text that can be written anywhere: bytes that are no text in it are replaced.

    >>> shown("gr\\udcc3\\udcb6\\udcff.v")
    'grö\ufffd.v'
    """
    return name.encode("utf-8", errors="surrogateescape").decode("utf-8", errors="replace")


def use_temporary_folder() -> None:
    """Keep temporary files, of this process and of those that it starts, in a folder that goes when this process ends.

    If it is killed, the next one removes the folder. Its path has no blanks or quotes: Yosys, ABC, make and Icarus hand
    paths on to one another and to a shell as they are.
    """
    global _lock
    if _lock is not None and Path(tempfile.gettempdir()).is_dir():
        return
    for folder in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        if re.fullmatch(r"[\w./+-]+", folder, re.ASCII) and os.access(folder, os.W_OK | os.X_OK):
            _remove_abandoned(Path(folder))
            own = Path(tempfile.mkdtemp(prefix=_RUN, dir=folder))
            _lock = os.open(own / "lock", os.O_CREAT | os.O_RDWR, 0o600)
            fcntl.flock(_lock, fcntl.LOCK_EX)
            tempfile.tempdir = os.environ["TMPDIR"] = str(own)
            atexit.register(_remove_own, own, folder, os.getpid())
            return


_RUN = "amhw-run-"
_lock: int | None = None
"""Held by the process whose temporary folder it is in, until it ends, however that is."""


def _remove_own(own: Path, before: str, process: int) -> None:
    """Remove this process' own temporary folder; a process forked from it has no part in it."""
    if os.getpid() == process:
        tempfile.tempdir = os.environ["TMPDIR"] = before
        shutil.rmtree(own, ignore_errors=True)


def _remove_abandoned(folder: Path) -> None:
    """Remove what processes of this user that were killed have left in `folder`."""
    for left in folder.glob(f"{_RUN}*"):
        with contextlib.suppress(OSError):
            if left.lstat().st_uid != os.getuid():
                continue
            lock = os.open(left / "lock", os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(lock)


def use_writable_cache_folder() -> None:
    """Keep caches in the temporary folder where the home folder is read-only, as in containers and on clusters.

    The tools that keep compiled WebAssembly, and matplotlib, fail or complain without one. A user whom the system does
    not know, as containers have them, gets a home folder there.
    """
    try:
        usual: Path | None = Path.home() / ".cache"
    except RuntimeError:
        usual = None
    if usual is None or not _can_hold_files(Path(os.environ.get("XDG_CACHE_HOME") or usual)):
        caches = str(_own_folder(Path(tempfile.gettempdir()) / f"amhw-cache-{os.getuid()}"))
        os.environ["XDG_CACHE_HOME"] = caches
        os.environ.setdefault("MPLCONFIGDIR", caches)
        if usual is None:
            os.environ["HOME"] = caches


def _can_hold_files(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _own_folder(folder: Path) -> Path:
    """`folder`, if nobody else can put code into it that is run later; else a new one, for this process."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022:
            return folder
    except OSError:
        pass
    new = tempfile.mkdtemp(prefix="amhw-cache-")
    atexit.register(shutil.rmtree, new, ignore_errors=True)
    return Path(new)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
