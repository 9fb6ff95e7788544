"""The commands import-network and export-network, from a file to a file."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from onnx_graphs import Model, run
from torch_models import Mobile, seeded

from amhw.cli import main
from amhw.interchange.lowering import lower
from amhw.interchange.onnx_out import write_onnx
from amhw.interchange.torch_module import read_module
from amhw.network.inference import Inference
from amhw.network.quantised import QuantisedNetwork
from amhw.network.real import FloatNetwork, load_network


def amhw(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def data(tmp_path):
    """Images whose class is where they are brightest."""
    random = np.random.default_rng(0)
    images = random.integers(0, 100, (400, 2, 9, 8), dtype=np.uint8)
    labels = np.arange(400, dtype=np.uint8) % 3
    for image, label in zip(images, labels, strict=True):
        image[:, 3 * label : 3 * label + 3] += 100
    path = tmp_path / "data.npz"
    np.savez(path, images=images[:100], labels=labels[:100], train_images=images[100:], train_labels=labels[100:])
    return path


@pytest.fixture
def model(tmp_path):
    m = Model()
    weights = np.zeros((3, 144), np.float32)
    for label in range(3):
        weights[label].reshape(2, 9, 8)[:, 3 * label : 3 * label + 3] = 0.1
    m.then("Conv", m.constant(np.eye(2).reshape(2, 2, 1, 1), name="conv.weight"))
    m.then("Relu")
    m.then("Flatten")
    m.then("Gemm", m.constant(weights), transB=1)
    return m.save(tmp_path / "bright.onnx")


def test_from_a_file_to_a_network_and_back(model, data, tmp_path):
    out = tmp_path / "net.npz"
    done = amhw("import-network", model, "--data", data, "--out", out, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["accuracy"], found["float_accuracy"], found["taken_over"]) == (1.0, 1.0, False)
    made, real = load_network(out), load_network(tmp_path / "net-float.npz")
    assert isinstance(made, QuantisedNetwork) and isinstance(real, FloatNetwork)
    assert made.network == real.network and made.network.trained_on is not None
    images = np.load(data)["images"]
    np.testing.assert_allclose(real.logits(images), run(model, images), atol=1e-4)
    done = amhw("accuracy", "mul_u8s8_pp_full", "--network", out, "--data", data, "--layers", "all")
    assert done.stdout.startswith("100.00 %") and "note" not in done.stderr
    # Out again: the same logits there, and back the same integers.
    again, back = tmp_path / "again.onnx", tmp_path / "back.npz"
    done = amhw("export-network", "--network", out, "--format", "onnx", "--out", again)
    assert (done.exit_code, done.stdout) == (0, f"{again}\n")
    wanted = Inference(made).logits(images)
    np.testing.assert_allclose(run(again, images) / made.layers[-1].unit, wanted, atol=2)
    done = amhw("import-network", again, "--data", data, "--out", back)
    assert "its own integers" in done.stdout
    np.testing.assert_array_equal(Inference(load_network(back)).logits(images), wanted)


def test_a_depthwise_network_goes_where_networks_go(data, tmp_path):
    network = lower(read_module(seeded(Mobile(2, 2, 3)), (2, 9, 8), "mobile")).network
    path = write_onnx(network, tmp_path / "mobile.onnx")
    out = tmp_path / "mobile.npz"
    assert amhw("import-network", path, "--data", data, "--out", out).exit_code == 0
    for command in (
        ("accuracy", "mul_u8s8_pp_0_0_0_0_0_c0_e0_e0", "--layers", "all"),
        ("accuracy", "mul_u8s8_sm_drum_4", "--layers", "blocks_0_0"),
        ("errors", "mul_u8s8_pp_0_0_0_0_0_c0_e0_e0", "--layers", "blocks_0_0"),
    ):
        done = amhw(*command, "--network", out, "--data", data)
        assert done.exit_code == 0, done.output
    for command in (
        ("array", "mul_u8s8_pp_full", "--whole", "--out", tmp_path / "array", "--network", out),
        ("fpga", out, "--multiplier", "mul_u8s8_pp_full", "--device", "ecp5-45k", "--out", tmp_path / "fpga"),
        ("faults", "mul_u8s8_pp_full", "--network", out, "--data", data, "--out", tmp_path / "faults"),
    ):
        done = amhw(*command)
        assert done.exit_code == 2 and "groups" in done.stderr and done.stderr.count("\n") == 1, done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere.onnx",), "cannot read nowhere.onnx"),
        (("bright.onnx", "--mean", "dark"), "--mean 'dark'; wanted numbers"),
        (("bright.onnx", "--std", "0"), "--std 0; wanted positive numbers"),
        (("bright.onnx", "--mean", "1,2,3"), "--mean 1,2,3; wanted 1 or 2 finite numbers"),
        (("bright.onnx", "--std", "1,2,3"), "--std 1,2,3; wanted 1 or 2 positive numbers"),
        (("bright.onnx", "--out", "bright.onnx"), "would be overwritten"),
        (("bright.onnx", "--data", "test.npz"), "no training images"),
        (("bright.onnx", "--data", "many.npz"), "has the label 8"),
        (("bright.onnx", "--data", "other.npz"), r"but the images are [2, 5, 5]"),
    ],
)
def test_what_cannot_be_used_is_one_line(arguments, message, model, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with np.load(data) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    np.savez("test.npz", images=images, labels=labels)
    np.savez("many.npz", images=images, labels=labels * 4, train_images=images, train_labels=labels * 4)
    np.savez("other.npz", images=images[:, :, :5, :5], labels=labels)
    usual = [] if "--data" in arguments else ["--data", data]
    done = amhw("import-network", *arguments, *usual, *([] if "--out" in arguments else ["--out", "o.npz"]))
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.output
    assert message in done.stderr
    assert not Path("o.npz").exists() and not Path("o-float.npz").exists()


def test_what_a_module_prints_is_not_among_the_results(data, tmp_path, monkeypatch):
    (tmp_path / "chatty_models.py").write_text(
        """
from torch import nn
print("imported")

class Chatty(nn.Sequential):
    def forward(self, x):
        print("called")
        return super().forward(x)

def make():
    print("made")
    return Chatty(nn.Flatten(), nn.Linear(144, 3))
"""
    )
    monkeypatch.chdir(tmp_path)
    done = amhw("import-network", "chatty_models:make", "--data", data, "--out", "o.npz", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["network"] == "o.npz"
    assert done.stderr.split()[:3] == ["imported", "made", "called"]


def test_training_from_scratch_says_who_reads_files(tmp_path):
    done = amhw("train", "--model", "net.onnx", "--out", tmp_path / "n.npz")
    assert done.exit_code == 2 and "amhw import-network" in done.stderr
