"""`amhw cascade` on LeNet-5 of 4-bit operands, so that synthesis takes no time."""

import json

import numpy as np
import pytest
from chains import chain, linear, with_layer
from click.testing import CliRunner
from labelled_images import write_idx_folder

from amhw.cli import main
from amhw.datasets import data_source, mnist_slice, mnist_test
from amhw.network.inference import Inference
from amhw.network.models.lenet5 import float_network
from amhw.network.quantise import quantise
from amhw.network.quantised import MadeFor, Operands, QuantisedNetwork
from amhw.scoring import tables_made_for
from amhw.table import ProductTable
from amhw.verilog import Design

MASKS = ("mul_u4s4_pp_c_c_f_f", "mul_u4s4_pp_0_0_f_f")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data set, a network with exact products, and the same made for two multipliers."""
    training, test = mnist_slice(), mnist_test()
    folder = write_idx_folder(
        tmp_path_factory.mktemp("cascade"), training.taken(slice(None, None, 25), "few"), test.first(300)
    )
    network = quantise(float_network(), training.images[:200], Operands(4, 4))
    network.save(folder / "base.npz")
    (folder / "made").mkdir()
    for name in MASKS:
        table = ProductTable.of(Design.parse(name).multiplier)
        made = network
        for index in range(2):
            made = with_layer(made, index, made_for=MadeFor(name, table.sha256))
        made.save(folder / "made" / f"{name}.npz")
    return folder


def run(folder, *arguments):
    shared = ["--network", folder / "base.npz", "--data", folder, "--out", folder / "out", "--workers", 1]
    return CliRunner().invoke(main, ["cascade", *map(str, [*arguments, *shared])])


def refused(folder, *arguments):
    """The one line with which the command refuses, after a note that these are not the images of training."""
    result = run(folder, *arguments)
    lines = [line for line in result.stderr.splitlines() if not line.startswith("amhw: note: ")]
    assert (result.exit_code, result.stdout, len(lines)) == (2, "", 1), result.output
    return lines[0]


def test_what_is_said_is_what_the_networks_and_the_energy_command_say(folder):
    cheap, better = (folder / "made" / f"{name}.npz" for name in MASKS)
    base = QuantisedNetwork.load(folder / "base.npz")
    test = data_source(folder).test
    logits = [
        Inference(network, tables).logits(test.images)
        for network, tables in (
            (base, {}),
            *((n, tables_made_for(n)) for n in map(QuantisedNetwork.load, (cheap, better))),
        )
    ]
    ordered = np.sort(logits[1], axis=1)
    threshold = int(np.median(ordered[:, -1] - ordered[:, -2]))
    result = run(folder, cheap, better, "--threshold", threshold, "--json")
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    (found,) = record["cascades"]
    again = ordered[:, -1] - ordered[:, -2] < threshold
    hits = np.where(again, *(logits[index].argmax(axis=1) == test.labels for index in (2, 1)))
    assert 0 < again.mean() < 1
    assert found["again"] == again.mean() and found["accuracy"] == hits.mean()
    assert found["loss_points"] == pytest.approx(100 * ((logits[0].argmax(axis=1) == test.labels).mean() - hits.mean()))
    exact, first, second = record["networks"]
    assert exact["energy_ratio"] == exact["approximate_energy_ratio"] == 1
    assert record["layers"] == ["conv1", "conv2"]
    for which in ("energy_ratio", "approximate_energy_ratio"):
        assert found[which] == pytest.approx(first[which] + again.mean() * second[which])
    # The energy of an image: multiplications times what `amhw energy` says of one, in each layer.
    made = ["--network", str(cheap), "--data", str(folder), "--layers", "conv1,conv2", "--json"]
    said = json.loads(CliRunner().invoke(main, ["energy", MASKS[0], *made]).stdout)["operands"]
    nanojoules = sum(
        base.network.multiplications[layer] * said[f"{data_source(folder).name} {layer}"]["timed_fj"] / 1e6
        for layer in record["layers"]
    )
    linear_layers = exact["energy_nj"] * (1 - nanojoules_share(record))
    assert first["energy_nj"] == pytest.approx(nanojoules + linear_layers, rel=1e-3)
    assert json.loads((folder / "out" / "cascades.json").read_text())["cascades"] == record["cascades"]
    assert "<svg" in (folder / "out" / "cascades.svg").read_text()


def nanojoules_share(record):
    """The convolutions' share of the exact network's energy, from two ratios of the first other network.

    With e the exact network's energy, c the convolutions' part of it, and x what the other network's convolutions
    take: (x + e − c)/e and x/c are known.
    """
    _, first, _ = record["networks"]
    whole, part = first["energy_ratio"], first["approximate_energy_ratio"]
    return (1 - whole) / (1 - part)


def test_the_front_and_the_cheapest_that_meets_a_demand(folder):
    front = json.loads(run(folder, folder / "made", "--json").stdout)["cascades"]
    losses = [each["judged_loss_points"] for each in front]
    assert len(front) > 1 and losses == sorted(losses, reverse=True)
    assert any(each["threshold"] for each in front) and losses[-1] <= 0
    demand = max(losses[len(losses) // 2], 0)
    (found,) = json.loads(run(folder, folder / "made", "--max-loss", demand, "--json").stdout)["cascades"]
    assert found == next(each for each in front if each["judged_loss_points"] <= demand)
    shown = run(folder, folder / "made")
    assert shown.exit_code == 0 and shown.stdout.rstrip().endswith("cascades.svg")


def test_what_makes_no_cascade_is_refused(folder, tmp_path):
    cheap = folder / "made" / f"{MASKS[0]}.npz"
    assert "no networks; wanted files that amhw select" in refused(folder)
    assert "no network files (.npz) in this folder" in refused(folder, tmp_path)
    assert "was made for exact products" in refused(folder, folder / "base.npz")
    assert "give one of --threshold and --max-loss" in refused(folder, cheap, "--threshold", 1, "--max-loss", 1)
    assert "points are 0 to 100" in refused(folder, cheap, "--max-loss", "nan")
    assert "wanted 0 (never ask the better network) to" in refused(folder, cheap, "--threshold", 10**9)
    assert "wanted 0" in refused(folder, cheap, "--threshold", -1)
    (tmp_path / "copy.npz").write_bytes(cheap.read_bytes())
    assert "is of one pair" in refused(folder, folder / "made", tmp_path / "copy.npz", "--threshold", 1)
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / cheap.name).write_bytes(cheap.read_bytes())
    assert f"two networks are called {MASKS[0]}" in refused(folder, cheap, tmp_path / "more")


@pytest.mark.parametrize(("shape", "classes", "what"), [((1, 4, 4), 10, "images"), ((1, 28, 28), 4, "classes")])
def test_networks_of_other_images_or_classes_are_refused(folder, tmp_path, shape, classes, what):
    name = MASKS[0]
    weights = np.ones((classes, shape[1] * shape[2]), np.int8)
    layer = linear("fc", weights, np.zeros(classes, np.int32), operands=Operands(4, 4))
    table = ProductTable.of(Design.parse(name).multiplier)
    with_layer(chain([layer], shape), 0, made_for=MadeFor(name, table.sha256)).save(tmp_path / "odd.npz")
    assert f"other {what} than" in refused(folder, tmp_path / "odd.npz")
