"""Which training images teach and judge, and what a network is said to lose."""

import numpy as np
import pytest
from labelled_images import write_idx_folder

from amhw.cascade.answers import judging, plain_judges
from amhw.datasets import mnist_slice, mnist_test
from amhw.network.models.lenet5 import float_network
from amhw.stages import problem
from amhw.stages.problem import Loaded, Problem


@pytest.fixture(scope="module")
def shipped():
    loaded = Problem().loaded
    assert loaded.exact_hits.any() and len(loaded.teacher.images)  # before anything is moved otherwise
    return loaded


@pytest.fixture
def unmoved(shipped, monkeypatch):
    """The shipped network, for which every moved image is one of another kind that it was not trained with."""
    monkeypatch.setattr(problem, "moved", lambda images, seed: 255 - images)
    return Loaded(float_network(), shipped.base, shipped.data)


def test_movements_are_taken_by_a_network_that_was_trained_with_them(shipped, unmoved):
    assert shipped.takes_movement and not unmoved.takes_movement
    assert len(shipped.judging) == 1000 + 3000


def test_more_plain_images_judge_where_movements_are_not_taken(unmoved):
    """None of them teaches, though the linear layers of this network want more teaching images."""
    plain = {image.tobytes() for image in mnist_slice().images}
    judging = {image.tobytes() for image in unmoved.judging.images} & plain
    teaching = {image.tobytes() for image in unmoved.teacher.images} & plain
    assert len(judging) == len(teaching) == 2500
    assert not judging & teaching


def test_cascades_are_judged_by_plain_images_too(shipped, unmoved):
    """Before the moved ones, of a network that does not take these."""
    assert plain_judges(shipped) == 0 and len(judging(shipped)) == 20_000
    count = plain_judges(unmoved)
    assert count == 5000
    np.testing.assert_array_equal(judging(unmoved).images[:count], mnist_slice().images)
    np.testing.assert_array_equal(judging(unmoved).labels[count : 2 * count], mnist_slice().labels)


@pytest.mark.parametrize("count", [50, 100, 200, 400])
def test_few_images_do_not_make_one_look_as_if_it_did_not_take_movements(shipped, tmp_path, count):
    """One error among a hundred moved images may be luck."""
    few = write_idx_folder(tmp_path, mnist_slice().taken(slice(0, 4000, 4000 // count), "few"), mnist_test().first(10))
    loaded = Problem(str(float_network().save(tmp_path / "float.npz")), str(few)).loaded
    assert loaded.takes_movement and len(loaded.exact_hits) == len(loaded.judging)


def answers(loaded, plain_lost, moved_lost, moved_gained):
    """Classes that lose and gain so many images against exact products."""
    hits = loaded.exact_hits.copy()
    plain = len(hits) - 3000
    right = np.flatnonzero(hits)
    hits[right[right < plain][:plain_lost]] = False
    hits[right[right >= plain][:moved_lost]] = False
    wrong = np.flatnonzero(~loaded.exact_hits)
    hits[wrong[wrong >= plain][:moved_gained]] = True
    return np.where(hits, loaded.judging.labels, (loaded.judging.labels + 1) % 10)


@pytest.mark.parametrize(
    ("lost", "of_plain", "of_all"),
    [((10, 20, 200), 10 / 2500, None), ((10, 200, 20), None, 190 / 5500), ((0, 50, 50), 0.0, 0.0)],
)
def test_what_is_gained_on_images_that_are_foreign_does_not_hide_a_loss(unmoved, lost, of_plain, of_all):
    """The loss is the greater of those of the plain images and of all."""
    found = unmoved.training_loss(answers(unmoved, *lost))
    assert found.mean == pytest.approx(of_plain if of_all is None else of_all)
    assert found.half_width > 0 or not lost[0]


def test_all_images_judge_alike_where_movements_are_taken(shipped):
    assert shipped.training_loss(answers(shipped, 8, 20, 4)).mean == pytest.approx(24 / 4000)
