"""The pictures of docs/array.md: the convolution engine's blocks, and one tile in the array as a simulator shows it.

The waveform comes from a VCD file that Icarus Verilog wrote for the emitted Verilog; nothing in it is drawn by hand.

Example: python scripts/array_pictures.py
"""

import re
import subprocess
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import click
import numpy as np

from amhw import parse
from amhw.array.designs import matrix_product
from amhw.array.tiling import Tiling
from amhw.commands.base import Command
from amhw.files import write_atomically
from amhw.manifests import Port

PICTURES = Path(__file__).resolve().parent.parent / "docs" / "pictures"
STYLE = "font-family: sans-serif; font-size: 12px"
SHADES = ("#cfe3f7", "#fbe0c3", "#d6efd1", "#ead7f0")


@click.command(cls=Command, epilog="Example: python scripts/array_pictures.py")
def main() -> None:
    """Write docs/pictures/array-engine.svg and docs/pictures/array-tile.svg."""
    write_atomically(PICTURES / "array-engine.svg", engine())
    with tempfile.TemporaryDirectory() as folder:
        write_atomically(PICTURES / "array-tile.svg", tile(Path(folder)))
    click.echo("docs/pictures/array-engine.svg\ndocs/pictures/array-tile.svg")


# The engine's blocks: name: (x, y, width, height, lines of text).

BLOCKS = {
    "image": (10, 40, 110, 44, ("s_axis_image", "8-bit pixels")),
    "round": (150, 40, 110, 44, ("code + rounding", "saturating")),
    "banks": (290, 30, 130, 64, ("image banks", "25 memories", "two buffers")),
    "maps": (290, 130, 130, 64, ("layer 1 maps", "25 memories", "all channels")),
    "window": (460, 70, 130, 84, ("window", "rotate rows, columns", "mask the padding", "25 taps a clock")),
    "array": (640, 60, 150, 104, (
        "systolic array", "25 × 16 elements", "skew and de-skew", "two weights each:", "at work, coming",
    )),
    "weights": (640, 210, 150, 54, ("weight memory", "a tile after another")),
    "config": (460, 215, 110, 44, ("s_axis_config", "address, data")),
    "sums": (830, 60, 130, 64, ("+ partial sums", "one a position", "and column")),
    "pool": (830, 150, 130, 44, ("2×2 maximum", "held four clocks")),
    "requantise": (830, 220, 130, 64, ("bias, factor, shift", "4 units for 16", "columns; ReLU")),
    "output": (560, 320, 130, 54, ("layer 2 maps", "two buffers")),
    "queue": (370, 325, 110, 44, ("queue",)),
    "codes": (200, 325, 120, 44, ("m_axis_codes", "by channel, row, col.")),
    "control": (150, 215, 270, 64, (
        "two walks over the same loops", "issue: a position's turn at the banks", "retire: its turn at the sums",
    )),
}  # fmt: skip

MEMORIES = ("banks", "maps", "weights", "sums", "output")

ARROWS = (
    ((120, 62), (150, 62)),
    ((260, 62), (290, 62)),
    ((420, 62), (440, 62), (440, 100), (460, 100)),
    ((420, 162), (440, 162), (440, 124), (460, 124)),
    ((590, 112), (640, 112)),
    ((715, 210), (715, 164)),
    ((570, 237), (640, 237)),
    ((790, 92), (830, 92)),
    ((895, 124), (895, 150)),
    ((895, 194), (895, 220)),
    ((895, 284), (895, 347), (690, 347)),
    ((830, 252), (810, 252), (810, 300), (445, 300), (445, 205), (355, 205), (355, 194)),
    ((560, 347), (480, 347)),
    ((370, 347), (320, 347)),
)


def engine() -> str:
    """The block diagram."""
    return block_diagram((980, 390), BLOCKS, MEMORIES, ARROWS, dashed=("control",))


Block = tuple[int, int, int, int, tuple[str, ...]]


