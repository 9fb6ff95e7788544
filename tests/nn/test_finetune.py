"""Fine-tuning: it learns, repeats, resumes, and stops where it must."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from amhw import ProductTable, parse
from amhw.commands.accuracy import command as accuracy
from amhw.commands.train import command
from amhw.datasets import DataSet, balanced, mnist_slice, mnist_test
from amhw.datasets.idx import write_idx
from amhw.network.inference import Inference
from amhw.network.models.lenet5 import float_network, network
from amhw.network.operands import distribution, some_windows
from amhw.network.quantised import QuantisedNetwork
from amhw.network.real import real_valued
from amhw.nn import TrainingRecipe, export, fine_tune
from amhw.nn.finetune import split, trainable
from amhw.nn.noise import measured_noise
from amhw.refusal import Refusal

NAME = "mul_u8s8_pp_0_0_0_0_0_0_c0_c0"
TABLE = ProductTable.of(parse(NAME))
TABLES = {"conv1": TABLE, "conv2": TABLE}
QUICK = TrainingRecipe(epochs=2, batch=64, seed=5)


@pytest.fixture(scope="module")
def few():
    return balanced(mnist_slice(), 36)


@pytest.fixture(scope="module")
def tuned(few):
    steps = []
    return fine_tune(float_network(), TABLES, few, QUICK, report=steps.append), steps


def test_it_learns_to_live_with_the_multiplier(few, tuned):
    test = mnist_test().first(1000)
    untrained = export(trainable(float_network(), float_network(), TABLES, few.images))
    before = Inference(untrained, TABLES).correct(test).mean()
    after = Inference(tuned[0], TABLES).correct(test).mean()
    assert after > max(before, 0.93) + 0.01


def test_steps_and_epochs_are_reported(tuned):
    _, steps = tuned
    per_epoch = 330 // 64
    assert [s.step for s in steps if s.accuracy is None] == list(range(1, 2 * per_epoch + 1))
    assert [s.epoch for s in steps if s.accuracy is not None] == [1, 2]
    assert {s.steps for s in steps} == {2 * per_epoch}


def test_the_held_out_images_are_not_trained_on(few):
    training, held_out = split(few)
    assert (len(training), len(held_out)) == (330, 30)
    seen = {image.tobytes() for image in training.images}
    assert not any(image.tobytes() in seen for image in held_out.images)


def test_the_seed_decides(few, tuned):
    again = fine_tune(float_network(), TABLES, few, QUICK)
    assert again.sha256 == tuned[0].sha256
    other = fine_tune(float_network(), TABLES, few, replace(QUICK, seed=6))
    assert not np.array_equal(other.layers[1].weights, again.layers[1].weights)


def test_an_interrupted_training_continues_to_the_same_network(few, tuned, tmp_path):
    file = tmp_path / "state"

    def interrupt(progress):
        if progress.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fine_tune(float_network(), TABLES, few, QUICK, checkpoint=file, report=interrupt)
    epochs = []
    resumed = fine_tune(
        float_network(), TABLES, few, QUICK, checkpoint=file, report=lambda progress: epochs.append(progress.epoch)
    )
    assert set(epochs) == {2}
    assert resumed.sha256 == tuned[0].sha256
    with pytest.raises(Refusal, match="another start, multiplier, data or recipe"):
        fine_tune(float_network(), TABLES, few, replace(QUICK, seed=6), checkpoint=file)
    file.write_bytes(b"PK nothing")
    with pytest.raises(Refusal, match="no checkpoint"):
        fine_tune(float_network(), TABLES, few, QUICK, checkpoint=file)


def test_scales_that_run_away_stop_the_training_with_the_step(few):
    with pytest.raises(Refusal, match=r"_scale is beyond all bounds at step \d+ of 10"):
        fine_tune(float_network(), TABLES, few, replace(QUICK, scale_learning_rate=1e4))


def test_a_loss_that_is_no_number_stops_the_training_with_the_step(few):
    last = float_network().layers[-1]
    broken = replace(last, bias=np.full(10, np.nan))
    teacher = replace(float_network(), layers=(*float_network().layers[:-1], broken))
    with pytest.raises(Refusal, match="the loss is nan at step 1 of 10"):
        fine_tune(float_network(), TABLES, few, QUICK, teacher=teacher)


def test_training_stops_when_it_no_longer_gets_better(few):
    epochs = set()
    recipe = replace(QUICK, epochs=8, learning_rate=0.5, patience=1)
    fine_tune(float_network(), TABLES, few, recipe, report=lambda progress: epochs.add(progress.epoch))
    assert max(epochs) < 8


def test_as_good_is_no_better(few):
    """Held-out accuracy stays at all 30 images: patience counts from the first epoch that reached it."""
    epochs = {}
    recipe = replace(QUICK, epochs=6, learning_rate=1e-6, patience=2)
    fine_tune(
        float_network(), {}, few, recipe, report=lambda progress: epochs.update({progress.epoch: progress.accuracy})
    )
    assert epochs == {1: 1.0, 2: 1.0, 3: 1.0}
    with pytest.raises(Refusal, match="patience of 0"):
        replace(QUICK, patience=0)


@pytest.mark.parametrize(
    ("name", "start", "message"),
    [
        ("mul_u4s8_pp_full", network(), "mul_u4s8_pp_full multiplies u4s8, but conv1 of this network wants u8s8"),
        ("mul_u9s8_pp_full", float_network(), "9-bit activations"),
    ],
)
def test_operands_that_do_not_fit_are_refused_before_any_step(few, name, start, message):
    steps = []
    tables = dict.fromkeys(("conv1", "conv2"), ProductTable.of(parse(name)))
    with pytest.raises(Refusal, match=message):
        fine_tune(start, tables, few, QUICK, report=steps.append)
    assert not steps


@pytest.mark.parametrize("tables", [{}, TABLES], ids=["exact", "mask"])
def test_a_quantised_start_is_taken_up_where_it_is(tables, few, tuned):
    """The model made of a network file has the file's logits, before any step."""
    start = tuned[0] if tables else network()
    model = trainable(start, real_valued(start, tables), tables, few.images)
    images = mnist_test().images[:50]
    np.testing.assert_array_equal(
        Inference(export(model), tables).logits(images), Inference(start, tables).logits(images)
    )


