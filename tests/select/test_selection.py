"""The Pareto front of a small problem: 3-bit operands, so that synthesis takes no time."""

from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from multiprocessing import get_context

import pytest

from amhw.datasets import mnist_slice, mnist_test
from amhw.datasets.idx import write_idx
from amhw.network.models.lenet5 import float_network
from amhw.network.quantise import quantise
from amhw.network.quantised import Operands
from amhw.results import Results
from amhw.select.selection import Selection
from amhw.select.settings import Round, Settings
from amhw.stages.problem import Problem

NARROW = Settings(
    statistics_images=50, greedy=(4,), rounds=(Round(4, 3),), wider=Round(4, 2), largest_area=0.15, thorough_beam=1
)


@pytest.fixture(scope="module")
def problem(tmp_path_factory):
    folder = tmp_path_factory.mktemp("problem")
    training, test = mnist_slice(), mnist_test()
    for name, array in (
        ("train-images-idx3-ubyte.gz", training.images[::17]),
        ("train-labels-idx1-ubyte.gz", training.labels[::17]),
        ("t10k-images-idx3-ubyte.gz", test.images[:300]),
        ("t10k-labels-idx1-ubyte.gz", test.labels[:300]),
    ):
        (folder / name).write_bytes(write_idx(array))
    network = quantise(float_network(), training.images[:200], Operands(3, 3)).save(folder / "network3.npz")
    return Problem(str(network), str(folder))


def test_a_search_goes_on_among_larger_ones_until_one_loses_nothing(problem, tmp_path):
    said = []
    with (
        Results(tmp_path / "results.sqlite") as results,
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor,
    ):
        selection = Selection(
            problem, "sky130hd", results, executor, lambda what, done, total: said.append(what), NARROW
        )
        front = selection.front()
        whole = selection.baseline().smallest.area_um2
    searches = [what for what, after in pairwise(said) if what == "search" != after]
    print(searches, [(s.name, s.smallest.area_um2 / whole, s.training_loss, s.divergence) for s in front])
    assert 0
