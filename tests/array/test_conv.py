"""The convolution engine: small networks of every kind, and LeNet-5 on handwritten digits."""

import hashlib
import json
import re
import shutil

import numpy as np
import pytest
from chains import chain, convolution, linear, with_layer
from click.testing import CliRunner

from amhw import Masked, ProductTable, Refusal, parse
from amhw.array import files, golden
from amhw.array.designs import conv_engine
from amhw.array.plan import ConvPlan
from amhw.commands.array import command
from amhw.datasets import mnist_test
from amhw.network.inference import Inference
from amhw.network.models import lenet5 as shipped
from amhw.network.quantised import MadeFor, Operands
from amhw.network.requantisation import Requantisation
from amhw.simulation import default_simulator, simulate

EXACT = Masked.exact(8, 8, signed_b=True)
MASKED = parse("mul_u8s8_pp_0_0_0_0_0_0_f0_f0")
NOT_MASKED = parse("mul_u8s8_sm_or_3ffe_full")


U8S8 = Operands()


def small_network(
    operands=U8S8,
    side=8,
    kernel=3,
    padding=1,
    channels=(2, 3),
    rounding=(0, 0),
    scale=1.0,
    seed=1,
    images=1,
    pools=(2, 2),
):
    """Two convolutions and a layer that takes what they leave, with random weights."""
    random = np.random.default_rng(seed)
    low, high = -(operands.weight_max + 1), operands.weight_max
    layers, input_shape = [], (images, side, side)
    incoming = images
    parts = zip(("c1", "c2"), channels, (padding, 0), rounding, pools, strict=True)
    for name, outputs, pad, r, pool in parts:
        weights = random.integers(low, high, (outputs, incoming, kernel, kernel), endpoint=True)
        bias = random.integers(-300, 300, outputs)
        spread = scale / (incoming * kernel * operands.weight_max)
        requantisation = Requantisation.of(spread, operands.activation_max)
        layers.append(convolution(name, weights, bias, requantisation, operands, pad, rounding=r))
        incoming, side = outputs, (side + 2 * pad - kernel + 1) // pool
    last = random.integers(low, high, (10, incoming * side * side))
    layers.append(linear("f", last, np.zeros(10, np.int32), operands=operands))
    return chain(layers, input_shape, pools, "small")


def written(folder, multiplier, plan):
    text, manifest = conv_engine(multiplier, plan, "engine")
    plan.network.save(folder / manifest.network)
    return files.write(folder, text, manifest)


def simulated(folder, multiplier, plan, simulator=None):
    return simulate(written(folder, multiplier, plan)[1], simulator=simulator or default_simulator())


SMALL = {
    "exact": (EXACT, small_network(), 2, 1),
    "one column, an adder tree, rounding": (MASKED, small_network(rounding=(32, 16), scale=1.5), 1, 9),
    "more columns than channels": (NOT_MASKED, small_network(channels=(3, 5), padding=2, rounding=(3, 200)), 7, 3),
    "narrow": (Masked.exact(4, 3, signed_b=True), small_network(Operands(4, 3), side=10, rounding=(0, 1)), 3, 3),
    "signed": (
        Masked.exact(8, 8, signed_a=True, signed_b=True),
        small_network(Operands(8, 8, True), channels=(1, 1), kernel=2, padding=0, side=9),
        2,
        2,
    ),
}


@pytest.mark.parametrize("case", SMALL.values(), ids=SMALL)
def test_small_networks(tmp_path, case):
    multiplier, network, cols, depth = case
    plan = ConvPlan(network, ProductTable.of(multiplier), network.layers[0].kernel[0] ** 2, cols, depth)
    outcome = simulated(tmp_path, multiplier, plan)
    assert outcome.first_difference is None
    assert outcome.matched == outcome.pairs
    # What the plan leaves out: waiting for the first layer's last rows, where images are as small as these.
    assert plan.cycles_per_image <= outcome.cycles <= plan.cycles_per_image + 60


@pytest.mark.parametrize(
    ("multiplier", "cols", "depth"),
    [(EXACT, 6, 25), (MASKED, 6, 5), (NOT_MASKED, 4, 25)],
    ids=lambda v: getattr(v, "name", v),
)
def test_lenet_in_verilator(tmp_path, multiplier, cols, depth):
    plan = ConvPlan(shipped.network(), ProductTable.of(multiplier), 25, cols, depth)
    outcome = simulated(tmp_path, multiplier, plan, "verilator")
    assert outcome.first_difference is None
    assert outcome.matched == outcome.pairs == (2 + 20 + 2 + 4) * 400
    assert outcome.cycles == plan.cycles_per_image
    assert plan.utilisation >= 0.9 * plan.ideal_utilisation


@pytest.mark.parametrize("multiplier", [EXACT, MASKED, NOT_MASKED], ids=lambda m: m.name)
def test_golden_model_is_the_inference(multiplier):
    images = mnist_test().images[100:110]
    network = shipped.network()
    table = ProductTable.of(multiplier)
    inference = Inference(network, dict.fromkeys(network.convolutions, table))
    expected = inference.outputs(images, ["pool2"])["pool2"]
    assert np.array_equal(golden.convolutions(network, table, images), expected)


def test_golden_model_rounds_like_the_inference():
    network = small_network(side=28, rounding=(40, 90), scale=2.0)
    images = mnist_test().images[:5]
    expected = Inference(network).outputs(images)["pool2"]
    assert 0 < expected.mean() < 255
    assert np.array_equal(golden.convolutions(network, ProductTable.of(EXACT), images), expected)


