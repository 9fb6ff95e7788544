"""``amhw accuracy``: a multiplier or a table in, one figure out."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from amhw import Masked
from amhw.commands.accuracy import command
from amhw.datasets import DataSet, mnist_test
from amhw.datasets.idx import write_idx
from amhw.network.models.lenet5 import network
from amhw.scoring import measure
from amhw.table import ProductTable
from amhw.verilog import Design

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
    np.save(tmp_path / "turned.npy", table.products.T)
    stated = ("--signed", "b", "--images", 300, "--json")
    by_file = json.loads(run("--multiplier", tmp_path / "mask.npy", "--order", "ab", *stated).stdout)
    turned = json.loads(run("--multiplier", tmp_path / "turned.npy", "--order", "ba", *stated).stdout)
    by_name = json.loads(run("--multiplier", MASK, "--images", 300, "--json").stdout)
    for record in (by_file, turned):
        assert (record["correct"], record["table_sha256"]) == (by_name["correct"], by_name["table_sha256"])


def test_verilog_and_manifests_are_as_good_as_a_name(tmp_path):
    design = Design.parse(MASK)
    source, manifest = design.write(tmp_path, "renamed")
    by_name = json.loads(run("--multiplier", MASK, "--images", 50, "--json").stdout)
    stated = ["--signed", "b", "--top", "renamed", "--a", "a"]
    for arguments in (["--multiplier", manifest], ["--multiplier", source, *stated]):
        record = json.loads(run(*arguments, "--images", 50, "--json").stdout)
        assert record["table_sha256"] == by_name["table_sha256"]


def test_a_doubtful_table_is_noted(tmp_path):
    codes = np.arange(256)
    np.save(tmp_path / "unsigned.npy", codes[:, None] * codes[None, :])
    result = run("--multiplier", tmp_path / "unsigned.npy", "--signed", "b", "--order", "ab", "--images", 10, "--json")
    assert "as signed = none it would be 0.0" in result.stderr
    assert json.loads(result.stdout)["images"] == 10


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
    result = run("--multiplier", MASK, "--data", tmp_path, "--network", file, "--json")
    record = json.loads(result.stdout)
    assert record["images"] == 20
    assert record["data_sha256"] == DataSet("any", images[:, None], labels).sha256
    assert "own.npz" in result.stderr


def test_people_get_one_line():
    result = run("--multiplier", MASK, "--images", 100)
    assert result.stdout.count("\n") == 1
    assert "of 100 images" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "which multiplier? give NAME|FILE"),
        ([MASK, "--multiplier", "x.npy"], "give one multiplier"),
        (["--signed", "b"], "which multiplier?"),
        (["--multiplier", "mul_u8u8_pp_full"], "weights are signed"),
        (["--multiplier", "mul_u9s8_pp_full"], "2 to 8 bits"),
        (["--multiplier", "nonsense"], "nonsense"),
        (["--multiplier", MASK, "--layers", "conv3"], "no layer 'conv3'; --layers takes all, or some of conv1,conv2"),
        (["--multiplier", MASK, "--images", "0"], "ask for 1 to 10000"),
        (["--multiplier", MASK, "--images", "10001"], "ask for 1 to 10000"),
        (["--multiplier", MASK, "--data", "nowhere"], "nowhere is not there"),
        (["--multiplier", MASK, "--network", "nowhere.npz"], "nowhere.npz"),
        (["--multiplier", "nowhere.npy", "--signed", "b"], "nowhere.npy"),
        (["--multiplier", "nowhere.npy"], "say --signed none, a, b or both"),
        (["--multiplier", MASK, "--order", "ab"], "are for tables and Verilog"),
        (["--multiplier", "network.npz"], "those end in .v, .sv, .blif"),
        (["--multiplier", "nowhere.json"], "nowhere.json"),
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
        (np.full((256, 256), 0.5), "holds integers"),
        (np.array([{}]), "holds object, not numbers"),
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
    result = run("--multiplier", file, "--signed", "b", "--order", "ab")
    assert result.exit_code == 2 and result.stdout == ""
    assert message in result.stderr and "table.npy" in result.stderr
    assert result.stderr.count("\n") == 1


def test_an_order_is_stated_or_refused(tmp_path):
    np.save(tmp_path / "table.npy", ProductTable.of(Masked.exact(8, 8, signed_b=True)).products)
    result = run("--multiplier", tmp_path / "table.npy", "--signed", "b")
    assert result.exit_code == 2
    assert "say --order ab (the first; rows) or ba" in result.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"kind": "toaster"}', "is no manifest (its kind is 'toaster')"),
        ('{"kind": "multiplier", "name": "x"}', "of another version (no schema number"),
        ('{"kind": "imported", "schema": 1, "name": 7}', "Expected `str`, got `int` - at `name`"),
        ('{"accuracy": 1}', "give the .json file that amhw gen, import or array wrote"),
        ("[1, 2]", "give the .json file that amhw gen, import or array wrote"),
        ("not json", "give the .json file that amhw gen, import or array wrote"),
    ],
)
def test_a_manifest_of_something_else_is_refused(tmp_path, content, message):
    (tmp_path / "x.json").write_text(content)
    result = run("--multiplier", tmp_path / "x.json")
    assert result.exit_code == 2
    assert message in result.stderr and result.stderr.count("\n") == 1
