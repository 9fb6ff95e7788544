"""``amhw select`` from end to end on a small problem: 3-bit operands, so that synthesis takes no time."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner
from ctrl_c import listening

from amhw.commands.accuracy import command as accuracy
from amhw.commands.select import command
from amhw.commands.study import command as study
from amhw.datasets import mnist_slice, mnist_test
from amhw.datasets.idx import write_idx
from amhw.network.models.lenet5 import float_network
from amhw.network.quantise import quantise
from amhw.network.quantised import Operands, QuantisedNetwork

FIELDS = {"multiplier", "kept", "accuracy", "exact_accuracy", "area_ratio", "delay_ratio", "network"}


def select(*arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def problem(tmp_path_factory):
    """A 3-bit network and a small data set: 300 training and 300 test images."""
    folder = tmp_path_factory.mktemp("problem")
    training = mnist_slice()
    for name, array in (
        ("train-images-idx3-ubyte.gz", training.images[::17]),
        ("train-labels-idx1-ubyte.gz", training.labels[::17]),
        ("t10k-images-idx3-ubyte.gz", mnist_test().images[:300]),
        ("t10k-labels-idx1-ubyte.gz", mnist_test().labels[:300]),
    ):
        (folder / name).write_bytes(write_idx(array))
    network = quantise(float_network(), training.images[:200], Operands(3, 3))
    return folder, network.save(folder / "network3.npz")


@pytest.fixture(scope="module")
def selected(problem, tmp_path_factory):
    """What --kept 4 gives, and its folder."""
    data, network = problem
    out = tmp_path_factory.mktemp("selected")
    result = select("--kept", 4, "--network", network, "--data", data, "--out", out, "--workers", 1, "--json")
    assert result.exit_code == 0, result.output
    return out, json.loads(result.stdout)


def test_the_record_and_the_network_file_agree_with_amhw_accuracy(problem, selected):
    _, record = selected
    assert set(record) >= FIELDS
    assert record["kept"] == 4
    assert 0 < record["area_ratio"] < 1 and record["delay_ratio"] > 0
    result = CliRunner().invoke(accuracy, ["--network", record["network"], "--data", str(problem[0]), "--json"])
    assert result.exit_code == 0, result.output
    measured = json.loads(result.stdout)
    assert measured["accuracy"] == record["accuracy"]
    assert measured["multiplier"] == record["multiplier"]
    assert measured["layers"] == ["conv1", "conv2"]


def test_remapping_is_what_makes_the_multiplier_usable(problem, selected):
    _, record = selected
    plain = CliRunner().invoke(
        accuracy,
        ["--network", str(problem[1]), "--multiplier", record["multiplier"], "--data", str(problem[0]), "--json"],
    )
    assert record["accuracy"] > json.loads(plain.stdout)["accuracy"] + 0.1


def test_a_network_file_is_for_its_own_multiplier(problem, selected):
    """Refused by name and hash, whichever way another multiplier is asked for."""
    _, record = selected
    made = QuantisedNetwork.load(record["network"])["conv1"].made_for
    assert made.name == record["multiplier"]
    for arguments in (
        ["--multiplier", "mul_u3s3_pp_full"],
        ["--multiplier", record["multiplier"], "--layers", "conv2"],
    ):
        result = CliRunner().invoke(accuracy, ["--network", record["network"], *arguments, "--data", str(problem[0])])
        assert result.exit_code == 2
        assert record["multiplier"] in result.stderr and made.table_sha256[:12] in result.stderr
        assert len(result.stderr.strip().splitlines()[-1:]) == 1
    again = select("--kept", 2, "--network", record["network"], "--data", problem[0])
    assert again.exit_code == 2 and record["multiplier"] in again.stderr


def test_a_second_request_computes_nothing_again(problem, selected):
    out, record = selected
    data, network = problem
    before = _finished(out)
    result = select("--kept", 4, "--network", network, "--data", data, "--out", out, "--workers", 1, "--json")
    assert json.loads(result.stdout) == record
    assert _finished(out) == before


def test_a_study_uses_the_results_of_a_selection(problem, selected, tmp_path):
    """In the same store: Verilog and costs of the exact multipliers, and the score of exact products."""
    data, network = problem
    store = tmp_path / "shared.sqlite"
    shutil.copy(selected[0] / "results.sqlite", store)
    before = _finished(store)
    arguments = ["--multiplier", "mul_u3s3_pp_full", "--network", network, "--data", data, "--out", tmp_path]
    result = CliRunner().invoke(study, [*map(str, arguments), "--results", str(store), "--workers", "1"])
    assert result.exit_code == 0, result.output
    new = _finished(store).keys() - before.keys()
    with sqlite3.connect(store) as connection:
        stages = {stage for key, stage in connection.execute("SELECT key, stage FROM result") if key in new}
    assert stages == {"simulate", "score"}, "the exact multiplier as a design was not asked for before"
    assert not (tmp_path / "results.sqlite").exists()


def test_people_see_the_dot_diagram_and_where_the_figures_come_from(problem, selected):
    out, record = selected
    data, network = problem
    result = select("--kept", 4, "--network", network, "--data", data, "--out", out, "--workers", 1)
    assert result.stdout.splitlines()[-1].split() == ["network", record["network"]]
    assert "a_2" in result.stdout and record["design"] in result.stdout and record["network"] in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--kept", "0"], "the nearest possible is --kept 1"),
        (["--max-loss", "-0.1"], "the exact multiplier itself loses 0 points"),
        (["--max-loss", "nan"], "--max-loss nan is no demand"),
        (["--max-area-ratio", "0"], "an area is positive"),
        (["--max-delay-ratio", "-1"], "a delay is positive"),
        (["--max-energy-ratio", "inf", "--max-loss", "1"], "--max-energy-ratio inf is no demand"),
        (["--kept", "4", "--max-loss", "1"], "give one of"),
        (["--multipliers", "0"], "layers have at least 1 multiplier"),
        (["--multipliers", "3"], "the nearest possible is --multipliers 2, or --layers all"),
        (["--layers", "conv9"], "no layer 'conv9'"),
        (["--kept", "4", "--no-search"], "leave out --no-search: it is for a front"),
        (["--dask", "tcp://127.0.0.1:1", "--workers", "2"], "leave out --workers: "),
        (["--kept", "4", "--tech", "nowhere"], "unknown technology"),
        (["--kept", "4", "--network", "missing.npz"], "cannot read"),
        (["--kept", "4", "--data", "."], "--network"),
    ],
)
def test_bad_input_is_one_line_and_status_2(arguments, message, tmp_path):
    result = select(*arguments, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_whole_front(problem, tmp_path):
    """Nothing on it is beaten, its figures are ratios to the exact multiplier, and each network is there.

    One without a search before it makes fewer networks, which the whole one does not make again.
    """
    data, network = problem
    common = ("--network", network, "--data", data, "--out", tmp_path, "--workers", 1)
    first = select(*common, "--no-search", "--json")
    assert first.exit_code == 0, first.output
    assert "front so far" in first.stderr
    assert len(json.loads(first.stdout)["front"]) >= 2
    before = networks_of(tmp_path)
    assert {search["generations"] for search in searches_of(tmp_path)} == {0}
    result = select(*common, "--json")
    assert result.exit_code == 0, result.output
    assert before < networks_of(tmp_path)
    assert any(search["generations"] for search in searches_of(tmp_path))
    front = json.loads(result.stdout)["front"]
    assert json.loads((tmp_path / "front.json").read_text())["front"] == front
    assert len({row["multiplier"] for row in front}) >= 3
    for row in front:
        assert row["area_ratio"] == pytest.approx(row["area_um2"] / row["exact_area_um2"])
        assert QuantisedNetwork.load(row["network"])["conv1"].made_for.name == row["multiplier"]
    unbeaten = {row["multiplier"] for row in front if not any(beats(other, row) for other in front)}
    assert unbeaten == {row["multiplier"] for row in front}
    smallest = min(front, key=lambda row: row["area_ratio"])
    again = select(*common, "--max-area-ratio", smallest["area_ratio"], "--json")
    assert json.loads(again.stdout)["multiplier"] == smallest["multiplier"]
    assert "front so far" not in again.stderr  # nothing had to be computed
    refused = select(*common, "--max-area-ratio", 0.9 * smallest["area_ratio"])
    assert refused.exit_code == 2 and smallest["multiplier"] in refused.stderr


def networks_of(folder):
    """Key and time of each network in the store."""
    with sqlite3.connect(folder / "results.sqlite") as store:
        return set(store.execute("SELECT key, finished FROM result WHERE stage = 'fit'"))


def searches_of(folder):
    """What each search was asked."""
    with sqlite3.connect(folder / "results.sqlite") as store:
        return [
            json.loads(identity) for (identity,) in store.execute("SELECT identity FROM result WHERE stage = 'search'")
        ]


def beats(one, other):
    """Whether one netlist is better than another in a figure and no worse in the others."""
    figures = [(one[key], other[key]) for key in ("divergence", "area_um2", "delay_ps")]
    return all(a <= b for a, b in figures) and any(a < b for a, b in figures)


def test_fine_tuning_is_the_last_stage(problem, selected):
    """It starts from the remapped network and changes it, not much for the worse (there are 295 images to learn from),
    and amhw accuracy agrees with its figures."""
    out, before = selected
    data, network = problem
    result = select(
        "--kept", 4, "--finetune", "--network", network, "--data", data, "--out", out, "--workers", 1, "--json"
    )
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert record["fine_tuned"] and not before["fine_tuned"]
    assert record["multiplier"] == before["multiplier"] and record["network"] != before["network"]
    assert record["divergence"] != before["divergence"]
    assert record["training_loss_points"] < before["training_loss_points"] + 1.5
    measured = CliRunner().invoke(accuracy, ["--network", record["network"], "--data", str(data), "--json"])
    assert json.loads(measured.stdout)["accuracy"] == record["accuracy"]


def test_too_many_products_are_refused_with_the_nearest_number(problem, tmp_path):
    data, network = problem
    result = select("--kept", 10, "--network", network, "--data", data, "--out", tmp_path, "--workers", 1)
    assert result.exit_code == 2 and "the nearest possible is 9" in result.stderr


def test_an_interrupted_selection_keeps_what_was_finished(problem, tmp_path):
    data, network = problem
    command_line = [
        sys.executable, "-m", "amhw.select", "--kept", "3", "--network", str(network), "--data", str(data),
        "--out", str(tmp_path), "--workers", "1", "--json",
    ]  # fmt: skip
    process = subprocess.Popen(
        command_line,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=listening,
    )
    deadline = time.monotonic() + 120
    while not _finished(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    kept = _finished(tmp_path)
    assert kept and process.returncode == 130
    assert b"Traceback" not in errors
    done = subprocess.run(command_line, capture_output=True, check=True, env=os.environ)
    assert json.loads(done.stdout)["kept"] == 3
    assert kept.items() <= _finished(tmp_path).items()


def test_a_dask_cluster_does_the_same_work(problem, selected, tmp_path):
    distributed = pytest.importorskip("distributed")
    data, network = problem
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    ) as cluster:
        result = select(
            "--kept", 4, "--network", network, "--data", data, "--out", tmp_path,
            "--dask", cluster.scheduler_address, "--json",
        )  # fmt: skip
    assert result.exit_code == 0, result.output
    record, own = json.loads(result.stdout), selected[1]
    # The workers' libraries may add floats in another order: these two are measured, all else is chosen or counted.
    assert record.pop("divergence") == pytest.approx(own["divergence"], rel=1e-4)
    assert record.pop("layer_errors") == pytest.approx(own["layer_errors"], rel=1e-4)
    assert record == {key: own[key] for key in record} | {"network": record["network"]}
    assert own.keys() - record.keys() == {"divergence", "layer_errors"}


def _finished(folder):
    """The finished results' keys and times, in a folder or a store."""
    file = folder if folder.suffix == ".sqlite" else folder / "results.sqlite"
    if not file.is_file():
        return {}
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=30) as connection:
        try:
            return dict(connection.execute("SELECT key, finished FROM result").fetchall())
        except sqlite3.OperationalError:
            return {}
