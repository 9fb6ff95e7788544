"""A residual network for colour images goes wherever LeNet-5 goes: nothing but LeNet-5's own file knows LeNet-5.

The images are generated (`gratings`); the network has the kinds of blocks that ResNet-8 has, and a tenth of its
multiplications, so that it learns within seconds.
"""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from gratings import gratings
from labelled_images import random_set, write_npz
from random_networks import with_weights

from amhw import Masked, parse
from amhw.cli import main
from amhw.datasets import balanced, data_source
from amhw.errors.figures import Errors
from amhw.network import reference
from amhw.network.inference import Inference
from amhw.network.layers import Add, AveragePool, Convolution, Flatten, Linear
from amhw.network.models import model_named
from amhw.network.network import Network
from amhw.network.operands import layer_operands
from amhw.network.quantise import quantise
from amhw.network.quantised import Operands, QuantisedNetwork
from amhw.network.real import pixels
from amhw.network.trained_on import other_data, own_data
from amhw.network.training import train
from amhw.nn import TrainingRecipe, approximate, export, fine_tune
from amhw.nn.noise import measured_noise
from amhw.nn.predict import Predictor
from amhw.nn.runs import fine_tuned
from amhw.nn.swap import table_of
from amhw.refusal import Refusal
from amhw.results import Results
from amhw.scoring import measure_tables, tables_made_for
from amhw.select.selection import Selection
from amhw.select.settings import Settings
from amhw.stages.content import unpacked
from amhw.stages.emission import Emitted
from amhw.stages.problem import Problem
from amhw.stages.synthesis import Implementation, Synthesised
from amhw.study.plan import Data, Plan
from amhw.study.tasks import Tasks
from amhw.synth import RECIPES
from amhw.table import ProductTable

NARROW = Network(
    name="narrow",
    input_shape=(3, 32, 32),
    classes=10,
    layers=(
        Convolution("conv0", 8, (3, 3), (2, 2), (1, 1)),
        # A block around which there is nothing,
        Convolution("conv1a", 8, (3, 3), padding=(1, 1)),
        Convolution("conv1b", 8, (3, 3), padding=(1, 1), relu=False),
        Add("add1", "conv0"),
        # and one with a 1 × 1 convolution around it, because the shape changes.
        Convolution("conv2a", 16, (3, 3), (2, 2), (1, 1)),
        Convolution("conv2b", 16, (3, 3), padding=(1, 1), relu=False),
        Convolution("conv2s", 16, (1, 1), (2, 2), relu=False, source="add1"),
        Add("add2", "conv2b"),
        AveragePool("pool", (8, 8), (8, 8)),
        Flatten("flatten"),
        Linear("fc", 10, relu=False),
    ),
)

FOUR_PRODUCTS = parse("mul_u8s8_pp_0_0_0_0_0_0_c0_c0")
KINDS = {"u8s8": Operands(), "s8s8": Operands(8, 8, True), "u6s5": Operands(6, 5)}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = write_npz(tmp_path_factory.mktemp("gratings") / "gratings.npz", gratings(600, 0), gratings(300, 1))
    return data_source(path)


@pytest.fixture(scope="module")
def real(data):
    return train(NARROW, data.training, data.identity, epochs=64)


@pytest.fixture(scope="module")
def quantised(data, real):
    return {name: quantise(real, data.training.first(200).images, operands) for name, operands in KINDS.items()}


def no_separable_form(operands, seed=0):
    """Products that are a little wrong, each in its own way, and 0·x = x·0 = 0."""
    exact = exact_products(operands)
    products = exact + np.random.default_rng(seed).integers(-9, 10, exact.shape)
    products[0, :] = products[:, 0] = 0
    return ProductTable(products, operands.activation_signed, True, name="any")


def exact_products(operands):
    a, b = np.arange(1 << operands.activation_width), np.arange(1 << operands.weight_width)
    if operands.activation_signed:
        a = np.where(a >> (operands.activation_width - 1), a - (1 << operands.activation_width), a)
    b = np.where(b >> (operands.weight_width - 1), b - (1 << operands.weight_width), b)
    return a[:, None] * b


def accuracy(network, tables, data):
    return float(Inference(network, tables).correct(data).mean())


def test_it_learns_and_remembers_what_from(data, real):
    found = (real.logits(data.test.images).argmax(axis=1) == data.test.labels).mean()
    assert found > 0.85
    assert real.network == NARROW.on(data.identity)


