"""The Verilog that a manifest names, made again: a simulator does whatever a file says, so none is taken as it is."""

import hashlib
from pathlib import Path

from amhw.array.config import ArrayConfig
from amhw.array.schedule import Schedule
from amhw.fpga.design import Line, serial_engine
from amhw.fpga.report import FpgaManifest
from amhw.multiplier import parse
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
    config = ArrayConfig(
        parse(manifest.multiplier),
        manifest.rows,
        manifest.cols,
        manifest.depth,
        manifest.window,
        manifest.requantisers,
        manifest.batch,
        manifest.sums,
        tuple(map(parse, manifest.masks)),
    )
    multipliers = {layer: parse(name) for layer, name in manifest.multipliers.items()}
    text = serial_engine(Schedule(network, config, multipliers), Line(manifest.clock_mhz, manifest.baud), manifest.name)
    if hashlib.sha256(text.encode()).hexdigest() != manifest.verilog_sha256:
        raise Refusal(f"{path} was written by another version ({manifest.tools.get('amhw')}); run amhw fpga again")
    return text
