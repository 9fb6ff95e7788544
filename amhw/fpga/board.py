"""Facts of boards: clock and pins.

ULX3S, versions 2 and 3.0: pins and electrical standards are those of the board's own constraints,
https://github.com/emard/ulx3s/blob/master/doc/constraints/ulx3s_v20.lpf (file version 0a4321a). There, names are the
USB chip's: it receives on ``ftdi_rxd`` what the FPGA sends. The board comes with any of `amhw.fpga.devices.DEVICES`.
"""

from dataclasses import dataclass

from amhw.refusal import Refusal


@dataclass(frozen=True)
class Pin:
    """A pin of the FPGA and what its constraints say beside ``IO_TYPE=LVCMOS33``."""

    site: str
    standard: str


@dataclass(frozen=True)
class Board:
    """A board with an oscillator, a serial port and eight light-emitting diodes.

    Attributes:
        package: of the FPGA.
        clock_mhz: of the oscillator.
        pins: of the ports ``clk``, ``rx``, ``tx``, ``led[0]`` … ``led[7]`` and of those in `high`.
        high: ports that have to be 1.
        configuration: line of the constraints about configuration.
    """

    package: str
    clock_mhz: float
    pins: dict[str, Pin]
    high: tuple[str, ...]
    configuration: str

    def constraints(self) -> str:
        """As nextpnr reads them (LPF)."""
        lines = [self.configuration, f'FREQUENCY PORT "clk" {self.clock_mhz:g} MHZ;']
        for port, pin in self.pins.items():
            lines += [f'LOCATE COMP "{port}" SITE "{pin.site}";', f'IOBUF PORT "{port}" {pin.standard};']
        return "\n".join(lines) + "\n"


_LEDS = ("B2", "C2", "C1", "D2", "D1", "E2", "E1", "H3")

BOARDS = {
    "ulx3s": Board(
        package="CABGA381",
        clock_mhz=25.0,
        pins={
            "clk": Pin("G2", "PULLMODE=NONE IO_TYPE=LVCMOS33"),
            "rx": Pin("M1", "PULLMODE=UP IO_TYPE=LVCMOS33"),
            "tx": Pin("L4", "PULLMODE=UP IO_TYPE=LVCMOS33 DRIVE=4"),
            **{f"led[{k}]": Pin(site, "PULLMODE=NONE IO_TYPE=LVCMOS33 DRIVE=4") for k, site in enumerate(_LEDS)},
            "wifi_gpio0": Pin("L2", "PULLMODE=NONE IO_TYPE=LVCMOS33 DRIVE=4"),
        },
        high=("wifi_gpio0",),  # else the board's ESP32 may restart it
        configuration="SYSCONFIG CONFIG_IOVOLTAGE=3.3 COMPRESS_CONFIG=ON MCCLK_FREQ=62 MASTER_SPI_PORT=DISABLE "
        "SLAVE_SPI_PORT=DISABLE SLAVE_PARALLEL_PORT=DISABLE;",
    ),
}


def board_named(name: str) -> Board:
    """The board.

    Raises:
        Refusal: it is unknown.
    """
    if name not in BOARDS:
        raise Refusal(f"unknown board {name!r}; known: {', '.join(BOARDS)}")
    return BOARDS[name]