@pytest.mark.parametrize("kind", KINDS)
def test_integers_serve_as_well(data, real, quantised, kind):
    found = real.logits(data.test.images).argmax(axis=1) == data.test.labels
    assert abs(accuracy(quantised[kind], {}, data.test) - found.mean()) < 0.04


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("products", ["exact", "four columns dropped", "any table"])
def test_every_layer_equals_the_plain_loop(data, quantised, kind, products):
    network, operands, images = quantised[kind], KINDS[kind], data.test.images[:2]
    table = {
        "exact": None,
        "four columns dropped": ProductTable.of(
            Masked.columns(
                4, operands.activation_width, operands.weight_width, signed_a=operands.activation_signed, signed_b=True
            )
        ),
        "any table": no_separable_form(operands),
    }[products]
    tables = {} if table is None else dict.fromkeys(network.layer_names, table)
    found, wanted = Inference(network, tables).outputs(images), reference.outputs(network, tables, images)
    assert set(found) == {layer.name for layer in NARROW.layers}
    for name, codes in wanted.items():
        np.testing.assert_array_equal(found[name], codes, err_msg=name)
    # Nothing is trivially equal: codes that are only added may be negative, and the others are not all 0.
    assert wanted["conv2b"].min() < 0 < wanted["conv2b"].max()
    assert all(len(np.unique(codes)) > 3 for codes in wanted.values())


def test_files_give_the_same_bytes_back(tmp_path, real, quantised):
    for network in (real, *quantised.values()):
        again = type(network).load(network.save(tmp_path / "network.npz"))
        assert again.to_bytes() == network.to_bytes()
        assert again.network == network.network


def test_operands_and_errors_are_those_of_the_pairs_that_meet(data, quantised):
    """Of the 1 × 1 convolution with a stride: there is no padding, and every second position of a row is read."""
    network, images = quantised["u8s8"], data.calibration.images[:20]
    found = layer_operands(network, images, ("conv2s",))["conv2s"]
    entering = reference.outputs(network, {}, images, until="add1")["add1"][:, :, ::2, ::2]
    counts = np.zeros((256, 256))
    for channel in range(8):
        a = np.bincount(entering[:, channel].ravel(), minlength=256)
        b = np.bincount(network["conv2s"].weight_codes[:, channel], minlength=256)
        counts += np.outer(a, b)
    np.testing.assert_allclose(found.joint, counts / counts.sum(), atol=1e-12)
    table = ProductTable.of(FOUR_PRODUCTS)
    wrong = np.abs(table.products - exact_products(Operands()))
    assert Errors.of(table, found).mae == pytest.approx(float((counts * wrong).sum() / counts.sum()))


def test_its_accuracy_is_predicted(data, quantised):
    """Multipliers that lose much are told from those that lose little, without an image being classified."""
    network = quantised["u8s8"]
    predictor = Predictor(network, network.convolutions, data.calibration.first(60))
    tables = [ProductTable.of(Masked.columns(k, 8, 8, signed_b=True)) for k in (0, 6, 8, 9, 10, 11)]
    survivors = np.array([predictor.survivors(table) for table in tables])
    measured = np.array([accuracy(network, dict.fromkeys(network.convolutions, table), data.test) for table in tables])
    assert measured[0] - measured[-1] > 0.3
    assert survivors[0] - survivors[-1] > 0.3
    assert np.corrcoef(survivors, measured)[0, 1] > 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_the_exported_network_gives_the_models_bits(data, real, kind):
    operands, images = KINDS[kind], data.test.images[:20]
    tables = dict.fromkeys(NARROW.layer_names, no_separable_form(operands))
    model = approximate(real.module(), tables, inputs=pixels(data.calibration.images[:100])).eval()
    network = export(model)
    with torch.no_grad():
        found = model(pixels(images)).numpy()
    logits = Inference(network, tables).logits(images)
    assert len(np.unique(logits)) > 100
    np.testing.assert_array_equal((logits * network["fc"].unit).astype(np.float32), found)
    np.testing.assert_array_equal(logits, reference.outputs(network, tables, images[:20])["fc"])