def test_noise_is_the_errors_of_the_pairs_that_meet():
    net, images = network(), mnist_slice().images[:20]
    noise = measured_noise(net, {"conv2": TABLE}, images)
    codes = Inference(net).inputs(images)["conv2"]
    layer = net["conv2"]
    windows = np.lib.stride_tricks.sliding_window_view(codes, (5, 5), axis=(2, 3)).transpose(0, 2, 3, 1, 4, 5)
    windows = windows.reshape(-1, 150)
    errors = TABLE.errors[windows[:, None, :], layer.weight_codes[None]]
    assert noise["conv2"] == pytest.approx((errors.mean(), errors.std()), rel=1e-9)
    counted = distribution(layer, some_windows(layer, codes)).joint
    assert counted[:, layer.weight_codes].sum() > 0 and counted.sum() == pytest.approx(1)


def test_training_with_noise_is_training_of_the_exact_network(few):
    noise = {"conv1": (-20.0, 400.0), "conv2": (-20.0, 400.0)}
    noisy = fine_tune(float_network(), {}, few, QUICK, noise=noise)
    quiet = fine_tune(float_network(), {}, few, QUICK)
    assert noisy.sha256 != quiet.sha256
    assert Inference(noisy).correct(mnist_test().first(500)).mean() > 0.95
    with pytest.raises(Refusal, match="no layer conv3"):
        fine_tune(float_network(), {}, few, QUICK, noise={"conv3": (0.0, 1.0)})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    for prefix, part in (("train", balanced(mnist_slice(), 36)), ("t10k", mnist_test().first(300))):
        (folder / f"{prefix}-images-idx3-ubyte.gz").write_bytes(write_idx(part.images[:, 0]))
        (folder / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(write_idx(part.labels))
    return folder


def run(*arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def test_the_command_fine_tunes_saves_and_reports(folder, tmp_path):
    out, state = tmp_path / "net.npz", tmp_path / "state"
    given = ("--multiplier", NAME, "--data", folder, "--epochs", 1, "--out", out, "--checkpoint", state, "--json")
    result = run(*given)
    assert result.exit_code == 0, result.stderr
    record = json.loads(result.stdout)
    saved = QuantisedNetwork.load(out)
    assert record["network_sha256"] == saved.sha256
    assert record["accuracy"] == Inference(saved, TABLES).correct(mnist_test().first(300)).mean()
    assert (record["multiplier"], record["layers"]) == (NAME, ["conv1", "conv2"])
    # Finished already: the checkpoint gives the same network at once, and the network can be trained further.
    assert json.loads(run(*given).stdout)["network_sha256"] == saved.sha256
    further = run("--multiplier", NAME, "--network", out, "--data", folder, "--epochs", 1, "--out", tmp_path / "2")
    assert further.exit_code == 0, further.stderr
    assert "of 300 test images" in further.stdout


def test_a_table_from_a_file_serves_as_well_as_a_name(folder, tmp_path):
    np.save(tmp_path / "t.npy", TABLE.products)
    of_file = (tmp_path / "t.npy", "--signed", "b", "--order", "ab")
    common = ("--data", folder, "--epochs", 1, "--json")
    found = [
        json.loads(run(*given, *common, "--out", tmp_path / f"{k}.npz").stdout)
        for k, given in enumerate(((NAME,), of_file))
    ]
    assert found[0]["table_sha256"] == found[1]["table_sha256"] == TABLE.sha256
    assert found[0]["accuracy"] == found[1]["accuracy"]
    # The network says what it was made for; a file cannot be found by that.
    network = ("--network", tmp_path / "1.npz", "--data", folder)
    result = CliRunner().invoke(accuracy, [str(each) for each in network])
    assert result.exit_code == 2 and "was made for the table t, from a file: give that file too" in result.stderr
    result = CliRunner().invoke(accuracy, [str(each) for each in (*of_file, *network, "--json")])
    assert json.loads(result.stdout)["accuracy"] == found[1]["accuracy"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--noise"], "leave out --noise: that is for fine-tuning"),
        (["--layers", "conv1"], "leave out --layers: that is for fine-tuning"),
        (["--multiplier", NAME, "--layers", "conv7"], "no layer 'conv7'"),
        (["--multiplier", "mul_u8s8_nothing"], "unknown family"),
        (["--multiplier", "mul_u8u8_pp_full"], "weights are signed"),
        (["--multiplier", NAME, "--network", "nowhere.npz"], "nowhere.npz"),
        (["--multiplier", NAME, "--slice"], "either --data or --slice"),
    ],
)
def test_bad_input_is_one_line_and_status_2(folder, tmp_path, arguments, message):
    result = run("--out", tmp_path / "net.npz", "--data", folder, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_too_few_images_are_refused():
    part = mnist_slice()
    with pytest.raises(Refusal, match="at least 12"):
        split(DataSet("few", part.images[:11], part.labels[:11]))


@pytest.mark.parametrize("name", ["mul_s8s8_pp_full", "mul_u4s3_pp_full", "mul_u8s8_sm_drum_4"])
def test_other_operands_and_families_train_and_export(few, name):
    tables = dict.fromkeys(("conv1", "conv2"), ProductTable.of(parse(name)))
    part = few.taken(slice(120), "part")
    net = fine_tune(float_network(), tables, part, TrainingRecipe(epochs=1, batch=30, learning_rate=1e-4))
    assert net["conv1"].operands.name == name.split("_")[1]
    images = mnist_test().images[:200]
    assert (Inference(net, tables).predictions(images) == mnist_test().labels[:200]).mean() > 0.95
    model = trainable(net, real_valued(net, tables), tables, part.images).eval()
    with torch.no_grad():
        logits = model(torch.tensor(images).float() / 255).numpy()
    np.testing.assert_array_equal(
        (Inference(export(model), tables).logits(images) * model.fc3.unit).astype("f4"), logits
    )
