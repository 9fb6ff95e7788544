"""``amhw accuracy``: a multiplier or a table in, one figure out."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from one_thread import one_thread  # noqa: F401

from amhw import Masked
from amhw.accuracy import command, measure, read_table
from amhw.lenet.data import DataSet, mnist_test, write_idx
from amhw.lenet.shipped import network
from amhw.refusal import Refusal
from amhw.table import ProductTable

MASK = "mul_u8s8_pp_0_0_0_20_f8_f8_fc_fe"


def run(*arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def test_the_json_record_says_what_was_measured(tmp_path):
    result = run("--multiplier", MASK, "--images", 500, "--json")
    assert result.exit_code == 0
    record = json.loads(result.stdout)
    table = ProductTable.of(Masked.from_text("0,0,0,20,f8,f8,fc,fe", 8, 8, signed_b=True))
    assert record["multiplier"] == MASK
    assert record["layers"] == ["conv1", "conv2"]
    assert record["images"] == 500
    assert record["accuracy"] == record["correct"] / 500 > 0.97
    assert record["table_sha256"] == table.sha256
    assert record["network_sha256"] == network().sha256
    assert record["data_sha256"] == mnist_test().first(500).sha256
    assert "network: LeNet-5" in result.stderr


def test_an_exact_multiplier_in_every_layer_changes_nothing():
    exact = ProductTable.of(Masked.exact(8, 8, signed_b=True))
    data = mnist_test().first(500)
    everywhere = measure(exact, network().layer_names, network(), data)
    assert everywhere.correct == measure(exact, (), network(), data).correct


@pytest.mark.parametrize(("layers", "names"), [("fc1,conv2", ["conv2", "fc1"]), ("all", list(network().layer_names))])
def test_the_layers_are_those_asked_for(layers, names):
    record = json.loads(run("--multiplier", MASK, "--images", 10, "--layers", layers, "--json").stdout)
    assert record["layers"] == names


def test_a_table_file_is_as_good_as_a_name(tmp_path):
    table = ProductTable.of(Masked.from_text("0,0,0,20,f8,f8,fc,fe", 8, 8, signed_b=True))
    np.save(tmp_path / "mask.npy", table.products)
    by_file = json.loads(run("--table", tmp_path / "mask.npy", "--images", 300, "--json").stdout)
    by_name = json.loads(run("--multiplier", MASK, "--images", 300, "--json").stdout)
    assert (by_file["correct"], by_file["table_sha256"]) == (by_name["correct"], by_name["table_sha256"])


def test_a_name_with_a_tree_and_an_adder_is_the_same_multiplier():
    one = json.loads(run("--multiplier", f"{MASK}__wallace__ripple", "--images", 10, "--json").stdout)
    assert one["multiplier"] == MASK


@pytest.mark.parametrize("name", ["mul_s8s8_pp_full", "mul_u4s3_pp_full", "mul_u2s8_pp_full"])
def test_other_operands_get_a_network_of_their_own(name):
    record = json.loads(run("--multiplier", name, "--images", 300, "--json").stdout)
    assert record["accuracy"] > 0.9
    assert record["network_sha256"] != network().sha256


def test_another_data_set_and_another_network(tmp_path):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (20, 28, 28), dtype=np.uint8), rng.integers(0, 10, 20).astype(np.uint8)
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(write_idx(images))
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(write_idx(labels))
    file = network().save(tmp_path / "own.npz")
    result = run("--multiplier", MASK, "--data-dir", tmp_path, "--network", file, "--json")
    record = json.loads(result.stdout)
    assert record["images"] == 20
    assert record["data_sha256"] == DataSet("any", images, labels).sha256
    assert "own.npz" in result.stderr


def test_people_get_one_line():
    result = run("--multiplier", MASK, "--images", 100)
    assert result.stdout.count("\n") == 1
    assert "of 100 images" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give either --multiplier NAME or --table FILE.npy"),
        (["--multiplier", MASK, "--table", "x.npy"], "give either"),
        (["--multiplier", "mul_u8u8_pp_full"], "weights are signed"),
        (["--multiplier", "mul_u9s8_pp_full"], "2 to 8 bits"),
        (["--multiplier", "nonsense"], "nonsense"),
        (["--multiplier", MASK, "--layers", "conv3"], "no layer 'conv3'; --layers takes all, or some of conv1,conv2"),
        (["--multiplier", MASK, "--images", "0"], "ask for 1 to 10000"),
        (["--multiplier", MASK, "--images", "10001"], "ask for 1 to 10000"),
        (["--multiplier", MASK, "--data-dir", "nowhere"], "nowhere has neither"),
        (["--multiplier", MASK, "--network", "nowhere.npz"], "nowhere.npz"),
        (["--table", "nowhere.npy"], "nowhere.npy"),
    ],
)
def test_bad_input_is_one_line_and_status_2(arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_network_of_other_widths_is_refused(tmp_path):
    file = network().save(tmp_path / "u8s8.npz")
    result = run("--multiplier", "mul_u4s4_pp_full", "--network", file)
    assert result.exit_code == 2
    assert "multiplies u4s4, but conv1 of this network wants u8s8" in result.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.zeros((256, 255), int), "2^m × 2^n"),
        (np.zeros((256, 256)), "holds integers"),
        (np.array([{}]), "no NumPy array file"),
        (None, "no NumPy array file"),
    ],
    ids=["shape", "float", "objects", "text"],
)
def test_a_file_that_holds_no_table_is_refused_by_name(tmp_path, content, message):
    file = tmp_path / "table.npy"
    if content is None:
        file.write_text("0 0 0")
    else:
        np.save(file, content)
    with pytest.raises(Refusal) as refused:
        read_table(file, "b")
    assert message in str(refused.value)
    assert "table.npy" in str(refused.value)
