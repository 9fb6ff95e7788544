"""`amhw faults`: its files, going on after an interruption, and bad input."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from amhw.cli import main
from amhw.datasets import mnist_test
from amhw.faults import brute
from amhw.faults.memories import Fault
from amhw.faults.models import MODELS
from amhw.faults.summary import FaultRun
from amhw.network.models import lenet5
from amhw.results import Results

WHAT = ("--images", "200:204", "--parameters", "fc2.bias,conv1.shift,fc3", "--workers", "1")


def run(*arguments):
    return CliRunner().invoke(main, ["faults", *map(str, arguments)])


def rows_of(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def refused(*arguments):
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert result.stderr.count("error: ") == 1
    return result.stderr


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    out = tmp_path_factory.mktemp("faults")
    result = run(*WHAT, "--fault", "flip", "--fault", "stuck-at-1", "--parquet", "--json", "--out", out)
    assert result.exit_code == 0, result.output
    (out / "said.json").write_text(result.stdout)
    return out


def test_a_row_a_fault(out):
    rows = rows_of(out / "faults.csv")
    each = 84 * 32 + 6 + 840 * 8 + 10 * 32
    assert len(rows) == 2 * each
    images, labels = mnist_test().images[200:204], mnist_test().labels[200:204]
    anew = brute.FaultyNetwork(lenet5.network(), {})
    golden = anew.logits(images)
    for row in rows[:: len(rows) // 23]:
        index = tuple(map(int, row["index"].split()))
        shape = {"fc2": (84,), "conv1": (), "fc3": (10, 84) if row["kind"] == "weights" else (10,)}[row["layer"]]
        word = int(np.ravel_multi_index(index, shape)) if shape else 0
        fault = Fault(row["layer"], row["kind"], word, int(row["bit"]), row["model"], int(row["faulty_value"]))
        same, other, *moved = brute.counts(anew, fault, images, labels, golden)
        assert int(row["images"]) == 4
        assert [int(row["logits_unchanged"]), int(row["class_unchanged"])] == [same, same + other]
        assert [int(row[name]) for name in ("right_to_wrong", "wrong_to_right", "wrong_to_wrong")] == moved
        if row["model"] == "stuck-at-1":
            assert int(row["faulty_value"]) == int(row["value"]) or MODELS["stuck-at-1"].stuck == 1


def test_the_golden_run(out):
    rows = rows_of(out / "golden_run.csv")
    logits = brute.FaultyNetwork(lenet5.network(), {}).logits(mnist_test().images[200:204])
    assert [int(row["image"]) for row in rows] == [200, 201, 202, 203]
    assert [[int(row[f"logit_{k}"]) for k in range(10)] for row in rows] == logits.tolist()
    assert [int(row["class"]) for row in rows] == logits.argmax(axis=1).tolist()


def test_parquet_is_the_csv(out):
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(out / "faults.parquet").to_pylist()
    rows = rows_of(out / "faults.csv")
    assert [{name: str(value) for name, value in row.items()} for row in table[::97]] == rows[::97]


def test_sums_are_those_of_the_rows(out):
    record = FaultRun.read(out / "faults.json")
    assert json.loads((out / "said.json").read_text())["totals"] == record.plain()["totals"]
    rows = [row for row in rows_of(out / "faults.csv") if row["model"] == "flip"]
    part = [row for row in rows if (row["layer"], row["kind"]) == ("fc3", "weights")]
    moved = ["right_to_wrong", "wrong_to_right", "wrong_to_wrong"]
    figures = record.figures("flip", "fc3", "weights")
    assert figures.faults == len(part) == 6720
    assert figures.changed == pytest.approx(sum(int(row[name]) for row in part for name in moved) / (4 * len(part)))
    assert figures.critical == pytest.approx(np.mean([any(int(row[name]) for name in moved) for row in part]))
    assert sum(cell.faults for cell in record.cells if cell.model == "flip") == len(rows)
    assert (out / "heat-map.svg").read_text().count("<svg") == 1


def test_what_was_finished_is_not_done_again(out, monkeypatch):
    """Interrupted after a part: the tasks that are there are taken as they are."""
    with Results(out / "results.sqlite") as store:
        before = len(store)
    (out / "faults.json").unlink()
    result = run(*WHAT, "--fault", "stuck-at-0", "--out", out)
    assert result.exit_code == 0, result.output
    with Results(out / "results.sqlite") as store:
        assert len(store) == before, "stuck bits are read off flipped ones"


def test_another_network_in_the_same_folder_is_refused(out):
    run(*WHAT, "--out", out)
    changed = ("--parameters", "fc3.bias", "--workers", "1", "--out", out)
    assert "the choice of images changed since" in refused("--images", "200:203", *changed)
    mask = "mul_u8s8_pp_0_0_0_e0_e0_e0_e0_e0"
    assert "the multipliers changed since" in refused("--images", "200:204", mask, *changed)


def test_a_network_that_changed_since_the_campaign_began_is_refused(tmp_path, monkeypatch):
    """Interrupted before anything is written but what is finished; with the right network it then goes on."""
    file, out = tmp_path / "network.npz", tmp_path / "out"
    network = lenet5.network()
    network.save(file)
    what = (
        "--network",
        file,
        "--images",
        "200:202",
        "--parameters",
        "conv1.shift,fc3.bias",
        "--workers",
        "1",
        "--out",
        out,
    )
    with monkeypatch.context() as broken:
        broken.setattr("amhw.faults.files.write", interrupted)
        assert run(*what).exit_code == 130
    assert sorted(path.name for path in out.iterdir()) == ["campaign.json", "results.sqlite"]
    with Results(out / "results.sqlite") as store:
        finished = len(store)
    last = network.layers[-1]
    layers = (*network.layers[:-1], replace(last, bias=last.bias + 1))
    replace(network, layers=layers).save(file)
    assert "the network changed since" in refused(*what)
    network.save(file)
    assert run(*what).exit_code == 0
    with Results(out / "results.sqlite") as store:
        assert len(store) == finished == 2, "what was finished is there, and nothing is done twice"


def interrupted(*arguments, **others):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--images", "9990:10001"], "has the images 0:10000: ask for some of them, not 9990:10001"),
        (["--images", "5:5"], "has the images 0:10000"),
        (["--images", "some"], "wanted all, a number N for the first N, or FIRST:END"),
        (["--fault", "flop"], "no fault model 'flop'; there are flip, stuck-at-0"),
        (["--parameters", "conv3"], "no parameters 'conv3'; "),
        (["--parameters", "fc3.shift"], "no parameters 'fc3.shift'"),
        (["--protect", "prayer"], "no protection 'prayer'"),
        (["--protect", "free-bits"], "exact products read all weight bits"),
        (["--protect", "parity", "--parameters", "fc3"], "protections and rankings are of flips of all words"),
        (["--margin", "2"], "--margin 2; wanted a number between 0 and 1"),
        (["--confidence", "0.9"], "leave out --confidence"),
        (["--stuck-nets", "--rank"], "leave out --rank"),
        (["--layers", "conv1"], "which multiplier?"),
    ],
)
def test_bad_input(tmp_path, arguments, words):
    assert words in refused(*arguments, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists(), "nothing is left half-written"


def test_a_sample(tmp_path):
    arguments = ("--images", "200:202", "--parameters", "fc3", "--margin", "0.05", "--workers", "1")
    result = run(*arguments, "--out", tmp_path, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    # 6,720 + 320 faults take 365, of which each bit of the weights gets 44 and each of the biases 4.
    assert found["whole"]["drawn"] == 8 * 44 + 32 * 4
    assert found["whole"]["low"] <= found["whole"]["share"] <= found["whole"]["high"]
    assert len(found["strata"]) == 8 + 32
