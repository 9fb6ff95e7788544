"""``amhw train`` on small sets, and what the recipe learns."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from random_networks import with_weights

from amhw.commands.accuracy import command as accuracy
from amhw.commands.train import command
from amhw.datasets import Identity, balanced, data_source, mnist_slice, mnist_test
from amhw.datasets.idx import write_idx
from amhw.network.inference import Inference
from amhw.network.models import model_named
from amhw.network.models.lenet5 import NETWORK, float_network, network
from amhw.network.quantised import Operands, QuantisedNetwork
from amhw.network.real import FloatNetwork
from amhw.network.training import train
from amhw.refusal import Refusal

DATA = Identity("digits", "0" * 64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """1,000 training images of the packaged slice and 300 test images, as a user's own data set."""
    folder = tmp_path_factory.mktemp("own")
    for prefix, part in (("train", balanced(mnist_slice(), 100)), ("t10k", mnist_test().first(300))):
        (folder / f"{prefix}-images-idx3-ubyte.gz").write_bytes(write_idx(part.images[:, 0]))
        (folder / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(write_idx(part.labels))
    return folder


def run(*arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def test_the_command_writes_both_networks_and_reports_them(folder, tmp_path):
    out = tmp_path / "new" / "own.npz"
    result = run("--data", folder, "--epochs", 12, "--seed", 3, "--out", out, "--json")
    assert result.exit_code == 0, result.stderr
    record = json.loads(result.stdout)
    assert "epoch 12 of 12" in result.stderr
    trained, quantised = FloatNetwork.load(record["float_network"]), QuantisedNetwork.load(out)
    test = mnist_test().first(300)
    assert record["float_accuracy"] == (trained.logits(test.images).argmax(axis=1) == test.labels).mean() > 0.8
    assert record["accuracy"] == Inference(quantised).correct(test).mean() > 0.8
    assert record["network_sha256"] == quantised.sha256
    assert quantised.network.trained_on == data_source(folder).identity != data_source().identity
    assert sorted(path.name for path in out.parent.iterdir()) == ["own-float.npz", "own.npz"]


def test_absolute_values_are_trained_and_fine_tuned(folder, tmp_path):
    out, tuned = tmp_path / "abs.npz", tmp_path / "tuned.npz"
    result = run("--activation", "abs", "--data", folder, "--epochs", 12, "--out", out, "--json")
    assert result.exit_code == 0, result.stderr
    made = QuantisedNetwork.load(out)
    assert made.network == NETWORK.absolute().on(data_source(folder).identity)
    assert all(layer.requantisation.absolute for layer in made.layers[:-1])
    assert json.loads(result.stdout)["accuracy"] > 0.7
    arguments = ["mul_u8s8_pp_0_0_0_0_0_0_f0_f0", "--network", out, "--data", folder, "--epochs", 1, "--out", tuned]
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    assert QuantisedNetwork.load(tuned).network == made.network
    assert json.loads(result.stdout)["accuracy"] > 0.6
    result = run(*arguments, "--activation", "abs")
    assert result.exit_code == 2 and "--activation" in result.stderr, result.stderr


def test_fine_tuning_on_other_data_says_on_which(folder, tmp_path):
    out = tmp_path / "tuned.npz"
    result = run("mul_u8s8_pp_0_0_0_0_0_0_f0_f0", "--data", folder, "--epochs", 1, "--out", out, "--json")
    assert result.exit_code == 0, result.stderr
    record, other = json.loads(result.stdout), vars(data_source(folder).identity)
    assert record["data"] == record["trained_on"] == other
    assert record["started_on"] == vars(data_source().identity) != other
    assert "was trained on MNIST" in result.stderr


def test_a_float_network_is_refused_with_what_to_do(folder, tmp_path):
    file = float_network().save(tmp_path / "own-float.npz")
    result = CliRunner().invoke(accuracy, ["mul_u8s8_pp_full", "--network", str(file)])
    assert result.exit_code == 2
    assert "own-float.npz holds a float network; wanted a quantised network; amhw train writes both" in result.stderr


def test_training_learns_and_is_seeded():
    part = balanced(mnist_slice(), 150)
    steps = []
    one = train(NETWORK, part, DATA, 8, 1, lambda step, total, loss: steps.append((step, total, loss)))
    assert (one.logits(mnist_test().images[:1000]).argmax(axis=1) == mnist_test().labels[:1000]).mean() > 0.75
    assert [step for step, _, _ in steps] == list(range(1, steps[0][1] + 1))
    assert np.mean([loss for *_, loss in steps[-5:]]) < steps[0][2] / 2
    assert train(NETWORK, part, DATA, 8, 1).sha256 == one.sha256
    assert train(NETWORK, part, DATA, 8, 2).sha256 != one.sha256


def test_no_epochs_are_refused():
    with pytest.raises(Refusal, match="at least 1"):
        train(NETWORK, mnist_slice(), DATA, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--epochs", 0], "--epochs"), (["--data", "nowhere"], "nowhere is not there"), (["--seed", -1], "--seed")],
)
def test_bad_input_is_one_line_and_status_2(tmp_path, arguments, message):
    result = run("--out", tmp_path / "net.npz", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_start_or_checkpoint_that_does_not_fit_is_one_line(folder, tmp_path):
    """No bar is drawn for a training that does not begin."""
    narrow, foreign = tmp_path / "narrow.npz", tmp_path / "notes.ckpt"
    network(Operands(4, 4)).save(narrow)
    foreign.write_text("no checkpoint")
    for option, path, message in (("--network", narrow, "wants u4s4"), ("--checkpoint", foreign, "is no checkpoint")):
        result = run("--multiplier", "mul_u8s8_pp_full", "--data", folder, option, path, "--out", tmp_path / "n.npz")
        assert (result.exit_code, result.stdout) == (2, "")
        assert message in result.stderr and result.stderr.count("\n") == 1, result.stderr
        assert not (tmp_path / "n.npz").exists()


def test_images_that_do_not_fit_are_refused_before_any_are_downloaded(tmp_path, monkeypatch):
    monkeypatch.setattr("amhw.datasets.mnist._fetch", lambda *_: pytest.fail("a download began"))
    colour = with_weights(model_named("resnet8"), 0).save(tmp_path / "colour.npz")
    for arguments in (["mul_u8s8_pp_0_0_0_0_0_0_c0_c0", "--network", colour], ["--model", "resnet8"]):
        result = run(*arguments, "--out", tmp_path / "out.npz")
        assert result.exit_code == 2 and "[1, 28, 28]" in result.stderr and result.stderr.count("\n") == 1


def test_an_unwritable_place_is_refused_before_training(folder, tmp_path):
    (tmp_path / "file").write_text("in the way")
    result = run("--data", folder, "--out", tmp_path / "file" / "net.npz")
    assert result.exit_code == 2
    assert "cannot write" in result.stderr
    assert "epoch" not in result.stderr