def test_it_learns_to_live_with_a_multiplier(data, real, quantised):
    tables = {name: table_of(FOUR_PRODUCTS) for name in NARROW.convolutions}
    before = accuracy(quantised["u8s8"], tables, data.test)
    tuned = fine_tune(real, tables, data.training, TrainingRecipe(epochs=10, batch=64))
    assert tuned.network == real.network
    assert [layer.name for layer in tuned.layers if layer.made_for is not None] == list(NARROW.convolutions)
    after = accuracy(tuned, tables, data.test)
    assert after > before + 0.3
    # And from its own integers: training starts where it stopped, additions and averages included.
    again = fine_tune(
        tuned, tables, data.training, TrainingRecipe(epochs=1, learning_rate=1e-9, scale_learning_rate=1e-9)
    )
    assert abs(accuracy(again, tables, data.test) - after) < 0.05


def test_a_multiplier_is_selected_for_it(tmp_path, data, real, quantised):
    """Four of twelve partial products, with weights chosen for them, beside the same four with weights as they were."""
    few = write_npz(tmp_path / "few.npz", data.training.first(200), data.test)
    base = quantise(real, data_source(few).calibration.images, Operands(4, 3))
    problem = Problem(str(base.save(tmp_path / "base.npz")), str(few))
    with Results(tmp_path / "results.sqlite") as results, ThreadPoolExecutor(1) as pool:
        settings = Settings(statistics_images=50, exchanged=1, compared=2)
        selection = Selection(problem, "sky130hd", results, pool, settings=settings)
        [best] = selection.score(selection.with_kept(4)[:1])
    assert best.kept == 4 and best.smallest.area_um2 > 0
    assert dict(best.multipliers) == dict.fromkeys(NARROW.convolutions, best.name)
    made = unpacked(best.fitted.network)
    assert made.network == real.network
    tables = tables_made_for(made)
    assert measure_tables(tables, made, data.test).accuracy == best.accuracy
    assert best.accuracy > accuracy(base, tables, data.test) + 0.1
    images = data.test.images[:2]
    np.testing.assert_array_equal(Inference(made, tables).logits(images), reference.outputs(made, tables, images)["fc"])


@pytest.mark.parametrize(("count", "enough"), [(600, True), (200, False)])
def test_linear_layers_have_more_images_where_the_first_are_not_enough(tmp_path, data, quantised, count, enough):
    """Sixteen inputs want 192 images; convolutions without a pool have targets at all places of the first ones."""
    few = write_npz(tmp_path / "few.npz", data.training.first(count), data.test)
    loaded = Problem(str(quantised["u8s8"].save(tmp_path / "narrow.npz")), str(few)).loaded
    teacher, first = loaded.teacher, len(loaded.training.images[::2])
    assert (len(teacher.images) == first) == enough and len(teacher.images) >= first
    assert len(teacher.layers["fc"].sums) == len(teacher.images)
    targets = teacher.layers["conv1a"]
    assert targets.winners is None
    assert targets.sums.shape == (first, 8, 16, 16) and targets.weights.shape == (first, 8, 256)


def test_more_multipliers_than_layers_are_refused_at_once(tmp_path, data, quantised):
    network = str(quantised["u8s8"].save(tmp_path / "narrow.npz"))
    given = ["--network", network, "--data", str(data.path), "--out", str(tmp_path / "out"), "--workers", "1"]
    refused = run("select", "--multipliers", "7", *given)
    assert refused.exit_code == 2 and refused.stderr.count("\n") == 1
    assert "narrow has 6 layers to choose for" in refused.stderr and "--multipliers 6" in refused.stderr
    assert not (tmp_path / "out").exists()


def test_it_meets_no_other_data_without_a_word(tmp_path, data, quantised):
    alone = write_npz(tmp_path / "alone.npz", None, data.test)
    network = quantised["u8s8"].network
    with pytest.raises(Refusal, match=r"narrow was trained on gratings \(.*\): give that data set as --data"):
        own_data(network)
    assert own_data(network, data.path).identity == data.identity
    assert other_data(network, data) is None
    assert "has no training images that could tell" in str(other_data(network, data_source(alone)))
    note = other_data(network, data_source())
    assert note == f"narrow was trained on {data.identity}; these images are of {data_source().identity}"
    for images, message in (
        (random_set(4, (1, 28, 28)), r"\[1, 28, 28\], but narrow takes \[3, 32, 32\]"),
        (random_set(12, (3, 32, 32), 12), r"the label 11; narrow knows 0…9"),
    ):
        with pytest.raises(Refusal, match=message):
            Inference(quantised["u8s8"]).correct(images)


