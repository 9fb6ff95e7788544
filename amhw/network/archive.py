"""One file for a network: a ``.npz`` archive with a JSON header, without pickle, the same bytes every time.

`numpy.load` opens it: the member ``header`` is UTF-8 JSON as uint8, every other member is an array. Members
are stored (not compressed, so that no library version shows in the bytes) with a fixed date.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from amhw.arrays import arrays_in
from amhw.files import DAMAGED_ARCHIVE
from amhw.refusal import Refusal

_MOST_NUMBERS = 1 << 28

SCHEMA = 2
"""Of the headers; 1 was that of networks without shapes."""


def pack(kind: str, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """The bytes of an archive that says it is a `kind`."""
    whole = {"kind": kind, "schema": SCHEMA, **header}
    text = json.dumps(whole, sort_keys=True, separators=(",", ":")).encode()
    members = {"header": np.frombuffer(text, np.uint8), **arrays}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in members.items():
            content = io.BytesIO()
            little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"))
            np.lib.format.write_array(content, little, version=(1, 0), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), content.getvalue())
    return buffer.getvalue()


def unpack(data: bytes, source: str, kind: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Header and arrays of an archive whose header says that it is a `kind`; `source` names it in messages.

    Raises:
        Refusal: the bytes are no such archive.
    """
    try:
        arrays = arrays_in(data, _MOST_NUMBERS)
        header = json.loads(arrays.pop("header").tobytes().decode())
        found = header["kind"]
    except DAMAGED_ARCHIVE as error:
        raise Refusal(f"{source} is no {kind} file; wanted one written by amhw train or amhw select") from error
    if found != kind:
        raise Refusal(
            f"{source} holds a {found}; wanted a {kind}; amhw train writes both, the float one as …-float.npz"
        )
    if header.get("schema", 1) != SCHEMA:
        raise Refusal(
            f"{source} is a {kind} of file version {header.get('schema', 1)}, and this amhw reads version {SCHEMA}; "
            "make it again with amhw train or amhw select"
        )
    return header, arrays


def kind_of(data: bytes) -> str | None:
    """What an archive says that it is; None where the bytes are no archive."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            return str(json.loads(archive["header"].tobytes())["kind"])
    except DAMAGED_ARCHIVE:
        return None
