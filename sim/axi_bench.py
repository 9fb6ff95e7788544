"""Simulator side: the engine driven by cocotbext-axi, as anyone's core would be."""

import itertools
import json
import os
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource

from amhw.array.golden import convolutions
from amhw.manifests import EngineManifest
from amhw.multiplier import parse
from amhw.network.quantised import QuantisedNetwork
from amhw.table import ProductTable


@cocotb.test()
async def frames_in_frames_out(dut: Any) -> None:
    """Every code of every frame is the golden model's, with pauses on both sides."""
    path = Path(os.environ["AMHW_MANIFEST"])
    manifest = EngineManifest.read(path)
    network = QuantisedNetwork.load(path.with_name(manifest.network))
    side = manifest.image_side
    images = np.random.default_rng(3).integers(0, 256, (4, 1, side, side), dtype=np.uint8)
    expected = convolutions(network, ProductTable.of(parse(manifest.multiplier)), images)
    dut.rst.value = 1
    dut.s_axis_config_tvalid.value = 0
    Clock(dut.clk, 2, "ns").start()
    source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis_image"), dut.clk, dut.rst)
    sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis_codes"), dut.clk, dut.rst)
    source.set_pause_generator(itertools.cycle([0, 0, 1, 0, 1]))
    sink.set_pause_generator(itertools.cycle([1, 1, 0, 1]))
    for _ in range(4):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    for image in images:
        await source.send(AxiStreamFrame(image.tobytes()))
    matched = 0
    for codes in expected:
        frame = await sink.recv()
        matched += int((np.frombuffer(bytes(frame.tdata), np.uint8) == codes.ravel()).sum())
    outcome = {"pairs": expected.size, "matched": matched, "first_difference": None}
    Path(os.environ["AMHW_OUTCOME"]).write_text(json.dumps(outcome), encoding="utf-8")