def test_energy_and_errors_are_of_its_own_operands(tmp_path, data, quantised):
    """By default those of the layer that multiplies most; other data are named, and none is never MNIST."""
    file = str(quantised["u8s8"].save(tmp_path / "narrow.npz"))
    other = str(write_npz(tmp_path / "other.npz", gratings(60, 7), gratings(60, 8)))
    weighed = ["errors", FOUR_PRODUCTS.name, "--layers", "conv2s", "--network", file]
    energy = ["energy", FOUR_PRODUCTS.name, "--quick", "--clocks", "64", "--network", file]
    own = vars(data.identity)
    for command in (weighed, energy):
        found = run(*command, "--data", str(data.path), "--json")
        record = json.loads(found.stdout)
        assert record["trained_on"] == record["data"] == own and "note" not in found.stderr
        found = run(*command, "--data", other, "--json")
        assert json.loads(found.stdout)["trained_on"] == own
        assert json.loads(found.stdout)["data"] == vars(data_source(other).identity)
        assert f"amhw: note: narrow was trained on {data.identity}; these images are of other (" in found.stderr
        refused = run(*command)
        assert (refused.exit_code, refused.stdout) == (2, "") and "give that data set as --data" in refused.stderr
    assert "gratings conv1a" in json.loads(run(*energy, "--data", str(data.path), "--json").stdout)["operands"]
    assert json.loads(run("energy", FOUR_PRODUCTS.name, "--quick", "--json").stdout)["operands"].keys() == {
        "uniform",
        "MNIST conv2",
    }


def run(*arguments):
    return CliRunner().invoke(main, arguments)


def test_noise_is_that_of_its_own_operands(tmp_path, data, real, quantised):
    table, training, recipe = ProductTable.of(FOUR_PRODUCTS), data.training.first(200), TrainingRecipe(epochs=1)
    exact = quantise(real, balanced(training).images)
    measured = measured_noise(exact, {"conv2s": table}, balanced(training, 20).images)
    wanted = fine_tune(real, {}, training, recipe, noise=measured)
    found = fine_tuned(real, ("conv2s",), table, data, training, recipe, tmp_path / "noisy.npz", noise=True)
    assert found.network_sha256 == wanted.sha256
    fine_tuned(exact, ("conv2s",), table, data, training, recipe, tmp_path / "again.npz", noise=True)


def test_a_study_measures_energy_on_its_own_data(tmp_path, data, quantised):
    """Whichever of the data sets comes first."""
    file = str(quantised["u8s8"].save(tmp_path / "narrow.npz"))
    sets = (
        Data("other", str(write_npz(tmp_path / "other.npz", gratings(60, 7), gratings(60, 8)))),
        Data("own", str(data.path)),
    )
    keys = []
    for order in (sets, sets[::-1]):
        plan = Plan.of_names([FOUR_PRODUCTS.name], data=order, network=file, energy="conv2s")
        design = plan.designs[0].design
        netlist = Implementation(design.name, RECIPES[0].name, 1.0, 1.0)
        made = {(design, "sky130hd"): Synthesised((netlist,), None, 0.0, 0.0, "", ())}
        energies = Tasks(plan).energy({design: Emitted("module m; endmodule")}, made)
        keys.append([energies[planned, "sky130hd"].key for planned in plan.designs])
    assert keys[0] == keys[1]


def test_a_problem_is_read_again_when_its_network_changed(tmp_path, data, quantised):
    problem = Problem(str(tmp_path / "network.npz"), str(data.path))
    for kind in ("u8s8", "s8s8"):
        quantised[kind].save(tmp_path / "network.npz")
        assert problem.loaded.base.sha256 == quantised[kind].sha256


def test_resnet8_has_the_published_number_of_multiplications():
    """Banbury et al., "MLPerf Tiny benchmark", 2021: 12.5 million multiply-accumulates."""
    network = model_named("resnet8")
    assert sum(network.multiplications.values()) == 12_501_632
    assert network.shapes["pool"] == (64, 1, 1)


def test_resnet8_in_integers_equals_the_plain_loop():
    images = gratings(30, 2).images
    made = quantise(with_weights(model_named("resnet8"), 0), images)
    assert QuantisedNetwork.of_bytes(made.to_bytes(), "itself").to_bytes() == made.to_bytes()
    found, wanted = Inference(made).outputs(images[:1]), reference.outputs(made, {}, images[:1])
    for name, codes in wanted.items():
        np.testing.assert_array_equal(found[name], codes, err_msg=name)
