"""The Pareto front of a small problem: 3-bit operands, both signed, so that synthesis takes no time."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from labelled_images import write_idx_folder

from amhw import Masked, parse
from amhw.datasets import mnist_slice, mnist_test
from amhw.network.models.lenet5 import float_network
from amhw.network.quantise import quantise
from amhw.network.quantised import Operands
from amhw.refusal import Refusal
from amhw.remap import fit as remap_fit
from amhw.results import Results
from amhw.select.demands import Demands
from amhw.select.request import Request
from amhw.select.selection import Selection
from amhw.select.settings import Round, Settings
from amhw.select.several import with_several
from amhw.select.solutions import pareto_front
from amhw.stages.content import unpacked
from amhw.stages.problem import Problem
from amhw.stages.synthesis import balanced, smallest
from amhw.synth import SEARCH

FIRST = 0.1
"""Of the exact multiplier's area: what the first round looks at."""

NARROW = Settings(
    statistics_images=50,
    greedy=(3, 4),
    precisions=(2, 2),
    rounds=(Round(2, 2),),
    largest_area=FIRST,
    wider=Round(2, 2),
    without_adder=1,
    again=1,
    assigned=2,
    assignments=2,
    assigning=1,
)


TOLD = []
"""What `selected` told of its front so far."""


@pytest.fixture(scope="module")
def problem(tmp_path_factory):
    training, test = mnist_slice(), mnist_test()
    folder = write_idx_folder(
        tmp_path_factory.mktemp("problem"), training.taken(slice(None, None, 50), "few"), test.first(200)
    )
    network = quantise(float_network(), training.images[:200], Operands(3, 3, True)).save(folder / "network.npz")
    return Problem(str(network), str(folder))


@pytest.fixture(scope="module")
def selected(problem, tmp_path_factory):
    """A selection, its front, and the steps that it has finished so far."""
    steps = []

    def report(what, done, total):
        steps.extend([what] * (done == total))

    def told(front, exact):
        TOLD.append((front, exact))

    TOLD.clear()
    folder = tmp_path_factory.mktemp("selected")
    with Results(folder / "results.sqlite") as results, ThreadPoolExecutor(1) as executor:
        selection = Selection(problem, "sky130hd", results, executor, report, NARROW, so_far=told)
        yield selection, selection.front(), steps


def test_what_weights_cannot_be_chosen_for_is_refused_first(problem, monkeypatch):
    monkeypatch.setattr(remap_fit, "LARGEST_MOMENTS", 1000)
    with pytest.raises(Refusal, match="conv1 has 25 inputs to each of 6 outputs"):
        Selection(problem, "sky130hd", None, None)


def test_a_search_goes_on_among_larger_ones_until_one_loses_nothing(selected):
    """For signed activations too, whose seeds are signed."""
    selection, front, steps = selected
    whole = selection.baseline().smallest.area_um2
    assert steps.count("search") > 1
    assert all(parse(solution.name).signed_a for solution in front)
    areas = [solution.smallest.area_um2 / whole for solution in front]
    assert min(areas) <= FIRST < max(areas)
    nothing = [s for s in front if s.training_loss <= max(NARROW.negligible_loss, s.fitted.training_standard_error)]
    assert nothing and all(0 <= solution.fitted.training_standard_error < 0.1 for solution in front)


def test_no_plain_image_both_teaches_and_judges(selected):
    """Of a data set that is smaller than what would be taken of it, too."""
    loaded = selected[0].loaded
    total, teacher = len(loaded.training.images), loaded.teacher
    plain = {image.tobytes() for image in teacher.images[: len(teacher.images) - total]}
    judging = {image.tobytes() for image in loaded.judging.images[: len(loaded.judging.images) - total]}
    assert len(plain) + len(judging) == total and not plain & judging
    assert len(teacher.layers["conv1"].sums) == len(plain)


def test_a_training_loss_is_a_share_of_whole_images(selected):
    loaded = selected[0].loaded
    labels = loaded.judging.labels
    for hits in range(len(labels)):
        predictions = np.where(np.arange(len(labels)) < hits, labels, labels + 1)
        assert loaded.training_loss(predictions).mean == (loaded.exact_hits.sum() - hits) / len(labels)


def test_a_demand_is_refused_only_after_looking_once_more(selected):
    """Nothing has a hundredth of the exact area; what is allowed is looked for before the nearest is named."""
    selection, _, steps = selected
    demands, before = Demands(max_area_ratio=0.01), steps.count("search")
    solutions = selection.front(demands)
    assert steps.count("search") == before + NARROW.again
    with pytest.raises(Refusal, match=r"--max-area-ratio 0\.01: .* the nearest is mul_s3s3_.* too much"):
        Request(demands=demands).chosen(solutions, selection.baseline())


def test_a_round_makes_so_many_networks_of_so_large_multipliers(selected, monkeypatch):
    """And later ones also of the best masks without an adder, however many those are."""
    selection, _, _ = selected
    rounds, fit = [], selection.fit

    def counted(choices, implementations, what="networks"):
        rounds.append([choice[0][1] for choice in choices])
        return fit(choices, implementations, what)

    monkeypatch.setattr(selection, "fit", counted)
    selection.front()
    largest = FIRST * selection.baseline((SEARCH,)).smallest.area_um2
    begun, first, *wider = rounds
    assert begun == first[:: NARROW.begun_with]
    assert len(first) == NARROW.rounds[0].fitted and wider and all(len(names) <= NARROW.wider.fitted for names in wider)
    areas = selection.implementations([parse(name) for name in first], "again", (SEARCH,))
    assert all(smallest(found).area_um2 <= largest for found in areas.values())
    rounds.clear()
    selection.front(Demands(max_area_ratio=0.01))
    again = rounds[len(wider) + 2]
    met = {name for names in rounds[: len(wider) + 3] for name in names}
    without = [mask for mask in selection.space.without_adder() if mask.name in met]
    assert {mask.kept for mask in without} == {mask.kept for mask in selection.space.without_adder()}
    assert len(again) > NARROW.wider.fitted


