"""The pictures of the engine for whole networks in docs/array.md: its blocks, and what each does as images go through.

The second one comes from a VCD file that Icarus Verilog wrote for the emitted Verilog of a small network; nothing in it
is drawn by hand.

Example: python scripts/engine_pictures.py
"""

import re
import subprocess
import tempfile
from itertools import groupby
from pathlib import Path

import click
import numpy as np
from array_pictures import PICTURES, SHADES, _svg, _text, block_diagram

from amhw import parse
from amhw.array.config import ArrayConfig
from amhw.array.designs import network_engine
from amhw.array.schedule import Schedule
from amhw.commands.base import Command
from amhw.files import write_atomically
from amhw.network.layers import Convolution, Flatten, Linear, MaxPool
from amhw.network.network import Network
from amhw.network.quantised import QuantisedLayer, QuantisedNetwork
from amhw.network.requantisation import Requantisation

BLOCKS = {
    "image": (10, 30, 110, 44, ("s_axis_image", "8-bit pixels")),
    "receiver": (150, 30, 120, 44, ("receiver", "code, rounding")),
    "window": (310, 20, 150, 124, (
        "window", "25 banks: images,", "maps, slots of a batch", "rotate rows, columns", "mask the padding",
        "25 taps a clock",
    )),
    "walk": (150, 140, 120, 64, ("walk", "corner, banks,", "what is inside")),
    "sequencer": (150, 240, 120, 64, ("sequencer", "turns, operations,", "batches")),
    "array": (500, 20, 150, 84, ("systolic array", "25 × 16 elements", "two weights each")),
    "loader": (500, 140, 150, 44, ("weight loader", "a tile after another")),
    "accumulator": (690, 20, 130, 64, ("accumulator", "+ sums of the tiles", "before")),
    "pool": (690, 110, 130, 44, ("pool", "greatest, or sum")),
    "requantiser": (690, 180, 130, 64, ("requantiser", "bias, factor, shift", "4 units; clamp")),
    "store": (690, 270, 130, 44, ("store", "bank, address")),
    "retire": (500, 240, 150, 64, ("retire", "the same loops,", "45 clocks later")),
    "results": (690, 350, 130, 44, ("results", "logits, class")),
    "answer": (500, 350, 150, 44, ("m_axis_results", "32-bit words")),
    "programs": (310, 240, 150, 64, ("programs", "a record an operation", "for each unit")),
    "config": (310, 350, 150, 44, ("s_axis_config", "address, data")),
}  # fmt: skip

MEMORIES = ("window", "loader", "accumulator", "programs", "results")

ARROWS = (
    ((120, 52), (150, 52)),
    ((270, 52), (310, 52)),
    ((270, 160), (290, 160), (290, 110), (310, 110)),
    ((210, 240), (210, 204)),
    ((460, 62), (500, 62)),
    ((460, 124), (675, 124), (675, 132), (690, 132)),
    ((575, 140), (575, 104)),
    ((650, 52), (690, 52)),
    ((755, 84), (755, 110)),
    ((755, 154), (755, 180)),
    ((755, 244), (755, 270)),
    ((820, 212), (850, 212), (850, 372), (820, 372)),
    ((690, 292), (670, 292), (670, 206), (385, 206), (385, 144)),
    ((690, 372), (650, 372)),
    ((310, 272), (270, 272)),
    ((460, 272), (500, 272)),
    ((385, 350), (385, 304)),
    ((650, 260), (680, 260), (680, 212), (690, 212)),
)


@click.command(cls=Command, epilog="Example: python scripts/engine_pictures.py")
def main() -> None:
    """Write docs/pictures/array-network.svg and docs/pictures/array-network-run.svg."""
    write_atomically(PICTURES / "array-network.svg", blocks())
    with tempfile.TemporaryDirectory() as folder:
        write_atomically(PICTURES / "array-network-run.svg", run(Path(folder)))
    click.echo("docs/pictures/array-network.svg\ndocs/pictures/array-network-run.svg")


def blocks() -> str:
    """The block diagram."""
    return block_diagram((870, 410), BLOCKS, MEMORIES, ARROWS)


# Three images through a small network.

IMAGES = 3
SIDE = 10


def small() -> Schedule:
    """Two convolutions, the first with a pool, and two linear layers, on 9 × 4 elements and for batches of two."""
    random = np.random.default_rng(3)
    structure = Network(
        "small",
        (1, SIDE, SIDE),
        3,
        (
            Convolution("conv1", 4, (3, 3), padding=(1, 1)),
            MaxPool("pool1", (2, 2), (2, 2)),
            Convolution("conv2", 4, (3, 3)),
            Flatten("flatten"),
            Linear("fc1", 8),
            Linear("fc2", 3, relu=False),
        ),
    )
    layers = []
    for layer in structure.multiplying:
        shape = structure.weight_shape(layer)
        last = layer is structure.layers[-1]
        constants = None if last else Requantisation.of(0.02, 255)
        layers.append(QuantisedLayer(layer, random.integers(-40, 60, shape), np.zeros(shape[0]), constants))
    network = QuantisedNetwork(structure, tuple(layers), name="small")
    return Schedule(network, ArrayConfig(parse("mul_u8s8_pp_full"), 9, 4, batch=2))