def block_diagram(
    size: tuple[int, int],
    blocks: Mapping[str, Block],
    memories: Collection[str],
    arrows: Iterable[Iterable[tuple[int, int]]],
    dashed: Collection[str] = (),
) -> str:
    """Blocks with lines of text, the first one bold, and arrows; memories and streams have other colours."""
    parts = []
    for name, (x, y, width, height, lines) in blocks.items():
        fill = "#f4f4f4" if "axis" in lines[0] else SHADES[1] if name in memories else SHADES[0]
        dash = ' stroke-dasharray="4 3"' if name in dashed else ""
        parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="4" fill="{fill}" stroke="#444"{dash}/>'
        )
        top = y + height / 2 - 7.5 * (len(lines) - 1) + 4
        for k, line in enumerate(lines):
            weight = ' font-weight="bold"' if k == 0 else ""
            parts.append(_text(x + width / 2, top + 15 * k, line, f'text-anchor="middle"{weight}'))
    for points in arrows:
        path = " ".join(f"{x},{y}" for x, y in points)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="#444" stroke-width="1.5" marker-end="url(#head)"/>'
        )
    head = (
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z" fill="#444"/></marker></defs>'
    )
    return _svg(*size, [head, *parts])


# One tile: three rows and two columns, six vectors, three tiles one after another.

TILING = Tiling((6, 9, 2), 3, 2)
FIRST, LAST = 3, 33


def tile(folder: Path) -> str:
    """The waveform of the array inside a matrix product."""
    text, manifest = matrix_product(parse("mul_u8s8_pp_full"), TILING, "product")
    a = np.arange(1, 1 + 6 * 9).reshape(6, 9)
    b = np.where(np.eye(9, 2, dtype=bool) | (np.arange(9)[:, None] > 2), 1, -1) * (1 + np.arange(9)[:, None])
    (folder / "product.v").write_text(text)
    (folder / "bench.v").write_text(_bench(manifest.ports, *TILING.tiles_of(a, b)))
    for command in (["iverilog", "-g2005", "-o", "run", "bench.v", "product.v"], ["vvp", "-n", "run"]):
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    waves, sizes = _vcd((folder / "waves.vcd").read_text())
    width_s = sizes["s"] // 2
    clocks = range(FIRST, LAST)

    def row(name: str, low: int = 0, width: int = 1, signed: bool = False) -> list[int]:
        values = []
        for clock in clocks:
            bits = waves[name][clock]
            bits = bits.rjust(max(len(bits), low + width), "0")
            part = bits[len(bits) - low - width : len(bits) - low]
            value = int(part, 2) if set(part) <= {"0", "1"} else 0
            values.append(value - (1 << width) if signed and value >> (width - 1) else value)
        return values

    swaps = [clock for clock, bit in zip(clocks, row("swap"), strict=True) if bit]
    rows: list[tuple[str, list[int], str, int]] = [
        ("clock", list(clocks), "clock", 0),
        ("w_load", row("w_load"), "bit", -3),
        ("w, column 0", row("w", 0, 8, True), "load", -3),
        ("w, column 1", row("w", 8, 8, True), "load", -3),
        ("swap", row("swap"), "bit", 0),
        *((f"a, row {i}", row("a", 8 * i, 8), "bus", 0) for i in range(3)),
        ("a at row 2", row("skew_2_1", 0, 8), "bus", 2),
        ("sum leaving row 0", row("s_0_0", 0, sizes["s_0_0"], True), "bus", 2),
        ("sum leaving row 2", row("s_2_0", 0, sizes["s_2_0"], True), "bus", 4),
        ("s, column 0", row("s", 0, width_s, True), "bus", 5),
        ("s, column 1", row("s", width_s, width_s, True), "bus", 5),
    ]
    loads = dict(zip(clocks, row("w_load"), strict=True))
    return _waveform(rows, list(clocks), swaps, loads)


