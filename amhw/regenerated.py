"""What a manifest names, made again: the only Verilog from a file that a simulator is given as it is.

A manifest says itself which Verilog it describes, so its hash proves nothing about who wrote either of them, and a
simulator does whatever Verilog tells it to, starting programs included.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from amhw.array import files
from amhw.array.cascade_engine import cascade_engine, cascade_of
from amhw.array.designs import conv_engine, matrix_product, network_engine, scheduled
from amhw.array.plan import ConvPlan
from amhw.array.tiling import Tiling
from amhw.files import read_whole
from amhw.manifests import (
    CascadeEngineManifest,
    EngineManifest,
    ImportManifest,
    Manifest,
    MatrixProductManifest,
    MultiplierManifest,
    NetworkEngineManifest,
    read_manifest,
    tools,
    verilog_beside,
)
from amhw.multiplier import parse
from amhw.network.quantised import QuantisedNetwork
from amhw.refusal import Refusal
from amhw.table import ProductTable
from amhw.verilog import Design


@contextmanager
def regenerated(manifest: Path | str) -> Iterator[Path]:
    """The manifest of the design that `manifest` names, emitted again into a temporary folder.

    Raises:
        Refusal: the Verilog beside `manifest` is other Verilog, or the design is not one that is made here.
    """
    path = Path(manifest)
    described = read_manifest(path)
    verilog = verilog_beside(path, described)
    if isinstance(described, ImportManifest) or verilog is None:
        raise Refusal(f"{path} is from elsewhere: its table was read off its circuit, so there is nothing to compare")
    with tempfile.TemporaryDirectory(prefix="amhw-") as folder:
        made, again = _emitted(path, described, Path(folder))
        if read_whole(verilog) != made.read_bytes():
            versions = ", ".join(f"{tool} {version}" for tool, version in tools().items())
            raise Refusal(
                f"{verilog} is not what {described.written_by} writes for what {path.name} names ({versions}); "
                f"write it again with {described.written_by}"
            )
        yield again


def _emitted(path: Path, manifest: Manifest, folder: Path) -> tuple[Path, Path]:
    """Verilog and manifest of the design that `manifest`, read at `path`, names."""
    if isinstance(manifest, MultiplierManifest):
        return Design.parse(manifest.design).write(folder, manifest.name)
    if isinstance(manifest, MatrixProductManifest):
        tiling = Tiling(manifest.shape, manifest.rows, manifest.cols, manifest.depth, manifest.dataflow)
        return files.write(folder, *matrix_product(parse(manifest.multiplier), tiling, manifest.name))[:2]
    if isinstance(manifest, CascadeEngineManifest):
        networks = [_network(path, each.network, each.sha256, manifest.written_by) for each in manifest.networks]
        cascade = cascade_of(manifest, networks)
        for each, network in zip(manifest.networks, networks, strict=True):
            network.save(folder / each.network)
        return files.write(folder, *cascade_engine(cascade, manifest.name))[:2]
    assert isinstance(manifest, EngineManifest | NetworkEngineManifest)
    multiplier = parse(manifest.multiplier)
    network = _network(path, manifest.network, manifest.network_sha256, manifest.written_by)
    text: str
    again: EngineManifest | NetworkEngineManifest
    if isinstance(manifest, NetworkEngineManifest):
        text, again = network_engine(scheduled(manifest, network), manifest.name)
    else:
        plan = ConvPlan(network, ProductTable.of(multiplier), manifest.rows, manifest.cols, manifest.depth)
        text, again = conv_engine(multiplier, plan, manifest.name)
    network.save(folder / again.network)
    return files.write(folder, text, again)[:2]


def _network(path: Path, file: str, sha256: str, written_by: str) -> QuantisedNetwork:
    """The network beside the manifest at `path`."""
    network = QuantisedNetwork.load(path.with_name(file))
    if network.sha256 != sha256:
        raise Refusal(
            f"{path.with_name(file)} is not the network of {path.name} (SHA-256 {network.sha256[:12]}…, "
            f"expected {sha256[:12]}…); write both again with {written_by}"
        )
    return network
