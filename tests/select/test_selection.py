"""The Pareto front of a small problem: 3-bit operands, both signed, so that synthesis takes no time."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from labelled_images import write_idx_folder

from amhw import parse
from amhw.datasets import mnist_slice, mnist_test
from amhw.network.models.lenet5 import float_network
from amhw.network.quantise import quantise
from amhw.network.quantised import Operands
from amhw.results import Results
from amhw.select.selection import Selection
from amhw.select.settings import Round, Settings
from amhw.stages.problem import Problem

FIRST = 0.1
"""Of the exact multiplier's area: what the first round looks at."""

NARROW = Settings(
    statistics_images=50,
    greedy=(3, 4),
    precisions=(2, 2),
    rounds=(Round(2, 2),),
    largest_area=FIRST,
    wider=Round(2, 2),
    thorough_beam=1,
)


@pytest.fixture(scope="module")
def problem(tmp_path_factory):
    training, test = mnist_slice(), mnist_test()
    folder = write_idx_folder(
        tmp_path_factory.mktemp("problem"), training.taken(slice(None, None, 50), "few"), test.first(200)
    )
    network = quantise(float_network(), training.images[:200], Operands(3, 3, True)).save(folder / "network.npz")
    return Problem(str(network), str(folder))


def test_a_search_goes_on_among_larger_ones_until_one_loses_nothing(problem, tmp_path):
    """For signed activations too, whose seeds are signed."""
    searches = []
    with Results(tmp_path / "results.sqlite") as results, ThreadPoolExecutor(1) as executor:

        def report(what, done, total):
            searches.extend([what] * (what == "search" and done == total))

        selection = Selection(problem, "sky130hd", results, executor, report, NARROW)
        front = selection.front()
        whole = selection.baseline().smallest.area_um2
    assert len(searches) > 1
    assert all(parse(solution.name).signed_a for solution in front)
    areas = [solution.smallest.area_um2 / whole for solution in front]
    assert min(areas) <= FIRST < max(areas)
    assert any(solution.training_loss <= NARROW.negligible_loss for solution in front)