def _waveform(
    rows: Sequence[tuple[str, list[int], str, int]], clocks: list[int], swaps: list[int], loads: dict[int, int]
) -> str:
    step, height, left = 30, 26, 130
    parts = []
    for k, (label, values, kind, delay) in enumerate(rows):
        top = 14 + k * height
        bottom = top + height - 9
        middle = (top + bottom) / 2
        parts.append(_text(left - 8, middle + 4, label, 'text-anchor="end"'))
        if kind == "clock":
            points = " ".join(
                f"{left + i * step},{bottom} {left + i * step},{top} {left + (i + 0.5) * step},{top} "
                f"{left + (i + 0.5) * step},{bottom}"
                for i in range(len(values))
            )
            parts.append(f'<polyline points="{points}" fill="none" stroke="#444"/>')
            continue
        if kind == "bit":
            points = " ".join(
                f"{left + i * step},{bottom - v * (bottom - top)} {left + (i + 1) * step},{bottom - v * (bottom - top)}"
                for i, v in enumerate(values)
            )
            parts.append(f'<polyline points="{points}" fill="none" stroke="#06c" stroke-width="1.6"/>')
            continue
        for i, (clock, value) in enumerate(zip(clocks, values, strict=True)):
            tile_now = [n for n, swap in enumerate(swaps) if swap + delay <= clock < swap + delay + 6]
            if kind == "load":
                done = sum(loads.get(c, 0) for c in range(clocks[0], clock))
                tile_now = [done // 3] if loads.get(clock) else []
            x = left + i * step
            if not tile_now:
                parts.append(f'<line x1="{x}" x2="{x + step}" y1="{middle}" y2="{middle}" stroke="#bbb"/>')
                continue
            corners = ((0, middle), (3, top), (step - 3, top), (step, middle), (step - 3, bottom), (3, bottom))
            shape = " ".join(f"{x + dx},{y}" for dx, y in corners)
            fill = SHADES[tile_now[-1] % len(SHADES)]
            parts.append(f'<polygon points="{shape}" fill="{fill}" stroke="#444" stroke-width="0.8"/>')
            parts.append(_text(x + step / 2, middle + 3.5, str(value), 'text-anchor="middle" style="font-size: 9px"'))
    return _svg(left + step * len(clocks) + 10, 14 + len(rows) * height + 4, parts)


def _bench(ports: dict[str, Port], beats_a: np.ndarray, beats_b: np.ndarray) -> str:
    """A Verilog bench that offers a product's beats without a pause and dumps the array's signals."""

    def words(name: str, beats: np.ndarray) -> str:
        return "\n".join(
            f"    {name}[{k}] = {{{', '.join(f'8{chr(39)}d{int(v) & 255}' for v in reversed(beat))}}};"
            for k, beat in enumerate(beats)
        )

    widths = {name: port.width for name, port in ports.items()}
    return f"""
module bench;
  reg clk = 0, rst = 1;
  integer sent_a = 0, sent_b = 0;
  reg [{widths["s_axis_a_tdata"] - 1}:0] a [0:{len(beats_a) - 1}];
  reg [{widths["s_axis_b_tdata"] - 1}:0] b [0:{len(beats_b) - 1}];
  wire ready_a, ready_b;
  product dut(.clk(clk), .rst(rst), .s_axis_a_tdata(a[sent_a]), .s_axis_a_tvalid(sent_a < {len(beats_a)}),
    .s_axis_a_tready(ready_a), .s_axis_b_tdata(b[sent_b]), .s_axis_b_tvalid(sent_b < {len(beats_b)}),
    .s_axis_b_tready(ready_b), .m_axis_c_tready(1'b1));
  always #5 clk = ~clk;
  initial begin
{words("a", beats_a)}
{words("b", beats_b)}
    $dumpfile("waves.vcd");
    $dumpvars(1, dut.core.array);
    repeat (3) @(posedge clk);
    #1 rst = 0;
    repeat (60) begin
      @(negedge clk);
      if (!rst) begin : offer
        reg took_a, took_b;
        took_a = ready_a && sent_a < {len(beats_a)};
        took_b = ready_b && sent_b < {len(beats_b)};
        @(posedge clk) #1;
        if (took_a) sent_a = sent_a + 1;
        if (took_b) sent_b = sent_b + 1;
      end
    end
    $finish;
  end
endmodule
"""


def _vcd(text: str) -> tuple[dict[str, list[str]], dict[str, int]]:
    """Every signal's bits in each clock, as they are before the clock's edge (every 10 units from 5), and its width."""
    names: dict[str, list[str]] = {}
    sizes = {}
    for size, code, name in re.findall(r"\$var \w+ (\d+) (\S+) (\S+)", text):
        names.setdefault(code, []).append(name)
        sizes[name] = int(size)
    now: dict[str, str] = {}
    waves: dict[str, list[str]] = {name: [] for found in names.values() for name in found}
    time, edge = 0, 5
    for line in text[text.index("$enddefinitions") :].splitlines():
        if line.startswith("#"):
            time = int(line[1:])
            while time >= edge:
                for code, found in names.items():
                    for name in found:
                        waves[name].append(now.get(code, "0"))
                edge += 10
        elif match := re.fullmatch(r"b(\S+) (\S+)|([01xz])(\S+)", line):
            now[match[2] or match[4]] = match[1] or match[3]
    return waves, sizes


def _text(x: float, y: float, text: str, more: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" {more}>{escape(text)}</text>'


def _svg(width: int, height: int, parts: Sequence[str]) -> str:
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'style="{STYLE}">\n<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
    )


if __name__ == "__main__":
    main()
