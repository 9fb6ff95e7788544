"""NumPy files from elsewhere: what is in them is known from their headers before anything is unpacked.

A header of a few bytes can announce 4 TiB, and an archive of 3 MB can unpack to 3 billion numbers.
"""

import io
import math
import zipfile
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from amhw.refusal import Refusal


def array_in(content: bytes, most: int) -> NDArray[Any]:
    """The array in a ``.npy`` file.

    Raises:
        Refusal: it is no such file, an archive, an array of objects, or one of more than `most` numbers.
    """
    if content.startswith(b"PK"):
        raise Refusal("an archive of several arrays; give one .npy array")
    try:
        _check(io.BytesIO(content), "", most)
        return np.load(io.BytesIO(content), allow_pickle=False)
    except Refusal:
        raise
    except Exception:  # of a damaged file NumPy raises what its parser happens to meet
        raise Refusal("no NumPy array file (.npy)") from None


def arrays_in(content: bytes, most: int) -> dict[str, NDArray[Any]]:
    """The arrays in a ``.npz`` archive, by name.

    Raises:
        Refusal: it is no such archive, it holds objects, or more than `most` numbers in all.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            left, names = most, [member.removesuffix(".npy") for member in archive.namelist()]
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise Refusal(f"several arrays are called {twice[0]}")
            for member, name in zip(archive.namelist(), names, strict=True):
                with archive.open(member) as file:
                    if file.read(len(npy.MAGIC_PREFIX)) != npy.MAGIC_PREFIX:
                        raise Refusal(f"{name} is no array")
                    file.seek(0)
                    left -= _check(file, name, left)
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return dict(arrays)
    except Refusal:
        raise
    except Exception:  # likewise, and of zipfile and zlib
        raise Refusal("no archive of NumPy arrays (.npz)") from None


def _check(file: IO[bytes], name: str, most: int) -> int:
    """How many numbers the array that starts here holds, from its header alone."""
    called = f"the array {name}" if name else "the array"
    version = npy.read_magic(file)
    read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
    shape, _, dtype = read_header(file)
    count = math.prod(shape)
    if dtype.hasobject or dtype.kind not in "biufc":
        raise Refusal(f"{called} holds {dtype}, not numbers")
    if not 0 <= count <= most:
        raise Refusal(f"{called} has the shape {shape}: {count} numbers; at most {most} are read")
    return count
