"""The Verilog that a manifest names, made again: a simulator does whatever a file says, so none is taken as it is."""

import hashlib
from pathlib import Path

from amhw.array.designs import scheduled
from amhw.fpga.design import Line, serial_engine
from amhw.fpga.report import FpgaManifest
from amhw.network.quantised import QuantisedNetwork
from amhw.refusal import Refusal


def remade(path: Path, manifest: FpgaManifest) -> str:
    """The Verilog of the manifest that was read from `path`.

    Raises:
        Refusal: the network beside it is another one, or what comes out is not what the manifest describes.
    """
    network = QuantisedNetwork.load(path.with_name(manifest.network))
    if network.sha256 != manifest.network_sha256:
        raise Refusal(f"{manifest.network} is not the network that {path.name} describes; run amhw fpga again")
    text = serial_engine(scheduled(manifest, network), Line(manifest.clock_mhz, manifest.baud), manifest.name)
    if hashlib.sha256(text.encode()).hexdigest() != manifest.verilog_sha256:
        raise Refusal(f"{path} was written by another version ({manifest.tools.get('amhw')}); run amhw fpga again")
    return text
