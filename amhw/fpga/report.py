"""What became of a network on an FPGA: the manifest beside its bitstream."""

from dataclasses import dataclass
from typing import ClassVar

from amhw.documents import Count, Document, FileName, Name


@dataclass(frozen=True)
class Used:
    """So many of a kind are used, and so many there are."""

    used: Count
    available: Count


@dataclass(frozen=True)
class FpgaManifest(Document):
    """Of a bitstream and the Verilog that it was made of.

    Attributes:
        name: of ``NAME.bit`` and ``NAME.v``.
        multiplier: in every element of the array.
        masks: what the array can be told to multiply instead; `multipliers`: of each layer, where they differ.
        network: the file of the quantised network, beside the manifest.
        device, board: where it runs.
        clock_mhz: of the engine.
        baud: of the serial line, as it was asked for; `divisor`: clocks a bit.
        input_shape: [C, H, W] of an image.
        classes: logits of an image.
        luts, flip_flops, block_rams, dsps: what is used; LUTs with those of carries and of small memories.
        fmax_mhz: what the slowest path allows.
        clocks_per_image: of the engine, from one image to the next of many; `latency`: of a single one.
        images_per_second: of the engine at its clock; `images_per_second_serial`: what the line lets through, one image
            after the other's answer.
    """

    kind: ClassVar[str] = "fpga"
    schema: ClassVar[int] = 1
    called: ClassVar[str] = "manifest of a network on an FPGA"
    written_by: ClassVar[str] = "amhw fpga"

    name: FileName
    multiplier: Name
    masks: tuple[Name, ...]
    multipliers: dict[str, Name]
    network: FileName
    network_sha256: str
    device: Name
    board: Name
    clock_mhz: Count
    baud: Count
    divisor: Count
    input_shape: tuple[Count, Count, Count]
    classes: Count
    rows: Count
    cols: Count
    depth: Count
    window: tuple[Count, Count]
    requantisers: Count
    batch: Count
    sums: Count
    luts: Used
    flip_flops: Used
    block_rams: Used
    dsps: Used
    fmax_mhz: float
    clocks_per_image: float
    latency: Count
    images_per_second: float
    images_per_second_serial: float
    seed: Count
    verilog_sha256: str
    bitstream_sha256: str
    tools: dict[str, str]

    def summary(self) -> str:
        """For people."""
        kinds = {"LUTs": self.luts, "flip-flops": self.flip_flops, "block RAMs": self.block_rams, "DSPs": self.dsps}
        return "\n".join(
            [
                f"{self.device} on {self.board}, {self.rows} × {self.cols} elements with {self.multiplier}",
                "   ".join(f"{kind} {each.used} of {each.available}" for kind, each in kinds.items()),
                f"Fmax {self.fmax_mhz:.1f} MHz, clock {self.clock_mhz} MHz",
                f"{self.clocks_per_image:.0f} clocks an image, {self.latency} for a single one: "
                f"{self.images_per_second:.0f} images a second, {self.images_per_second_serial:.0f} over the serial "
                f"line of {self.baud} baud",
            ]
        )