def test_an_engine_that_forgets_the_rounding_constant_is_caught(tmp_path):
    multiplier, network, cols, depth = SMALL["one column, an adder tree, rounding"]
    plan = ConvPlan(network, ProductTable.of(multiplier), 9, cols, depth)
    _, manifest, _ = written(tmp_path, multiplier, plan)
    other = small_network(rounding=(32, 0), scale=1.5)
    other.save(tmp_path / "engine.npz")
    fields = json.loads(manifest.read_text()) | {"network_sha256": other.sha256}
    manifest.write_text(json.dumps(fields))
    outcome = simulate(manifest, simulator=default_simulator())
    assert outcome.matched < outcome.pairs


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus (iverilog) is not on PATH")
def test_reset_is_enough(tmp_path):
    """Without the initial values of registers, which only simulators and FPGAs give, no unknown gets out."""
    multiplier, network, cols, depth = SMALL["exact"]
    plan = ConvPlan(network, ProductTable.of(multiplier), 9, cols, depth)
    source, manifest, _ = written(tmp_path, multiplier, plan)
    text = source.read_text()
    # The one-bit constants m1, m2, … are no registers: they wake up combinational processes at time 0.
    unset, registers = re.subn(r"^(  reg (?!m\d+ )(?:\[[^]]*\] )?\S+ ?) = [^;]*;$", r"\1;", text, flags=re.MULTILINE)
    assert registers > 100
    assert not re.findall(r"^  reg \[.* = ", unset, re.MULTILINE)
    source.write_text(unset)
    fields = json.loads(manifest.read_text()) | {"verilog_sha256": hashlib.sha256(unset.encode()).hexdigest()}
    manifest.write_text(json.dumps(fields))
    assert simulate(manifest, simulator="icarus").passed


def test_lenet_on_25_by_16_reaches_what_the_shape_allows():
    plan = ConvPlan(shipped.network(), ProductTable.of(EXACT))
    assert plan.products == 28 * 28 * 25 * 6 + 10 * 10 * 150 * 16
    assert plan.ideal_cycles == 28 * 28 + 6 * 100
    assert plan.cycles_per_image == plan.ideal_cycles
    assert plan.utilisation == pytest.approx(plan.products / (400 * 1384))


def test_files(tmp_path):
    shipped.network().save(tmp_path / "net.npz")
    arguments = f"--multiplier {MASKED.name} --cols 2 --depth 25 --network {tmp_path / 'net.npz'} --name e --json"
    result = CliRunner().invoke(command, [*arguments.split(), "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.stderr
    manifest = json.loads(result.stdout)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["e.core", "e.json", "e.npz", "e.v"]
    assert manifest["cycles_per_image"] == 3 * 784 + 8 * 6 * 100
    assert manifest["memory_map"]["weights"]["words"] == 3 + 8 * 6
    declared = re.findall(r"^  reg \[(\d+):0\] (\w+) \[(\d+):0\];", (tmp_path / "out/e.v").read_text(), re.MULTILINE)
    bits = {"images": 0, "maps": 0}
    for top, name, last in declared:
        kind = {
            "image": "images",
            "map": "maps",
            "partial": "partial sums",
            "bias": "biases",
            "outgoing": "output",
        }.get(name.split("_")[0])
        bits[kind or name] = bits.get(kind or name, 0) + (int(top) + 1) * (int(last) + 1)
    assert manifest["memory_bits"].items() <= bits.items(), "as many bits as the Verilog declares"


@pytest.mark.parametrize(
    ("network", "multiplier", "shape", "words"),
    [
        (small_network(), EXACT, (25, 2), "25 rows do not fit c1: a 3×3 window has 9 taps"),
        (small_network(), EXACT, (9, 0), "9 × 0"),
        (small_network(), EXACT, (9, 2, 2), "9 rows are no multiple of the depth 2"),
        (small_network(images=3), EXACT, (9, 2), "c1 takes 3 channels"),
        (small_network(), Masked.exact(8, 8), (9, 2), "multiplies u8u8, but c1 of this network wants u8s8"),
        (small_network(Operands(4, 4)), EXACT, (9, 2), "multiplies u8s8, but c1 of this network wants u4s4"),
        (small_network(pools=(1, 2)), EXACT, (9, 2), "c1 has no pooling"),
        (small_network(pools=(2, 3), side=12), EXACT, (9, 2), "c2 has pooling 3×3"),
        (
            with_layer(small_network(), 1, made_for=MadeFor("another", "0" * 64)),
            EXACT,
            (9, 2),
            "c2 of small was made for",
        ),
        (chain([linear("f", np.ones((2, 4), int), [0, 0])], (1, 2, 2)), EXACT, (9, 2), "begins with two convolutions"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_fit_is_refused(network, multiplier, shape, words):
    with pytest.raises(Refusal, match=re.escape(words)):
        ConvPlan(network, ProductTable.of(multiplier), *shape)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--rows 24", "24 rows do not fit conv1"),
        ("--network nowhere.npz", "nowhere.npz"),
        ("--network a.npz --matmul 1,2,3", "not both"),
        ("--dataflow output-stationary", "--matmul"),
    ],
)
def test_refused_commands(tmp_path, arguments, words):
    result = CliRunner().invoke(command, ["--multiplier", EXACT.name, "--out", str(tmp_path), *arguments.split()])
    assert result.exit_code == 2
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())
