"""The computer at the other end of the serial line: images go out, logits and classes come back.

The line leads to a board, or to the same Verilog in a simulator.
"""

import os
import select
import struct
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from amhw.array.compiled import build
from amhw.refusal import Refusal
from amhw.simulation import bench_folder, simulator_environment

PATIENCE_S = 5.0
"""How long a board may be silent while an answer is awaited."""


class Link(Protocol):
    """One end of a serial line."""

    def send(self, data: bytes) -> None:
        """Put bytes on the line."""

    def receive(self, count: int) -> bytes:
        """So many bytes, as soon as they are there."""

    def reset(self) -> None:
        """Send a break: the engine drops whatever it has."""


def answer(link: Link, image: NDArray[np.uint8], classes: int) -> tuple[NDArray[np.int32], int]:
    """Send uint8[C, H, W]; its logits and its class."""
    link.send(image.tobytes())
    words = np.frombuffer(link.receive(4 * (classes + 1)), "<i4")
    return words[:-1], int(words[-1])


class SerialPort:
    """A serial port of this computer, 8N1 without flow control.

    Args:
        path: such as ``/dev/ttyUSB0``.
        baud: bits a second.

    Raises:
        Refusal: it cannot be opened, or knows no such rate.
    """

    def __init__(self, path: Path | str, baud: int) -> None:
        self._path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_NOCTTY)
        except OSError as error:
            raise Refusal(f"cannot open the serial port {path}: {error.strerror}") from None
        rate = getattr(termios, f"B{baud}", None)
        try:
            if rate is None:
                raise Refusal(f"serial ports of this system know no {baud} baud; give amhw fpga another --baud")
            settings = termios.tcgetattr(self._file)
            settings[0] = settings[1] = settings[3] = 0  # bytes as they are, in both directions
            settings[2] = termios.CS8 | termios.CREAD | termios.CLOCAL
            settings[4] = settings[5] = rate
            termios.tcsetattr(self._file, termios.TCSANOW, settings)
        except termios.error:
            os.close(self._file)
            raise Refusal(f"{path} is no serial port") from None
        except Refusal:
            os.close(self._file)
            raise

    def close(self) -> None:
        """Give the port back."""
        os.close(self._file)

    def send(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._file, data) :]

    def receive(self, count: int) -> bytes:
        """See `Link`.

        Raises:
            Refusal: nothing comes for `PATIENCE_S`.
        """
        found = b""
        while len(found) < count:
            if not select.select([self._file], [], [], PATIENCE_S)[0]:
                raise Refusal(f"{self._path}: {len(found)} of {count} bytes came, and then none for {PATIENCE_S:g} s")
            found += os.read(self._file, count - len(found))
        return found

    def reset(self) -> None:
        termios.tcsendbreak(self._file, 0)
        termios.tcflush(self._file, termios.TCIFLUSH)


class SimulatedPort:
    """The serial line of a compiled model (``sim/serial_harness.cpp``), bit by bit."""

    def __init__(self, running: "subprocess.Popen[bytes]") -> None:
        self._running = running

    def _command(self, command: bytes) -> None:
        assert self._running.stdin is not None
        self._running.stdin.write(command)
        self._running.stdin.flush()

    def send(self, data: bytes) -> None:
        self._command(b"S" + struct.pack("<I", len(data)) + data)

    def receive(self, count: int) -> bytes:
        """See `Link`.

        Raises:
            Refusal: the model stopped: no byte came for a long time, or one without a stop bit.
        """
        assert self._running.stdout is not None
        self._command(b"R" + struct.pack("<I", count))
        found = self._running.stdout.read(count)
        if len(found) < count:
            raise Refusal(f"the simulation ended with status {self._running.wait()} and {len(found)} of {count} bytes")
        return found

    def reset(self) -> None:
        self._command(b"B")


@contextmanager
def simulated(verilog: str, name: str, divisor: int, folder: Path) -> Iterator[SimulatedPort]:
    """The serial line of the module `name` in a simulator, while the context lasts.

    Args:
        divisor: clocks a bit.
        folder: for the model.

    Raises:
        Refusal: Verilator or a compiler rejects it.
    """
    source = folder / f"{name}.v"
    source.write_text(verilog, encoding="utf-8")
    with simulator_environment():
        program = build(source, bench_folder() / "serial_harness.cpp", folder / "model")
    running = subprocess.Popen([program, str(divisor)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield SimulatedPort(running)
    finally:
        running.kill()
        running.communicate()


def check_image(image: NDArray[np.uint8], wanted: tuple[int, int, int], name: Path | str) -> None:
    """Refuse an image of another shape.

    Raises:
        Refusal: says both shapes.
    """
    if image.shape != wanted:
        shapes = " and ".join("×".join(map(str, each)) for each in (image.shape, wanted))
        raise Refusal(f"{name} is no image for this network: channels, height and width are {shapes}")
