"""The energy command and its traces."""

import itertools
import json

import numpy as np
import pytest
from click.testing import CliRunner

from amhw.array import files
from amhw.array.config import ArrayConfig
from amhw.array.designs import network_engine
from amhw.array.mesh import SystolicArray
from amhw.array.schedule import Schedule
from amhw.array.widths import Widths
from amhw.commands.array import command as array_command
from amhw.commands.energy import command
from amhw.datasets import mnist_slice
from amhw.energy.workloads import ArrayWork
from amhw.multiplier import parse
from amhw.network.models.lenet5 import PACKAGED, network
from amhw.network.quantised import Operands
from amhw.stimulus import layer_trace, tiles, uniform_trace
from amhw.synth import RECIPES, SEARCH, Synthesiser, Technology
from amhw.synth.clocked import states
from amhw.synth.truth import planes, settled, unpacked
from amhw.table import ProductTable
from amhw.verilog import Design, emit


def test_traces():
    uniform = uniform_trace(8, 8, 4000)
    assert all(codes.min() >= 0 and codes.max() < 256 for codes in uniform.values())
    assert np.unique(uniform["a"]).size > 250
    chosen = network()
    for layer in ("conv1", "conv2", "fc1"):
        trace = layer_trace(chosen, layer, mnist_slice(), 3000)
        assert len(trace["a"]) == len(trace["b"]) == 3000
        assert set(trace["b"].tolist()) <= set(chosen[layer].weight_codes.reshape(-1).tolist())
        # The weight stays while activations pass by; the activations are those of images, not noise.
        assert (np.diff(trace["b"]) == 0).mean() > 0.9
        assert np.abs(np.diff(trace["a"])).mean() < 0.75 * np.abs(np.diff(uniform["a"])).mean()


def test_mnist_costs_less_than_noise():
    result = CliRunner().invoke(command, ["mul_u8s8_pp_0_0_0_0_0_c0_e0_e0", "--tech", "sg13g2", "--json"])
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    random, real = (record["operands"][name] for name in ("uniform", "MNIST conv2"))
    assert 0 < real["settled_fj"] < random["settled_fj"] < random["timed_fj"]
    assert "no wires" in record["assumptions"]


def test_the_range_over_all_recipes_stands_beside_the_figure():
    arguments = ["mul_u8s8_pp_0_0_0_0_0_c0_e0_e0", "--tech", "sg13g2"]
    record = json.loads(CliRunner().invoke(command, [*arguments, "--json"]).stdout)
    page = CliRunner().invoke(command, arguments).stdout
    names = {recipe.name for recipe in RECIPES}
    for operands, figures in record["operands"].items():
        for kind in ("settled_fj", "timed_fj"):
            least, greatest = (figures["range"][kind][end] for end in ("least", "greatest"))
            assert 0 < least["fj"] <= figures[kind] <= greatest["fj"] and least["fj"] < greatest["fj"]
            assert {least["recipe"], greatest["recipe"]} <= names
        text = f"timed {least['fj']:.1f} ({least['recipe']}) … {greatest['fj']:.1f} ({greatest['recipe']})"
        assert any(line.startswith(operands) and text in line for line in page.splitlines()), page
    # The quick recipe is one of them; alone it has no range.
    alone = json.loads(CliRunner().invoke(command, [*arguments, "--quick", "--json"]).stdout)
    for operands, figures in alone["operands"].items():
        ends = record["operands"][operands]["range"]["timed_fj"]
        assert "range" not in figures and ends["least"]["fj"] <= figures["timed_fj"] <= ends["greatest"]["fj"]


def test_several_layers_at_once_are_each_of_them():
    arguments = ["mul_u8s8_pp_0_0_0_0_0_0_f0_f0", "--tech", "sg13g2", "--quick", "--clocks", "500", "--json"]
    one, other, both = (
        json.loads(CliRunner().invoke(command, [*arguments, "--layers", layers]).stdout)["operands"]
        for layers in ("conv1", "conv2", "conv2,conv1")
    )
    assert both == {**one, **other} and len(both) == 3


def test_refusals():
    for arguments, says in ((["nosuch"], "mul_u8s8"), (["mul_u8s8_pp_full", "--layers", "conv9"], "conv9")):
        result = CliRunner().invoke(command, arguments)
        assert result.exit_code == 2 and says in result.stderr and result.stderr.count("\n") == 1


