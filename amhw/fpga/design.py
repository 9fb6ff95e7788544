"""The Verilog of a network on a board: the engine behind its serial line, and pins and clock around that."""

from dataclasses import dataclass

from amhw.array import files
from amhw.array.program import Sizes
from amhw.array.schedule import Schedule
from amhw.fpga.board import Board
from amhw.fpga.top import LEDS, SerialEngine
from amhw.refusal import Refusal
from amhw.verilog import check_identifier

FEWEST = 4
"""Clocks a bit of the line, at least: a byte is sampled in the middle of its bits."""

OFF = 0.02
"""By so much may the line's rate be off: a frame's last bit is then sampled a fifth of a bit late."""


@dataclass(frozen=True)
class Line:
    """A serial line of `baud` bits a second in a circuit whose clock has `clock_mhz`.

    >>> Line(50, 1_000_000).divisor
    50

    Raises:
        Refusal: the clock has no such divisor.
    """

    clock_mhz: int
    baud: int

    def __post_init__(self) -> None:
        if self.baud < 1 or self.clock_mhz * 1e6 / self.baud < FEWEST:
            raise Refusal(
                f"--baud {self.baud} at {self.clock_mhz} MHz; wanted 1 to {int(self.clock_mhz * 1e6 / FEWEST)}"
            )
        if abs(self.actual / self.baud - 1) > OFF:
            raise Refusal(
                f"--baud {self.baud} cannot be made of {self.clock_mhz} MHz: the nearest is {self.actual:.0f}; "
                f"wanted one within {OFF:.0%}"
            )

    @property
    def divisor(self) -> int:
        """Clocks a bit."""
        return round(self.clock_mhz * 1e6 / self.baud)

    @property
    def actual(self) -> float:
        """Bits a second."""
        return self.clock_mhz * 1e6 / self.divisor


def serial_engine(schedule: Schedule, line: Line, name: str) -> str:
    """Verilog of a `SerialEngine`, module `name` with ports clk, rst, rx, tx and led.

    Raises:
        Refusal: `name` is no identifier.
    """
    check_identifier(name)
    core = SerialEngine(Sizes((schedule,)), line.divisor)
    text, _ = files.verilog(core, core.engine.array.elements, name)
    return text


def on_board(board: Board, name: str) -> str:
    """Verilog of the module ``board`` around `name`: its pins, a PLL (module ``pll``, as ecppll writes it) and a reset
    that lasts until the PLL has locked."""
    high = "".join(f", output {port}" for port in board.high)
    ones = "".join(f"  assign {port} = 1'b1;\n" for port in board.high)
    return f"""module board(input clk, input rx, output tx, output [{LEDS - 1}:0] led{high});
  wire clock, locked;
  reg [3:0] waiting = 4'hf;
  always @(posedge clock) waiting <= locked ? {{waiting[2:0], 1'b0}} : 4'hf;
  pll pll (.clkin(clk), .clkout0(clock), .locked(locked));
  {name} design (.clk(clock), .rst(waiting[3]), .rx(rx), .tx(tx), .led(led));
{ones}endmodule
"""
