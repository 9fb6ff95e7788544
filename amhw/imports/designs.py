"""A circuit by whatever names it: a design's name, a manifest, or Verilog."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from amhw.files import read_whole
from amhw.imports.source import VERILOG
from amhw.imports.tables import SUFFIXES
from amhw.manifests import MultiplierManifest, is_claimed, read_manifest, verilog_beside
from amhw.refusal import Refusal
from amhw.verilog import Design


def design_of(source: str) -> Design:
    """The design that `source` names.

    Args:
        source: a design's name, or the manifest that ``amhw gen`` wrote (or the Verilog beside it).

    Raises:
        Refusal: it names nothing, or something that was not made here.
    """
    path = Path(source)
    manifest = path.with_suffix(".json")
    if path == manifest or (path.suffix in VERILOG and manifest.is_file() and is_claimed(read_whole(manifest))):
        described = read_manifest(manifest)
        if isinstance(described, MultiplierManifest):
            return Design.parse(described.design)
    if path.suffix in _NOT_MADE_HERE:
        raise Refusal(
            f"{source} is {_NOT_MADE_HERE[path.suffix]}; give a multiplier's name, or the manifest that amhw gen wrote"
        )
    return Design.parse(source)


_NOT_MADE_HERE = {
    ".json": "no manifest of a multiplier that was made here",
    **dict.fromkeys(VERILOG, "Verilog from elsewhere"),
    **dict.fromkeys(SUFFIXES, "a table, no circuit"),
}


def circuit_of(source: str) -> Design | Path:
    """The design that has the name `source`, or the Verilog file that it is the path or the manifest of.

    Raises:
        Refusal: it names neither, but a table, say; or the Verilog is not what its manifest describes.
    """
    path = Path(source)
    if path.suffix == ".json":
        verilog = verilog_beside(path, read_manifest(path))
        if verilog is None:
            raise Refusal(f"{source} describes no Verilog; {_CIRCUITS}")
        return verilog
    if path.suffix in SUFFIXES:
        raise Refusal(f"{source} is a table, no circuit; {_CIRCUITS}")
    if path.suffix or len(path.parts) > 1:
        return path
    return Design.parse(source)


_CIRCUITS = "give a multiplier's name, Verilog, or the manifest that amhw gen, amhw array or amhw import wrote"


@contextmanager
def as_file(circuit: Design | Path) -> Iterator[Path]:
    """Its Verilog file, a manifest beside it: where it is, or in a temporary folder."""
    if isinstance(circuit, Path):
        yield circuit
        return
    with tempfile.TemporaryDirectory(prefix="amhw-") as folder:
        yield circuit.write(folder)[0]


@contextmanager
def manifest_of(source: str) -> Iterator[Path]:
    """The manifest of the circuit that `source` names, its Verilog beside it; of a name, in a temporary folder.

    Raises:
        Refusal: as `circuit_of`.
    """
    with as_file(circuit_of(source)) as verilog:
        yield Path(source) if Path(source).suffix == ".json" else verilog.with_suffix(".json")