ARRAY = ["--multiplier", "mul_u8s8_pp_0_0_0_0_0_0_f0_f0", "--rows", "6", "--cols", "3", "--depth", "2"]


@pytest.fixture(scope="module")
def array(tmp_path_factory):
    folder = tmp_path_factory.mktemp("array")
    made = CliRunner().invoke(array_command, [*ARRAY, "--matmul", "20,12,4", "--name", "small", "--out", str(folder)])
    assert made.exit_code == 0, made.stderr
    return folder / "small.v"


def sums_of(netlist, ports, cols):
    """The sums of an array's netlist, [clocks, cols]; `ports` are bits [clocks, width]."""
    length = len(ports["swap"])
    bits = {net: ports[name][:, k] for name in ports for k, net in enumerate(netlist.inputs.get(name, ()))}
    bits |= states(netlist, bits)
    values = settled(netlist, planes(bits))
    sums = np.array([unpacked(values[net], length) for net in netlist.outputs["s"]]).astype(int)
    each = len(sums) // cols
    codes = [sum(sums[j * each + k] << k for k in range(each)) for j in range(cols)]
    return np.array([np.where(c >> each - 1 & 1, c - (1 << each), c) for c in codes]).T


def test_tiles_are_what_the_array_multiplies():
    """The array's mapped netlist gives the golden sums of the layer, tile after tile."""
    multiplier = parse(ARRAY[1])
    table = ProductTable.of(multiplier)
    widths, shape = Widths.of(table), (6, 3, 2)
    random = np.random.default_rng(3)
    activations, weights = random.integers(0, 256, (2, 20, 12)), random.integers(0, 256, (4, 12))
    mesh = SystolicArray(multiplier, widths, *shape)
    kinds = {element.name: element for element in mesh.elements}
    text = "\n".join(emit(each, name) for name, each in [*kinds.items(), ("mesh", mesh)])
    with Synthesiser(Technology.named("sg13g2"), [SEARCH], workers=1, netlists=True) as synthesiser:
        netlist = synthesiser.submit(text, "mesh", hierarchical=True).result().best_product.gates
    stimulus = tiles(activations, weights, widths, shape, 150)
    length = len(stimulus.ports["a"])
    got = sums_of(netlist, {"rst": np.zeros((length, 1), dtype=np.uint8)} | stimulus.ports, 3) << widths.shift
    start, seen = 3, 0  # 3 clocks for the first weights
    for image, output, tap in itertools.product(range(2), (0, 3), (0, 6)):
        given = weights[output : output + 3, tap : tap + 6]
        for position in activations[image, :, tap : tap + 6]:
            if start + mesh.latency < length:
                wanted = table.products[position, given].astype(int).sum(axis=1)
                assert got[start + mesh.latency][: len(given)].tolist() == wanted.tolist(), (image, output, tap)
                seen += 1
            start += 1
    assert seen > 100
    # Four outputs on three columns: the second group of them uses one.
    assert 18 * 40 < stimulus.products < 18 * 150


def test_an_array_by_the_multiply_accumulate(array):
    result = CliRunner().invoke(command, [str(array), "--quick", "--clocks", "600", "--json"])
    assert result.exit_code == 0, result.stderr
    record = json.loads(result.stdout)
    assert (record["design"], record["clock"]) == ("small_array", "clk")
    random, real = (record["operands"][name] for name in ("uniform", "MNIST conv2"))
    assert random["clock_fj"] == real["clock_fj"] > 0
    assert real["settled_fj"] < random["settled_fj"] and real["registers_fj"] < random["registers_fj"]
    for figures in (random, real):
        # Tiles of 6 × 3 from conv2's 150 taps and 16 outputs: the last group of outputs has one.
        assert 10 < figures["macs_per_clock"] <= 18
        assert figures["settled_fj_per_mac"] == pytest.approx(
            figures["settled_fj"] / figures["macs_per_clock"], rel=1e-3
        )
        assert 0.5 < figures["elements_settled_fj_per_mac"] / figures["settled_fj_per_mac"] < 1
        assert figures["elements_timed_fj_per_mac"] > figures["elements_settled_fj_per_mac"]
    assert "no clock tree" in record["assumptions"]
    page = CliRunner().invoke(command, [str(array), "--quick", "--clocks", "600"]).stdout
    assert "fJ per clock" in page and "fJ a multiply-accumulate" in page