def run(folder: Path) -> str:
    """Which operation each unit is at, clock by clock."""
    schedule = small()
    text, _ = network_engine(schedule, "engine")
    (folder / "engine.v").write_text(text)
    pixels = np.random.default_rng(4).integers(0, 256, IMAGES * SIDE * SIDE)
    (folder / "pixels.hex").write_text("\n".join(f"{pixel:02x}" for pixel in pixels))
    (folder / "bench.v").write_text(_bench(len(pixels), IMAGES * (schedule.setup.classes + 1)))
    for command in (["iverilog", "-g2005", "-o", "run", "bench.v", "engine.v"], ["vvp", "-n", "run"]):
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    waves = _vcd((folder / "waves.vcd").read_text())
    clocks = len(waves["bench.count"])
    names = [one.name for one in schedule.operations]

    def values(name: str) -> list[int]:
        return [int(bits, 2) if set(bits) <= {"0", "1"} else 0 for bits in waves[name]]

    def marked(flag: str, by: str | None = None) -> list[int | None]:
        """What `by` is while the flag is high."""
        high = values(flag)
        shown = values(by) if by else [0] * clocks
        return [shown[k] if high[k] else None for k in range(clocks)]

    core = "bench.dut.core"
    pixel = marked(f"{core}.receiver.write")
    written = marked(f"{core}.window.write", f"{core}.retire.operation")
    rows: list[tuple[str, list[int | None], bool]] = [
        ("pixels in", pixel, False),
        ("next weights there", marked(f"{core}.loader.ready"), False),
        ("positions' turns", marked(f"{core}.sequencer.step", f"{core}.sequencer.operation"), True),
        ("sums arrive", marked(f"{core}.retire.coming", f"{core}.retire.operation"), True),
        # Pixels go through the same port.
        ("codes written", [code if k is None else None for code, k in zip(written, pixel, strict=True)], True),
        ("results out", marked("bench.valid"), False),
    ]
    return _timeline(rows, names, clocks)


def _timeline(rows: list[tuple[str, list[int | None], bool]], names: list[str], clocks: int) -> str:
    scale, height, left = 820 / clocks, 30, 140
    shades = (*SHADES, "#f7d6d6")
    parts = []
    for k, (label, values, named) in enumerate(rows):
        top = 12 + k * height
        parts.append(_text(left - 8, top + 15, label, 'text-anchor="end"'))
        parts.append(f'<line x1="{left}" x2="{left + 820}" y1="{top + 20}" y2="{top + 20}" stroke="#bbb"/>')
        at = 0
        for value, group in groupby(values):
            count = len(list(group))
            if value is not None:
                fill = shades[value % len(shades)] if named else "#888"
                x, width = left + at * scale, max(count * scale, 0.4)
                parts.append(f'<rect x="{x:.2f}" y="{top}" width="{width:.2f}" height="20" fill="{fill}"/>')
            at += count
    bottom = 12 + len(rows) * height
    for clock in range(0, clocks, 200):
        x = left + clock * scale
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{bottom - 6}" y2="{bottom}" stroke="#444"/>')
        parts.append(_text(x, bottom + 14, str(clock), 'text-anchor="middle"'))
    for k, name in enumerate(names):
        x = left + 120 * k
        parts.append(f'<rect x="{x}" y="{bottom + 28}" width="14" height="14" fill="{shades[k % len(shades)]}"/>')
        parts.append(_text(x + 20, bottom + 40, name))
    return _svg(left + 840, bottom + 52, parts)


def _bench(pixels: int, beats: int) -> str:
    """A Verilog bench that offers pixels without a pause, takes all results, and dumps what the units do."""
    units = ", ".join(f"dut.core.{unit}" for unit in ("receiver", "loader", "sequencer", "retire", "window"))
    return f"""
module bench;
  reg clk = 0, rst = 1;
  reg [7:0] pixels [0:{pixels - 1}];
  integer sent = 0, got = 0;
  reg [15:0] count = 0;
  wire ready, valid, last;
  wire [31:0] data;
  engine dut(.clk(clk), .rst(rst), .s_axis_image_tdata(pixels[sent < {pixels} ? sent : 0]),
    .s_axis_image_tvalid(!rst && sent < {pixels}), .s_axis_image_tlast((sent + 1) % {SIDE * SIDE} == 0),
    .s_axis_image_tready(ready), .m_axis_results_tdata(data), .m_axis_results_tvalid(valid),
    .m_axis_results_tready(1'b1), .m_axis_results_tlast(last), .s_axis_config_tdata(64'd0),
    .s_axis_config_tvalid(1'b0));
  always #5 clk = ~clk;
  initial begin
    $readmemh("pixels.hex", pixels);
    $dumpfile("waves.vcd");
    $dumpvars(1, bench, {units});
    repeat (2) @(posedge clk);
    rst <= 0;
  end
  always @(posedge clk) begin
    count <= count + 1;
    if (!rst && ready && sent < {pixels}) sent <= sent + 1;
    if (!rst && valid) got = got + 1;
    if (got == {beats}) $finish;
  end
endmodule
"""


def _vcd(text: str) -> dict[str, list[str]]:
    """The bits of every signal, by its full name, in each clock: before the clock's edge, every 10 units from 5."""
    names: dict[str, list[str]] = {}
    scopes: list[str] = []
    for line in text[: text.index("$enddefinitions")].splitlines():
        if match := re.match(r"\$scope \w+ (\S+)", line):
            scopes.append(match[1])
        elif line.startswith("$upscope"):
            scopes.pop()
        elif match := re.match(r"\$var \w+ \d+ (\S+) (\S+)", line):
            names.setdefault(match[1], []).append(".".join([*scopes, match[2]]))
    now: dict[str, str] = {}
    waves: dict[str, list[str]] = {name: [] for found in names.values() for name in found}
    edge = 5
    for line in text[text.index("$enddefinitions") :].splitlines():
        if line.startswith("#"):
            while int(line[1:]) >= edge:
                for code, found in names.items():
                    for name in found:
                        waves[name].append(now.get(code, "0"))
                edge += 10
        elif match := re.fullmatch(r"b(\S+) (\S+)|([01xz])(\S+)", line):
            now[match[2] or match[4]] = match[1] or match[3]
    return waves


if __name__ == "__main__":
    main()