def test_fronts_are_told_from_the_first_networks_on(selected):
    """By the one recipe, as what they are measured against."""
    _, front, _ = selected
    assert len(TOLD) >= 3
    (first, exact), *_, (last, _) = TOLD
    assert len(first) <= -(-NARROW.rounds[0].fitted // NARROW.begun_with) < len(last)
    netlists = [netlist for some, _ in TOLD for solution in some for netlist in solution.implementations]
    assert {netlist.recipe for netlist in (*netlists, exact.smallest, exact.fastest)} == {SEARCH.name}
    assert {solution.name for solution in last} & {solution.name for solution in front}


def test_layers_have_different_multipliers(selected):
    """Their energies and areas are those of two arrays, and of one that can be each."""
    selection, front, steps = selected
    mixed = selection.with_shared(selection.with_energy(with_several(selection, front, 2), every=False))
    assert mixed and "assignments" in steps
    for solution in mixed:
        assert len(solution.names) == 2
        own = [selection.implementations([parse(name)], "own")[name] for _, name in solution.multipliers]
        assert solution.balanced in solution.implementations
        assert solution.balanced.design.split("+") == [balanced(some).design for some in own]
        assert solution.smallest.area_um2 <= solution.balanced.area_um2
        made = unpacked(solution.fitted.network)
        assert tuple((layer.name, layer.made_for.name) for layer in made.layers[:2]) == solution.multipliers
        low, high = sorted(energy_of(selection, name) for name in solution.names)
        assert low * 0.5 <= solution.energy_ratio(solution.balanced) <= high * 2
        if all(isinstance(parse(name), Masked) for name in solution.names):
            assert solution.shared.area_um2 >= 0.8 * max(smallest_of(front, name) for name in solution.names)


LIMITS = {
    "area": {"max_area_ratio"},
    "delay": {"max_delay_ratio"},
    "energy": {"max_energy_ratio"},
    "loss": {"max_loss"},
    "area and energy": {"max_area_ratio", "max_energy_ratio"},
    "loss and energy": {"max_loss", "max_energy_ratio"},
    "all": {"max_loss", "max_area_ratio", "max_delay_ratio", "max_energy_ratio"},
}


@pytest.mark.parametrize("limited", LIMITS.values(), ids=LIMITS)
def test_layers_have_multipliers_within_demands(selected, monkeypatch, limited):
    """Only what demands may allow gets networks; what meets them is found, and the best of that is the answer."""
    selection, front, _ = selected
    monkeypatch.setattr(selection, "settings", replace(NARROW, assigned=8, assignments=4))
    baseline, single = selection.baseline(), pareto_front(front)
    middle = single[len(single) // 2]
    limits = {
        "max_area_ratio": 1.2 * baseline.area_ratio(middle.smallest),
        "max_delay_ratio": 1.2 * baseline.delay_ratio(middle.smallest),
        "max_energy_ratio": 1.2 * energy_ratio(selection, middle),
        "max_loss": 1.2 * 100 * middle.training_loss,
    }
    demands = Demands(**{name: limits[name] for name in limited})
    fitted, fit = [], selection.fit

    def noted(choices, implementations, what="networks"):
        solutions = fit(choices, implementations, what)
        fitted.extend(solution for solution in solutions if len(solution.names) > 1)
        return solutions

    monkeypatch.setattr(selection, "fit", noted)
    found = Request(demands=demands, multipliers=2).solutions(selection)
    assert fitted and len({solution.name for solution in found}) == len(found)
    without = replace(demands, max_loss=None, max_energy_ratio=None)
    for solution in fitted:
        figures = [without.figures(solution, each, baseline) for each in solution.implementations]
        assert any(without.met_by(each) for each in figures)
        if "max_energy_ratio" in limited:
            assert energy_ratio(selection, solution) <= 1.5 * demands.max_energy_ratio
    every = [*found, *selection.with_energy(fitted)]
    pairs = [(solution, each) for solution in every for each in solution.implementations]
    meeting = [pair for pair in pairs if demands.met_by(demands.figures(*pair, baseline))]
    assert {s.name for s, _ in meeting} <= {s.name for s in found}
    solution, netlist = Request(demands=demands, multipliers=2).chosen(found, baseline)
    if "max_loss" in limited:
        assert netlist.area_um2 == min(each.area_um2 for _, each in meeting)
    else:
        assert solution.divergence == min(each.divergence for each, _ in meeting)


def energy_ratio(selection, solution):
    [counted] = selection.with_energy([solution], every=False)
    return counted.energy_ratio(counted.balanced)


def energy_of(selection, name):
    """Of one of its multipliers in all layers."""
    implementations = selection.implementations([parse(name)], "one")
    [alone] = selection.fit([selection.everywhere(name)], implementations)
    [counted] = selection.with_energy([alone], every=False)
    return counted.energy_ratio(counted.balanced)


def smallest_of(front, name):
    return next(solution.smallest.area_um2 for solution in front if solution.name == name)