EIGHT, STEPS = parse("mul_u8s8_pp_0_0_0_0_0_0_f0_f0"), parse("mul_u8s8_pp_0_0_0_0_0_80_c0_f0")


def test_an_engine_whose_layers_have_different_masks(tmp_path):
    """Each layer's operands meet the gates of its own mask: the netlist's sums are those of its own table."""
    layers = dict.fromkeys(network().layer_names, STEPS) | {"conv2": EIGHT}
    schedule = Schedule(network(), ArrayConfig.joining([EIGHT, STEPS], rows=4, cols=2), layers)
    text, manifest = network_engine(schedule, "masks")
    assert schedule.config.gates and set(schedule.config.masks) == {EIGHT, STEPS}
    source, *_ = files.write(tmp_path, text, manifest)
    schedule.network.save(tmp_path / manifest.network)
    work = ArrayWork(source, ["conv1", "conv2"], schedule.network, None, 150)
    with Synthesiser(Technology.named("sg13g2"), [SEARCH], workers=1, netlists=True) as synthesiser:
        netlist = work.synthesised(synthesiser).best_product.gates
    stimuli = work.stimuli(netlist, "clk")
    for layer, multiplier in (("conv1", STEPS), ("conv2", EIGHT)):
        stimulus = stimuli[f"uniform {layer}"]
        length = len(stimulus.ports["swap"])
        opened = stimulus.ports["is_open"].astype(int)
        gates = opened[:, None] >> np.arange(len(schedule.config.gates)) & 1
        ports = stimulus.ports | {"is_open": gates, "rst": np.zeros((length, 1), dtype=np.uint8)}
        got = sums_of(netlist, ports, 2) << schedule.widths.shift
        (activations, weights), _ = work.operands[f"uniform {layer}"]
        table = ProductTable.of(multiplier)
        start = 4  # clocks for the first weights
        for k in range(60):
            wanted = table.products[activations[0, k, :4], weights[:2, :4]].astype(int).sum(axis=1)
            assert got[start + k + work.mesh.latency].tolist() == wanted.tolist(), (layer, k)


PIPELINE = """
module mac(input clk, rst, input [7:0] x, input signed [7:0] y, output reg signed [17:0] s);
  reg [7:0] u; reg signed [7:0] v;
  always @(posedge clk) begin u <= x; v <= y; s <= rst ? 18'd0 : s + $signed({1'b0, u}) * v; end
endmodule
"""


def figures_of(path, *arguments):
    result = CliRunner().invoke(command, [str(path), "--quick", "--tech", "sg13g2", *arguments, "--json"])
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)["operands"]


def test_anyones_verilog_with_registers(tmp_path):
    path = tmp_path / "mac.v"
    path.write_text(PIPELINE)
    shared = ("--hold", "rst=0", "--clocks", "500")
    found = figures_of(path, "--operands", "x,y", *shared)
    assert found["MNIST conv2"]["data_fj"] < found["uniform"]["data_fj"]
    assert found["uniform"]["operations"] == 499
    # A trace of the same operands is the same stimulus, in either format.
    trace = layer_trace(network(), "conv2", mnist_slice(), 500)
    np.savez(tmp_path / "t.npz", x=trace["a"], y=trace["b"], rst=np.zeros((500, 1), dtype=np.uint8))
    signed = trace["b"].astype(np.uint8).view(np.int8)
    rows = (f"{a:#x},{b}" for a, b in zip(trace["a"], signed, strict=True))
    (tmp_path / "t.csv").write_text("x,y\n" + "\n".join(rows) + "\n")
    assert figures_of(path, "--trace", str(tmp_path / "t.npz"))["trace"] == found["MNIST conv2"]
    assert figures_of(path, "--trace", str(tmp_path / "t.csv"), *shared[:2])["trace"] == found["MNIST conv2"]
    assert figures_of(path, "--hold", "x=3", "--hold", "y=0xff", *shared)["uniform"]["data_fj"] > 0, "the sum goes on"
    assert figures_of(path, "--hold", "x=0", "--hold", "y=1", *shared)["uniform"]["data_fj"] < 0.1, (
        "but for its first clocks"
    )


def test_verilog_of_a_multiplier_is_that_multiplier(tmp_path):
    name = "mul_u8s8_pp_0_0_0_0_0_c0_e0_e0"
    verilog, _ = Design.parse(name).write(tmp_path)
    assert figures_of(verilog, "--clocks", "300") == figures_of(name, "--clocks", "300")


def test_refusals_of_verilog(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mac.v").write_text(PIPELINE)
    (tmp_path / "lfsr.v").write_text("module m(input clk, output reg q); always @(posedge clk) q <= ~q; endmodule")
    (tmp_path / "bad.csv").write_text("x,y\n1,2\n3,four\n")
    (tmp_path / "short.csv").write_text("x,y\n1,2\n3\n")
    (tmp_path / "wide.csv").write_text("x,y\n1,2\n300,4\n")
    (tmp_path / "other.csv").write_text("x,z\n1,2\n3,4\n")
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04 nothing")
    np.savez(tmp_path / "float.npz", x=np.zeros(4))
    np.savez(tmp_path / "uneven.npz", x=np.zeros(4, dtype=int), y=np.zeros(5, dtype=int))
    for arguments, says in (
        (["lfsr.v"], "no inputs but its clock clk"),
        (["absent.v"], "cannot read absent.v"),
        (["mac.v", "--trace", "bad.csv"], "line 3: invalid literal"),
        (["mac.v", "--trace", "short.csv"], "line 3: 1 values for the 2 ports x, y"),
        (["mac.v", "--trace", "wide.csv"], "x has 8 bits; 1 … 300 do not fit"),
        (["mac.v", "--trace", "other.csv"], "values for z; the inputs are"),
        (["mac.v", "--trace", "cut.npz"], "no archive of NumPy arrays"),
        (["mac.v", "--trace", "float.npz"], "x is no sequence of integers or of bits"),
        (["mac.v", "--trace", "uneven.npz"], "several lengths: x 4, y 5"),
        (["mac.v", "--hold", "rst"], "no PORT=VALUE"),
        (["mac.v", "--hold", "nosuch=1"], "values for nosuch"),
        (["mac.v", "--operands", "x"], "no two inputs"),
        (["mac.v", "--operands", "x,nosuch"], "values for nosuch"),
        (["mac.v", "--operands", "x,y", "--hold", "x=1"], "x given twice"),
        (["mac.v", "--hold", "rst=0", "--hold", "rst=1"], "rst given twice"),
        (["mac.v", "--layers", "conv2"], "--layers needs --operands"),
        (["mac.v", "--layers", "bogus"], "no layer 'bogus'"),
        (["mac.v", "--layers", "conv1", "--hold", "rst=0"], "--layers needs --operands"),
        (["mac.v", "--network", str(PACKAGED / "lenet5.npz")], "--network needs --operands"),
        (["mac.v", "--operands", "x,y", "--layers", "bogus"], "no layer 'bogus'"),
        (["mul_u8s8_pp_full", "--hold", "a=1"], "leave out --hold: that is for Verilog files"),
    ):
        refused_in_one_line(arguments, says)


def refused_in_one_line(arguments, says):
    result = CliRunner().invoke(command, [*arguments, "--quick"], catch_exceptions=False)
    assert result.exit_code == 2 and says in result.stderr, (arguments, result.stderr)
    assert result.stderr.count("\n") == 1 and result.stdout == ""


def test_a_network_of_other_operands_is_refused(tmp_path, array):
    """Either way round: none of its bits may be dropped, or left at zero, in silence."""
    narrow, wide = tmp_path / "narrow.npz", PACKAGED / "lenet5.npz"
    network({"conv2": Operands(4, 4)}).save(narrow)
    (tmp_path / "m4.v").write_text("module m(input [3:0] x, y, output [7:0] p); assign p = x * y; endmodule")
    (tmp_path / "m8.v").write_text("module m(input [7:0] x, y, output [15:0] p); assign p = x * y; endmodule")
    for design, given in (("mul_u4s4_pp_full", wide), ("mul_u8s8_pp_full", narrow), (str(array), narrow)):
        wanted = "u8s8" if given == wide else "u4s4"
        refused_in_one_line([design, "--network", str(given)], f"but conv2 of this network wants {wanted}")
    for design, given, says in (
        ("m4.v", wide, "x, y have 4 and 4 bits, but conv2 of this network is u8s8"),
        ("m8.v", narrow, "x, y have 8 and 8 bits, but conv2 of this network is u4s4"),
    ):
        refused_in_one_line([str(tmp_path / design), "--operands", "x,y", "--network", str(given)], says)
